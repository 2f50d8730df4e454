"""A check as one HTML page that needs nothing beside itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from html import escape

import affectzoo
from affectzoo.data.check import plots
from affectzoo.data.check.finding import Finding
from affectzoo.data.check.labels import Distribution, TargetFacts
from affectzoo.data.check.report import Report, summary

#: Rows of a folded list; `check.json` holds all.
_MOST_ROWS = 2000

_STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1d2125; --quiet: #626b75; --line: #e1e5ea; --card: #f6f8fa;
  --bad: #b3261e; --warn: #8a5a00; --good: #1a7f4b; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171b; --ink: #e6e9ed; --quiet: #98a2ad; --line: #2c333b;
  --card: #1b2026; --bad: #ff8a80; --warn: #f0b84d; --good: #5fd39a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 62rem; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .7rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
p { margin: .4rem 0; } .quiet { color: var(--quiet); } code { overflow-wrap: anywhere; font-size: .9em; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .7rem; margin: 1.3rem 0; }
.figures div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .9rem; }
.figures b { display: block; font-size: 1.45rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.figures span { color: var(--quiet); font-size: .85rem; }
.bad { color: var(--bad); } .warn { color: var(--warn); } .good { color: var(--good); }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .45rem 0; background: var(--card); }
summary { cursor: pointer; padding: .5rem .8rem; } summary b { margin-right: .5rem; }
details ul { margin: 0; padding: .1rem 1rem .7rem 2.2rem; font-size: .88rem; max-height: 22rem; overflow: auto; }
li { overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .92rem; }
th { text-align: right; font-weight: 600; color: var(--quiet); } td { text-align: right; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
figure { margin: .8rem 0; }
svg { width: 100%; height: auto; display: block; } figcaption { color: var(--quiet); font-size: .85rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.2rem; font-size: .92rem; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .5rem; } }
"""


def page(report: Report) -> str:
    """The whole page; whatever comes from files or a loader is escaped."""
    title = escape(report.corpus.card.title)
    parts = [
        f"<h1>{title}</h1>",
        f'<p class="quiet"><code>{escape(report.name)}</code> in <code>{escape(str(report.corpus.root))}</code></p>',
        _verdict(report),
        _figures(report),
        _findings("Problems", report.problems, "bad"),
        _findings("Remarks", report.remarks, "warn"),
        _section("Splits", _splits(report)),
        _section("Labels", *[_target(facts) for facts in report.targets], _figure(plots.label_histograms(report), _HISTOGRAMS)),
        _section(
            "Label curves", _figure(plots.curves(report), "The first clips, of several subjects; shaded: labels do not count.")
        ),
        _section("Clips", _figure(plots.subjects(report)), _figure(plots.durations(report)), _media(report)),
        _section("Left out", *_grouped(report, report.left_out)),
        _section("Remarks of the loader", *_grouped(report, report.notes)),
        _section("About the corpus", _card(report)),
        f'<p class="quiet">affectzoo {escape(affectzoo.__version__)}; all of this, clip by clip, is in check.json.</p>',
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head><body>\n{"".join(parts)}\n</body></html>\n'
    )


_HISTOGRAMS = "Shares of the labels of a split; dashed lines: the declared range."


def verdict(report: Report) -> str:
    """One sentence about the whole."""
    problems, remarks = len(report.problems), len(report.remarks)
    if not problems:
        return "no problem found" + (f", {_count(remarks, 'remark')}" if remarks else "")
    return _count(problems, "problem") + (f", {_count(remarks, 'remark')}" if remarks else "")


def hours(seconds: float) -> str:
    """`2.3 h`, `12.5 min`, `40 s`."""
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"


