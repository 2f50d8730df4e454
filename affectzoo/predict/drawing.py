"""What is drawn into a frame: boxes that glide between sub-sequences, a bar per target, dots on a small circumplex."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np

from affectzoo.predict.plots import face_colour

if TYPE_CHECKING:
    from affectzoo.predict.timeline import Timeline

#: Bars beside a face; more would hide the picture.
_MOST_BARS = 3
#: Seconds of the past that trail behind a dot.
_TRAIL_S = 4.0
_TRAIL_POINTS = 24
_WHITE, _DARK, _GREY, _RAIL = (255, 255, 255), (20, 20, 20), (170, 170, 170), (96, 96, 96)
#: How much of the picture a panel hides: numbers must be legible over a bright wall.
_VEIL = 0.74
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class _Path:
    """One face's rows: times `[n]`, values `[n, K]`, boxes `[n, 4]`; seen and known `[n]`: which have a box and any value."""

    number: int | None
    time_s: np.ndarray
    start_s: np.ndarray
    end_s: np.ndarray
    values: np.ndarray
    boxes: np.ndarray
    seen: np.ndarray
    known: np.ndarray

    def row_at(self, time_s: float) -> int | None:
        """The row at a time, None where this face has none."""
        row = int(np.searchsorted(self.start_s, time_s, side="right")) - 1
        return row if row >= 0 and time_s < self.end_s[row] else None

    def values_at(self, time_s: float) -> np.ndarray | None:
        """Values `[K]` interpolated between the middles of rows, NaN where a row lacks one; None where there is no row."""
        row = self.row_at(time_s)
        return None if row is None else self._between(self.values, self.known, row, time_s)

    def box_at(self, time_s: float) -> np.ndarray | None:
        """Box `[4]` interpolated between the middles of rows, None where this face is not seen."""
        row = self.row_at(time_s)
        return None if row is None or not self.seen[row] else self._between(self.boxes, self.seen, row, time_s)

    def _between(self, data: np.ndarray, usable: np.ndarray, row: int, time_s: float) -> np.ndarray | None:
        if not usable[row]:
            return None
        other = row + (1 if time_s >= self.time_s[row] else -1)
        # Only to a direct neighbour: nothing is made up across a gap.
        if not 0 <= other < len(usable) or not usable[other] or self._apart(row, other):
            return data[row]
        share = (time_s - self.time_s[row]) / (self.time_s[other] - self.time_s[row])
        between = data[row] + share * (data[other] - data[row])
        # The neighbour may lack what this row has.
        return np.where(np.isnan(between), data[row], between)

    def _apart(self, row: int, other: int) -> bool:
        first, second = sorted((row, other))
        return bool(self.start_s[second] > self.end_s[first] + 1e-6)


