"""Smoothing against a naive version, and what it must leave alone: gaps, steps without a value, the sum of probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from affectzoo.config import SmoothingConfig, TargetConfig
from affectzoo.model.smoothing import smoothed

VALENCE = TargetConfig.parse("valence")
MOOD = TargetConfig(name="mood", kind="categorical", classes=("sad", "calm", "glad"))
STEP_S = 0.5
#: Sums of a few products in double precision.
EXACT = 1e-12


def run(values, how, *, known=None, places=None, targets=(VALENCE,)):
    values = np.asarray(values, float)
    values = values[:, None] if values.ndim == 1 else values
    known = np.ones(len(values), bool) if known is None else np.array(known)
    places = np.arange(len(values)) if places is None else np.array(places)
    return smoothed(values, known, places, targets, SmoothingConfig.parse(how), STEP_S)


def test_a_median_takes_out_a_spike_and_windows_shrink_towards_the_ends():
    found = run([9.0, 0.0, 1.0, 7.0, 2.0, 3.0, -9.0], "median:2.5")
    # Widths 1, 3, 5, 5, 5, 3, 1.
    assert found[:, 0].tolist() == [9.0, 1.0, 2.0, 2.0, 2.0, 2.0, -9.0]


def test_a_gaussian_is_the_mean_weighted_by_distance():
    values = np.random.default_rng(0).normal(size=40)
    found = run(values, "gaussian:2")[:, 0]
    distance_s = (np.arange(40)[:, None] - np.arange(40)[None]) * STEP_S
    weights = 2.0 ** -((distance_s / 1.0) ** 2)  # half at half of 2 s
    # Three standard deviations are 2.55 s, five steps.
    side = np.minimum(5, np.minimum(np.arange(40), 39 - np.arange(40)))
    weights *= np.abs(distance_s) <= side[:, None] * STEP_S
    np.testing.assert_allclose(found, weights @ values / weights.sum(1), atol=EXACT)


@pytest.mark.parametrize("kind", ["box", "median", "gaussian"])
def test_nothing_is_smoothed_across_a_gap(kind):
    left, right = [0.0, 1.0, 0.0, 1.0], [50.0, 60.0, 50.0]
    found = run([*left, *right], f"{kind}:1.5", places=[0, 1, 2, 3, 7, 8, 9])
    apart = np.concatenate([run(left, f"{kind}:1.5"), run(right, f"{kind}:1.5")])
    np.testing.assert_array_equal(found, apart)


def test_a_step_without_a_value_neither_gives_nor_takes():
    found = run([0.0, np.nan, 2.0, 4.0, 5.0], "box:1.5", known=[True, False, True, True, True])
    np.testing.assert_allclose(found[:, 0], [0.0, np.nan, 3.0, 11 / 3, 5.0], atol=EXACT)


@pytest.mark.parametrize("kind", ["box", "median", "gaussian"])
def test_probabilities_sum_to_one_again(kind):
    probable = np.random.default_rng(1).dirichlet([0.3, 0.3, 0.3], size=20)
    values = np.concatenate([np.linspace(-1, 1, 20)[:, None], probable], axis=1)
    found = run(values, f"{kind}:2.5", targets=(VALENCE, MOOD))
    np.testing.assert_allclose(found[:, 1:].sum(1), 1.0, atol=EXACT)
    np.testing.assert_allclose(found[:, 0], values[:, 0], atol=EXACT)  # a straight line stays one
    assert np.abs(found[:, 1:] - probable).max() > 0.1


def test_steps_that_are_sure_of_different_classes_are_told_by_the_mean():
    found = run(np.eye(3), "median:1.5", targets=(MOOD,))
    np.testing.assert_allclose(found[1], 1 / 3, atol=EXACT)


def test_what_is_given_stays_as_it_was_and_nothing_is_fine():
    values = np.arange(6.0).reshape(6, 1) ** 2
    before = values.copy()
    run(values, "box:1.5")
    np.testing.assert_array_equal(values, before)
    assert run(np.zeros((0, 1)), "box:1.5").shape == (0, 1)
