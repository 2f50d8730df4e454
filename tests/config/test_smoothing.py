"""Smoothing is read from text or a mapping, and its window is what it says."""

from __future__ import annotations

import json
import math

import pytest

from affectzoo.config import ModelConfig, SmoothingConfig
from affectzoo.errors import ConfigError

MODEL = {"streams": {"visual": "timm/resnet18"}, "targets": ["valence"]}


@pytest.mark.parametrize("given", ["box:2.5", {"kind": "box", "seconds": 2.5}])
def test_smoothing_is_read_from_text_and_from_a_mapping(given):
    assert SmoothingConfig.parse(given) == SmoothingConfig(kind="box", seconds=2.5)
    assert str(SmoothingConfig.parse(given)) == "box:2.5"


@pytest.mark.parametrize(
    "text", ["median", "median:", "mean:3", "median:0", "box:-1", "box:nan", "gaussian:inf", "median:three", ""]
)
def test_text_that_is_no_smoothing_is_one_sentence(text):
    with pytest.raises(ConfigError, match="--smooth: smoothing is box:SECONDS, median:SECONDS or gaussian:SECONDS"):
        SmoothingConfig.parse(text, where="--smooth")


@pytest.mark.parametrize("given", [{"kind": "mean", "seconds": 1}, {"kind": "box"}, {"kind": "box", "seconds": 0}, 3, None])
def test_what_is_no_smoothing_is_refused(given):
    with pytest.raises(ConfigError):
        SmoothingConfig.parse(given)


@pytest.mark.parametrize(("seconds", "steps"), [(1.5, 3), (1.9, 3), (2.49, 3), (2.5, 5), (0.5 * 7, 7)])
@pytest.mark.parametrize("kind", ["box", "median"])
def test_a_window_is_the_most_steps_that_fit_in_its_seconds(kind, seconds, steps):
    smoothing = SmoothingConfig(kind=kind, seconds=seconds)
    assert 2 * smoothing.reach(0.5) + 1 == steps
    assert smoothing.weights(0.5) == [1.0] * steps
    assert smoothing.words(0.5) == f"{kind} of {steps} steps, {steps * 0.5:.3g} s"


def test_a_gaussian_has_half_its_height_at_half_its_width():
    smoothing = SmoothingConfig(kind="gaussian", seconds=2.0)
    weights, reach = smoothing.weights(0.5), smoothing.reach(0.5)
    assert len(weights) == 2 * reach + 1
    assert weights == weights[::-1]
    assert weights[reach] == 1.0
    assert weights[reach + 2] == pytest.approx(0.5)
    # Cut at three standard deviations: what is left out weighs little.
    assert weights[0] < 0.03


@pytest.mark.parametrize("kind", ["box", "median", "gaussian"])
def test_the_fewest_seconds_reach_one_step(kind):
    least_s = SmoothingConfig(kind=kind, seconds=1.0).least_s(0.4)
    assert SmoothingConfig(kind=kind, seconds=least_s).reach(0.4) == 1
    assert SmoothingConfig(kind=kind, seconds=0.99 * least_s).reach(0.4) == 0


@pytest.mark.parametrize("step_s", [7 / 9, 1 / 3, 32 / 30, 0.4])
@pytest.mark.parametrize("kind", ["box", "median", "gaussian"])
def test_the_seconds_that_a_refusal_names_are_enough(kind, step_s):
    told = f"{SmoothingConfig(kind=kind, seconds=0.01).least_s(step_s):.4g}"
    assert SmoothingConfig.parse(f"{kind}:{told}").reach(step_s) == 1


@pytest.mark.parametrize("kind", ["box", "median", "gaussian"])
def test_a_window_under_a_step_is_the_step_alone(kind):
    smoothing = SmoothingConfig(kind=kind, seconds=0.05)
    assert smoothing.reach(0.5) == 0
    assert smoothing.weights(0.5) == [1.0]


@pytest.mark.parametrize("kind", ["box", "median", "gaussian"])
def test_no_number_makes_an_endless_window(kind):
    assert len(SmoothingConfig(kind=kind, seconds=1e308).weights(5e-324)) < 1_000_000


def test_a_model_may_have_smoothing_and_keeps_it():
    config = ModelConfig.parse({**MODEL, "sequence": {"seconds": 0.5}, "smoothing": "median:2.5"})
    assert config.smoothing == SmoothingConfig(kind="median", seconds=2.5)
    assert ModelConfig.parse(json.loads(json.dumps(config.to_json()))) == config
    assert ModelConfig.parse(MODEL).smoothing is None


def test_smoothing_that_smooths_nothing_is_refused_with_the_model():
    with pytest.raises(ConfigError, match=r"smooths nothing over sub-sequences of 0.5 s; give at least 1.5 seconds"):
        ModelConfig.parse({**MODEL, "sequence": {"seconds": 0.5}, "smoothing": "box:1.4"})
    assert math.isclose(SmoothingConfig.parse("box:1.5").least_s(0.5), 1.5)
