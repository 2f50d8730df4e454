"""Tensors as a pickle describes them, looked at before memory is asked for, and then made from the bytes of the file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from affectzoo.pickles.admitted import PLAIN
from affectzoo.pickles.values import Name, Refused, kind_of, refused_id, shown

#: Class of a storage -> dtype of its elements. An untyped one counts bytes.
_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexDoubleStorage": torch.complex128,
    "ComplexFloatStorage": torch.complex64,
    "UntypedStorage": torch.uint8,
}
_STORAGE_MODULES = ("torch", "torch.cuda", "torch.storage")

_MAX_DIMS = 64
#: A view may repeat its storage, as `expand` does; one that shows more than this and more than its storage is a forgery.
_REPEATED = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """A run of elements in the file, or a part of one.

    Attributes:
        key: of the record that holds them.
        count: elements of the whole record.
        start, stop: the part, in elements.
    """

    said: ClassVar[str] = "storage"

    key: str
    dtype: torch.dtype
    count: int
    start: int
    stop: int

    @property
    def nbytes(self) -> int:
        """Of the whole record."""
        return self.count * self.dtype.itemsize


@dataclass(frozen=True, slots=True, eq=False)
class StoredTensor:
    """A view of a storage: within it, and not read yet."""

    said: ClassVar[str] = "tensor"

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.size) * self.storage.dtype.itemsize


def storage_of(pid: Any) -> Storage | Name:
    """What a persistent id of torch stands for: a storage, or the class of a module (whose source is not looked at).

    The id is ("storage", class, key, device, elements), in the legacy format followed by None or a part of the storage
    (key of the part, first element, elements); or ("module", class, file, source).
    """
    if type(pid) is not tuple or not pid:
        raise refused_id(pid)
    if pid[0] == "module" and len(pid) == 4 and isinstance(pid[1], Name):
        return pid[1]
    if pid[0] != "storage" or len(pid) not in (5, 6):
        raise Refused("it has a persistent id that is no storage of torch, which is not admitted")
    rest: list[Any] = list(pid[1:])
    kind, key, _device, count, *part = rest
    if not isinstance(kind, Name) or kind.module not in _STORAGE_MODULES or kind.name not in _DTYPES:
        raise Refused(f"it has a storage of {kind if isinstance(kind, Name) else kind_of(kind)}, which is not admitted")
    if type(key) is not str or not _natural(count):
        raise Refused("it has a storage that is malformed")
    start, stop = 0, count
    if part and part[0] is not None:
        if type(part[0]) is not tuple or len(part[0]) != 3 or not _natural(*part[0][1:]):
            raise Refused("it has a view of a storage that is malformed")
        _key, start, length = part[0]
        stop = start + length
        if stop > count:
            raise Refused(f"it has a view of a storage that ends at {shown(str(stop))} of {shown(str(count))} elements")
    return Storage(key, _DTYPES[kind.name], count, start, stop)


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any) -> StoredTensor:
    if not isinstance(storage, Storage):
        raise Refused(f"it has a tensor of {kind_of(storage)}, not of a storage")
    for numbers in (size, stride):
        if type(numbers) is not tuple or len(numbers) > _MAX_DIMS or not _natural(*numbers):
            raise Refused("it has a tensor whose sizes or strides are malformed")
    if not _natural(offset) or len(size) != len(stride):
        raise Refused("it has a tensor whose offset, sizes and strides are malformed")
    elements = storage.stop - storage.start
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    shows = math.prod(size)
    if (shows and last >= elements) or shows > max(elements, _REPEATED):
        raise Refused(f"it has a tensor {shown(str(list(size)))} that reaches beyond its storage of {elements} elements")
    return StoredTensor(storage, offset, size, stride)


def _rebuild_tensor_v2(
    storage: Any, offset: Any, size: Any, stride: Any, _requires_grad: Any, _hooks: Any, metadata: Any = None
) -> StoredTensor:
    if metadata:
        raise Refused("it has a tensor with metadata (conjugated or negated), which is not admitted")
    return _rebuild_tensor(storage, offset, size, stride)


def _rebuild_parameter(tensor: Any, _requires_grad: Any, _hooks: Any, _state: Any = None) -> StoredTensor:
    if not isinstance(tensor, StoredTensor):
        raise Refused(f"it has a parameter of {kind_of(tensor)}, not of a tensor")
    return tensor


def _size(numbers: Any) -> tuple[int, ...]:
    if type(numbers) is not tuple or not _natural(*numbers):
        raise Refused("it has a torch.Size that is malformed")
    return numbers


def _device(kind: Any, index: Any = None) -> str:
    if type(kind) is not str or not (index is None or _natural(index)):
        raise Refused("it has a torch.device that is malformed")
    return kind if index is None else f"{kind}:{index}"


def _defaultdict(factory: Any = None) -> dict[Any, Any]:  # noqa: ARG001 (what would make missing values is not called)
    return {}


def _natural(*numbers: Any) -> bool:
    return all(type(number) is int and 0 <= number < 1 << 63 for number in numbers)


#: What a file of torch may call besides; every other class becomes a holder.
ADMITTED: Mapping[tuple[str, str], Callable[..., Any]] = {
    **PLAIN,
    ("collections", "defaultdict"): _defaultdict,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
    ("torch", "Size"): _size,
    ("torch", "device"): _device,
}

#: Gives the bytes of the record that a storage names, [n] uint8, in memory of their own.
Read = Callable[[Storage], Tensor]


def make_tensors(found: Mapping[str, StoredTensor | np.ndarray], read: Read) -> dict[str, Tensor]:
    """The tensors on the CPU; those that share a storage in the file share it here.

    Where all of them together show less than half of a storage, each is copied out of it.
    """
    stored = [tensor for tensor in found.values() if isinstance(tensor, StoredTensor)]
    shown_bytes: dict[str, int] = {}
    for tensor in {id(tensor): tensor for tensor in stored}.values():
        shown_bytes[tensor.storage.key] = shown_bytes.get(tensor.storage.key, 0) + tensor.nbytes
    whole: dict[str, Tensor] = {}
    made: dict[int, Tensor] = {}
    for value in found.values():
        if id(value) in made:
            continue
        if isinstance(value, np.ndarray):
            made[id(value)] = torch.from_numpy(np.array(value, value.dtype.newbyteorder("="), order="C"))
            continue
        storage = value.storage
        if storage.key not in whole:
            whole[storage.key] = read(storage)
        if whole[storage.key].numel() != storage.nbytes:
            raise Refused(f"it gives the storage {shown(storage.key)} two sizes")
        elements = whole[storage.key].view(storage.dtype)
        view = elements.as_strided(value.size, value.stride, storage.start + value.offset)
        small = 2 * shown_bytes[storage.key] < storage.nbytes
        made[id(value)] = view.clone() if small else view
    return {name: made[id(value)] for name, value in found.items()}
