"""The arithmetic of time: sub-sequences, sampled slots, windows over them and the average of overlapping windows.

Pure functions on numbers, no media. Sub-sequence `i` covers `[i * seconds, (i + 1) * seconds)`; its T slots lie at
`(j + 0.5) * seconds / T` in it, so the slots of a file are one even grid and slot `n` belongs to sub-sequence `n // T`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from affectzoo.errors import InputError
from affectzoo.media.timestamps import LocalSpacing

#: A slot is served by a frame up to this many local frame spacings away: two dropped frames are no gap, three are.
REACH_IN_SPACINGS = 1.5
#: A rest shorter than this at the end of a file comes from rounded timestamps; a frame at 120 fps is longer.
_ROUNDING_S = 5e-3


class Timed(Protocol):
    """Anything with a time in seconds."""

    @property
    def time_s(self) -> float: ...


TimedT = TypeVar("TimedT", bound=Timed)
ItemT = TypeVar("ItemT")


def subsequence_times(index: int, seconds: float) -> tuple[float, float]:
    """Start and end of sub-sequence `index`, in seconds."""
    return index * seconds, (index + 1) * seconds


def subsequence_index(time_s: float, seconds: float) -> int:
    """The sub-sequence that holds `time_s`: `start <= time_s < end`, exactly as `subsequence_times` gives them."""
    index = math.floor(time_s / seconds)
    # The division rounds; the products of subsequence_times are the reference.
    if time_s < index * seconds:
        return index - 1
    return index + 1 if time_s >= (index + 1) * seconds else index


def subsequence_count(duration_s: float, seconds: float) -> int:
    """How many sub-sequences cover `[0, duration_s]`; at least one."""
    return max(1, math.ceil((duration_s - _ROUNDING_S) / seconds))


def slot_time(slot: int, seconds: float, frames: int) -> float:
    """Time of slot `slot` of the file's grid, in seconds, with `frames` slots in a sub-sequence of `seconds`."""
    return (slot + 0.5) * seconds / frames


def sample_slots(
    items: Iterable[TimedT], seconds: float, frames: int, nominal_s: float, *, adapt: bool = True
) -> Iterator[tuple[TimedT, list[int]]]:
    """Choose frames for the slots of the grid: each slot takes the frame nearest in time, if that is near enough.

    Near enough is `REACH_IN_SPACINGS` times the local frame spacing, so that a slow video fills its slots by repeating
    frames, and a gap leaves slots empty. A video too short to be near any slot serves the one it lies in. Holds two items
    at a time.

    Args:
        items: frames by strictly increasing `time_s`; those before 0 only tell the spacing, and the last of them is near the
            first slots.
        seconds: length of a sub-sequence; `frames`: slots in it.
        nominal_s: frame spacing to assume before two frames are known, in seconds.
        adapt: follow the spacing that is found; false keeps the nominal one, where frames are known to be missing.

    Yields:
        Each chosen frame once, with its slots in rising order; frames that serve no slot are left out.
    """
    spacing = LocalSpacing(nominal_s)
    slot = 0  # first slot not settled
    previous: TimedT | None = None
    reach_s = 0.0  # of `previous`

    def take(until_s: float, owner: TimedT, reach: float) -> list[int]:
        nonlocal slot
        slots = []
        while (time_s := slot_time(slot, seconds, frames)) < until_s:
            if abs(time_s - owner.time_s) <= reach:
                slots.append(slot)
            elif time_s > owner.time_s:
                # Past the reach: jump to the end of the gap instead of walking through it.
                slot = max(slot + 1, _first_slot(until_s, seconds, frames))
                break
            else:
                slot = max(slot, _first_slot(owner.time_s - reach, seconds, frames) - 1)
            slot += 1
        return slots

    served_any = False
    carried: list[int] = []  # slots before `previous` that it serves
    for item in items:
        if previous is None:
            reach_s = REACH_IN_SPACINGS * spacing.seconds
            carried = take(item.time_s, item, reach_s)
            previous = item
            continue
        if adapt:
            spacing.add(item.time_s - previous.time_s)
        reach_s = REACH_IN_SPACINGS * spacing.seconds
        middle_s = (previous.time_s + item.time_s) / 2
        served = carried + take(middle_s, previous, reach_s)
        if served:
            served_any = True
            yield previous, served
        carried = take(item.time_s, item, reach_s)
        previous = item
    if previous is not None:
        # The last frame is shown for as long as its neighbours and no longer: the file ends there.
        served = carried + take(previous.time_s + spacing.seconds, previous, reach_s)
        if served or not served_any:
            yield previous, served or [max(0, int(previous.time_s * frames / seconds))]


