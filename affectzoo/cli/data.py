"""`affectzoo data check` and `affectzoo data preview`: what is in a corpus, before any model is trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from affectzoo.cli.console import err, out
from affectzoo.cli.key_values import key_values
from affectzoo.cli.predict import make_folder
from affectzoo.errors import ConfigError

if TYPE_CHECKING:
    from affectzoo.data.check.finding import Finding
    from affectzoo.data.check.report import Report

#: Findings, and targets, that fit on a screen.
_MOST_FINDINGS, _MOST_TARGETS = 12, 8


def check_data(
    name: str, overrides: Sequence[str], *, root: str | None, media: bool, folder: Path, workers: int | None
) -> bool:
    """Check a corpus, print what was found, write `check.json` and `check.html`; whether there is a problem."""
    from affectzoo.data.load import open_corpus

    corpus = open_corpus(name, _options(overrides, root))
    make_folder(folder)

    from affectzoo.data.check.page import page
    from affectzoo.data.check.report import check
    from affectzoo.files import write_json, write_text

    columns = (TextColumn("media", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("media", total=None)
        report = check(
            name, corpus, media=media, workers=workers, advance=lambda done, all_: bar.update(task, completed=done, total=all_)
        )
    write_json(folder / "check.json", report.to_json())
    write_text(folder / "check.html", page(report))
    _show(report)
    out.print(f"-> {folder / 'check.html'}, {folder / 'check.json'}", markup=False, soft_wrap=True)
    return bool(report.problems)


def preview_data(name: str, overrides: Sequence[str], *, root: str | None, clips: int, split: str | None, path: Path) -> None:
    """Write the contact sheet."""
    from affectzoo.data.load import open_corpus

    corpus = open_corpus(name, _options(overrides, root))

    from affectzoo.data.check.preview import preview

    drawn = preview(corpus, path, clips=clips, split=split)
    out.print(f"{drawn} clip{'' if drawn == 1 else 's'} -> {path}", markup=False, soft_wrap=True)


def _options(overrides: Sequence[str], root: str | None) -> dict[str, Any]:
    options = key_values(overrides)
    if root is None:
        return options
    if "root" in options:
        raise ConfigError("option 'root' is given twice; give it once")
    return {"root": root, **options}


def _show(report: Report) -> None:
    """One screen: what there is, the labels, the findings."""
    from affectzoo.data.check.page import verdict

    out.print(f"{report.corpus.card.title}: {verdict(report)}", markup=False, soft_wrap=True, style="bold")
    opened = "" if report.is_opened else "; media were not opened"
    out.print(f"clips: {report.accounting}{opened}", markup=False, soft_wrap=True)
    out.print(_splits(report))
    if report.targets:
        out.print(_targets(report))
    if len(report.targets) > _MOST_TARGETS:
        out.print(f"and {len(report.targets) - _MOST_TARGETS} more targets", style="dim")
    for finding in report.findings[:_MOST_FINDINGS]:
        style = "red" if finding.is_problem else "yellow"
        out.print(("! " if finding.is_problem else "- ") + _line(finding), markup=False, soft_wrap=True, style=style)
    if len(report.findings) > _MOST_FINDINGS:
        out.print(f"and {len(report.findings) - _MOST_FINDINGS} more findings", style="dim")


def _splits(report: Report) -> Table:
    from affectzoo.data.check.page import hours
    from affectzoo.data.check.report import summary

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("split", no_wrap=True)
    for name in ("clips", "subjects", "length"):
        table.add_column(name, justify="right", no_wrap=True)
    for split, clips in report.splits.items():
        of = summary(clips)
        table.add_row(split, f"{of['clips']:,}", f"{of['subjects']:,}", hours(of["seconds"]) if of["seconds"] else "-")
    return table


def _targets(report: Report) -> Table:
    from affectzoo.data.check.page import number

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("target", no_wrap=True)
    for name in ("labels", "that count", "mean", "s.d.", "least", "most"):
        table.add_column(name, justify="right", no_wrap=True)
    for facts in report.targets[:_MOST_TARGETS]:
        part = facts.total
        share = f"{part.valid / part.labels:.1%}" if part.labels else "-"
        numbers = [number(value) for value in (part.mean, part.sd, part.low, part.high)]
        if facts.target.kind == "categorical":
            held = sorted((count, label) for label, count in zip(facts.target.classes, part.counts, strict=True) if count)
            ends = [f"{escape(label)} {count:,}" for count, label in (held[0], held[-1])] if held else ["-", "-"]
            numbers = [f"{len(held)} classes", "", *ends]
        table.add_row(facts.target.name, f"{part.labels:,}", share, *numbers)
    return table


def _line(finding: Finding) -> str:
    """The sentence and the first case."""
    first, *others = finding.of
    return f"{finding.sentence} ({first}{f', and {len(others):,} more' if others else ''})"
