"""Writing an output so that an interrupted run leaves no half file."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from affectzoo.errors import InputError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix; renamed to `path` when the block ends well, deleted otherwise.

    Parent folders are made.

    Raises:
        InputError: `path` is a folder, or nothing can be written there.
    """
    final = Path(path)
    if final.is_dir():
        raise InputError(f"{final} is a folder; give the name of a file to write")
    # The suffix stays last: writers of pictures and videos choose the format by it.
    temporary = final.with_name(f".{final.stem}.{os.getpid()}.part{final.suffix}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        # Found out before the work is done, and as a fault of this path rather than of whatever the block does.
        temporary.touch()
    except OSError as error:
        raise _unwritable(final, error) from error
    try:
        yield temporary
        temporary.replace(final)
    except OSError as error:
        raise _unwritable(final, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> InputError:
    reason = error.strerror or str(error) or type(error).__name__
    return InputError(f"{path} cannot be written: {reason}; choose another place")


def write_text(path: Path, text: str) -> None:
    """Write a whole file, or leave the old one."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, for people to read too."""
    write_text(path, json.dumps(without_nan(value), indent=2, allow_nan=False) + "\n")


def without_nan(value: Any) -> Any:
    """JSON knows no NaN: a number that is none, or not finite, becomes null."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
