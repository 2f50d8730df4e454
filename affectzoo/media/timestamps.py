"""From the timestamps a file holds to seconds since its start that only move forwards."""

from __future__ import annotations

from collections import deque
from statistics import median

#: A jump backwards by more than this, or this far beyond the declared end, is a splice and not a delay.
SPLICE_S = 1.0
#: Recent frame distances whose median is the local spacing; the median forgets a single gap or a dropped frame.
_RECENT = 9


class StreamClock:
    """Places timestamps on the file's time line; the zero is the earlier start of its two streams.

    Recordings that were joined carelessly restart their timestamps or leap by hours. Such a splice continues where the
    stream stood; a gap inside the file's declared length is kept, because something is truly missing there.
    """

    def __init__(self, zero_s: float, declared_end_s: float | None = None) -> None:
        self._offset_s = -zero_s
        self._end_s = declared_end_s

    def place(self, raw_s: float | None, expected_s: float) -> float:
        """Seconds since the file's start of a timestamp; `expected_s` is where the stream would simply go on."""
        if raw_s is None:
            return expected_s
        time_s = raw_s + self._offset_s
        beyond = self._end_s is not None and time_s > max(self._end_s, expected_s) + SPLICE_S
        if beyond or time_s < expected_s - SPLICE_S:
            self._offset_s = expected_s - raw_s
            return expected_s
        return time_s


class LocalSpacing:
    """Running median of the distances between frames, in seconds: the frame rate where the video is now."""

    def __init__(self, nominal_s: float | None = None) -> None:
        # Twice, so that a gap right after the first frame is outvoted.
        self._recent: deque[float] = deque([] if nominal_s is None else [nominal_s, nominal_s], maxlen=_RECENT)

    def add(self, distance_s: float) -> None:
        """Note the distance between two neighbouring frames, in seconds."""
        self._recent.append(distance_s)

    @property
    def seconds(self) -> float:
        """The spacing now; the nominal one, or 0 without it, at the start."""
        return median(self._recent) if self._recent else 0.0
