"""Folders of this machine, taken out of what others will read."""

from __future__ import annotations

import re
from pathlib import PureWindowsPath
from typing import Any

#: An absolute path, or one from somebody's home, where a word begins.
_ABSOLUTE = re.compile(r"""(?<![^\s='"\[({,])(?:file://|(?:[A-Za-z]:|~[^\s/\\]*)?[/\\])[^\s'",\])}]*""")
#: The whole of a value, which may hold blanks. Up and out of a folder is as telling as an absolute path.
_VALUE = re.compile(r"(?:file://|(?:[A-Za-z]:|~[^/\\]*)?[/\\]|\.\.[/\\]).*|~", re.DOTALL)


def without_folders(word: str) -> str:
    """A word, or `key=value`, in which every absolute path is its last part."""
    key, equals, value = word.rpartition("=")
    if _VALUE.fullmatch(value):
        return f"{key}{equals}{_last(value)}"
    return _ABSOLUTE.sub(lambda match: _last(match.group()), word)


def all_without_folders(value: Any) -> Any:
    """What JSON holds, with `without_folders` done to every text in it, keys of mappings too."""
    if isinstance(value, dict):
        return {all_without_folders(key): all_without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [all_without_folders(item) for item in value]
    return without_folders(value) if isinstance(value, str) else value


def _last(path: str) -> str:
    return PureWindowsPath(path).name if path.strip("~/\\.") else ""
