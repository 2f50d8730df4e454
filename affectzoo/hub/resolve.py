"""From what a user writes to a folder on this machine: a folder, a zoo name, or `org/name[@revision]` on the Hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from affectzoo.errors import CheckpointError, DownloadError, InputError, UnknownNameError
from affectzoo.registry import ModelSpec, registry
from affectzoo.remote.options import DownloadOptions

_REPO = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")

#: All that is ever fetched from a model repository.
MODEL_FILES = ["config.json", "model.safetensors", "model-*.safetensors", "model.safetensors.index.json", "README.md"]


@dataclass(frozen=True)
class Resolved:
    """A model folder and where it came from; `revision` is the commit of a Hub repository, empty otherwise."""

    folder: Path
    source: str
    revision: str = ""


def resolve(name: str | Path, options: DownloadOptions | None = None) -> Resolved:
    """Find a model, fetching it where it lives on the Hub.

    A folder wins over a zoo name, a zoo name over a Hub repository. The folder of a training run stands for its `model`.

    Raises:
        UnknownNameError: neither; the message holds near matches.
        CheckpointError: a path that is not a folder, or a repository without an affectzoo model.
        InputError: a revision for what has none, or a second one.
        DownloadError: the Hub refused, or cannot be reached and the model is not cached.
    """
    options = options or DownloadOptions()
    path = Path(name).expanduser()
    if str(name) and path.is_dir():
        _refuse_revision(f"the folder {path}", options)
        if (path / "model" / "config.json").is_file() and not any(path.glob("model*.safetensors")):
            path = path / "model"
        return Resolved(path, str(path))
    if path.is_file():
        raise CheckpointError(f"{path} is a file; give the folder that holds config.json and model.safetensors")
    text = str(name)
    try:
        entry = registry().find("model", text)
    except UnknownNameError as unknown:
        match = _REPO.fullmatch(text)
        if isinstance(name, Path) or text.startswith((".", "/", "~")) or match is None:
            if "/" in text:
                raise CheckpointError(f"{text} does not exist; give a folder, a zoo name or org/name on the Hub") from unknown
            raise
        return _from_hub(match["repo"], match["revision"], options)
    spec = entry.spec
    assert isinstance(spec, ModelSpec)
    scheme, _, location = spec.location.partition("://")
    if scheme == "package":
        package, _, folder = location.partition("/")
        _refuse_revision(f"the bundled model {spec.name}", options)
        # Wheels are unpacked when installed: the resource is a real folder.
        with as_file(files(package).joinpath(folder)) as real:
            return Resolved(real, spec.name)
    repo, _, revision = location.partition("@")
    return _from_hub(repo, revision or None, options)


def _from_hub(repo: str, revision: str | None, options: DownloadOptions) -> Resolved:
    """One resolved commit for config and weights; the config comes first, so that no foreign weights are fetched in vain."""
    from affectzoo.model.checkpoint import CONFIG_FILE, read_config

    if revision and options.revision and revision != options.revision:
        raise InputError(f"{repo} is asked for at {revision} and at {options.revision}; give one revision")
    revision = revision or options.revision
    wanted = repo if revision is None else f"{repo}@{revision}"
    first = _snapshot(repo, revision, wanted, [CONFIG_FILE], options)
    if not (first / CONFIG_FILE).is_file():
        raise CheckpointError(f"{wanted} on the Hub holds no {CONFIG_FILE}, so it is not a saved affectzoo model")
    read_config(first)
    commit = first.name
    return Resolved(_snapshot(repo, commit, wanted, MODEL_FILES, options), wanted, commit)


def _snapshot(repo: str, revision: str | None, wanted: str, patterns: list[str], options: DownloadOptions) -> Path:
    """Fetch the files of one commit; the returned folder is named after it."""
    import huggingface_hub
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        folder = huggingface_hub.snapshot_download(
            repo,
            revision=revision,
            token=options.token,
            cache_dir=options.cache_dir,
            local_files_only=options.local_files_only,
            force_download=options.force_download,
            allow_patterns=patterns,
        )
    except GatedRepoError as error:
        raise DownloadError(f"{wanted} is gated; ask for access on its page, then log in with `hf auth login`") from error
    except RepositoryNotFoundError as error:
        raise DownloadError(
            f"{wanted} does not exist on the Hub, or is private; check the name, or log in with `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise DownloadError(f"{repo} has no revision {revision!r}; leave it out, or give a branch, tag or commit") from error
    except LocalEntryNotFoundError as error:
        raise DownloadError(
            f"{wanted} is not cached and the Hub cannot be reached; connect once, or give a folder or a bundled model "
            "(`affectzoo list` names them)"
        ) from error
    except Exception as error:  # HTTP errors of the client in use, a full disk, an invalid name
        reason = str(error).strip().split("\n")[0]
        raise DownloadError(f"{wanted} could not be fetched from the Hub: {type(error).__name__}: {reason}") from error
    return Path(folder)


def _refuse_revision(what: str, options: DownloadOptions) -> None:
    if options.revision:
        raise InputError(f"{what} has no revision {options.revision!r}; only Hub repositories have revisions")
