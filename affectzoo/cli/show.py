"""`list`, `info` and `plugins`: what is installed, without importing torch (but for `info` of a component)."""

from __future__ import annotations

import difflib

from rich.markup import escape
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
        labels = [f"{n}<variant>" if e.spec.is_family else n for n, e in zip(registry().names(name), entries, strict=True)]
        for column in columns:
            # A name is there to be copied: whatever the width of the terminal, it is shown whole.
            least = max(map(len, labels), default=0) if column == "name" else None
            table.add_column(column, min_width=least, no_wrap=column == "name", style="cyan" if column == "name" else None)
        for label, entry in zip(labels, entries, strict=True):
            spec = entry.spec
            if isinstance(spec, ModelSpec):
                size = f"{spec.size_mb:.1f} MB" if spec.size_mb else ""
                cells = (", ".join(spec.targets), size, spec.licence, spec.summary)
            else:
                cells = (entry.provider, spec.summary)
            # What plugins say may hold brackets, which are markup here.
            table.add_row(*map(escape, (label, *cells)))
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
        cells = [escape(text) for text in (record.name, record.distribution, record.version)]
        table.add_row(*cells, status, escape("; ".join(d for d in details if d)))
    out.print(table)