def number(value: float | None) -> str:
    """Three digits; a dash where there is none."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.3g}"


def _verdict(report: Report) -> str:
    kind = "bad" if report.problems else "good"
    media = "" if report.is_opened else "; media were not opened"
    return f'<p class="{kind}"><b>{escape(verdict(report).capitalize())}</b></p><p>{report.accounting}{media}.</p>'


def _figures(report: Report) -> str:
    whole = summary(report.clips)
    shown = [
        (f"{whole['clips']:,}", "clips used"),
        (f"{len(report.left_out):,}", "left out"),
        (f"{whole['subjects']:,}", "subjects"),
        *([(hours(whole["seconds"]), "of recordings")] if whole["seconds"] else []),
        (str(len(report.problems)), "problems"),
        (str(len(report.remarks)), "remarks"),
    ]
    return f'<div class="figures">{"".join(f"<div><b>{value}</b><span>{what}</span></div>" for value, what in shown)}</div>'


def _findings(title: str, findings: Sequence[Finding], kind: str) -> str:
    folded = [_folded(finding.sentence, finding.of, f'<b class="{kind}">&#9679;</b>') for finding in findings]
    return _section(title, *folded)


def _splits(report: Report) -> str:
    rows = []
    for split, clips in [*report.splits.items(), *([("in all", report.clips)] if len(report.splits) > 1 else [])]:
        of = summary(clips)
        known = "" if of["clips_with_seconds"] in (0, of["clips"]) else f" ({of['clips_with_seconds']:,} clips)"
        rows.append([split, f"{of['clips']:,}", f"{of['subjects']:,}", hours(of["seconds"]) + known if of["seconds"] else "-"])
    return _table(["split", "clips", "subjects", "length"], rows)


def _target(facts: TargetFacts) -> str:
    target = facts.target
    what = "along time" if facts.is_along else "of whole clips"
    unit = f" {target.unit}" if target.unit else ""
    reach = f"{len(target.classes)} classes" if target.kind == "categorical" else f"{target.low:g} to {target.high:g}{unit}"
    heading = f"<p><b>{escape(target.name)}</b> <span class='quiet'>{target.kind}, {escape(reach)}, {what}</span></p>"
    parts = [*facts.splits.items(), *([("in all", facts.total)] if len(facts.splits) > 1 else [])]
    if target.kind != "categorical":
        header = ["split", "labels", "that count", "mean", "s.d.", "least", "most", "outside"]
        return heading + _table(header, [[split, *_numbers(part)] for split, part in parts])
    counted = [[split, f"{part.labels:,}", _share(part), *(f"{count:,}" for count in part.counts)] for split, part in parts]
    classes = target.classes if len(target.classes) <= 24 else ()
    width = 3 + len(classes)
    return heading + _table(["split", "labels", "that count", *classes], [row[:width] for row in counted])


def _numbers(part: Distribution) -> list[str]:
    measured = [number(value) for value in (part.mean, part.sd, part.low, part.high)]
    return [f"{part.labels:,}", _share(part), *measured, f"{part.outside:,}"]


def _share(part: Distribution) -> str:
    return f"{part.valid / part.labels:.1%}" if part.labels else "-"


def _media(report: Report) -> str:
    if not report.media:
        return ""
    kinds: dict[str, int] = {}
    for facts in report.media.values():
        if facts.problem:
            kind = "cannot be read"
        elif facts.images:
            kind = f"images, {facts.width} x {facts.height}"
        else:
            seen = [f"{facts.width} x {facts.height} at {facts.fps:.4g} frames per second"] if facts.width else []
            heard = [f"{facts.sample_rate} Hz, {_count(facts.channels, 'channel')}"] if facts.sample_rate else []
            kind = "; ".join(seen + heard) or "no track"
        kinds[kind] = kinds.get(kind, 0) + 1
    rows = [[kind, f"{count:,}"] for kind, count in sorted(kinds.items(), key=lambda item: -item[1])]
    more = f'<p class="quiet">and {len(rows) - 12:,} more kinds</p>' if len(rows) > 12 else ""
    return _table(["media", "files"], rows[:12]) + more


def _grouped(report: Report, said: Sequence[tuple[str, str]]) -> list[str]:
    return [
        _folded(sentence, (f"{clip}: {words}" for clip, words in cases), f"<b>{len(cases):,}</b>")
        for sentence, cases in report.groups(said)
    ]


def _card(report: Report) -> str:
    pairs = asdict(report.corpus.card).items()
    return "<dl>" + "".join(f"<dt>{k.replace('_', ' ')}</dt><dd>{escape(v)}</dd>" for k, v in pairs) + "</dl>"


def _section(title: str, *parts: str) -> str:
    body = "".join(parts)
    return f"<h2>{escape(title)}</h2>{body}\n" if body else ""


def _figure(svg: str, caption: str = "") -> str:
    under = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{svg}{under}</figure>" if svg else ""


def _folded(sentence: str, cases: Iterable[str], mark: str) -> str:
    lines = list(cases)
    more = f"<li>and {len(lines) - _MOST_ROWS:,} more</li>" if len(lines) > _MOST_ROWS else ""
    listed = "".join(f"<li>{escape(line)}</li>" for line in lines[:_MOST_ROWS])
    return f"<details><summary>{mark}{escape(sentence)}</summary><ul>{listed}{more}</ul></details>"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _count(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
