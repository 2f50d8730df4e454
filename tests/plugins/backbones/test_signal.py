"""The backbone `signal-mlp`: channels in any unit, batches of one, and masked steps that leave its statistics alone."""

from __future__ import annotations

import pytest
import torch

import affectzoo
from affectzoo.errors import ConfigError
from affectzoo_backbones.signal import SignalMLP

TINY = {"channels": 2, "samples": 3, "hidden": [8, 5]}


def test_it_says_what_it_takes_and_gives():
    backbone = affectzoo.create_backbone("signal-mlp", channels=4)
    assert backbone.input == affectzoo.SignalInput(channels=4, samples=1)
    assert backbone(torch.randn(6, 1, 4)).shape == (6, backbone.feature_dim) == (6, 64)
    assert SignalMLP(**TINY).feature_dim == 5


def test_units_of_channels_do_not_matter():
    torch.manual_seed(0)
    backbone = SignalMLP(**TINY, dropout=0.0)
    x = torch.randn(64, 3, 2)
    other = x * torch.tensor([1000.0, 10.0]) + torch.tensor([5000.0, -3.0])
    with torch.no_grad():
        # Standardised in float32: 5000 leaves about three digits fewer of a channel.
        torch.testing.assert_close(backbone(x), backbone(other), rtol=1e-2, atol=2e-3)


def test_evaluation_uses_the_statistics_of_all_batches_alike():
    backbone = SignalMLP(**TINY)
    batches = torch.randn(5, 16, 3, 2) + torch.arange(5.0).reshape(5, 1, 1, 1)
    for batch in batches:
        backbone(batch)
    mean = backbone.standardise.running_mean
    assert mean is not None
    torch.testing.assert_close(mean, batches.mean(dim=(0, 1, 2)))


@pytest.mark.parametrize("samples", [1, 3])
def test_a_training_batch_of_one_does_not_fail(samples):
    backbone = SignalMLP(channels=2, samples=samples)
    x = torch.randn(1, samples, 2)
    backbone(x).sum().backward()
    assert all(weight.grad is not None for weight in backbone.parameters())
    mean = backbone.standardise.running_mean
    assert mean is not None
    assert bool((mean == 0).all()) is (samples == 1)  # one value says nothing of its channel's spread


def test_masked_steps_do_not_enter_the_statistics():
    model = affectzoo.create_model(
        streams={"head": {"name": "signal-mlp", "config": TINY}}, targets=["valence"], sequence={"seconds": 1.0, "length": 4}
    ).train()
    x = torch.full((2, 4, 3, 2), 7.0) + torch.randn(2, 4, 3, 2)
    mask = torch.tensor([[True, True, False, False], [True, False, False, False]])
    x[~mask] = 0.0
    model({"head": x}, {"head": mask})
    mean = model.get_buffer("backbones.head.standardise.running_mean")
    torch.testing.assert_close(mean, x[mask].mean(dim=(0, 1)))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"channels": 0}, "channels"),
        ({"channels": 2, "samples": 0}, "samples"),
        ({"channels": 2, "hidden": []}, "hidden must be widths of at least one layer"),
        ({"channels": 2, "dropout": 1.0}, "dropout must be at least 0 and under 1"),
        ({}, "key 'channels' is missing"),
        ({"channel": 2}, "did you mean 'channels'"),
    ],
)
def test_sizes_that_cannot_be_are_refused(wrong, words):
    with pytest.raises(ConfigError, match=words):
        affectzoo.create_backbone("signal-mlp", **wrong)
