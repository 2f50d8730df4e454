"""The same metrics for men and women, for loud and quiet, for each sentence: groups of clips by a column of their corpus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from affectzoo.config import TargetConfig, target_columns
from affectzoo.errors import DataError
from affectzoo.objectives.bootstrap import confidence_interval
from affectzoo.objectives.metrics import REGRESSION_METRICS, Metric
from affectzoo.train.report.classes import REPORTED, measured
from affectzoo.train.report.columns import check_values
from affectzoo.train.report.compare import DRAWS, LEVEL, Compared

#: Of groups: agreement measures of few people say little.
_REGRESSED = {name: REGRESSION_METRICS[name] for name in ("ccc", "mae", "rmse")}


def by_column(
    compared: Compared,
    columns: Sequence[dict[str, str]],
    column: str,
    targets: Sequence[TargetConfig],
    chosen: Sequence[TargetConfig],
) -> dict[str, Any]:
    """What is compared, in groups of one value of a column, as plain values.

    Args:
        compared: what the metrics are of.
        columns: of each clip, column -> value.
        column: one of them.
        targets: the model's; chosen: those that are measured.

    Returns:
        `groups`, by value: `value`, `n`, `clips`, `subjects`, for each categorical target under `absent` the classes that no
        label of the group names, and `metrics`, target -> metric -> `value`, `low`, `high`; `without`, how many have no value;
        `gaps`, target -> the largest difference of UAR or CCC between two groups, where there are two.

    Raises:
        DataError: clips that are compared as one differ in the column.
    """
    rows = zip(compared.names, compared.rows, strict=True)
    values = [_shared(name, {columns[row][column] for row in own}, column) for name, own in rows]
    check_values(column, set(values))
    places = {value: [place for place, own in enumerate(values) if own == value] for value in _ordered(set(values) - {""})}
    of = target_columns(targets)
    series = {t.name: [torch.from_numpy(a[:, of[t.name]]) for a in (compared.prediction, compared.label)] for t in chosen}
    groups = []
    for value, mine in places.items():
        people = [compared.subjects[place] for place in mine]
        group: dict[str, Any] = {
            "value": value,
            "n": len(mine),
            "clips": len({row for place in mine for row in compared.rows[place]}),
            "subjects": len(set(people)),
            "absent": {},
            "metrics": {},
        }
        for target in chosen:
            x, y = (one[mine] for one in series[target.name])
            group["metrics"][target.name] = measured(_metrics(target), x, y, people)
            if target.kind == "categorical":
                there = set(y.argmax(1).tolist())
                group["absent"][target.name] = [name for k, name in enumerate(target.classes) if k not in there]
        groups.append(group)
    gaps = {target.name: _gap(target, groups, places, series[target.name], compared.subjects) for target in chosen}
    return {
        "groups": groups,
        "without": values.count(""),
        "gaps": {name: gap for name, gap in gaps.items() if gap is not None},
    }


def _shared(name: str, values: set[str], column: str) -> str:
    if len(values) > 1:
        told = " and ".join(sorted(repr(value) for value in values))
        raise DataError(f"--by {column}: the clips of {name!r} are compared as one, and have {told}")
    return values.pop()


def _ordered(values: set[str]) -> list[str]:
    """By number where all are numbers, else by name."""
    try:
        return sorted(values, key=float)
    except ValueError:
        return sorted(values)


def _metrics(target: TargetConfig) -> dict[str, Metric]:
    return REPORTED if target.kind == "categorical" else _REGRESSED


def headline(target: TargetConfig) -> str:
    """The metric by which models and groups are told apart."""
    return "uar" if target.kind == "categorical" else "ccc"


def _gap(
    target: TargetConfig,
    groups: Sequence[dict[str, Any]],
    places: dict[str, list[int]],
    series: Sequence[Tensor],
    subjects: Sequence[str],
) -> dict[str, Any] | None:
    """The groups with the highest and the lowest value, and the interval of their difference; None of fewer than two."""
    name = headline(target)
    rated = {group["value"]: group["metrics"][target.name][name]["value"] for group in groups}
    rated = {value: found for value, found in rated.items() if found == found}  # not NaN
    if len(rated) < 2:
        return None
    # Sorted, so that of groups that are all alike two are told, and not one against itself.
    low, *_, high = sorted(rated, key=rated.__getitem__)
    side = torch.zeros(len(subjects), dtype=torch.long)
    side[places[high]], side[places[low]] = 1, -1
    metric, (x, y) = _metrics(target)[name], series

    def difference(chosen: Tensor) -> float:
        of = [float(metric(x[mine], y[mine], None)) for mine in (chosen[side[chosen] == sign] for sign in (1, -1))]
        return of[0] - of[1]

    ends = confidence_interval(difference, subjects, draws=DRAWS, level=LEVEL)
    absent = {group["value"]: group["absent"].get(target.name, []) for group in groups}
    unlike = {value: absent[value] for value in (high, low)} if absent[high] != absent[low] else {}
    return {
        "metric": name,
        "high": high,
        "low": low,
        "difference": rated[high] - rated[low],
        "interval": list(ends),
        "values": {high: rated[high], low: rated[low]},
        "subjects": {group["value"]: group["subjects"] for group in groups if group["value"] in (high, low)},
        "absent": unlike,
    }


def sentence(column: str, target: str, gap: dict[str, Any]) -> str:
    """The largest gap in words, of how many people it is, and why its two sides may not compare."""
    sides = [gap["high"], gap["low"]]
    high, low = (f"{gap['values'][side]:.3f} ({side}, of {_people(gap['subjects'][side])})" for side in sides)
    ends = gap["interval"]
    known = f", interval {ends[0]:.3f} to {ends[1]:.3f}" if None not in ends else ""
    told = f"largest gap by {column}: {gap['metric'].upper()} of {target} {high} against {low}"
    lacks = [f"{value} has no {', no '.join(names)}" for value, names in gap["absent"].items() if names]
    return f"{told}, {gap['difference']:.3f} apart{known}" + (f"; {' and '.join(lacks)}" if lacks else "")


def _people(count: int) -> str:
    return f"{count} {'person' if count == 1 else 'people'}"


def to_frame(by: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """A row for each column, value, target and metric: `value`, `low`, `high`, of `n` and so many clips and subjects."""
    rows = [
        {
            "column": column,
            "group": group["value"],
            "target": target,
            "metric": metric,
            **found,
            **{name: group[name] for name in ("n", "clips", "subjects")},
        }
        for column, told in by.items()
        for group in told["groups"]
        for target, metrics in group["metrics"].items()
        for metric, found in metrics.items()
    ]
    return pd.DataFrame(rows)
