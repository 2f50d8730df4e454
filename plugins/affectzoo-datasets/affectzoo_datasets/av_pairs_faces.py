"""A track of faces out of a few images: cross-fades between them, and what a camera and a detector add."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import cv2
import numpy as np

Half = Literal["top", "bottom", "left", "right"]
HALVES: tuple[Half, ...] = ("top", "bottom", "left", "right")

#: Where expression begins and ends, as a share of the clip from its start and end.
_EDGE = (0.1, 0.25)
_FADE_S = (0.2, 0.5)
#: Standard deviations: of a clip, and of what wanders around it.
_SHIFT, _SCALE, _DEGREES, _BRIGHTNESS = (0.03, 0.02), (0.05, 0.02), (3.0, 2.0), (0.15, 0.05)
_KNOTS_PER_S = 1.0


class Track:
    """Neutral, images of an expression, neutral.

    Args:
        images: `[H, W, 3]` uint8 RGB: onset, K images, offset; brought to the size of the first.
        duration_s: of the track; it stays as it ends.
        margin: how far an image reaches beyond the face's box, as a share of the box.
        seed: of everything that is drawn.

    Attributes:
        changes: `[K + 1]` seconds, the middle of each cross-fade.
        fades: `[K + 1]` seconds that they last.
    """

    def __init__(self, images: Sequence[np.ndarray], duration_s: float, margin: float, seed: Sequence[int]) -> None:
        rng = np.random.default_rng(tuple(seed))
        height, width = images[0].shape[:2]
        self._images = [
            image if image.shape[:2] == (height, width) else cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            for image in images
        ]
        onset, offset = rng.uniform(*_EDGE, 2) * duration_s
        gaps = rng.uniform(0.7, 1.3, len(images) - 2)
        stretch = np.concatenate([[0.0], np.cumsum(gaps) / gaps.sum()])
        self.changes = onset + stretch * (duration_s - offset - onset)
        # A fade ends before the next one begins, also in a very short clip.
        room = np.diff(np.concatenate([[0.0], self.changes, [duration_s]])).min()
        self.fades = np.minimum(rng.uniform(*_FADE_S, len(self.changes)), room)
        side = max(height, width) / (1 + margin)
        self._box = np.array([width - side, height - side, width + side, height + side]) / 2
        self._drifts = [_Drift(duration_s, sizes, rng) for sizes in (_SHIFT, _SHIFT, _SCALE, _DEGREES, _BRIGHTNESS)]

    def frames(self, times: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Images `[H, W, 3]` uint8 and boxes `[4]` at `times` `[F]`, seconds."""
        drifts = [drift.at(times) for drift in self._drifts]
        for time_s, right, down, scale, degrees, brightness in zip(times, *drifts, strict=True):
            image = self._blend(float(time_s))
            height, width = image.shape[:2]
            turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(degrees), 1.0)
            image = cv2.warpAffine(image, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            image = cv2.convertScaleAbs(image, alpha=float(np.exp(brightness)))
            centre, side = (self._box[:2] + self._box[2:]) / 2, self._box[2:] - self._box[:2]
            centre, side = centre + np.array([right, down]) * side, side * np.exp(scale)
            yield image, np.concatenate([centre - side / 2, centre + side / 2])

    def weights(self, time_s: float) -> np.ndarray:
        """`[K + 2]` shares of the images at a time; they sum to 1."""
        passed = np.clip((time_s - self.changes) / np.maximum(self.fades, 1e-9) + 0.5, 0, 1)
        return np.concatenate([[1.0], passed]) - np.concatenate([passed, [0.0]])

    def _blend(self, time_s: float) -> np.ndarray:
        weights = self.weights(time_s)
        first, *rest = np.flatnonzero(weights)
        image = self._images[first]
        return cv2.addWeighted(image, weights[first], self._images[rest[0]], weights[rest[0]], 0) if rest else image


class _Drift:
    """A quantity with a value of the clip's own and a slow wander around it."""

    def __init__(self, duration_s: float, sizes: tuple[float, float], rng: np.random.Generator) -> None:
        self._times = np.linspace(0, duration_s, 2 + int(duration_s * _KNOTS_PER_S))
        self._values = rng.normal(0, sizes[0]) + rng.normal(0, sizes[1], len(self._times))

    def at(self, times: np.ndarray) -> np.ndarray:
        return np.interp(times, self._times, self._values)


def blurred(image: np.ndarray, share: float) -> np.ndarray:
    """Blurred by a Gaussian whose standard deviation is a share of the image's width."""
    return cv2.GaussianBlur(image, (0, 0), share * image.shape[1])


def grained(image: np.ndarray, deviation: float, seed: Sequence[int]) -> np.ndarray:
    """With white noise of a standard deviation in levels of 0 to 255."""
    noise = np.random.default_rng(tuple(seed)).normal(0, deviation, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def covered(image: np.ndarray, box: np.ndarray, half: Half, level: int) -> np.ndarray:
    """With one half of the box, and what is beyond it on that side, in one grey level."""
    height, width = image.shape[:2]
    x, y = (int(np.clip(v, 0, size)) for v, size in zip((box[:2] + box[2:]) / 2, (width, height), strict=True))
    place = {"top": np.s_[:y, :], "bottom": np.s_[y:, :], "left": np.s_[:, :x], "right": np.s_[:, x:]}[half]
    image = image.copy()
    image[place] = level
    return image
