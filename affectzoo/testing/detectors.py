"""Checks of a face detector, on drawn faces and on pictures without one.

Whether it finds the drawn faces is not among them: a detector of real faces may or may not.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from affectzoo.data.rendered.clip import RenderedClip
from affectzoo.testing.check import CheckFailed, Subject
from affectzoo.testing.targets import arguments_of, target_of, unknown_key_refused

#: (W, H) of the drawn pictures: wide, tall, as tall as wide, odd, and small.
_SIZES = ((320, 240), (180, 320), (224, 224), (161, 97), (64, 48))
#: (W, H) of pictures without a face, down to one that holds nothing.
_PLAIN_SIZES = ((160, 120), (33, 57), (1, 1))
#: A box may end outside the picture where a face does, by at most so many of the box's own sides.
_OUTSIDE = 0.5


def _build(subject: Subject) -> Any:
    return target_of(subject)(**arguments_of(subject))


@cache
def _drawn(size: tuple[int, int]) -> np.ndarray:
    picture = RenderedClip(identity=7, seed=1, duration_s=1.0, severity=5.0).frame(0.5, size)
    picture.setflags(write=False)
    return picture


def _faces() -> dict[str, np.ndarray]:
    """Pictures of one drawn face each, and one with the face in the right third."""
    found = {f"a drawn face, {width} x {height} pixels": _drawn((width, height)).copy() for width, height in _SIZES}
    picture = _drawn(_SIZES[0])
    aside = np.concatenate([np.full((240, 480, 3), 90, np.uint8), picture], axis=1)
    return {**found, "a drawn face at the right, 800 x 240 pixels": aside}


def _plain() -> dict[str, np.ndarray]:
    found = {}
    for width, height in _PLAIN_SIZES:
        noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
        found[f"noise, {width} x {height} pixels"] = noise
        found[f"black, {width} x {height} pixels"] = np.zeros_like(noise)
    return found


def _detect(detector: Any, what: str, picture: np.ndarray) -> np.ndarray:
    """The boxes of one picture, of the form that a detector gives.

    Raises:
        CheckFailed: they are not `[n, 5]` float32, or the detector raised.
    """
    try:
        boxes = detector.detect(picture)
    except Exception as error:
        raise CheckFailed(f"{what}: {type(error).__name__}: {error}") from error
    shown = f"{boxes.dtype} {list(boxes.shape)}" if isinstance(boxes, np.ndarray) else repr(boxes)
    if not isinstance(boxes, np.ndarray) or boxes.dtype != np.float32 or boxes.ndim != 2 or boxes.shape[1] != 5:
        raise CheckFailed(f"{what}: gave {shown}, not a float32 array [n, 5] (x0, y0, x1, y1, score)")
    return boxes


def _output_shape(subject: Subject) -> None:
    detector = _build(subject)
    for what, picture in _faces().items():
        _detect(detector, what, picture)


def _no_face(subject: Subject) -> None:
    detector = _build(subject)
    for what, picture in _plain().items():
        _detect(detector, what, picture)


def _boxes_inside(subject: Subject) -> None:
    detector = _build(subject)
    for what, picture in _faces().items():
        height, width = picture.shape[:2]
        for x0, y0, x1, y1, _ in _boxes(detector, picture):
            out_x, out_y = _OUTSIDE * (x1 - x0), _OUTSIDE * (y1 - y0)
            # A pixel at least: coordinates in 0..1 are boxes of a pixel's size in the corner.
            sound = x1 - x0 > 1 and y1 - y0 > 1
            inside = -out_x <= x0 and x1 <= width + out_x and -out_y <= y0 and y1 <= height + out_y
            if not (sound and inside):
                box = [round(float(value), 3) for value in (x0, y0, x1, y1)]
                raise CheckFailed(f"{what}: the box {box} is not x0, y0, x1, y1 in pixels of a picture [{height}, {width}, 3]")


def _scores(subject: Subject) -> None:
    detector = _build(subject)
    for what, picture in _faces().items():
        for score in _boxes(detector, picture)[:, 4]:
            if not 0 <= score <= 1:
                raise CheckFailed(f"{what}: the score {score} is not in 0..1")


def _boxes(detector: Any, picture: np.ndarray) -> np.ndarray:
    """What was found as numbers; its form is for `output-shape` to judge."""
    return np.asarray(detector.detect(picture), float).reshape(-1, 5)


def _inputs_unchanged(subject: Subject) -> None:
    detector = _build(subject)
    for what, picture in {**_faces(), **_plain()}.items():
        before = picture.copy()
        detector.detect(picture)
        if not np.array_equal(picture, before):
            raise CheckFailed(f"{what}: detect changed the picture it was given")


def _no_memory(subject: Subject) -> None:
    used, pictures = _build(subject), _faces()
    given = {what: used.detect(picture) for what, picture in pictures.items()}
    first = {what: np.array(boxes) for what, boxes in given.items()}
    for what, picture in reversed(pictures.items()):
        again = np.array(used.detect(picture))
        if not np.array_equal(given[what], first[what], equal_nan=True):
            raise CheckFailed(f"{what}: the boxes that were given changed with a later picture; give a new array each time")
        if not np.array_equal(again, first[what], equal_nan=True):
            raise CheckFailed(f"{what}: gave {again.tolist()} after other pictures, and {first[what].tolist()} before them")


def _deterministic(subject: Subject) -> None:
    for what, picture in _faces().items():
        first, second = (np.asarray(_build(subject).detect(picture)) for _ in range(2))
        if not np.array_equal(first, second, equal_nan=True):
            raise CheckFailed(f"{what}: two detectors gave {first.tolist()} and {second.tolist()}")


def _config_round_trip(subject: Subject) -> None:
    target, arguments = target_of(subject), arguments_of(subject)
    try:
        again = json.loads(json.dumps(arguments, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CheckFailed(f"its options {arguments} cannot stand in a recipe: {error}") from error
    target(**again)


CHECKS: tuple[tuple[str, str, Callable[[Subject], None]], ...] = (
    ("output-shape", "Pictures of any size give float32 boxes [n, 5].", _output_shape),
    ("no-face", "A picture without a face gives boxes of the same form, mostly none.", _no_face),
    ("boxes-inside", "Boxes are x0, y0, x1, y1 in pixels, and in the picture.", _boxes_inside),
    ("scores-in-range", "Scores are in 0..1.", _scores),
    ("inputs-unchanged", "The picture is not changed.", _inputs_unchanged),
    ("no-memory", "What is found in a picture does not depend on earlier pictures.", _no_memory),
    ("deterministic", "Two detectors find the same.", _deterministic),
    ("config-round-trip", "Options go through JSON, and a detector is built of them again.", _config_round_trip),
    ("unknown-key-refused", "An option that does not exist is refused.", unknown_key_refused),
)
