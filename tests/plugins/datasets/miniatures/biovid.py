"""A miniature of BioVid, part A, as it is delivered: three subjects, two short rendered videos of each class.

`samples.csv` and `subjects.csv` are divided by tabs and lie in `starting_point`; biosignals lie beside the videos.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from affectzoo.data.rendered import RenderedClip, write_clip

SUBJECTS = ("071309_w_21", "071313_m_41", "082315_w_60")
CLASSES = ("BL1", "PA1", "PA2", "PA3", "PA4")
COLUMNS = ("subject_id", "subject_name", "class_id", "class_name", "sample_id", "sample_name")


def samples() -> list[str]:
    """Names of all clips."""
    return [f"{subject}-{level}-{number:03d}" for subject in SUBJECTS for level in CLASSES for number in (1, 81)]


def rows() -> list[tuple[str, ...]]:
    """Rows of `samples.csv`."""
    parts = [name.split("-") for name in samples()]
    return [
        (str(SUBJECTS.index(who) + 1), who, str(CLASSES.index(level)), level, number, f"{who}-{level}-{number}")
        for who, level, number in parts
    ]


def write_samples(path: Path, given: list[tuple[str, ...]], *, delimiter: str = "\t", end: str = "\n") -> None:
    """A `samples.csv`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = end.join(delimiter.join(row) for row in [COLUMNS, *given]) + end
    path.write_text(text, encoding="utf-8", newline="")


def video_path(root: Path, sample: str) -> Path:
    """Where the video of a sample is."""
    return root / "PartA" / "video" / sample.split("-")[0] / f"{sample}.mp4"


def write_biovid(root: Path) -> Path:
    """Write the miniature under `root`, and return it."""
    names = samples()
    first = write_clip(RenderedClip(2, 1, 0.3), video_path(root, names[0]), size=(64, 64), fps=25)
    for sample in names[1:]:
        path = video_path(root, sample)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(first, path)
    signals = root / "PartA" / "biosignals_raw" / SUBJECTS[0] / f"{names[0]}_bio.csv"
    signals.parent.mkdir(parents=True)
    signals.write_text("time\tgsr\tecg\n0\t1\t2\n")
    write_samples(root / "PartA" / "starting_point" / "samples.csv", rows())
    (root / "PartA" / "starting_point" / "subjects.csv").write_text("subject_id\tsubject_name\n1\t071309_w_21\n")
    return root
