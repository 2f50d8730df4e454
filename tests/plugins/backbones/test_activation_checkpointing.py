"""Activation checkpointing of every backbone: less memory, and nothing else changes."""

from __future__ import annotations

import copy

import pytest
import torch

from affectzoo.errors import ConfigError
from affectzoo_backbones.spectrogram import SpectrogramBackbone
from affectzoo_backbones.timm_backbone import TimmBackbone
from affectzoo_backbones.video import R3D18


def kept_bytes(network, x):
    """Output of `network`, and bytes that autograd keeps for its backward pass besides weights; no tensor twice."""
    weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = network(x)
    return y, sum(kept.values())


def test_nothing_changes_but_the_memory(backbone, declared_sample):
    plain, frugal = copy.deepcopy(backbone), copy.deepcopy(backbone)
    frugal.checkpoint_activations()
    frugal.checkpoint_activations()
    kept = []
    for network in (plain, frugal):
        for step in range(2):
            torch.manual_seed(step)  # dropout
            y, size = kept_bytes(network, declared_sample(backbone, batch=3))
            y.square().sum().backward()
        kept.append((y, size))
    (y, size), (y_frugal, size_frugal) = kept
    # The same operations on the same numbers, but for the order in which threads and kernels sum.
    torch.testing.assert_close(y, y_frugal)
    for (name, ours), theirs in zip(plain.named_parameters(), frugal.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)
    for name, ours in plain.state_dict().items():
        torch.testing.assert_close(ours, frugal.state_dict()[name], msg=name)
    assert size_frugal < size


def test_a_video_network_keeps_the_inputs_of_its_blocks_alone():
    network = R3D18(frames=4, image_size=32)
    x = torch.randn(2, 3, 4, 32, 32)
    plain = kept_bytes(network, x)[1]
    network.checkpoint_activations()
    # What the stem takes, then the blocks of the four stages, as numbers for each example.
    first, *stages = 3 * 4 * 32 * 32, 64 * 4 * 16 * 16, 128 * 2 * 8 * 8, 256 * 4 * 4, 512 * 2 * 2
    blocks = [stages[0], *(size for size in stages[:-1] for _ in range(2)), stages[-1]]
    kept = kept_bytes(network, x)[1]
    assert kept == 4 * 2 * (first + sum(blocks))
    assert plain > 3 * kept


def test_a_copy_is_checkpointed_by_itself(declared_sample):
    frugal = R3D18(frames=2, image_size=32)
    frugal.checkpoint_activations()
    twin = copy.deepcopy(frugal)
    twin(declared_sample(twin)).sum().backward()
    assert all(parameter.grad is None for parameter in frugal.parameters())
    assert int(frugal.network.stem[1].num_batches_tracked) == 0
    assert int(twin.network.stem[1].num_batches_tracked) == 1


@pytest.mark.parametrize("family", [TimmBackbone, SpectrogramBackbone])
def test_a_timm_model_without_it_is_refused_by_name(family):
    config = {"log_mel": {"frames": 96}} if family is SpectrogramBackbone else {}
    with pytest.raises(ConfigError, match=r"timm's dla46_c has no .*; leave train\.activation_checkpointing out"):
        family("dla46_c", **config).checkpoint_activations()
