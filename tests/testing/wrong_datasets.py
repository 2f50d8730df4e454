"""A sound loader, and one for each check that breaks this promise alone."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from affectzoo import Clip, Corpus, DatasetCard, TargetConfig, Track

_CARD = DatasetCard(**{field.name: "said" for field in dataclasses.fields(DatasetCard)})


def write(root: Path) -> None:
    """Two takes of each of two people."""
    for stem in ("a1", "a2", "b1", "b2"):
        (root / f"{stem}.wav").touch()


def prepare(config: Any, *, folder: str) -> dict[str, Any]:  # noqa: ARG001
    """A dataset that is no loader."""
    return {}


class Sound(Corpus):
    """The first letter of a file is who speaks.

    Args:
        most: clips of the corpus that are taken.
    """

    card = _CARD
    targets = (TargetConfig.model_validate("valence"), TargetConfig.model_validate("arousal"))
    along = ("arousal",)
    extra = {"take": int}  # noqa: RUF012

    def __init__(self, root: str | Path, *, most: int = 100) -> None:
        super().__init__(root)
        self.most = most

    def scan(self) -> Iterator[Clip]:
        for path in sorted(self.root.glob("*.wav"))[: self.most]:
            who, take = path.stem
            split = "train" if who == "a" else "test"
            clip = Clip(clip_id=path.stem, subject=who, split=split, audio=str(path), scores={"valence": 0.5})
            yield self.listed(dataclasses.replace(clip, extra={"take": int(take)}))

    def listed(self, clip: Clip) -> Clip:
        """A clip as it is listed, of a sound one."""
        return clip

    def read(self, clip: Clip) -> Clip:
        values = {"arousal": np.array([0, 0.5, 1], np.float32)}
        return dataclasses.replace(clip, track=Track(times=np.arange(3.0), values=values, valid=np.ones(3, bool)))


class NoLicence(Sound):
    card = dataclasses.replace(_CARD, licence=" ")


class Undocumented(Sound):
    def __init__(self, root: str | Path, *, secret: int = 0) -> None:  # noqa: ARG002
        super().__init__(root)


class LooksForNoFolder(Sound):
    def __init__(self, root: str | Path) -> None:
        self.root, self.most = Path(root), 100

    def scan(self) -> Iterator[Clip]:
        list(self.root.iterdir())
        yield from super().scan()


class NeedsAFile(Sound):
    def scan(self) -> Iterator[Clip]:
        min(self.root.glob("*.wav"))
        yield from super().scan()


class OneIdEach(Sound):
    def listed(self, clip: Clip) -> Clip:
        return dataclasses.replace(clip, clip_id=clip.subject)


class NumbersForPeople(Sound):
    def listed(self, clip: Clip) -> Clip:
        return dataclasses.replace(clip, subject=ord(clip.subject))  # pyright: ignore[reportArgumentType]


class SplitsByTake(Sound):
    def listed(self, clip: Clip) -> Clip:
        return dataclasses.replace(clip, split="train" if clip.extra["take"] == 1 else "test")


class NoSuchMedia(Sound):
    def listed(self, clip: Clip) -> Clip:
        return dataclasses.replace(clip, audio=f"{clip.audio}.flac")


class NeverLabels(Sound):
    def listed(self, clip: Clip) -> Clip:
        return dataclasses.replace(clip, scores={})


class OtherRange(Sound):
    def listed(self, clip: Clip) -> Clip:
        return dataclasses.replace(clip, scores={"valence": 5.0})


class WordsForNumbers(Sound):
    def listed(self, clip: Clip) -> Clip:
        return dataclasses.replace(clip, extra={"take": str(clip.extra["take"])})


class Guesses(Sound):
    def listed(self, clip: Clip) -> Clip:
        return dataclasses.replace(clip, scores={"valence": random.random()})


class LeavesFiles(Sound):
    def read(self, clip: Clip) -> Clip:
        (self.root / "cache.json").touch()
        return super().read(clip)


class NotInARecipe(Sound):
    """As `Sound`.

    Args:
        people: whose clips are taken.
    """

    def __init__(self, root: str | Path, *, people: frozenset[str] = frozenset("ab")) -> None:  # noqa: ARG002
        super().__init__(root)


class TakesAnyKey(Sound):
    """As `Sound`.

    Args:
        rest: not looked at.
    """

    def __init__(self, root: str | Path, **rest: Any) -> None:  # noqa: ARG002
        super().__init__(root)


#: Check -> what it alone catches.
WRONG: dict[str, type[Sound]] = {
    "inputs-unchanged": LeavesFiles,
    "card-complete": NoLicence,
    "options-documented": Undocumented,
    "absent-folder": LooksForNoFolder,
    "empty-folder": NeedsAFile,
    "ids-unique": OneIdEach,
    "subjects-named": NumbersForPeople,
    "splits-by-subject": SplitsByTake,
    "media-exist": NoSuchMedia,
    "targets-labelled": NeverLabels,
    "labels-in-range": OtherRange,
    "rows-as-declared": WordsForNumbers,
    "deterministic": Guesses,
    "config-round-trip": NotInARecipe,
    "unknown-key-refused": TakesAnyKey,
}
