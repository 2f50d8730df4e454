"""The rating files of RECOLA: ARFF with a gold standard, or CSV with it or with a column for each rater."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affectzoo import lines_of, read_lines, to_numbers
from affectzoo.errors import DataError

#: Labels per second.
RATE_HZ = 25
_GOLD = "goldstandard"
_TIMES = ("frametime", "time")
_NAMES = ("instance_name", "name")
#: Times are written with two decimals, or as binary fractions of such.
_REACH_S = 0.002
#: Nothing was recorded for a day; a time beyond it is a slip.
_DAY_S = 86400
_ATTRIBUTE = re.compile(r"@attribute\s+(?:'([^']*)'|\"([^\"]*)\"|(\S+))", re.IGNORECASE)


@dataclass(frozen=True)
class Ratings:
    """m labels of one target.

    Attributes:
        steps: `[m]` int64, increasing: the label is at this many times 40 ms.
        values: `[m]` float64; NaN where a row's label is no number, or outside -1..1.
        notes: what is wrong with rows and how labels came about, as sentences; rows that are left out are counted here.
    """

    steps: np.ndarray
    values: np.ndarray
    notes: tuple[str, ...]


def read_ratings(path: Path) -> Ratings:
    """The gold standard of a file, or else the mean over its raters.

    A row whose time is no number, off the grid of 40 ms or not after the row before has no place and is left out.

    Raises:
        DataError: no header, no column of times or of labels, or no row.
    """
    header, rows = _read_arff(path) if path.suffix.lower() == ".arff" else _read_csv(path)
    plain = [name.lower() for name in header]
    clock = next((plain.index(name) for name in _TIMES if name in plain), None)
    columns = [plain.index(_GOLD)] if _GOLD in plain else [n for n, name in enumerate(plain) if name not in (*_TIMES, *_NAMES)]
    if clock is None or not columns:
        raise DataError(
            f"{path} needs columns frameTime (or time) and GoldStandard (or one for each rater); it has {', '.join(header)}"
        )
    if not rows:
        raise DataError(f"{path} has a header, but no labels")
    lines = np.array([number for number, _ in rows])
    empty = [""] * len(header)
    cells = [cells if len(cells) == len(header) else empty for _, cells in rows]
    times = to_numbers([row[clock] for row in cells])
    labels = to_numbers([row[column] for row in cells for column in columns]).reshape(len(rows), len(columns))
    # A rater who is missing would pull the mean to the others: such a row is not valid.
    values = labels.mean(axis=1)

    steps = np.where(np.abs(times) < _DAY_S, np.round(times * RATE_HZ), -1)
    timed = (steps >= 0) & (np.abs(times - steps / RATE_HZ) <= _REACH_S)
    latest = np.maximum.accumulate(np.where(timed, steps, -1))
    timed[1:] &= steps[1:] > latest[:-1]
    unread = timed & ~np.isfinite(values)
    outside = timed & ~unread & (np.abs(values) > 1)
    short = f"{path.parent.name}/{path.name}"
    notes = [
        f"{short}: {int(wrong.sum())} of {len(rows)} rows {what} ({lines_of(lines[wrong].tolist())})"
        for wrong, what in (
            (~timed, "have no time of their own on the grid of 40 ms and are left out"),
            (unread, "have a label that is no number and are not valid"),
            (outside, "have a label outside -1..1 and are not valid"),
        )
        if wrong.any()
    ]
    if _GOLD not in plain:
        notes.append(f"{short} has no gold standard; the mean over {', '.join(header[n] for n in columns)} is taken")
    values[unread | outside] = np.nan
    return Ratings(steps=steps[timed].astype(np.int64), values=values[timed], notes=tuple(notes))


def _read_lines(path: Path) -> list[tuple[int, str]]:
    """`(line number from 1, text)` of lines that are not empty."""
    lines = [(number, line.strip()) for number, line in enumerate(read_lines(path), start=1) if line.strip()]
    if not lines:
        raise DataError(f"{path} is empty")
    return lines


def _read_csv(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header, and `(line number, cells)` of each row; cells are separated by `;` or else by `,`."""
    (_, first), *lines = _read_lines(path)
    mark = ";" if ";" in first else ","
    return [name.strip() for name in first.split(mark)], [(number, line.split(mark)) for number, line in lines]


def _read_arff(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Attributes, and `(line number, cells)` of each row after `@data`."""
    header: list[str] = []
    lines = _read_lines(path)
    for place, (_, line) in enumerate(lines, start=1):
        attribute = _ATTRIBUTE.match(line)
        if attribute:
            header.append(next(name for name in attribute.groups() if name is not None))
        elif line.lower() == "@data":
            return header, [(number, row.split(",")) for number, row in lines[place:] if not row.startswith("%")]
    raise DataError(f"{path} has no line @data; an ARFF file has one between its attributes and its rows")
