"""What a pickle may call: containers and bytes of Python, arrays and scalars of numpy, each by a function of ours.

numpy's own reconstruction is not given values that have not been looked at: its `__setstate__` trusts offsets and sizes that
a file can forge.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from affectzoo.pickles.values import Name, Ordered, Refused, Stateful, as_key, shown


class _Dtype(Stateful):
    """A dtype as the pickle describes it: a code, then its byte order."""

    __slots__ = ("dtype",)

    def __init__(self, code: Any, *flags: Any) -> None:  # noqa: ARG002 (align and copy mean nothing for a plain dtype)
        # Codes such as f8 or U12 alone: numpy would take structures, and names of its own, from the same string.
        if not isinstance(code, str) or code[:1] not in tuple("biufcSU") or not code[1:].isdecimal() or len(code) > 12:
            raise Refused(f"it has a numpy array of {shown(str(code), 20)!r}, which is not admitted, only numbers and text")
        self.dtype = np.dtype(code)

    def take_state(self, state: Any) -> None:
        order, *structure = state[1:5]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in structure):
            raise Refused("it has a numpy array with fields, which is not admitted, only numbers and text")
        self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray, Stateful):
    """An array that takes a state only when the state fits it."""

    said = "ndarray"

    def take_state(self, state: Any) -> None:
        version, shape, described, fortran, data = state
        raw = _raw(data)
        dtype = _fitting(described, shape, raw)
        if type(version) is not int:
            raise Refused("it has a numpy array whose state is malformed")
        np.ndarray.__setstate__(self, (version, tuple(shape), dtype, bool(fortran), raw))  # pyright: ignore[reportArgumentType]


def _fitting(described: Any, shape: Any, raw: bytes | bytearray) -> np.dtype[Any]:
    """The dtype, where `raw` is an array of that dtype and shape."""
    if not isinstance(described, _Dtype) or type(shape) is not tuple or not all(type(n) is int and n >= 0 for n in shape):
        raise Refused("it has a numpy array whose state is malformed")
    # Elements of no bytes would be as many as the file likes to say.
    if len(raw) != math.prod(shape) * max(described.dtype.itemsize, 1):
        raise Refused(f"it has {len(raw)} bytes for a numpy array {shown(str(list(shape)))} of {described.dtype}")
    return described.dtype


def _raw(data: Any) -> bytes | bytearray:
    """The bytes of an array; Python 2 wrote them as text."""
    if isinstance(data, str):
        return data.encode("latin1")
    if not isinstance(data, bytes | bytearray):
        raise Refused(f"it has {type(data).__name__} for the bytes of a numpy array")
    return data


def _reconstruct(kind: Any, *rest: Any) -> np.ndarray:  # noqa: ARG001 (the state that follows says shape and dtype)
    if not isinstance(kind, Name) or kind.key != ("numpy", "ndarray"):
        raise Refused("it would reconstruct something else than numpy.ndarray, which is not admitted")
    return np.ndarray.__new__(_Array, (0,), np.int8)


def _from_buffer(data: Any, described: Any, shape: Any, order: Any) -> np.ndarray:
    """What protocol 5 has for an array."""
    raw = _raw(data)
    dtype = _fitting(described, shape, raw)
    return np.frombuffer(bytearray(raw), dtype).reshape(shape, order="F" if order == "F" else "C")


def _scalar(described: Any, data: Any) -> Any:
    raw = _raw(data)
    if not isinstance(described, _Dtype) or not 0 < described.dtype.itemsize == len(raw):
        raise Refused("it has a numpy scalar that is malformed")
    return np.frombuffer(raw, described.dtype)[0]


def _encode(text: Any, encoding: Any) -> bytes:
    """What protocol 2 has for bytes; any other codec is refused, for some of them decompress."""
    if encoding != "latin1" or not isinstance(text, str):
        raise Refused(f"it would call _codecs.encode to {shown(str(encoding), 20)!r}, which is not admitted")
    return text.encode("latin1")


def _bytes() -> bytes:
    return b""


def _bytearray(*given: Any) -> bytearray:
    if not given:
        return bytearray()
    data, *encoding = given
    if encoding not in ([], ["latin-1"]):
        raise Refused("it would call bytearray with another encoding than latin-1, which is not admitted")
    return bytearray(_raw(data))


def _complex(real: Any, imaginary: Any) -> complex:
    if type(real) is not float or type(imaginary) is not float:
        raise Refused("it would call complex with something else than two numbers, which is not admitted")
    return complex(real, imaginary)


def _set(items: Any = ()) -> set[Any]:
    return set(map(as_key, _listed(items)))


def _frozenset(items: Any = ()) -> frozenset[Any]:
    return frozenset(map(as_key, _listed(items)))


def _ordered(items: Any = ()) -> Ordered:
    """Python 2 gives the items as a list of pairs."""
    return Ordered((as_key(key), value) for key, value in map(_listed, _listed(items)))


def _listed(items: Any) -> list[Any] | tuple[Any, ...]:
    if type(items) not in (list, tuple):
        raise Refused(f"it would fill a container from {type(items).__name__}, which is not admitted")
    return items


def _not_called(*args: Any) -> Any:
    raise Refused(f"it would call numpy.ndarray ({len(args)} arguments), which is not admitted")


#: Containers, bytes, arrays. Lists, tuples and dictionaries have opcodes and need no name.
PLAIN: dict[tuple[str, str], Callable[..., Any]] = {
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): _ordered,
    ("numpy", "ndarray"): _not_called,
    ("numpy", "dtype"): _Dtype,
    **{
        (f"numpy.{core}.{module}", name): call
        for core in ("core", "_core")
        for module, name, call in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
    # As Python 3 and Python 2 name them.
    **{
        (module, name): call
        for module in ("builtins", "__builtin__")
        for name, call in (
            ("set", _set),
            ("frozenset", _frozenset),
            ("bytes", _bytes),
            ("bytearray", _bytearray),
            ("complex", _complex),
        )
    },
}
