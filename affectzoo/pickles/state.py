"""From a checkpoint file to named tensors, and from named tensors into a module, strictly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from affectzoo.errors import CheckpointError


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The named tensors of a checkpoint: safetensors, or what `torch.save` wrote (zip or legacy). Runs nothing of it.

    Taken are: a mapping name -> tensor; one that stands under `state_dict`, `model_state_dict`, `model`, `net` or `ema` of a
    training checkpoint; a whole pickled module (its classes become empty holders). `module.` in front of every name, as
    `DataParallel` puts it, is dropped.

    Returns:
        Name -> tensor on the CPU, in the file's dtype.

    Raises:
        CheckpointError: no such file, damaged, or it names something that is not admitted; one sentence.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return load_file(path)
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model_state_dict", "model", "net", "ema"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    return {name.removeprefix("module."): tensor for name, tensor in loaded.items()}


def load_state(module: nn.Module, tensors: Mapping[str, Tensor], *, source: str | Path) -> None:
    """Fill `module` with `tensors`: each of its own there, none left over, each of the right shape; dtypes are converted.

    `num_batches_tracked` of batch norms may be absent: releases of torch before 0.4.1 wrote none.

    Raises:
        CheckpointError: names `source`, the first tensor that is missing, left over or misshapen, and how many more are.
    """
    expected = module.state_dict()
    optional = {name for name in expected if name.endswith("num_batches_tracked")}
    missing = sorted(expected.keys() - tensors.keys() - optional)
    extra = sorted(tensors.keys() - expected.keys())
    if missing:
        raise CheckpointError(f"{source}: tensor {missing[0]!r} is missing{_and_more(missing)}; this is another network")
    if extra:
        raise CheckpointError(f"{source}: tensor {extra[0]!r} is not known here{_and_more(extra)}; this is another network")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise CheckpointError(
                f"{source}: tensor {name!r} has shape {list(tensor.shape)}, not {list(expected[name].shape)}; "
                "this is another network"
            )
    module.load_state_dict({**{name: expected[name] for name in optional}, **tensors}, strict=True)


def _and_more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
