"""Quality against cost: a point for each row of a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from affectzoo.bench.table import label_of, metrics_in
from affectzoo.files import replacing

#: Of Okabe and Ito's colours: blue for fusions, vermilion for the baseline; grey for a modality alone.
_FUSION, _BASELINE, _ALONE = "#0072B2", "#D55E00", "#999999"
_INK, _LEADER = "#222222", "#C9C9C9"
#: Of the conditions in their order; the test split as it is has discs.
_MARKERS = "s^Dv<>pP*X"
#: Height of a name, as a share of the panel's.
_LINE = 0.058


def plot_bench(summary: dict[str, Any], path: Path) -> Path | None:
    """Write a PNG: mean score with its sd over seeds, against milliseconds of a training step; hollow under conditions.

    Returns:
        `path`; None where no row has both numbers.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, ScalarFormatter

    rows = [row for row in summary["rows"] if row["ms_per_step"] and row["metrics"]]
    rows = sorted((row for row in rows if row["metrics"]["score"]["mean"] is not None), key=_score)
    if not rows:
        return None
    figure = Figure(figsize=(8.4, 4.8), facecolor="white")
    panel = figure.add_axes((0.085, 0.12, 0.6, 0.78))
    for row in rows:
        colour, sd = _colour(row, summary["baseline"]), row["metrics"]["score"]["sd"] or 0.0
        panel.errorbar(row["ms_per_step"], _score(row), yerr=sd, fmt="o", color=colour, capsize=3)
    for number, name in enumerate(summary["conditions"]):
        _draw_condition(panel, rows, name, _MARKERS[number % len(_MARKERS)], summary["baseline"])
    costs = [row["ms_per_step"] for row in rows]
    if max(costs) > 10 * min(costs):  # or all but the slowest would stand on one another
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter(ScalarFormatter())
        # Within a decade or so the minor ticks carry the numbers: 20, not 2 x 10^1.
        panel.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "235" else ""))
    # Names stand in a column beside the panel, each as near the height of its point as its neighbours let it.
    low, high = panel.get_ylim()
    wanted = [(_score(row) - low) / (high - low) for row in rows]
    right = panel.get_xlim()[1]
    panel.set_xlim(right=right)
    for row, height in zip(rows, spread_out(wanted, _LINE), strict=True):
        panel.annotate(
            label_of(row),
            xy=(row["ms_per_step"], _score(row)),
            xytext=(1.04, height),
            textcoords="axes fraction",
            va="center",
            fontsize=9,
            color=_INK,
            annotation_clip=False,
            parse_math=False,
            arrowprops={"arrowstyle": "-", "color": _LEADER, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 5},
        )
    names = [name for name in metrics_in(summary) if name != "score"]
    panel.set_ylim(low, high)
    panel.set_xlabel(f"ms per training step of fusion and head ({summary['device']})")
    bars = "; bars: sd over seeds" if len(summary["seeds"]) > 1 else ""
    panel.set_ylabel(f"{summary['split']} {', '.join(names)}{': mean' if len(names) > 1 else ''}{bars}")
    title = f"{summary['source']}, seeds {', '.join(map(str, summary['seeds']))}"
    panel.set_title(title, loc="left", fontsize=10, color=_INK, parse_math=False)
    if summary["conditions"]:
        panel.legend(loc="lower left", bbox_to_anchor=(1.02, -0.13), fontsize=8, frameon=False, ncols=2)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)
    return path


def _draw_condition(panel: Any, rows: list[dict[str, Any]], name: str, marker: str, baseline: str) -> None:
    """Hollow points at the cost of their rows, and an entry of the legend."""
    panel.scatter([], [], marker=marker, facecolors="none", edgecolors=_INK, label=name)
    for row in rows:
        found = row["conditions"][name]["metrics"]
        if found is not None and found["score"]["mean"] is not None:
            colour = _colour(row, baseline)
            panel.scatter(row["ms_per_step"], found["score"]["mean"], marker=marker, facecolors="none", edgecolors=colour)


def _colour(row: dict[str, Any], baseline: str) -> str:
    return _ALONE if row["kind"] == "alone" else _BASELINE if row["name"] == baseline else _FUSION


def _score(row: dict[str, Any]) -> float:
    return row["metrics"]["score"]["mean"]


def spread_out(heights: list[float], least: float) -> list[float]:
    """Ascending heights, moved so that neighbours are `least` apart and they stay around their middle."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + least) if placed else height)
    shift = sum(p - h for p, h in zip(placed, heights, strict=True)) / len(heights)
    return [height - shift for height in placed]
