"""Folders as they are delivered: the files in them, and label files that hold one number."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from affectzoo.errors import DataError

VIDEO = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm", ".wmv")
SOUND = (".wav", ".flac", ".mp3", ".m4a", ".ogg")

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def files_under(root: Path) -> Iterator[Path]:
    """Every file in a folder and the folders in it, linked ones too, in the order of names, without what systems add.

    Raises:
        DataError: a folder cannot be listed.
    """
    seen: set[str] = set()
    for folder, inner, names in os.walk(root, followlinks=True, onerror=_refuse):
        real = os.path.realpath(folder)
        if real in seen:  # A link leads back up.
            inner.clear()
            continue
        seen.add(real)
        inner[:] = sorted(name for name in inner if not is_added(name))
        for name in sorted(names):
            if not is_added(name):
                yield Path(folder) / name


def names_in(folder: Path) -> list[str]:
    """What is in a folder, sorted, without what systems add; nothing where there is no such folder.

    Raises:
        DataError: it cannot be listed.
    """
    if not folder.is_dir():
        return []
    try:
        names = os.listdir(folder)  # noqa: PTH208  (a corpus has a hundred thousand files)
    except OSError as error:
        _refuse(error)
    return sorted(name for name in names if not is_added(name))


def is_added(name: str) -> bool:
    """Whether a system, and not the corpus, put a file or folder there: a shadow of every file, thumbnails."""
    return name.startswith((".", "__MACOSX")) or name == "Thumbs.db"


def several(files: Mapping[str, Sequence[Path]]) -> list[str]:
    """What (`videos`) -> files of one name: a sentence for each of which there are several, whose first is used."""
    return [
        f"there are {len(paths)} {what} of this name; {paths[0]} is used, not {paths[1]}"
        for what, paths in files.items()
        if len(paths) > 1
    ]


def read_number(path: str) -> float:
    """The number in a file; a byte order mark and blanks around it, line ends too, are left out.

    Raises:
        DataError: the file cannot be read, is empty, or holds anything but one finite number.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123  (a corpus has 48,398 such files)
            raw = file.read().removeprefix(_BYTE_ORDER_MARK).strip()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if not raw:
        raise DataError(f"{path} is empty; it should hold one number")
    try:
        number = float(raw)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{path} holds {raw[:40].decode('utf-8', 'replace')!r}, which is not one number")
    return number


def _refuse(error: OSError) -> NoReturn:
    raise DataError(f"{error.filename} cannot be listed: {error.strerror or error}") from error
