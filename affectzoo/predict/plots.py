"""A timeline as a picture: curves over time on the left, the circumplex (the plane of valence and arousal) on the right."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from affectzoo.config import TargetConfig
from affectzoo.errors import InputError
from affectzoo.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from affectzoo.predict.timeline import Timeline

#: Okabe and Ito's colours, which colour-blind readers can tell apart, and a grey for predictions without a face.
FACE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
NOBODY_COLOUR = "#6B6B6B"
_CLASS_COLOURS = (*FACE_COLOURS, "#000000", "#9E9E9E")
_FORMATS = (".png", ".svg", ".pdf")
_INK, _FAINT = "#222222", "#D9D9D9"
#: Stroke of a face's score, the most numbers beside one axis, and their distance in inches.
_SCORE_STROKE: Any = (0, (5, 2, 1, 2))
_MOST_LABELS, _LABEL_GAP = 10, 0.15
_QUADRANTS = {(1, 1): "excited", (-1, 1): "distressed", (-1, -1): "sad", (1, -1): "calm"}


def face_colour(number: int | None) -> str:
    """Colour of a face, the same in plots and overlays, as `#RRGGBB`."""
    return NOBODY_COLOUR if number is None else FACE_COLOURS[number % len(FACE_COLOURS)]


def draw(timeline: Timeline, truth: Any = None) -> Figure:
    """A figure of the timeline, free of pyplot's global state. `truth`: see `Timeline.plot`."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    reference = _truth(timeline, truth)
    has_plane = {"valence", "arousal"} <= set(timeline.columns)
    rows = len(timeline.targets)
    spacing = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08)  # inches
    figure = Figure(figsize=(12.5 if has_plane else 9.0, max(4.6, 0.9 + 2.0 * rows)), layout=spacing, facecolor="white")
    grid = figure.add_gridspec(rows, 2 if has_plane else 1, width_ratios=(1.55, 1) if has_plane else None)
    first: Axes | None = None
    for k, target in enumerate(timeline.targets):
        axes = figure.add_subplot(grid[k, 0], sharex=first)
        first = first or axes
        _draw_curves(axes, timeline, target, reference)
        if k < rows - 1:
            axes.tick_params(labelbottom=False)
        else:
            axes.set_xlabel("time (s)")
    if first is not None:
        handles = _legend(timeline, reference)
        if handles:
            figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), frameon=False, fontsize=9)
    if has_plane:
        _draw_plane(figure, figure.add_subplot(grid[:, 1]), timeline, reference)
    name = Path(timeline.source).name or "timeline"
    # A dollar in a file's name begins no formula.
    figure.suptitle(name, x=0.012, ha="left", fontsize=12, fontweight="bold", color=_INK, parse_math=False)
    return figure


def write(figure: Figure, path: str | PathLike[str]) -> Path:
    """Write a figure; the suffix chooses the format.

    Raises:
        InputError: another format than PNG, SVG or PDF, or nothing can be written there.
    """
    if Path(path).suffix.lower() not in _FORMATS:
        raise InputError(f"{path}: a plot is written as {', '.join(_FORMATS)}; give one of these suffixes")
    with replacing(path) as temporary, warnings.catch_warnings():
        # A file name in a script that the font lacks is drawn as boxes; nobody at a terminal can do anything about it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure.savefig(temporary, dpi=150)
    return Path(path)


def _truth(timeline: Timeline, truth: Any) -> pd.DataFrame | None:
    if truth is None:
        return None
    frame = getattr(truth, "frame", truth)
    if "time_s" not in getattr(frame, "columns", ()):
        raise InputError("the truth must be a DataFrame or a timeline with a column time_s beside those of the targets")
    if not set(timeline.columns) & set(frame.columns):
        raise InputError(f"the truth has no column to compare with; name one of {', '.join(timeline.columns)}")
    return frame.sort_values("time_s")


def _end_s(timeline: Timeline) -> float:
    """Where the time axis ends: the last point may lie beyond the end of the file, whose last sub-sequence is padded."""
    return max([1e-3, timeline.duration_s, *timeline.frame["end_s"].tolist()])


def _tracks(timeline: Timeline) -> list[tuple[int | None, pd.DataFrame]]:
    """Face number -> its rows; nobody's rows first, so that faces are drawn over them."""
    frame = timeline.frame
    nobody = frame[frame["face_id"].isna()]
    tracks: list[tuple[int | None, Any]] = [(None, nobody)] if len(nobody) else []
    return tracks + [(number, frame[frame["face_id"] == number]) for number in timeline.faces]


