"""What a protocol compares: every annotation, or one score of each clip; and its metrics, once over all of it or by fold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import stdev
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from affectzoo.config import TargetConfig, target_columns
from affectzoo.data.protocols import Protocol
from affectzoo.errors import DataError, InputError
from affectzoo.objectives.bootstrap import confidence_interval
from affectzoo.objectives.metrics import CLASS_METRICS, REGRESSION_METRICS, Metric
from affectzoo.train.evaluate import by_recording
from affectzoo.train.report.predicted import Delivered, Predicted

DRAWS, LEVEL = 1000, 0.95
#: A time that a delay moves to just before 0 is 0; labels of one group may differ by this share of their range.
_SAME_TIME_S, _SAME_LABEL = 1e-6, 1e-5


@dataclass(frozen=True)
class Compared:
    """N predictions beside N labels.

    Attributes:
        prediction, label: `[N, K]` float64, in the model's columns; classes as probabilities and shares.
        names: clip or group of each; subjects, folds: of each.
        time_s: `[N]` seconds from the start of the clip; None where whole clips are compared.
        clips: how many clips each is of; None where annotations are compared.
        rows: numbers of the clips that each is of.
    """

    prediction: np.ndarray
    label: np.ndarray
    names: list[str]
    subjects: list[str]
    folds: list[int | None]
    time_s: np.ndarray | None = None
    clips: list[int] | None = None
    rows: list[list[int]] = field(default_factory=list)

    def to_frame(self, targets: Sequence[TargetConfig], names: Sequence[str], called: str) -> pd.DataFrame:
        """A row for each: `called`, `subject`, `fold`, `time_s` or `clips`, and for the targets in `names` `predicted.column`
        and `label.column`.
        """
        frame = pd.DataFrame({called: self.names, "subject": self.subjects})
        if self.folds and self.folds[0] is not None:
            frame["fold"] = self.folds
        if self.time_s is not None:
            frame["time_s"] = self.time_s
        if self.clips is not None:
            frame["clips"] = self.clips
        columns = target_columns(targets)
        for target in targets:
            if target.name in names:
                for k, column in enumerate(target.columns, start=columns[target.name].start):
                    frame[f"predicted.{column}"] = self.prediction[:, k]
                    frame[f"label.{column}"] = self.label[:, k]
        return frame


def compare_annotations(predicted: Predicted, targets: Sequence[TargetConfig], delay_s: float = 0.0) -> Compared:
    """Every valid annotation beside the prediction at its time (`at_times`).

    Args:
        predicted: with what its clips were delivered with.
        targets: the model's.
        delay_s: annotations are moved earlier by this much; those that would lie before the clip are left out.

    Raises:
        DataError: there is no valid annotation.
    """
    found: list[tuple[np.ndarray, ...]] = []
    owners: list[int] = []
    rows = predicted.steps.row.numpy()
    for row, own in enumerate(predicted.delivered):
        mine = rows == row
        times_s = own.times_s - delay_s
        kept = own.valid & (times_s >= -_SAME_TIME_S)
        if not kept.any():
            continue
        steps = predicted.steps.prediction[torch.from_numpy(mine)].double().numpy()
        found.append((at_times(steps, predicted.times_s[mine], times_s[kept], targets), own.targets[kept], times_s[kept]))
        owners += [row] * int(kept.sum())
    if not found:
        raise DataError("no clip has a valid annotation along time, so there is nothing to compare with")
    prediction, label, time_s = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Compared(
        prediction,
        label.astype(np.float64),
        names=[predicted.clip_ids[row] for row in owners],
        subjects=[predicted.subjects[row] for row in owners],
        folds=[predicted.folds[row] for row in owners],
        time_s=time_s,
        rows=[[row] for row in owners],
    )


def at_times(values: np.ndarray, middles_s: np.ndarray, times_s: np.ndarray, targets: Sequence[TargetConfig]) -> np.ndarray:
    """Predictions `[n, K]` of sub-sequences with these middles `[n]`, at `times_s` `[m]`: `[m, K]`.

    Linear between two middles, constant before the first and after the last. Of classes the nearest sub-sequence counts, of
    two equally near ones the earlier.
    """
    result = np.empty((len(times_s), values.shape[1]))
    nearest = np.searchsorted((middles_s[:-1] + middles_s[1:]) / 2, times_s, side="left")
    for target, columns in zip(targets, target_columns(targets).values(), strict=True):
        if target.kind == "categorical":
            result[:, columns] = values[nearest, columns]
        else:
            result[:, columns.start] = np.interp(times_s, middles_s, values[:, columns.start])
    return result


def compare_clips(
    predicted: Predicted, targets: Sequence[TargetConfig], names: Sequence[str], pool: str, group: str = ""
) -> Compared:
    """One score beside one label of each clip that has one, or of each group of clips.

    Args:
        predicted: with what its clips were delivered with.
        targets: the model's; names: those that are compared.
        pool: how steps become the score of a clip.
        group: extra column; scores and labels of clips that share its value are averaged.

    Raises:
        DataError: no clip has a label, one is in no group, or the clips of a group differ in label, subject or fold.
    """
    scored = by_recording(predicted.steps, pool)
    rows = scored.row.tolist()
    if not rows:
        raise DataError("no clip has a valid label, so there is nothing to compare with")
    members: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        name = _group(predicted.delivered[row], group, predicted.clip_ids[row]) if group else predicted.clip_ids[row]
        members.setdefault(name, []).append(place)
    prediction, label = (values.double().numpy() for values in (scored.prediction, scored.label))
    columns = target_columns(targets)
    for name, places in members.items():
        for target in [target for target in targets if target.name in names]:
            span = 1.0 if target.kind == "categorical" else target.high - target.low
            own = label[places, columns[target.name]]
            if (np.ptp(own, axis=0) > _SAME_LABEL * span).any():
                raise DataError(f"the clips of {group} {name!r} have different labels of {target.name}")
        people = sorted({predicted.subjects[rows[place]] for place in places})
        if len(people) > 1:
            raise DataError(f"the clips of {group} {name!r} are of different subjects, {people[0]!r} and {people[1]!r}")
    first = [rows[places[0]] for places in members.values()]
    return Compared(
        prediction=np.stack([prediction[places].mean(axis=0) for places in members.values()]),
        label=np.stack([label[places].mean(axis=0) for places in members.values()]),
        names=list(members),
        subjects=[predicted.subjects[row] for row in first],
        folds=[predicted.folds[row] for row in first],
        clips=[len(places) for places in members.values()],
        rows=[[rows[place] for place in places] for places in members.values()],
    )


def _group(delivered: Delivered, group: str, clip_id: str) -> str:
    value = delivered.extra.get(group)
    if value is None or value == "":
        raise DataError(f"{clip_id} has no value in the column {group}, by which the protocol groups clips")
    return value if isinstance(value, str) else json.dumps(value)


def measure(compared: Compared, protocol: Protocol, targets: Sequence[TargetConfig]) -> dict[str, Any]:
    """The reported values, as plain values.

    `values` is target -> metric -> `value` with `low` and `high` of its interval (of `level`) by subject, or, where the
    protocol averages over folds, `value` (their mean), `sd` (n - 1; of two folds or more) and `folds`, how many have one.
    `mean` is the mean over the targets that are not classes, where there are several. With folds, `per_fold` holds the values
    of each.
    """
    by_target = {target: _metrics(protocol, target) for target in targets if target.name in protocol.targets}
    everything = torch.arange(len(compared.names))
    statistics = _statistics(compared, by_target, targets)
    folds = sorted({fold for fold in compared.folds if fold is not None})
    result: dict[str, Any] = {"n": len(compared.names), "subjects": len(set(compared.subjects)), "level": LEVEL, "values": {}}
    per_fold = []
    for fold in folds:
        mine = torch.tensor([index for index, own in enumerate(compared.folds) if own == fold])
        values = {name: {m: f(mine) for m, f in found.items()} for name, found in statistics.items()}
        people = sorted({compared.subjects[index] for index in mine.tolist()})
        per_fold.append({"fold": fold, "subjects": people, "n": len(mine), "values": values})
    for name, found in statistics.items():
        result["values"][name] = {}
        for metric, statistic in found.items():
            if protocol.average == "folds" and folds:
                measured = over_folds([fold["values"][name][metric] for fold in per_fold])
            else:
                low, high = confidence_interval(statistic, compared.subjects, draws=DRAWS, level=LEVEL)
                measured = {"value": statistic(everything), "low": low, "high": high}
            result["values"][name][metric] = measured
    return result | ({"per_fold": per_fold} if folds else {})


def over_folds(values: Sequence[float]) -> dict[str, Any]:
    """Mean and sample standard deviation of those that are numbers, and how many these are."""
    known = [value for value in values if math.isfinite(value)]
    return {
        "value": sum(known) / len(known) if known else math.nan,
        "sd": stdev(known) if len(known) > 1 else math.nan,
        "folds": len(known),
    }


def _statistics(
    compared: Compared, by_target: dict[TargetConfig, dict[str, Metric]], targets: Sequence[TargetConfig]
) -> dict[str, dict[str, Callable[[Tensor], float]]]:
    """Target -> metric -> a function of indices; under `mean` the mean over targets that are not classes."""
    columns = target_columns(targets)
    x, y = torch.from_numpy(compared.prediction), torch.from_numpy(compared.label)
    found: dict[str, dict[str, Callable[[Tensor], float]]] = {}
    for target, metrics in by_target.items():
        own = (x[:, columns[target.name]].contiguous(), y[:, columns[target.name]].contiguous())
        found[target.name] = {
            name: lambda chosen, m=metric, own=own: float(m(own[0][chosen], own[1][chosen], None))
            for name, metric in metrics.items()
        }
    regressed = [target.name for target in by_target if target.kind != "categorical"]
    if len(regressed) > 1 and "mean" not in found:
        found["mean"] = {
            name: lambda chosen, name=name: sum(found[target][name](chosen) for target in regressed) / len(regressed)
            for name in found[regressed[0]]
        }
    return found


def _metrics(protocol: Protocol, target: TargetConfig) -> dict[str, Metric]:
    """Those of the protocol that a target of this kind has."""
    known = CLASS_METRICS if target.kind == "categorical" else REGRESSION_METRICS
    for name in protocol.metrics:
        if name not in {**CLASS_METRICS, **REGRESSION_METRICS}:
            known_names = ", ".join({**REGRESSION_METRICS, **CLASS_METRICS})
            raise InputError(f"the protocol {protocol.name} reports {name!r}, which is no metric here; there are {known_names}")
    found = {name: known[name] for name in protocol.metrics if name in known}
    if not found:
        raise InputError(f"the protocol {protocol.name} reports no metric of a {target.kind} target, such as {target.name}")
    return found
