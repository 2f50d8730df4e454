"""From what a user writes to a folder on this machine: a folder, a zoo name, or `org/name[@revision]` on the Hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from affectzoo.errors import CheckpointError, DownloadError, UnknownNameError
from affectzoo.registry import ModelSpec, registry

_REPO = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")

#: All that is ever fetched from a model repository.
MODEL_FILES = ["config.json", "model.safetensors", "model-*.safetensors", "model.safetensors.index.json", "README.md"]


@dataclass(frozen=True)
class DownloadOptions:
    """Given to every download alike.

    Attributes:
        revision: branch, tag or commit.
        token: of the Hub; None uses the saved login.
        cache_dir: None is the Hub client's own.
        local_files_only: never ask the network.
        force_download: fetch again although cached.
    """

    revision: str | None = None
    token: str | None = None
    cache_dir: str | None = None
    local_files_only: bool = False
    force_download: bool = False


@dataclass(frozen=True)
class Resolved:
    """A model folder and where it came from; `revision` is the commit of a Hub repository, empty otherwise."""

    folder: Path
    source: str
    revision: str = ""


def resolve(name: str | Path, options: DownloadOptions | None = None) -> Resolved:
    """Find a model, fetching it where it lives on the Hub.

    A folder wins over a zoo name, a zoo name over a Hub repository.

    Raises:
        UnknownNameError: neither; the message holds near matches.
        CheckpointError: a path that is not a folder.
        DownloadError: the Hub refused, or cannot be reached and the model is not cached.
    """
    options = options or DownloadOptions()
    path = Path(name)
    if path.is_dir():
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
        # Wheels are unpacked when installed: the resource is a real folder.
        with as_file(files(package).joinpath(folder)) as real:
            return Resolved(real, spec.name)
    repo, _, revision = location.partition("@")
    return _from_hub(repo, revision or None, options)


def _from_hub(repo: str, revision: str | None, options: DownloadOptions) -> Resolved:
    """One resolved commit for config and weights: `snapshot_download` fetches all files of the commit it resolved."""
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    revision = revision or options.revision
    wanted = repo if revision is None else f"{repo}@{revision}"
    try:
        folder = huggingface_hub.snapshot_download(
            repo,
            revision=revision,
            token=options.token,
            cache_dir=options.cache_dir,
            local_files_only=options.local_files_only,
            force_download=options.force_download,
            allow_patterns=MODEL_FILES,
        )
    except LocalEntryNotFoundError as error:
        raise DownloadError(
            f"{wanted} is not cached and the Hub cannot be reached; connect once, or give a folder or a bundled model "
            "(`affectzoo list` names them)"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise DownloadError(f"{wanted} could not be fetched from the Hub: {type(error).__name__}: {reason}") from error
    return Resolved(Path(folder), wanted, Path(folder).name)
