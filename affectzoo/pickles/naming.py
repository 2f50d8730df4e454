"""Which tensors of a checkpoint are the weights, and what they are called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from affectzoo.pickles.tensors import StoredTensor
from affectzoo.pickles.values import Holder, Refused, kind_of, shown

#: Where training checkpoints keep the weights; the first that holds tensors is taken.
WEIGHT_KEYS = ("state_dict", "model_state_dict", "model", "net", "ema")

#: What `DataParallel` puts in front of every name.
_WRAPPED = "module."

#: Mappings that are looked through one in another; each has five keys to try.
_MAX_NESTED = 4

#: No network is deeper, or has more modules; a file that repeats itself could have any number.
_MAX_DEPTH = 64
_MAX_MODULES = 100_000

_LISTED = 12

Found = dict[str, StoredTensor | np.ndarray]


def weights_of(value: Any) -> Found:
    """Name -> tensor of a mapping, of a module, or of one that stands in a mapping under one of `WEIGHT_KEYS`.

    Raises:
        Refused: there are no tensors; says what there is.
    """
    holder = _with_tensors(value, depth=0)
    if holder is None:
        raise Refused(f"it holds no weights but {_listing(value)}; a mapping of names to tensors or a module is needed")
    found = dict(_tensors_of(holder))
    if all(name.startswith(_WRAPPED) for name in found):
        return {name.removeprefix(_WRAPPED): tensor for name, tensor in found.items()}
    return found


def classes_of(value: Any) -> dict[str, str]:
    """Name -> class of every module of the module that `weights_of` takes the tensors of; nothing where that is a mapping."""
    holder = _with_tensors(value, depth=0)
    if not isinstance(holder, Holder):
        return {}
    found = {prefix.removesuffix("."): str(module.kind) for prefix, module in _modules(holder)}
    if all(f"{name}.".startswith(_WRAPPED) for name in found if name):
        return {name.removeprefix(_WRAPPED): kind for name, kind in found.items() if name.startswith(_WRAPPED)}
    return found


def _with_tensors(value: Any, depth: int) -> Holder | dict[Any, Any] | None:
    """The module or mapping whose tensors are the weights."""
    if isinstance(value, Holder):
        return value if any(True for _ in _tensors_of(value)) else None
    if not isinstance(value, dict) or depth > _MAX_NESTED:
        return None
    for key in WEIGHT_KEYS:
        if isinstance(value.get(key), dict | Holder) and (found := _with_tensors(value[key], depth + 1)) is not None:
            return found
    return value if any(True for _ in _tensors_of(value)) else None


def _tensors_of(holder: Holder | dict[Any, Any]) -> Iterator[tuple[str, StoredTensor | np.ndarray]]:
    """Those of a mapping; of a module as its `state_dict()` would name them: parameters and persistent buffers."""
    if isinstance(holder, dict):
        yield from ((name, tensor) for name, tensor in holder.items() if isinstance(name, str) and _is_tensor(tensor))
        return
    for prefix, module in _modules(holder):
        passing = _part(module, "_non_persistent_buffers_set", set)
        own = {
            **_part(module, "_parameters", dict),
            **{name: buffer for name, buffer in _part(module, "_buffers", dict).items() if name not in passing},
        }
        for name, tensor in own.items():
            if tensor is None:
                continue
            if not isinstance(name, str) or not _is_tensor(tensor):
                raise Refused(f"{module.kind} has {shown(str(name))!r} for a parameter, which is {kind_of(tensor)}")
            yield prefix + name, tensor


def _modules(root: Holder) -> Iterator[tuple[str, Holder]]:
    """The module, then those in it, each after what its names begin with: `""`, `"layer1."`, `"layer1.0."`."""
    waiting = [("", root, 0)]
    visited = 0
    while waiting:
        prefix, module, depth = waiting.pop()
        visited += 1
        if depth > _MAX_DEPTH or visited > _MAX_MODULES:
            raise Refused(f"its modules are nested deeper than {_MAX_DEPTH}, or are more than {_MAX_MODULES}")
        yield prefix, module
        children = _part(module, "_modules", dict).items()
        for name, child in reversed(children):
            if child is None:
                continue
            if not isinstance(name, str) or not isinstance(child, Holder):
                raise Refused(f"{module.kind} has {shown(str(name))!r} for a module, which is {kind_of(child)}")
            waiting.append((f"{prefix}{name}.", child, depth + 1))


def _part(module: Holder, name: str, kind: type[Any]) -> Any:
    part = module.state.get(name) if isinstance(module.state, dict) else None
    return part if isinstance(part, kind) else kind()


def _is_tensor(value: Any) -> bool:
    # Of numpy's numbers, torch has all but the long doubles.
    return isinstance(value, StoredTensor) or (isinstance(value, np.ndarray) and value.dtype.char in "?bhilqBHILQefdFD")


def _listing(value: Any) -> str:
    """What stands in a file, in half a sentence."""
    if not isinstance(value, dict):
        return kind_of(value)
    listed = [f"{shown(str(key), 40)} ({kind_of(item)})" for key, item in list(value.items())[:_LISTED]]
    more = f" and {len(value) - _LISTED} more" if len(value) > _LISTED else ""
    return ", ".join(listed) + more if listed else "an empty mapping"
