"""AVEC 2013 and AVEC 2014: one depression severity (BDI-II) for each recording of a person at a computer."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from affectzoo import Clip, Corpus, DatasetCard, Protocol, TargetConfig, unusable
from affectzoo.errors import ConfigError, DataError
from affectzoo_datasets.delivered import SOUND, VIDEO, files_under, read_number

TASKS = ("freeform", "northwind")

_LABEL = re.compile(r"(?P<recording>\d+_\d+)_depression\.csv", re.IGNORECASE)
_SPLITS = {
    "train": re.compile(r"(?<![a-z])train(ing)?(set)?(?![a-z])"),
    "val": re.compile(r"(?<![a-z])(dev(el(opment)?)?|val(idation)?)(set)?(?![a-z])"),
    "test": re.compile(r"(?<![a-z])test(ing)?(set)?(?![a-z])"),
}


@dataclass(frozen=True)
class _Found:
    """A media file: of which recording and task (empty in 2013), in which split, and whether it is sound alone."""

    path: Path
    recording: str
    task: str
    split: str
    sound: bool

    @property
    def clip_id(self) -> str:
        return f"{self.recording}_{self.task.capitalize()}" if self.task else self.recording


def _protocols(year: int, group: str, what: str, options: Mapping[str, Any]) -> tuple[Protocol, ...]:
    source = {
        2013: "Valstar et al. 2013, AVEC 2013: the continuous audio/visual emotion and depression recognition challenge",
        2014: "Valstar et al. 2014, AVEC 2014: 3D dimensional affect and depression recognition challenge",
    }[year]
    return tuple(
        Protocol(
            name=f"avec{year}{suffix}",
            summary=f"BDI-II of each {what} of the {called} split: MAE and RMSE",
            source=source,
            targets=("bdi-ii",),
            metrics=("mae", "rmse"),
            of="clips",
            split=split,
            group=group,
            options=options,
        )
        for suffix, split, called in (("", "test", "Testing"), ("-dev", "val", "Development"))
    )


_OBTAIN = "signed agreement with the organisers; the pages of the challenge (sspnet.eu) said how"
_LICENCE = "academic research under a signed agreement; not redistributable"
_SPLIT_BY_RECORDING = (
    "Official Training, Development and Testing of 50 recordings each. They divide recordings: a person (the number before "
    "the underscore) may be in several; official=false and a fold divide people."
)
_CHECKED = "a miniature of the documented layout, not the corpus"


class Avec2013(Corpus):
    """AVEC 2013.

    Files are found by their names wherever they lie under the root; the folder nearest to a file that is called after
    a split (Training, Development, Testing, or train, dev, test) decides which one it is in.

    Recordings are divided, not people: `203_1` and `203_2` are the same person on two days. Where one is in several
    splits, its subject is written `203 (train)` and `203 (test)`, and each of its clips has a note; `person` is `203`.

    Args:
        root: the folder that holds Training, Development and Testing.
        official: False leaves the official splits out and makes the person the subject, for folds by person.
    """

    targets = (TargetConfig.model_validate("bdi-ii"),)
    extra: Mapping[str, type] = {"recording": str, "person": str}

    _name = re.compile(r"(?P<recording>\d+_\d+)(_cut)?(_(?P<kind>combined|video|audio))?", re.IGNORECASE)
    _example = "203_1_cut_combined.mp4"
    _tasks: tuple[str, ...] = ("",)
    protocols = _protocols(2013, "", "recording", {})
    card = DatasetCard(
        title="AVEC 2013 depression sub-challenge (a part of the audio-visual depressive language corpus)",
        licence=_LICENCE,
        source="Valstar et al. 2013, doi 10.1145/2512530.2512533",
        how_to_obtain=_OBTAIN,
        layout="Training|Development|Testing/.../203_1_cut_combined.mp4 (sound: .wav, or _audio in the name), and "
        "203_1_Depression.csv with one number in a folder of labels anywhere under root",
        citation="M. Valstar, B. Schuller, K. Smith, F. Eyben, B. Jiang, S. Bilakhia, S. Schnieder, R. Cowie, M. Pantic: "
        "AVEC 2013 - the continuous audio/visual emotion and depression recognition challenge. AVEC@ACM MM 2013, 3-10",
        protocol=f"{_SPLIT_BY_RECORDING} One score for each recording.",
        metric="MAE and RMSE of BDI-II",
        checked=_CHECKED,
    )

    def __init__(self, root: str | Path, *, official: bool = True) -> None:
        super().__init__(root)
        self.official = official

    def scan(self) -> Iterator[Clip]:
        media: dict[str, list[_Found]] = defaultdict(list)
        labels: dict[str, list[Path]] = defaultdict(list)
        strays: list[Clip] = []
        for path in files_under(self.root):
            label = _LABEL.fullmatch(path.name)
            if label:
                labels[label["recording"]].append(path)
            elif path.suffix.lower() in (*VIDEO, *SOUND):
                found = self._media(path)
                if found is None:
                    strays.append(unusable(self._where(path), f"its name is not like {self._example}"))
                elif found.task in self._tasks:
                    media[found.clip_id].append(found)
        if not (media or labels or strays):
            raise DataError(f"{self.root} holds no file like {self._example}; it should look so: {self.card.layout}")
        labelled = {found.split for files in media.values() for found in files if found.recording in labels}
        clips = [self._clip(media[clip_id], labels, labelled) for clip_id in sorted(media)]
        yield from self._people(clips) if self.official else clips
        for files in media.values():
            for twin in self._twins(files):
                yield unusable(self._where(twin.path), f"there is already a file of {twin.clip_id} in this split; remove one")
        for recording in sorted(labels):
            for task in self._tasks:
                clip_id = f"{recording}_{task.capitalize()}" if task else recording
                if clip_id not in media:
                    yield unusable(clip_id, f"{labels[recording][0]} is there, but no video or sound like {self._example}")
        yield from strays

    def read(self, clip: Clip) -> Clip:
        if not clip.label_files:
            return clip
        numbers = {path: read_number(path) for path in clip.label_files}
        (first, score), *others = numbers.items()
        for path, other in others:
            if other != score:
                raise DataError(f"{first} says {score:g} and {path} {other:g}; remove the wrong one")
        target = self.targets[0]
        if not target.low <= score <= target.high:
            raise DataError(f"{first} holds {score:g}, which is no BDI-II score ({target.low:g} to {target.high:g})")
        return replace(clip, scores={target.name: score})

    def _media(self, path: Path) -> _Found | None:
        name = self._name.fullmatch(path.stem)
        if name is None:
            return None
        parts = name.groupdict()
        kind = (parts["kind"] or "").lower()
        sound = kind == "audio" or path.suffix.lower() in SOUND
        return _Found(path, parts["recording"], (parts.get("task") or "").lower(), self._split(path), sound)

    def _split(self, path: Path) -> str:
        for folder in reversed(path.relative_to(self.root).parts[:-1]):
            for split, pattern in _SPLITS.items():
                if pattern.search(folder.lower()):
                    return split
        return ""

    def _clip(self, files: Sequence[_Found], labels: dict[str, list[Path]], labelled: set[str]) -> Clip:
        first = files[0]
        person = first.recording.split("_")[0]
        videos, sounds = ([str(found.path) for found in files if found.sound is sound] for sound in (False, True))
        given = labels.get(first.recording, [])
        extra = {"recording": first.recording, "person": person}
        notes = [f"it has {len(given)} label files"] if len(given) > 1 else []
        if not videos:
            notes.append("it has sound, but no video")
        if not given and first.split == "test" and "test" not in labelled:
            notes.append("it has no label: those of the test split are not there")
        clip = Clip(
            clip_id=first.clip_id,
            subject=person,
            split=first.split if self.official else "",
            video=videos[0] if videos else None,
            audio=sounds[0] if sounds else None,
            extra=extra | {"task": first.task} if first.task else extra,
            label_files=tuple(map(str, given)),
            notes=tuple(notes),
        )
        elsewhere = next((found for found in files if found.split != first.split), None)
        if elsewhere is not None:
            return clip.without(f"{first.path} and {elsewhere.path} are in different splits; remove one")
        if self.official and not first.split:
            return clip.without(f"{first.path} is in no folder called Training, Development or Testing")
        # Withheld labels of the test split are no mistake, unless somebody wants to train on them.
        if not given and not (self.official and first.split == "test" and "test" not in labelled):
            return clip.without(f"there is no {first.recording}_Depression.csv")
        return clip

    @staticmethod
    def _twins(files: Sequence[_Found]) -> list[_Found]:
        """Files beyond the first video and the first sound of a clip whose files are in one split."""
        if len({found.split for found in files}) > 1:
            return []
        return [twin for sound in (False, True) for twin in [found for found in files if found.sound is sound][1:]]

    @staticmethod
    def _people(clips: Sequence[Clip]) -> Iterator[Clip]:
        """The clips, with a subject for each split that a person is in."""
        splits: dict[str, set[str]] = defaultdict(set)
        for clip in clips:
            if not clip.problem:
                splits[clip.subject].add(clip.split)
        for clip in clips:
            others = sorted(splits[clip.subject] - {clip.split})
            if clip.problem or not others:
                yield clip
                continue
            note = f"person {clip.subject} is also in {' and '.join(others)}; official=false makes folds by person"
            yield replace(clip, subject=f"{clip.subject} ({clip.split})", notes=(*clip.notes, note))

    def _where(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


class Avec2014(Avec2013):
    """AVEC 2014: two tasks of each recording, reading aloud (Northwind) and answering a question (Freeform).

    Files and subjects are found as in AVEC 2013; the column `task` says which task a clip is of.

    Args:
        root: the folder that holds Training, Development and Testing.
        tasks: which tasks are read.
        official: False leaves the official splits out and makes the person the subject, for folds by person.

    Raises:
        ConfigError: no task, or an unknown one.
    """

    _name = re.compile(r"(?P<recording>\d+_\d+)_(?P<task>freeform|northwind)(_(?P<kind>video|audio))?", re.IGNORECASE)
    _example = "203_1_Freeform_video.mp4"
    extra: Mapping[str, type] = {**Avec2013.extra, "task": str}
    protocols = _protocols(2014, "recording", "recording, the mean of its two tasks,", {"tasks": TASKS})
    card = DatasetCard(
        title="AVEC 2014 depression sub-challenge (Freeform and Northwind tasks of AVEC 2013)",
        licence=_LICENCE,
        source="Valstar et al. 2014, doi 10.1145/2661806.2661807",
        how_to_obtain=_OBTAIN,
        layout="Training|Development|Testing/Freeform|Northwind/.../203_1_Freeform_video.mp4 (sound: .wav, or "
        "203_1_Freeform_audio.mp4), and 203_1_Depression.csv with one number in a folder of labels anywhere under root",
        citation="M. Valstar, B. Schuller, K. Smith, T. Almaev, F. Eyben, J. Krajewski, R. Cowie, M. Pantic: AVEC 2014 - "
        "3D dimensional affect and depression recognition challenge. AVEC@ACM MM 2014, 3-10",
        protocol=f"{_SPLIT_BY_RECORDING} One score for each recording: predictions of its two tasks are averaged.",
        metric="MAE and RMSE of BDI-II",
        checked=_CHECKED,
    )

    def __init__(self, root: str | Path, *, tasks: Sequence[str] = TASKS, official: bool = True) -> None:
        super().__init__(root, official=official)
        unknown = sorted(set(tasks) - set(TASKS))
        if unknown or not tasks or isinstance(tasks, str):
            wrong = f"has {unknown[0]!r}" if unknown and not isinstance(tasks, str) else f"is {tasks!r}"
            raise ConfigError(f"tasks {wrong}; give a list of {' and '.join(TASKS)}")
        self._tasks = tuple(task for task in TASKS if task in tasks)