class Painter:
    """Draws one timeline into the frames of its video.

    Args:
        timeline: what to draw.
        width, height: of the frames, pixels; boxes are in these.
    """

    def __init__(self, timeline: Timeline, width: int, height: int) -> None:
        self._paths = _paths(timeline)
        self._columns = timeline.columns
        self._classes = {column for t in timeline.targets if t.kind == "categorical" for column in t.columns}
        self._has_plane = {"valence", "arousal"} <= set(timeline.columns)
        owners = [target for target in timeline.targets for _ in target.columns]
        ranges = [(0.0, 1.0) if target.kind == "categorical" else (target.low, target.high) for target in owners]
        self._low, self._high = (np.array([bounds[side] for bounds in ranges]) for side in (0, 1))
        self._unit = max(0.5, min(width, height) / 360)  # 1 for a picture of 360 lines
        self._stroke = max(1, round(0.7 * self._unit))
        self._radius, self._rim = self._px(44), self._px(8)
        self._centre = self._free_corner(timeline, width, height)

    def paint(self, image: np.ndarray, time_s: float) -> np.ndarray:
        """A copy of a frame `[H, W, 3]` uint8 RGB at `time_s`, with everything drawn that there is at that time."""
        canvas = np.ascontiguousarray(image).copy()
        now = [(path, path.values_at(time_s)) for path in self._paths if path.row_at(time_s) is not None]
        if self._has_plane:
            self._plane(canvas, now, time_s)
        for path, values in now:
            box = path.box_at(time_s)
            if box is not None:
                self._face(canvas, path.number, box, values)
            elif path.number is None and values is not None:
                self._bars(canvas, path.number, values, (self._px(8), self._px(22)))
                self._tag(canvas, "sound only", (self._px(8), self._px(18)), face_colour(None))
        return canvas

    def _free_corner(self, timeline: Timeline, width: int, height: int) -> tuple[int, int]:
        """Middle of the circumplex in the corner that hides least of the faces: lower right, lower left or upper right."""
        reach = self._radius + 2 * self._rim
        corners = [(width - reach, height - reach), (reach, height - reach), (width - reach, reach)]
        boxes = timeline.frame.loc[:, ["box_x0", "box_y0", "box_x1", "box_y1"]].to_numpy(dtype=np.float64)
        boxes = boxes[~np.isnan(boxes).any(axis=1)]

        def hidden(corner: tuple[int, int]) -> float:
            wide, high = (
                np.minimum(boxes[:, 2 + side], corner[side] + reach) - np.maximum(boxes[:, side], corner[side] - reach)
                for side in (0, 1)
            )
            return float((wide.clip(0) * high.clip(0)).sum())

        return min(corners, key=hidden)

    def _face(self, canvas: np.ndarray, number: int | None, box: np.ndarray, values: np.ndarray | None) -> None:
        x0, y0, x1, y1 = (round(float(v)) for v in box)
        colour = _rgb(face_colour(number))
        cv2.rectangle(canvas, (x0, y0), (x1, y1), _DARK, self._px(3), cv2.LINE_AA)
        cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, self._px(1.6), cv2.LINE_AA)
        self._tag(canvas, f"face {number}", (x0, y0 - self._px(3)), face_colour(number))
        if values is not None:
            # Beside the face where there is room, else on its other side, else over its lower edge.
            wide = self._bar_width()
            left = x1 + self._px(5)
            if left + wide > canvas.shape[1]:
                left = x0 - wide - self._px(5)
            if left < 0:
                left = x0
            self._bars(canvas, number, values, (left, max(0, y0)))

    def _bar_width(self) -> int:
        return self._px(92)

    def _bars(self, canvas: np.ndarray, number: int | None, values: np.ndarray, corner: tuple[int, int]) -> None:
        """A panel with a bar and a number per target there is; the bar starts at zero where the range has one inside."""
        named = zip(self._columns, values, self._low, self._high, strict=True)
        shown = [item for item in named if not np.isnan(item[1])]
        if len(shown) > _MOST_BARS:
            # The likeliest classes, behind what is no class: that tells as much where it is low as where it is high.
            shown = sorted(shown, key=lambda item: -item[1] if item[0] in self._classes else -np.inf)[:_MOST_BARS]
        line, wide = self._px(22), self._bar_width()
        high = line * len(shown) + self._px(6)
        left, top = corner[0], max(0, min(corner[1], canvas.shape[0] - high))
        _shade(canvas, left, top, left + wide, top + high, _VEIL)
        inner, room = left + self._px(6), wide - self._px(12)
        for k, (column, value, low, top_value) in enumerate(shown):
            y = top + self._px(12) + k * line
            text = f"{value:+.2f}" if low < 0 else f"{value:.2f}"
            size = self._wide(text, 0.33)
            name = column.rsplit(".", 1)[-1]
            while name and self._wide(name, 0.33) > room - size - self._px(3):
                name = name[:-1]
            self._text(canvas, name, (inner, y), 0.33, _WHITE)
            self._text(canvas, text, (left + wide - self._px(6) - size, y), 0.33, _WHITE)
            y0, y1 = y + self._px(3), y + self._px(8)
            share = float(np.clip((value - low) / (top_value - low), 0, 1))
            zero = float(np.clip(-low / (top_value - low), 0, 1))
            cv2.rectangle(canvas, (inner, y0), (inner + room, y1), _RAIL, -1)
            ends = sorted((inner + round(room * zero), inner + round(room * share)))
            cv2.rectangle(canvas, (ends[0], y0), (ends[1], y1), _bright(number), -1)
            cv2.line(canvas, (inner + round(room * zero), y0), (inner + round(room * zero), y1), _WHITE, 1)

    def _plane(self, canvas: np.ndarray, now: list[tuple[_Path, np.ndarray | None]], time_s: float) -> None:
        """The circumplex, each face a dot with its recent past behind it."""
        centre, radius = self._centre, self._radius
        reach = radius + self._rim
        _shade(canvas, centre[0] - reach, centre[1] - reach, centre[0] + reach, centre[1] + reach, _VEIL)
        cv2.circle(canvas, centre, radius, _GREY, 1, cv2.LINE_AA)
        cv2.line(canvas, (centre[0] - radius, centre[1]), (centre[0] + radius, centre[1]), _RAIL, 1)
        cv2.line(canvas, (centre[0], centre[1] - radius), (centre[0], centre[1] + radius), _RAIL, 1)
        self._text(canvas, "V+", (centre[0] + radius - self._px(13), centre[1] - self._px(3)), 0.3, _GREY)
        self._text(canvas, "A+", (centre[0] + self._px(3), centre[1] - radius + self._px(9)), 0.3, _GREY)
        for path, values in now:
            spot = self._spot(values, centre, radius)
            if spot is None:
                continue
            colour = _bright(path.number)
            times = np.linspace(time_s - _TRAIL_S, time_s, _TRAIL_POINTS)
            past = [self._spot(path.values_at(t), centre, radius) for t in times]
            for k, (before, after) in enumerate(pairwise(past)):
                if before is not None and after is not None:
                    fade = (k + 1) / _TRAIL_POINTS
                    tint = tuple(round(fade * c + (1 - fade) * 40) for c in colour)
                    cv2.line(canvas, before, after, tint, 1, cv2.LINE_AA)
            cv2.circle(canvas, spot, self._px(4.2), _WHITE, -1, cv2.LINE_AA)
            cv2.circle(canvas, spot, self._px(3.2), colour, -1, cv2.LINE_AA)

    def _spot(self, values: np.ndarray | None, centre: tuple[int, int], radius: int) -> tuple[int, int] | None:
        """Where the circumplex has these values; None without valence or arousal."""
        if values is None:
            return None
        unit = np.clip(2 * (values - self._low) / (self._high - self._low) - 1, -1, 1)
        valence, arousal = (float(unit[self._columns.index(name)]) for name in ("valence", "arousal"))
        if np.isnan([valence, arousal]).any():
            return None
        return centre[0] + round(radius * valence), centre[1] - round(radius * arousal)

    def _tag(self, canvas: np.ndarray, text: str, corner: tuple[int, int], colour: str) -> None:
        """White text on a coloured tab whose lower left corner is `corner`, kept inside the picture."""
        (wide, high), _ = cv2.getTextSize(text, _FONT, 0.38 * self._unit, self._stroke)
        pad = self._px(3)
        x, y = max(0, corner[0]), max(high + 2 * pad, corner[1])
        cv2.rectangle(canvas, (x, y - high - 2 * pad), (x + wide + 2 * pad, y), _rgb(colour), -1)
        self._text(canvas, text, (x + pad, y - pad), 0.38, _WHITE)

    def _text(self, canvas: np.ndarray, text: str, at: tuple[int, int], size: float, colour: tuple[int, int, int]) -> None:
        cv2.putText(canvas, text, at, _FONT, size * self._unit, colour, self._stroke, cv2.LINE_AA)

    def _wide(self, text: str, size: float) -> int:
        return cv2.getTextSize(text, _FONT, size * self._unit, self._stroke)[0][0]

    def _px(self, length: float) -> int:
        """A length for a picture of 360 lines in the pixels of this one, at least one."""
        return max(1, round(length * self._unit))


