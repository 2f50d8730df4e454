"""Reading a pickle of containers and numbers that somebody else wrote, without running what it says.

A pickle is a program that may call whatever it can name. Here it can name what stands in `_ADMITTED` and nothing else: sets,
plain text and bytes, and arrays and scalars of numpy without Python objects in them. numpy's own reconstruction is not called
with values that have not been looked at: its `__setstate__` trusts offsets and sizes that a file can forge.
"""

from __future__ import annotations

import copyreg
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from affectzoo.errors import DataError


class _Named:
    """What a name of the pickle stands for: it can be called, and neither subclassed, instantiated nor altered."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)

    def __setstate__(self, state: Any) -> None:  # What BUILD calls; without it the opcode would set attributes.
        raise pickle.UnpicklingError("a name of the pickle cannot be given a state")


class _Dtype:
    """A dtype as the pickle describes it: a code, then its byte order."""

    __slots__ = ("dtype",)

    def __init__(self, code: Any, *flags: Any) -> None:  # noqa: ARG002 (align and copy mean nothing for a plain dtype)
        # Codes such as f8 or U12 alone: numpy would take structures, and names of its own, from the same string.
        if not isinstance(code, str) or code[:1] not in tuple("biufSU") or not code[1:].isdecimal():
            raise pickle.UnpicklingError(f"a numpy array of {str(code)[:20]!r} is not admitted, only numbers and text")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order, *structure = state[1:5]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in structure):
            raise pickle.UnpicklingError("a numpy array with fields is not admitted, only numbers and text")
        self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray):
    """An array that takes a state only when the state fits it."""

    def __setstate__(self, state: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        version, shape, described, fortran, raw = state
        if not isinstance(described, _Dtype) or not all(type(n) is int and n >= 0 for n in (version, *shape)):
            raise pickle.UnpicklingError("the state of a numpy array is malformed")
        raw = _raw(raw)
        if len(raw) != math.prod(shape) * described.dtype.itemsize:
            raise pickle.UnpicklingError(f"{len(raw)} bytes are no numpy array {list(shape)} of {described.dtype}")
        super().__setstate__((version, tuple(shape), described.dtype, bool(fortran), raw))  # pyright: ignore[reportArgumentType]


def _raw(data: Any) -> bytes:
    """The bytes of an array; Python 2 wrote them as text."""
    if isinstance(data, str):
        return data.encode("latin1")
    if not isinstance(data, bytes):
        raise pickle.UnpicklingError(f"the data of a numpy array are {type(data).__name__}, not bytes")
    return data


def _reconstruct(kind: Any, *rest: Any) -> np.ndarray:  # noqa: ARG001 (the state that follows says shape and dtype)
    if kind is not _NDARRAY:
        raise pickle.UnpicklingError("only numpy.ndarray can be reconstructed")
    return np.ndarray.__new__(_Array, (0,), np.int8)


def _scalar(described: Any, data: Any) -> Any:
    raw = _raw(data)
    if not isinstance(described, _Dtype) or not 0 < described.dtype.itemsize == len(raw):
        raise pickle.UnpicklingError("a numpy scalar is malformed")
    return np.frombuffer(raw, described.dtype)[0]


def _encode(text: Any, encoding: Any) -> bytes:
    """What protocol 2 has for bytes; any other codec is refused, for some of them decompress."""
    if encoding != "latin1" or not isinstance(text, str):
        raise pickle.UnpicklingError(f"_codecs.encode to {str(encoding)[:20]!r} is not admitted")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    return b""


def _not_called(*args: Any) -> Any:
    raise pickle.UnpicklingError(f"numpy.ndarray cannot be called ({len(args)} arguments)")


_NDARRAY = _Named(_not_called)
_ADMITTED: dict[tuple[str, str], _Named] = {
    ("_codecs", "encode"): _Named(_encode),
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Named(_Dtype),
    **{
        (module, name): _Named(call)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
        for name, call in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
    # As Python 3 and Python 2 name them; lists, tuples and dictionaries have opcodes and need no name.
    **{
        (module, name): _Named(call)
        for module in ("builtins", "__builtin__")
        for name, call in (("set", set), ("frozenset", frozenset), ("bytes", _empty_bytes))
    },
}


class RestrictedUnpickler(pickle.Unpickler):
    """An unpickler that resolves the names in `_ADMITTED` and refuses every other one by name."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        try:
            return _ADMITTED[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module_name}.{global_name}, which is not admitted") from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError(f"it has a persistent id {str(pid)[:20]!r}, which is not admitted")


def load_pickle(path: Path) -> Any:
    """What the file holds: containers, text, numbers and plain numpy arrays. Text of Python 2 is read as latin1.

    Raises:
        DataError: the file is absent or damaged, or names something that is not admitted.
    """
    # A class once resolved for an extension code is kept there, and then no longer asked of `find_class`.
    copyreg.clear_extension_cache()
    try:
        with path.open("rb") as file:
            return RestrictedUnpickler(file, encoding="latin1").load()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # A forged or cut pickle may end in any exception at all.
        why = str(error) or type(error).__name__
        raise DataError(f"{path} is not read as a pickle of containers and arrays: {why}; fetch it again") from error
    finally:
        copyreg.clear_extension_cache()
