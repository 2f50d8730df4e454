"""The backbone `features`: what another network gave, unchanged."""

from __future__ import annotations

import pytest
import torch

import affectzoo
from affectzoo.errors import ConfigError, InputError


def test_it_passes_features_on():
    backbone = affectzoo.create_backbone("features", channels=5)
    assert backbone.input == affectzoo.SignalInput(channels=5, samples=1)
    assert backbone.feature_dim == 5
    x = torch.randn(4, 1, 5)
    assert torch.equal(backbone(x), x[:, 0])
    assert not list(backbone.parameters())
    backbone.checkpoint_activations()
    assert torch.equal(backbone.train()(x), x[:, 0])


def test_a_saved_model_on_features_loads_again(tmp_path):
    features = {"name": "features", "config": {"channels": 3}}
    model = affectzoo.create_model(visual=features, audio=features, fusion="concat", targets=["valence"]).eval()
    again = affectzoo.load(str(model.save_pretrained(tmp_path / "model")))
    x = {name: torch.randn(2, 4, 1, 3) for name in ("visual", "audio")}
    with torch.no_grad():
        assert torch.equal(model(x), again(x))


@pytest.mark.parametrize("shape", [(4, 5), (4, 2, 5), (4, 1, 6), (4, 1, 5, 1)])
def test_another_shape_is_refused(shape):
    with pytest.raises(InputError, match=r"signals must be \[N, 1, 5\], not \["):
        affectzoo.create_backbone("features", channels=5)(torch.zeros(shape))


def test_integers_are_refused():
    with pytest.raises(InputError, match="floating-point"):
        affectzoo.create_backbone("features", channels=5)(torch.zeros(4, 1, 5, dtype=torch.int64))


@pytest.mark.parametrize("channels", [0, "many"])
def test_a_number_of_features_out_of_range(channels):
    with pytest.raises(ConfigError, match="channels"):
        affectzoo.create_backbone("features", channels=channels)
