"""From the timelines of several models to one: their faces matched, their rows brought onto one grid of time, averaged.

A timeline's rows lie on a regular grid, the sub-sequences of its model, and each face (or nobody) has at most one row at a
time. The grid of the result is that of the shortest sub-sequences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from affectzoo.config import TargetConfig
from affectzoo.media.faces import overlap
from affectzoo.predict.timeline import BOX, Timeline

#: Mean intersection over union from which faces of two models are one; low, since each has sampled other frames.
_SAME_FACE = 0.3
#: Times that differ by less, in seconds, differ by rounding.
_ROUNDING_S = 1e-6
#: What is left of a file behind the last row is a row of its own from this length on, seconds; less is a codec's padding.
_REST_S = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class _Span:
    """Stretches of time, sorted and without overlap: start and end `[n]`, seconds."""

    start_s: np.ndarray
    end_s: np.ndarray

    def __len__(self) -> int:
        return len(self.start_s)

    def __getitem__(self, rows: np.ndarray) -> _Span:
        return _Span(self.start_s[rows], self.end_s[rows])

    @property
    def middle_s(self) -> np.ndarray:
        """`[n]`, seconds."""
        return (self.start_s + self.end_s) / 2

    def at(self, time_s: np.ndarray) -> np.ndarray:
        """The row at each time `[m]`, -1 where there is none."""
        rows = np.searchsorted(self.start_s, time_s, side="right") - 1
        return np.where((rows >= 0) & (time_s < self.end_s[rows]), rows, -1) if len(self) else np.full(len(time_s), -1)

    def meets(self, other: _Span) -> bool:
        """Whether one begins before the other is over, both ways; each has a row."""
        return bool(self.start_s[0] < other.end_s[-1] and other.start_s[0] < self.end_s[-1])

    def shared_with(self, other: _Span) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every pair of a row here and a row of `other` that share time: their numbers and the seconds shared, `[p]` each."""
        edges = np.unique(np.concatenate([self.start_s, self.end_s, other.start_s, other.end_s]))
        seconds, middles = np.diff(edges), (edges[:-1] + edges[1:]) / 2
        own, others = self.at(middles), other.at(middles)
        pairs = (own >= 0) & (others >= 0) & (seconds > _ROUNDING_S)
        return own[pairs], others[pairs], seconds[pairs]


@dataclass(frozen=True, slots=True, eq=False)
class _Track:
    """The rows of one face, or of nobody: `data` `[n, D]`, NaN where there is nothing."""

    span: _Span
    data: np.ndarray

    def onto(self, span: _Span) -> np.ndarray:
        """`[len(span), D]`: of each column the mean over the time that a row has in common with those here, NaN for none."""
        to, of, seconds = span.shared_with(self.span)
        known = np.isfinite(self.data)[of]
        sums, weights = np.zeros((2, len(span), self.data.shape[1]))
        np.add.at(sums, to, np.where(known, self.data[of], 0.0) * seconds[:, None])
        np.add.at(weights, to, known * seconds[:, None])
        return np.divide(sums, weights, out=np.full_like(sums, np.nan), where=weights > 0)


class _Part:
    """One model's timeline.

    Attributes:
        seconds: length of its sub-sequences.
        times: its sub-sequences; sound: `[n, 1]` along them, 1 where there was sound, else NaN.
        faces: number -> track; nobody: the rows without a face. Columns: those of `targets`, then box and face_frames.
    """

    def __init__(self, timeline: Timeline, targets: Sequence[TargetConfig]) -> None:
        frame = timeline.frame
        values = _values(timeline, targets)
        shown = frame.loc[:, [*BOX, "face_frames"]].to_numpy(dtype=np.float64, na_value=np.nan)
        data = np.concatenate([values, shown], axis=1)
        span = _Span(*(frame[name].to_numpy(dtype=np.float64) for name in ("start_s", "end_s")))
        numbers = frame["face_id"].to_numpy(dtype=np.float64, na_value=np.nan)

        def track(rows: np.ndarray) -> _Track:
            return _Track(span[rows], data[rows])

        self.seconds = float(span.end_s[0] - span.start_s[0])
        self.duration_s = timeline.duration_s
        self.faces = {number: track(numbers == number) for number in timeline.faces}
        self.nobody = track(np.isnan(numbers))
        heard = frame.groupby("start_s")["audio_present"].any().to_numpy()
        first = np.unique(span.start_s, return_index=True)[1]
        self.times = span[first]
        self.sound = _Track(self.times, np.where(heard, 1.0, np.nan)[:, None])


