"""Folders as they are delivered: the files in them, and label files that hold one number."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from affectzoo.errors import DataError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def files_under(root: Path) -> Iterator[Path]:
    """Every file in a folder and the folders in it, in the order of names; what systems add to archives is passed over."""
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(name for name in inner if name != "__MACOSX" and not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name != "Thumbs.db":
                yield Path(folder) / name


def read_number(path: str) -> float:
    """The number in a file; a byte order mark and blanks around it, line ends too, are left out.

    Raises:
        DataError: the file is empty, or holds anything but one finite number.
    """
    with open(path, "rb") as file:  # noqa: PTH123  (a corpus has 48,398 such files)
        raw = file.read().removeprefix(_BYTE_ORDER_MARK).strip()
    if not raw:
        raise DataError(f"{path} is empty; it should hold one number")
    try:
        number = float(raw)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{path} holds {raw[:40].decode('utf-8', 'replace')!r}, which is not one number")
    return number
