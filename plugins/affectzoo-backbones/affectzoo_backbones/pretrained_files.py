"""Find a transformers checkpoint on disk or on the Hub: its commit, its config and its preprocessing, as plain JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError

from affectzoo import hub_errors
from affectzoo.errors import CheckpointError, ConfigError


@dataclass(frozen=True)
class Source:
    """Where a checkpoint lies: a folder, or a Hub repository at one commit."""

    location: str
    revision: str | None

    @property
    def is_folder(self) -> bool:
        return self.revision is None

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A JSON file of the checkpoint, None where the checkpoint has no such file."""
        if self.is_folder:
            path = Path(self.location, name)
            return _load_json(path) if path.is_file() else None
        try:
            with hub_errors(f"{self.location}@{self.revision}"):
                path = Path(hf_hub_download(self.location, name, revision=self.revision))
        except EntryNotFoundError:
            return None
        return _load_json(path)


def locate(weights: str) -> Source:
    """Resolve a folder, or `org/name[@revision]` on the Hub, to one source.

    The commit is fixed by the first download, so that config, preprocessing and weights belong together.

    Raises:
        CheckpointError: the folder or repository is no transformers checkpoint.
        DownloadError: the Hub does not have it, refuses it or cannot be reached.
        ConfigError: neither a folder nor a Hub id.
    """
    if Path(weights).is_dir():
        if not Path(weights, "config.json").is_file():
            raise CheckpointError(f"{weights} holds no config.json: it is not a transformers checkpoint")
        return Source(weights, None)
    repository, _, revision = weights.partition("@")
    try:
        with hub_errors(weights):
            path = Path(hf_hub_download(repository, "config.json", revision=revision or None))
    except HFValidationError as error:
        raise ConfigError(f"weights={weights!r} is neither a folder nor a Hub id of the form org/name[@revision]") from error
    except LocalEntryNotFoundError:
        raise
    except EntryNotFoundError as error:
        raise CheckpointError(f"{weights} holds no config.json: it is not a transformers checkpoint") from error
    # The cache keeps files under snapshots/<commit>/.
    return Source(repository, path.parent.name)


def _load_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} holds no JSON object")
    return data
