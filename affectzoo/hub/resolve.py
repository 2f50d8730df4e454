"""From what a user writes to a folder on this machine: a folder, a zoo name, or `org/name[@revision]` on the Hub."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path

from affectzoo.cards.readme import Said, read_readme
from affectzoo.errors import CheckpointError, InputError, UnknownNameError
from affectzoo.registry import ModelSpec, registry
from affectzoo.remote.hub_files import HubCommit
from affectzoo.remote.options import DownloadOptions

_REPO = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class Resolved:
    """A model folder and where it came from.

    Attributes:
        folder: holds config and weights.
        source: as messages name it.
        revision: the commit of a Hub repository, empty otherwise.
        spec: what the zoo says of it, None for a folder or a repository.
    """

    folder: Path
    source: str
    revision: str = ""
    spec: ModelSpec | None = None

    @property
    def said(self) -> Said:
        """Its licence and what to beware of: of the zoo's card, or of the README in the folder."""
        return read_readme(self.folder / "README.md") if self.spec is None else Said(self.spec.licence, self.spec.caution)


def resolve(name: str | Path, options: DownloadOptions | None = None) -> Resolved:
    """Find a model, fetching it where it lives on the network.

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
    if spec.importer:
        from affectzoo.hub.importers.zoo import imported_folder

        return Resolved(imported_folder(spec, options), spec.name, spec=spec)
    scheme, _, location = spec.location.partition("://")
    if scheme == "package":
        package, _, folder = location.partition("/")
        _refuse_revision(f"the bundled model {spec.name}", options)
        # Wheels are unpacked when installed: the resource is a real folder.
        with as_file(files(package).joinpath(folder)) as real:
            return Resolved(real, spec.name, spec=spec)
    repo, _, revision = location.partition("@")
    return replace(_from_hub(repo, revision or None, options), spec=spec)


def _from_hub(repo: str, revision: str | None, options: DownloadOptions) -> Resolved:
    """One commit for config and weights; the config comes first, so that no foreign weights are fetched in vain."""
    from affectzoo.model.checkpoint import CARD_FILE, CONFIG_FILE, INDEX_FILE, listed_shards, read_config

    if revision and options.revision and revision != options.revision:
        raise InputError(f"{repo} is asked for at {revision} and at {options.revision}; give one revision")
    commit = HubCommit(repo, revision or options.revision, options)
    if commit.cached(CONFIG_FILE) is None and commit.choose([CONFIG_FILE]) == [] and commit.is_listed:
        raise CheckpointError(f"{commit.wanted} on the Hub holds no {CONFIG_FILE}, so it is not a saved affectzoo model")
    read_config(commit.fetch(CONFIG_FILE).parent)
    weights = _weights_file(commit)
    if commit.is_listed and commit.choose([CARD_FILE]):
        commit.fetch(CARD_FILE)
    path = commit.fetch(weights)
    for shard in listed_shards(path) if weights == INDEX_FILE else []:
        commit.fetch(shard)
    commit.keep_revision()
    return Resolved(commit.folder, commit.wanted, commit.sha)


def _weights_file(commit: HubCommit) -> str:
    """The single file of weights, or the index of its shards; the Hub is asked only where neither is cached."""
    from affectzoo.model.checkpoint import INDEX_FILE, WEIGHTS_FILE, no_weights

    for name in (WEIGHTS_FILE, INDEX_FILE):
        if commit.cached(name) is not None:
            return name
    there = commit.choose([WEIGHTS_FILE, INDEX_FILE])
    if len(there) == 2:
        raise CheckpointError(f"{commit.wanted} on the Hub holds both {there[0]} and {there[1]}; one of them is stale")
    if not there and commit.is_listed:
        raise no_weights(f"{commit.wanted} on the Hub", commit.names())
    return there[0] if there else WEIGHTS_FILE


def _refuse_revision(what: str, options: DownloadOptions) -> None:
    if options.revision:
        raise InputError(f"{what} has no revision {options.revision!r}; only Hub repositories have revisions")
