"""Training losses on `[B, L, K]` predictions with a `[B, L]` mask of valid steps."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def ccc_loss(prediction: Tensor, label: Tensor, valid: Tensor) -> Tensor:
    """`1 - CCC` over all valid steps of the batch, mean over the K targets (JCA, section 3.4).

    The batch is one long series, as the metric treats the split. Computed in float32 under autocast too; a batch without
    a valid step, or one that is constant, gives a finite loss.
    """
    weight = valid.unsqueeze(-1).float()
    count = weight.sum().clamp(min=1)
    x = prediction.float().masked_fill(weight == 0, 0.0)
    y = label.float().masked_fill(weight == 0, 0.0)
    mean_x, mean_y = x.sum((0, 1)) / count, y.sum((0, 1)) / count
    dx, dy = (x - mean_x) * weight, (y - mean_y) * weight
    covariance = (dx * dy).sum((0, 1)) / count
    spread = (dx.square().sum((0, 1)) + dy.square().sum((0, 1))) / count + (mean_x - mean_y).square()
    return (1 - 2 * covariance / (spread + 1e-8)).mean()


def mse_loss(prediction: Tensor, label: Tensor, valid: Tensor) -> Tensor:
    """Mean squared error over valid steps and targets."""
    weight = valid.unsqueeze(-1).float()
    error = (prediction.float() - label.float()).masked_fill(weight == 0, 0.0).square()
    return error.sum() / (weight.sum().clamp(min=1) * prediction.shape[-1])


LOSSES: dict[str, Loss] = {"ccc": ccc_loss, "mse": mse_loss}
