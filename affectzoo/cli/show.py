"""`list`, `info` and `plugins`: what is installed, without importing torch (but for `info` of a component)."""

from __future__ import annotations

import difflib

from rich.table import Table

from affectzoo.cli.console import out
from affectzoo.errors import InputError
from affectzoo.registry import KINDS, ModelSpec, registry


def show_list(kind: str) -> None:
    """Print the names of one kind, or of all."""
    plurals = {f"{name}s": name for name in KINDS}
    if kind != "all" and kind not in plurals and kind not in KINDS:
        near = difflib.get_close_matches(kind, plurals, n=1)
        hint = f"did you mean {near[0]}?" if near else f"kinds are {', '.join(plurals)}."
        raise InputError(f"there is no kind {kind!r}; {hint}")
    wanted = sorted(KINDS, key=lambda k: k != "model") if kind == "all" else [plurals.get(kind, kind)]
    for name in wanted:
        entries = registry().entries(name)
        if not entries and kind == "all":
            continue
        out.print(f"[bold]{name}s[/bold]" + ("" if entries else ": none installed"))
        table = Table(box=None, show_header=name == "model", padding=(0, 2, 0, 0), header_style="dim")
        columns = ("name", "targets", "size", "licence", "summary") if name == "model" else ("name", "provided by", "summary")
        for column in columns:
            table.add_column(column, no_wrap=column != "summary", style="cyan" if column == "name" else None)
        for label, entry in zip(registry().names(name), entries, strict=True):
            spec = entry.spec
            shown = f"{label}<variant>" if spec.is_family else label
            if isinstance(spec, ModelSpec):
                size = f"{spec.size_mb:.1f} MB" if spec.size_mb else ""
                table.add_row(shown, ", ".join(spec.targets), size, spec.licence, spec.summary)
            else:
                table.add_row(shown, entry.provider, spec.summary)
        if entries:
            out.print(table)
        out.print()
    if kind == "all":
        out.print("`affectzoo info NAME` describes one; `affectzoo plugins` shows where they come from.", style="dim")


def show_info(name: str) -> None:
    """Print the description of one name."""
    from affectzoo.hub.describe import info

    out.print(str(info(name)), markup=False, soft_wrap=True)


def show_plugins() -> None:
    """Print one line for each plugin, with its error or remarks under it."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("plugin", "distribution", "version", "status", "provides"):
        table.add_column(column, no_wrap=column != "provides")
    styles = {"loaded": "green", "failed": "red", "blocked": "yellow"}
    for record in registry().records:
        provides = ", ".join(f"{len(specs)} {kind}{'s' if len(specs) > 1 else ''}" for kind, specs in record.specs.items())
        status = f"[{styles[record.status]}]{record.status}[/]"
        details = [provides, record.error, *record.remarks]
        table.add_row(record.name, record.distribution, record.version, status, "; ".join(d for d in details if d))
    out.print(table)
