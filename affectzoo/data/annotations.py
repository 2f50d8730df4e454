"""Annotations of one recording along its time axis, and the labels of sub-sequences that follow from them."""

from __future__ import annotations

import csv
import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd

from affectzoo.config import TargetConfig
from affectzoo.data.schema import Track
from affectzoo.data.tables import lines_of, to_numbers
from affectzoo.errors import DataError

#: Columns that say when, and the unit of each; the first that is there counts.
TIME_COLUMNS = {"time_s": "s", "frame": "frame"}
#: Times are decimal fractions and bounds are products: what misses a bound by a microsecond was meant to be on it.
ROUNDING_S = 1e-6


def read_annotations(path: Path, targets: Sequence[TargetConfig]) -> tuple[Track, list[str]]:
    """Read a CSV with `time_s` or `frame` and one column for each target; of a categorical target, the names of classes.

    Returns:
        The labels, valid where every target has a value in its range, and notes about those that are not.

    Raises:
        DataError: the file is absent or no such CSV, a target has no column, or a time is not a number.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such annotation file; write it, or name another in the column annotations")
    try:
        held = header_of(path)
        unit = next((name for name in TIME_COLUMNS if name in held), None)
        if unit is None:
            raise DataError(f"{path} has no column time_s or frame; it has {', '.join(held)}")
        absent = [target.name for target in targets if target.name not in held]
        if absent:
            raise DataError(f"{path} {no_column(absent[0], held)}")
        asked = [unit, *(target.name for target in targets)]
        places = [held.index(name) for name in asked]
        plain = None if any(target.kind == "categorical" for target in targets) else _numbers(path, places, len(held))
        cells, lines = _columns(path, places, len(held)) if plain is None else plain
    except (ValueError, csv.Error, OSError) as error:
        raise DataError(f"{path} cannot be read as CSV in UTF-8: {' '.join(str(error).split())}") from error
    columns = dict(zip(asked, cells, strict=True))
    times = _as_float(columns[unit])
    wrong = np.flatnonzero(~np.isfinite(times))
    if len(wrong):
        raise DataError(f"{path}, line {lines[wrong[0]]}: {unit} is {columns[unit][wrong[0]]!r}, which is not a number")
    values = {target.name: _labels(columns[target.name], target) for target in targets}
    valid = np.ones(len(times), bool)
    for target in targets:
        valid &= values[target.name] >= 0 if target.kind == "categorical" else np.isfinite(values[target.name])
    bad = np.flatnonzero(~valid)
    notes = []
    if len(bad):
        named = lines_of([lines[row] for row in bad])
        notes.append(f"{path}: {len(bad)} annotations are missing or out of range, and not valid ({named})")
    rate = _rate(times) if TIME_COLUMNS[unit] == "s" else np.nan
    return Track(times=times, unit=TIME_COLUMNS[unit], values=values, valid=valid, rate_hz=rate), notes  # pyright: ignore[reportArgumentType]


def header_of(path: Path) -> list[str]:
    """The names of the columns of a CSV.

    Raises:
        ValueError, OSError: it cannot be read, or has a column twice.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            held = [name.strip() for name in next(csv.reader(file))]
        except StopIteration:
            raise ValueError("it is empty") from None
        except csv.Error as error:
            raise ValueError(str(error)) from error
    twice = next((name for name, count in Counter(held).items() if name and count > 1), None)
    if twice:
        raise ValueError(f"it has a column twice: {twice!r}")
    return held


def _numbers(path: Path, places: Sequence[int], width: int) -> tuple[list[np.ndarray], np.ndarray] | None:
    """What `_columns` gives, as numbers, of a table that holds nothing but numbers; None of any other.

    Corpora have millions of rows, and this reads them several times as fast.
    """
    body = path.read_bytes().partition(b"\n")[2]
    if not body or body.translate(None, b"0123456789.,-+eE\r\n"):
        return None
    data = np.frombuffer(body if body.endswith(b"\n") else body + b"\n", np.uint8)
    ends, commas = np.flatnonzero(data == ord("\n")), np.flatnonzero(data == ord(","))
    if (np.diff(np.searchsorted(commas, ends), prepend=0) != width - 1).any():
        return None
    table = pd.read_csv(BytesIO(body), header=None, usecols=sorted(set(places)), skip_blank_lines=False)
    columns = [table[place].to_numpy() for place in places]
    if not all(column.dtype.kind in "if" and np.isfinite(column).all() for column in columns):
        return None
    return columns, np.arange(len(table)) + 2


