"""One thing that a check found, and the clips it concerns."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from affectzoo.data.check.media import MediaFacts
from affectzoo.data.schema import Clip


@dataclass(frozen=True, kw_only=True)
class ClipFacts:
    """A clip that can be used.

    Attributes:
        clip: as the loader gave it, with its labels.
        split: its official split, or `all`.
        seconds: how long it lasts; NaN where unknown.
        picture: what shows it: a video, a folder of crops or an image; None where there is none, or it was not opened.
        sound: what is heard; None likewise.
    """

    clip: Clip
    split: str
    seconds: float
    picture: MediaFacts | None = None
    sound: MediaFacts | None = None

    @property
    def fps(self) -> float:
        """Frames per second of what shows it; NaN where unknown."""
        return self.clip.fps or (math.nan if self.picture is None else self.picture.fps)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is wrong, or worth knowing.

    Attributes:
        kind: a short name that stays the same, such as `subject-in-two-splits`.
        is_problem: to be mended; else it is a remark.
        sentence: what was found, and how often.
        of: every case by name.
    """

    kind: str
    is_problem: bool
    sentence: str
    of: tuple[str, ...]


def found(kind: str, sentence: str, of: Iterable[str], *, is_problem: bool) -> list[Finding]:
    """The finding, or none without a case; `{n}` and `{s}` in the sentence become the number of cases and its plural."""
    cases = tuple(of)
    if not cases:
        return []
    said = sentence.replace("{n}", f"{len(cases):,}").replace("{s}", "" if len(cases) == 1 else "s")
    said = re.sub(r"\{(\w+)\|(\w+)\}", r"\1" if len(cases) == 1 else r"\2", said)
    return [Finding(kind=kind, is_problem=is_problem, sentence=said, of=cases)]


def grouped(said: Sequence[tuple[str, str]], root: Path) -> list[tuple[str, list[tuple[str, str]]]]:
    """Sentences about clips by what they say, whichever clip, file, line and number they name; the most frequent first.

    Args:
        said: `(clip, sentence)`.
        root: of the corpus.

    Returns:
        `(the first such sentence, all of them with their clips)`.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for clip, sentence in said:
        groups.setdefault(_pattern(clip, sentence, root), []).append((clip, sentence))
    return [(cases[0][1], cases) for cases in sorted(groups.values(), key=len, reverse=True)]


def _pattern(clip: str, sentence: str, root: Path) -> str:
    """The sentence with `*` for every name and number, and for a row of them."""
    for name in sorted({clip, Path(clip).name, Path(clip).stem, str(root)} - {""}, key=len, reverse=True):
        sentence = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "*", sentence)
    sentence = re.sub(r"'[^']*'", "*", sentence)
    # Words that are paths or files.
    sentence = re.sub(r"\S*(?:[/*\\]|\w\.\w)\S*|\d\S*", "*", sentence)
    sentence = re.sub(r"\*(?:[\s,]*(?:and )?\*)+(?: more)?", "*", sentence)
    return sentence.replace("lines *", "line *")