def merge(timelines: Sequence[Timeline], targets: Sequence[TargetConfig], weights: Sequence[float]) -> tuple[Any, np.ndarray]:
    """The rows of several models' timelines of one file as one timeline's rows.

    A value is the weighted mean over the models that have one: each model's is the mean of its rows that share time with
    the row, by seconds shared. A model that does not follow the face at that time gives what it has for nobody, which it
    predicts from the sound. Face and sound of a row are present where any model was given them.

    Args:
        timelines: each with at least one row.
        targets: of the result; a continuous one of another range is mapped onto it.
        weights: one for each timeline.

    Returns:
        A DataFrame with a timeline's columns, and `[rows, models]` bool: whose values are in a row.
    """
    parts = [_Part(timeline, targets) for timeline in timelines]
    grid = _grid(parts)
    columns = [column for target in targets for column in target.columns]
    heard = np.logical_or.reduce([np.isfinite(part.sound.onto(grid)[:, 0]) for part in parts])
    free = np.ones(len(grid), bool)
    frames: list[pd.DataFrame] = []
    given: list[np.ndarray] = []
    for number, tracks in [*enumerate(_matched(parts)), (None, {})]:
        steps = free if number is None else _followed(grid, tracks)
        span = grid[steps]
        values, present = _averaged(span, tracks, parts, weights, len(columns))
        shown = _shown(span, tracks, parts, len(columns))
        frames.append(_frame(span, number, dict(zip(columns, values.T, strict=True)), shown, heard[steps]))
        given.append(present)
        if number is not None:
            free &= ~steps
    frame = pd.concat([part for part in frames if len(part)])
    order = np.lexsort([frame["face_id"].to_numpy(dtype=np.float64, na_value=-1), frame["start_s"].to_numpy()])
    return frame.iloc[order], np.concatenate(given)[order]


def _values(timeline: Timeline, targets: Sequence[TargetConfig]) -> np.ndarray:
    """`[rows, K]`: a timeline's values in the columns and ranges of `targets`, NaN for those that it lacks."""
    own = {target.name: target for target in timeline.targets}
    parts: list[np.ndarray] = []
    for target in targets:
        if target.name not in own:
            parts.append(np.full((len(timeline), len(target.columns)), np.nan))
            continue
        values = timeline.frame.loc[:, list(target.columns)].to_numpy(dtype=np.float64)
        given = own[target.name]
        if target.kind != "categorical" and (given.low, given.high) != (target.low, target.high):
            values = target.low + (values - given.low) * (target.high - target.low) / (given.high - given.low)
        parts.append(values)
    return np.concatenate(parts, axis=1)


def _grid(parts: Sequence[_Part]) -> _Span:
    """The sub-sequences of the model with the shortest, on to the end of the file where its own track ends before."""
    finest = min(parts, key=lambda part: part.seconds)
    times, seconds = finest.times, finest.seconds
    last_s = max(min(part.duration_s, float(part.times.end_s[-1])) for part in parts)
    more = np.arange(len(times), max(len(times), int(np.ceil((last_s - _REST_S) / seconds))))
    return _Span(np.append(times.start_s, more * seconds), np.append(times.end_s, (more + 1) * seconds))


def _matched(parts: Sequence[_Part]) -> list[dict[int, _Track]]:
    """Every face of the result: number of the part -> its rows there. Faces count as the finest model that sees has them.

    The pair of faces whose boxes overlap most is joined first. Two faces of one model are joined where another followed
    them as one, provided that they were never there at the same time.
    """
    nodes = [(p, number) for p in _finest_first(parts) for number in parts[p].faces]
    groups = {node: [node] for node in nodes}
    for _, a, b in sorted(_likeness(parts, nodes), key=lambda pair: -pair[0]):
        first, second = groups[a], groups[b]
        if first is second or any(_meet(parts, x, y) for x in first for y in second if x[0] == y[0]):
            continue
        first += second
        groups.update(dict.fromkeys(second, first))
    rank = {node: k for k, node in enumerate(nodes)}
    unique = {id(group): sorted(group, key=rank.__getitem__) for group in groups.values()}
    ordered = sorted(unique.values(), key=lambda group: rank[group[0]])
    return [{p: _joined([parts[q].faces[n] for q, n in group if q == p]) for p in {q for q, _ in group}} for group in ordered]


