"""Files into a model repository of the Hub: in one commit, or not at all."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affectzoo.errors import DownloadError, InputError
from affectzoo.remote.refusals import hub_errors

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

_WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json")
#: What is ever uploaded besides the weights.
_OTHERS = ("config.json", "README.md", "training.json")
#: Says how the weights beside it were trained, so it does not outlive them.
_OF_THE_WEIGHTS = "training.json"
_REPO = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, kw_only=True)
class Changes:
    """How files differ from a repository's.

    Attributes:
        repo, revision: `org/name` and the branch.
        uploaded, unchanged: names of the files, sorted.
        deleted: names of weights of an earlier push that these files replace, and of what was said of them.
    """

    repo: str
    revision: str
    uploaded: tuple[str, ...]
    unchanged: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan(Changes):
    """What an upload would do; `remarks` are sentences on what would be made, or could not be looked up."""

    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Pushed(Changes):
    """What an upload did.

    Attributes:
        commit: that the files are in; the one found where nothing differed.
        url: page of the repository at the branch.
        pull_request: page of the pull request that was opened, empty where none was.
    """

    commit: str
    url: str
    pull_request: str = ""


def upload(
    files: Mapping[str, Path | bytes],
    repo: str,
    *,
    message: str,
    private: bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    token: str | None = None,
) -> Pushed:
    """Make the model repository hold these files and no other weights, in one commit.

    A repository and a branch that are absent are made (the branch from `main`), and removed again where the upload fails.
    Files that do not differ are not sent; where none does, nothing is asked of the Hub but what it holds.

    Args:
        files: name -> where it is, or what it holds.
        repo: `org/name`.
        message: of the commit.
        private: of a repository that is made; None is the owner's default. An existing one must be so already.
        revision: branch; None is `main`.
        create_pr: open a pull request against the branch instead; both must exist.
        token: of the Hub; None uses the saved login.

    Raises:
        InputError: a name that is never uploaded, a repository of the other visibility, a revision that is no branch.
        DownloadError: the Hub refused or cannot be reached; also of the client's own class.
    """
    from huggingface_hub import CommitOperationDelete, HfApi

    _check(files, repo)
    api, branch = HfApi(token=token), revision or "main"
    with hub_errors(_wanted(repo, revision), doing="pushed to", token=token), ExitStack() as undo:
        info, has_branch = _look(api, repo, branch, must_exist=create_pr)
        if info is None:
            api.create_repo(repo, private=private)
            undo.callback(_undo, f"the repository {repo}", partial(_remove_repository, api, repo), token)
            info = api.model_info(repo, files_metadata=True)
            has_branch = branch == "main"
        else:
            _check_visibility(info, private)
        changes, additions = _compare(files, repo, branch, info)
        commit, pull_request = info.sha or "", ""
        if not has_branch:
            api.create_branch(repo, branch=branch, revision=commit)
            undo.callback(_undo, f"the branch {branch} of {repo}", partial(_remove_branch, api, repo, branch, commit), token)
        if changes["uploaded"] or changes["deleted"]:
            operations = [*additions, *(CommitOperationDelete(path_in_repo=name) for name in changes["deleted"])]
            made = _commit(
                api,
                repo,
                operations,
                commit_message=message,
                revision=branch,
                parent_commit=commit,
                create_pr=create_pr,
            )
            commit, pull_request = made.oid, made.pr_url or ""
        undo.pop_all()
    page = f"{api.endpoint}/{repo}" + ("" if branch == "main" else f"/tree/{branch}")
    return Pushed(**changes, commit=commit, url=page, pull_request=pull_request)


def plan_upload(
    files: Mapping[str, Path | bytes],
    repo: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    token: str | None = None,
) -> Plan:
    """What `upload` would do; asks the Hub what it holds and changes nothing. Where it cannot be asked, a remark says so.

    Raises:
        InputError: as `upload`.
    """
    from huggingface_hub import HfApi

    _check(files, repo)
    api, branch = HfApi(token=token), revision or "main"
    try:
        with hub_errors(_wanted(repo, revision), doing="looked up on", token=token):
            info, has_branch = _look(api, repo, branch, must_exist=create_pr)
    except DownloadError as error:
        return Plan(repo=repo, revision=branch, uploaded=tuple(sorted(files)), remarks=(f"{error} (all files count as new)",))
    if info is None:
        remark = f"{repo} does not exist, or is hidden from this login: it would be made"
        return Plan(repo=repo, revision=branch, uploaded=tuple(sorted(files)), remarks=(remark,))
    _check_visibility(info, private)
    changes, _ = _compare(files, repo, branch, info)
    return Plan(**changes, remarks=() if has_branch else (f"the branch {branch} would be made from main",))


def _wanted(repo: str, revision: str | None) -> str:
    return repo if revision is None else f"{repo}@{revision}"


def _check(files: Mapping[str, Path | bytes], repo: str) -> None:
    if not _REPO.fullmatch(repo):
        raise InputError(f"{repo!r} is not of the form org/name; letters, digits, '-', '_' and '.' are allowed")
    for name in files:
        if name not in _OTHERS and not _WEIGHTS.fullmatch(name):
            raise InputError(f"{name!r} is never uploaded: only safetensors, {', '.join(_OTHERS)} are")


def _look(api: HfApi, repo: str, branch: str, *, must_exist: bool) -> tuple[ModelInfo | None, bool]:
    """The head of the branch and whether the branch is there; without it the head of `main`; None without a repository."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        return api.model_info(repo, revision=branch, files_metadata=True), True
    except RevisionNotFoundError:
        if must_exist or branch.startswith("refs/"):
            raise
        return api.model_info(repo, revision="main", files_metadata=True), False
    except RepositoryNotFoundError:
        if must_exist:
            raise
        return None, False


