"""`affectzoo crossval`: a recipe over folds by subject, and one table of what came out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.table import Table

from affectzoo.cli.console import complain, out, remark
from affectzoo.cli.evaluate import show_protocol
from affectzoo.cli.numbers import interval, number
from affectzoo.errors import AffectzooError, ConfigError

if TYPE_CHECKING:
    from affectzoo.config import ExperimentConfig
    from affectzoo.train.folds import Plan

#: Metrics in the rows of folds where no protocol says which.
_SHOWN = ("ccc", "mae", "uar")


def cross_validate_recipe(
    recipe: Path,
    overrides: Sequence[str],
    *,
    folds: str | None,
    seed: int | None,
    only: str | None,
    protocol: str | None,
    nproc: int,
) -> bool:
    """Train what has not ended and print the summary; returns whether every fold that was asked for has ended."""
    numbers = parse_numbers(only)
    asked = parse_folds(folds)

    from affectzoo.train.experiment import read_experiment
    from affectzoo.train.folds import cross_validate, plan_of
    from affectzoo.train.state import StoppedError

    experiment = read_experiment(recipe, list(overrides))
    plan = plan_of(experiment, folds=asked, seed=seed, protocol=protocol)

    def launched(fold: ExperimentConfig) -> dict[str, Any]:
        return run_launched(fold, experiment, recipe, overrides, nproc)

    try:
        summary = cross_validate(plan, only=numbers, run=launched if nproc > 1 else None, say=remark)
    except StoppedError:
        out.print("stopped; the state is saved: the same command goes on", markup=False)
        return True
    show_summary(plan, summary)
    failed = [row for row in summary["per_fold"] if row["error"]]
    for row in failed:
        complain(f"fold {row['fold']}: {row['error']}")
    return not failed


def parse_folds(text: str | None) -> int | Literal["loso"] | None:
    """`5` or `loso`."""
    if text is None or text == "loso":
        return text
    if not text.isdecimal() or int(text) < 2:
        raise ConfigError(f"--folds {text} is neither a number of folds, 2 or more, nor loso")
    return int(text)


def parse_numbers(text: str | None) -> list[int]:
    """`0,3`; nothing where it was not given."""
    if text is None:
        return []
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ConfigError(f"--only {text} is not a list of fold numbers such as 0,3")
    return [int(part) for part in parts]


def run_launched(
    fold: ExperimentConfig, recipe: ExperimentConfig, path: Path, overrides: Sequence[str], nproc: int
) -> dict[str, Any]:
    """Train a fold in several processes; returns its result.

    Raises:
        AffectzooError: they ended with an error, which they have said.
        StoppedError: they were told to stop; the state is saved.
    """
    from affectzoo.train.launch import launch
    from affectzoo.train.runs import run_folder
    from affectzoo.train.state import StoppedError

    own = {key: value for key, value in fold.data.config.items() if recipe.data.config.get(key) != value}
    changed = [f"name={fold.name}", *(f"data.config.{key}={json.dumps(value)}" for key, value in own.items())]
    code = launch(nproc, [str(path), *overrides, *changed, "--resume"])
    if code:
        raise AffectzooError(f"training ended with exit code {code}; what was wrong is said above")
    result = run_folder(fold) / "result.json"
    if not result.is_file():
        raise StoppedError
    return json.loads(result.read_text(encoding="utf-8"))


def show_summary(plan: Plan, summary: dict[str, Any]) -> None:
    """The protocol's numbers, each metric over folds and of all predictions together, and a row for each fold."""
    from affectzoo.train.report.protocol import named_folds

    rows = summary["per_fold"]
    done = [row for row in rows if not row["error"]]
    what = f"{named_folds(plan.fold.folds)} of {plan.experiment.data.name}"
    counted = f"{summary['subjects']} subjects, {summary['clips']} clips"
    state = "" if len(done) == summary["count"] else f"; {len(done)} of {summary['count']} folds have ended"
    out.print(f"{summary['name']}: {what}, {counted}{state}", markup=False, soft_wrap=True, style="bold")
    if "protocol" in summary:
        show_protocol(summary["protocol"])
        out.print()
    if done:
        out.print(_over_folds(summary))
        made = f"mean and sd (n - 1) over folds; pooled over all {summary['predictions_of']} that were tested"
        by = summary["intervals"]["by"]
        out.print(made + (f", with intervals by bootstrap over {by}s" if by else ""), markup=False, soft_wrap=True)
        out.print(_rows(summary, done))
    out.print(f"-> {plan.folder / 'crossval.json'}", markup=False, soft_wrap=True)


def _over_folds(summary: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("target", "metric"):
        table.add_column(name, no_wrap=True)
    for name in ("mean", "sd", "folds", "pooled", "interval"):
        table.add_column(name, justify="right", no_wrap=True)
    for target, metrics in summary["metrics"].items():
        for metric, found in metrics.items():
            pooled = found["pooled"]
            numbers = [number(found["mean"]), number(found["sd"]), str(found["folds"]), number(pooled["value"])]
            table.add_row(target, metric, *numbers, interval(pooled))
    return table


def _rows(summary: dict[str, Any], rows: Sequence[dict[str, Any]]) -> Table:
    wanted = summary["protocol"]["metrics"] if "protocol" in summary else _SHOWN
    shown = [(target, metric) for target, found in rows[0]["test"].items() for metric in found if metric in wanted]
    table = Table(box=None, pad_edge=False)
    for name in ("fold", "subjects", "clips", "best epoch", *(f"{target} {metric}" for target, metric in shown)):
        table.add_column(name, justify="right")
    for row in rows:
        people = row["subjects"]
        who = people[0] if len(people) == 1 else str(len(people))
        values = [number(row["test"][target][metric]) for target, metric in shown]
        table.add_row(str(row["fold"]), who, str(row["clips"]), str(row["best_epoch"]), *values)
    return table
