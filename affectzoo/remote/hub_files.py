"""Files of one commit of a repository on the Hub: chosen by name, fetched once, verified on arrival, kept in the cache."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from affectzoo.errors import AffectzooError, DownloadError, InputError
from affectzoo.files import write_text
from affectzoo.remote.address import digest_of
from affectzoo.remote.options import DownloadOptions
from affectzoo.remote.refusals import hub_errors, is_out_of_reach, refusal

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

_COMMIT = re.compile(r"[0-9a-f]{40}")

#: A file's name, or what its whole name must match.
Wanted = str | re.Pattern[str]


class HubCommit:
    """One commit of a model repository, and those of its files that are on this disk.

    The Hub is asked as little as possible: once for a branch or tag, to know its commit; never for a commit whose wanted
    files are cached; never with `local_files_only` or `HF_HUB_OFFLINE=1`. Where it is out of reach, what is cached is used
    and a warning says so.

    Attributes:
        repo: `org/name`.
        wanted: how messages name it: `org/name[@revision]`.
        sha: the commit.
        folder: where its files lie in the cache; it need not exist yet.
    """

    def __init__(self, repo: str, revision: str | None, options: DownloadOptions) -> None:
        """Find the commit.

        Args:
            repo: `org/name`.
            revision: branch, tag or commit; None is the default branch.
            options: the rest; its own `revision` is not looked at.

        Raises:
            DownloadError: the Hub refused, or cannot be reached and nothing is cached.
            InputError: a download is forced and forbidden at once.
        """
        from huggingface_hub.constants import HF_HUB_OFFLINE

        self.repo, self._options = repo, options
        self.wanted = repo if revision is None else f"{repo}@{revision}"
        self._revision = revision or "main"
        self._listing: dict[str, RepoSibling] | None = None
        self._offline = options.local_files_only or HF_HUB_OFFLINE
        #: Why the Hub cannot be asked, in the words of who tried.
        self._unreachable: DownloadError | None = None
        if self._offline and options.force_download:
            raise InputError(
                f"{self.wanted} cannot be fetched again without the network; leave out force_download, or go online"
            )
        # Also names a folder of the cache, so that nothing but a name may stand in it.
        if not _is_plain(self._revision):
            raise InputError(f"{self._revision!r} is not a revision; give a branch, tag or commit")
        with hub_errors(self.wanted, token=options.token):
            self._storage = _storage(repo, options.cache_dir)
        self.sha = self._find_commit()

    @property
    def folder(self) -> Path:
        return self._storage / "snapshots" / self.sha

    @property
    def is_listed(self) -> bool:
        """Whether the Hub has said what the commit holds."""
        return self._listing is not None

    def cached(self, name: str) -> Path | None:
        """The file in the cache, None where it is not there or is to be fetched again."""
        path = self.folder / name
        with hub_errors(self.wanted, token=self._options.token):  # a cache that may not be read
            return path if not self._options.force_download and _is_plain(name) and path.is_file() else None

    def names(self) -> list[str]:
        """Every file of the commit in the Hub's listing; those that are cached where the Hub is not asked or out of reach.

        Raises:
            DownloadError: the Hub refused.
        """
        if self._may_ask():
            return sorted(self._listed())
        found = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file())
        return sorted(path.as_posix() for path in found)

    def choose(self, wanted: Sequence[Wanted]) -> list[str]:
        """Names of the commit that are asked for, by name or by a pattern that matches the whole name; sorted.

        Raises:
            DownloadError: the Hub refused, or a chosen name would lead out of its folder.
        """
        exact = {item for item in wanted if isinstance(item, str)}
        patterns = [item for item in wanted if not isinstance(item, str)]
        chosen = [name for name in self.names() if name in exact or any(p.fullmatch(name) for p in patterns)]
        for name in chosen:
            if not _is_plain(name):
                raise DownloadError(f"{self.wanted} holds {name!r}, a name that leads out of its folder; nothing was fetched")
        return chosen

    def fetch(self, name: str) -> Path:
        """One file, from the cache or from the Hub; what arrives is compared with what the Hub said it is.

        Raises:
            DownloadError: the Hub refused or lacks it, it cannot be reached, or what arrived is damaged.
        """
        import huggingface_hub

        if not _is_plain(name):
            raise DownloadError(f"{name!r} leads out of the folder of {self.wanted}; it is not fetched")
        path = self.cached(name)
        if path is not None:
            return path
        if not self._may_ask():
            raise self._unreachable or self._not_cached()
        listed = self._listed().get(name)
        if listed is None:
            raise DownloadError(f"{self.wanted} on the Hub holds no {name}; check the name and the revision")
        with hub_errors(self.wanted, token=self._options.token):
            path = Path(
                huggingface_hub.hf_hub_download(
                    self.repo,
                    name,
                    revision=self.sha,
                    token=self._options.token,
                    cache_dir=self._options.cache_dir,
                    force_download=self._options.force_download,
                )
            )
        self._verify(path, listed)
        return path

    def keep_revision(self) -> None:
        """Note in the cache what the branch or tag stands for; called when everything is there, so that it is whole offline."""
        ref = self._storage / "refs" / self._revision
        if self._listing is None or self._revision == self.sha or (ref.is_file() and ref.read_text() == self.sha):
            return
        # A cache that nobody may write to serves the commit all the same.
        with suppress(InputError):
            write_text(ref, self.sha)

    def _find_commit(self) -> str:
        if _COMMIT.fullmatch(self._revision):
            return self._revision
        ref = self._storage / "refs" / self._revision
        with hub_errors(self.wanted, token=self._options.token):
            known = ref.read_text(encoding="utf-8").strip() if ref.is_file() else ""
            if not _COMMIT.fullmatch(known) or not (self._storage / "snapshots" / known).is_dir():
                known = ""
        if self._offline:
            if not known:
                raise self._not_cached()
            return known
        try:
            return self._ask()
        except DownloadError as error:
            if not known or self._options.force_download or not is_out_of_reach(error):
                raise
            self._unreachable = error
            warnings.warn(f"{error}. The cached commit {known[:12]} is used", stacklevel=2)
            return known

    def _may_ask(self) -> bool:
        return not self._offline and self._unreachable is None

    def _listed(self) -> dict[str, RepoSibling]:
        if self._listing is None:
            self._ask()
        assert self._listing is not None
        return self._listing

    def _ask(self) -> str:
        """The one question to the Hub: which commit it is, what it holds, and each file's digest."""
        from huggingface_hub import HfApi
        from huggingface_hub.constants import HF_HUB_ETAG_TIMEOUT

        with hub_errors(self.wanted, token=self._options.token):
            info = HfApi().model_info(
                self.repo,
                revision=self._revision,
                files_metadata=True,
                timeout=HF_HUB_ETAG_TIMEOUT,
                token=self._options.token,
            )
        if not _COMMIT.fullmatch(info.sha or ""):
            raise DownloadError(f"the Hub names no commit of {self.wanted}; try again later")
        self._listing = {file.rfilename: file for file in info.siblings or []}
        return str(info.sha)

    def _verify(self, path: Path, listed: RepoSibling) -> None:
        """The client compares lengths alone. A damaged file leaves the cache, so that a second try fetches it again."""
        kind, expected = ("sha256", listed.lfs.sha256) if listed.lfs is not None else ("git", listed.blob_id)
        if not expected:
            raise DownloadError(f"the Hub names no digest of {listed.rfilename} of {self.wanted}; it cannot be verified")
        try:
            intact = digest_of(path, kind) == f"{kind}:{expected}"
        except FileNotFoundError:  # another process found it damaged
            intact = False
        if not intact:
            path.resolve().unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            raise DownloadError(f"{listed.rfilename} of {self.wanted} arrived damaged and was deleted unread; try again")

    def _not_cached(self) -> AffectzooError:
        from huggingface_hub.errors import LocalEntryNotFoundError

        sentence = (
            f"{self.wanted} is not cached and the Hub cannot be reached: local_files_only or HF_HUB_OFFLINE forbids to ask it; "
            "connect once"
        )
        return refusal(LocalEntryNotFoundError(sentence), sentence)


