import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, strategies as st

from affectzoo.errors import InputError
from affectzoo.media import windows
from affectzoo.media.timestamps import LocalSpacing
from affectzoo.media.windows import (
    OverlapAverage,
    SlidingWindows,
    sample_slots,
    slot_time,
    subsequence_count,
    subsequence_index,
    subsequence_times,
    window_starts,
)

SECONDS = st.one_of(st.just(32 / 30), st.floats(0.1, 10))


@dataclass(frozen=True)
class At:
    time_s: float


@st.composite
def frame_times(draw):
    """Frames of any rate, with jitter, gaps and a change of rate, from any offset."""
    time = draw(st.floats(0, 5))
    times = []
    for _ in range(draw(st.integers(1, 4))):
        spacing = 1 / draw(st.floats(5, 120))
        for _ in range(draw(st.integers(1, 40))):
            times.append(time)
            time += spacing * draw(st.sampled_from([1.0, 1.0, 1.0, 0.6, 1.4, 2.0]))
        time += draw(st.sampled_from([0.0, 0.2, 1.0, 7.0]))
    return times


@given(st.floats(0, 1e5), SECONDS)
def test_every_time_lies_in_exactly_one_subsequence(time, seconds):
    index = subsequence_index(time, seconds)
    start, end = subsequence_times(index, seconds)
    assert start <= time < end
    assert subsequence_times(index + 1, seconds)[0] == end


@given(st.floats(0, 1e4), SECONDS)
def test_subsequences_cover_the_duration(duration, seconds):
    count = subsequence_count(duration, seconds)
    assert count >= 1
    assert count * seconds >= duration - 0.0051
    assert count == 1 or (count - 1) * seconds < duration


@given(st.integers(0, 10**6), SECONDS, st.integers(1, 64))
def test_slots_lie_inside_their_subsequence(slot, seconds, frames):
    start, end = subsequence_times(slot // frames, seconds)
    assert start < slot_time(slot, seconds, frames) < end


def naive_slots(times, seconds, frames, nominal):
    """Slot -> frame by looking at all frames for each slot."""
    spacing, reaches = LocalSpacing(nominal), []
    for before, after in zip([None, *times], times, strict=False):
        if before is not None:
            spacing.add(after - before)
        reaches.append(windows.REACH_IN_SPACINGS * spacing.seconds)
    chosen = {}
    slot = 0
    while (time := slot_time(slot, seconds, frames)) < times[-1] + spacing.seconds:
        after = next((k for k, t in enumerate(times) if t > time), len(times) - 1)
        before = max(0, after - 1) if times[after] > time else after
        nearest = before if time < (times[before] + times[after]) / 2 or before == after else after
        if abs(times[nearest] - time) <= reaches[after]:
            chosen[slot] = nearest
        slot += 1
    return chosen or {int(times[-1] * frames / seconds): len(times) - 1}


@given(frame_times(), SECONDS, st.integers(1, 40), st.sampled_from([1 / 30, 1 / 10]))
def test_slots_take_the_nearest_frame_within_reach(times, seconds, frames, nominal):
    found = {}
    previous = -1.0
    for item, slots in sample_slots([At(t) for t in times], seconds, frames, nominal):
        assert item.time_s > previous
        assert slots == sorted(slots)
        assert slots
        previous = item.time_s
        for slot in slots:
            assert slot not in found
            found[slot] = times.index(item.time_s)
    expected = naive_slots(times, seconds, frames, nominal)
    # Exactly on an edge, rounding may fall either way.
    for slot in set(found) | set(expected):
        if found.get(slot) != expected.get(slot):
            time = slot_time(slot, seconds, frames)
            distances = sorted(abs(t - time) for t in times)
            near_tie = len(distances) > 1 and distances[1] - distances[0] < 1e-9
            assert near_tie or slot not in found or slot not in expected, (slot, found.get(slot), expected.get(slot))
            if not near_tie:
                edges = [abs(t - time) for t in times]
                assert any(abs(e / (windows.REACH_IN_SPACINGS * g) - 1) < 1e-6 for e in edges for g in _gaps(times, nominal))


def _gaps(times, nominal):
    spacing = LocalSpacing(nominal)
    gaps = [spacing.seconds]
    for before, after in itertools.pairwise(times):
        spacing.add(after - before)
        gaps.append(spacing.seconds)
    return gaps


@given(st.floats(5, 120), st.integers(1, 40), SECONDS)
def test_a_steady_video_fills_every_slot(fps, frames, seconds):
    times = [k / fps for k in range(int(3 * seconds * fps) + 2)]
    slots = [s for _, chosen in sample_slots([At(t) for t in times], seconds, frames, 1 / fps) for s in chosen]
    assert slots == list(range(len(slots)))
    assert len(slots) >= 3 * frames


def test_a_gap_leaves_its_slots_empty():
    times = [k / 30 for k in range(60)] + [5.02 + k / 30 for k in range(60)]
    slots = [s for _, chosen in sample_slots([At(t) for t in times], 1.0, 10, 1 / 30) for s in chosen]
    assert slots == [*range(20), *range(50, 70)]


@given(st.integers(0, 300), st.integers(1, 40), st.integers(1, 40))
def test_windows_cover_every_step_and_stay_inside(count, length, hop):
    if hop > length:
        with pytest.raises(InputError, match="hop"):
            window_starts(count, length, hop)
        return
    starts = window_starts(count, length, hop)
    assert starts == sorted(set(starts))
    assert {s for start in starts for s in range(start, min(start + length, count))} == set(range(count))
    assert all(start == 0 or start + length <= count for start in starts)


@given(st.integers(0, 200), st.integers(1, 30), st.integers(1, 30))
def test_windows_of_a_stream_are_those_of_a_list(count, length, hop):
    hop = min(hop, length)
    stream = SlidingWindows[int](length, hop)
    found = [window for step in range(count) for window in stream.push(step)] + stream.finish()
    assert [start for start, _ in found] == window_starts(count, length, hop)
    assert all(steps == list(range(start, min(start + length, count))) for start, steps in found)


@given(st.integers(1, 120), st.integers(1, 20), st.integers(1, 20), st.integers(1, 3))
def test_overlap_average_is_the_mean_over_all_windows(count, length, hop, targets):
    hop = min(hop, length)
    random = np.random.default_rng(count * 31 + length)
    average, given_out = OverlapAverage(), []
    total, times = np.zeros((count, targets)), np.zeros((count, 1))
    for start in window_starts(count, length, hop):
        values = random.normal(size=(min(length, count - start), targets))
        total[start : start + length] += values
        times[start : start + length] += 1
        given_out += average.add(start, values)
        # Streaming: what lies before this window is out, what lies in it is not.
        assert [step for step, _ in given_out] == list(range(start))
    given_out += average.flush()
    assert [step for step, _ in given_out] == list(range(count))
    np.testing.assert_allclose(np.stack([mean for _, mean in given_out]), total / times, rtol=1e-12)


def test_windows_out_of_order_are_refused():
    average = OverlapAverage()
    average.add(4, np.zeros((4, 1)))
    with pytest.raises(InputError, match="in order"):
        average.add(2, np.zeros((4, 1)))
