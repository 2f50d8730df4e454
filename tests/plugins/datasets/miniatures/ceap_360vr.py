"""The arrays of CEAP-360VR in small: six people, two videos, ten steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

STEPS = 10
SPLITS = ("train", "train", "train", "val", "test", "test")
VIDEOS = ("V1", "V2")
HEADER = "file_name,row,key,subject,video,gender,age,split"
COUNT = len(SPLITS) * len(VIDEOS)


def arrays() -> dict[str, np.ndarray]:
    """As delivered: float32, the first step of the head missing."""
    random = np.random.default_rng(0)
    head = random.uniform(-180, 180, (COUNT, STEPS, 2)).astype(np.float32)
    head[:, 0] = np.nan
    return {
        "keys": np.array([key for _, key, *_ in people()]),
        "time_s": (0.1 + 0.2 * np.arange(STEPS)).astype(np.float32),
        "head_pitch_yaw_deg": head,
        "gaze_pitch_yaw_fix": random.uniform(-1, 1, (COUNT, STEPS, 3)).astype(np.float32),
        "luminance": random.uniform(0, 200, (COUNT, STEPS)).astype(np.float32),
        "valence_arousal": random.uniform(1, 9, (COUNT, STEPS, 2)).astype(np.float32),
    }


def people() -> list[tuple[int, str, str, str, str]]:
    """Row, key, subject, video, split."""
    pairs = [(f"P{person:02d}", video, split) for person, split in enumerate(SPLITS, start=1) for video in VIDEOS]
    return [(row, f"{person}_{video}", person, video, split) for row, (person, video, split) in enumerate(pairs)]


def lines() -> list[str]:
    """The table without its header."""
    return [f"ceap_streams.npz,{row},{key},{person},{video},Female,30,{split}" for row, key, person, video, split in people()]


def write_ceap(root: Path, given: dict[str, np.ndarray] | None = None, table: list[str] | None = None) -> None:
    """Both files."""
    root.mkdir(parents=True, exist_ok=True)
    np.savez(root / "ceap_streams.npz", **(arrays() if given is None else given))  # pyright: ignore[reportArgumentType]
    (root / "metadata.csv").write_text("\n".join([HEADER, *(lines() if table is None else table)]) + "\n")
