"""Pictures of a report: three videos over time, predictions against labels, residuals; and those of classes and groups."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from affectzoo.config import TargetConfig, target_columns
from affectzoo.files import replacing
from affectzoo.train.report.canvas import FAINT, GREY, INK, MEAN, PREDICTED, QUIET, TRUE_STROKE, new_figure, plain, words_of
from affectzoo.train.report.class_plots import confusion, groups, reliability
from affectzoo.train.report.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Of a title; videos without which a best, a median and a worst one say nothing; letters that fit over a panel.
_LETTERS_PER_INCH = 14
_LEAST_VIDEOS, _MOST_LETTERS = 3, 34


def plot_report(report: Report, folder: Path) -> list[Path]:
    """Write the PNGs that the report has values for; returns their paths.

    `videos.png` (best, median and worst by CCC; only of models that predict every sub-sequence, and of three videos or more),
    `scatter.png` and `residuals.png` of continuous and ordinal targets, `confusion.png` and `reliability.png` of categorical
    ones, `by.png` of groups.
    """
    regressed = [target for target in report.targets if target.kind != "categorical"]
    figures: dict[str, Figure] = {}
    chosen = chosen_videos(report)
    if report.pool is None and chosen:
        figures["videos"] = _videos(report, regressed, chosen)
    if regressed:
        figures["scatter"] = _scatter(report, regressed)
        figures["residuals"] = _residuals(report, regressed)
    classes = [target for target in report.compared_targets if target.kind == "categorical"]
    if classes:
        figures["confusion"] = confusion(report, classes)
        figures["reliability"] = reliability(report, classes)
    if report.by:
        figures["by"] = groups(report, report.compared_targets)
    written = []
    for name, figure in figures.items():
        # A dollar in a name begins no formula.
        figure.suptitle(_heading(report, figure), x=0.01, ha="left", fontsize=10.5, color=INK, parse_math=False)
        with replacing(folder / f"{name}.png") as temporary:
            figure.savefig(temporary, dpi=150)
        written.append(folder / f"{name}.png")
    return written


def chosen_videos(report: Report) -> dict[str, tuple[int, float]]:
    """`best`, `median` and `worst` -> row of the clip and its CCC, the mean over the targets that are not classes.

    Empty where fewer than three videos have one.
    """
    names = [target.name for target in report.targets if target.kind != "categorical"]
    rated = []
    for row, video in enumerate(report.results["per_video"]):
        values = [video["metrics"][name]["ccc"] for name in names]
        if values and None not in values:
            rated.append((sum(values) / len(values), row))
    if len(rated) < _LEAST_VIDEOS:
        return {}
    rated.sort(reverse=True)
    places = {"best": 0, "median": len(rated) // 2, "worst": len(rated) - 1}
    return {word: (rated[place][1], rated[place][0]) for word, place in places.items()}


def _heading(report: Report, figure: Figure) -> str:
    """The title; each thing done to the predictions on lines of its own where one line would not hold it."""
    letters = int(_LETTERS_PER_INCH * figure.get_figwidth())
    if len(report.title) <= letters:
        return report.title
    return "\n".join(line for part in (report.headline, *report.post_processing) for line in textwrap.wrap(part, letters))


def _videos(report: Report, targets: Sequence[TargetConfig], chosen: dict[str, tuple[int, float]]) -> Figure:
    figure, axes = new_figure(len(targets), len(chosen), 3.6, 1.9)
    columns = target_columns(report.targets)
    for c, (word, (row, mean)) in enumerate(chosen.items()):
        mine = (report.steps.row == row).numpy()
        steps, time_s = report.steps.at(report.steps.row == row), report.times_s[mine]
        metrics = report.results["per_video"][row]["metrics"]
        for r, target in enumerate(targets):
            panel = axes[r, c]
            k = columns[target.name].start
            # A gap where there is no valid label.
            label = np.where(steps.valid.numpy(), steps.label[:, k].numpy(), np.nan)
            panel.plot(time_s, label, color=INK, linestyle=TRUE_STROKE, linewidth=1.2, marker=_dot(label), label="label")
            panel.plot(time_s, steps.prediction[:, k].numpy(), color=PREDICTED, linewidth=1.7, label="prediction")
            panel.set_ylim(_bounds(report, target))
            if target.low < 0 < target.high:
                panel.axhline(0.0, color=FAINT, linewidth=0.8, zorder=0)
            panel.set_xlim(time_s[0], time_s[-1] if len(time_s) > 1 else time_s[0] + 1)
            if r == 0:
                named = f"{word}: {_short(report.clip_ids[row])}" + (f"\nmean CCC {mean:.2f}" if len(targets) > 1 else "\n")
                panel.set_title(named, loc="left", fontsize=9.5, color=INK, parse_math=False)
            panel.set_title(f"CCC {metrics[target.name]['ccc']:.2f}", loc="right", fontsize=9, color=QUIET)
            if c == 0:
                panel.set_ylabel(_axis(target))
            else:
                panel.tick_params(labelleft=False)
            if r == len(targets) - 1:
                panel.set_xlabel("time (s)")
            plain(panel)
    handles, words = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, words, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def _scatter(report: Report, targets: Sequence[TargetConfig]) -> Figure:
    figure, axes = new_figure(1, len(targets), 4.0, 3.7)
    columns, scored = target_columns(report.targets), report.scored
    for panel, target in zip(axes[0], targets, strict=True):
        k = columns[target.name].start
        x, y = scored.label[:, k].numpy(), scored.prediction[:, k].numpy()
        low, high = _bounds(report, target)
        panel.plot([low, high], [low, high], color=GREY, linewidth=1.0, zorder=1)
        _points(panel, x, y)
        panel.set_xlim(low, high)
        panel.set_ylim(low, high)
        panel.set_box_aspect(1)
        _few_ticks(panel)
        panel.set_xlabel(f"label: {_axis(target)}")
        panel.set_ylabel(f"prediction: {_axis(target)}")
        words = words_of(report.results["metrics"][target.name], target, len(report.scored.row))
        panel.set_title(words, fontsize=9.5, color=INK, loc="left")
        plain(panel)
    return figure


def _residuals(report: Report, targets: Sequence[TargetConfig]) -> Figure:
    figure, axes = new_figure(len(targets), 2, 4.0, 2.8)
    columns, scored = target_columns(report.targets), report.scored
    for (left, right), target in zip(axes, targets, strict=True):
        k = columns[target.name].start
        label = scored.label[:, k].numpy()
        residual = scored.prediction[:, k].numpy() - label
        mean, spread = float(residual.mean()), float(residual.std())
        _points(left, label, residual)
        right.hist(residual, bins=min(40, max(8, round(len(residual) ** 0.5))), color=PREDICTED, alpha=0.75, linewidth=0)
        left.axhline(0.0, color=GREY, linewidth=1.0, zorder=1)
        right.axvline(0.0, color=GREY, linewidth=1.0, zorder=1)
        left.axhline(mean, color=MEAN, linewidth=1.4, linestyle=TRUE_STROKE)
        right.axvline(mean, color=MEAN, linewidth=1.4, linestyle=TRUE_STROKE)
        # Even about zero, so that a bias can be seen.
        reach = 1.08 * max(float(np.abs(residual).max()), 1e-6)
        left.set_ylim(-reach, reach)
        right.set_xlim(-reach, reach)
        left.set_xlabel(f"label: {_axis(target)}")
        left.set_ylabel("prediction - label")
        right.set_xlabel(f"prediction - label: {_axis(target)}")
        right.set_ylabel("recordings" if report.pool else "sub-sequences")
        right.set_title(f"mean {mean:+.2g} (dashed), s.d. {spread:.2g}", fontsize=9.5, color=INK, loc="left")
        for panel in (left, right):
            _few_ticks(panel, whole=panel is right)
            plain(panel)
    return figure


def _points(panel: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Points that are the paler the more there are."""
    alpha = float(np.clip(40 / max(len(x), 1) ** 0.6, 0.06, 0.8))
    panel.scatter(x, y, s=14 if len(x) < 2000 else 6, color=PREDICTED, alpha=alpha, linewidths=0, zorder=2)


