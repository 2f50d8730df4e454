"""Training losses on `[B, L, K]` predictions with a `[B, L]` mask of valid steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn import functional

from affectzoo.config import TargetConfig

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


def cross_entropy_loss(prediction: Tensor, label: Tensor, valid: Tensor) -> Tensor:
    """Mean cross-entropy over valid steps; `label` holds the share of each class, one-hot mostly."""
    entropy = functional.cross_entropy(prediction.float().movedim(-1, 1), label.float().movedim(-1, 1), reduction="none")
    return entropy.masked_fill(~valid, 0.0).sum() / valid.sum().clamp(min=1)


def objective(prediction: Tensor, label: Tensor, valid: Tensor, targets: Sequence[TargetConfig], loss: str) -> Tensor:
    """Mean over the targets of their losses.

    A continuous or ordinal target takes the chosen loss on a scale where its range is 2 wide, as -1..1 is, so that points of
    0..63 do not outweigh valence; a categorical target takes cross-entropy.

    Args:
        prediction, label: `[B, L, K]`, columns of the targets in order.
        valid: `[B, L]` bool; steps that count.
        targets: what the columns mean.
        loss: a key of `LOSSES`.
    """
    scales, regressed, start = [], [], 0
    total = prediction.new_zeros(())
    for target in targets:
        columns = slice(start, start + len(target.columns))
        start = columns.stop
        if target.kind == "categorical":
            total = total + cross_entropy_loss(prediction[..., columns], label[..., columns], valid)
        else:
            regressed.append(columns.start)
            scales.append((target.high - target.low) / 2)
    if regressed:
        scale = prediction.new_tensor(scales)
        part = LOSSES[loss](prediction[..., regressed] / scale, label[..., regressed] / scale, valid)
        total = total + part * len(regressed)
    return total / len(targets)
