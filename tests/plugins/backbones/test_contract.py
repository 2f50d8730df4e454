"""What every backbone promises: its declared input, one vector per sub-sequence, gradients, and an exact offline rebuild."""

from __future__ import annotations

import json

import pytest
import torch

from affectzoo.errors import InputError


def test_declared_input_gives_one_vector_each(backbone, declared_sample):
    x = declared_sample(backbone, batch=3)
    with torch.no_grad():
        features = backbone.eval()(x)
    assert features.shape == (3, backbone.feature_dim)
    assert features.dtype == torch.float32
    assert torch.isfinite(features).all()


def test_an_example_does_not_depend_on_its_batch(backbone, declared_sample):
    x = declared_sample(backbone, batch=3)
    with torch.no_grad():
        together = backbone.eval()(x)
        alone = torch.cat([backbone(x[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)


def test_gradients_reach_every_parameter(backbone, declared_sample):
    backbone(declared_sample(backbone)).square().sum().backward()
    without = [name for name, parameter in backbone.named_parameters() if parameter.grad is None]
    assert not without
    assert all(torch.isfinite(parameter.grad).all() for parameter in backbone.parameters())


def test_saved_config_rebuilds_the_same_network(backbone, rebuild, declared_sample):
    config = backbone.saved_config
    again = rebuild() if config is None else rebuild(json.loads(json.dumps(config)))
    assert all(module.training for module in again.modules())
    again.load_state_dict(backbone.state_dict(), strict=True)
    x = declared_sample(backbone)
    with torch.no_grad():
        assert torch.equal(backbone.eval()(x), again.eval()(x))
    assert again.input == backbone.input
    assert again.feature_dim == backbone.feature_dim
    assert again.saved_config == config


@pytest.mark.parametrize("change", ["no batch", "one more axis", "channels", "integers"])
def test_a_wrong_input_is_refused_by_name(backbone, declared_sample, change):
    x = declared_sample(backbone)
    wrong = {
        "no batch": lambda: x[0],
        "one more axis": lambda: x[None],
        "channels": lambda: x.repeat(1, 2, *[1] * (x.ndim - 2)) if x.ndim > 2 else torch.stack([x, x], dim=1),  # stereo
        "integers": lambda: x.to(torch.uint8),
    }[change]()
    expected = "floating-point" if change == "integers" else r"must be \[N, .*, not \["
    with pytest.raises(InputError, match=expected):
        backbone(wrong)


def test_bfloat16_autocast(backbone, declared_sample):
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        features = backbone.eval()(declared_sample(backbone))
    assert torch.isfinite(features).all()
