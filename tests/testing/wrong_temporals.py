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


class OtherWithoutMask(Sound):
    def hidden(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return super().hidden(x, mask) * (2 if mask is None else 1)


class SavesAnotherConfig(Sound):
    def setup(self) -> None:
        self.saved_config = {"level": self.level + 1}


class TakesAnyKey(Sound):
    def __init__(self, in_dim: int, **rest: Any) -> None:  # noqa: ARG002
        super().__init__(in_dim)


class Unused(wrong.Unused, Sound): ...


class LooksAtTheBatch(wrong.LooksAtTheBatch, Sound): ...


class LooksAtTheOrder(wrong.LooksAtTheOrder, Sound): ...


class Unsaved(wrong.Unsaved, Sound): ...


class Float32(wrong.Float32, Sound): ...


class Unseeded(wrong.Unseeded, Sound): ...


class ChangesItsInput(wrong.ChangesItsInput, Sound): ...


class OtherCompiled(wrong.OtherCompiled, Sound): ...


class OtherExported(wrong.OtherExported, Sound): ...


#: Check -> what it alone catches.
WRONG: dict[str, type[Sound]] = {
    "output-shape": WrongWidth,
    "masked-steps": MultipliesByTheMask,
    "no-mask": OtherWithoutMask,
    "gradients-reach-every-parameter": Unused,
    "batch-of-one-equals-batch-of-many": LooksAtTheBatch,
    "permutation": LooksAtTheOrder,
    "save-and-load": Unsaved,
    "config-round-trip": SavesAnotherConfig,
    "unknown-key-refused": TakesAnyKey,
    "half-precision": Float32,
    "deterministic": Unseeded,
    "inputs-unchanged": ChangesItsInput,
    "compiled": OtherCompiled,
    "exported": OtherExported,
}
