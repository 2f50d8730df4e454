"""What is reported of a categorical target: how often it is right, for which classes, and whether it knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from affectzoo.config import TargetConfig
from affectzoo.objectives.bootstrap import confidence_interval
from affectzoo.objectives.metrics import CLASS_METRICS, Metric, expected_calibration_error
from affectzoo.train.report.compare import DRAWS, LEVEL

#: Bins of the calibration error and of the reliability diagram.
BINS = 15
#: A single precision softmax gives 0 where the odds are longer than this, and one such step would have no finite loss.
_LEAST_PROBABILITY = 1e-12
#: Among the draws of a bootstrap every deviation within a bin is larger than among the examples themselves, so that an interval
#: of the calibration error would lie above its value.
_WITHOUT_INTERVAL = frozenset(("ece",))


def accuracy(prediction: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
    """Share of `[N, C]` predictions whose most probable class is the labelled one; a scalar, NaN of none."""
    x, y = _kept(prediction, label, valid)
    return (x.argmax(1) == y.argmax(1)).double().mean()


def negative_log_likelihood(prediction: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean of -ln of the labelled class' probability, in nats; a scalar, NaN of none.

    Args:
        prediction: `[N, C]` probabilities. A median of several does not sum to 1 and is divided by its sum; a probability
            under 1e-12 counts as that.
        label: `[N, C]` share of each class; the true one has the largest.
        valid: `[N]` bool.
    """
    x, y = _kept(prediction, label, valid)
    own = _summing_to_one(x).gather(1, y.argmax(1, keepdim=True)).squeeze(1)
    return -own.clamp(min=_LEAST_PROBABILITY).log().mean()


def calibration_error(prediction: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
    """`expected_calibration_error` in `BINS` bins, of medians too: their sums are divided out, as in a score."""
    x, y = _kept(prediction, label, valid)
    return expected_calibration_error(_summing_to_one(x), y, bins=BINS)


#: Metrics of a categorical target in a report.
REPORTED: dict[str, Metric] = {
    "uar": CLASS_METRICS["uar"],
    "accuracy": accuracy,
    "f1": CLASS_METRICS["f1"],
    "ece": calibration_error,
    "nll": negative_log_likelihood,
}


def _kept(prediction: Tensor, label: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    x, y = prediction.double(), label.double()
    return (x, y) if valid is None else (x[valid], y[valid])


def _summing_to_one(x: Tensor) -> Tensor:
    """`[N, C]` probabilities, each row divided by its sum."""
    return x / x.sum(1, keepdim=True).clamp(min=_LEAST_PROBABILITY)


def measured(
    metrics: Mapping[str, Metric], prediction: Tensor, label: Tensor, subjects: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Metric -> `value`, `low` and `high` of its interval by subject.

    Args:
        metrics: name -> the function.
        prediction, label: `[N, K]` of one target.
        subjects: of each of the N.
    """
    x, y = prediction.double(), label.double()
    found: dict[str, dict[str, float]] = {}
    for name, metric in metrics.items():
        low = high = float("nan")
        if name not in _WITHOUT_INTERVAL:
            low, high = confidence_interval(
                lambda at, m=metric: float(m(x[at], y[at], None)), subjects, draws=DRAWS, level=LEVEL
            )
        found[name] = {"value": float(metric(x, y, None)), "low": low, "high": high}
    return found


def class_tables(prediction: Tensor, label: Tensor, target: TargetConfig) -> dict[str, Any]:
    """Everything about classes that is no single number, as plain values.

    Args:
        prediction, label: `[N, C]` probabilities and shares of the target's classes.
        target: a categorical one.

    Returns:
        `n`; `recall`, class -> its `value` (NaN of a class that no label names) and `n` labels; `confusion`, `[C][C]` counts, a
        row for each labelled class and a column for each predicted one; `reliability`, the bins that hold a prediction: `low`,
        `high`, `n`, mean `confidence` in the most probable class and `accuracy`.
    """
    count = len(target.classes)
    sure, chosen = _summing_to_one(prediction.double()).max(1)
    true = label.argmax(1)
    confusion = torch.bincount(true * count + chosen, minlength=count**2).reshape(count, count)
    hits, totals = confusion.diagonal().tolist(), confusion.sum(1).tolist()
    right = (true == chosen).double()
    # As the calibration error has it: a value on an edge lies in the bin under it.
    place = torch.bucketize(sure, torch.arange(1, BINS, dtype=sure.dtype) / BINS)
    bins = []
    for number in place.unique().tolist():
        mine = place == number
        mean = {"confidence": float(sure[mine].mean()), "accuracy": float(right[mine].mean())}
        bins.append({"low": number / BINS, "high": (number + 1) / BINS, "n": int(mine.sum()), **mean})
    return {
        "n": len(true),
        "recall": {
            name: {"value": hit / total if total else float("nan"), "n": total}
            for name, hit, total in zip(target.classes, hits, totals, strict=True)
        },
        "confusion": confusion.tolist(),
        "reliability": bins,
    }


def confusion_frame(confusion: Sequence[Sequence[int]], target: TargetConfig) -> pd.DataFrame:
    """A row for each labelled class, named in `labelled`, and a column for each predicted one."""
    names = [f"predicted.{name}" for name in target.classes]
    frame = pd.DataFrame(np.asarray(confusion), columns=names)
    frame.insert(0, "labelled", list(target.classes))
    return frame
