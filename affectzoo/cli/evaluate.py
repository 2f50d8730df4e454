"""`affectzoo evaluate`: a model on a split of a dataset, as one table, `report.json`, `predictions.csv` and plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from affectzoo.cli.class_tables import show_classes, show_groups
from affectzoo.cli.console import err, out, remark
from affectzoo.cli.numbers import interval, number
from affectzoo.cli.predict import make_folder
from affectzoo.errors import InputError

if TYPE_CHECKING:
    from affectzoo.train.report.report import Report

#: Metrics that have no unit and lie within -1..1.
_UNITLESS = frozenset(("ccc", "pcc", "icc31", "icc11", "uar", "accuracy", "f1", "ece"))


def evaluate_model(
    model: str,
    data: str,
    overrides: Sequence[str],
    *,
    split: str | None,
    protocol: str | None,
    submission: Path | None,
    by: Sequence[str],
    classes: str | None,
    folder: Path,
    clip: bool,
    smooth: str | None,
    label_delay_s: float,
    device: str | None,
    batch_size: int,
    workers: int,
) -> None:
    """Evaluate, print the table, write the files; raises `AffectzooError` where something is wrong with what was asked."""
    from affectzoo.config import SmoothingConfig
    from affectzoo.train.report.assess import assess
    from affectzoo.train.report.plots import plot_report
    from affectzoo.train.report.postprocess import PostProcessing
    from affectzoo.train.seen import counted
    from affectzoo.train.splits import read_data

    post_processing = PostProcessing(
        label_delay_s, None if smooth is None else SmoothingConfig.parse(smooth, where="--smooth"), clip
    )
    asked = read_data(data, overrides)
    if submission is not None and (protocol is not None or label_delay_s or by or classes is not None):
        raise InputError("--submission compares with no labels: leave --protocol, --label-delay, --by and --classes out")
    make_folder(folder if submission is None else submission.parent)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(f"protocol {protocol}" if protocol else f"split {split or 'test'}", total=None)
        how: dict[str, Any] = {
            "post_processing": post_processing,
            "device": device,
            "batch_size": batch_size,
            "workers": workers,
            "advance": lambda done, total: bar.update(task, completed=done, total=total),
        }
        if submission is not None:
            from affectzoo.train.report.submission import write_submission

            write_submission(model, asked, submission, split=split or "test", **how)
            out.print(f"-> {submission}", markup=False, soft_wrap=True)
            return
        report = assess(model, asked, split=split, protocol=protocol, by=by, classes=classes, **how)
    if report.looks is not None:
        # Before anything is shown: a look that is interrupted was one.
        report.looks.record({"protocol": protocol, "post_processing": report.post_processing, "by": by}, report.score)
    written = [*report.write(folder), *plot_report(report, folder)]
    show(report)
    if report.met_in_training and report.split != "train":
        met = counted(list(report.met_in_training), report.subjects)
        remark(f"warning: {model} was trained on {met}: these numbers do not tell how it does on people whom it has not met")
    is_regressed = any(target.kind != "categorical" for target in report.targets)
    if is_regressed and report.pool is None and folder / "videos.png" not in written:
        remark("fewer than three videos have a CCC, so no best, median and worst one are drawn")
    out.print(f"-> {', '.join(str(path) for path in written)}", markup=False, soft_wrap=True)


def show_protocol(results: dict[str, Any]) -> None:
    """The reported numbers of a protocol, and how they were made."""
    out.print(f"{results['summary']} ({results['source']})", markup=False, soft_wrap=True)
    every = [measured for found in results["values"].values() for measured in found.values()]
    by_fold = any("sd" in measured for measured in every)
    has_intervals = any(measured.get("low") is not None for measured in every)
    table = Table(box=None, pad_edge=False)
    for name in ("target", "reported"):
        table.add_column(name, no_wrap=True)
    rest = ["mean", "sd", "folds"] if by_fold else ["value", *([f"{results['level']:.0%} interval"] if has_intervals else [])]
    for name in rest:
        table.add_column(name, justify="right", no_wrap=True)
    for target, found in results["values"].items():
        for metric, measured in found.items():
            row = [target, metric, number(measured["value"])]
            if by_fold:
                row += [number(measured["sd"]), str(measured["folds"])]
            table.add_row(*row, *([interval(measured)] if has_intervals else []))
    out.print(table)
    what = "annotations" if results["of"] == "annotations" else "scores"
    counted = f"{results['n']} {what} of {results['subjects']} subjects, {results['averaged']}: {results['compared']}"
    out.print(counted, markup=False, soft_wrap=True)


def show(report: Report) -> None:
    """The protocol's numbers, then every metric of every target with its interval, and what it was measured on."""
    results = report.results
    of = "steps" if report.pool is None else "recordings"
    out.print(report.title, markup=False, soft_wrap=True, style="bold")
    if "protocol" in results:
        show_protocol(results["protocol"])
        out.print(f"\nbesides, of all {of}:", markup=False)
    has_intervals = results["intervals"]["by"] is not None
    table = Table(box=None, pad_edge=False)
    for name in ("target", "of", "metric"):
        table.add_column(name, no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    if has_intervals:
        table.add_column(f"{results['intervals']['level']:.0%} interval", justify="right", no_wrap=True)
    units = {target.name: target.unit for target in report.targets}
    parts = [(of, results["metrics"]), ("steps", results.get("metrics_of_steps", {})), ("videos", _means(results))]
    for target in results["metrics"]:
        for word, metrics in parts:
            for metric, measured in metrics.get(target, {}).items():
                unit = "" if _UNITLESS.intersection(metric.split()) else units.get(target, "")
                row = [target, word, metric, f"{number(measured['value'])} {unit}".rstrip()]
                table.add_row(*row, *([interval(measured)] if has_intervals else []))
    if "mean_ccc" in results:
        measured = results["mean_ccc"]
        row = ["mean", of, "ccc", number(measured["value"])]
        table.add_row(*row, *([interval(measured)] if has_intervals else []))
    out.print(table)
    counted = f"{results['valid_steps']} of {results['steps']} steps have a label that counts"
    out.print(f"{results['clips']} videos of {results['subjects']} subjects, {counted}", markup=False, soft_wrap=True)
    out.print(_reading(results, of), markup=False, soft_wrap=True)
    for target, found in results.get("classes", {}).items():
        show_classes(target, found, is_protocol=report.protocol is not None)
    for column, told in results.get("by", {}).get("columns", {}).items():
        show_groups(column, told, results["by"]["of"])
    if report.left_out:
        lost = ", ".join(f"{name} {count}" for name, count in report.left_out.items())
        out.print(f"\nleft out, {sum(report.left_out.values())} {report.compared_of}: {lost}", markup=False, soft_wrap=True)
    if report.looks is not None:
        out.print(f"\n{report.looks}", markup=False, soft_wrap=True)


def _means(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Target -> metric, named as the mean it is, -> value; of models that score recordings none: one has no spread."""
    if "metrics_of_steps" in results:
        return {}
    return {
        target: {f"mean {metric} ({found['videos']})": found for metric, found in metrics.items()}
        for target, metrics in results["mean_over_videos"].items()
    }


def _reading(results: dict[str, Any], of: str) -> str:
    """How the numbers were made."""
    made = f"metrics are of all {of} of the split at once"
    intervals = results["intervals"]
    if intervals["by"] is None:
        return f"{made}; no intervals: {intervals['why']}"
    return f"{made}; intervals by bootstrap over subjects ({intervals['draws']} draws)"
