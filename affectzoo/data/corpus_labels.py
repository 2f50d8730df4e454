"""The labels of a corpus as the columns of a model: found by name, in the model's ranges and classes."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from affectzoo.config import TargetConfig
from affectzoo.data.annotations import ROUNDING_S, mean_labels
from affectzoo.data.corpus import Corpus
from affectzoo.data.schema import Clip, Track
from affectzoo.errors import DataError

#: Columns of a prepared row that hold the annotations themselves, for protocols that compare each of them, and the times of
#: the frames, for challenges that ask for a prediction of each.
ANNOTATION_COLUMNS = ("annotation.times_s", "annotation.targets", "annotation.valid", "frame_times_s")


@dataclass(frozen=True)
class _Pair:
    """A target of the model and the corpus' own of the same name."""

    model: TargetConfig
    corpus: TargetConfig
    along: bool

    def columns(self, values: np.ndarray, lost: Counter[str]) -> np.ndarray:
        """`[m, columns]` float32 of m labels as the corpus gives them, NaN where one does not count.

        Of a categorical target `values` are numbers of the corpus' classes, of others they are in the corpus' range.
        """
        if self.model.kind != "categorical":
            low, high = np.float32(self.corpus.low), np.float32(self.corpus.high)
            narrow = values.astype(np.float32)
            inside = (narrow >= low) & (narrow <= high)
            share = (values.astype(np.float64) - self.corpus.low) / (self.corpus.high - self.corpus.low)
            mapped = narrow
            if (self.model.low, self.model.high) != (self.corpus.low, self.corpus.high):
                mapped = self.model.low + np.clip(share, 0, 1) * (self.model.high - self.model.low)
            return np.where(inside, mapped, np.nan).astype(np.float32)[:, None]
        found = np.nan_to_num(values, nan=-1).astype(int)
        place = np.full(len(self.corpus.classes) + 1, -1)
        for number, name in enumerate(self.corpus.classes):
            if name in self.model.classes:
                place[number] = self.model.classes.index(name)
            elif strange := int((found == number).sum()):
                lost[f"labels {name!r} of {self.model.name}, which this model does not know, are not valid"] += strange
        # -1, no label, is the last place of all.
        chosen = place[np.where((found >= 0) & (found < len(self.corpus.classes)), found, -1)]
        shares = np.eye(len(self.model.classes), dtype=np.float32)[chosen]
        shares[chosen < 0] = np.nan
        return shares

    def score(self, clip: Clip, lost: Counter[str]) -> np.ndarray:
        """`[columns]` of the label of a whole clip."""
        given = clip.scores.get(self.model.name)
        if given is not None and self.corpus.kind == "categorical":
            given = self.corpus.classes.index(str(given))
        return self.columns(np.array([np.nan if given is None else given], np.float64), lost)[0]