def _columns(path: Path, places: Sequence[int], width: int) -> tuple[list[list[str]], list[int]]:
    """The cells of some columns of a CSV of `width` columns, and the line of each row; rows without content are left out.

    Raises:
        DataError: a row goes on after the last column, as one with decimal commas does.
    """
    flat: list[str] = []  # row after row; a list for each would take the garbage collector longer than reading
    lines: list[int] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        for cells in reader:
            # Corpora have millions of rows: those as they should be are not looked at more closely.
            if len(cells) != width or not cells[places[0]]:
                if any(cells[width:]):
                    raise DataError(f"{path}, line {reader.line_num}: {len(cells)} cells for {width} columns")
                if not any(map(str.strip, cells)):
                    continue
                cells += [""] * (width - len(cells))
            flat += cells[:width]
            lines.append(reader.line_num)
    return [list(map(str.strip, flat[place::width])) for place in places], lines


def label_of(cell: str, target: TargetConfig) -> float | str | None:
    """A label as it was written; None where it is missing, no number, no class or out of range."""
    if target.kind == "categorical":
        return cell if cell in target.classes else None
    value = _in_range(to_numbers([cell]), target)[0]
    return float(value) if np.isfinite(value) else None


def mean_labels(
    times_s: np.ndarray, values: np.ndarray, valid: np.ndarray, count: int, seconds: float
) -> tuple[np.ndarray, np.ndarray, int]:
    """Labels of `count` sub-sequences of `seconds`: the mean of the valid annotations with start <= time < end.

    Args:
        times_s: `[m]` seconds from the start of the first sub-sequence.
        values: `[m, K]`, shares of 0 and 1 for classes.
        valid: `[m]` bool.
        count: n.
        seconds: of a sub-sequence.

    Returns:
        `[n, K]` float32, `[n]` bool whether any valid annotation lies inside, and how many annotations lie outside all.
    """
    places = np.searchsorted(np.arange(count + 1) * seconds, times_s + ROUNDING_S, side="right") - 1
    inside = (places >= 0) & (places < count)
    kept = inside & valid
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, places[kept], values[kept])
    numbers = np.bincount(places[kept], minlength=count)
    means = sums / np.maximum(numbers, 1)[:, None]
    return means.astype(np.float32), numbers > 0, int((~inside).sum())


def no_column(name: str, held: Iterable[str]) -> str:
    """`has no column ...`, with the nearest that is there."""
    held = list(held)
    near = difflib.get_close_matches(name, held, n=1)
    return f"has no column {name}; " + (f"did you mean {near[0]!r}?" if near else f"it has {', '.join(held)}")


def _as_float(column: Sequence[str] | np.ndarray) -> np.ndarray:
    """`[m]` float64, NaN for what is no number."""
    return column.astype(np.float64) if isinstance(column, np.ndarray) else to_numbers(column)


def _labels(column: Sequence[str] | np.ndarray, target: TargetConfig) -> np.ndarray:
    """`[m]` float32: values, NaN where missing or out of range; of classes their number, -1 where there is none."""
    if target.kind != "categorical":
        return _in_range(_as_float(column), target)
    number = {name: float(index) for index, name in enumerate(target.classes)}
    return np.array([number.get(cell, -1.0) for cell in column], dtype=np.float32)


def _in_range(values: np.ndarray, target: TargetConfig) -> np.ndarray:
    """`[m]` float32, NaN where out of range."""
    # In float32, as labels are checked later: a bound such as 0.1 must admit itself.
    narrow = values.astype(np.float32)
    inside = (narrow >= np.float32(target.low)) & (narrow <= np.float32(target.high))
    return np.where(inside, narrow, np.float32(np.nan))


def _rate(times: np.ndarray) -> float:
    """Labels per second, NaN where they are not evenly spaced."""
    spacing = np.diff(times)
    if not len(spacing) or spacing.min() <= 0 or not np.allclose(spacing, np.median(spacing), rtol=0.01):
        return float("nan")
    return float(1 / np.median(spacing))
