"""Which utterance is heard with which faces: a list of pairs, drawn without opening a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from affectzoo import Clip
from affectzoo.errors import DataError

T = TypeVar("T")
Tracks = Literal["person", "mixed"]
SPLITS = ("train", "val", "test")
NEUTRAL = "neutral"

_MOST_IMAGES = 4
_FEWEST_IMAGES = 2
#: Utterances that are mixed to babble.
_VOICES = 4


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One pair; all of it is decided but the pixels and samples.

    Attributes:
        pair_id: `train-00012`.
        emotion: the class.
        speaker, gender, intensity: of the utterance.
        utterance: file with the voice.
        babble: files of other utterances of the split, of other speakers where there are any.
        person: whose image was drawn first.
        persons: of `images`.
        images: what is shown between onset and offset, in order.
        onset, offset: neutral images.
        own_neutral: whether these two show `person`.
        seed: of every further draw.
    """

    pair_id: str
    emotion: str
    speaker: str
    gender: str
    intensity: str
    utterance: str
    babble: Sequence[str]
    person: str
    persons: Sequence[str]
    images: Sequence[str]
    onset: str
    offset: str
    own_neutral: bool
    seed: Sequence[int]

    @property
    def one_person(self) -> bool:
        """Whether all images between onset and offset show the same person."""
        return len(set(self.persons)) == 1


@dataclass(frozen=True)
class _Image:
    path: str
    person: str


class Half:
    """One corpus' clips by split and class.

    Args:
        clips: of the corpus; those with a problem or without a split are left out.
        named: class -> labels that count as it.
        what: of what corpus, for messages.

    Raises:
        DataError: somebody is in two splits.
    """

    def __init__(self, clips: Sequence[Clip], named: Mapping[str, Sequence[str]], what: str) -> None:
        self.what, self.named = what, named
        self._clips: dict[tuple[str, str], list[Clip]] = defaultdict(list)
        self._splits: set[str] = set()
        classes = {label: name for name, labels in named.items() for label in labels}
        places: dict[str, str] = {}
        for clip in clips:
            if clip.problem or not clip.split:
                continue
            if places.setdefault(clip.subject, clip.split) != clip.split:
                both = f"{places[clip.subject]} and {clip.split}"
                raise DataError(f"{what}: {clip.subject!r} is in both {both}; give it one split")
            self._splits.add(clip.split)
            if (emotion := classes.get(str(clip.scores.get("emotion")))) is not None:
                self._clips[clip.split, emotion].append(clip)

    def of(self, split: str, emotion: str) -> list[Clip]:
        """Never empty.

        Raises:
            DataError: there is none.
        """
        if split not in self._splits:
            raise DataError(f"{self.what}: no clip is of the split {split}; give each its split, or leave {split} out of pairs")
        if not (found := self._clips[split, emotion]):
            labels = " or ".join(self.named[emotion])
            raise DataError(
                f"{self.what}: nothing of {split} is labelled {labels}, the class {emotion!r}; leave the class out, or name "
                "other labels under emotions"
            )
        return found

    def all_of(self, split: str) -> list[Clip]:
        """Of every class."""
        return [clip for (own, _), clips in self._clips.items() if own == split for clip in clips]


def draw_pairs(
    speech: Half, faces: Half, split: str, count: int, classes: Sequence[str], tracks: Tracks, seed: int
) -> Iterator[Pair]:
    """`count` pairs of one split, the classes in turn; pair n is the same whatever `count` is.

    Every utterance of a class is used once before any is used again. The first image is drawn from all images of the class.
    Where its person has others of the class, the track is of this person; else, and always with `mixed`, of several.

    Raises:
        DataError: the split lacks a class, or a neutral image.
    """
    place = SPLITS.index(split)
    utterances = {emotion: speech.of(split, emotion) for emotion in classes}
    images = {emotion: [_Image(str(c.frames), c.subject) for c in faces.of(split, emotion)] for emotion in classes}
    plain: dict[str, list[str]] = defaultdict(list)
    for clip in faces.of(split, NEUTRAL):
        plain[clip.subject].append(str(clip.frames))
    own, people = _by_person(images), list(plain)
    voices = speech.all_of(split)
    for number in range(count):
        key = (seed, place, number)
        rng = np.random.default_rng(key)
        emotion = classes[number % len(classes)]
        utterance = _in_turn(utterances[emotion], number // len(classes), (seed, place, classes.index(emotion)))
        first = images[emotion][rng.integers(len(images[emotion]))]
        others = [] if tracks == "mixed" else [image for image in own[emotion, first.person] if image != first]
        if not others:
            others = [image for image in images[emotion] if image.person != first.person]
        wanted = int(rng.integers(_FEWEST_IMAGES, _MOST_IMAGES + 1)) - 1
        shown = [first, *_some(others, wanted, rng)]
        alone = tracks == "person" and len({image.person for image in shown}) == 1
        own_neutral = alone and first.person in plain
        ends = plain[first.person if own_neutral else _another(people, first.person, rng)]
        strangers = [voice for voice in voices if voice.subject != utterance.subject] or voices
        yield Pair(
            pair_id=f"{split}-{number:05d}",
            emotion=emotion,
            speaker=f"ravdess-{utterance.subject}",
            gender=str(utterance.extra["gender"]),
            intensity=str(utterance.extra["intensity"]),
            utterance=str(utterance.audio or utterance.video),
            babble=tuple(str(voice.audio or voice.video) for voice in _some(strangers, _VOICES, rng)),
            person=first.person,
            persons=tuple(image.person for image in shown),
            images=tuple(image.path for image in shown),
            onset=ends[int(rng.integers(len(ends)))],
            offset=ends[int(rng.integers(len(ends)))],
            own_neutral=own_neutral,
            seed=key,
        )


def facts_of(split: str, pairs: Sequence[Pair]) -> str:
    """What the pairs of a split are made of, in one sentence."""
    by_class: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_class[pair.emotion].append(pair)
    parts = []
    for emotion, own in by_class.items():
        shown = {path for pair in own for path in pair.images}
        heard, one = len({pair.utterance for pair in own}), sum(pair.one_person for pair in own)
        parts.append(f"{emotion} {len(own)}/{heard}/{len(shown)}/{one}")
    neutral = sum(pair.own_neutral for pair in pairs)
    return (
        f"{split}: {len(pairs)} artificial pairs, {neutral} with neutral images of the same person; pairs/utterances/images/"
        f"tracks of one person: {', '.join(parts)}"
    )


def _by_person(images: Mapping[str, Sequence[_Image]]) -> dict[tuple[str, str], list[_Image]]:
    """Class and person -> images."""
    found: dict[tuple[str, str], list[_Image]] = defaultdict(list)
    for emotion, given in images.items():
        for image in given:
            found[emotion, image.person].append(image)
    return found


def _in_turn(clips: Sequence[Clip], number: int, seed: tuple[int, ...]) -> Clip:
    """The `number`-th of an endless row that holds every clip once before any comes again."""
    again, place = divmod(number, len(clips))
    return clips[np.random.default_rng((*seed, again, 1)).permutation(len(clips))[place]]


def _some(given: Sequence[T], count: int, rng: np.random.Generator) -> list[T]:
    """`count` different ones, or all where there are fewer."""
    return [given[int(place)] for place in rng.choice(len(given), min(count, len(given)), replace=False)]


def _another(people: Sequence[str], person: str, rng: np.random.Generator) -> str:
    """Any other person, as far as there is one."""
    place = int(rng.integers(len(people)))
    return people[place] if people[place] != person else people[(place + 1) % len(people)]
