"""An unpickler that imports nothing and calls nothing but what it was given.

A pickle is a program for a small stack machine, and some of its opcodes call what the program names. Here those opcodes
look the name up in a table of our own functions. A class that the table does not have becomes an empty `Holder` that keeps
its state; anything else is refused, and the refusal says the name.

The machine is the standard library's own in Python, with a dispatch table that lists what is let through. The faster one in
C cannot be made safe by its two hooks: it hashes keys in C, where nested tuples exhaust the stack of the process, and it
allocates what a memo index asks for.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from affectzoo.pickles.values import Holder, Name, Ordered, Refused, Stateful, as_key, kind_of, refused_id, shown

#: Bytes and items that calls may take in, for each byte of the pickle: what is written once is taken in once, and what is
#: fetched from the memo over and over must not fill the memory.
_TAKEN_PER_BYTE = 4
_TAKEN_AT_LEAST = 1 << 20
#: Marks that may be open at once: far more than any nesting of modules and optimisers has.
_MAX_NESTED = 10_000
_SIZED = str | bytes | bytearray | list | tuple | dict

Admitted = Mapping[tuple[str, str], Callable[..., Any]]


class InertUnpickler(pickle._Unpickler):
    """Reads one pickle. Text of Python 2 is read as latin1.

    Args:
        data: the pickle; what follows its end is not looked at.
        admitted: (module, name) -> the function of ours that stands for it.
        holders: whether other names are kept as names, and their objects as `Holder`s; otherwise they are refused.
        persistent: gives what a persistent id stands for; None refuses them.
    """

    # What the machine has and its type stubs do not.
    stack: list[Any]
    metastack: list[list[Any]]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]

    def __init__(
        self, data: bytes, admitted: Admitted, *, holders: bool = False, persistent: Callable[[Any], Any] | None = None
    ) -> None:
        self._stream = io.BytesIO(data)
        super().__init__(self._stream, encoding="latin1")
        self.admitted = admitted
        self.holders = holders
        self.persistent = persistent
        self._allowance = _TAKEN_PER_BYTE * len(data) + _TAKEN_AT_LEAST

    @property
    def end(self) -> int:
        """Where in `data` the pickle ended."""
        return self._stream.tell()

    def load(self) -> Any:
        """Raises Refused, whatever is wrong."""
        try:
            return super().load()
        except Refused:
            raise
        except EOFError:
            raise Refused("it ends too early") from None
        except Exception as error:  # A forged or cut pickle may end in any exception at all.
            raise Refused(f"it is damaged ({shown(str(error) or type(error).__name__)})") from error

    def find_class(self, module: str, name: str, /) -> Name:  # pyright: ignore[reportIncompatibleMethodOverride]
        found = Name(module, name)
        if not self.holders and found.key not in self.admitted:
            raise Refused(f"it names {found}, which is not admitted")
        return found

    def persistent_load(self, pid: Any) -> Any:
        if self.persistent is None:
            raise refused_id(pid)
        return self.persistent(pid)

    def _call(self, function: Any, args: Any) -> Any:
        if not isinstance(function, Name):
            raise Refused(f"it would call a value ({kind_of(function)}), which is not admitted")
        if function.key not in self.admitted:
            raise Refused(f"it would call {function}, which is not admitted")
        if type(args) is not tuple:
            raise Refused(f"it would call {function} with {kind_of(args)} for arguments")
        self._take_in(args)
        try:
            return self.admitted[function.key](*args)
        except Refused:
            raise
        except Exception as error:
            raise Refused(f"it would call {function} with arguments that do not fit ({shown(str(error))})") from error

    def _make(self, kind: Any, args: Any, named: Any = ()) -> Holder:
        if not isinstance(kind, Name):
            raise Refused(f"it would make an object of a value ({kind_of(kind)}), which is not admitted")
        if kind.key in self.admitted:
            raise Refused(f"it would make {kind} in another way than by calling it, which is not admitted")
        if type(args) not in (tuple, list) or args or named:
            raise Refused(f"it would make {kind} with arguments, which is not admitted")
        return Holder(kind)

    def _take_in(self, values: tuple[Any, ...]) -> None:
        self._allowance -= sum(len(value) for value in values if isinstance(value, _SIZED))
        if self._allowance < 0:
            raise Refused("it would make far more than it holds")

    # What calls.

    def _reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], args)

    def _newobj(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._make(self.stack[-1], args)

    def _newobj_ex(self) -> None:
        named = self.stack.pop()
        args = self.stack.pop()
        self.stack[-1] = self._make(self.stack[-1], args, named)

    def _inst(self) -> None:
        module, name = (self.readline()[:-1].decode() for _ in range(2))
        args = self.pop_mark()
        self.append(self._make(self.find_class(module, name), args))

    def _obj(self) -> None:
        kind, *args = self.pop_mark()
        self.append(self._make(kind, args))

    def _build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, Stateful):
            what = target if isinstance(target, Name) else kind_of(target)
            raise Refused(f"it would give {what} a state, which is not admitted")
        self._take_in(state if type(state) is tuple else (state,))
        target.take_state(state)

    def _mark(self) -> None:
        # One byte of the file is a list of ours: a few million of them would fill the memory.
        if len(self.metastack) >= _MAX_NESTED:
            raise Refused(f"it is nested more than {_MAX_NESTED} deep")
        self.metastack.append(self.stack)
        self.stack = []
        self.append = self.stack.append

    def _extension(self) -> None:
        raise Refused("it names something by an extension code, which is not admitted")

    # What hashes, or would look up a method.

    def _append(self) -> None:
        value = self.stack.pop()
        self._of(list, "append to").append(value)

    def _appends(self) -> None:
        values = self.pop_mark()
        self._of(list, "append to").extend(values)

    def _additems(self) -> None:
        values = self.pop_mark()
        self._of(set, "add to").update(map(as_key, values))

    def _setitem(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self._of(dict, "set items of")[as_key(key)] = value

    def _setitems(self) -> None:
        values = self.pop_mark()
        self._of(dict, "set items of").update(_pairs(values))

    def _dict(self) -> None:
        values = self.pop_mark()  # First: it puts another stack, and its `append`, in place.
        self.append(dict(_pairs(values)))

    def _frozenset(self) -> None:
        values = self.pop_mark()
        self.append(frozenset(map(as_key, values)))

    def _of(self, kind: type[Any], doing: str) -> Any:
        target = self.stack[-1]
        if type(target) is not kind and not (kind is dict and type(target) is Ordered):
            what = target if isinstance(target, Name) else kind_of(target)
            raise Refused(f"it would {doing} {what}, which is not admitted")
        return target

    # What would allocate before it reads.

    def _bytearray8(self) -> None:
        length = int.from_bytes(self.read(8), "little")
        if length > self._stream.getbuffer().nbytes:
            raise Refused("it ends too early")
        self.append(bytearray(self.read(length)))

    class _Dispatch(dict[int, Callable[..., None]]):
        """What no opcode of the list is, is refused: also opcodes of a later Python."""

        def __missing__(self, opcode: int) -> Callable[..., None]:
            raise Refused(f"it is damaged, or no pickle: 0x{opcode:02x} is no opcode that is admitted")

    #: Numbers, text and bytes; tuples, lists and empty containers; the stack, the memo, the frames and the end.
    _LET_THROUGH = (
        "NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT "
        "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 "
        "BINBYTES SHORT_BINBYTES BINBYTES8 EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST EMPTY_DICT EMPTY_SET "
        "POP POP_MARK DUP GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE PROTO FRAME STOP "
        "GLOBAL STACK_GLOBAL PERSID BINPERSID"
    )
    dispatch: ClassVar[dict[int, Callable[..., None]]] = _Dispatch(
        {
            **{code: pickle._Unpickler.dispatch[code] for code in (getattr(pickle, name)[0] for name in _LET_THROUGH.split())},
            pickle.MARK[0]: _mark,
            pickle.REDUCE[0]: _reduce,
            pickle.NEWOBJ[0]: _newobj,
            pickle.NEWOBJ_EX[0]: _newobj_ex,
            pickle.INST[0]: _inst,
            pickle.OBJ[0]: _obj,
            pickle.BUILD[0]: _build,
            pickle.EXT1[0]: _extension,
            pickle.EXT2[0]: _extension,
            pickle.EXT4[0]: _extension,
            pickle.APPEND[0]: _append,
            pickle.APPENDS[0]: _appends,
            pickle.ADDITEMS[0]: _additems,
            pickle.SETITEM[0]: _setitem,
            pickle.SETITEMS[0]: _setitems,
            pickle.DICT[0]: _dict,
            pickle.FROZENSET[0]: _frozenset,
            pickle.BYTEARRAY8[0]: _bytearray8,
        }
    )


def _pairs(values: list[Any]) -> list[tuple[Any, Any]]:
    return [(as_key(key), value) for key, value in zip(values[::2], values[1::2], strict=True)]
