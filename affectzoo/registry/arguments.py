"""The arguments of what a plugin provides, checked against its signature before it is called."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from affectzoo.errors import ConfigError, PluginError


def check_arguments(target: Any, given: Mapping[str, Any], config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The full keyword arguments for `target`: `config` over its defaults, every key known, none missing.

    Args:
        target: a class or function.
        given: what the caller decides.
        config: what the user asked for.
        where: how a message names the target.

    Raises:
        PluginError: the target does not take what is `given`.
        ConfigError: an unknown key, with the nearest, or a missing one.
    """
    parameters = inspect.signature(target).parameters
    for name in given:
        if name not in parameters:
            raise PluginError(f"{where}: it must take the argument {name!r}")
    free = {n: p for n, p in parameters.items() if n not in given and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for key in config:
        if key not in free and not takes_any:
            near = difflib.get_close_matches(key, free, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(free) or 'no configuration'}."
            raise ConfigError(f"{where}: unknown key {key!r}; {hint}")
    missing = [n for n, p in free.items() if p.default is p.empty and n not in config]
    if missing:
        raise ConfigError(f"{where}: key {missing[0]!r} is missing.")
    return {**{n: p.default for n, p in free.items() if p.default is not p.empty}, **config}
