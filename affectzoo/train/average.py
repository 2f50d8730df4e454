"""An exponential moving average of the weights that forgets the first ones soon."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of `model` whose `update_parameters` keeps the average; how many there were is part of its state.

    The decay of update n (the first, 0, copies) is `ramp(decay, n)`.
    """

    def update(average: Any, current: Any, count: Tensor | int) -> None:
        get_ema_multi_avg_fn(ramp(decay, int(count)))(average, current, count)

    return AveragedModel(model, multi_avg_fn=update)


def ramp(decay: float, updates: int) -> float:
    """`min(decay, (1 + n) / (10 + n))` after n updates, as TensorFlow's `ExponentialMovingAverage` has it with `num_updates`.

    With a decay of 0.999 alone, 30 % of the average after 1,200 steps would still be the random weights at the beginning.
    """
    return min(decay, (1 + updates) / (10 + updates))
