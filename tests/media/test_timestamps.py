from hypothesis import given, strategies as st

from affectzoo.media.timestamps import LocalSpacing, StreamClock


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), max_size=60), st.floats(-100, 100))
def test_no_timestamp_leads_more_than_a_splice_back_or_beyond_the_end(raw, zero):
    clock, expected = StreamClock(zero, 10.0), 0.0
    for time in raw:
        placed = clock.place(time, expected)
        assert placed >= expected - 1.0
        assert placed <= max(10.0, expected) + 1.0 + 1e-6
        expected = max(expected, placed + 0.04)


def test_a_recording_that_restarts_its_clock_goes_on_where_it_stood():
    clock = StreamClock(5.0, None)
    assert clock.place(5.0, 0.0) == 0.0
    assert clock.place(25.0, 20.0) == 20.0
    assert clock.place(0.0, 20.04) == 20.04
    assert abs(clock.place(0.04, 20.08) - 20.08) < 1e-9


def test_a_gap_inside_the_declared_length_is_kept():
    assert StreamClock(0.0, 10.0).place(7.0, 2.0) == 7.0


def test_a_leap_far_beyond_the_declared_end_is_not_believed():
    assert StreamClock(0.0, 10.0).place(95_443.7, 2.0) == 2.0


def test_one_gap_does_not_change_the_local_spacing():
    spacing = LocalSpacing(0.04)
    for distance in (10.0, 0.04, 0.04, 0.04):
        spacing.add(distance)
        assert spacing.seconds == 0.04