def _paths(timeline: Timeline) -> list[_Path]:
    paths: list[_Path] = []
    for number in (None, *timeline.faces):
        frame = timeline.frame
        rows = frame[frame["face_id"].isna()] if number is None else frame[frame["face_id"] == number]
        if not len(rows):
            continue
        boxes = rows.loc[:, ["box_x0", "box_y0", "box_x1", "box_y1"]].to_numpy(dtype=np.float64)
        time_s, start_s, end_s = (rows.loc[:, name].to_numpy(dtype=np.float64) for name in ("time_s", "start_s", "end_s"))
        values = rows.loc[:, list(timeline.columns)].to_numpy(dtype=np.float64)
        seen, known = np.asarray(np.isfinite(boxes).all(axis=1)), np.asarray(np.isfinite(values).any(axis=1))
        paths.append(_Path(number, time_s, start_s, end_s, values, boxes, seen, known))
    return paths


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _bright(number: int | None) -> tuple[int, int, int]:
    """A face's colour on a dark panel, where nobody's grey would vanish."""
    return (215, 215, 215) if number is None else _rgb(face_colour(number))


def _shade(canvas: np.ndarray, x0: int, y0: int, x1: int, y1: int, strength: float) -> None:
    """Darken a rectangle, clipped to the picture."""
    part = canvas[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)]
    if part.size:
        part[:] = cv2.addWeighted(part, 1 - strength, np.full_like(part, _DARK[0]), strength, 0)
