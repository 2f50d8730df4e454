"""Find a transformers checkpoint on disk or on the Hub: its commit, its config and its preprocessing, as plain JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from affectzoo.errors import CheckpointError, ConfigError, DownloadError
from affectzoo_backbones.messages import one_line


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
            return _load_json(Path(hf_hub_download(self.location, name, revision=self.revision)))
        except EntryNotFoundError:
            return None
        except OSError as error:
            raise DownloadError(f"{name} of {self.location} cannot be fetched: {one_line(error)}") from error


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
        path = Path(hf_hub_download(repository, "config.json", revision=revision or None))
    except HFValidationError as error:
        raise ConfigError(f"weights={weights!r} is neither a folder nor a Hub id of the form org/name[@revision]") from error
    except GatedRepoError as error:
        raise DownloadError(f"{repository} is gated: accept its terms on the Hub and log in with `hf auth login`") from error
    except RepositoryNotFoundError as error:
        raise DownloadError(f"the Hub has no repository {repository!r} that you may read") from error
    except RevisionNotFoundError as error:
        raise DownloadError(f"{repository} has no revision {revision!r} on the Hub") from error
    except LocalEntryNotFoundError as error:
        raise DownloadError(
            f"the Hub cannot be reached and {weights} is not in the local cache; check the connection, or name a local folder"
        ) from error
    except EntryNotFoundError as error:
        raise CheckpointError(f"{weights} holds no config.json: it is not a transformers checkpoint") from error
    except OSError as error:
        raise DownloadError(f"{weights} cannot be fetched from the Hub: {one_line(error)}") from error
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
