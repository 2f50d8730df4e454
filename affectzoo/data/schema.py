"""What a corpus is made of: clips with their labels, before any model is known.

Media are named by path and never opened here. `affectzoo.data.table` holds clips as the rows of a `datasets.Dataset`,
`affectzoo.data.corpus_windows` prepares them for the inputs of a model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

SPLITS = ("train", "val", "test")

#: The target whose classes are the people themselves: the one task in which a subject is in every split.
IDENTITY = "identity"

#: What a whole clip is labelled with: a number, or the name of a class.
Score = float | str
#: What an extra column may hold.
Extra = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class Track:
    """m labels along a clip.

    Attributes:
        times: `[m]` float64, increasing: seconds from the start of the media file, or frame numbers from 0.
        unit: which of the two (`s` or `frame`).
        values: target -> `[m]` float32 in the target's own range; of a categorical target the number of the class.
        valid: `[m]` bool; labels that count, of all targets at once.
        rate_hz: labels per second; NaN where times are irregular or counted in frames.
    """

    times: np.ndarray
    unit: Literal["s", "frame"] = "s"
    values: Mapping[str, np.ndarray]
    valid: np.ndarray
    rate_hz: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Signal:
    """What a sensor, or somebody's feature extractor, gave along a clip.

    Attributes:
        values: `[m, C]` float32; NaN where missing.
        times_s: `[m]` float64, increasing seconds from the start of the clip. One row of features of the whole clip has
            m = 1 and time 0.
    """

    values: np.ndarray
    times_s: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip as delivered.

    Attributes:
        clip_id: unique in the corpus; says where it was found.
        subject: who is in it; empty only where `problem` says why the clip cannot be used.
        split: `train`, `val` or `test`; empty where the corpus has no official one.
        video: a file; its sound counts too, unless `audio` names another file.
        audio: a file with sound.
        frames: a folder of pictures that are numbered from 1 (`00001.jpg`; a missing one is a missing face), or one image
            (the clip is one sub-sequence).
        cropped: `frames` are face crops, taken as they are unless a detector is asked for by name; false: a detector has to
            find the face in them.
        fps: frames per second of a folder of crops; None where `video` or the user has to say.
        start_s, end_s: the part of the media that is meant; None is the file's own start and end.
        scores: target -> label of the whole clip; a target that is absent or NaN is not labelled.
        track: labels along time; None before `Corpus.read`, and where there are none.
        signals: modality -> what is given as numbers and not as media.
        extra: further columns.
        label_files: files that `Corpus.read` opens; a cache made of others is not taken.
        notes: what is wrong with it and counted, as sentences; the clip is used all the same.
        problem: why it cannot be used; empty where it can.
    """

    clip_id: str
    subject: str
    split: str = ""
    video: str | None = None
    audio: str | None = None
    frames: str | None = None
    cropped: bool = True
    fps: float | None = None
    start_s: float | None = None
    end_s: float | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)
    track: Track | None = None
    signals: Mapping[str, Signal] = field(default_factory=dict)
    extra: Mapping[str, Extra | None] = field(default_factory=dict)
    label_files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""

    @property
    def is_image(self) -> bool:
        """Whether it is a single picture; else `frames` is a folder of them, or there is none."""
        return self.frames is not None and not Path(self.frames).is_dir()

    def without(self, problem: str) -> Clip:
        """The clip as one that cannot be used, and why."""
        return replace(self, problem=problem)


def unusable(clip_id: str, problem: str) -> Clip:
    """Something found in a corpus that is no clip: it is listed, and never used."""
    return Clip(clip_id=clip_id, subject="", problem=problem)
