"""From what a user writes to a checkpoint on this disk: a file, a folder, an address, or `org/name[@revision]` on the Hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from affectzoo.errors import CheckpointError, InputError
from affectzoo.remote.address import check_digest_form, digest_of, fetch, is_address, shown
from affectzoo.remote.hub_files import HubCommit
from affectzoo.remote.options import DownloadOptions

_REPO = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".tar")
#: What ends so was meant as a file, not as a repository.
_CHECKPOINTS = (*_PICKLES, ".safetensors", ".onnx", ".npz", ".h5", ".zip")


@dataclass(frozen=True)
class Source:
    """A checkpoint on this disk.

    Attributes:
        path: a file or a folder.
        origin: where it came from and what exactly it was, for the card; no folder of this machine stands in it.
    """

    path: Path
    origin: str


def locate(
    given: str | Path, scratch: Path, *, files: Sequence[str], digest: str = "", options: DownloadOptions | None = None
) -> Source:
    """Find a checkpoint, fetching it where it is not on this disk.

    Args:
        given: a file, a folder, an address, or `org/name[@revision]` on the Hub; what exists here wins.
        scratch: where a file from an address is put; the caller deletes it.
        files: names that may be fetched from a Hub repository; none where the importer reads a single file.
        digest: `git:` or `sha256:` of a single file, checked before anybody reads it.
        options: for the Hub.

    Raises:
        CheckpointError: nothing is there, or a file that is not the one of the digest.
        InputError: a digest of another form, or for what is not a single file.
        DownloadError: it could not be fetched.
    """
    text = str(given)
    if isinstance(given, str) and is_address(text):
        return from_address(text, scratch, digest)
    path = Path(given).expanduser()
    if not text:
        raise CheckpointError("no checkpoint is named; give a file, a folder, an https address, or org/name on the Hub")
    if path.is_file():
        if digest:
            check_digest_form(digest)
            found = digest_of(path, digest.partition(":")[0])
            if found != digest:
                raise CheckpointError(f"{path} is not the file that was meant: its digest is {found}, not {digest}")
        return Source(path, f"`{path.name}` ({_sha256(path)})")
    if digest:
        raise InputError(
            f"a digest belongs to a single file, which {text} is not; leave it out (@commit pins a Hub repository)"
        )
    if path.is_dir():
        present = [path / name for name in files if (path / name).is_file()]
        listed = ", ".join(f"`{file.name}` ({_sha256(file)})" for file in present if file.suffix != ".json")
        return Source(path, f"the folder `{path.resolve().name}`" + (f": {listed}" if listed else ""))
    match = _REPO.fullmatch(text)
    is_path = isinstance(given, Path) or text.startswith((".", "/", "~")) or path.suffix.lower() in _CHECKPOINTS
    if match is None or is_path:
        raise CheckpointError(f"{text} does not exist; give a file, a folder, an https address, or org/name on the Hub")
    return from_hub(match["repo"], match["revision"], files, options or DownloadOptions())


def from_address(url: str, scratch: Path, digest: str) -> Source:
    """Fetch the file at `url` into `scratch`."""
    path = fetch(url, scratch, digest=digest)
    return Source(path, f"{shown(url)} ({_sha256(path)})")


def from_hub(repo: str, revision: str | None, files: Sequence[str], options: DownloadOptions) -> Source:
    """Those of `files` that one commit of a repository holds; a pickle only where there are no safetensors.

    They stay in the Hub client's cache, where other libraries may have put them and will look for them.

    Raises:
        CheckpointError: the repository holds none of them.
        InputError: two different revisions, or an importer without `files`, which reads a single file.
        DownloadError: the Hub refused, or cannot be reached and the files are not cached.
    """
    if revision and options.revision and revision != options.revision:
        raise InputError(f"{repo} is asked for at {revision} and at {options.revision}; give one revision")
    if not files:
        raise InputError(f"this importer reads one file, not a repository; give the file or its address instead of {repo}")
    commit = HubCommit(repo, revision or options.revision, options)
    names = commit.choose(files)
    if any(name.endswith(".safetensors") for name in names):
        names = [name for name in names if not name.endswith(_PICKLES)]
    if all(name.endswith(".json") for name in names):
        weights = [name for name in files if not name.endswith(".json")]
        if commit.is_listed:
            raise CheckpointError(f"{commit.wanted} on the Hub holds none of {', '.join(weights)}; this importer needs one")
        names = weights[:1]  # the Hub may not be asked, or cannot: fetching says which
    for name in names:
        commit.fetch(name)
    commit.keep_revision()
    return Source(commit.folder, f"`{repo}` on the Hub at commit `{commit.sha}`")


def _sha256(path: Path) -> str:
    return f"SHA-256 `{digest_of(path).partition(':')[2]}`"
