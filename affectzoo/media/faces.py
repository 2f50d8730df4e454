"""What a face detector is, boxes, and which detector to take when nobody chose one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import cv2
import numpy as np

from affectzoo.errors import DetectorError

#: Long side, in pixels, of the image that detectors are given: faces of 20 px in it are found, at 2 to 3 ms a frame.
DETECT_SIDE = 320


@runtime_checkable
class Detector(Protocol):
    """Finds faces in one picture. Boxes follow YuNet's convention: forehead to chin, ear to ear."""

    def detect(self, image: np.ndarray) -> np.ndarray:
        """`[H, W, 3]` uint8 RGB to `[n, 5]` float32: x0, y0, x1, y1 in pixels of the image, score in 0..1."""
        ...


def detect_reduced(detector: Detector, image: np.ndarray, side: int = DETECT_SIDE) -> np.ndarray:
    """Run a detector on the image reduced to `side` pixels on its long side.

    Returns:
        `[n, 5]` float32, in pixels of `image`; empty and non-finite boxes are left out.
    """
    scale = side / max(image.shape[:2])
    if scale < 1.0:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        # Area averaging: without it a face in a 1080p picture turns into noise that detectors do not know.
        reduced = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    else:
        reduced = image
    # A detector may be anybody's: whatever goes wrong inside it is its error, told in one sentence.
    try:
        found = np.asarray(detector.detect(reduced), dtype=np.float32)
    except Exception as error:
        raise DetectorError(f"the face detector {type(detector).__name__} failed: {type(error).__name__}: {error}") from error
    if found.size and (found.ndim != 2 or found.shape[1] != 5):
        raise DetectorError(
            f"the face detector {type(detector).__name__} must return [n, 5] (x0, y0, x1, y1, score), not {list(found.shape)}"
        )
    found = found.reshape(-1, 5).copy()
    found[:, [0, 2]] *= image.shape[1] / reduced.shape[1]
    found[:, [1, 3]] *= image.shape[0] / reduced.shape[0]
    usable = np.isfinite(found).all(axis=1) & (found[:, 2] > found[:, 0]) & (found[:, 3] > found[:, 1])
    return found[usable]


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes `[n, 4]` with boxes `[m, 4]`: `[n, m]` in 0..1."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    shared = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    areas = [(x[:, 2:4] - x[:, :2]).prod(axis=1) for x in (a, b)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None, :] - shared, 1e-9)


_said_fallback = threading.Event()


def auto_detector(say: Callable[[str], None] | None = None) -> Detector:
    """YuNet where its weights are at hand or can be fetched, else Haar, with one sentence through `say` once per process.

    Raises:
        DetectorError: neither can be built.
    """
    from affectzoo.media.detectors.haar import HaarDetector
    from affectzoo.media.detectors.yunet import YuNetDetector

    try:
        return YuNetDetector(local_files_only=_fallback_known() or _offline())
    except DetectorError as missing:
        detector = HaarDetector()
        if not _said_fallback.is_set():
            _said_fallback.set()
            if say is not None:
                say(f"using the Haar face detector, which misses more faces, because YuNet is not at hand: {missing}")
        return detector


def _fallback_known() -> bool:
    # One attempt to download per process: a batch of a hundred files must not wait a hundred times for a dead network.
    return _said_fallback.is_set()


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in {"1", "true", "yes", "on"}
