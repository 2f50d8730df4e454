"""From frames to faces that keep their number: detection every k-th frame, boxes interpolated between detections.

Where faces come or go between two detections, the frames in between are looked at one by one, so that `present` is true to
a single sampled frame although most frames are never searched. Frames wait only until their faces are settled.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from affectzoo.errors import InputError
from affectzoo.media.faces import overlap
from affectzoo.media.timestamps import LocalSpacing
from affectzoo.media.windows import Timed

#: Intersection over union from which two boxes are the same face; low, since half a second may lie between them.
_SAME_FACE = 0.3
#: Weight of a new detection against the last box: position follows, size (which jitters more than faces do) lags a little.
_CENTRE_WEIGHT, _SIZE_WEIGHT = 0.85, 0.6

FrameT = TypeVar("FrameT", bound=Timed)


@dataclass(frozen=True, slots=True)
class TrackSettings:
    """When a face is the same, lost, or a false alarm.

    Attributes:
        detect_every: frames from one detection to the next.
        lost_after_s: a face not detected for longer is absent in between; a shorter miss is bridged by interpolation.
            Half a second: as long as a hand before the face, too short to invent a face that left.
        max_gap_s: a face that comes back to the same place within this time keeps its number.
        min_track_s: a face seen for a shorter time, in a video that goes on, is a false alarm. 0.3 s is three of the
            default 7.5 sampled frames a second; false alarms of cascades rarely last for two.
    """

    detect_every: int = 4
    lost_after_s: float = 0.5
    max_gap_s: float = 2.0
    min_track_s: float = 0.3

    def __post_init__(self) -> None:
        if self.detect_every < 1:
            raise InputError(f"detect_every must be at least 1, not {self.detect_every}")
        if self.min_track_s < 0 or self.lost_after_s < 0 or self.max_gap_s < self.lost_after_s:
            raise InputError("track times must not be negative, and max_gap_s not shorter than lost_after_s")


@dataclass(slots=True, eq=False)
class _Track:
    """One face: `box` `[4]`, smoothed, at `seen_s`, its last detection; `missed` where it was searched since, in vain."""

    box: np.ndarray
    seen_s: float
    first_s: float
    missed: bool = False
    confirmed: bool = False
    number: int | None = None


@dataclass(slots=True, eq=False)
class _Waiting(Generic[FrameT]):
    """A frame whose faces are not settled yet."""

    frame: FrameT
    boxes: dict[int, tuple[_Track, np.ndarray]] = field(default_factory=dict)  # by id() of the track


class FaceTracker(Generic[FrameT]):
    """Follows faces through a stream of frames.

    Args:
        detect: frame -> `[n, 5]` boxes x0, y0, x1, y1, score in pixels.
        settings: see `TrackSettings`.
    """

    def __init__(self, detect: Callable[[FrameT], np.ndarray], settings: TrackSettings | None = None) -> None:
        self._detect = detect
        self._settings = settings or TrackSettings()
        self._tracks: list[_Track] = []
        self._waiting: deque[_Waiting[FrameT]] = deque()
        self._numbers = 0
        self._spacing = LocalSpacing()
        self._searched_s = -math.inf  # time of the last frame that was searched

    @property
    def waiting(self) -> int:
        """Frames held at present."""
        return len(self._waiting)

    def follow(self, frames: Iterable[FrameT]) -> Iterator[tuple[FrameT, dict[int, np.ndarray]]]:
        """Yield every frame in order with its faces: number -> box `[4]` float32, x0, y0, x1, y1 in pixels.

        Numbers count from 0 in the order of first appearance, the larger face first.
        """
        settings = self._settings
        since: list[_Waiting[FrameT]] = []  # frames since the last detection
        first_s: float | None = None
        last_s = 0.0
        for frame in frames:
            if first_s is None:
                first_s = frame.time_s
            else:
                self._spacing.add(frame.time_s - last_s)
                # Across a gap in the video nothing is interpolated: settle what came before it.
                if frame.time_s - last_s > settings.lost_after_s:
                    if since:
                        self._search(since)
                        since = []
                    for track in self._tracks:
                        track.missed = True
            waiting = _Waiting(frame)
            self._waiting.append(waiting)
            since.append(waiting)
            if frame.time_s == first_s or len(since) >= settings.detect_every:
                self._search(since)
                since = []
                yield from self._settled(frame.time_s)
            last_s = frame.time_s
        if first_s is None:
            return
        if since:
            self._search(since)
        # A clip shorter than a track must be is not held against the faces in it.
        enough_s = min(settings.min_track_s, last_s - first_s)
        for track in [t for t in self._tracks if not self._confirm(t, enough_s)]:
            self._forget(track)
        yield from self._release(len(self._waiting))

    def _search(self, since: list[_Waiting[FrameT]]) -> None:
        """Detect in the last of these frames; in all of them where the faces are not those of the last detection."""
        *between, last = since
        found = _largest_first(self._detect(last.frame))
        if between:
            before = [t for t in self._tracks if t.seen_s == self._searched_s and not t.missed]
            if len(_matches(before, found)) != max(len(before), len(found)):
                for waiting in between:
                    self._update(waiting, _largest_first(self._detect(waiting.frame)))
        self._update(last, found)

    def _confirm(self, track: _Track, enough_s: float | None = None) -> bool:
        """Whether the track has lasted long enough to be a face."""
        # A detection stands for the time up to the next frame; else one sampled frame would last no time at all.
        lasted_s = track.seen_s - track.first_s + self._spacing.seconds
        track.confirmed |= lasted_s >= (self._settings.min_track_s if enough_s is None else enough_s)
        return track.confirmed

    def _update(self, waiting: _Waiting[FrameT], found: np.ndarray) -> None:
        settings, now_s = self._settings, waiting.frame.time_s
        for track in [t for t in self._tracks if not t.confirmed and self._is_lost(t, now_s)]:
            if not self._confirm(track):
                self._forget(track)
        self._tracks = [t for t in self._tracks if not t.missed or now_s - t.seen_s <= settings.max_gap_s]
        matched = _matches(self._tracks, found)
        for index, box in enumerate(found[:, :4]):
            track = matched.get(index)
            if track is None:
                track = _Track(box=box, seen_s=now_s, first_s=now_s)
                self._tracks.append(track)
            elif self._is_lost(track, now_s):
                # Back after an absence: the old box says who it is, not where.
                track.box = box
            else:
                smoothed = _smooth(track.box, box)
                self._fill(track, smoothed, now_s)
                track.box = smoothed
            track.seen_s = now_s
            waiting.boxes[id(track)] = (track, track.box)
            self._confirm(track)
        for track in self._tracks:
            track.missed = track.seen_s != now_s
        self._searched_s = now_s

    def _is_lost(self, track: _Track, now_s: float) -> bool:
        return track.missed and now_s - track.seen_s > self._settings.lost_after_s

    def _fill(self, track: _Track, box: np.ndarray, now_s: float) -> None:
        """Interpolate the track's box over the frames between its last detection and this one."""
        for waiting in self._waiting:
            time_s = waiting.frame.time_s
            if track.seen_s < time_s < now_s:
                share = np.float32((time_s - track.seen_s) / (now_s - track.seen_s))
                waiting.boxes[id(track)] = (track, (1 - share) * track.box + share * box)

    def _forget(self, track: _Track) -> None:
        self._tracks = [t for t in self._tracks if t is not track]
        for waiting in self._waiting:
            waiting.boxes.pop(id(track), None)

    def _settled(self, now_s: float) -> Iterator[tuple[FrameT, dict[int, np.ndarray]]]:
        """Let go of the frames to which no face can be added and from which none can be taken any more."""
        horizon_s = now_s
        count = 0
        for track in self._tracks:
            if not track.confirmed:
                horizon_s = min(horizon_s, math.nextafter(track.first_s, -math.inf))
            elif not self._is_lost(track, now_s):
                horizon_s = min(horizon_s, track.seen_s)
        while count < len(self._waiting) and self._waiting[count].frame.time_s <= horizon_s:
            count += 1
        yield from self._release(count)

    def _release(self, count: int) -> Iterator[tuple[FrameT, dict[int, np.ndarray]]]:
        for _ in range(count):
            waiting = self._waiting.popleft()
            faces: dict[int, np.ndarray] = {}
            for track, box in waiting.boxes.values():
                if track.number is None:
                    track.number = self._numbers
                    self._numbers += 1
                faces[track.number] = box
            yield waiting.frame, dict(sorted(faces.items()))


def _largest_first(found: np.ndarray) -> np.ndarray:
    """`[n, 5]`, sorted by area."""
    areas = (found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1])
    return found[np.argsort(-areas, kind="stable")]


def _matches(tracks: list[_Track], found: np.ndarray) -> dict[int, _Track]:
    """Detections by index -> the track each continues: best overlap first, each track and each detection once."""
    if not tracks or len(found) == 0:
        return {}
    shared = overlap(np.stack([t.box for t in tracks]), found[:, :4])
    matched: dict[int, _Track] = {}
    while shared.size and (best := shared.max()) >= _SAME_FACE:
        row, column = np.argwhere(shared == best)[0]
        matched[int(column)] = tracks[row]
        shared[row, :] = -1
        shared[:, column] = -1
    return matched


def _smooth(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    old_centre, new_centre = (old[:2] + old[2:]) / 2, (new[:2] + new[2:]) / 2
    centre = old_centre + _CENTRE_WEIGHT * (new_centre - old_centre)
    half = ((1 - _SIZE_WEIGHT) * (old[2:] - old[:2]) + _SIZE_WEIGHT * (new[2:] - new[:2])) / 2
    return np.concatenate([centre - half, centre + half]).astype(np.float32)
