"""Whose code a run was trained with: a plugin is changed more often than its results are looked at."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from affectzoo.errors import ConfigError
from affectzoo.files import write_json
from affectzoo.registry import Entry

_FILE = "code.json"


def keep_code(folder: Path, entry: Entry, options: Mapping[str, Any]) -> None:
    """Write down code and options of a fusion before it is trained in `folder`; refuse to take a run of others for one of it.

    Known are provider, version, and the source of the module that holds the class, or of the class alone in a notebook.

    Raises:
        ConfigError: the folder holds a run of other code or options, which has ended or can go on.
        PluginError: the fusion cannot be imported.
    """
    now = {"provider": entry.provider, "source": _digest(entry.resolve()), "options": dict(options)}
    path = folder / _FILE
    has_run = (folder / "result.json").is_file() or any((folder / "checkpoints").glob("step-*"))
    if not has_run or not path.is_file():
        write_json(path, now)
        return
    then = json.loads(path.read_text(encoding="utf-8"))
    if then != now:
        what = "code" if then.get("options") == now["options"] else "options"
        raise ConfigError(
            f"the {what} of {entry.name} {'is' if what == 'code' else 'are'} not what {folder} was trained with; remove that "
            "folder to train it again"
        )


def _digest(target: Any) -> str:
    """SHA-256 of the source; empty where there is none to be had."""
    for thing in (inspect.getmodule(target), target):
        try:
            return hashlib.sha256(inspect.getsource(thing).encode()).hexdigest()  # pyright: ignore[reportArgumentType]
        except (OSError, TypeError):
            continue
    return ""