def _draw_curves(axes: Axes, timeline: Timeline, target: TargetConfig, truth: pd.DataFrame | None) -> None:
    _shade_absence(axes, timeline)
    for number, rows in _tracks(timeline):
        for c, column in enumerate(target.columns):
            time_s, values = _with_breaks(rows, column)
            if target.kind == "categorical":
                # Colours tell the classes apart here, strokes the faces.
                colour = _CLASS_COLOURS[c % len(_CLASS_COLOURS)]
                axes.plot(time_s, values, color=colour, linestyle=_stroke(number), linewidth=1.6)
            else:
                colour, style = face_colour(number), ":" if number is None else "-"
                axes.plot(time_s, values, color=colour, linestyle=style, linewidth=2.0, solid_capstyle="round")
            _mark_lonely(axes, time_s, values, colour)
    for column in target.columns:
        if truth is not None and column in truth:
            axes.plot(truth["time_s"], truth[column], color=_INK, linestyle=(0, (4, 2)), linewidth=1.3, zorder=3)
    low, high = (0.0, 1.0) if target.kind == "categorical" else (target.low, target.high)
    room = 0.04 * (high - low)
    # A regressor may leave its range; then the axis follows it.
    drawn = timeline.frame[list(target.columns)].to_numpy(dtype=float)
    if np.isfinite(drawn).any():
        low, high = min(low, float(np.nanmin(drawn))), max(high, float(np.nanmax(drawn)))
    axes.set_ylim(low - room, high + room)
    axes.set_xlim(0.0, _end_s(timeline))
    if timeline.pool is not None:
        _draw_scores(axes, timeline, target)
    if target.kind != "categorical" and target.low < 0 < target.high:
        axes.axhline(0.0, color="#999999", linewidth=0.8, zorder=1)
    axes.set_ylabel(f"{target.name} ({target.unit})" if target.unit and target.unit.lower() != target.name else target.name)
    if target.kind == "categorical":
        _name_classes(axes, target)
    _plain(axes)


def _draw_scores(axes: Axes, timeline: Timeline, target: TargetConfig) -> None:
    """A line at each score over the time that counts for it, and its number in the right margin."""
    scores = timeline.scores
    numbers = [None if pd.isna(number) else int(number) for number in scores["face_id"].tolist()]
    labels: list[tuple[float, str, str]] = []
    for c, column in enumerate(target.columns):
        for number, start_s, end_s, value in zip(numbers, scores["start_s"], scores["end_s"], scores[column], strict=True):
            if not np.isfinite(value):
                continue
            if target.kind == "categorical":
                colour, text = _CLASS_COLOURS[c % len(_CLASS_COLOURS)], f"{value:.0%}"
            else:
                colour, text = face_colour(number), f"{value:+.2f}" if target.low < 0 else f"{value:.1f}"
            axes.hlines(value, start_s, end_s, colors=colour, linestyles=_SCORE_STROKE, linewidth=1.4, zorder=2)
            labels.append((value, text, colour))
    if 0 < len(labels) <= _MOST_LABELS:
        _label_beside(axes, sorted(labels))


def _label_beside(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Height, text and colour, lowest first, to the right of the axes; those of close heights are pushed apart."""
    low, high = axes.get_ylim()
    gap = (high - low) * _LABEL_GAP / (axes.bbox.height / axes.figure.dpi)
    heights = [height for height, _, _ in labels]
    for k in range(1, len(heights)):
        heights[k] = max(heights[k], heights[k - 1] + gap)
    heights[-1] = min(heights[-1], high)
    for k in reversed(range(len(heights) - 1)):
        heights[k] = min(heights[k], heights[k + 1] - gap)
    place = axes.get_yaxis_transform()  # x as a share of the axes, y in data
    for height, (_, text, colour) in zip(heights, labels, strict=True):
        axes.text(1.01, height, text, transform=place, color=colour, fontsize=9, fontweight="bold", va="center")


def _stroke(number: int | None) -> Any:
    """Line style of a face where colours are taken."""
    return (0, (1, 1)) if number is None else ("-", (0, (4, 1.5)), "-.", (0, (6, 1, 1, 1, 1, 1)))[number % 4]


def _name_classes(axes: Axes, target: TargetConfig) -> None:
    """A legend of the classes above their curves."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=_CLASS_COLOURS[c % len(_CLASS_COLOURS)], lw=2, label=name) for c, name in enumerate(target.classes)
    ]
    axes.legend(
        handles=handles,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=min(8, len(handles)),
        fontsize=8.5,
        frameon=False,
        borderaxespad=0.2,
        handlelength=1.2,
        columnspacing=1.2,
    )


