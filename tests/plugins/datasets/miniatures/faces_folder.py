"""Folders of labelled images in small: with a table, and with a folder for each class."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

LABELS = ("happy", "sad", "angry")
HEADER = "file_name,subject,emotion,split"


def write_image(path: Path) -> Path:
    """An 8 x 8 image, in whatever format the ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(path.suffix.lower(), np.full((8, 8, 3), 90, np.uint8))
    assert done
    path.write_bytes(data.tobytes())
    return path


def rows() -> list[str]:
    """Nine images of six people, two of them with names that are not plain."""
    splits = ("train", "train", "train", "train", "val", "test")
    found = [f"images/{n}.png,p{n % 6},{LABELS[n % 3]},{splits[n % 6]}" for n in range(7)]
    return [*found, "images/grün/ein bild.JPG,p1,sad,train", "images/7.webp,p0,happy,train"]


def write_table(root: Path, lines: list[str], *, header: str = HEADER, newline: str = "\n", bom: bool = False) -> None:
    """The table, and every image that it names."""
    for line in lines:
        name = line.split(",")[0]
        if name:
            write_image(root / name)
    text = "".join(line + newline for line in [header, *lines])
    (root / "metadata.csv").write_text(text, encoding="utf-8-sig" if bom else "utf-8", newline="")


def write_classes(root: Path, *, splits: tuple[str, ...] = ("",)) -> int:
    """A folder for each class below each split; how many images there are."""
    count = 0
    for split in splits:
        for label in LABELS:
            for number in range(2):
                write_image(root / split / label / f"{number}.png")
                count += 1
    return count
