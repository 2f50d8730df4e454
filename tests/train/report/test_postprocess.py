"""Post-processing does what it is called, to what it names, and refuses what cannot be."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from affectzoo.config import SmoothingConfig, TargetConfig
from affectzoo.errors import InputError
from affectzoo.train.evaluate import SplitPredictions
from affectzoo.train.report.postprocess import PostProcessing

TARGETS = [TargetConfig.parse("valence")]
STEP_S = 0.5


def smoothing(kind: str, seconds: float) -> SmoothingConfig:
    return SmoothingConfig.parse({"kind": kind, "seconds": seconds})


def series(*clips: list[float], label: list[float] | None = None) -> tuple[SplitPredictions, np.ndarray]:
    """Clips of one target by their predictions, and the middles of their steps."""
    flat = torch.tensor([value for clip in clips for value in clip]).unsqueeze(1)
    row = torch.tensor([number for number, clip in enumerate(clips) for _ in clip])
    step = torch.tensor([place for clip in clips for place in range(len(clip))])
    known = torch.ones(len(row), dtype=torch.bool)
    given = flat.clone() if label is None else torch.tensor(label).unsqueeze(1)
    return SplitPredictions(flat, given, known, known, row, step), (step.double().numpy() + 0.5) * STEP_S


def run(done: PostProcessing, given: tuple[SplitPredictions, np.ndarray]) -> SplitPredictions:
    return done(*given, STEP_S, TARGETS)


def test_nothing_is_done_unless_asked():
    given = series([5.0, -3.0, 0.1])
    assert run(PostProcessing(), given) is given[0]
    assert PostProcessing().words(STEP_S) == []


def test_a_median_takes_out_a_spike_and_windows_shrink_towards_the_ends():
    found = run(PostProcessing(smooth=smoothing("median", 2.5)), series([9.0, 0.0, 1.0, 7.0, 2.0, 3.0, -9.0]))
    # Widths 1, 3, 5, 5, 5, 3, 1.
    assert found.prediction[:, 0].tolist() == [9.0, 1.0, 2.0, 2.0, 2.0, 2.0, -9.0]


def test_a_box_averages_within_a_video_only():
    found = run(PostProcessing(smooth=smoothing("box", 1.5)), series([0.0, 3.0, 6.0], [30.0, 30.0, 0.0]))
    assert found.prediction[:, 0].tolist() == [0.0, 3.0, 6.0, 30.0, 20.0, 0.0]


def test_a_step_without_input_neither_gives_nor_takes():
    steps, times_s = series([0.0, 100.0, 2.0, 4.0, 5.0])
    steps = replace(steps, present=torch.tensor([True, False, True, True, True]))
    found = run(PostProcessing(smooth=smoothing("box", 1.5)), (steps, times_s))
    assert found.prediction[:, 0].tolist() == pytest.approx([0.0, 100.0, 3.0, 11 / 3, 5.0])


@pytest.mark.parametrize(("seconds", "steps"), [(1.5, 3), (1.9, 3), (2.49, 3), (2.5, 5), (0.5 * 7, 7)])
def test_a_window_is_the_most_steps_that_fit_in_its_seconds(seconds, steps):
    smooth = smoothing("median", seconds)
    assert 2 * smooth.reach(STEP_S) + 1 == steps
    assert f"median of {steps} steps, {steps * STEP_S:.3g} s" in PostProcessing(smooth=smooth).words(STEP_S)[0]


def test_a_delay_of_whole_steps_moves_labels_and_drops_the_last():
    found = run(PostProcessing(label_delay_s=1.0), series([0.0] * 4, [0.0] * 3, label=[0.0, 1, 2, 3, 10, 11, 12]))
    assert found.valid.tolist() == [True, True, False, False, True, False, False]
    assert found.label[found.valid, 0].tolist() == [2.0, 3.0, 12.0]
    assert found.prediction.eq(0).all()


def test_a_delay_between_steps_is_interpolated_from_valid_labels_only():
    steps, times_s = series([0.0] * 5, label=[0.0, 1.0, 4.0, math.nan, 8.0])
    steps = replace(steps, valid=torch.tensor([True, True, True, False, True]))
    found = run(PostProcessing(label_delay_s=0.125), (steps, times_s))
    assert found.valid.tolist() == [True, True, False, False, False]
    assert found.label[found.valid, 0].tolist() == pytest.approx([0.25, 1.75])


def test_a_label_that_is_no_number_does_not_spread_to_its_valid_neighbour():
    steps, times_s = series([0.0] * 3, label=[math.nan, 1.0, 2.0])
    steps = replace(steps, valid=torch.tensor([False, True, True]))
    found = run(PostProcessing(label_delay_s=0.5), (steps, times_s))
    assert found.valid.tolist() == [True, True, False]
    assert found.label[:2, 0].tolist() == [1.0, 2.0]


def test_a_delay_undoes_a_late_annotator():
    affect = np.sin(np.arange(40) / 3).astype(np.float32)
    late = np.concatenate([np.zeros(4, np.float32), affect[:-4]])
    found = run(PostProcessing(label_delay_s=2.0), series(affect.tolist(), label=late.tolist()))
    assert found.label[found.valid].equal(found.prediction[found.valid])
    assert int(found.valid.sum()) == 36


def test_only_values_with_a_range_are_clipped():
    targets = [TargetConfig.parse("bdi-ii"), TargetConfig.parse({"name": "emotion", "kind": "categorical", "classes": 2})]
    steps, times_s = series([0.0])
    steps = replace(steps, prediction=torch.tensor([[70.0, -2.0, 3.0]]), label=torch.tensor([[99.0, 0.0, 1.0]]))
    found = PostProcessing(clip=True)(steps, times_s, STEP_S, targets)
    assert found.prediction.tolist() == [[63.0, -2.0, 3.0]]
    assert found.label.tolist() == [[99.0, 0.0, 1.0]]


@pytest.mark.parametrize("delay_s", [-1.0, math.nan, math.inf])
def test_a_delay_that_is_none_is_refused(delay_s):
    with pytest.raises(InputError, match="must be zero or a positive number of seconds"):
        PostProcessing(label_delay_s=delay_s)


@pytest.mark.parametrize(
    ("done", "words"),
    [
        (PostProcessing(smooth=smoothing("box", 1.4)), "smooths nothing; give at least 1.5 seconds"),
        (PostProcessing(smooth=smoothing("box", 2.5)), "longer than every video of the split; the longest has 2 s"),
        (PostProcessing(label_delay_s=1.6), "longer than every video of the split; the longest has labels over 1.5 s"),
    ],
)
def test_what_fits_no_video_is_refused(done, words):
    with pytest.raises(InputError, match=words):
        run(done, series([0.0] * 4, [0.0] * 2))
