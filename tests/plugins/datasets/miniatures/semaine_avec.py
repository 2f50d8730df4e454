"""The four pickles of SEMAINE features in small: protocol 2, arrays in lists, sentences as bytes, dialogues in sets."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

WIDTHS = {"text": 4, "audio": 3, "visual": 5}
TRAIN = tuple(f"train_{number:02d}" for number in range(1, 11))
TEST = ("test_01", "test_02")
#: Of the four files: by what labels are multiplied.
SCALES = (1.0, 0.5, -1.0, 20.0)


def utterances(vid: str) -> int:
    """From 3 to 6."""
    return 3 + int(vid[-2:]) % 4


def labels(vid: str, scale: float) -> list[float]:
    """Within 0..1 before they are scaled."""
    count = utterances(vid)
    return [scale * (number + 1) / count for number in range(count)]


def content(scale: float) -> list[Any]:
    """The nine parts of one file."""
    vids = (*TRAIN, *TEST)
    ids = {vid: [f"{vid}_{number}" for number in range(utterances(vid))] for vid in vids}
    speakers = {vid: ["user" if number % 2 else "operator" for number in range(utterances(vid))] for vid in vids}
    signals = [
        {vid: [np.full(width, number + 0.5) for number in range(utterances(vid))] for vid in vids} for width in WIDTHS.values()
    ]
    sentences = {vid: [b"well, \xc3\xa9h" for _ in range(utterances(vid))] for vid in vids}
    scaled = {vid: labels(vid, scale) for vid in vids}
    return [ids, speakers, scaled, *signals, sentences, set(TRAIN), list(TEST)]


def write_semaine(root: Path) -> None:
    """All four files."""
    root.mkdir(parents=True, exist_ok=True)
    for number, scale in enumerate(SCALES, start=1):
        write_part(root, number, content(scale))


def write_part(root: Path, number: int, parts: Any) -> None:
    """One file."""
    (root / f"AVEC_features_{number}.pkl").write_bytes(pickle.dumps(tuple(parts), protocol=2))
