"""The first clips of a corpus on one sheet: what is seen or heard, and beside it the labels on the same time axis."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from affectzoo.config import TargetConfig
from affectzoo.data.check.drawing import COLOURS, INK, draw_track, label_times, plain, same_range, save, short, spread
from affectzoo.data.check.finding import ClipFacts
from affectzoo.data.check.media import facts_of
from affectzoo.data.check.pictures import Shot, outline, shots
from affectzoo.data.check.report import clip_facts
from affectzoo.data.corpus import Corpus
from affectzoo.data.load import WHOLE
from affectzoo.data.schema import SPLITS, Clip
from affectzoo.data.table import read_clip
from affectzoo.errors import DataError, InputError, MediaError
from affectzoo.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_QUIET, _TILE = "#6A737D", "#ECEFF2"
#: Inches: the sheet, its strips of pictures, the panels of labels, and what stands over and under a row.
_WIDTH, _MARGIN, _STRIP, _GAP, _HEADING, _UNDER, _TOP = 14.0, 0.35, 8.5, 0.95, 0.30, 0.42, 0.55
_LEAST_HEIGHT, _PANEL_HEIGHT = 1.1, 0.72
_BETWEEN = 0.05


def preview(corpus: Corpus, path: Path, *, clips: int = 12, split: str | None = None) -> int:
    """Draw the first clips, of as many subjects as there are, and write a PNG.

    Args:
        corpus: the loader.
        path: where to; must end in `.png`.
        clips: how many at most.
        split: of one official split only.

    Returns:
        How many were drawn.

    Raises:
        InputError: `path` is no PNG or cannot be written, or there is no such split.
        DataError: no clip can be used.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"{path} must end in .png")
    chosen = _chosen(corpus, clips, split)
    sheet = _sheet(corpus, chosen)
    with replacing(path) as temporary:
        save(sheet, temporary, dpi=110)
    return len(chosen)


def _chosen(corpus: Corpus, count: int, split: str | None) -> list[ClipFacts]:
    if split is not None and split not in SPLITS:
        raise InputError(f"there is no split {split!r}; use {', '.join(SPLITS)}")
    usable = [clip for clip in corpus.clips() if not clip.problem]
    mine = [clip for clip in usable if split is None or clip.split == split]
    if not mine:
        official = sorted({clip.split for clip in usable} - {""}, key=SPLITS.index)
        known = f"it has {', '.join(official)}" if official else "it has no official splits; leave --split out"
        raise DataError(f"{corpus.root}: no clip is in the split {split}; {known}")
    readable = (clip for found in spread(mine) if not (clip := read_clip(corpus, found)).problem)
    read = list(islice(readable, count))
    if not read:
        raise DataError(f"{corpus.root}: not one clip has labels that can be read; `affectzoo data check` says why")
    seen = facts_of(path for clip in read for path in (clip.video, clip.frames, clip.audio) if path)
    return [clip_facts(clip, clip.split or WHOLE, seen) for clip in read]


def _sheet(corpus: Corpus, chosen: Sequence[ClipFacts]) -> Figure:
    from matplotlib.figure import Figure

    along = same_range([target for target in corpus.targets if target.name in corpus.along])
    heights = [max(_LEAST_HEIGHT, _PANEL_HEIGHT * len(along)) if _has_curves(facts) else _LEAST_HEIGHT for facts in chosen]
    top = _TOP + sum(heights) + (_HEADING + _UNDER) * len(chosen)
    figure = Figure(figsize=(_WIDTH, top), facecolor="white")
    title = f"{corpus.card.title}: {len(chosen)} clip{'' if len(chosen) == 1 else 's'}"
    _write(figure, _MARGIN, top - 0.26, title, size=13, weight="bold")
    top -= _TOP
    for facts, tall in zip(chosen, heights, strict=True):
        bottom = top - _HEADING - tall
        _heading(figure, facts, corpus.targets, bottom + tall + 0.1)
        times = _draw_media(_axes(figure, _MARGIN, bottom, _STRIP, tall), facts, tall)
        left = _MARGIN + _STRIP + _GAP
        if _has_curves(facts):
            each = tall / len(along)
            for g, targets in enumerate(along):
                place = (left, bottom + each * (len(along) - 1 - g), _WIDTH - left - _MARGIN, each - 0.1 * (g > 0))
                panel = _axes(figure, *place)
                draw_track(panel, facts, targets)
                _time_axis(panel, facts, times if g == 0 else [], is_last=g == len(along) - 1)
        else:
            _draw_scores(figure, facts, corpus.targets, left, bottom + tall)
        top = bottom - _UNDER
    return figure


