"""A corpus of numbers alone: a CSV for each clip, a signal made from its name, and no media."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import affectzoo
from affectzoo.config import ModelConfig
from affectzoo.errors import DataError

RATE_HZ = 4.0
CLASSES = ("calm", "tense", "sad")


class ToyCorpus(affectzoo.Corpus):
    """Files `[split/]SUBJECT_NUMBER.csv` with `time_s,valence`, in 1 to 9; `mood` is the class of that number.

    Args:
        root: the folder.
        shift_s: added to every time.
    """

    card = affectzoo.DatasetCard(
        title="Toy",
        licence="CC0-1.0",
        source="none",
        how_to_obtain="write_toys",
        layout="SUBJECT_NUMBER.csv",
        citation="none",
        protocol="none",
        metric="ccc",
        checked="itself",
    )
    targets = (
        affectzoo.TargetConfig(name="valence", low=1, high=9),
        affectzoo.TargetConfig(name="mood", kind="categorical", classes=CLASSES),
    )
    along = ("valence",)

    def __init__(self, root: str | Path, *, shift_s: float = 0.0) -> None:
        super().__init__(root)
        self.shift_s = shift_s
        self.signals = {"head": 2}
        self.extra = {"site": str}

    def scan(self) -> Iterator[affectzoo.Clip]:
        for path in sorted(self.root.rglob("*.csv")):
            subject, number = path.stem.split("_")
            yield affectzoo.Clip(
                clip_id=path.stem,
                subject=subject,
                split=path.parent.name if path.parent != self.root else "",
                scores={"mood": CLASSES[int(number) % len(CLASSES)]},
                extra={"site": "Köln"},
                label_files=(str(path),),
            )

    def read(self, clip: affectzoo.Clip) -> affectzoo.Clip:
        rows, header = affectzoo.read_rows(Path(clip.label_files[0]))
        if header != ["time_s", "valence"]:
            raise DataError(f"{clip.label_files[0]} has columns {header}")
        times, values = (affectzoo.to_numbers([cells[name] for _, cells in rows]) for name in header)
        track = affectzoo.Track(
            times=times + self.shift_s,
            values={"valence": values.astype(np.float32)},
            valid=np.isfinite(values),
            rate_hz=RATE_HZ,
        )
        return replace(clip, track=track, signals={"head": head_of(clip.clip_id, len(times))})


def head_of(clip_id: str, count: int) -> affectzoo.Signal:
    """Two channels at the times of the labels; the second is the clip's number."""
    times = np.arange(count) / RATE_HZ
    values = np.stack([np.sin(times), np.full(count, float(clip_id.split("_")[1]))], axis=1)
    return affectzoo.Signal(values=values.astype(np.float32), times_s=times)


def write_toys(root: Path, subjects: int, clips: int, *, splits: tuple[str, ...] = (), seconds: float = 4.0) -> Path:
    """`clips` files for each of `subjects` people, who go to the `splits` in turn."""
    for subject in range(subjects):
        folder = root / splits[subject % len(splits)] if splits else root
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(clips):
            times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
            lines = [f"{time:g},{5 + 4 * np.sin(time + subject):.4f}\n" for time in times]
            (folder / f"p{subject}_{number}.csv").write_text("".join(["time_s,valence\n", *lines]))
    return root


def toy_model(*targets: Any, samples: int = 2, seconds: float = 1.0) -> ModelConfig:
    """A model of the signal `head`; by default for the valence of the corpus."""
    return ModelConfig.parse(
        {
            "sequence": {"seconds": seconds, "length": 2},
            "streams": {
                "head": {
                    "backbone": {"name": "signal-mlp", "config": {"channels": 2, "samples": samples}},
                    "input": {"kind": "signal", "channels": 2, "samples": samples},
                }
            },
            "targets": list(targets) or [{"name": "valence", "low": 1, "high": 9}],
        }
    )
