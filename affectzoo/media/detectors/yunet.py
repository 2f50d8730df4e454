"""YuNet (Wu et al., Machine Intelligence Research 2023) through OpenCV: small, quick, finds turned and partly hidden faces."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from affectzoo.errors import DetectorError, DownloadError
from affectzoo.media.faces import DETECT_SIDE
from affectzoo.remote.hub_files import fetch_files
from affectzoo.remote.options import DownloadOptions

REPOSITORY = "opencv/face_detection_yunet"
FILE = "face_detection_yunet_2023mar.onnx"
#: Environment variable with the path of the weights.
WEIGHTS_VARIABLE = "AFFECTZOO_YUNET"

_OVERLAP = 0.3
_MOST_CANDIDATES = 100


class YuNetDetector:
    """YuNet with weights from a file, from `AFFECTZOO_YUNET`, from the Hub's cache, or from the Hub, in this order.

    Args:
        weights: path of the ONNX file.
        score_threshold: detections under it are left out.
        max_side: pixels; a larger picture is reduced to it first.
        local_files_only: never download.

    Raises:
        DetectorError: no weights to be had, or a damaged file.
    """

    def __init__(
        self,
        weights: str | None = None,
        score_threshold: float = 0.6,
        max_side: int = DETECT_SIDE,
        local_files_only: bool = False,
    ) -> None:
        self.max_side = max_side
        path = _weights(weights, local_files_only)
        # Read here and not by OpenCV: its reader writes C++ traces to the terminal and dislikes some file names.
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DetectorError(f"{path}: the YuNet weights cannot be read ({error.strerror}); check the path") from error
        try:
            self._net = _quiet(content, score_threshold)
        except cv2.error as error:
            raise DetectorError(
                f"{path}: these are not YuNet weights, or they are damaged; fetch {FILE} anew from {REPOSITORY}"
            ) from error

    def detect(self, image: np.ndarray) -> np.ndarray:
        """`[H, W, 3]` uint8 RGB to `[n, 5]` float32: x0, y0, x1, y1 in pixels of the image, score."""
        height, width = image.shape[:2]
        scale = min(1.0, self.max_side / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        if scale < 1.0:
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        self._net.setInputSize(size)
        _, found = self._net.detect(picture)
        if found is None:
            return np.zeros((0, 5), dtype=np.float32)
        x, y, w, h = found[:, :4].T
        boxes = np.stack([x, y, x + w, y + h, found[:, 14]], axis=1).astype(np.float32)
        boxes[:, [0, 2]] *= width / size[0]
        boxes[:, [1, 3]] *= height / size[1]
        return boxes


def _quiet(content: bytes, score_threshold: float) -> cv2.FaceDetectorYN:
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        buffer = np.frombuffer(content, dtype=np.uint8)
        net = cv2.FaceDetectorYN.create(
            "onnx", buffer, np.zeros(0, np.uint8), (DETECT_SIDE, DETECT_SIDE), score_threshold, _OVERLAP, _MOST_CANDIDATES
        )
        # Another network loads as well; only running it tells.
        net.detect(np.zeros((DETECT_SIDE, DETECT_SIDE, 3), np.uint8))
        return net
    finally:
        cv2.utils.logging.setLogLevel(level)


def _weights(weights: str | None, local_files_only: bool) -> Path:
    for given, origin in ((weights, "weights"), (os.environ.get(WEIGHTS_VARIABLE), WEIGHTS_VARIABLE)):
        if given:
            path = Path(given).expanduser()
            if not path.is_file():
                raise DetectorError(f"{path}: there is no YuNet weights file here, though {origin} says so; correct the path")
            return path
    try:
        # The cache first: a branch would be asked for anew for every detector.
        folder, _ = fetch_files(REPOSITORY, [FILE], DownloadOptions(local_files_only=True))
    except DownloadError as absent:
        if local_files_only:
            raise DetectorError(_without(absent)) from absent
        try:
            folder, _ = fetch_files(REPOSITORY, [FILE], DownloadOptions())
        except DownloadError as error:
            raise DetectorError(_without(error)) from error
    return folder / FILE


def _without(error: DownloadError) -> str:
    advice = f"or set {WEIGHTS_VARIABLE} to a copy of {FILE}, or choose another detector"
    return f"no YuNet weights: {error}, {advice}"
