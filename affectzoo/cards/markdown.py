"""Pieces of Markdown that cards and READMEs are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from affectzoo.cards.front import Metric, Value
from affectzoo.config import StreamInput, TargetConfig

#: Names of classes that are printed; of more, the first of them and their number.
_CLASSES_SHOWN = 12


def one_line(text: str) -> str:
    """Names and values come from files: no line break may end a cell, a heading or a quotation."""
    return " ".join(text.split())


def cell(value: object) -> str:
    """A value inside a table."""
    return one_line(str(value)).replace("|", "\\|")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; empty without rows."""
    lines = [f"| {' | '.join(map(cell, row))} |" for row in rows]
    return "\n".join([f"| {' | '.join(header)} |", "|" + "---|" * len(header), *lines]) if lines else ""


def section(heading: str, *paragraphs: str) -> str:
    """A section of second order; empty where nothing is to be said."""
    said = [paragraph.strip() for paragraph in paragraphs if paragraph.strip()]
    return "\n\n".join([f"## {heading}", *said]) if said else ""


def code(text: str) -> str:
    """Inline code, whatever backticks `text` holds."""
    text = one_line(text)
    if "`" not in text:
        return f"`{text}`"
    longest = max(map(len, "".join(c if c == "`" else " " for c in text).split()))
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}"


def targets_table(targets: Iterable[TargetConfig]) -> str:
    """Target, kind, range or classes, unit."""
    return table(("target", "kind", "range", "unit"), [(code(t.name), t.kind, _range(t), t.unit) for t in targets])


def _range(target: TargetConfig) -> str:
    if target.kind != "categorical":
        return f"{target.low:g} to {target.high:g}"
    names, count = target.classes, len(target.classes)
    if count <= _CLASSES_SHOWN:
        return f"{count} classes: {', '.join(names)}"
    return f"{count} classes: {', '.join(names[:_CLASSES_SHOWN])} and {count - _CLASSES_SHOWN} more, named in config.json"


def spoken(declared: StreamInput) -> str:
    """What a backbone is fed, for people."""
    if declared.kind == "frames":
        grey = "grey " if declared.colour == "grey" else ""
        return f"{declared.frames} {grey}face crops of {declared.height} x {declared.width}"
    if declared.kind == "log-mel":
        centred = "" if declared.cmn_seconds is None else f", each over its mean within {declared.cmn_seconds:g} s"
        return f"log-mel of {declared.n_mels} bands{centred} x {declared.frames} steps at {declared.sample_rate:,} Hz"
    if declared.kind == "signal":
        return f"a signal of {declared.channels} channels x {declared.samples} samples"
    return f"waveform of {declared.samples:,} samples at {declared.sample_rate:,} Hz"


def number(value: Value) -> str:
    """`0.846 (0.009)`; the standard deviation only where there is one."""
    return f"{value.mean:g}" if value.sd is None else f"{value.mean:.3f} ({value.sd:.3f})"


def numbers(row: Metric) -> str:
    """`valence 0.846 (0.009), arousal 0.886 (0.010)`."""
    return ", ".join(f"{key} {number(value)}" for key, value in row.values.items())


def metrics_table(metrics: Iterable[Metric]) -> str:
    """A row for each set of numbers, with what they were measured on and how to get them again."""
    rows = [(row.metric, numbers(row), _measured_on(row), _origin(row)) for row in metrics]
    return table(("metric", "mean (sd)", "measured on", "source"), rows)


def _measured_on(row: Metric) -> str:
    people = "" if row.subjects is None else f"; {row.subjects} subjects"
    protocol = f"; protocol {row.protocol}" if row.protocol else ""
    seeds = f"; {row.seeds} seeds" if row.seeds > 1 else ""
    looks = "" if row.looks is None else f"; looked at {row.looks} time{'s' if row.looks > 1 else ''}"
    return f"{row.dataset}: {row.split}{people}{protocol}{seeds}{looks}"


def _origin(row: Metric) -> str:
    if row.reported_by:
        return f"not measured here; reported by {row.reported_by}"
    return code(row.command) + (f" at {row.commit[:7]}" if row.commit else "")


def listed(sentences: Iterable[str]) -> str:
    """A bullet for each."""
    return "\n".join(f"- {one_line(sentence)}" for sentence in sentences)


def sentence(text: str) -> str:
    """On one line, with a full stop."""
    text = one_line(text)
    return text if text.endswith((".", "!", "?")) else f"{text}."


def facts(pairs: Mapping[str, str]) -> str:
    """A bullet for each label that has a value."""
    return "\n".join(f"- {label}: {one_line(value)}" for label, value in pairs.items() if value.strip())
