"""A sound detector, and one for each check that breaks this promise alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

_NOTHING = np.zeros((0, 5), np.float32)


class Sound:
    """The middle of every picture in which anything can be seen; none of a picture of one pixel or colour."""

    def __init__(self, *, size: float = 0.5) -> None:
        self.size = size
        self.setup()

    def setup(self) -> None:
        """Called last in the constructor."""

    def detect(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        # A drawn picture has smooth parts and many colours, noise has no smooth parts.
        seen = min(height, width) > 1 and image.any() and np.abs(np.diff(image.astype(float), axis=1)).mean() < 40
        margin = (1 - self.size) / 2
        box = [margin * width, margin * height, (1 - margin) * width, (1 - margin) * height, 0.9]
        return self.found(image, np.array([box], np.float32) if seen else _NOTHING)

    def found(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """What is returned for sound boxes."""
        return boxes


class Float64(Sound):
    def found(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:  # noqa: ARG002
        return boxes.astype(float) if len(boxes) else boxes


class NoneForNothing(Sound):
    def found(self, image: np.ndarray, boxes: np.ndarray) -> Any:  # noqa: ARG002
        return boxes if len(boxes) else None


class Shares(Sound):
    """Boxes in 0..1 instead of pixels."""

    def found(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        return boxes / np.array([width, height, width, height, 1], np.float32)


class Percent(Sound):
    def found(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:  # noqa: ARG002
        return boxes * np.array([1, 1, 1, 1, 100], np.float32)


class DrawsItsBoxes(Sound):
    def found(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        image[0, 0] = 255 - image[0, 0]
        return boxes


class Smooths(Sound):
    """Moves towards where the face was in the picture before."""

    def setup(self) -> None:
        self.last: np.ndarray | None = None

    def found(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:  # noqa: ARG002
        last, self.last = self.last, boxes
        return boxes if last is None or len(last) != len(boxes) else (boxes + last) / 2


class OneArray(Sound):
    """Writes every answer into the same array."""

    def setup(self) -> None:
        self.answer = np.zeros((1, 5), np.float32)

    def found(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:  # noqa: ARG002
        if len(boxes):
            self.answer[:] = boxes
            return self.answer
        return boxes


class Chance(Sound):
    """Differs from detector to detector."""

    def setup(self) -> None:
        self.shift = np.random.default_rng().uniform(0, 1)

    def found(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:  # noqa: ARG002
        return boxes + np.array([self.shift, 0, 0, 0, 0], np.float32) if len(boxes) else boxes


class NotInARecipe(Sound):
    def __init__(self, *, size: float = 0.5, weights: Path = Path()) -> None:  # noqa: ARG002
        super().__init__(size=size)


class TakesAnyKey(Sound):
    def __init__(self, *, size: float = 0.5, **rest: Any) -> None:  # noqa: ARG002
        super().__init__(size=size)


#: Check -> what it alone catches.
WRONG: dict[str, type[Sound]] = {
    "output-shape": Float64,
    "no-face": NoneForNothing,
    "boxes-inside": Shares,
    "scores-in-range": Percent,
    "inputs-unchanged": DrawsItsBoxes,
    "no-memory": Smooths,
    "deterministic": Chance,
    "config-round-trip": NotInARecipe,
    "unknown-key-refused": TakesAnyKey,
}
