"""`list`, `info` and `plugins`: what is installed, without importing torch (but for `info` of a component)."""

from __future__ import annotations

import difflib

from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from affectzoo.cli.console import out
from affectzoo.errors import InputError
from affectzoo.registry import KINDS, Entry, ModelSpec, registry


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
        labels = [f"{n}<variant>" if e.spec.is_family else n for n, e in zip(registry().names(name), entries, strict=True)]
        if not entries and kind != "all":
            out.print(f"[bold]{name}s[/bold]: none installed\n")
        for title, rows in _grouped(name, list(zip(labels, entries, strict=True))).items():
            _print_rows(title, rows)
    if kind == "all":
        out.print("`affectzoo info NAME` describes one; `affectzoo plugins` shows where they come from.", style="dim")


def _grouped(kind: str, rows: list[tuple[str, Entry]]) -> dict[str, list[tuple[str, Entry]]]:
    """Title -> rows, none of them empty: models that are here apart from those that must be fetched."""
    groups: dict[str, list[tuple[str, Entry]]] = {}
    for label, entry in rows:
        title = f"{kind}s"
        if isinstance(entry.spec, ModelSpec):
            title += ", bundled" if entry.spec.is_bundled else ", downloaded when first used"
        groups.setdefault(title, []).append((label, entry))
    return dict(sorted(groups.items()))


def _print_rows(title: str, rows: list[tuple[str, Entry]]) -> None:
    out.print(f"[bold]{title}[/bold]")
    if title.startswith("models"):
        _print_models(rows)
    else:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        # A name is there to be copied: whatever the width of the terminal, it is shown whole.
        table.add_column("name", min_width=max(len(label) for label, _ in rows), no_wrap=True, style="cyan")
        for label, entry in rows:
            # What plugins say may hold brackets, which are markup here.
            table.add_row(*map(escape, (label, entry.provider, entry.spec.summary)))
        out.print(table)
    out.print()


def _print_models(rows: list[tuple[str, Entry]]) -> None:
    """A line of facts for each, never cut, and its summary under it, since no terminal is as wide as both."""
    facts = [("name", "size", "licence", "targets")]
    for label, entry in rows:
        assert isinstance(entry.spec, ModelSpec)
        size = f"{entry.spec.size_mb:,.1f} MB" if entry.spec.size_mb else ""
        facts.append((label, size, entry.spec.licence, ", ".join(entry.spec.targets)))
    widths = [max(map(len, column)) for column in zip(*facts, strict=True)]
    lines = ["  ".join(map(str.ljust, cells, widths)).rstrip() for cells in facts]
    out.print(lines[0], style="dim", markup=False, soft_wrap=True)
    for line, (_, entry) in zip(lines[1:], rows, strict=True):
        out.print(line, style="cyan", markup=False, soft_wrap=True)
        out.print(Padding(Text(entry.spec.summary), (0, 0, 0, 4), expand=False))


def show_info(name: str) -> None:
    """Print the description of everything of that name."""
    from affectzoo.hub.describe import info_of_all

    out.print("\n\n".join(map(str, info_of_all(name))), markup=False, soft_wrap=True)


def show_plugins() -> None:
    """Print one line for each plugin, never cut: what it provides, its error, its remarks."""
    records = registry().records
    rows = [("plugin", "distribution", "version", "status", "provides")]
    for record in records:
        provides = ", ".join(f"{len(specs)} {kind}{'s' if len(specs) > 1 else ''}" for kind, specs in record.specs.items())
        details = "; ".join(filter(None, [provides, record.error, *record.remarks]))
        rows.append((record.name, record.distribution, record.version, record.status, details))
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    lines = ["  ".join([*map(str.ljust, row, widths), row[-1]]).rstrip() for row in rows]
    out.print(lines[0], style="dim", markup=False, soft_wrap=True)
    styles = {"loaded": "green", "failed": "red", "blocked": "yellow"}
    for line, record in zip(lines[1:], records, strict=True):
        start = sum(widths[:3]) + 3 * len("  ")
        text = Text(line)
        text.stylize(styles[record.status], start, start + len(record.status))
        out.print(text, soft_wrap=True)
