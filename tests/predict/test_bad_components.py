"""A component that breaks its contract while a file is predicted: the error names it, its plugin and its version."""

from __future__ import annotations

import pytest
import torch

import affectzoo
from affectzoo.config import ComponentConfig
from affectzoo.errors import PredictionError
from affectzoo.model.faults import find_fault
from affectzoo.predict import Predictor


def nan_like(y):
    return torch.full_like(y, torch.nan)


def from_plugin(component, name):
    """As if it had come from an installed plugin."""
    component.component = ComponentConfig(name=name, distribution="affect-extras", version="2.1")
    return component


def spoil(component, change):
    """Let `forward` return what `change` makes of its result."""
    kept = component.forward
    component.forward = lambda *args, **kwargs: change(kept(*args, **kwargs))


def one_file(model, make_clip, detector):
    return Predictor(model, detector=detector, batch_size=4, device="cpu")(make_clip(duration_s=2.0))


#: What is wrong -> (how, words of the error).
FUSION = {
    "NaN": (nan_like, "gave values that are not numbers"),
    "infinity in one value": (lambda y: y.index_fill(2, torch.tensor([3]), torch.inf), "gave values that are not numbers"),
    "lost the steps": (lambda y: y.mean(1), "gave a tensor of [2, 18], and [2, 4, 18] was due"),
    "lost a window": (lambda y: y[:1], "gave a tensor of [1, 4, 18], and [2, 4, 18] was due"),
    "another width": (lambda y: y[..., 1:], "gave a tensor of [2, 4, 17], and [2, 4, 18] was due"),
    "a pair": (lambda y: (y, {}), "returned a tuple, not a tensor, and [2, 4, 18] was due"),
    "raises": (lambda _: 1 / 0, "failed: ZeroDivisionError: division by zero"),
}


@pytest.mark.parametrize(("change", "words"), FUSION.values(), ids=FUSION)
def test_a_fusion_that_breaks_its_contract_is_named(make_model, make_clip, detector, change, words):
    model = make_model()
    spoil(from_plugin(model.fusion, "gated"), change)
    with pytest.raises(PredictionError) as caught:
        one_file(model, make_clip, detector)
    assert f"the fusion 'gated' of affect-extras 2.1 {words}" in str(caught.value)
    assert "\n" not in str(caught.value)


BACKBONE = {
    "NaN": (nan_like, "gave values that are not numbers"),
    "another width": (lambda y: y[:, 1:], "gave a tensor of [4, 4], and [4, 5] was due"),
    "a map": (lambda y: y[..., None], "gave a tensor of [4, 5, 1], and [4, 5] was due"),
    "frames for clips": (lambda y: y.repeat(2, 1), "gave a tensor of [8, 5], and [4, 5] was due"),
    "a dictionary": (lambda y: {"features": y}, "returned a dict, not a tensor, and [4, 5] was due"),
    "raises": (lambda _: [][3], "failed: IndexError: list index out of range"),
}


@pytest.mark.parametrize(("change", "words"), BACKBONE.values(), ids=BACKBONE)
def test_a_backbone_that_breaks_its_contract_is_named(make_model, make_clip, detector, change, words):
    model = make_model()
    spoil(from_plugin(model.backbones["visual"], "deep"), change)
    with pytest.raises(PredictionError) as caught:
        one_file(model, make_clip, detector)
    assert f"the backbone 'deep' of affect-extras 2.1 {words}" in str(caught.value)


def test_a_component_of_the_session_is_named_so(make_model, make_clip, detector):
    model = make_model()
    spoil(model.fusion, nan_like)
    with pytest.raises(PredictionError, match="the fusion 'toy-fusion' of session gave values"):
        one_file(model, make_clip, detector)


def test_a_temporal_encoder_is_named_and_not_the_fusion_after_it(make_model):
    make_model()
    stream = {"backbone": "toy-audio", "temporal": {"name": "gru", "config": {"hidden": 3}}}
    model = affectzoo.create_model(audio=stream, visual="toy-visual", fusion="toy-fusion", sequence={"length": 4}).eval()
    features = {"audio": torch.zeros(2, 4, 4), "visual": torch.zeros(2, 4, 5)}
    assert find_fault(model, features, on_features=True) == ""
    spoil(model.temporals["audio"], nan_like)
    said = find_fault(model, features, on_features=True)
    assert said == f"the temporal 'gru' of affectzoo {affectzoo.__version__} gave values that are not numbers"


def test_weights_that_are_no_numbers_are_told_from_a_component_that_makes_them(make_model, make_clip, detector):
    model = make_model()
    with torch.no_grad():
        model.backbones["audio"].linear.weight.fill_(torch.nan)
    with pytest.raises(PredictionError, match="the backbone 'toy-audio' of session holds weights that are not numbers"):
        one_file(model, make_clip, detector)


def test_what_a_masked_step_holds_accuses_nobody(make_model):
    model = make_model()
    features = {"audio": torch.zeros(2, 4, 4), "visual": torch.zeros(2, 4, 5)}
    features["audio"][:, 1] = torch.nan
    masks = {name: torch.ones(2, 4, dtype=torch.bool) for name in features}
    masks["audio"][:, 1] = False
    assert find_fault(model, features, masks, on_features=True) == ""
    masks["audio"][:, 1] = True
    assert "toy-audio" in find_fault(model, features, masks, on_features=True)


def test_raw_inputs_are_searched_through_from_the_backbones_on(make_model):
    model = make_model()
    inputs = {"audio": torch.randn(2, 4, 1, 8, 40), "visual": torch.randn(2, 4, 3, 2, 8, 8)}
    masks = {name: torch.zeros(2, 4, dtype=torch.bool) for name in inputs}
    masks["visual"][0, 1] = True
    assert find_fault(model, inputs, masks, on_features=False) == ""
    spoil(model.backbones["audio"], nan_like)
    assert find_fault(model, inputs, masks, on_features=False) == ""  # silent throughout: it is never asked
    assert "toy-audio" in find_fault(model, inputs, on_features=False)


def test_inputs_that_are_no_numbers_are_nobodys_fault(make_model):
    model = make_model()
    inputs = {"audio": torch.full((2, 4, 1, 8, 40), torch.nan), "visual": torch.randn(2, 4, 3, 2, 8, 8)}
    assert find_fault(model, inputs, on_features=False) == ""


def test_a_bad_component_costs_the_other_files_nothing(make_model, make_clip, detector):
    model = make_model()
    kept, calls = model.fusion.forward, []

    def at_first(*args, **kwargs):
        calls.append(1)
        y = kept(*args, **kwargs)
        return nan_like(y) if len(calls) <= 2 else y  # the second call is the search for the fault

    model.fusion.forward = at_first
    clip = make_clip(duration_s=1.0)
    failed, good = affectzoo.predict(model, [clip, clip], on_error="collect", detector=detector, device="cpu")
    assert isinstance(failed, PredictionError)
    assert not good.frame["valence"].isna().any()
