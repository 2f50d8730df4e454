"""The dataset `recola`: valence and arousal of remote collaboration every 40 ms."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from affectzoo import Clip, Corpus, DatasetCard, Protocol, TargetConfig, Track, unusable
from affectzoo.errors import ConfigError, DataError
from affectzoo_datasets.delivered import SOUND, VIDEO, files_under, several
from affectzoo_datasets.recola_ratings import RATE_HZ, Ratings, read_ratings

_TARGETS: tuple[str, ...] = ("valence", "arousal")
#: The challenges name recordings by partition, the first release by participant.
_AVEC = re.compile(r"(train|dev|test)_\d+")
_PARTICIPANT = re.compile(r"P\d+")
_SPLITS = {"train": "train", "dev": "val", "test": "test"}


@dataclass
class _Delivered:
    """Files of one root by the stem of their names: labels by target, those with a gold standard apart."""

    gold: dict[str, dict[str, list[Path]]] = field(default_factory=lambda: {target: {} for target in _TARGETS})
    raters: dict[str, dict[str, list[Path]]] = field(default_factory=lambda: {target: {} for target in _TARGETS})
    videos: dict[str, list[Path]] = field(default_factory=dict)
    sounds: dict[str, list[Path]] = field(default_factory=dict)

    def labels(self, stem: str) -> dict[str, list[Path]]:
        """Target -> label files of a recording; individual ratings count only where it has no gold standard at all."""
        for kind in (self.gold, self.raters):
            found = {target: kind[target][stem] for target in _TARGETS if stem in kind[target]}
            if found:
                return found
        return {}


class Recola(Corpus):
    """RECOLA: as AVEC 2016 and AV+EC 2015 distribute it (gold standard, official splits), or the first release (six raters).

    Args:
        root: holds ratings and recordings.
        label_delay_s: target -> seconds by which annotators lag; its labels are moved earlier by that much, a whole number
            of steps of 40 ms.

    Raises:
        ConfigError: a delay of an unknown target, under 0, or between two steps.
    """

    card: ClassVar[DatasetCard] = DatasetCard(
        title="RECOLA (REmote COLlaborative and Affective interactions)",
        licence="academic, non-commercial research only, under the authors' end user licence agreement; not to be passed on",
        source="https://diuf.unifr.ch/main/diva/recola/",
        how_to_obtain="have the licence agreement signed by a permanent member of an academic institution and send it to the "
        "authors; the packages of AV+EC 2015 and AVEC 2016 went to participants of these challenges under the same terms",
        layout="ratings_gold_standard/{arousal,valence}/{train,dev,test}_N.arff, recordings_video/train_N.mp4, "
        "recordings_audio/train_N.wav; or the first release: .../{arousal,valence}/P16.csv and P16.mp4, P16.wav",
        citation="Ringeval, Sonderegger, Sauer and Lalanne 2013, Introducing the RECOLA multimodal corpus of remote "
        "collaborative and affective interactions, EmoSPACE; Valstar et al. 2016, AVEC 2016, arXiv 1605.01600",
        protocol="9 recordings each for training, development and test, one person in each; reported on development, because "
        "labels of the test partition are withheld. The first release has no partitions: folds by subject",
        metric="CCC of valence and of arousal over all labels of the partition",
        checked="a miniature of the documented layout, not the corpus",
    )
    targets = tuple(TargetConfig.model_validate(name) for name in _TARGETS)
    along = _TARGETS
    #: What was done to the labels stands in every row.
    extra: Mapping[str, type] = {f"{target}_delay_s": float for target in _TARGETS}
    protocols: ClassVar[tuple[Protocol, ...]] = (
        Protocol(
            name="recola",
            summary="CCC over every label of the development partition",
            source="Valstar et al. 2016, AVEC 2016: Depression, Mood, and Emotion Recognition Workshop and Challenge, arXiv "
            "1605.01600",
            targets=_TARGETS,
            metrics=("ccc",),
            of="annotations",
            split="val",
        ),
    )

    def __init__(self, root: str | Path, *, label_delay_s: Mapping[str, float] | None = None) -> None:
        super().__init__(root)
        self.delay = dict.fromkeys(_TARGETS, 0)
        for target, seconds in (label_delay_s or {}).items():
            if target not in self.delay:
                raise ConfigError(f"label_delay_s has no target {target!r}; it takes {' and '.join(_TARGETS)}")
            self.delay[target] = _whole_steps(target, seconds)

    def scan(self) -> Iterator[Clip]:
        found = self._find()
        stems = {stem for held in (*found.gold.values(), *found.raters.values()) for stem in held}
        stems |= {*found.videos, *found.sounds}
        known = {stem for stem in stems if _AVEC.fullmatch(stem) or _PARTICIPANT.fullmatch(stem)}
        if not known:
            raise DataError(
                f"{self.root} has no recording or rating file that is called train_N, dev_N, test_N or, as in the first "
                "release, P16"
            )
        official = any(_AVEC.fullmatch(stem) for stem in known)
        for stem in sorted(stems, key=_order):
            if stem not in known:
                yield unusable(stem, f"{stem} is not called train_N, dev_N, test_N or, as in the first release, P16")
                continue
            clip = self._clip(stem, found)
            if official and not clip.split and not clip.problem:
                clip = clip.without("it has no official split, but others here have; keep the two releases in separate folders")
            yield clip

    def read(self, clip: Clip) -> Clip:
        if not clip.label_files:
            return clip
        given = {target: read_ratings(Path(path)) for target, path in zip(_TARGETS, clip.label_files, strict=True)}
        notes = [note for target in _TARGETS for note in given[target].notes]
        ends = {target: int(ratings.steps[-1]) if len(ratings.steps) else -1 for target, ratings in given.items()}
        last = min(ends.values())
        if last < 0:
            return clip.without(f"{clip.label_files[0]} and {clip.label_files[1]} hold no label at a time that both have")
        shifted: dict[str, Ratings] = {}
        for target, ratings in given.items():
            kept = ratings.steps <= last
            if not kept.all():
                beyond = int((~kept).sum())
                notes.append(f"{target}: {beyond} labels after {last / RATE_HZ:g} s, the end of the other target, are left out")
            steps = ratings.steps[kept] - self.delay[target]
            early = int((steps < 0).sum())
            if early:
                notes.append(f"{target}: {early} labels would be before the start, once moved, and are left out")
            shifted[target] = replace(ratings, steps=steps[early:], values=ratings.values[kept][early:])
        # A step for which one target has no label, such as the last ones after a delay, stays and is not valid.
        steps = [ratings.steps[ratings.steps <= last] for ratings in (*given.values(), *shifted.values())]
        grid = np.unique(np.concatenate(steps))
        values = {target: _at(grid, ratings) for target, ratings in shifted.items()}
        regular = bool((np.diff(grid) == 1).all())
        track = Track(
            times=grid / RATE_HZ,
            values=values,
            valid=np.asarray(np.isfinite(np.stack([*values.values()])).all(axis=0)),
            rate_hz=RATE_HZ if regular else math.nan,
        )
        return replace(clip, track=track, notes=(*clip.notes, *notes))

    def _find(self) -> _Delivered:
        found = _Delivered()
        for path in files_under(self.root):
            folders = [name.lower() for name in path.relative_to(self.root).parts[:-1]]
            # Features lie in folders called arousal and valence too.
            if any(name.startswith("features") for name in folders):
                continue
            target, suffix = path.parent.name.lower(), path.suffix.lower()
            kind = found.gold if path.parent.parent.name.lower() == "ratings_gold_standard" else found.raters
            if target in _TARGETS and suffix in (".arff", ".csv"):
                kind[target].setdefault(path.stem, []).append(path)
            elif suffix in VIDEO:
                found.videos.setdefault(path.stem, []).append(path)
            elif suffix in SOUND:
                found.sounds.setdefault(path.stem, []).append(path)
        return found

    def _clip(self, stem: str, found: _Delivered) -> Clip:
        avec = _AVEC.fullmatch(stem)
        split = _SPLITS[avec[1]] if avec else ""
        labels = found.labels(stem)
        videos, sounds = found.videos.get(stem, []), found.sounds.get(stem, [])
        ratings = {f"files of {target}": paths for target, paths in labels.items()}
        notes = several({"videos": videos, "sound files": sounds, **ratings})
        problem = ""
        if not videos and not sounds:
            problem = f"there is neither a video nor a sound file called {stem}"
        elif not labels and split != "test":
            problem = f"{(videos or sounds)[0]} has no label file"
        elif len(labels) == 1:
            there = next(iter(labels))
            absent = next(target for target in _TARGETS if target not in labels)
            problem = f"{labels[there][0]} is there, but no file of {absent} for the same recording"
        return Clip(
            clip_id=stem,
            subject=stem,
            split=split,
            video=str(videos[0]) if videos else None,
            audio=str(sounds[0]) if sounds else None,
            extra={f"{target}_delay_s": steps / RATE_HZ for target, steps in self.delay.items()},
            label_files=tuple(str(labels[target][0]) for target in _TARGETS) if len(labels) == len(_TARGETS) else (),
            notes=tuple(notes),
            problem=problem,
        )


def _whole_steps(target: str, seconds: float) -> int:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise ConfigError(f"label_delay_s of {target} must be a number of seconds from 0 on, not {seconds!r}")
    steps = round(seconds * RATE_HZ)
    if not math.isclose(steps / RATE_HZ, seconds, abs_tol=1e-6):
        near = f"{steps / RATE_HZ:g}"
        raise ConfigError(f"label_delay_s of {target} is {seconds:g}, no multiple of 40 ms; give {near}, for example")
    return steps


def _order(stem: str) -> tuple[int, str, int]:
    """train_1, train_2, train_10, then dev, test and the others."""
    head = stem.rstrip("0123456789")
    partition = head.removesuffix("_")
    return list(_SPLITS).index(partition) if partition in _SPLITS else len(_SPLITS), head, int(stem[len(head) :] or 0)


def _at(grid: np.ndarray, ratings: Ratings) -> np.ndarray:
    """`[m]` float32 at m steps, NaN where there is no label."""
    values = np.full(len(grid), np.nan, np.float32)
    values[np.searchsorted(grid, ratings.steps)] = ratings.values
    return values