def _with_breaks(rows: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Times and values with NaN put in where the face was away, so that no line leads across."""
    time_s = rows["time_s"].to_numpy(dtype=float)
    values = rows[column].to_numpy(dtype=float)
    starts, ends = rows["start_s"].to_numpy(dtype=float), rows["end_s"].to_numpy(dtype=float)
    away = np.flatnonzero(starts[1:] > ends[:-1] + 1e-6) + 1
    return np.insert(time_s, away, ends[away - 1]), np.insert(values, away, np.nan)


def _mark_lonely(axes: Axes, time_s: np.ndarray, values: np.ndarray, colour: str) -> None:
    """A dot where a value has no neighbour: a line of one point would be invisible."""
    padded = np.concatenate([[np.nan], values, [np.nan]])
    lonely = np.isfinite(values) & ~np.isfinite(padded[:-2]) & ~np.isfinite(padded[2:])
    axes.plot(time_s[lonely], values[lonely], "o", color=colour, markersize=4)


def _shade_absence(axes: Axes, timeline: Timeline) -> None:
    frame = timeline.frame
    for column, style in _absences(timeline).items():
        for start_s, end_s in _uncovered(frame.loc[~frame[column], ["start_s", "end_s"]], frame.loc[frame[column]]):
            axes.axvspan(start_s, end_s, zorder=0, **style)


def _uncovered(absent: pd.DataFrame, present: pd.DataFrame) -> list[tuple[float, float]]:
    """Joined intervals, in seconds, of the rows of `absent` at whose time no row of `present` starts."""
    somebody = set(present["start_s"].tolist())
    runs: list[tuple[float, float]] = []
    for start_s, end_s in zip(absent["start_s"].tolist(), absent["end_s"].tolist(), strict=True):
        if start_s in somebody:
            continue
        if runs and start_s <= runs[-1][1] + 1e-6:
            runs[-1] = (runs[-1][0], end_s)
        else:
            runs.append((start_s, end_s))
    return runs


def _absences(timeline: Timeline) -> dict[str, dict[str, Any]]:
    """What to shade for want of a face and of sound; not for what this model never takes."""
    styles = {
        "face_present": {"facecolor": "#E4E4E4", "edgecolor": "none"},
        "audio_present": {"facecolor": "none", "edgecolor": "#B8B8B8", "hatch": "///", "linewidth": 0.0},
    }
    frame = timeline.frame
    return {column: style for column, style in styles.items() if set(frame[column].tolist()) == {True, False}}


def _legend(timeline: Timeline, truth: pd.DataFrame | None) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    # Colours tell faces apart; where classes have taken them, strokes do.
    coloured = any(target.kind != "categorical" for target in timeline.targets)
    handles: list[Any] = []
    for number, _ in sorted(_tracks(timeline), key=lambda track: (track[0] is None, track[0] or 0))[:8]:
        name = "sound only" if number is None else f"face {number}"
        style = ":" if number is None else "-"
        colour, style = (face_colour(number), style) if coloured else (_INK, _stroke(number))
        handles.append(Line2D([], [], color=colour, linestyle=style, linewidth=2, label=name))
    if timeline.pool is not None and len(timeline.scores):
        name = f"score ({timeline.pool} of the clips)"
        handles.append(Line2D([], [], color=_INK, linestyle=_SCORE_STROKE, lw=1.4, label=name))
    if truth is not None:
        handles.append(Line2D([], [], color=_INK, linestyle=(0, (4, 2)), lw=1.3, label="truth"))
    names = {"face_present": "no face in view", "audio_present": "no sound"}
    return handles + [Patch(label=names[column], **style) for column, style in _absences(timeline).items()]


def _draw_plane(figure: Figure, axes: Axes, timeline: Timeline, truth: pd.DataFrame | None) -> None:
    """The circumplex in the targets' own scale: a unit circle for -1..1, stretched for another range."""
    from matplotlib.patches import Ellipse
    from matplotlib.ticker import MaxNLocator

    targets = {target.name: target for target in timeline.targets}
    (x0, rx), (y0, ry) = (_middle(targets[name]) for name in ("valence", "arousal"))
    axes.add_patch(Ellipse((x0, y0), 2 * rx, 2 * ry, fill=False, edgecolor="#8A8A8A", linewidth=1.1, zorder=1))
    axes.axhline(y0, color=_FAINT, linewidth=1.0, zorder=0)
    axes.axvline(x0, color=_FAINT, linewidth=1.0, zorder=0)
    for (side, height), word in _QUADRANTS.items():
        x, y = x0 + side * 0.97 * rx, y0 + height * 0.97 * ry
        axes.text(x, y, word, ha="right" if side > 0 else "left", va="center", fontsize=9.5, color="#7A7A7A", style="italic")
    if truth is not None and {"valence", "arousal"} <= set(truth.columns):
        axes.plot(truth["valence"], truth["arousal"], color=_INK, linestyle=(0, (4, 2)), linewidth=0.9, alpha=0.6, zorder=2)
    tracks = _tracks(timeline)
    # One face, or nobody throughout: colour is free to tell the time. Else it tells the faces, and its depth the time.
    alone = len(timeline.faces) <= 1
    paths = [
        _draw_path(axes, timeline, number, rows, by_time=alone and number == (timeline.faces or [None])[0])
        for number, rows in tracks
    ]
    # One reach for both axes, in radii: the circle is round although one of the two has values far out.
    reach = max(_reach(timeline, "valence", x0, rx), _reach(timeline, "arousal", y0, ry))
    axes.set_xlim(x0 - reach * rx, x0 + reach * rx)
    axes.set_ylim(y0 - reach * ry, y0 + reach * ry)
    axes.set_box_aspect(1)
    axes.set_xlabel("valence")
    axes.set_ylabel("arousal")
    _plain(axes)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if alone and paths and paths[-1] is not None:
        bar = figure.colorbar(paths[-1], ax=axes, location="right", fraction=0.04, pad=0.03, aspect=36)
        bar.set_label("time (s)")
        bar.ax.tick_params(labelsize=9, colors="#444444")
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    elif not alone:
        axes.set_title("pale: earlier, full: later", fontsize=9, color="#7A7A7A", loc="right")


def _draw_path(axes: Axes, timeline: Timeline, number: int | None, rows: pd.DataFrame, *, by_time: bool) -> Any:
    """One face's way through the plane, coloured by time: through viridis, or from pale to its own colour."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb

    time_s, valence = _with_breaks(rows, "valence")
    _, arousal = _with_breaks(rows, "arousal")
    colour = face_colour(number)
    pale = tuple(1 - 0.25 * (1 - part) for part in to_rgb(colour))
    colours: Any = "viridis_r" if by_time else LinearSegmentedColormap.from_list("face", [pale, colour])
    scale = Normalize(0.0, _end_s(timeline))
    points = np.stack([valence, arousal], axis=1)
    whole = np.asarray(np.isfinite(points).all(axis=1))
    if not whole.any():
        return None
    segments = np.stack([points[:-1], points[1:]], axis=1)[whole[:-1] & whole[1:]]
    middles = ((time_s[:-1] + time_s[1:]) / 2)[whole[:-1] & whole[1:]]
    lines = LineCollection(list(segments), cmap=colours, norm=scale, linewidths=1.8, alpha=0.85, zorder=3, capstyle="round")
    lines.set_array(middles)
    axes.add_collection(lines)
    return axes.scatter(
        valence[whole],
        arousal[whole],
        c=time_s[whole],
        cmap=colours,
        norm=scale,
        s=16,
        zorder=4,
        edgecolors="white",
        linewidths=0.4,
    )


def _middle(target: TargetConfig) -> tuple[float, float]:
    return (target.low + target.high) / 2, (target.high - target.low) / 2


def _reach(timeline: Timeline, column: str, middle: float, radius: float) -> float:
    """How far the plane must reach from its middle to hold every value, in radii of the circle."""
    values: Sequence[float] = timeline.frame[column].dropna().tolist()
    return max([1.06, *(1.04 * abs(value - middle) / radius for value in values)])


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#8A8A8A")
    axes.tick_params(colors="#444444", labelsize=9)