def _first_slot(time_s: float, seconds: float, frames: int) -> int:
    """The first slot at or after `time_s`."""
    slot = max(0, math.ceil(time_s * frames / seconds - 0.5) - 1)
    while slot_time(slot, seconds, frames) < time_s:
        slot += 1
    return slot


def window_starts(count: int, length: int, hop: int) -> list[int]:
    """Starts of windows of `length` that cover `0 .. count - 1`, `hop` apart, the last aligned to the end.

    With fewer than `length` steps there is one window at 0, which the caller pads. Nothing to cover gives no window.

    Raises:
        InputError: `length` or `hop` under 1, or a hop longer than a window, which would leave steps out.
    """
    _check_hop(length, hop)
    if count <= 0:
        return []
    if count <= length:
        return [0]
    starts = list(range(0, count - length + 1, hop))
    if starts[-1] != count - length:
        starts.append(count - length)
    return starts


def _check_hop(length: int, hop: int) -> None:
    if length < 1 or not 1 <= hop <= length:
        raise InputError(f"windows of {length} steps cannot be {hop} steps apart; the hop must be 1 to {max(1, length)}")


class SlidingWindows(Generic[ItemT]):
    """`window_starts` for a stream whose length is not known: push steps, take windows, keep `length` steps in memory."""

    def __init__(self, length: int, hop: int) -> None:
        _check_hop(length, hop)
        self.length, self.hop = length, hop
        self._kept: list[ItemT] = []
        self._count = 0
        self._last_start: int | None = None

    def push(self, item: ItemT) -> list[tuple[int, list[ItemT]]]:
        """Add one step; returns `(start, steps)` where a window became complete."""
        self._kept = [*self._kept[-(self.length - 1) :], item] if self.length > 1 else [item]
        self._count += 1
        start = self._count - self.length
        if start < 0 or start % self.hop:
            return []
        self._last_start = start
        return [(start, list(self._kept))]

    def finish(self) -> list[tuple[int, list[ItemT]]]:
        """The window aligned to the end, if it is not out yet; shorter than `length` where the stream was."""
        start = max(0, self._count - self.length)
        if self._count == 0 or self._last_start == start:
            return []
        self._last_start = start
        return [(start, list(self._kept))]


class OverlapAverage:
    """Averages predictions of overlapping windows step by step, holding no more than the overlap.

    Windows come with starts that never fall. A step is finished once a window starts after it.
    """

    def __init__(self) -> None:
        self._start = 0  # step of row 0 of the buffers
        self._sum: np.ndarray | None = None  # [steps, ...]
        self._count = np.zeros(0, dtype=np.int64)  # [steps]

    def add(self, start: int, values: Any) -> list[tuple[int, np.ndarray]]:
        """Add the predictions `[L, ...]` of the window at step `start`, padding already cut off.

        Returns:
            `(step, mean [...])` of each finished step, in order.

        Raises:
            InputError: `start` lies before an earlier window's.
        """
        rows = np.asarray(values, dtype=np.float64)
        if self._sum is None:
            self._start, self._sum = start, np.zeros((0, *rows.shape[1:]))
        if start < self._start:
            raise InputError(f"windows must come in order: one at step {start} came after one at step {self._start}")
        finished = self._release(start - self._start)
        missing = len(rows) - len(self._sum)
        if missing > 0:
            self._sum = np.concatenate([self._sum, np.zeros((missing, *rows.shape[1:]))])
            self._count = np.concatenate([self._count, np.zeros(missing, dtype=np.int64)])
        self._sum[: len(rows)] += rows
        self._count[: len(rows)] += 1
        return finished

    def flush(self) -> list[tuple[int, np.ndarray]]:
        """The steps not yet given out; call it after the last window."""
        return self._release(len(self._count))

    def _release(self, steps: int) -> list[tuple[int, np.ndarray]]:
        if self._sum is None:
            return []
        done = min(steps, len(self._count))
        means = [(self._start + k, self._sum[k] / self._count[k]) for k in range(done)]
        self._sum, self._count = self._sum[done:], self._count[done:]
        self._start += steps
        return means
