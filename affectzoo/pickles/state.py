"""From a checkpoint file to named tensors, and from named tensors into a module, strictly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from affectzoo.errors import CheckpointError
from affectzoo.pickles.files import opened
from affectzoo.pickles.naming import classes_of, weights_of
from affectzoo.pickles.tensors import make_tensors

#: A checkpoint is larger than its header, and the library that reads it refuses larger headers than this.
_MAX_HEADER = 100_000_000


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The named tensors of a checkpoint. Runs nothing of it, and imports nothing that it names.

    The file is safetensors, what `torch.save` wrote (zip, or the legacy format of before 1.6), or a pickle of arrays.
    Taken are, where they are found first: what stands under `state_dict`, `model_state_dict`, `model`, `net` or `ema` of a
    training checkpoint, again so looked through; the tensors and arrays of a mapping, without whatever else stands beside
    them; a whole pickled module, of which the parameters and the persistent buffers. `module.` in front of every name, as
    `DataParallel` puts it, is dropped. What of the file is not taken is not read into memory.

    Returns:
        Name -> tensor on the CPU, in the file's dtype. Tensors that share memory in the file share it here.

    Raises:
        CheckpointError: no such file, damaged, without weights, or it asks for something that is not admitted; one sentence.
    """
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; give the file of weights itself")
    if _is_safetensors(path):
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} is not a valid safetensors file ({error}); fetch it again") from error
    with opened(path) as (value, read):
        return make_tensors(weights_of(value), read)


def read_module_classes(path: str | Path) -> dict[str, str]:
    """The modules of a whole pickled module: name -> class, such as `{"": "p.Net", "conv1": "torch.nn.modules.conv.Conv2d"}`.

    The weights do not tell everything: two networks may have the same, and pad differently. Of the module that
    `read_state_dict` reads; empty for a file that holds names and tensors alone.

    Raises:
        CheckpointError: as `read_state_dict`.
    """
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; give the file of weights itself")
    if _is_safetensors(path):
        return {}
    with opened(path) as (value, _):
        return classes_of(value)


def _is_safetensors(path: Path) -> bool:
    """By the name, or by the length of a header and its first brace."""
    if path.suffix == ".safetensors":
        return True
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") <= _MAX_HEADER


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
