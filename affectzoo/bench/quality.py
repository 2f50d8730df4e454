"""How good a run is on a split, and by how much one row is better than another: paired by seed and by subject."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from affectzoo.config import TargetConfig, target_columns
from affectzoo.errors import DataError
from affectzoo.objectives.bootstrap import confidence_interval
from affectzoo.objectives.metrics import ccc, unweighted_average_recall
from affectzoo.train.evaluate import by_recording
from affectzoo.train.report.compare import DRAWS, LEVEL
from affectzoo.train.report.predicted import Predicted


@dataclass(frozen=True)
class Answers:
    """N predictions of one run beside their labels, in the model's columns.

    Attributes:
        prediction, label: `[N, K]` float64; classes as probabilities and shares.
        subjects: of each.
    """

    prediction: Tensor
    label: Tensor
    subjects: list[str]


def answers_in(predicted: Predicted, pool: str | None) -> Answers:
    """The steps with a valid label, or with `pool` the recordings that have one."""
    steps = predicted.steps
    scored = steps.at(steps.valid) if pool is None else by_recording(steps, pool)
    people = [predicted.subjects[row] for row in scored.row.tolist()]
    return Answers(scored.prediction.double(), scored.label.double(), people)


def joined(parts: Sequence[Answers]) -> Answers:
    """Those of all folds together."""
    return Answers(
        torch.cat([part.prediction for part in parts]),
        torch.cat([part.label for part in parts]),
        [subject for part in parts for subject in part.subjects],
    )


def metrics_of(answers: Answers, targets: Sequence[TargetConfig], chosen: Tensor | None = None) -> dict[str, float]:
    """`ccc.target`, or `uar.target` of classes, and `score`, their mean: what runs choose their best epoch by.

    Args:
        answers: of one run.
        targets: the model's.
        chosen: indices; None is all.
    """
    x, y = answers.prediction, answers.label
    if chosen is not None:
        x, y = x[chosen], y[chosen]
    columns = target_columns(targets)
    agreement = ccc(x, y)  # of all columns at once; those of classes are not looked at
    found: dict[str, float] = {}
    for target in targets:
        own = columns[target.name]
        if target.kind == "categorical":
            found[f"uar.{target.name}"] = float(unweighted_average_recall(x[:, own], y[:, own]))
        else:
            found[f"ccc.{target.name}"] = float(agreement[own.start])
    return {**found, "score": sum(found.values()) / len(found)}


def difference(pairs: Sequence[tuple[Answers, Answers]], targets: Sequence[TargetConfig]) -> dict[str, Any]:
    """By how much the first of each pair scores better than the second, which has the same seed.

    Returns:
        `mean` and `sd` (n - 1) over seeds, `seeds`, and `low` and `high` of the mean: a bootstrap interval in which every draw
        takes as many subjects and as many seeds as there are, with replacement, each crossed with each (Owen 2007, the
        pigeonhole bootstrap), and the same ones for both of a pair. Of one seed it is over subjects alone.

    Raises:
        DataError: two runs answered for other examples.
    """
    subjects = pairs[0][0].subjects
    if any(answers.subjects != subjects for pair in pairs for answers in pair):
        raise DataError("two runs of this comparison were scored on other examples; run it again in another folder")

    def gain(pair: tuple[Answers, Answers], chosen: Tensor | None = None) -> float:
        own, other = (metrics_of(answers, targets, chosen)["score"] for answers in pair)
        return own - other

    draws = torch.Generator().manual_seed(0)

    def drawn(chosen: Tensor) -> float:
        times = torch.randint(len(pairs), (len(pairs),), generator=draws).bincount(minlength=len(pairs)).tolist()
        return sum(n * gain(pair, chosen) for n, pair in zip(times, pairs, strict=True) if n) / len(pairs)

    low, high = confidence_interval(drawn, subjects, draws=DRAWS, level=LEVEL)
    return {**spread([gain(pair) for pair in pairs]), "low": low, "high": high}


def spread(values: Sequence[float]) -> dict[str, Any]:
    """`mean`, `sd` (n - 1; NaN of a single one) and `seeds`, their number."""
    return {"mean": mean(values), "sd": stdev(values) if len(values) > 1 else math.nan, "seeds": len(values)}