def fetch_files(repo: str, wanted: Sequence[Wanted], options: DownloadOptions) -> tuple[Path, str]:
    """The wanted files of one commit, `options.revision` or the default branch: their folder, and the commit.

    Every exact name must be there. No request is made for a commit whose exact names are cached, if no pattern is given.

    Raises:
        DownloadError: the Hub refused or lacks a file, cannot be reached and it is not cached, or what arrived is damaged.
    """
    commit = HubCommit(repo, options.revision, options)
    exact = [item for item in wanted if isinstance(item, str)]
    names = exact if len(exact) == len(wanted) else [*exact, *commit.choose(wanted)]
    for name in dict.fromkeys(names):
        commit.fetch(name)
    commit.keep_revision()
    return commit.folder, commit.sha


def _is_plain(name: str) -> bool:
    """Whether it names something below a folder, on every system."""
    parts = PurePosixPath(name).parts
    return bool(name) and not name.startswith("/") and ".." not in parts and not any(c in name for c in "\\:\0")


def _storage(repo: str, cache_dir: str | None) -> Path:
    """The folder of the repository in the client's cache."""
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils import validate_repo_id

    validate_repo_id(repo)
    return Path(cache_dir or HF_HUB_CACHE).expanduser().resolve() / repo_folder_name(repo_id=repo, repo_type="model")
