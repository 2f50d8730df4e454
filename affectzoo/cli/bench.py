"""`affectzoo bench fusion`: fusions side by side, as a table, CSV, Markdown and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from affectzoo.cli.console import complain, out, remark
from affectzoo.cli.crossval import parse_folds
from affectzoo.errors import ConfigError


def bench_fusion(
    source: str,
    overrides: Sequence[str],
    *,
    fusions: str | None,
    seeds: str,
    folds: str | None,
    folder: Path,
    epochs: int | None,
    also: Sequence[str] = (),
) -> bool:
    """Train what has not ended, print the table, write the files; returns whether no row failed."""
    names = None if fusions is None else [name.strip() for name in fusions.split(",") if name.strip()]
    numbers, divided = parse_seeds(seeds), parse_folds(folds)

    from affectzoo.bench.conditions import conditions_of, parse_also
    from affectzoo.bench.fusion import SUMMARY, bench_fusions
    from affectzoo.bench.plan import plan_of
    from affectzoo.bench.plot import plot_bench
    from affectzoo.bench.rows import OPTIONS, rows_of
    from affectzoo.bench.source import experiment_of
    from affectzoo.bench.table import failure_of, label_of, reading, to_csv, to_markdown
    from affectzoo.files import write_text
    from affectzoo.train.state import StoppedError

    changed = parse_also(also)
    if names is not None:
        rows_of(names)  # what is wrong is said before anything is encoded
    options = [override for override in overrides if override.startswith(OPTIONS)]
    shared = [override for override in overrides if override not in options]
    experiment = experiment_of(source, shared, folder, epochs=epochs, divided=divided is not None, say=remark)
    conditions = conditions_of(changed, experiment, say=remark)
    plan = plan_of(experiment, fusions=names, options=options, seeds=numbers, folds=divided, conditions=conditions, say=remark)
    try:
        summary = bench_fusions(plan, say=remark)
    except StoppedError:
        out.print("stopped; the state is saved: the same command goes on", markup=False)
        return True
    written = [folder / SUMMARY, folder / "fusions.csv", folder / "fusions.md"]
    write_text(written[1], to_csv(summary))
    write_text(written[2], to_markdown(summary))
    plot = plot_bench(summary, folder / "fusions.png")
    # A file or pipe has no width that would be too narrow.
    out.print(_table(summary), width=None if out.is_terminal else 1000, crop=False)
    out.print(reading(summary), markup=False, soft_wrap=True)
    out.print(f"-> {', '.join(map(str, written if plot is None else [*written, plot]))}", markup=False, soft_wrap=True)
    failed = [row for row in summary["rows"] if row["error"]]
    for row in failed:
        complain(f"{label_of(row)}: {failure_of(row, summary)}")
    return not failed


def parse_seeds(text: str) -> list[int]:
    """`0,1,2`."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ConfigError(f"--seeds {text} is not a list of whole numbers such as 0,1,2")
    return [int(part) for part in parts]


def _table(summary: dict[str, Any]) -> Table:
    from affectzoo.bench.table import columns_of

    header, rows = columns_of(summary, short=True)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in header:
        table.add_column(name, justify="left" if name == "fusion" else "right", no_wrap=name == "fusion", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