def _has_curves(facts: ClipFacts) -> bool:
    return facts.clip.track is not None and len(facts.clip.track.times) > 0


def _heading(figure: Figure, facts: ClipFacts, targets: Sequence[TargetConfig], y: float) -> None:
    clip = facts.clip
    length = f"{facts.seconds:.1f} s" if math.isfinite(facts.seconds) else ""
    said = [f"subject {short(clip.subject, 24)}", "" if facts.split == WHOLE else facts.split, length]
    if clip.track is not None:
        said += [f"{name} {value}" for name, value in _scores(clip, targets)]
    _write(figure, _MARGIN, y, short(clip.clip_id, 56), size=10.5, weight="bold")
    _write(figure, _MARGIN + _STRIP, y, "   ".join(word for word in said if word), size=9.5, colour=_QUIET, right=True)


def _draw_scores(figure: Figure, facts: ClipFacts, targets: Sequence[TargetConfig], left: float, top: float) -> None:
    scores = _scores(facts.clip, targets)
    for k, (name, value) in enumerate(scores[:4]):
        _write(figure, left, top - 0.2 - 0.27 * k, name, size=10, colour=_QUIET)
        _write(figure, left + 1.5, top - 0.2 - 0.27 * k, value, size=11, weight="bold")
    if not scores:
        _write(figure, left, top - 0.2, "no label", size=10, colour=_QUIET)


def _scores(clip: Clip, targets: Sequence[TargetConfig]) -> list[tuple[str, str]]:
    """Name and value with the end of its range, of the scores that a clip has."""
    found = []
    for target in targets:
        score = clip.scores.get(target.name)
        if isinstance(score, str):
            found.append((target.name, score))
        elif score is not None and math.isfinite(score):
            found.append(
                (target.name, f"{score:.3g}  ({target.low:g} to {target.high:g}{f' {target.unit}' if target.unit else ''})")
            )
    return found


def _draw_media(strip: Axes, facts: ClipFacts, tall: float) -> list[float]:
    """Pictures, sound or signals in the strip; returns the times of the pictures in seconds."""
    clip = facts.clip
    strip.set_axis_off()
    try:
        if clip.frames or (clip.video and (facts.picture is None or facts.picture.width or facts.picture.problem)):
            # Of crops the picture may be the video beside them.
            is_wide = facts.picture is not None and facts.picture.width >= 1.2 * facts.picture.height
            taken = shots(facts, 6 if is_wide and not (clip.frames and clip.video) else 8)
            _draw_shots(strip, taken, tall)
            return [shot.time_s for shot in taken if math.isfinite(shot.time_s)]
        if clip.audio or clip.video:
            _draw_sound(strip, facts)
        elif clip.signals:
            _draw_signals(strip, clip)
        else:
            _tile(strip, 0.0, 0.0, _STRIP, tall, "neither media nor signals")
    except MediaError as error:
        _tile(strip, 0.0, 0.0, _STRIP, tall, str(error))
    return []


