"""`affectzoo demo --dataset`: a folder of rendered clips that the dataset `av-folder` reads."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from affectzoo.cli.console import out, remark
from affectzoo.cli.demo import CLIP_SEED, IDENTITY_SPLIT
from affectzoo.cli.predict import make_folder
from affectzoo.files import replacing

#: Annotations a second.
RATE = 10
#: Pixels and frames a second: half the work of `affectzoo demo`, and enough for the crops.
SIZE, FPS = (480, 360), 25
_RECIPE = "recipes/finetune-folder.yaml"


def write_dataset(folder: Path, *, clips: int, seconds: float) -> None:
    """Write `clips` mp4 files, each of another person that no recipe trains on, their annotations and `metadata.csv`.

    A quarter of the persons, and at least two, are for validation and as many for the test.
    """
    from affectzoo.data.folder import METADATA_FILE
    from affectzoo.data.rendered import make_clips, write_clip

    make_folder(folder)
    remark(f"rendering {clips} clips of {seconds:g} s, each of another person")
    started = time.perf_counter()
    held_out = max(2, clips // 4)
    splits = ["train"] * (clips - 2 * held_out) + ["val"] * held_out + ["test"] * held_out
    rows = []
    for number, clip in enumerate(make_clips(IDENTITY_SPLIT, identities=clips, duration_s=seconds, seed=CLIP_SEED)):
        name = f"person{number:02d}"
        write_clip(clip, folder / f"{name}.mp4", size=SIZE, fps=FPS)
        times_s = np.arange(round(seconds * RATE)) / RATE
        labels = [(f"{at:.1f}", f"{v:.4f}", f"{a:.4f}") for at, (v, a) in zip(times_s, clip.affect(times_s), strict=True)]
        _write_csv(folder / f"{name}.csv", ("time_s", "valence", "arousal"), labels)
        rows.append((f"{name}.mp4", name, splits[number]))
    _write_csv(folder / METADATA_FILE, ("file_name", "subject", "split"), rows)
    counts = ", ".join(f"{splits.count(split)} {split}" for split in dict.fromkeys(splits))
    out.print(f"{folder}: {clips} clips ({counts}) in {time.perf_counter() - started:.0f} s", markup=False, soft_wrap=True)
    out.print(
        f"  fine-tune   affectzoo train {_RECIPE} data.config.root={folder}\n"
        f"  evaluate    affectzoo evaluate jca-rendered av-folder root={folder}",
        markup=False,
        soft_wrap=True,
    )


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
