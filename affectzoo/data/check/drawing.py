"""What the pictures of a check and of a preview share: labels along time, axes, colours."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from affectzoo.config import TargetConfig
from affectzoo.data.check.finding import ClipFacts
from affectzoo.data.schema import Clip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Of Okabe and Ito's colours, which colour-blind readers can tell apart; they stand out on white and on black.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK = "#1A1A1B"
_FAINT = 0.18
#: Of a curve; what is finer cannot be seen.
_MOST_POINTS = 600


def save(figure: Figure, target: Any, **options: Any) -> None:
    """`Figure.savefig`; a letter that the font lacks becomes a box, and names of clips may hold any."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # Laid out here, once: `savefig` of a figure that has an engine lays it out and draws it twice.
        if (engine := figure.get_layout_engine()) is not None:
            engine.execute(figure)
            figure.set_layout_engine(None)
        figure.savefig(target, **options)


def same_range(targets: Sequence[TargetConfig]) -> list[list[TargetConfig]]:
    """Targets that can share an axis; classes stand alone."""
    groups: dict[Any, list[TargetConfig]] = defaultdict(list)
    for target in targets:
        key = target.name if target.kind == "categorical" else (target.low, target.high)
        groups[key].append(target)
    return list(groups.values())


def spread(clips: Sequence[Clip]) -> list[Clip]:
    """The first clip of each subject, then the second of each, and so on."""
    place: dict[str, int] = defaultdict(int)
    ranked = []
    for clip in clips:
        ranked.append((place[clip.subject], clip))
        place[clip.subject] += 1
    return [clip for _, clip in sorted(ranked, key=lambda pair: pair[0])]


def label_times(clip: ClipFacts) -> np.ndarray:
    """`[m]` float64: seconds of the labels of a clip; frame numbers where no frame rate is known."""
    track = clip.clip.track
    if track is None:
        return np.zeros(0)
    return track.times / clip.fps if track.unit == "frame" and math.isfinite(clip.fps) else track.times


def draw_track(panel: Axes, clip: ClipFacts, targets: Sequence[TargetConfig]) -> None:
    """Labels along time over the range of their targets; where they do not count, the ground is shaded."""
    track = clip.clip.track
    if track is None:
        return
    first = targets[0]
    low, high = (0.0, len(first.classes) - 1.0) if first.kind == "categorical" else (first.low, first.high)
    reached = [low, high]
    times, valid = label_times(clip), np.asarray(track.valid, bool)
    for start, end in _runs(~valid):
        panel.axvspan(times[start], times[min(end, len(times) - 1)], color=INK, alpha=0.10, linewidth=0)
    thin = slice(None, None, max(1, len(times) // _MOST_POINTS))
    for k, target in enumerate(targets):
        values = np.where(valid, np.asarray(track.values[target.name], np.float64), np.nan)
        shape: dict[str, Any] = {"drawstyle": "steps-post"} if target.kind != "continuous" else {}
        lonely = "." if not (np.isfinite(values[1:]) & np.isfinite(values[:-1])).any() else None
        panel.plot(times[thin], values[thin], color=COLOURS[k % len(COLOURS)], linewidth=1.4, marker=lonely, **shape)
        reached += values[np.isfinite(values)].tolist()
    room = 0.05 * (max(reached) - min(reached))
    panel.set_ylim(min(reached) - room, max(reached) + room)
    if first.kind == "categorical" and len(first.classes) <= 8:
        panel.set_yticks(range(len(first.classes)), first.classes, parse_math=False)
    elif first.kind != "categorical":
        # The range itself, which round numbers would leave out.
        panel.set_yticks([low, (low + high) / 2, high], [f"{value:g}" for value in (low, (low + high) / 2, high)])
    if low < 0 < high:
        panel.axhline(0, color=INK, alpha=_FAINT, linewidth=0.8, zorder=0)
    if len(targets) > 1:
        legend(panel, [target.name for target in targets])
    else:
        panel.set_ylabel(first.name)
    plain(panel)


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First and one past the last of each stretch of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def plain(panel: Axes) -> None:
    panel.patch.set_alpha(0.0)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        panel.spines[side].set_color(INK)
        panel.spines[side].set_alpha(0.5)
    panel.tick_params(colors=INK, labelsize=8)
    for text in (panel.xaxis.label, panel.yaxis.label, panel.title):
        text.set_color(INK)
        text.set_fontsize(9)


def legend(panel: Axes, names: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=COLOURS[k % len(COLOURS)], label=name) for k, name in enumerate(names)]
    panel.legend(
        handles=handles, loc="lower right", bbox_to_anchor=(1.0, 1.1), ncols=6, fontsize=8, frameon=False, labelcolor=INK,
        handlelength=0.9, handleheight=0.6, borderaxespad=0.0, columnspacing=1.0,
    )  # fmt: skip


def short(name: str, most: int) -> str:
    """Its end tells names apart."""
    return name if len(name) <= most else f"...{name[3 - most :]}"
