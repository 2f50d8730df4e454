"""Miniatures of AVEC 2013 and 2014 as their organisers deliver them: rendered media, seven recordings of six people.

| split       | recordings               |
|-------------|--------------------------|
| Training    | 203_1, 205_2, 206_1      |
| Development | 204_1, 207_1             |
| Testing     | 203_2, 210_1             |

Person 203 is in Training and in Testing. One label has a byte order mark and CRLF; labels of the dimensional task, features
and a file of the system lie beside.
"""

from __future__ import annotations

import shutil
import wave
from pathlib import Path

import numpy as np

from affectzoo.data.rendered import RenderedClip, write_clip

SPLITS = {"Training": ("203_1", "205_2", "206_1"), "Development": ("204_1", "207_1"), "Testing": ("203_2", "210_1")}
SCORES = {"203_1": 3, "205_2": 45, "206_1": 0, "204_1": 17, "207_1": 63, "203_2": 8, "210_1": 22}
TASKS = ("Freeform", "Northwind")
_CLIP = RenderedClip(2, 1, 0.5)


def write_avec2013(root: Path) -> Path:
    """Write the miniature of AVEC 2013 under `root`, and return it."""
    video = write_clip(_CLIP, root.with_name("rendered.mp4"), size=(64, 64), fps=12)
    for split, recordings in SPLITS.items():
        for recording in recordings:
            _copy(video, root / split / "video" / f"{recording}_cut_combined.mp4")
            _write_sound(root / split / "audio" / f"{recording}_cut_combined.wav")
            _write_label(root / split / "DepressionLabels", recording)
            _write(root / split / "VALabels" / f"{recording}_cut_arousal.csv", "0.1\n0.2\n")
    _write(root / ".DS_Store", "")
    return root


def write_avec2014(root: Path) -> Path:
    """Write the miniature of AVEC 2014 under `root`, and return it; labels of Testing came in an archive of their own."""
    video = write_clip(_CLIP, root.with_name("rendered.mp4"), size=(64, 64), fps=12)
    for split, recordings in SPLITS.items():
        for recording in recordings:
            for task in TASKS:
                _copy(video, root / split / task / "video" / f"{recording}_{task}_video.mp4")
                _copy(video, root / split / task / "audio" / f"{recording}_{task}_audio.mp4")
            _write_label(root / _label_folder(split), recording)
    _write(root / "Training" / "Freeform" / "features" / "203_1_Freeform_LGBP.csv", "0,0\n")
    return root


def _label_folder(split: str) -> str:
    return "AVEC2014_Labels_Testset/Testing/DepressionLabels" if split == "Testing" else f"{split}/DepressionLabels"


def _write_label(folder: Path, recording: str) -> None:
    score = f"{SCORES[recording]}\n"
    _write(folder / f"{recording}_Depression.csv", "\ufeff" + score.replace("\n", "\r\n") if recording == "205_2" else score)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")


def _copy(source: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, path)


def _write_sound(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((np.clip(_CLIP.waveform(8000), -1, 1) * 32767).astype("<i2").tobytes())
