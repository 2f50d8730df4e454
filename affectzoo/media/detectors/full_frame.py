"""No detector: the whole picture is the face. For recordings that are cropped already, and to measure what detection costs."""

from __future__ import annotations

import numpy as np


class FullFrameDetector:
    """One box, the whole frame, in every frame."""

    def detect(self, image: np.ndarray) -> np.ndarray:
        """`[H, W, 3]` to one box `[1, 5]`: 0, 0, W, H, score 1."""
        height, width = image.shape[:2]
        return np.array([[0.0, 0.0, width, height, 1.0]], dtype=np.float32)
