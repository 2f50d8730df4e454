"""RAVDESS: 24 actors speak and sing two sentences in eight emotions; a file's name is its label."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from affectzoo import Clip, Corpus, DatasetCard, Protocol, TargetConfig, unusable
from affectzoo.errors import ConfigError, DataError
from affectzoo_datasets.delivered import files_under

#: In the order of the names: 01 is neutral.
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
SOURCE = "https://doi.org/10.1371/journal.pone.0196391"
CITATION = (
    "Livingstone SR, Russo FA (2018). The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS): a dynamic, "
    "multimodal set of facial and vocal expressions in North American English. PLoS ONE 13(5): e0196391."
)

Modality = Literal["audio-video", "video", "audio"]
Channel = Literal["speech", "song", "both"]

#: In the order of the names, and of what is preferred: 01 is picture and sound.
_MODALITIES: tuple[Modality, ...] = get_args(Modality)
_CHANNELS = ("speech", "song")
_INTENSITIES = ("normal", "strong")
_STATEMENTS = ("kids", "dogs")
_SUNG = 6
_ACTORS = 24
#: Actors of the test split, unless others are asked for.
_TEST = "21-24"
_MEDIA = (".wav", ".flac", ".mp4")
_NAME = re.compile(r"\d{2}(-\d{2}){6}")


class _Name(NamedTuple):
    """The seven numbers of a file's name."""

    modality: int
    channel: int
    emotion: int
    intensity: int
    statement: int
    repetition: int
    actor: int


