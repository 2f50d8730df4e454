"""What a protocol compares is what challenges compare: every annotation at its time, or one score of each recording."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from affectzoo import Protocol
from affectzoo.config import TargetConfig
from affectzoo.errors import DataError, InputError
from affectzoo.objectives.metrics import ccc, mean_absolute_error
from affectzoo.train.evaluate import SplitPredictions
from affectzoo.train.report.compare import Compared, at_times, compare_annotations, compare_clips, measure, over_folds
from affectzoo.train.report.predicted import Delivered, Predicted, joined

VALENCE = TargetConfig.parse("valence")
AROUSAL = TargetConfig.parse("arousal")
EMOTION = TargetConfig.parse({"name": "emotion", "kind": "categorical", "classes": ["calm", "happy"]})


def protocol(**changes: Any) -> Protocol:
    fields: dict[str, Any] = {"targets": ("valence",), "metrics": ("ccc", "mae"), "of": "annotations", **changes}
    return Protocol(name="mine", summary="summary", source="source", **fields)


def predicted(clips: list[dict[str, Any]]) -> Predicted:
    """Clips of steps of a second by their `prediction`; `label`, `times`, `values`, `valid`, `extra`, `subject` and `fold`."""
    steps, delivered = [], []
    for row, clip in enumerate(clips):
        prediction = torch.tensor(clip["prediction"], dtype=torch.float32).reshape(len(clip["prediction"]), -1)
        label = torch.as_tensor(clip.get("label", prediction)).float().reshape(-1, 1).expand_as(prediction)
        marks = torch.ones(len(prediction), dtype=torch.bool)
        valid, present = (marks & torch.tensor(clip.get(name, True)) for name in ("labelled", "present"))
        steps.append(
            SplitPredictions(
                prediction, label, valid, present, torch.full_like(marks, row, dtype=torch.long), marks.cumsum(0) - 1
            )
        )
        times = np.array(clip.get("times", []), dtype=np.float64)
        values = np.array(clip.get("values", []), dtype=np.float32).reshape(len(times), prediction.shape[1])
        delivered.append(
            Delivered(times, values, np.array(clip.get("valid", np.ones(len(times))), bool), clip.get("extra", {}))
        )
    whole = SplitPredictions(**{name: torch.cat([getattr(one, name) for one in steps]) for name in vars(steps[0])})
    return Predicted(
        steps=whole,
        times_s=np.concatenate([np.arange(len(clip["prediction"])) + 0.5 for clip in clips]),
        clip_ids=[f"clip{row}" for row in range(len(clips))],
        subjects=[clip.get("subject", f"subject{row}") for row, clip in enumerate(clips)],
        folds=[clip.get("fold") for clip in clips],
        delivered=delivered,
    )


def test_predictions_are_linear_between_middles_and_held_at_the_ends():
    found = at_times(
        np.array([[0.0], [1.0], [-1.0]]), np.array([0.5, 1.5, 2.5]), np.array([0, 0.5, 0.75, 1.5, 2, 9]), [VALENCE]
    )
    assert found[:, 0].tolist() == [0, 0, 0.25, 1, 0, -1]


def test_one_sub_sequence_is_its_clip_at_all_times():
    found = at_times(np.array([[0.3, 0.9, 0.1]]), np.array([0.5]), np.array([0.0, 0.5, 7.0]), [VALENCE, EMOTION])
    assert found.tolist() == [[0.3, 0.9, 0.1]] * 3


def test_classes_are_of_the_nearest_sub_sequence():
    shares = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = at_times(shares, np.array([0.5, 1.5]), np.array([0.0, 0.9, 1.0, 1.1, 4.0]), [EMOTION])
    assert found.argmax(1).tolist() == [0, 0, 0, 1, 1]


def test_every_valid_annotation_of_every_clip_counts_once_whatever_was_seen():
    clips = [
        {"prediction": [0.0, 1.0], "times": [0.5, 1.0, 1.5], "values": [0.1, 0.2, 0.3], "valid": [1, 0, 1], "present": False},
        {"prediction": [0.4], "times": [], "values": []},
        {"prediction": [-1.0], "times": [3.0], "values": [-0.5]},
    ]
    found = compare_annotations(predicted(clips), [VALENCE])
    assert found.names == ["clip0", "clip0", "clip2"]
    assert found.subjects == ["subject0", "subject0", "subject2"]
    assert found.prediction[:, 0].tolist() == [0, 1, -1]
    assert found.label[:, 0].tolist() == pytest.approx([0.1, 0.3, -0.5])
    assert found.time_s is not None
    assert found.time_s.tolist() == [0.5, 1.5, 3.0]


def test_a_delay_moves_annotations_earlier_and_leaves_out_those_before_the_clip():
    clip = {"prediction": [0.0, 1.0], "times": [0.0, 0.5, 1.0, 1.5], "values": [0.1, 0.2, 0.3, 0.4]}
    found = compare_annotations(predicted([clip]), [VALENCE], delay_s=0.5)
    assert found.label[:, 0].tolist() == pytest.approx([0.2, 0.3, 0.4])
    assert found.prediction[:, 0].tolist() == [0, 0, 0.5]


def test_nothing_to_compare_with_is_refused():
    clip = {"prediction": [0.0], "times": [0.5], "values": [0.1], "valid": [0]}
    with pytest.raises(DataError, match="no clip has a valid annotation along time"):
        compare_annotations(predicted([clip]), [VALENCE])
    with pytest.raises(DataError, match="no clip has a valid label"):
        compare_clips(predicted([{"prediction": [0.0], "labelled": False}]), [VALENCE], ["valence"], "mean")


def test_the_score_of_a_clip_is_the_pool_of_its_present_steps():
    clips = [
        {"prediction": [0.2, 0.4, 0.9], "label": 0.5, "present": [True, True, False]},
        {"prediction": [0.7], "label": 0.1, "labelled": False},
    ]
    found = compare_clips(predicted(clips), [VALENCE], ["valence"], "mean")
    assert (found.names, found.clips) == (["clip0"], [1])
    assert found.prediction.tolist() == [[pytest.approx(0.3)]]
    assert found.label.tolist() == [[0.5]]


def group(*labels: float, subject: str = "anna", **changes: Any) -> list[dict[str, Any]]:
    extra = {"recording": "203_1"}
    return [
        {"prediction": [0.1 * k], "label": label, "extra": extra, "subject": subject, **changes}
        for k, label in enumerate(labels)
    ]


def test_clips_of_a_group_are_one_score():
    clips = [*group(0.4, 0.4, 0.4), *group(-0.2, extra={"recording": 7}, subject="ben")]
    found = compare_clips(predicted(clips), [VALENCE], ["valence"], "mean", "recording")
    assert (found.names, found.clips, found.subjects) == (["203_1", "7"], [3, 1], ["anna", "ben"])
    assert found.prediction[:, 0].tolist() == pytest.approx([0.1, 0.0])
    assert found.label[:, 0].tolist() == pytest.approx([0.4, -0.2])


@pytest.mark.parametrize(
    ("clips", "words"),
    [
        (group(0.4, 0.5), r"the clips of recording '203_1' have different labels of valence"),
        ([*group(0.4), *group(0.4, subject="ben")], r"of recording '203_1' are of different subjects, 'anna' and 'ben'"),
        ([*group(0.4), *group(0.4, extra={"task": "talk"})], r"clip1 has no value in the column recording"),
    ],
)
def test_a_group_that_is_none_is_refused_by_name(clips, words):
    with pytest.raises(DataError, match=words):
        compare_clips(predicted(clips), [VALENCE], ["valence"], "mean", "recording")


def compared(folds: list[int | None], seed: int = 0, columns: int = 1) -> Compared:
    """As many numbers as there are folds, two of each subject."""
    draws = np.random.default_rng(seed)
    label = draws.uniform(-1, 1, (len(folds), columns))
    subjects = [f"subject{place // 2}" for place in range(len(folds))]
    return Compared(label + draws.normal(0, 0.3, label.shape), label, list(map(str, range(len(folds)))), subjects, folds)


def test_a_metric_is_once_over_all_and_its_interval_by_subject():
    given = compared([None] * 12)
    found = measure(given, protocol(), [VALENCE])
    x, y = (torch.from_numpy(values) for values in (given.prediction, given.label))
    assert found["values"]["valence"]["ccc"]["value"] == pytest.approx(float(ccc(x, y)))
    assert list(found["values"]["valence"]) == ["ccc", "mae"]
    measured = found["values"]["valence"]["mae"]
    assert measured["low"] < measured["value"] < measured["high"]
    assert (found["n"], found["subjects"]) == (12, 6)
    assert "per_fold" not in found
    assert "mean" not in found["values"]


def test_pooled_folds_are_one_series_and_averaged_ones_are_not():
    given = compared([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    own = [
        float(mean_absolute_error(*(torch.from_numpy(v[part]) for v in (given.prediction, given.label))))
        for part in (slice(4), slice(4, 10))
    ]
    pooled = measure(given, protocol(), [VALENCE])
    assert pooled["values"]["valence"]["mae"]["value"] == pytest.approx((4 * own[0] + 6 * own[1]) / 10)
    assert [fold["values"]["valence"]["mae"] for fold in pooled["per_fold"]] == pytest.approx(own)
    assert (pooled["per_fold"][0]["n"], pooled["per_fold"][0]["subjects"]) == (4, ["subject0", "subject1"])
    averaged = measure(given, protocol(average="folds"), [VALENCE])["values"]["valence"]["mae"]
    assert averaged == {"value": pytest.approx(np.mean(own)), "sd": pytest.approx(np.std(own, ddof=1)), "folds": 2}


def test_a_fold_without_a_value_is_left_out_of_the_mean_and_counted():
    assert over_folds([1.0, math.nan, 3.0]) == {"value": 2.0, "sd": pytest.approx(math.sqrt(2)), "folds": 2}
    alone = over_folds([1.0])
    assert alone["value"] == 1.0
    assert math.isnan(alone["sd"])
    assert math.isnan(over_folds([math.nan])["value"])


def test_the_mean_over_targets_is_reported_besides_each():
    given = compared([None] * 12, columns=2)
    found = measure(given, protocol(targets=("valence", "arousal")), [VALENCE, AROUSAL])["values"]
    assert list(found) == ["valence", "arousal", "mean"]
    both = [found[name]["ccc"]["value"] for name in ("valence", "arousal")]
    assert found["mean"]["ccc"]["value"] == pytest.approx(np.mean(both))


def test_a_metric_that_is_none_or_of_another_kind_is_refused():
    with pytest.raises(InputError, match=r"reports 'accuracy', which is no metric here; there are ccc"):
        measure(compared([None] * 4), protocol(metrics=("accuracy",)), [VALENCE])
    with pytest.raises(InputError, match=r"reports no metric of a continuous target, such as valence"):
        measure(compared([None] * 4), protocol(metrics=("uar",)), [VALENCE])


def test_parts_are_joined_clip_by_clip():
    one = predicted([{"prediction": [0.1, 0.2], "fold": 0}, {"prediction": [0.3], "fold": 0}])
    other = predicted([{"prediction": [0.4, 0.5, 0.6], "fold": 1}])
    both = joined([one, other])
    assert both.steps.row.tolist() == [0, 0, 1, 2, 2, 2]
    assert both.steps.prediction[:, 0].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert both.folds == [0, 0, 1]
    assert (len(both.clip_ids), len(both.delivered), len(both.times_s)) == (3, 3, 6)


def test_the_table_has_the_columns_of_the_compared_targets_only():
    frame = compared([0, 0, 1, 1], columns=2).to_frame([VALENCE, AROUSAL], ["arousal"], "recording")
    assert list(frame.columns) == ["recording", "subject", "fold", "predicted.arousal", "label.arousal"]
    assert frame["fold"].tolist() == [0, 0, 1, 1]
