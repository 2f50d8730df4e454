"""A miniature of Aff-Wild2 as its authors deliver it, with rendered faces: annotations, crops, raw videos, the test set.

| name                    | set   | crops                      | raw video                 |
|-------------------------|-------|----------------------------|---------------------------|
| 1-30-1280x720           | train | no face in frames 4 and 5  | batch1                    |
| video59, video59_right  | train | both people                | batch2, both in one video |
| video88                 | train |                            | batch1                    |
| 10-60-1280x720_left     | val   | yes                        | batch1, both in one video |
| 10-60-1280x720_right    | val   | yes                        | the same                  |
| video5                  | val   | no face in the last frames |                           |
| video7                  | test  | no face in frame 1         | batch2                    |
| 6-30-1920x1080_left     | test  | yes                        |                           |

Label files of the expression track and lists of the action unit track lie beside.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np

from affectzoo.data.rendered import RenderedClip, write_clip

FPS = 12
FRAMES = 18
_CROPS = {
    "1-30-1280x720": {4, 5},
    "video59": set(),
    "video59_right": {1},
    "10-60-1280x720_left": set(),
    "10-60-1280x720_right": set(),
    "video5": {16, 17, 18},
    "video7": {1},
    "6-30-1920x1080_left": set(),
}
_VIDEOS = {"1-30-1280x720": 1, "video59": 2, "video88": 1, "10-60-1280x720": 1, "video7": 2}
_SETS = {
    "Train_Set": ("1-30-1280x720", "video59", "video59_right", "video88"),
    "Validation_Set": ("10-60-1280x720_left", "10-60-1280x720_right", "video5"),
}
TEST = ("video7", "6-30-1920x1080_left")
#: Frames from 0 that annotators left out, in every label file.
INVALID = (2, 3)


def labels_of(name: str, frames: int = FRAMES) -> np.ndarray:
    """`[frames, 2]` valence and arousal as they stand in a label file, -5 at `INVALID`."""
    seed = sum(map(ord, name))
    values = np.round(np.random.default_rng(seed).uniform(-1, 1, (frames, 2)), 3)
    values[list(INVALID)] = -5
    return values


def write_labels(path: Path, values: np.ndarray) -> None:
    """A label file as delivered."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("valence,arousal\n" + "".join(f"{v:g},{a:g}\n" for v, a in values), encoding="utf-8")


def write_aff_wild2(root: Path) -> Path:
    """Write the miniature under `root`, and return it."""
    annotations = root / "annotations"
    for folder, names in _SETS.items():
        for name in names:
            write_labels(annotations / "VA_Estimation_Challenge" / folder / f"{name}.txt", labels_of(name))
    other = annotations / "EXPR_Recognition_Challenge/Train_Set/video2.txt"
    other.parent.mkdir(parents=True)
    other.write_text("Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other\n" + "4\n" * FRAMES, encoding="utf-8")
    lists = root / "names_of_videos_in_each_test_set"
    lists.mkdir()
    (lists / "Valence_Arousal_Estimation_Challenge_test_set_release.txt").write_text("\n".join(TEST), encoding="utf-8")
    (lists / "Action_Unit_Detection_Challenge_test_set_release.txt").write_text("video3\n", encoding="utf-8")

    clip = RenderedClip(3, 1, FRAMES / FPS)
    times = np.arange(FRAMES) / FPS
    faces = [cv2.cvtColor(cv2.resize(image, (56, 56)), cv2.COLOR_RGB2BGR) for image in clip.frames(times, (96, 96))]
    crops = [cv2.imencode(".jpg", face)[1].tobytes() for face in faces]
    for name, gaps in _CROPS.items():
        folder = root / "cropped_aligned" / name
        folder.mkdir(parents=True)
        for number, image in enumerate(crops, start=1):
            if number not in gaps:
                (folder / f"{number:05d}.jpg").write_bytes(image)
    video = write_clip(clip, root / "batch1/1-30-1280x720.mp4", size=(96, 96), fps=FPS)
    for name, batch in _VIDEOS.items():
        path = root / f"batch{batch}" / f"{name}.mp4"
        path.parent.mkdir(exist_ok=True)
        if path != video:
            shutil.copy(video, path)
    return root


def write_sample(root: Path, frames: dict[str, int]) -> Path:
    """A sample submission: every frame that the challenge asks for, without predictions."""
    path = root / "prediction_files_format/CVPR_6th_ABAW_VA_test_set_sample.txt"
    path.parent.mkdir(exist_ok=True)
    rows = [f"{name}/{number:05d}.jpg,\n" for name, count in frames.items() for number in range(1, count + 1)]
    path.write_text("image_location,valence,arousal\n" + "".join(rows), encoding="utf-8")
    return path
