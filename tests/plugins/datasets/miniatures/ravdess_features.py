"""The table of RAVDESS features in small: four columns, one of them the trap."""

from __future__ import annotations

import json
from pathlib import Path

AUDIO = ("f0_mean", "cpp_mean")
VISUAL = ("anger_mean", "AU01_mean")
HEADER = ("file", "subject", "gender", "emotion", "intensity", "split", *AUDIO, *VISUAL)
ROWS = (
    ("01-01-01-01-01-01-01", "ravdess_01", "male", "neutral", "1", "train", "111.5", "", "0.1", "0.2"),
    ("01-01-05-02-01-01-01", "ravdess_01", "male", "angry", "2", "train", "180.25", "", "0.9", "0.3"),
    ("01-01-03-01-01-01-17", "ravdess_17", "male", "happy", "1", "val", "150", "3.5", "0.2", "0.4"),
    ("01-01-04-01-01-01-22", "ravdess_22", "female", "sad", "1", "test", "201", "nan", "0.0", "0.5"),
)


def write_features(root: Path, *rows: tuple[str, ...], header: tuple[str, ...] = HEADER, newline: str = "\n") -> Path:
    """The two files; `rows` are added to those that are sound."""
    root.mkdir(parents=True, exist_ok=True)
    table = root / "ravdess_av_features.csv"
    table.write_text("".join(",".join(cells) + newline for cells in (header, *ROWS, *rows)), encoding="utf-8", newline="")
    (root / "columns.json").write_text(json.dumps({"audio_columns": AUDIO, "video_columns": VISUAL}))
    return table
