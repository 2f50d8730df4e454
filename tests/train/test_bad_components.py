"""A component that breaks its contract while it trains: the error names it, and touches nothing."""

from __future__ import annotations

import pytest
import torch

import affectzoo
from affectzoo.errors import DataError, PluginError
from affectzoo.train.loop import train
from tests.train.toys import ToyWave, toy_dataset, toy_experiment, use_dataset


def spoiled(monkeypatch, change):
    forward = ToyWave.forward
    monkeypatch.setattr(ToyWave, "forward", lambda self, x: change(forward(self, x)))


def test_a_component_that_gives_no_numbers_is_named_beside_the_clips(tmp_path, monkeypatch):
    use_dataset(monkeypatch, toy_dataset())
    spoiled(monkeypatch, lambda y: y / 0 * 0)
    with pytest.raises(
        DataError, match=r"failed-step\.json\. The backbone 'toy-wave' of session gave values that are not numbers"
    ):
        train(toy_experiment(tmp_path))


def test_a_component_that_gives_another_shape_is_named(tmp_path, monkeypatch):
    use_dataset(monkeypatch, toy_dataset())
    spoiled(monkeypatch, lambda y: y[:, 1:])
    with pytest.raises(
        PluginError, match=r"the backbone 'toy-wave' of session gave a tensor of \[\d+, 5\], and \[\d+, 6\] was due"
    ):
        train(toy_experiment(tmp_path))


def test_what_would_be_broadcast_into_nonsense_is_refused():
    fusion = affectzoo.create_model(
        streams={"audio": "toy-wave", "visual": "toy-wave"}, fusion="concat", sequence={"length": 3}
    )
    keep = fusion.fusion.forward
    fusion.fusion.forward = lambda *a, **k: keep(*a, **k).mean(1, keepdim=True)
    with pytest.raises(PluginError, match=r"the fusion 'concat' of affectzoo-fusion .* was due"):
        fusion.forward_features({name: torch.randn(2, 3, 6) for name in ("audio", "visual")})