def _check_visibility(info: ModelInfo, private: bool | None) -> None:
    if private is not None and info.private is not None and private != info.private:
        there = "private" if info.private else "public"
        raise InputError(f"{info.id} is {there} already; change that in its settings on the Hub, or leave the choice out")


def _compare(
    files: Mapping[str, Path | bytes], repo: str, branch: str, info: ModelInfo
) -> tuple[dict[str, Any], list[CommitOperationAdd]]:
    """The fields of `Changes`, and what is to be sent."""
    from huggingface_hub import CommitOperationAdd

    there = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    all_files = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in sorted(files.items())]
    additions = [one for one in all_files if not _is_same(one, there.get(one.path_in_repo))]
    uploaded = tuple(one.path_in_repo for one in additions)
    stale = []
    if any(_WEIGHTS.fullmatch(name) for name in files):
        stale = [name for name in there if _WEIGHTS.fullmatch(name) and name not in files]
    if _OF_THE_WEIGHTS in there and _OF_THE_WEIGHTS not in files and any(_WEIGHTS.fullmatch(name) for name in uploaded):
        stale.append(_OF_THE_WEIGHTS)
    return {
        "repo": repo,
        "revision": branch,
        "uploaded": uploaded,
        "unchanged": tuple(sorted(files.keys() - set(uploaded))),
        "deleted": tuple(sorted(stale)),
    }, additions


def _is_same(file: CommitOperationAdd, there: RepoSibling | None) -> bool:
    from huggingface_hub.utils.sha import git_hash

    if there is None or there.size != file.upload_info.size:
        return False
    if there.lfs is not None:
        return there.lfs.sha256 == file.upload_info.sha256.hex()
    with file.as_file() as content:
        return there.blob_id == git_hash(content.read())


def _commit(api: HfApi, repo: str, operations: list[Any], **options: Any) -> CommitInfo:
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        return api.create_commit(repo, operations, **options)
    except RevisionNotFoundError as error:
        branch = options["revision"]
        raise InputError(f"{branch!r} is not a branch of {repo}, and a push goes to a branch; give another") from error
    except RuntimeError as error:
        if type(error) is RuntimeError and error.__cause__ is not None:
            raise error.__cause__ from None  # the client wraps what a transfer met with
        raise


def _remove_repository(api: HfApi, repo: str) -> None:
    """Unless somebody has committed to it since."""
    if len(api.list_repo_commits(repo)) == 1:
        api.delete_repo(repo)


def _remove_branch(api: HfApi, repo: str, branch: str, base: str) -> None:
    """Unless somebody has committed to it since."""
    if api.model_info(repo, revision=branch).sha == base:
        api.delete_branch(repo, branch=branch)


def _undo(what: str, remove: Callable[[], None], token: str | None) -> None:
    """Remove what was made; the failure that led here is the one to be told, so a second one is only a warning."""
    try:
        with hub_errors(what, doing="removed again from", token=token):
            remove()
    except DownloadError as error:
        warnings.warn(f"{error}; it was made for a push that failed", stacklevel=2)
