"""Pictures of a check as SVG for a page: text stays text, and ink takes the colour of the page, light or dark."""

from __future__ import annotations

import io
import math
import re
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from affectzoo.data.check.drawing import COLOURS, INK, draw_track, legend, plain, same_range, save, short, spread
from affectzoo.data.check.labels import Distribution, TargetFacts
from affectzoo.data.check.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Drawn at most: classes of a target, subjects, clips with curves.
_MOST_CLASSES, _MOST_SUBJECTS, _MOST_CURVES = 24, 60, 8
_WIDTH = 10.0  # inches


def label_histograms(report: Report) -> str:
    """A row of panels for each target: its distribution in each split. Empty without a label."""
    shown = [facts for facts in report.targets if facts.total.valid and len(facts.target.classes) <= _MOST_CLASSES]
    if not shown:
        return ""
    splits = list(report.splits)
    figure = _figure(0.4 + 1.9 * len(shown))
    panels = figure.subplots(len(shown), len(splits), squeeze=False)
    for row, facts in zip(panels, shown, strict=True):
        shares = [_shares(facts.splits[split]) for split in splits]
        for c, (panel, split, share) in enumerate(zip(row, splits, shares, strict=True)):
            _histogram(panel, facts, share, COLOURS[c % len(COLOURS)])
            panel.set_ylim(0, 1.08 * max(float(share.max()) for share in shares) or 1)
            _title(panel, f"{split}, n = {facts.splits[split].valid:,}")
            if c == 0:
                panel.set_ylabel("share of labels")
            else:
                panel.tick_params(labelleft=False)
    return _svg(figure)


def subjects(report: Report) -> str:
    """Clips, and minutes where they are known, of each subject, the longest first."""
    count: dict[tuple[str, str], int] = defaultdict(int)
    minutes: dict[tuple[str, str], float] = defaultdict(float)
    for clip in report.clips:
        count[clip.clip.subject, clip.split] += 1
        minutes[clip.clip.subject, clip.split] += clip.seconds / 60 if math.isfinite(clip.seconds) else 0.0
    has_minutes = any(minutes.values())
    order = sorted(count, key=lambda key: -(minutes[key] if has_minutes else count[key]))[:_MOST_SUBJECTS]
    if len(order) < 2:
        return ""
    figure = _figure(4.2 if has_minutes else 2.6)
    panels = figure.subplots(2 if has_minutes else 1, 1, squeeze=False, sharex=True)[:, 0]
    splits = list(report.splits)
    colours = [COLOURS[splits.index(split) % len(COLOURS)] for _, split in order]
    for panel, heights, label in zip(panels, (count, minutes), ("clips", "minutes"), strict=False):
        panel.bar(range(len(order)), [heights[key] for key in order], color=colours, width=0.75)
        panel.set_ylabel(label)
        plain(panel)
    names = [subject for subject, _ in order]
    panels[-1].set_xticks(range(len(order)), [short(name, 14) for name in names], rotation=90, fontsize=8, parse_math=False)
    panels[-1].set_xlim(-0.7, len(order) - 0.3)
    left = len(count) - len(order)
    _title(panels[0], f"each subject{f'; {left:,} more are not drawn' if left else ''}")
    if len(splits) > 1:
        legend(panels[0], splits)
    return _svg(figure)


def durations(report: Report) -> str:
    """How long clips are, and the frame rates of those with video."""
    seconds = np.array([clip.seconds for clip in report.clips if math.isfinite(clip.seconds) and clip.seconds > 0])
    rates = np.array([facts.fps for facts in report.media.values() if math.isfinite(facts.fps)])
    panels_of = [
        (seconds, "seconds", "clips"),
        *([(rates, "frames per second", "videos")] if len(rates) else []),
    ]
    if not len(seconds):
        return ""
    figure = _figure(2.5)
    for panel, (values, unit, what) in zip(figure.subplots(1, len(panels_of), squeeze=False)[0], panels_of, strict=True):
        low, high = float(values.min()), float(values.max())
        room = 0.5 if high - low < 1e-6 * high else 0.0
        panel.hist(values, bins=30, range=(low - room, high + room), color=COLOURS[0])
        panel.set_xlabel(unit)
        panel.set_ylabel(what)
        _whole_heights(panel)
        plain(panel)
    return _svg(figure)


def curves(report: Report) -> str:
    """The labels along time of the first clips, of several subjects."""
    along = [facts.target for facts in report.targets if facts.is_along]
    groups = same_range(along)
    facts_of = {facts.clip.clip_id: facts for facts in report.clips if facts.clip.track and len(facts.clip.track.times)}
    chosen = [facts_of[clip.clip_id] for clip in spread([facts.clip for facts in facts_of.values()])[:_MOST_CURVES]]
    if not groups or not chosen:
        return ""
    figure = _figure(0.5 + 1.25 * len(groups) * math.ceil(len(chosen) / 2))
    grid = figure.subplots(len(groups) * math.ceil(len(chosen) / 2), 2, squeeze=False)
    for number, clip in enumerate(chosen):
        for g, targets in enumerate(groups):
            panel = grid[number // 2 * len(groups) + g, number % 2]
            draw_track(panel, clip, targets)
            if g == 0:
                title = f"{short(clip.clip.clip_id, 40)}  ({clip.split}, {short(clip.clip.subject, 16)})"
                _title(panel, title)
    for panel in grid[len(chosen) // 2 * len(groups) :, 1] if len(chosen) % 2 else []:
        panel.set_axis_off()
    return _svg(figure)


def _histogram(panel: Axes, facts: TargetFacts, share: np.ndarray, colour: str) -> None:
    target = facts.target
    if target.kind == "categorical":
        panel.bar(range(len(share)), share, color=colour, width=0.8)
        is_long = len(target.classes) > 4 or max(map(len, target.classes)) > 8
        turned = {"rotation": 45, "ha": "right"} if is_long else {}
        panel.set_xticks(range(len(share)), target.classes, parse_math=False, **turned)
        panel.set_xlabel(target.name)
    else:
        panel.stairs(share, facts.edges, fill=True, color=colour)
        # The declared range; a label beyond it lies outside.
        for end in (target.low, target.high):
            panel.axvline(end, color=INK, alpha=0.35, linewidth=0.8, linestyle=(0, (3, 2)))
        panel.set_xlabel(
            f"{target.name} ({target.unit})" if target.unit and target.unit.lower() != target.name else target.name
        )
    plain(panel)


def _shares(part: Distribution) -> np.ndarray:
    return np.array(part.counts) / max(1, sum(part.counts))


def _figure(height: float) -> Figure:
    """A figure free of pyplot's global state, without a ground of its own."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(_WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))  # inches
    figure.patch.set_alpha(0.0)
    return figure


def _whole_heights(panel: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    panel.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def _svg(figure: Figure) -> str:
    """The picture as an element of a page: as wide as its column, in the page's colour and type."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "affectzoo"}):
        save(figure, buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK.lower(), "currentColor")
    svg = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', 'role="img"', svg, count=1)
    # Of the font only the size: the family is the page's.
    return re.sub(r"font: (?:\w+ )*?([\d.]+px) [^;\"]+", r"font-size: \1", svg)


def _title(panel: Axes, words: str) -> None:
    panel.set_title(words, loc="left", fontsize=9, color=INK, parse_math=False)
