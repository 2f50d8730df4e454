"""Agreement between predictions and labels, over a whole split at once and in double precision.

A metric is never averaged over batches: gather all examples, then call it once.
"""

from __future__ import annotations

import torch
from torch import Tensor


def ccc(prediction: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
    """Concordance correlation coefficient (Lin 1989), population moments, as the ABAW challenges compute it.

    Args:
        prediction, label: `[..., K]`; every leading dim is one long series.
        valid: `[...]` bool; steps that count. None counts all.

    Returns:
        `[K]` float64 in -1..1. NaN where no step is valid, or where both series are the same constant; a non-finite
        prediction on a valid step gives NaN as well, it is never dropped.
    """
    x, y = _series(prediction, label, valid)
    if x.shape[0] == 0:
        return x.new_full((x.shape[1],), float("nan"))
    mean_x, mean_y = x.mean(0), y.mean(0)
    covariance = ((x - mean_x) * (y - mean_y)).mean(0)
    concordance = 2 * covariance / (x.var(0, correction=0) + y.var(0, correction=0) + (mean_x - mean_y) ** 2)
    # Of equal constants 0 / 0 is left, which the rounding of a mean would turn into any number, often 1.
    constant = ((x == x[0]) & (y == x[0])).all(0)
    return concordance.masked_fill(constant, float("nan"))


def _series(prediction: Tensor, label: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    x, y = prediction.flatten(0, -2).double(), label.flatten(0, -2).double()
    if valid is None:
        return x, y
    keep = valid.flatten().bool()
    return x[keep], y[keep]


def mean_absolute_error(prediction: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean absolute error for each column, `[K]` float64, in the label's unit; NaN where no step is valid."""
    x, y = _series(prediction, label, valid)
    return (x - y).abs().mean(0) if x.shape[0] else torch.full((x.shape[1],), float("nan"), dtype=torch.float64)


def root_mean_squared_error(prediction: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
    """Root of the mean squared error for each column, `[K]` float64, in the label's unit; NaN where no step is valid."""
    x, y = _series(prediction, label, valid)
    return (x - y).square().mean(0).sqrt() if x.shape[0] else torch.full((x.shape[1],), float("nan"), dtype=torch.float64)


def pcc(prediction: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
    """Pearson's correlation coefficient for each column, `[K]` float64; NaN where either series is constant or empty."""
    x, y = _series(prediction, label, valid)
    if x.shape[0] == 0:
        return x.new_full((x.shape[1],), float("nan"))
    constant = (x == x[0]).all(0) | (y == y[0]).all(0)
    dx, dy = x - x.mean(0), y - y.mean(0)
    correlation = (dx * dy).mean(0) / (dx.square().mean(0).sqrt() * dy.square().mean(0).sqrt())
    return correlation.clamp(-1, 1).masked_fill(constant, float("nan"))


def unweighted_average_recall(prediction: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean over the classes that occur of the share of their steps that are recognised; a float64 scalar.

    Args:
        prediction, label: `[..., K]`, a column for each class: scores (or probabilities), and the share of each class.
        valid: `[...]` bool; None counts all. NaN where no step is valid, or where a prediction on one is not finite.
    """
    x, y = _series(prediction, label, valid)
    if x.shape[0] == 0 or not bool(x.isfinite().all()):
        return x.new_full((), float("nan"))
    chosen, true = x.argmax(1), y.argmax(1)
    recalls = [(chosen[true == k] == k).double().mean() for k in true.unique()]
    return torch.stack(recalls).mean()
