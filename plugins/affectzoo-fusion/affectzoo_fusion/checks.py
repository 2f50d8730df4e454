"""Checks of a fusion's configuration: one sentence each, raised before any weight is made."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import nn

from affectzoo.errors import ConfigError


def check_dims(dims: Mapping[str, int], *, exactly: int | None = None) -> dict[str, int]:
    """Return `dims` (modality -> D) in alphabetical order: audio before visual, as in the papers.

    A fixed order means that the order in which a config happens to list its streams never changes what saved weights do.

    Raises:
        ConfigError: fewer than two modalities, not `exactly` as many, an unusable name, or a D that is no positive integer.
    """
    listed = ", ".join(map(str, dims)) or "none"
    if exactly is not None and len(dims) != exactly:
        raise ConfigError(f"this fusion joins exactly {exactly} modalities; got {listed}")
    if len(dims) < 2:
        raise ConfigError(f"a fusion joins at least two modalities; got {listed}")
    for name, dim in dims.items():
        # Modality names become the keys of an nn.ModuleDict, which refuses dots and the names of its own attributes.
        if not isinstance(name, str) or not name.isidentifier() or hasattr(nn.ModuleDict, name):
            raise ConfigError(f"{name!r} cannot name a modality; choose a plain word such as 'audio' or 'visual'")
        check_positive(f"dims[{name!r}]", dim)
    return {name: dims[name] for name in sorted(dims)}


def check_positive(key: str, value: object) -> int:
    """Return `value` where it is an integer of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{key} must be a positive integer, not {value!r}")
    return value


def check_probability(key: str, value: object) -> float:
    """Return `value` where it is a number in [0, 1)."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
        raise ConfigError(f"{key} must be a number from 0 up to, not including, 1, not {value!r}")
    return float(value)


def check_choice(key: str, value: object, choices: Collection[str]) -> str:
    """Return `value` where it is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ConfigError(f"{key} must be one of {', '.join(map(repr, choices))}, not {value!r}")
    return value
