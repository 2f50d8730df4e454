"""Running statistics under activation checkpointing, and backbones that have none."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import affectzoo
from affectzoo.errors import ConfigError


class Checkpointed(nn.Sequential):
    def forward(self, x):
        return checkpoint(super().forward, x, use_reentrant=False)


def network(kind=Checkpointed, **options):
    torch.manual_seed(0)
    body = kind(nn.Linear(3, 4), nn.BatchNorm1d(4, **options), nn.ReLU(), nn.Linear(4, 4), nn.BatchNorm1d(4, **options))
    return nn.Sequential(body, nn.Linear(4, 2))


def steps(trained, count=3):
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        trained(torch.randn(8, 3, generator=generator)).square().sum().backward()
    return trained.state_dict()


@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_batch_that_is_computed_again_counts_once(momentum):
    plain, frugal = network(nn.Sequential, momentum=momentum), network(momentum=momentum)
    affectzoo.count_batches_once(frugal)
    affectzoo.count_batches_once(frugal)
    expected, found = steps(plain), steps(frugal)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
    assert frugal[0][1].momentum == momentum


def test_without_it_a_batch_counts_twice():
    assert int(steps(network(), 1)["0.1.num_batches_tracked"]) == 2


def test_a_pass_that_fails_leaves_the_norm_as_it_was():
    frugal = network()
    affectzoo.count_batches_once(frugal)
    y = frugal(torch.randn(8, 3))
    frugal[0][1].register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        y.sum().backward()
    assert frugal[0][1].momentum == 0.1
    assert int(frugal[0][1].num_batches_tracked) == 1


def test_a_copy_keeps_its_own_statistics():
    frugal = network()
    affectzoo.count_batches_once(frugal)
    twin = copy.deepcopy(frugal)
    assert int(steps(twin)["0.4.num_batches_tracked"]) == 3
    assert int(frugal[0][4].num_batches_tracked) == 0


def test_compiled_it_counts_once_too():
    frugal = network()
    affectzoo.count_batches_once(frugal)
    compiled = torch.compile(frugal, backend="aot_eager")
    compiled(torch.randn(8, 3)).sum().backward()
    assert int(frugal[0][1].num_batches_tracked) == 1


def test_a_backbone_without_it_says_so():
    class Plain(affectzoo.Backbone):
        def forward(self, x):
            return x

    with pytest.raises(ConfigError, match=r"Plain has no .*; leave train\.activation_checkpointing out"):
        Plain().checkpoint_activations()
