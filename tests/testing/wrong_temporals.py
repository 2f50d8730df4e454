"""A sound temporal encoder, and one for each check that breaks this promise alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from affectzoo import Temporal, zero_masked
from tests.testing import wrong_modules as wrong


class Sound(Temporal, wrong.Keeps):
    """Keeps every promise."""

    def __init__(self, in_dim: int, *, level: int = 0) -> None:
        super().__init__()
        self.out_dim, self.level = 4, level
        self.linear = nn.Linear(in_dim, self.out_dim)
        self.setup()

    def hidden(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return self.linear(zero_masked(x, mask))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.twist(x, torch.tanh(self.hidden(x, mask)))


class WrongWidth(Sound):
    def setup(self) -> None:
        self.out_dim += 1


class MultipliesByTheMask(Sound):
    def hidden(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return self.linear(x if mask is None else x * mask.unsqueeze(-1))


class ZeroesAfterALayer(Sound):
    """What a masked step became is zeroed, not what it held: the layer's gradient is NaN."""

    def hidden(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return zero_masked(self.linear(x), mask)


class OtherWithoutMask(Sound):
    def hidden(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return super().hidden(x, mask) * (2 if mask is None else 1)


class SavesAnotherConfig(Sound):
    def setup(self) -> None:
        self.saved_config = {"level": self.level + 1}


class TakesAnyKey(Sound):
    def __init__(self, in_dim: int, **rest: Any) -> None:  # noqa: ARG002
        super().__init__(in_dim)


#: Check -> what it alone catches.
WRONG: dict[str, type] = {
    **wrong.broken(Sound),
    "output-shape": WrongWidth,
    "masked-steps": MultipliesByTheMask,
    "no-mask": OtherWithoutMask,
    "config-round-trip": SavesAnotherConfig,
    "unknown-key-refused": TakesAnyKey,
}
