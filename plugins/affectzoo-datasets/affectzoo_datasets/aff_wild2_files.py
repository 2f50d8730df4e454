"""What lies in a folder of Aff-Wild2: label files, lists of test videos, folders of face crops, raw videos."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from affectzoo import read_lines
from affectzoo.errors import DataError
from affectzoo_datasets.delivered import VIDEO, is_added

#: Folder of label files -> the split it is.
SETS = {"train_set": "train", "validation_set": "val"}
_CROP = re.compile(r"(\d{5,})\.(?:jpe?g|png)", re.IGNORECASE)
_SIDE = re.compile(r"(.+)_(?:left|right)")
#: Words in the names of the other tracks' folders and lists, which lie beside those of valence and arousal.
_OTHERS = frozenset({"au", "action", "expr", "expression", "mtl", "multi", "compound"})
_OURS = frozenset({"va", "valence"})


@dataclass
class Delivered:
    """Files of one root, sorted by path.

    Attributes:
        labels: (split, label file).
        lists: files that name the videos of the test set.
        crops: name -> folders of numbered face crops; only aligned ones where there are some.
        videos: name -> raw videos.
        of_two: names of videos of which a side is annotated or cropped.
    """

    labels: list[tuple[str, Path]] = field(default_factory=list)
    lists: list[Path] = field(default_factory=list)
    crops: dict[str, list[Path]] = field(default_factory=dict)
    videos: dict[str, list[Path]] = field(default_factory=dict)
    of_two: set[str] = field(default_factory=set)


def find(root: Path) -> Delivered:
    """List a root; folders of crops are recognised by their first numbered image and not read further.

    Raises:
        DataError: a folder cannot be listed.
    """
    found, seen = Delivered(), set[str]()

    def look(folder: Path) -> None:
        # A link may lead back up.
        real = os.path.realpath(folder)
        if real in seen:
            return
        seen.add(real)
        inside: list[os.DirEntry[str]] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if folder != root and _CROP.fullmatch(entry.name):
                        found.crops.setdefault(folder.name, []).append(folder)
                        return
                    if not is_added(entry.name):
                        inside.append(entry)
        except OSError as error:
            raise DataError(f"{folder} cannot be listed: {error.strerror or error}") from error
        split = None if _other_track(folder.parent.name) else SETS.get(folder.name.lower())
        for entry in sorted(inside, key=lambda entry: entry.name):
            path = folder / entry.name
            if entry.is_dir():
                look(path)
            elif path.suffix.lower() in VIDEO:
                found.videos.setdefault(path.stem, []).append(path)
            elif path.suffix.lower() == ".txt" and split:
                found.labels.append((split, path))
            elif path.suffix.lower() == ".txt" and "test_set" in path.name.lower() and not _other_track(path.name):
                found.lists.append(path)

    look(root)
    for name, folders in found.crops.items():
        aligned = [folder for folder in folders if "aligned" in folder.parent.name.lower()]
        found.crops[name] = sorted(aligned or folders)
    found.of_two = {
        video_of(name) for name in (*found.crops, *(path.stem for _, path in found.labels)) if video_of(name) != name
    }
    found.labels.sort(key=lambda label: (list(SETS.values()).index(label[0]), label[1]))
    return found


def _other_track(name: str) -> bool:
    words = set(re.findall("[a-z]+", name.lower()))
    return bool(words & _OTHERS) and not words & _OURS


def video_of(name: str) -> str:
    """The video in which a person is: the name without `_left` or `_right`."""
    sided = _SIDE.fullmatch(name)
    return sided[1] if sided else name


def crop_numbers(folder: Path) -> np.ndarray:
    """The frame numbers, from 1 and sorted, for which a folder holds a crop."""
    with os.scandir(folder) as entries:
        numbers = [int(match[1]) for match in (_CROP.fullmatch(entry.name) for entry in entries) if match]
    return np.unique(np.asarray(numbers, np.int64))


def read_test_list(path: Path) -> dict[str, np.ndarray | None]:
    """Names in a list of test videos -> the frame numbers, from 1, that a sample submission asks for; a mere list says None.

    Raises:
        DataError: a row of a sample submission names no image.
    """
    lines = read_lines(path)
    if not lines or not lines[0].startswith("image_location"):
        return {line.strip(): None for line in lines if line.strip()}
    frames: dict[str, list[int]] = {}
    for number, line in enumerate(lines[1:], start=2):
        name, _, image = line.partition(",")[0].strip().rpartition("/")
        crop = _CROP.fullmatch(image)
        if not name or crop is None:
            raise DataError(f"{path}, line {number}: {line!r} does not begin with an image such as NAME/00001.jpg")
        frames.setdefault(name, []).append(int(crop[1]))
    return {name: np.asarray(numbers, np.int64) for name, numbers in frames.items()}


def merge_test_lists(paths: Iterable[Path]) -> dict[str, np.ndarray | None]:
    """Every name once, in the order of the lists, with the frame numbers where a sample submission gives them.

    Raises:
        DataError: a list makes no sense, or two sample submissions ask for different frames.
    """
    merged: dict[str, np.ndarray | None] = {}
    sources: dict[str, Path] = {}
    # Mere lists first: theirs is the order of the challenge.
    given = [(path, read_test_list(path)) for path in paths]
    given.sort(key=lambda one: all(frames is not None for frames in one[1].values()))
    for path, names in given:
        for name, frames in names.items():
            before = merged.get(name)
            if frames is None or before is None:
                merged[name] = frames if before is None else before
            elif not np.array_equal(before, frames):
                raise DataError(f"{sources[name]} and {path} ask for different frames of {name}; keep one of them")
            if frames is not None:
                sources.setdefault(name, path)
    return merged
