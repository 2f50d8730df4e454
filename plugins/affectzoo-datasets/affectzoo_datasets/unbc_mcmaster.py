"""UNBC-McMaster shoulder pain archive: PSPI of every frame, and what patient and observer said of every sequence."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from affectzoo import Clip, Corpus, DatasetCard, Protocol, TargetConfig, Track, lines_of, unusable
from affectzoo.errors import ConfigError, DataError
from affectzoo_datasets.delivered import names_in, read_number

_PSPI = "pspi"
_VAS = "vas"
#: Other scores of a sequence: opinion of an observer, affective and sensory scale of the patient.
_OTHERS = ("opr", "aff", "sen")
_IMAGE = re.compile(r"(?P<number>\d+)\.(png|jpe?g|bmp)", re.IGNORECASE)
_LABEL = re.compile(r"(?P<number>\d+)(_facs)?\.txt", re.IGNORECASE)


@dataclass(frozen=True)
class _Listing:
    """Files of a sequence: number of the frame -> path, and names of those that are no frame of it, or one twice."""

    frames: dict[int, str]
    strays: list[str]


class UnbcMcMaster(Corpus):
    """Sequences of whole video frames (320 x 240), in which a detector finds the faces.

    A frame whose PSPI file is empty, no number or out of range is not valid, and counted in a note. A sequence without
    VAS, or without PSPI, is used for what it has.

    Args:
        root: the folder that holds Images, Frame_Labels and Sequence_Labels.
        fps: frames per second; the corpus does not say, and 25 is assumed.

    Raises:
        ConfigError: `fps` is not a positive number.
    """

    targets = (TargetConfig.model_validate(_PSPI), TargetConfig.model_validate(_VAS))
    along = (_PSPI,)
    extra: Mapping[str, type] = dict.fromkeys(_OTHERS, float)
    protocols = (
        Protocol(
            name="unbc-loso",
            summary="PSPI of every labelled frame, leave one subject out (25 folds): RMSE (MSE is its square), MAE, PCC and "
            "ICC(3,1) over all frames together",
            source="Zhou et al. 2016, Recurrent convolutional neural network regression for continuous pain intensity "
            "estimation in video, arXiv 1605.00894",
            targets=(_PSPI,),
            metrics=("rmse", "mae", "pcc", "icc31"),
            of="annotations",
            folds="loso",
        ),
        Protocol(
            name="unbc-vas",
            summary="VAS of every sequence, 5 folds by subject: MAE and ICC(3,1) over all sequences together",
            source="Liu et al. 2017, DeepFaceLIFT: interpretable personalized models for automatic estimation of "
            "self-reported pain, arXiv 1708.04670",
            targets=(_VAS,),
            metrics=("mae", "icc31"),
            of="clips",
            folds=5,
        ),
    )
    card = DatasetCard(
        title="UNBC-McMaster shoulder pain expression archive",
        licence="research under a signed agreement; not redistributable",
        source="Lucey et al. 2011, doi 10.1109/FG.2011.5771462",
        how_to_obtain="a signed agreement with the Affect Analysis Group of the University of Pittsburgh (Jeffrey Cohn)",
        layout="Images/042-ll042/ll042t1aaaff/ll042t1aaaff001.png, Frame_Labels/PSPI/042-ll042/ll042t1aaaff/"
        "ll042t1aaaff001_facs.txt and Sequence_Labels/VAS|OPR|AFF|SEN/042-ll042/ll042t1aaaff.txt, one number in each; images "
        "are whole frames, in which a detector finds the face",
        citation="P. Lucey, J. F. Cohn, K. M. Prkachin, P. E. Solomon, I. Matthews: Painful data: the UNBC-McMaster shoulder "
        "pain expression archive database. IEEE FG 2011, 57-64",
        protocol="No official split: 25 subjects, 200 sequences, 48,398 frames; leave one subject out for PSPI, 5 folds by "
        "subject for VAS",
        metric="MSE (here its root), PCC and ICC(3,1) of PSPI; MAE and ICC(3,1) of VAS",
        checked="a miniature of the documented layout, not the corpus; the frame rate is not delivered, 25 is assumed",
    )

    def __init__(self, root: str | Path, *, fps: float = 25.0) -> None:
        super().__init__(root)
        if not 0 < fps < math.inf:
            raise ConfigError(f"fps must be a positive number, not {fps}")
        self.fps = float(fps)
        self._images = _unpacked(self.root, "Images")
        self._frame_labels = _unpacked(self.root, "Frame_Labels") / "PSPI"
        self._sequence_labels = _unpacked(self.root, "Sequence_Labels")

    def scan(self) -> Iterator[Clip]:
        if not self._images.is_dir():
            raise DataError(
                f"{self.root} has no folder Images; give the folder that holds Images, Frame_Labels, Sequence_Labels"
            )
        seen: set[tuple[str, str]] = set()
        for subject in names_in(self._images):
            if not (self._images / subject).is_dir():
                yield unusable(f"Images/{subject}", "it is no folder of a subject")
                continue
            for sequence in names_in(self._images / subject):
                seen.add((subject, sequence))
                if (self._images / subject / sequence).is_dir():
                    yield self._clip(subject, sequence)
                else:
                    yield unusable(f"Images/{subject}/{sequence}", "it is no folder of a sequence")
        yield from self._without_images(seen)

    def read(self, clip: Clip) -> Clip:
        sequence = clip.clip_id.rpartition("/")[2]
        target, vas = self.targets
        scores: dict[str, float] = {}
        notes = list(clip.notes)
        numbers: list[int] = []
        values: list[float] = []
        wrong: list[int] = []
        for path in clip.label_files:
            kind = self._kind(path)
            if kind != _PSPI:
                try:
                    scores[kind] = read_number(path)
                except DataError as error:
                    notes.append(str(error))
                continue
            number = _number(path.rpartition(os.sep)[2], sequence, _LABEL)
            try:
                value = read_number(path)
            except DataError:
                value = math.nan
            if not target.low <= value <= target.high:
                wrong.append(number)
                value = math.nan
            numbers.append(number)
            values.append(value)
        if wrong:
            notes.append(
                f"PSPI of {lines_of(wrong, what='frame')} is no number of {target.low:g} to {target.high:g} and not valid"
            )
        if not vas.low <= scores.get(_VAS, 0.0) <= vas.high:
            notes.append(f"VAS is {scores.pop(_VAS):g}, out of {vas.low:g} to {vas.high:g}, and not used")
        track = None
        if numbers:
            pspi = np.asarray(values, np.float32)
            valid = np.isfinite(pspi)
            # Frames count from 1 in the names of files, and from 0 in a track.
            track = Track(times=np.asarray(numbers, np.float64) - 1, unit="frame", values={_PSPI: pspi}, valid=valid)
        if _VAS not in scores and (track is None or not track.valid.any()):
            return replace(clip, notes=tuple(notes)).without("it has neither a valid PSPI nor a VAS")
        return replace(
            clip,
            track=track,
            scores={_VAS: scores[_VAS]} if _VAS in scores else {},
            extra={name: scores.get(name) for name in _OTHERS},
            notes=tuple(notes),
        )

    def _clip(self, subject: str, sequence: str) -> Clip:
        folder = self._images / subject / sequence
        images = _list(folder, sequence, _IMAGE)
        labels = _list(self._frame_labels / subject / sequence, sequence, _LABEL)
        whole = {name: self._sequence_labels / name.upper() / subject / f"{sequence}.txt" for name in (_VAS, *_OTHERS)}
        there = {name: str(path) for name, path in whole.items() if path.is_file()}
        notes: list[str] = []
        for strays, what in ((images.strays, "images"), (labels.strays, "PSPI files")):
            if strays:
                notes.append(f"{len(strays)} {what} are no frame of it, or one that is there twice: {', '.join(strays[:3])}")
        if labels.frames:
            for here, other, what in ((images, labels, "an image but no PSPI"), (labels, images, "PSPI but no image")):
                alone = sorted(set(here.frames) - set(other.frames))
                if alone:
                    notes.append(f"{lines_of(alone, what='frame')} {'have' if len(alone) > 1 else 'has'} {what}")
        else:
            notes.append("it has no PSPI")
        absent = [name.upper() for name in whole if name not in there]
        if absent:
            notes.append(f"it has no {', '.join(absent)}")
        clip = Clip(
            clip_id=f"{subject}/{sequence}",
            subject=subject,
            frames=str(folder),
            cropped=False,
            fps=self.fps,
            label_files=(*(labels.frames[number] for number in sorted(labels.frames)), *there.values()),
            notes=tuple(notes),
        )
        if not images.frames:
            return clip.without(f"{folder} holds no image like {sequence}001.png")
        if not labels.frames and _VAS not in there:
            return clip.without("it has neither PSPI nor VAS")
        return clip

    def _without_images(self, seen: set[tuple[str, str]]) -> Iterator[Clip]:
        """What labels speak of and `Images` does not hold, each sequence once."""
        found: dict[tuple[str, str], Path] = {}
        folders = [self._frame_labels, *(self._sequence_labels / name.upper() for name in (_VAS, *_OTHERS))]
        for folder in folders:
            for subject in names_in(folder):
                for name in names_in(folder / subject):
                    found.setdefault((subject, name.removesuffix(".txt")), folder / subject / name)
        for subject, sequence in sorted(found.keys() - seen):
            place = self._images / subject / sequence
            yield unusable(f"{subject}/{sequence}", f"{found[subject, sequence]} is there, but there is no folder {place}")

    def _kind(self, path: str) -> str:
        if path.startswith(f"{self._frame_labels}{os.sep}"):
            return _PSPI
        return Path(path).parent.parent.name.lower()


def _unpacked(root: Path, name: str) -> Path:
    """The folder of that name; some tools unpack an archive into a folder of its own name."""
    inner = root / name / name
    return inner if inner.is_dir() else root / name


def _list(folder: Path, sequence: str, pattern: re.Pattern[str]) -> _Listing:
    listing = _Listing({}, [])
    for name in names_in(folder):
        number = _number(name, sequence, pattern)
        if number < 1 or number in listing.frames:
            listing.strays.append(name)
        else:
            listing.frames[number] = f"{folder}{os.sep}{name}"
    return listing


def _number(name: str, sequence: str, pattern: re.Pattern[str]) -> int:
    """The frame that a file is of, from 1; 0 where it is of none."""
    match = pattern.fullmatch(name.removeprefix(sequence)) if name.startswith(sequence) else None
    return int(match["number"]) if match else 0
