"""A sound backbone, and one for each check that breaks this promise alone."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from affectzoo import Backbone, FramesInput
from tests.testing import wrong_modules as wrong


class Sound(Backbone, wrong.Keeps):
    """Keeps every promise."""

    def __init__(self, *, frames: int = 2, level: int = 0) -> None:
        super().__init__()
        self.feature_dim, self.frames, self.level, self.scale = 4, frames, level, 1
        self.input = FramesInput(frames=frames, height=4, width=6)
        self.linear = nn.Linear(3, self.feature_dim)
        self.setup()

    def checkpoint_activations(self) -> None:
        """There is nothing worth computing twice."""

    def forward(self, x: Tensor) -> Tensor:
        return self.twist(x, self.scale * self.linear(x.mean((2, 3, 4))))


class WrongWidth(Sound):
    def setup(self) -> None:
        self.feature_dim += 1


class SavesNothing(Sound):
    def setup(self) -> None:
        self.saved_config = {}


class OtherWhenSaving(Sound):
    def checkpoint_activations(self) -> None:
        self.scale = 2


class SavesAnotherConfig(Sound):
    def setup(self) -> None:
        self.saved_config = {"frames": self.frames, "level": self.level + 1}


class TakesAnyKey(Sound):
    def __init__(self, *, frames: int = 2, **rest: Any) -> None:  # noqa: ARG002
        super().__init__(frames=frames)


#: Check -> what it alone catches.
WRONG: dict[str, type] = {
    **wrong.broken(Sound),
    "output-shape": WrongWidth,
    "input-declared": SavesNothing,
    "activation-checkpointing": OtherWhenSaving,
    "config-round-trip": SavesAnotherConfig,
    "unknown-key-refused": TakesAnyKey,
}