class LabelPlan:
    """Which label of a corpus fills which columns of a model.

    Args:
        targets: the model's.
        corpus: what has the labels.
        rescale: map a corpus' range linearly onto the model's where they differ.

    Raises:
        DataError: the corpus lacks a target or one of its classes, or has it of another kind or in another range.
    """

    def __init__(self, targets: Sequence[TargetConfig], corpus: Corpus, *, rescale: bool) -> None:
        self.pairs = [
            _Pair(target, _counterpart(target, corpus, rescale), along=target.name in corpus.along) for target in targets
        ]
        self.along = any(pair.along for pair in self.pairs)

    def columns(self, clip: Clip, count: int, seconds: float, frame_times: np.ndarray, lost: Counter[str]) -> dict[str, Any]:
        """The plain columns of a prepared row of `count` sub-sequences, annotations and extra columns among them.

        Args:
            clip: with its labels.
            count: n.
            seconds: of a sub-sequence.
            frame_times: `[F]` seconds from the start of the media file; empty without frames.
            lost: counts what is not valid.

        Raises:
            DataError: labels count frames of a clip whose frames have no known times.
        """
        whole = np.concatenate([pair.score(clip, lost) if not pair.along else _empty(pair) for pair in self.pairs])
        labelled = bool(np.isfinite(whole).all())
        if not labelled:
            lost["clips have no label, or one out of range, and are not valid"] += 1
        times, values, valid = self._annotations(clip, whole, frame_times, lost)
        if self.along:
            targets, annotated, outside = mean_labels(times, np.nan_to_num(values), valid, count, seconds)
            lost["annotations lie before the start or after the end of their media"] += outside
            lost["sub-sequences have no valid annotation"] += int((~annotated).sum())
        else:
            targets, annotated = np.tile(whole, (count, 1)), np.full(count, labelled)
        return {
            "clip_id": clip.clip_id,
            "subject": clip.subject,
            "times_s": ((np.arange(count) + 0.5) * seconds).tobytes(),
            # A NaN would spoil a loss even where it is masked.
            "targets": np.nan_to_num(targets).astype(np.float32).tobytes(),
            "valid": annotated.tobytes(),
            "annotation.times_s": times.astype(np.float64).tobytes(),
            "annotation.targets": np.nan_to_num(values).astype(np.float32).tobytes(),
            "annotation.valid": valid.tobytes(),
            "frame_times_s": _inside(frame_times, clip).tobytes(),
            "extra": json.dumps(dict(clip.extra), ensure_ascii=False),
        }

    def _annotations(
        self, clip: Clip, whole: np.ndarray, frame_times: np.ndarray, lost: Counter[str]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`[m]` seconds from the start of the clip, `[m, K]` values and `[m]` whether they count, in the clip's part."""
        track = clip.track
        if not self.along or track is None:
            return np.zeros(0), np.zeros((0, len(whole)), np.float32), np.zeros(0, bool)
        times, timed = _seconds(track, clip, frame_times)
        lost["annotations count frames beyond the last one"] += int((~timed).sum())
        start, end = clip.start_s or 0.0, np.inf if clip.end_s is None else clip.end_s
        # What belongs to another part of the file is not lost.
        meant = timed & (times + ROUNDING_S < end)
        if clip.start_s is not None:
            meant &= times + ROUNDING_S >= start
        parts, first = [], 0
        for pair in self.pairs:
            stop = first + len(pair.model.columns)
            if pair.along:
                parts.append(pair.columns(np.asarray(track.values[pair.model.name])[meant], lost))
            else:
                parts.append(np.tile(whole[first:stop], (int(meant.sum()), 1)))
            first = stop
        values = np.concatenate(parts, axis=1)
        valid = np.asarray(track.valid, bool)[meant] & np.isfinite(values).all(axis=1)
        lost["annotations are missing, marked or out of range, and not valid"] += int((~valid).sum())
        return times[meant] - start, values, valid


def _inside(frame_times: np.ndarray, clip: Clip) -> np.ndarray:
    """`[F]` seconds from the start of the clip of the frames that are in it."""
    start_s, end_s = clip.start_s or 0.0, np.inf if clip.end_s is None else clip.end_s
    return frame_times[(frame_times >= start_s) & (frame_times < end_s)].astype(np.float64) - start_s


def _seconds(track: Track, clip: Clip, frame_times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`[m]` seconds from the start of the media file, and `[m]` whether there is such a time."""
    times = np.asarray(track.times, np.float64)
    if track.unit == "s":
        return times, np.ones(len(times), bool)
    if len(frame_times):
        return np.interp(times, np.arange(len(frame_times)), frame_times), (times >= 0) & (times <= len(frame_times) - 1)
    if clip.fps is None:
        raise DataError("its labels count frames, and no video that this model takes says when they are; give times in seconds")
    return times / clip.fps, times >= 0


def _empty(pair: _Pair) -> np.ndarray:
    return np.zeros(len(pair.model.columns), np.float32)


def _counterpart(target: TargetConfig, corpus: Corpus, rescale: bool) -> TargetConfig:
    """The corpus' own target of the name of a model's.

    Raises:
        DataError: see `LabelPlan`.
    """
    held = {own.name: own for own in corpus.targets}
    name = type(corpus).__name__
    if target.name not in held:
        near = difflib.get_close_matches(target.name, held, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise DataError(f"{name} has no labels of {target.name!r}; {hint}It has {', '.join(held) or 'none'}")
    own = held[target.name]
    if (own.kind == "categorical") != (target.kind == "categorical"):
        raise DataError(f"{target.name} is {own.kind} in {name}, but {target.kind} in this model; set its kind to {own.kind}")
    if target.kind == "categorical":
        strange = [given for given in target.classes if given not in own.classes]
        if strange:
            raise DataError(
                f"{name} has no class {strange[0]!r} of {target.name}; its classes are {', '.join(own.classes)}, and the "
                "model's must be among them"
            )
    elif (own.low, own.high) != (target.low, target.high) and not rescale:
        raise DataError(
            f"{target.name} is {own.low:g} to {own.high:g} in {name}, but {target.low:g} to {target.high:g} in this model; set "
            "the model's range (low, high), or rescale: true in data.config, which maps the one onto the other"
        )
    return own
