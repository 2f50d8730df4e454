"""Tables of classes and of groups of clips, for `affectzoo evaluate`."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from affectzoo.cli.console import out
from affectzoo.cli.numbers import interval, number


def show_classes(target: str, found: dict[str, Any], *, is_protocol: bool) -> None:
    """Recall of each class, how many labels it is of, and which other class is predicted most for it.

    Args:
        target: name of the target.
        found: what the report holds of it under `classes`.
        is_protocol: whether its metrics stand in no table yet.
    """
    told = ""
    if is_protocol:
        told = ": " + ", ".join(f"{name} {number(measured['value'])}" for name, measured in found["metrics"].items())
    out.print(f"\n{target}, {found['n']} {found['of']}{told}", markup=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("class", no_wrap=True)
    table.add_column("labelled", justify="right", no_wrap=True)
    table.add_column("recall", justify="right", no_wrap=True)
    table.add_column("most often taken for", no_wrap=True)
    names = list(found["recall"])
    for place, (name, recall) in enumerate(found["recall"].items()):
        others = {other: count for other, count in zip(names, found["confusion"][place], strict=True) if other != name}
        wrong = max(others, key=others.__getitem__)
        taken = f"{wrong} ({others[wrong]})" if others[wrong] else ""
        table.add_row(name, str(recall["n"]), number(recall["value"]) if recall["n"] else "", taken)
    out.print(table)


def show_groups(column: str, told: dict[str, Any], of: str) -> None:
    """The metrics of each value of a column, then the largest gap in one sentence.

    Args:
        column: its name.
        told: what the report holds of it under `by`.
        of: what is compared, in a word.
    """
    from affectzoo.train.report.groups import sentence

    groups = told["groups"]
    for target in groups[0]["metrics"]:
        out.print(f"\n{target} by {column}", markup=False, soft_wrap=True)
        known = list(groups[0]["metrics"][target])
        first = "uar" if "uar" in known else "ccc"
        names = [name for name in known if name not in (first, "f1")]  # by.csv has it; a line of a screen does not hold all
        table = Table(box=None, pad_edge=False)
        table.add_column(column, no_wrap=True)
        for name in (of, "people", first, "interval", *names):
            table.add_column(name, justify="right", no_wrap=True)
        for group in groups:
            metrics = group["metrics"][target]
            others = [number(metrics[name]["value"]) for name in names]
            counts = [str(group["n"]), str(group["subjects"])]
            table.add_row(group["value"], *counts, number(metrics[first]["value"]), interval(metrics[first]), *others)
        out.print(table)
        if target in told["gaps"]:
            out.print(sentence(column, target, told["gaps"][target]), markup=False, soft_wrap=True)
    if told["without"]:
        out.print(f"{told['without']} {of} have no value in {column} and are in no group", markup=False, soft_wrap=True)
