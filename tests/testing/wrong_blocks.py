"""A sound block, and one for each check that breaks this promise alone."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from affectzoo import Block
from tests.testing import wrong_modules as wrong


class Sound(Block, wrong.Keeps):
    """Keeps every promise."""

    def __init__(self, in_channels: int, width: int, stride: int = 1, *, level: int = 0, multiscale: bool = True) -> None:
        super().__init__()
        self.out_channels, self.stride, self.level, self.multiscale = width, stride, level, multiscale
        self.convolution = nn.Conv3d(in_channels, width, 1)
        self.setup()

    def thinned(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.stride, :: self.stride, :: self.stride]

    def forward(self, x: Tensor) -> Tensor:
        return self.twist(x, self.convolution(self.thinned(x)))


class WrongWidth(Sound):
    def setup(self) -> None:
        self.out_channels += 1


class RoundsDown(Sound):
    def thinned(self, x: Tensor) -> Tensor:
        time, height, width = (size - size % self.stride for size in x.shape[2:])
        return super().thinned(x[:, :, :time, :height, :width])


class HalfWithoutScales(Sound):
    def twist(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002
        return y if self.multiscale else y[:, ::2]


class SavesAnotherConfig(Sound):
    def setup(self) -> None:
        self.saved_config = {"level": self.level + 1}


class TakesAnyKey(Sound):
    def __init__(self, in_channels: int, width: int, stride: int = 1, **rest: Any) -> None:  # noqa: ARG002
        super().__init__(in_channels, width, stride)


#: Check -> what it alone catches.
WRONG: dict[str, type] = {
    **wrong.broken(Sound),
    "output-shape": WrongWidth,
    "odd-sizes": RoundsDown,
    "single-scale": HalfWithoutScales,
    "config-round-trip": SavesAnotherConfig,
    "unknown-key-refused": TakesAnyKey,
}
