"""Pictures of classes: who is taken for whom, whether a model knows when it is right, and how groups of clips differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from affectzoo.config import TargetConfig
from affectzoo.train.report.canvas import FAINT, GREY, INK, PREDICTED, new_figure, plain, words_of
from affectzoo.train.report.groups import headline
from affectzoo.train.report.report import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Classes that fit beside a panel.
_MOST_CLASSES = 12


def confusion(report: Report, targets: Sequence[TargetConfig]) -> Figure:
    """Counts of each labelled class that was predicted as each, on the share of those that are labelled so."""
    figure, axes = new_figure(1, len(targets), 4.6, 4.2)
    for panel, target in zip(axes[0], targets, strict=True):
        count = len(target.classes)
        found = report.results["classes"][target.name]
        table = np.array(found["confusion"])
        share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        image = panel.imshow(share, cmap="Blues", vmin=0, vmax=1)
        if count <= _MOST_CLASSES:
            panel.set_xticks(range(count), target.classes, rotation=45, ha="right", parse_math=False)
            panel.set_yticks(range(count), target.classes, parse_math=False)
            for i, j in np.argwhere(table > 0).tolist():
                colour = "white" if share[i, j] > 0.5 else INK
                panel.text(j, i, table[i, j], ha="center", va="center", fontsize=8, color=colour)
        panel.set_xlabel(f"predicted {target.name}")
        panel.set_ylabel(f"labelled {target.name}")
        panel.set_title(words_of(found["metrics"], target, found["n"]), fontsize=9.5, color=INK, loc="left")
        figure.colorbar(image, ax=panel, fraction=0.045, pad=0.03, label="share of those labelled so")
    return figure


def reliability(report: Report, targets: Sequence[TargetConfig]) -> Figure:
    """Share of right predictions against the probability of the predicted class, in bins; below, how many are in each."""
    figure, axes = new_figure(2, len(targets), 4.4, 2.5)
    axes[0, 0].get_gridspec().set_height_ratios([3, 1])
    for above, below, target in zip(*axes, targets, strict=True):
        found = report.results["classes"][target.name]
        names = ("low", "high", "confidence", "accuracy", "n")
        low, high, sure, right, n = (np.array([one[name] for one in found["reliability"]]) for name in names)
        above.plot([0, 1], [0, 1], color=GREY, linewidth=1.0, zorder=1)
        above.bar(low, right, high - low, align="edge", color=PREDICTED, alpha=0.25, linewidth=0, zorder=2)
        above.plot(sure, right, color=PREDICTED, linewidth=1.2, marker="o", markersize=4, zorder=3)
        above.set_ylim(0, 1)
        above.set_ylabel("share that is right")
        ece, nll = (found["metrics"][name]["value"] for name in ("ece", "nll"))
        above.set_title(f"ECE {ece:.3f}, NLL {nll:.2f}, n = {found['n']}", fontsize=9.5, color=INK, loc="left")
        above.tick_params(labelbottom=False)
        below.bar(low, n, high - low, align="edge", color=GREY, linewidth=0)
        below.set_ylabel(report.compared_of)
        below.set_xlabel(f"probability of the predicted {target.name}")
        for panel in (above, below):
            panel.set_xlim(0, 1)
            plain(panel)
    return figure


def groups(report: Report, targets: Sequence[TargetConfig]) -> Figure:
    """UAR or CCC of each group with its interval."""
    by = report.results["by"]["columns"]
    rows = sum(len(told["groups"]) for told in by.values()) + len(by)
    figure, axes = new_figure(1, len(targets), 4.8, max(1.6, 0.26 * rows + 0.5))
    for panel, target in zip(axes[0], targets, strict=True):
        name, place, ticks = headline(target), 0.0, []
        for column, told in by.items():
            for group in told["groups"]:
                value, low, high = (group["metrics"][target.name][name][end] for end in ("value", "low", "high"))
                ticks.append((place, f"{column} {group['value']} ({group['n']})"))
                if value is not None:
                    panel.plot(value, place, color=PREDICTED, marker="o", markersize=5, zorder=3)
                if low is not None:
                    panel.plot([low, high], [place, place], color=PREDICTED, linewidth=1.4, zorder=2)
                place += 1
            place += 0.6
        panel.set_yticks([at for at, _ in ticks], [word for _, word in ticks], parse_math=False)
        panel.set_ylim(place - 0.8, -0.8)
        panel.grid(axis="x", color=FAINT, linewidth=0.8)
        panel.set_axisbelow(True)
        panel.set_xlabel(
            f"{name.upper()} of {target.name}, {report.results['intervals'].get('level', 0.95):.0%} interval by subject"
        )
        plain(panel)
    return figure
