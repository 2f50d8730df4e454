"""From windows to the steps and recordings that metrics are of."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from affectzoo.config import TargetConfig, target_columns
from affectzoo.model.heads import pool_steps
from affectzoo.train.evaluate import SplitPredictions, by_recording, by_step, scores

VALENCE = [TargetConfig.parse("valence")]


def windows(prediction: list[list[float]], step: list[list[int]], row: list[int] | None = None, **changes) -> SplitPredictions:
    """Windows of one target whose labels are a hundredth of their step."""
    steps = torch.tensor(step)
    fields = {
        "prediction": torch.tensor(prediction).unsqueeze(-1),
        "label": steps.unsqueeze(-1) / 100,
        "valid": torch.ones(steps.shape, dtype=torch.bool),
        "present": torch.ones(steps.shape, dtype=torch.bool),
        "row": torch.tensor(row or [0] * len(step)),
        "step": steps,
    }
    return SplitPredictions(**{**fields, **changes})


def test_a_step_that_two_windows_share_counts_once_with_their_mean():
    split = windows([[0.0, 0.1], [0.2, 0.4], [0.6, 0.3]], [[0, 1], [2, 3], [3, 4]])
    steps = by_step(split, VALENCE)
    assert steps.step.tolist() == [0, 1, 2, 3, 4]
    assert steps.prediction[:, 0].tolist() == pytest.approx([0.0, 0.1, 0.2, 0.5, 0.3])
    assert steps.label[:, 0].tolist() == pytest.approx([0.0, 0.01, 0.02, 0.03, 0.04])
    expected = (0.0 + 0.09 + 0.18 + 0.47 + 0.26) / 5
    assert scores(split, VALENCE)["mae.valence"] == pytest.approx(expected)


def test_steps_come_by_clip_and_time_however_windows_were_gathered():
    split = windows([[4.0, 5.0], [0.0, 1.0], [2.0, 3.0]], [[0, 1], [0, 1], [2, 3]], [1, 0, 0])
    steps = by_step(split, VALENCE)
    assert steps.row.tolist() == [0, 0, 0, 0, 1, 1]
    assert steps.prediction[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_classes_are_averaged_as_probabilities():
    emotion = [TargetConfig.parse({"name": "emotion", "kind": "categorical", "classes": 2})]
    logits = torch.tensor([[[0.0, 20.0]], [[0.0, 0.0]]])  # as logits their mean would be (0, 10): nearly certain
    label = torch.tensor([[[0.0, 1.0]], [[0.0, 1.0]]])
    split = replace(windows([[0.0], [0.0]], [[0], [0]]), prediction=logits, label=label)
    assert by_step(split, emotion).prediction.tolist() == [pytest.approx([0.25, 0.75])]


def test_a_recording_without_a_valid_step_is_none():
    valid = torch.tensor([[True, True], [False, False]])
    steps = by_step(windows([[1.0, 3.0], [5.0, 5.0]], [[0, 1], [0, 1]], [0, 1], valid=valid), VALENCE)
    recordings = by_recording(steps, "mean")
    assert recordings.row.tolist() == [0]
    assert recordings.prediction.tolist() == [[2.0]]
    assert by_recording(steps.at(~steps.valid), "mean").prediction.shape == (0, 1)


def test_columns_of_targets_follow_each_other():
    targets = [TargetConfig.parse("valence"), TargetConfig.parse({"name": "emotion", "kind": "categorical", "classes": 3})]
    assert target_columns(targets) == {"valence": slice(0, 1), "emotion": slice(1, 4)}


@pytest.mark.parametrize("how", ["mean", "median", "last"])
def test_every_recording_is_pooled_by_itself(how):
    """Against one recording after the other: mixed orders and lengths, blank steps, recordings without a valid or seen step."""
    draws = torch.Generator().manual_seed(0)
    row = torch.randint(0, 12, (90,), generator=draws)
    steps = SplitPredictions(
        prediction=torch.randn(90, 3, generator=draws),
        label=torch.randn(90, 3, generator=draws),
        valid=(torch.rand(90, generator=draws) < 0.7) & (row != 4),
        present=(torch.rand(90, generator=draws) < 0.6) & (row != 7),
        row=row,
        step=torch.arange(90),
    )
    found = by_recording(steps, how)
    assert found.row.tolist() == [number for number in range(12) if number != 4]
    for place, number in enumerate(found.row.tolist()):
        valid = (row == number) & steps.valid
        counted = valid & steps.present if number != 7 else valid
        assert found.step[place] == steps.step[counted][0]
        assert found.present[place] == (number != 7)
        assert found.valid[place]
        for name in ("prediction", "label"):
            expected = pool_steps(getattr(steps, name)[counted].unsqueeze(0), None, how)[0]
            assert torch.equal(getattr(found, name)[place], expected)