def _bounds(report: Report, target: TargetConfig) -> tuple[float, float]:
    """The target's range, wider where a regressor left it, with a little room."""
    k = target_columns(report.targets)[target.name].start
    drawn = np.concatenate([report.steps.prediction[:, k].numpy(), report.scored.label[:, k].numpy()])
    low, high = min(target.low, float(drawn.min())), max(target.high, float(drawn.max()))
    room = 0.04 * (high - low)
    return low - room, high + room


def _short(clip_id: str) -> str:
    """A name that fits over a panel: its end tells recordings apart."""
    return clip_id if len(clip_id) <= _MOST_LETTERS else f"...{clip_id[3 - _MOST_LETTERS :]}"


def _dot(label: np.ndarray) -> str:
    """A marker where no two labels are neighbours, since a line of single points is invisible."""
    known = np.isfinite(label)
    return "." if not (known[1:] & known[:-1]).any() else ""


def _axis(target: TargetConfig) -> str:
    return f"{target.name} ({target.unit})" if target.unit and target.unit.lower() != target.name else target.name


def _few_ticks(panel: Axes, *, whole: bool = False) -> None:
    """Few ticks on both axes; at whole numbers where the heights are counts."""
    from matplotlib.ticker import MaxNLocator

    panel.xaxis.set_major_locator(MaxNLocator(5))
    panel.yaxis.set_major_locator(MaxNLocator(5, integer=whole))
