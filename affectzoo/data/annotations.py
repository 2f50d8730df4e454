"""Annotations of one recording along its time axis, and the labels of sub-sequences that follow from them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from affectzoo.config import TargetConfig
from affectzoo.errors import DataError

#: Columns that say when; the first that is there counts.
TIME_COLUMNS = ("time_s", "frame")


@dataclass(frozen=True)
class Annotations:
    """m annotations of K label columns.

    Attributes:
        path: where they were read.
        times: `[m]` seconds from the start of the recording, or frame numbers from 0.
        in_frames: whether `times` are frame numbers.
        values: `[m, K]` float32, shares of 0 and 1 for classes; NaN where missing or out of range.
    """

    path: Path
    times: np.ndarray
    in_frames: bool
    values: np.ndarray

    @property
    def valid(self) -> np.ndarray:
        """`[m]` bool: every target has a value."""
        return np.asarray(np.isfinite(self.values).all(axis=1))


def read_annotations(path: Path, targets: Sequence[TargetConfig]) -> Annotations:
    """Read a CSV with `time_s` or `frame` and one column for each target; of a categorical target, the names of classes.

    Raises:
        DataError: the file is absent or no such CSV, a target has no column, or a time is not a number.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such annotation file; write it, or name another in the column annotations")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False)
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read as CSV in UTF-8: {' '.join(str(error).split())}") from error
    table.columns = [str(name).strip() for name in table.columns]
    unit = next((name for name in TIME_COLUMNS if name in table.columns), None)
    if unit is None:
        raise DataError(f"{path} has no column time_s or frame; it has {', '.join(table.columns)}")
    absent = [target.name for target in targets if target.name not in table.columns]
    if absent:
        raise DataError(f"{path} {no_column(absent[0], table.columns)}")
    times = _numbers(table[unit].tolist())
    wrong = np.flatnonzero(~np.isfinite(times))
    if len(wrong):
        raise DataError(f"{path}, row {wrong[0] + 1}: {unit} is {table[unit].iloc[wrong[0]]!r}, which is not a number")
    columns = [label_columns(table[target.name].tolist(), target) for target in targets]
    values = np.concatenate([np.empty((len(table), 0), np.float32), *columns], axis=1)
    return Annotations(path, times, unit == "frame", values)


def label_columns(cells: Sequence[str], target: TargetConfig) -> np.ndarray:
    """`[m, columns]` float32 of m cells as they were written; NaN where one is missing, no number, no class or out of range."""
    if target.kind == "categorical":
        number = {name: index for index, name in enumerate(target.classes)}
        found = np.array([number.get(cell.strip(), -1) for cell in cells], dtype=int)
        shares = np.eye(len(target.classes), dtype=np.float32)[found]
        shares[found < 0] = np.nan
        return shares
    values = _numbers(cells).astype(np.float32)
    # In float32, as labels are checked later: a bound such as 0.1 must admit itself.
    inside = (values >= np.float32(target.low)) & (values <= np.float32(target.high))
    return np.where(inside, values, np.float32(np.nan))[:, None]


def mean_labels(given: Annotations, count: int, seconds: float, fps: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Labels of `count` sub-sequences of `seconds`: the mean of the valid annotations with start <= time < end.

    Args:
        given: of the whole recording.
        count: n.
        seconds: of a sub-sequence.
        fps: frame k is at `k / fps` seconds; NaN where the recording has no video.

    Returns:
        `[n, K]` float32, `[n]` bool whether any valid annotation lies inside, and how many annotations lie outside all.

    Raises:
        DataError: annotations by frame of a recording without video.
    """
    if given.in_frames and not np.isfinite(fps):
        raise DataError(f"{given.path} counts frames, but its recording has no video; give times in a column time_s")
    times = given.times / fps if given.in_frames else given.times
    # The products are the bounds of sub-sequences everywhere: dividing would round otherwise.
    places = np.searchsorted(np.arange(count + 1) * seconds, times, side="right") - 1
    inside = (places >= 0) & (places < count)
    kept = inside & given.valid
    sums = np.zeros((count, given.values.shape[1]))
    np.add.at(sums, places[kept], given.values[kept])
    numbers = np.bincount(places[kept], minlength=count)
    means = sums / np.maximum(numbers, 1)[:, None]
    return means.astype(np.float32), numbers > 0, int((~inside).sum())


def _numbers(cells: Sequence[str]) -> np.ndarray:
    """`[m]` float64, NaN for what is no number."""
    return np.asarray(pd.to_numeric(pd.Series(cells, dtype=str), errors="coerce"), dtype=np.float64)


def no_column(name: str, held: Iterable[str]) -> str:
    """`has no column ...`, with the nearest that is there."""
    held = list(held)
    near = difflib.get_close_matches(name, held, n=1)
    return f"has no column {name}; " + (f"did you mean {near[0]!r}?" if near else f"it has {', '.join(held)}")
