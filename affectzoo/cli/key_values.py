"""`key=value` on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from affectzoo.errors import ConfigError


def key_values(overrides: Sequence[str]) -> dict[str, Any]:
    """`["a=1", "b=[x, y]"]` to `{"a": 1, "b": ["x", "y"]}`: values are YAML.

    Raises:
        ConfigError: without `=`, not YAML, or the same key twice.
    """
    options: dict[str, Any] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"option {override!r} must be of the form key=value")
        if key in options:
            raise ConfigError(f"option {key!r} is given twice; give it once")
        try:
            options[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"option {override!r}: the value is not YAML") from error
    return options
