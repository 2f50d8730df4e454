"""SEMAINE as features of its utterances: the four public pickles of the conversational emotion recognition papers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affectzoo import Clip, Corpus, DatasetCard, Protocol, Signal, TargetConfig, Track, read_pickle, unusable
from affectzoo.errors import ConfigError, DataError

#: In the order of the files: AVEC_features_1.pkl is valence.
TARGETS = (
    TargetConfig(name="valence"),
    TargetConfig(name="arousal"),
    TargetConfig(name="expectancy"),
    # Published as from 0 upwards, without an end, and with errors of about 8.
    TargetConfig(name="power", low=0.0, high=100.0),
)
SPEAKERS = ("user", "operator")
SOURCE = "https://github.com/declare-lab/conv-emotion"

_PAPER = "Majumder et al. 2019, DialogueRNN: an attentive RNN for emotion detection in conversations, AAAI"
_PARTS = 9
_MODALITIES = ("text", "audio", "visual")


@dataclass(frozen=True)
class _Content:
    """The nine parts of one file, as far as they are used; each dictionary is by dialogue."""

    speakers: dict[Any, Any]
    labels: dict[Any, Any]
    signals: dict[str, dict[Any, Any]]
    train: list[Any]
    test: list[Any]


class SemaineAvec(Corpus):
    """One clip for each dialogue; its utterances are the steps, in order.

    No times are delivered: the k-th utterance, from 0, stands at k + 0.5 seconds, so that a sub-sequence of one second
    holds one. The signal `speaker` says who spoke each: user, operator.

    Args:
        root: the folder that holds `AVEC_features_1.pkl` to `AVEC_features_4.pkl`.
        val: share of the training dialogues that validate, whole ones: the last in the order of their ids, for neighbours may
            be of one person. Rounded; 0 is none.

    Raises:
        DataError: a file is absent, damaged, or names something that a table of numbers does not need.
        ConfigError: `val` is no share.
    """

    card = DatasetCard(
        title="SEMAINE, features of utterances (AVEC)",
        licence="SEMAINE's own: research, by agreement; the repository with the features is MIT and says nothing of them",
        source=SOURCE,
        how_to_obtain="the DialogueRNN features by way of github.com/declare-lab/conv-emotion; root is their folder "
        "AVEC_features. The recordings: semaine-db.eu",
        layout="AVEC_features_1.pkl (valence), _2 (arousal), _3 (expectancy), _4 (power): videoIDs, videoSpeakers, "
        "videoLabels, videoText, videoAudio, videoVisual, videoSentence, trainVid, testVid",
        citation="McKeown G, Valstar M, Cowie R, Pantic M, Schroeder M (2012). The SEMAINE database: annotated multimodal "
        "records of emotionally colored conversations between a person and a limited agent. IEEE TAC 3(1): 5-17. Features: "
        + _PAPER,
        protocol="training and test dialogues as delivered. Val is a share of the training dialogues. Who the people are is "
        "not delivered: each dialogue counts as a person of its own, so val, and folds, may share people with train. Times are "
        "numbers of utterances. The end of the range of power, 100, is an assumption; values beyond are not valid.",
        metric="MAE and PCC over utterances",
        checked="a miniature of the layout that the published loaders read, not the files",
    )
    targets = TARGETS
    along = tuple(target.name for target in TARGETS)
    protocols = (
        Protocol(
            name="semaine-avec",
            summary="test dialogues, every utterance of user and operator, MAE and PCC",
            source=_PAPER,
            targets=tuple(target.name for target in TARGETS),
            metrics=("mae", "pcc"),
            of="annotations",
            split="test",
        ),
    )

    def __init__(self, root: str | Path, *, val: float = 0.1) -> None:
        super().__init__(root)
        if isinstance(val, bool) or not isinstance(val, int | float) or not 0 <= val < 1:
            raise ConfigError(f"val is {val!r}; give a share of the training dialogues from 0 to under 1")
        self.val = val
        self.files = [self.root / f"AVEC_features_{number}.pkl" for number in range(1, len(TARGETS) + 1)]
        for path in self.files:
            if not path.is_file():
                raise DataError(f"{path} does not exist; the four files AVEC_features_1.pkl to _4.pkl belong together")
        first = _content(self.files[0])
        # Of the other three, which repeat the features, labels alone are kept.
        self._labels = [first.labels, *(_content(path).labels for path in self.files[1:])]
        for path, labels in zip(self.files, self._labels, strict=True):
            if set(map(str, labels)) != set(map(str, first.labels)):
                raise DataError(f"{path} has other dialogues than {self.files[0].name}; the four files belong together")
        self._first = first
        self.signals: Mapping[str, int] = {**_widths(first), "speaker": len(SPEAKERS)}

    def scan(self) -> Iterator[Clip]:
        """Every dialogue that a split or a label names, in the order of ids."""
        first = self._first
        train = sorted(set(first.train), key=str)
        kept = len(train) - math.floor(self.val * len(train) + 0.5)
        held = set(train[max(kept, 1) :])
        test = set(first.test)
        for vid in sorted({*first.labels, *train, *test}, key=str):
            if (vid in train) == (vid in test):
                wrong = "both trainVid and testVid" if vid in test else "neither trainVid nor testVid"
                yield unusable(str(vid), f"the dialogue is in {wrong}")
                continue
            try:
                yield self._clip(vid, "test" if vid in test else "val" if vid in held else "train")
            except DataError as error:
                yield unusable(str(vid), str(error))

    def _clip(self, vid: Any, split: str) -> Clip:
        labels = []
        for path, by_dialogue in zip(self.files, self._labels, strict=True):
            if vid not in by_dialogue:
                raise DataError(f"videoLabels of {path.name} has no such dialogue")
            labels.append(_column(by_dialogue[vid], f"videoLabels of {path.name}"))
        count = len(labels[0])
        speakers = list(self._first.speakers.get(vid, ()))
        unknown = [name for name in speakers if name not in SPEAKERS]
        if unknown:
            raise DataError(f"videoSpeakers names {str(unknown[0])[:20]!r}; there are {' and '.join(SPEAKERS)}")
        rows = {name: _matrix(self._first.signals[name].get(vid), name, self.signals[name]) for name in _MODALITIES}
        rows["speaker"] = np.array([[name == speaker for speaker in SPEAKERS] for name in speakers], np.float32)
        for name, found in [*rows.items(), *zip(self.along, labels, strict=True)]:
            if len(found) != count or not count:
                raise DataError(f"{name} has {len(found)} utterances, {self.along[0]} has {count}")
        valid, notes = np.ones(count, bool), []
        for target, values in zip(TARGETS, labels, strict=True):
            inside = (values >= target.low) & (values <= target.high)
            if not inside.all():
                notes.append(
                    f"{target.name} is no number from {target.low:g} to {target.high:g} at {(~inside).sum()} utterances"
                )
            valid &= inside
        times = np.arange(count, dtype=np.float64) + 0.5
        values = {name: column.astype(np.float32) for name, column in zip(self.along, labels, strict=True)}
        return Clip(
            clip_id=str(vid),
            subject=str(vid),
            split=split,
            track=Track(times=times, values=values, valid=valid, rate_hz=1.0),
            signals={name: Signal(values=matrix, times_s=times) for name, matrix in rows.items()},
            notes=tuple(notes),
        )


def _content(path: Path) -> _Content:
    """Raises DataError: the file does not hold the nine parts."""
    given = read_pickle(path)
    if not isinstance(given, tuple | list) or len(given) != _PARTS:
        raise DataError(f"{path} does not hold the {_PARTS} parts videoIDs to testVid; fetch it again")
    _ids, speakers, labels, text, audio, visual, _sentences, train, test = given
    by_dialogue = {
        "videoSpeakers": speakers,
        "videoLabels": labels,
        "videoText": text,
        "videoAudio": audio,
        "videoVisual": visual,
    }
    for name, part in by_dialogue.items():
        if not isinstance(part, dict):
            raise DataError(f"{path}: {name} is {type(part).__name__}, not a dictionary by dialogue; fetch it again")
    for name, part in (("trainVid", train), ("testVid", test)):
        if not isinstance(part, list | tuple | set | frozenset) or not all(isinstance(vid, str | int) for vid in part):
            raise DataError(f"{path}: {name} is no list of dialogues; fetch it again")
    return _Content(speakers, labels, dict(zip(_MODALITIES, (text, audio, visual), strict=True)), list(train), list(test))


def _widths(content: _Content) -> dict[str, int]:
    """Channels of each modality: those of the first dialogue that has any."""
    widths: dict[str, int] = {}
    for name, by_dialogue in content.signals.items():
        for vid in sorted(by_dialogue, key=str):
            try:
                widths[name] = _matrix(by_dialogue[vid], name, None).shape[1]
                break
            except DataError:  # Said of this dialogue when it is listed.
                continue
        else:
            raise DataError(f"no dialogue has {name} features that are a table of numbers; fetch the files again")
    return widths


def _matrix(given: Any, name: str, width: int | None) -> np.ndarray:
    """`[m, C]` float32, NaN where missing."""
    try:
        matrix = np.asarray([np.asarray(row, np.float32).reshape(-1) for row in given], np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"its {name} features are no table of numbers: {error}") from error
    if matrix.ndim != 2 or not matrix.size or (width is not None and matrix.shape[1] != width):
        raise DataError(f"its {name} features have shape {list(matrix.shape)}, not [utterances, {width or 'channels'}]")
    return np.where(np.isfinite(matrix), matrix, np.float32(np.nan))


def _column(given: Any, name: str) -> np.ndarray:
    """`[m]` float64."""
    try:
        return np.asarray(given, np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} are no numbers: {error}") from error
