"""Miniatures of RECOLA: as AVEC 2016 distributes it, and the first release; rendered media, a few seconds instead of 300.

Ratings begin at 0 s and come every 40 ms. AVEC: three recordings in each partition, `test` without labels; features and
individual ratings lie beside in folders of the same names. First release: P16 and P17 with six raters, P18 not annotated.
"""

from __future__ import annotations

import shutil
import wave
from pathlib import Path

import numpy as np

from affectzoo.data.rendered import RenderedClip, write_clip

SECONDS = 2.0
STEPS = 51
RATERS = ("FM1", "FM2", "FM3", "FF1", "FF2", "FF3")
TARGETS = ("arousal", "valence")


def labels_of(stem: str, target: str) -> np.ndarray:
    """`[STEPS]` gold standard as it stands in the file."""
    seed = sum(map(ord, stem + target))
    return np.round(np.random.default_rng(seed).uniform(-0.9, 0.9, STEPS), 4)


def ratings_of(stem: str, target: str) -> np.ndarray:
    """`[STEPS, 6]` ratings as they stand in the file."""
    seed = sum(map(ord, stem + target)) + 1
    return np.round(np.random.default_rng(seed).uniform(-0.9, 0.9, (STEPS, len(RATERS))), 2)


def write_arff(path: Path, values: np.ndarray, *, old: bool = False) -> None:
    """A gold standard; `old` is the spelling of AV+EC 2015."""
    name, clock = ("name", "frametime") if old else ("Instance_name", "frameTime")
    header = (
        f"@relation GOLDSTANDARD\n\n@attribute {name} string\n@attribute {clock} numeric\n@attribute GoldStandard numeric\n"
    )
    rows = "".join(f"{path.stem},{step * 0.04:.2f},{value:.6f}\n" for step, value in enumerate(values))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{header}\n\n@data\n\n{rows}", encoding="utf-8")


def write_raters(path: Path, values: np.ndarray) -> None:
    """Individual ratings."""
    rows = "".join(f"{step * 0.04:.2f};" + ";".join(f"{v:.2f}" for v in row) + "\n" for step, row in enumerate(values))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"time;{';'.join(RATERS)}\n{rows}", encoding="utf-8")


def write_avec(root: Path) -> Path:
    """Write the miniature of AVEC 2016 under `root`, and return it."""
    stems = [f"{partition}_{number}" for partition in ("train", "dev", "test") for number in (1, 2, 3)]
    for stem in stems:
        for target in TARGETS:
            if not stem.startswith("test"):
                write_arff(root / f"ratings_gold_standard/{target}/{stem}.arff", labels_of(stem, target))
                write_raters(root / f"ratings_individual/{target}/{stem}.csv", ratings_of(stem, target))
            write_arff(root / f"features_audio/{target}/{stem}.arff", np.zeros(3))
    _write_media(root / "recordings_video", root / "recordings_audio", stems)
    return root


def write_first_release(root: Path) -> Path:
    """Write the miniature of the first release under `root`, and return it."""
    for stem in ("P16", "P17"):
        for target in TARGETS:
            write_raters(root / f"RECOLA-Annotation/emotional_behaviour/{target}/{stem}.csv", ratings_of(stem, target))
    _write_media(root / "RECOLA-Video-recordings", root / "RECOLA-Audio-recordings", ["P16", "P17", "P18"])
    return root


def _write_media(videos: Path, sounds: Path, stems: list[str]) -> None:
    clip = RenderedClip(2, 1, SECONDS)
    first = write_clip(clip, videos / f"{stems[0]}.mp4", size=(96, 96), fps=25)
    sounds.mkdir(parents=True)
    samples = (np.clip(clip.waveform(16000), -1, 1) * 32767).astype("<i2")
    for stem in stems:
        if stem != stems[0]:
            shutil.copy(first, videos / f"{stem}.mp4")
        with wave.open(str(sounds / f"{stem}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(samples.tobytes())
