"""Numbers and tables of classes, each against a count by hand."""

from __future__ import annotations

import math

import pytest
import torch

from affectzoo.config import TargetConfig
from affectzoo.objectives.metrics import expected_calibration_error
from affectzoo.train.report.classes import (
    BINS,
    REPORTED,
    accuracy,
    class_tables,
    confusion_frame,
    measured,
    negative_log_likelihood,
)

EMOTION = TargetConfig.parse({"name": "emotion", "kind": "categorical", "classes": ["calm", "happy", "sad"]})
#: Four predictions; the third is wrong, and nothing is labelled sad.
PREDICTION = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.2, 0.3, 0.5], [0.5, 0.3, 0.2]])
LABEL = torch.eye(3)[[0, 1, 1, 0]]


def test_accuracy_and_likelihood_are_those_of_the_labelled_class():
    assert float(accuracy(PREDICTION, LABEL)) == pytest.approx(0.75)
    expected = -sum(math.log(p) for p in (0.7, 0.6, 0.3, 0.5)) / 4
    assert float(negative_log_likelihood(PREDICTION, LABEL)) == pytest.approx(expected, abs=1e-6)  # float32 inputs
    valid = torch.tensor([True, True, False, True])
    assert float(accuracy(PREDICTION, LABEL, valid)) == 1
    assert float(negative_log_likelihood(PREDICTION, LABEL, valid)) < expected


def test_a_median_of_probabilities_is_made_to_sum_to_one_and_a_lost_one_stays_finite():
    assert float(negative_log_likelihood(PREDICTION / 2, LABEL)) == pytest.approx(
        float(negative_log_likelihood(PREDICTION, LABEL)), abs=1e-6
    )
    sure = torch.tensor([[1.0, 0.0, 0.0]])
    assert float(negative_log_likelihood(sure, torch.eye(3)[[1]])) == pytest.approx(-math.log(1e-12))


def test_calibration_is_of_the_score_that_a_median_becomes():
    # Of three steps that are each nearly sure of another class: a score is 0.4, 0.4 and 0.2, and never 0.02.
    median, label = torch.tensor([[0.02, 0.02, 0.01]]), torch.eye(3)[[2]]
    assert float(REPORTED["ece"](median, label, None)) == pytest.approx(0.4)
    (told,) = class_tables(median, label, EMOTION)["reliability"]
    assert told["confidence"] == pytest.approx(0.4)
    assert told["low"] < 0.4 <= told["high"] + 1e-6


def test_of_nothing_there_is_no_number():
    nothing = torch.zeros(0, 3)
    assert all(math.isnan(float(metric(nothing, nothing, None))) for metric in REPORTED.values())


def test_the_tables_count_every_pair_once():
    found = class_tables(PREDICTION, LABEL, EMOTION)
    assert found["n"] == 4
    assert found["confusion"] == [[2, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert found["recall"]["calm"] == {"value": 1.0, "n": 2}
    assert found["recall"]["happy"] == {"value": 0.5, "n": 2}
    assert found["recall"]["sad"]["n"] == 0
    assert math.isnan(found["recall"]["sad"]["value"])
    frame = confusion_frame(found["confusion"], EMOTION)
    assert list(frame.columns) == ["labelled", "predicted.calm", "predicted.happy", "predicted.sad"]
    assert frame.loc[1].tolist() == ["happy", 0, 1, 1]


def test_the_bins_of_the_diagram_give_the_calibration_error():
    draws = torch.Generator().manual_seed(0)
    prediction = torch.randn(500, 3, generator=draws).mul(2).softmax(-1)
    label = torch.eye(3)[torch.randint(3, (500,), generator=draws)]
    found = class_tables(prediction, label, EMOTION)
    assert sum(one["n"] for one in found["reliability"]) == 500
    gaps = [one["n"] * abs(one["accuracy"] - one["confidence"]) for one in found["reliability"]]
    expected = float(expected_calibration_error(prediction, label, None, bins=BINS))  # of sums that are 1 in float32
    assert sum(gaps) / 500 == pytest.approx(expected, abs=1e-6)
    assert all(one["low"] < one["confidence"] <= one["high"] + 1e-9 for one in found["reliability"])


def test_intervals_are_by_subject_and_the_calibration_error_has_none():
    found = measured(REPORTED, PREDICTION, LABEL, ["anna", "anna", "ben", "ben"])
    assert list(found) == ["uar", "accuracy", "f1", "ece", "nll"]
    # Draws of two people: anna twice, ben twice or both.
    assert (found["accuracy"]["low"], found["accuracy"]["value"], found["accuracy"]["high"]) == (0.5, 0.75, 1.0)
    assert math.isnan(found["ece"]["low"])
    assert math.isnan(found["ece"]["high"])
    alone = measured(REPORTED, PREDICTION, LABEL, ["anna"] * 4)
    assert math.isnan(alone["uar"]["low"])
