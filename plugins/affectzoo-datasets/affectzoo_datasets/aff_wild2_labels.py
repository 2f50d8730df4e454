"""The label files of Aff-Wild2: a header, then valence and arousal of one frame a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from affectzoo import lines_of, read_lines, to_numbers
from affectzoo.errors import DataError

#: Columns of the arrays here, and of a submission.
TARGETS = ("valence", "arousal")
#: Stands where annotators gave no label.
INVALID = -5.0


def read_labels(path: Path) -> tuple[np.ndarray, list[str]]:
    """`[F, 2]` float32, valence and arousal of frames 0 to F - 1, and what is wrong with some, as sentences.

    A frame is NaN in both where either is -5, is no number, or is outside -1..1; the latter two are named.

    Raises:
        DataError: no header, or no row below it.
    """
    header, *rows = read_lines(path) or [""]
    names = tuple(name.strip().lower() for name in header.split(","))
    if set(names) != set(TARGETS) or len(names) != len(TARGETS):
        said = f"begins with {header[:60]!r}" if header else "is empty"
        raise DataError(f"{path} {said}; its first line must be valence,arousal, and the labels follow frame by frame")
    if not rows:
        raise DataError(f"{path} has a header, but no labels")
    values = _numbers(rows)[:, [names.index(target) for target in TARGETS]]
    unread = ~np.isfinite(values).all(axis=1)
    marked = ~unread & (values == INVALID).any(axis=1)
    outside = ~unread & ~marked & (np.abs(values) > 1).any(axis=1)
    notes = []
    for wrong, what in ((unread, "no two numbers"), (outside, "outside -1..1")):
        if wrong.any():
            # The header is line 1.
            lines = lines_of((np.flatnonzero(wrong) + 2).tolist())
            notes.append(f"{path.name}: {int(wrong.sum())} of {len(rows)} rows are {what} and not valid ({lines})")
    values[unread | marked | outside] = np.nan
    if np.isnan(values).all():
        notes.append(f"{path.name}: not one of {len(rows)} labels is valid")
    return values.astype(np.float32), notes


def _numbers(rows: list[str]) -> np.ndarray:
    """`[F, 2]` float64, NaN in rows that are not two numbers."""
    try:
        table = np.loadtxt(rows, delimiter=",", comments=None, ndmin=2)
        # An empty line is left out by numpy, but is a frame here.
        if table.shape == (len(rows), 2):
            return table
    except ValueError:
        pass  # Some row is wrong; the slower way below finds out which.
    pairs = [cells if len(cells) == 2 else ["", ""] for cells in (row.split(",") for row in rows)]
    return to_numbers([cell for pair in pairs for cell in pair]).reshape(-1, 2)
