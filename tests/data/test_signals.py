"""Signals at the instants of sub-sequences: interpolated in time, bridged over short gaps, absent over long ones."""

from __future__ import annotations

import numpy as np
import pytest

from affectzoo.config import SignalInput
from affectzoo.data.schema import Signal
from affectzoo.data.signals import signal_inputs, signal_steps, steps_covered
from affectzoo.errors import DataError
from tests.data.toy_corpus import ToyCorpus, toy_model


def line(times, values=None) -> Signal:
    """A signal that equals its time, or of given values."""
    times = np.asarray(times, np.float64)
    values = times if values is None else np.asarray(values)
    return Signal(values=values.astype(np.float32).reshape(len(times), -1), times_s=times)


def test_instants_lie_evenly_in_each_sub_sequence():
    sampled, present = signal_steps(line(np.arange(0, 6.1, 0.3)), SignalInput(channels=1, samples=4), 3, 2.0)
    assert sampled.shape == (3, 4, 1)
    assert sampled.dtype == np.float32
    np.testing.assert_allclose(sampled[1, :, 0], [2.25, 2.75, 3.25, 3.75], rtol=1e-6)
    assert present.all()
    middle, _ = signal_steps(line(np.arange(0, 6.1, 0.3)), SignalInput(channels=1), 3, 2.0)
    np.testing.assert_allclose(middle[:, 0, 0], [1, 3, 5], rtol=1e-6)


def test_one_row_is_taken_as_it_is():
    row = Signal(values=np.array([[3.0, -1.0]], np.float32), times_s=np.zeros(1))
    assert steps_covered(row.times_s, 1.0) == 1
    sampled, present = signal_steps(row, SignalInput(channels=2, samples=3), 2, 1.0)
    assert sampled.tolist() == [[[3.0, -1.0]] * 3] * 2
    assert present.all()
    holed = Signal(values=np.array([[3.0, np.nan]], np.float32), times_s=np.zeros(1))
    sampled, present = signal_steps(holed, SignalInput(channels=2), 1, 1.0)
    assert not present.any()
    assert not sampled.any()


def test_a_gap_shorter_than_a_sub_sequence_is_bridged_and_a_longer_one_is_not():
    times = np.arange(0, 8, 0.25)
    values = times.copy()
    values[(times > 1.0) & (times < 1.5)] = np.nan  # 0.5 s between what is known
    values[(times > 4.0) & (times < 6.0)] = np.nan  # 2 s
    sampled, present = signal_steps(line(times, values), SignalInput(channels=1, samples=2), 8, 1.0)
    assert present.tolist() == [True, True, True, True, False, False, True, True]
    np.testing.assert_allclose(sampled[1, :, 0], [1.25, 1.75], rtol=1e-6)
    assert not sampled[4:6].any()


def test_one_unknown_channel_makes_a_step_absent():
    values = np.stack([np.arange(4.0), [0, 1, np.nan, np.nan]], axis=1)
    sampled, present = signal_steps(line(np.arange(4.0), values), SignalInput(channels=2), 4, 1.0)
    assert present.tolist() == [True, True, False, False]
    assert np.isfinite(sampled).all()


def test_a_signal_slower_than_sub_sequences_has_no_gaps():
    sampled, present = signal_steps(line([0.0, 5.0, 10.0]), SignalInput(channels=1), 10, 1.0)
    assert present.all()
    np.testing.assert_allclose(sampled[:, 0, 0], np.arange(10) + 0.5, rtol=1e-6)


def test_ends_are_held_for_half_a_sub_sequence():
    sampled, present = signal_steps(line([1.25, 2.0, 2.75]), SignalInput(channels=1), 6, 1.0)
    assert present.tolist() == [False, True, True, False, False, False]
    assert sampled[1, 0, 0] == 1.5
    assert signal_steps(line([1.25, 2.0, 3.25]), SignalInput(channels=1), 4, 1.0)[1].tolist() == [False, True, True, True]


def test_what_is_absent_is_masked():
    none = Signal(values=np.zeros((0, 2), np.float32), times_s=np.zeros(0))
    for given in (None, none, line([0, 1], [[np.nan, np.nan]] * 2)):
        sampled, present = signal_steps(given, SignalInput(channels=2), 3, 1.0)
        assert not present.any()
        assert not sampled.any()


@pytest.mark.parametrize(("last", "count"), [(59.8, 60), (59.0, 60), (60.0, 61), (0.4, 1)])
def test_the_last_sample_lasts_as_long_as_the_others(last, count):
    assert steps_covered(np.arange(0, last + 1e-6, 0.2), 1.0) == count


def test_samples_in_the_middle_of_what_they_last_open_no_further_step():
    assert steps_covered(np.arange(300) * 0.2 + 0.1, 1.0) == 60
    assert steps_covered(np.arange(7) + 0.5, 1.0) == 7


def test_a_model_that_takes_another_signal_is_refused(tmp_path):
    corpus = ToyCorpus(tmp_path)
    assert list(signal_inputs(toy_model(), corpus)) == ["head"]
    config = toy_model()
    wide = config.model_copy(
        update={"streams": {"head": config.streams["head"].model_copy(update={"input": SignalInput(channels=3)})}}
    )
    with pytest.raises(DataError, match="the signal 'head' of ToyCorpus has 2 channels, and this model takes 3"):
        signal_inputs(wide, corpus)
    other = config.model_copy(update={"streams": {"gaze": config.streams["head"]}})
    with pytest.raises(DataError, match="takes a signal 'gaze', which ToyCorpus does not give; it gives head"):
        signal_inputs(other, corpus)
