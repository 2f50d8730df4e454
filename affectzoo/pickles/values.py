"""What the values of a pickle are here where Python has no inert ones of its own, and what is said of them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

#: Parts of a tuple that is a key, and bits of an integer that is one: hashing costs as much each time.
_KEY_PARTS = 64
_KEY_BITS = 64


class Refused(pickle.UnpicklingError):
    """The pickle is damaged or asks for something that is not admitted; the message starts with "it"."""


class Name:
    """What the pickle names: a class or a function, by its path alone."""

    __slots__ = ("module", "name")
    said = "name"

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    @property
    def key(self) -> tuple[str, str]:
        return self.module, self.name

    def __str__(self) -> str:
        return shown(f"{self.module}.{self.name}")


class Stateful:
    """Something that the opcode BUILD may give a state."""

    __slots__ = ()

    def take_state(self, state: Any) -> None:
        raise NotImplementedError


class Holder(Stateful):
    """An object of a class that is not there: the class by name, and the state as the pickle gives it."""

    __slots__ = ("kind", "state")

    def __init__(self, kind: Name) -> None:
        self.kind = kind
        self.state: Any = {}

    @property
    def said(self) -> str:
        return f"an object of {self.kind}"

    def take_state(self, state: Any) -> None:
        # An object with `__slots__` has a pair: its dictionary or None, then its slots.
        if type(state) is tuple and len(state) == 2 and all(isinstance(part, dict | None) for part in state):
            state = {**(state[0] or {}), **(state[1] or {})}
        self.state = state


class Ordered(dict[Any, Any], Stateful):
    """An OrderedDict. Its attributes, such as the versions of modules that a state dict carries, are not kept."""

    __slots__ = ()
    said = "OrderedDict"

    def take_state(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise Refused("it gives a collections.OrderedDict a state that is no dictionary")


def as_key(value: Any) -> Any:
    """`value`, if it may stand in a set or as a key of a dictionary: text, bytes, a number, a name, or a flat tuple of them."""
    for part in value if type(value) is tuple and len(value) <= _KEY_PARTS else (value,):
        if isinstance(part, int):
            fits = part.bit_length() <= _KEY_BITS
        else:
            fits = part is None or isinstance(part, str | bytes | float | complex | np.generic | Name | Holder)
        if not fits:
            raise Refused(f"it has {kind_of(part)} as a key or in a set, which is not admitted")
    return value


def refused_id(pid: Any) -> Refused:
    return Refused(f"it has a persistent id ({shown(pid) if type(pid) is str else kind_of(pid)}), which is not admitted")


def kind_of(value: Any) -> str:
    """What to call a value in a sentence: its type, or what a class of ours says."""
    return getattr(value, "said", type(value).__name__)


def shown(text: str, limit: int = 120) -> str:
    """Text of a file for a message: printable, and not long."""
    start = text[: limit + 1]
    start = start if start.isprintable() else ascii(start)[1:-1]
    return start if len(start) <= limit else start[: limit - 3] + "..."
