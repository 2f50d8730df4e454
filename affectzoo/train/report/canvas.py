"""What the pictures of a report have in common: colours, figures, plain axes, the line over a panel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from affectzoo.config import TargetConfig

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Of Okabe and Ito's colours: blue for what is predicted, vermilion for its mean.
PREDICTED, MEAN = "#0072B2", "#D55E00"
INK, QUIET, GREY, FAINT = "#222222", "#555555", "#999999", "#D9D9D9"
TRUE_STROKE: Any = (0, (4, 2))


def new_figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    """A figure free of pyplot's global state, and its axes `[rows, columns]`."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(
        figsize=(width * columns, height * rows + 0.7),
        layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08),  # inches
        facecolor="white",
    )
    return figure, figure.subplots(rows, columns, squeeze=False)


def plain(panel: Axes) -> None:
    """No frame but the two axes, in grey."""
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        panel.spines[side].set_color("#8A8A8A")
    panel.tick_params(colors="#444444", labelsize=9)


def words_of(metrics: Mapping[str, Any], target: TargetConfig, n: int) -> str:
    """The first metric with its interval, the second, and of how many predictions they are."""
    first, second = ("uar", "f1") if target.kind == "categorical" else ("ccc", "mae")
    low, high = metrics[first]["low"], metrics[first]["high"]
    interval = "" if low is None else f" [{low:.2f}, {high:.2f}]"
    value, other = (metrics[name]["value"] for name in (first, second))
    said = "not defined" if value is None else f"{value:.2f}{interval}"
    return f"{first.upper()} {said}, {second.upper()} {other:#.3g}, n = {n}"