class Ravdess(Corpus):
    """Files by their names, anywhere under `root`.

    Args:
        root: the unpacked archives, or any part of them.
        modality: which of the three versions of an utterance is the clip; None is the richest one of which there is a file.
            An utterance that has no file of this version is listed.
        channel: speech, song or both.
        train, val, test: actors of each split, such as `1-16` or `1-8,11`; an actor in none of them is listed.

    Raises:
        ConfigError: no such modality or channel; actors that are no numbers from 1 to 24, or in two splits.
    """

    card = DatasetCard(
        title="RAVDESS, the Ryerson Audio-Visual Database of Emotional Speech and Song",
        licence="CC-BY-NC-SA-4.0",
        source=SOURCE,
        how_to_obtain="download the archives from https://zenodo.org/records/1188976 and unpack them below one folder",
        layout="files such as Actor_01/03-01-06-01-02-01-12.wav (.flac, .mp4), in any folders: modality-channel-emotion-"
        "intensity-statement-repetition-actor",
        citation=CITATION,
        protocol="no official split; here by actor, 1-16 / 17-20 / 21-24, or 8 folds of whole actors. The clips show acted "
        "emotions, and every actor says the same two sentences.",
        metric="UAR",
        checked="audio-only speech: 1,424 of the 1,440 files themselves, as FLAC; song, audio-video and video-only: a "
        "miniature of their names",
    )
    targets = (TargetConfig(name="emotion", kind="categorical", classes=EMOTIONS),)
    extra: Mapping[str, type] = {"intensity": str, "statement": str, "repetition": int, "gender": str, "channel": str}
    protocols = (
        Protocol(
            name="ravdess",
            summary=f"speech of actors {_TEST}, eight emotions of whole clips, UAR",
            source="no official split; by actor, as speaker-independent work does",
            targets=("emotion",),
            metrics=("uar", "f1"),
            of="clips",
            split="test",
            options={"channel": "speech", "test": _TEST},
        ),
        Protocol(
            name="ravdess-8fold",
            summary="speech, 8 folds of three actors each, eight emotions of whole clips, mean UAR over folds",
            source="no official split; by actor, as speaker-independent work does",
            targets=("emotion",),
            metrics=("uar", "f1"),
            of="clips",
            folds=8,
            average="folds",
            options={"channel": "speech"},
        ),
    )

    def __init__(
        self,
        root: str | Path,
        *,
        modality: Modality | None = None,
        channel: Channel = "speech",
        train: str = "1-16",
        val: str = "17-20",
        test: str = _TEST,
    ) -> None:
        super().__init__(root)
        for name, given, known in (("modality", modality, (None, *_MODALITIES)), ("channel", channel, get_args(Channel))):
            if given not in known:
                raise ConfigError(f"{name} is {given!r}; it takes {', '.join(str(k) for k in known if k)}")
        self.modality: Modality | None = modality
        self.channel = channel
        self.split_of: dict[int, str] = {}
        for split, actors in (("train", train), ("val", val), ("test", test)):
            for actor in _actors(split, actors):
                if actor in self.split_of:
                    raise ConfigError(f"actor {actor} is in {self.split_of[actor]} and in {split}; name it once")
                self.split_of[actor] = split

    def scan(self) -> Iterator[Clip]:
        """Every utterance of the channel once, in the order of folders and names."""
        wanted = _CHANNELS if self.channel == "both" else (self.channel,)
        named: list[tuple[Path, _Name]] = []
        strange: list[Clip] = []
        channels: set[str] = set()
        for path in files_under(self.root):
            if path.suffix.lower() not in _MEDIA:
                continue
            try:
                name = _parse(path.stem)
            except DataError as error:
                strange.append(unusable(self._place(path), str(error)))
                continue
            channels.add(_CHANNELS[name.channel - 1])
            if _CHANNELS[name.channel - 1] in wanted:
                named.append((path, name))
        if not named and channels:
            raise DataError(f"{self.root} holds no {self.channel}, but {min(channels)}; give channel={min(channels)!r}")
        modality = self.modality or _MODALITIES[min((name.modality for _, name in named), default=1) - 1]
        yield from strange
        yield from self._clips(named, modality)

    def _clips(self, named: list[tuple[Path, _Name]], modality: Modality) -> Iterator[Clip]:
        number = _MODALITIES.index(modality) + 1
        first: dict[_Name, Path] = {}
        for path, name in named:
            if name.modality != number:
                continue
            if name in first:
                yield unusable(self._place(path), f"the same utterance as {self._place(first[name])}")
                continue
            first[name] = path
            yield self._clip(path, name, modality)
        others = {name._replace(modality=number): (path, name.modality) for path, name in named}
        for name, (path, other) in others.items():
            if name not in first:
                yield unusable(self._place(path), f"this utterance is there as {_MODALITIES[other - 1]}, not as {modality}")

    def _clip(self, path: Path, name: _Name, modality: Modality) -> Clip:
        split = self.split_of.get(name.actor, "")
        return Clip(
            clip_id=path.stem,
            subject=f"{name.actor:02d}",
            split=split,
            video=None if modality == "audio" else str(path),
            audio=str(path) if modality == "audio" else None,
            scores={"emotion": EMOTIONS[name.emotion - 1]},
            extra={
                "intensity": _INTENSITIES[name.intensity - 1],
                "statement": _STATEMENTS[name.statement - 1],
                "repetition": name.repetition,
                "gender": "male" if name.actor % 2 else "female",
                "channel": _CHANNELS[name.channel - 1],
            },
            problem="" if split else f"actor {name.actor} is in none of train, val and test",
        )

    def _place(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def _parse(stem: str) -> _Name:
    """The numbers of a name, each looked up in what there is.

    Raises:
        DataError: it is no name of this corpus, or one that the corpus does not have.
    """
    if not _NAME.fullmatch(stem):
        raise DataError("its name is not seven numbers of two digits, as in 03-01-06-01-02-01-12")
    name = _Name(*(int(part) for part in stem.split("-")))
    counts = _Name(len(_MODALITIES), len(_CHANNELS), len(EMOTIONS), len(_INTENSITIES), len(_STATEMENTS), 2, _ACTORS)
    for what, number, count in zip(_Name._fields, name, counts, strict=True):
        if not 1 <= number <= count:
            raise DataError(f"its name says {what} {number:02d}; there are 01 to {count:02d}")
    if name.emotion == 1 and name.intensity == 2:
        raise DataError("its name says strong intensity, which neutral does not have")
    if name.channel == 2 and name.emotion > _SUNG:
        raise DataError(f"its name says {EMOTIONS[name.emotion - 1]} song, which was not recorded")
    return name


def _actors(split: str, given: str) -> list[int]:
    """`1-3,5` -> 1, 2, 3, 5; nothing for an empty string."""
    found: list[int] = []
    for part in str(given).split(",") if given != "" else []:
        match = re.fullmatch(r"\s*(\d{1,2})\s*(?:-\s*(\d{1,2})\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= _ACTORS:
            raise ConfigError(f"{split} is {given!r}; give actors from 1 to {_ACTORS}, such as 1-16 or 1,3,5")
        found += range(first, last + 1)
    return found
