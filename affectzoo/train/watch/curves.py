"""The course of a run as a picture: loss, validation score and learning rate over epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from affectzoo.files import replacing

#: Okabe and Ito's colours, which colour-blind readers can tell apart.
_PANELS = {"loss": ("training loss", "#0072B2"), "score": ("validation score", "#D55E00"), "lr": ("learning rate", "#009E73")}


def draw_curves(lines: Sequence[dict[str, Any]], path: Path) -> None:
    """Write what the epochs' `lines` hold of `loss`, `score` and `lr` as PNG; a value that is not a number is a gap."""
    figure = Figure(figsize=(10.5, 3.2), layout="constrained", facecolor="white")
    epochs = [line.get("epoch", number) for number, line in enumerate(lines)]
    for position, (key, (label, colour)) in enumerate(_PANELS.items(), 1):
        axes = figure.add_subplot(1, len(_PANELS), position)
        values = [math.nan if line.get(key) is None else float(line[key]) for line in lines]
        axes.plot(epochs, values, color=colour, marker="o", markersize=3)
        if key == "score":
            _mark_best(axes, epochs, values)
        axes.set_title(label, loc="left", fontsize=10)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color="#D9D9D9", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _mark_best(axes: Axes, epochs: Sequence[int], values: Sequence[float]) -> None:
    known = [(value, -epoch) for epoch, value in zip(epochs, values, strict=True) if math.isfinite(value)]
    if known:
        best, epoch = max(known)
        axes.plot([-epoch], [best], color="#222222", marker="o", markersize=7, fillstyle="none")
        axes.annotate(f"{best:.3f}", (-epoch, best), xytext=(0, -14), textcoords="offset points", ha="center", fontsize=9)
