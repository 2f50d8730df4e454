"""What several importers do with a checkpoint: take it apart by the names of its tensors, read the JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from affectzoo.errors import CheckpointError

#: Far above the config of 21,841 named classes.
_MOST_BYTES = 16 * 2**20


def split(tensors: Mapping[str, Tensor], prefixes: Sequence[str], *, source: Path, kind: str) -> list[dict[str, Tensor]]:
    """The tensors under each prefix, which is cut off.

    Args:
        tensors: name -> tensor.
        prefixes: such as `audio_model.`; none begins with another.
        source: named in errors.
        kind: what the file should be, for errors: `a TSAV checkpoint`.

    Raises:
        CheckpointError: nothing stands under one of the prefixes, or something under none.
    """
    parts: list[dict[str, Tensor]] = [{} for _ in prefixes]
    for name, tensor in tensors.items():
        for part, prefix in zip(parts, prefixes, strict=True):
            if name.startswith(prefix):
                part[name.removeprefix(prefix)] = tensor
                break
        else:
            raise CheckpointError(f"{source} is not {kind}: it holds {name!r}, which that network does not have")
    for part, prefix in zip(parts, prefixes, strict=True):
        if not part:
            raise CheckpointError(f"{source} is not {kind}: it has no tensor called {prefix!r} and more")
    return parts


def linear(part: Mapping[str, Tensor], shape: tuple[int, int], *, source: Path, kind: str) -> tuple[Tensor, Tensor]:
    """Weight of `shape` and bias of a linear layer, from exactly `weight` and `bias`; a 1x1x1 convolution counts as one.

    Raises:
        CheckpointError: other names or another shape.
    """
    if part.keys() != {"weight", "bias"}:
        raise CheckpointError(f"{source} is not {kind}: its last layer holds {', '.join(sorted(part))}, not weight and bias")
    weight, bias = part["weight"], part["bias"]
    if tuple(weight.flatten(1).shape) != shape or tuple(bias.shape) != shape[:1]:
        raise CheckpointError(
            f"{source} is not {kind}: its last layer is {list(weight.shape)} and {list(bias.shape)}, not {list(shape)}"
        )
    return weight.flatten(1), bias


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        CheckpointError: no such file, one that is far too large or too deep, or no JSON object.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise CheckpointError(f"{path} has more than {_MOST_BYTES} bytes; it is not a config")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}; it belongs to the checkpoint") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON; fetch it again") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} holds no JSON object; fetch it again")
    return data
