"""Predictions in the format of the ABAW challenge."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import numpy as np

from affectzoo import replacing
from affectzoo.errors import InputError
from affectzoo_datasets.aff_wild2_labels import TARGETS


def write_submission(
    predictions: Mapping[str, np.ndarray],
    path: str | PathLike[str],
    *,
    frames: Mapping[str, np.ndarray | None],
    at_least: Mapping[str, int],
) -> Path:
    """Write `image_location,valence,arousal` and a row for each frame of each test video.

    Args:
        predictions: name -> `[F, 2]`, valence and arousal of frames 0 to F - 1, within -1..1.
        path: a text file.
        frames: name, in the order of the file -> numbers from 1 of the frames that are asked for; None is all F.
        at_least: name -> the number of frames that are surely there.

    Returns:
        `path`.

    Raises:
        InputError: a video or a frame is missing or unknown, or a value is no number or out of range.
    """
    unknown = sorted(set(predictions) - set(frames))
    if unknown:
        raise InputError(f"{unknown[0]!r} is not in the test set; give predictions of its {len(frames)} videos only")
    absent = [name for name in frames if name not in predictions]
    if absent:
        raise InputError(f"predictions of {len(absent)} of {len(frames)} test videos are missing, {absent[0]!r} among them")
    checked = {name: _checked(name, predictions[name], asked, at_least.get(name, 1)) for name, asked in frames.items()}
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"image_location,{','.join(TARGETS)}\n")
        for name, values in checked.items():
            asked = frames[name]
            numbers = np.arange(1, len(values) + 1) if asked is None else asked
            rows = zip(numbers.tolist(), values[numbers - 1].tolist(), strict=True)
            file.writelines(f"{name}/{number:05d}.jpg,{v:.6f},{a:.6f}\n" for number, (v, a) in rows)
    return Path(path)


def _checked(name: str, given: np.ndarray, asked: np.ndarray | None, at_least: int) -> np.ndarray:
    values = np.asarray(given, np.float64)
    if values.ndim != 2 or values.shape[1] != len(TARGETS):
        raise InputError(f"{name}: predictions must be [frames, 2] (valence, arousal), not {list(values.shape)}")
    least = at_least if asked is None else int(asked.max())
    if len(values) < least or (asked is not None and len(values) > least):
        raise InputError(
            f"{name}: {len(values)} frames are predicted, but there are {'' if asked is not None else 'at least '}{least}; "
            "every frame needs a prediction, one without a face too"
        )
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        raise InputError(
            f"{name}: the prediction of frame {wrong[0] + 1} is no number; every frame needs one, one without a face too"
        )
    wrong = np.flatnonzero((np.abs(values) > 1).any(axis=1))
    if len(wrong):
        raise InputError(f"{name}: the prediction of frame {wrong[0] + 1} is outside -1..1; clip predictions to it")
    return values
