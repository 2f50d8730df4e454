"""What the labels of a corpus are: how many count, how they are distributed, in each split and in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from affectzoo.config import TargetConfig
from affectzoo.data.corpus import Corpus
from affectzoo.data.schema import Clip

_BINS = 24
#: An ordinal target of at most so many steps is counted at each of them.
_MOST_STEPS = 40


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """The labels of one target in some clips.

    Attributes:
        labels: how many there are: along time each counts, else each clip.
        valid: how many of them count.
        mean, sd, low, high: of those that count; None of classes, and where none does.
        outside: how many lie outside the declared range.
        counts: of each class, or of each bin of the histogram.
    """

    labels: int
    valid: int
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    outside: int
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TargetFacts:
    """One target.

    Attributes:
        target: its name, kind and range.
        is_along: labelled along time; else a score of each clip.
        edges: of the histogram's bins, one more than `counts`; empty of classes.
        total: in all used clips.
        splits: split -> in its clips.
    """

    target: TargetConfig
    is_along: bool
    edges: tuple[float, ...]
    total: Distribution
    splits: Mapping[str, Distribution]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **self.target.to_json(),
            "along_time": self.is_along,
            "edges": list(self.edges),
            "total": vars(self.total),
            "splits": {split: vars(part) for split, part in self.splits.items()},
        }


def values_of(clip: Clip, target: TargetConfig) -> np.ndarray:
    """`[m]` float64: the labels that count; of a class its number; empty where the clip has none."""
    if clip.track is not None and target.name in clip.track.values:
        return np.asarray(clip.track.values[target.name], np.float64)[np.asarray(clip.track.valid, bool)]
    score = clip.scores.get(target.name)
    if score is None:
        return np.zeros(0)
    value = target.classes.index(str(score)) if target.kind == "categorical" else float(score)
    return np.full(1, value) if np.isfinite(value) else np.zeros(0)


def is_outside(values: np.ndarray, target: TargetConfig) -> np.ndarray:
    """`[m]` bool: finite values outside the declared range, or numbers of no class."""
    low, high = (0, len(target.classes) - 1) if target.kind == "categorical" else (target.low, target.high)
    # float32 may round a label at the very end of its range to the other side.
    room = 1e-6 * max(abs(low), abs(high))
    return np.isfinite(values) & ((values < low - room) | (values > high + room))


def target_facts(corpus: Corpus, clips: Mapping[str, Sequence[Clip]]) -> list[TargetFacts]:
    """Every target of a corpus.

    Args:
        corpus: names them.
        clips: split -> its clips.
    """
    everyone = [clip for part in clips.values() for clip in part]
    found = []
    for target in corpus.targets:
        is_along = target.name in corpus.along
        edges = _edges(target, _all([values_of(clip, target) for clip in everyone]))
        found.append(
            TargetFacts(
                target=target,
                is_along=is_along,
                edges=() if target.kind == "categorical" else tuple(edges.tolist()),
                total=_distribution(everyone, target, is_along, edges),
                splits={split: _distribution(part, target, is_along, edges) for split, part in clips.items()},
            )
        )
    return found


def _distribution(clips: Sequence[Clip], target: TargetConfig, is_along: bool, edges: np.ndarray) -> Distribution:
    values = _all([values_of(clip, target) for clip in clips])
    values = values[np.isfinite(values)]
    numbers: dict[str, float | None] = dict.fromkeys(("mean", "sd", "low", "high"))
    if len(values) and target.kind != "categorical":
        numbers = {
            "mean": float(values.mean()),
            "sd": float(values.std()),
            "low": float(values.min()),
            "high": float(values.max()),
        }
    return Distribution(
        labels=sum(0 if clip.track is None else len(clip.track.times) for clip in clips) if is_along else len(clips),
        valid=len(values),
        outside=int(is_outside(values, target).sum()),
        # By their number, for equal bins are counted faster than given edges.
        counts=tuple(np.histogram(values, len(edges) - 1, (edges[0], edges[-1]))[0].tolist()),
        **numbers,
    )


def _edges(target: TargetConfig, values: np.ndarray) -> np.ndarray:
    """Bins over the declared range, wider where labels leave it."""
    if target.kind == "categorical":
        return np.arange(len(target.classes) + 1) - 0.5
    reached = [target.low, target.high, *_ends(values[np.isfinite(values)])]
    low, high = min(reached), max(reached)
    if target.kind == "ordinal" and high - low <= _MOST_STEPS:
        return np.arange(np.floor(low), np.ceil(high) + 2) - 0.5
    return np.linspace(low, high, _BINS + 1)


def _ends(values: np.ndarray) -> list[float]:
    return [float(values.min()), float(values.max())] if len(values) else []


def _all(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.zeros(0)
