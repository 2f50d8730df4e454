"""Agreement between predictions and labels, over a whole split at once and in double precision.

A metric is never averaged over batches: gather all examples, then call it once. Every function takes

    prediction, label: `[..., K]`; every leading dim is one long series.
    valid: `[...]` bool; steps that count, the others may hold anything. None counts all.

and returns float64, NaN where no step is valid. A prediction that is not finite on a valid step is never dropped: its column
has no finite score.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from affectzoo.errors import InputError


def ccc(prediction: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
    """Concordance correlation coefficient (Lin 1989), population moments, as the ABAW challenges compute it: `[K]`.

    NaN where both series are the same constant; 0 where one is constant, or where they are different constants.
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


def icc31(prediction: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
    """ICC(3,1), consistency of two fixed raters, prediction and label (Shrout and Fleiss 1979): `[K]`.

    (BMS - EMS) / (BMS + EMS) of the mean squares between steps and of the residual, which for two raters is
    2 cov / (var prediction + var label): an offset costs nothing. NaN for fewer than 2 steps and where both are constant.
    """
    x, y = _series(prediction, label, valid)
    if x.shape[0] < 2:
        return x.new_full((x.shape[1],), float("nan"))
    covariance = ((x - x.mean(0)) * (y - y.mean(0))).mean(0)
    consistency = 2 * covariance / (x.var(0, correction=0) + y.var(0, correction=0))
    constant = ((x == x[0]) & (y == y[0])).all(0)
    return consistency.masked_fill(constant, float("nan"))


def icc11(prediction: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
    """ICC(1,1), agreement of two raters in a one-way analysis (Shrout and Fleiss 1979): `[K]`.

    (BMS - WMS) / (BMS + WMS) of the mean squares between and within steps. Two different constants have -1. NaN for fewer
    than 2 steps and where both are the same constant.
    """
    x, y = _series(prediction, label, valid)
    if x.shape[0] < 2:
        return x.new_full((x.shape[1],), float("nan"))
    between = (x + y).var(0) / 2
    within = (x - y).square().mean(0) / 2
    constant = ((x == x[0]) & (y == x[0])).all(0)
    return ((between - within) / (between + within)).masked_fill(constant, float("nan"))


def _series(prediction: Tensor, label: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    x, y = prediction.flatten(0, -2).double(), label.flatten(0, -2).double()
    if valid is None:
        return x, y
    keep = valid.flatten().bool()
    return x[keep], y[keep]


def mean_absolute_error(prediction: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean absolute error for each column, `[K]`, in the label's unit."""
    x, y = _series(prediction, label, valid)
    return (x - y).abs().mean(0)


def root_mean_squared_error(prediction: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
    """Root of the mean squared error for each column, `[K]`, in the label's unit."""
    x, y = _series(prediction, label, valid)
    return (x - y).square().mean(0).sqrt()


def pcc(prediction: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
    """Pearson's correlation coefficient for each column, `[K]`; NaN where either series is constant, as a single step is."""
    x, y = _series(prediction, label, valid)
    if x.shape[0] == 0:
        return x.new_full((x.shape[1],), float("nan"))
    constant = (x == x[0]).all(0) | (y == y[0]).all(0)
    dx, dy = x - x.mean(0), y - y.mean(0)
    correlation = (dx * dy).mean(0) / (dx.square().mean(0).sqrt() * dy.square().mean(0).sqrt())
    return correlation.clamp(-1, 1).masked_fill(constant, float("nan"))


def unweighted_average_recall(prediction: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean over the classes that occur in the labels of the share of their steps that are recognised; a scalar.

    Args:
        prediction, label: `[..., C]`, a column for each class: scores (or probabilities), and the share of each class.
        valid: `[...]` bool. NaN where a prediction on a valid step is not finite.
    """
    x, y = _series(prediction, label, valid)
    if x.shape[0] == 0 or not bool(x.isfinite().all()):
        return x.new_full((), float("nan"))
    chosen, true = x.argmax(1), y.argmax(1)
    recalls = [(chosen[true == k] == k).double().mean() for k in true.unique()]
    return torch.stack(recalls).mean()


def f1_macro(prediction: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean over classes of F1 = 2 tp / (2 tp + fp + fn); a scalar. Arguments as of `unweighted_average_recall`.

    The classes are those that occur in the labels or among the predictions: one that is predicted but never true counts with
    0, as a false alarm should; of one that is in neither, 0 / 0 would be left.
    """
    x, y = _series(prediction, label, valid)
    if x.shape[0] == 0 or not bool(x.isfinite().all()):
        return x.new_full((), float("nan"))
    chosen, true = x.argmax(1), y.argmax(1)
    classes = x.shape[1]
    hits = torch.bincount(true[chosen == true], minlength=classes).double()
    # Every step is one predicted and one true: the two counts of a class together are 2 tp + fp + fn.
    named = (torch.bincount(chosen, minlength=classes) + torch.bincount(true, minlength=classes)).double()
    return (2 * hits / named)[named > 0].mean()


def expected_calibration_error(prediction: Tensor, label: Tensor, valid: Tensor | None = None, bins: int = 15) -> Tensor:
    """Top-label expected calibration error (Guo et al. 2017, arXiv 1706.04599, equation 3); a scalar, 0..1.

    The steps are put into `bins` bins of equal width by the probability of their most probable class: bin m of M holds
    ((m - 1) / M, m / M]. The error is the mean over steps of the distance between the share of right steps in the bin and
    the mean probability there. It has an upward bias with few steps: of n steps in a bin, about 1 / sqrt(n).

    Args:
        prediction: `[..., C]` probabilities.
        label: `[..., C]` share of each class; the true one has the largest.
        valid: `[...]` bool. NaN where a prediction on a valid step is not finite.
        bins: M.

    Raises:
        InputError: values outside 0..1, or no bin.
    """
    if bins < 1:
        raise InputError(f"the expected calibration error needs at least 1 bin, not {bins}")
    x, y = _series(prediction, label, valid)
    if x.shape[0] == 0 or not bool(x.isfinite().all()):
        return x.new_full((), float("nan"))
    if x.min() < -1e-6 or x.max() > 1 + 1e-6:
        raise InputError("the expected calibration error is of probabilities, and these values leave 0..1: take the softmax")
    sure, chosen = x.clamp(0, 1).max(1)
    right = (chosen == y.argmax(1)).double()
    edges = torch.arange(1, bins, dtype=x.dtype, device=x.device) / bins
    place = torch.bucketize(sure, edges)  # a value on an edge lies in the bin under it
    gap = x.new_zeros(bins).index_add_(0, place, right - sure)
    return gap.abs().sum() / len(x)


Metric = Callable[[Tensor, Tensor, Tensor | None], Tensor]

#: Metrics of continuous and ordinal targets, `[K]` each.
REGRESSION_METRICS: dict[str, Metric] = {
    "ccc": ccc,
    "pcc": pcc,
    "icc31": icc31,
    "icc11": icc11,
    "mae": mean_absolute_error,
    "rmse": root_mean_squared_error,
}

#: Metrics of categorical targets, a scalar each.
CLASS_METRICS: dict[str, Metric] = {"uar": unweighted_average_recall, "f1": f1_macro}