def _likeness(
    parts: Sequence[_Part], nodes: Sequence[tuple[int, int]]
) -> Iterator[tuple[float, tuple[int, int], tuple[int, int]]]:
    """Mean overlap of the boxes of each two faces of different models that may be one."""
    for a, b in combinations(nodes, 2):
        if a[0] == b[0]:
            continue
        # In the longer rows: there a box that moves is the mean of the shorter ones.
        fine, coarse = sorted((a, b), key=lambda node: parts[node[0]].seconds)
        track, other = (parts[p].faces[number] for p, number in (coarse, fine))
        if not track.span.meets(other.span):  # in a film with hundreds of faces, nearly every two
            continue
        boxes = track.data[:, -5:-1]
        others = other.onto(track.span)[:, -5:-1]
        both = np.isfinite(boxes).all(axis=1) & np.isfinite(others).all(axis=1)
        likeness = [overlap(x[None], y[None])[0, 0] for x, y in zip(boxes[both], others[both], strict=True)]
        if likeness and np.mean(likeness) >= _SAME_FACE:
            yield float(np.mean(likeness)), a, b


def _meet(parts: Sequence[_Part], a: tuple[int, int], b: tuple[int, int]) -> bool:
    first, second = (parts[p].faces[number].span.start_s for p, number in (a, b))
    return bool(np.isin(first, second).any())


def _joined(tracks: Sequence[_Track]) -> _Track:
    start_s, end_s = (np.concatenate([getattr(track.span, name) for track in tracks]) for name in ("start_s", "end_s"))
    order = np.argsort(start_s)
    return _Track(_Span(start_s[order], end_s[order]), np.concatenate([track.data for track in tracks])[order])


def _finest_first(parts: Sequence[_Part]) -> list[int]:
    return sorted(range(len(parts)), key=lambda p: parts[p].seconds)


def _followed(grid: _Span, tracks: dict[int, _Track]) -> np.ndarray:
    """The steps `[n]` in whose middle any model follows a face."""
    return np.logical_or.reduce([track.span.at(grid.middle_s) >= 0 for track in tracks.values()])


def _averaged(
    span: _Span, tracks: dict[int, _Track], parts: Sequence[_Part], weights: Sequence[float], width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Values `[n, K]`, and `[n, models]` bool: who had any."""
    sums, total = np.zeros((2, len(span), width))
    present: list[np.ndarray] = []
    for p, (part, weight) in enumerate(zip(parts, weights, strict=True)):
        values = part.nobody.onto(span)[:, :width]
        if p in tracks:
            own = tracks[p].onto(span)[:, :width]
            has_own = np.isfinite(own).any(axis=1)
            values[has_own] = own[has_own]
        known = np.isfinite(values)
        sums += weight * np.where(known, values, 0.0)
        total += weight * known
        present.append(np.asarray(known.any(axis=1)))
    mean = np.divide(sums, total, out=np.full_like(sums, np.nan), where=total > 0)
    return mean, np.stack(present, axis=1)


def _shown(span: _Span, tracks: dict[int, _Track], parts: Sequence[_Part], width: int) -> np.ndarray:
    """Box and face_frames `[n, 5]` of the finest model that was given the face at that time.

    A longer sub-sequence counts only where no finer model saw the face within it: else it would tell less exactly when.
    """
    shown = np.full((len(span), 5), np.nan)
    for p in _finest_first(parts):
        if p in tracks:
            rows = tracks[p].span.at(span.middle_s)
            told = np.isin(rows, rows[np.isfinite(shown).all(axis=1)])
            shown[~told] = tracks[p].onto(span)[~told, width:]
    return shown


def _frame(
    span: _Span, number: int | None, values: dict[str, np.ndarray], shown: np.ndarray, heard: np.ndarray
) -> pd.DataFrame:
    present = np.asarray(np.isfinite(shown).all(axis=1))
    held = [round(frames) if there else None for frames, there in zip(shown[:, 4].tolist(), present.tolist(), strict=True)]
    data: dict[str, Any] = {
        "time_s": span.middle_s,
        "start_s": span.start_s,
        "end_s": span.end_s,
        "face_id": pd.array([number] * len(span), dtype="Int64"),
        **values,
        "face_present": present,
        "audio_present": heard,
        "face_frames": pd.array(held, dtype="Int64"),
        **{name: shown[:, k] for k, name in enumerate(BOX)},
    }
    return pd.DataFrame(data)