def _draw_shots(strip: Axes, taken: Sequence[Shot], tall: float) -> None:
    aspect = next((shot.image.shape[1] / shot.image.shape[0] for shot in taken if shot.image is not None), 1.0)
    widest = (_STRIP + _BETWEEN) / max(len(taken), 6) - _BETWEEN
    width = min(widest, tall * aspect)
    height = width / aspect
    for k, shot in enumerate(taken):
        left = k * (width + _BETWEEN)
        if shot.image is None:
            _tile(strip, left, tall - height, width, height, shot.said)
            continue
        strip.imshow(shot.image, extent=(left, left + width, tall - height, tall), interpolation="antialiased", aspect="auto")
        strip.text(left + width / 2, tall - height - 0.05, shot.said, ha="center", va="top", fontsize=8, color=_QUIET)
    strip.set_xlim(0, _STRIP)
    strip.set_ylim(0, tall)


def _tile(strip: Axes, left: float, bottom: float, width: float, height: float, said: str) -> None:
    """A placeholder that says why there is no picture."""
    from matplotlib.patches import Rectangle

    strip.set_xlim(0, _STRIP)
    strip.set_ylim(0, bottom + height)
    strip.add_patch(Rectangle((left, bottom), width, height, color=_TILE, linewidth=0))
    words = textwrap.fill(said, max(10, int(width * 13)))
    middle = (left + width / 2, bottom + height / 2)
    strip.text(*middle, words, ha="center", va="center", fontsize=8, color=_QUIET, parse_math=False)


def _draw_sound(strip: Axes, facts: ClipFacts) -> None:
    times, peaks = outline(facts)
    strip.set_axis_on()
    strip.fill_between(times, -peaks, peaks, color=COLOURS[0], linewidth=0.3)
    # A quiet recording is shown as well as a loud one, silence as a line.
    reach = 1.1 * max(0.01, float(peaks.max(initial=0.0)))
    strip.set_ylim(-reach, reach)
    strip.set_yticks([])
    if len(times) > 1:
        strip.set_xlim(times[0], times[-1])
    plain(strip)
    strip.spines["left"].set_visible(False)


def _draw_signals(strip: Axes, clip: Clip) -> None:
    """A panel for each modality: curves, or bars where a whole clip has one row."""
    count = len(clip.signals)
    for k, (name, signal) in enumerate(clip.signals.items()):
        panel = strip.inset_axes((k / count + 0.04, 0.0, 1 / count - 0.05, 0.86))
        if len(signal.times_s) > 1:
            for c, channel in enumerate(signal.values.T):
                panel.plot(signal.times_s, channel, color=COLOURS[c % len(COLOURS)], linewidth=0.9)
            panel.set_xlim(signal.times_s[0], signal.times_s[-1])
        else:
            panel.bar(np.arange(signal.values.shape[1]), signal.values[0], color=COLOURS[0], width=1.0)
        channels = signal.values.shape[1]
        words = f"{name}, {channels} channel{'' if channels == 1 else 's'}"
        panel.set_title(words, loc="left", fontsize=8.5, color=_QUIET, pad=3, parse_math=False)
        plain(panel)
        panel.tick_params(labelsize=7)


def _time_axis(panel: Axes, facts: ClipFacts, pictures: Sequence[float], *, is_last: bool) -> None:
    """The time of the clip; small marks say where the pictures are from."""
    times = label_times(facts)
    start_s = facts.clip.start_s or 0.0
    end_s = start_s + facts.seconds if math.isfinite(facts.seconds) else float(times[-1])
    low, high = min(start_s, float(times[0])), max(end_s, float(times[-1]))
    panel.set_xlim(low, high if high > low else low + 1)
    panel.tick_params(labelbottom=is_last)
    if len(pictures):
        place = panel.get_xaxis_transform()  # x in data, y as a share of the axes
        panel.plot(pictures, [1.05] * len(pictures), "v", color=_QUIET, markersize=3.5, transform=place, clip_on=False)


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes whose place is given in inches."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def _write(
    figure: Figure,
    x: float,
    y: float,
    words: str,
    *,
    size: float,
    colour: str = INK,
    weight: str = "normal",
    right: bool = False,
) -> None:
    """Text at a place in inches."""
    across, up = figure.get_size_inches()
    side = "right" if right else "left"
    figure.text(x / across, y / up, words, fontsize=size, color=colour, weight=weight, ha=side, va="center", parse_math=False)
