"""The trunk: layouts, blocks by name, saving and loading, and its place in a model."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import affectzoo
from affectzoo.errors import RegistryError
from affectzoo.registry import registry
from affectzoo_dmsn.layers import Branches, conv_bn
from affectzoo_dmsn.presets import DMSNB18

BLOCKS = ["dmsn-a", "dmsn-b", "dmsn-c", "msn", "basic3d", "r2plus1d"]
AUDIO = {
    "name": "spectrogram/resnet10t",
    "config": {"log_mel": {"n_mels": 40, "frames": 50}, "model_args": {"channels": [8, 16, 24, 32]}},
}


class Scaled(affectzoo.Block):
    """A block of somebody else's, with several scales."""

    def __init__(self, in_channels: int, width: int, stride: int = 1, *, multiscale: bool = True, extra: int = 0) -> None:
        super().__init__()
        self.out_channels = width + extra
        self.multiscale = multiscale
        self.body = conv_bn(in_channels, self.out_channels, (3, 3, 3), (stride, stride, stride))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Plain(affectzoo.Block):
    """A block of somebody else's, without scales."""

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.out_channels = width
        self.body = conv_bn(in_channels, width, (1, 3, 3), (stride, stride, stride))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def scales(network: nn.Module) -> list[set[int]]:
    """For each stage, how many branches its blocks have."""
    return [
        {len(part) for part in stage.modules() if isinstance(part, Branches)}
        for stage in network.get_submodule("stages").children()
    ]


def sizes(network: affectzoo.Backbone, frames: int = 4, side: int = 16) -> list[list[int]]:
    """T, H and W after each stage."""
    found: list[list[int]] = []
    hooks = [
        list(stage.children())[-1].register_forward_hook(lambda _, __, y: found.append(list(y.shape[2:])))
        for stage in network.get_submodule("stages").children()
    ]
    with torch.no_grad():
        network(torch.randn(1, 3, frames, side, side))
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_makes_a_network(trunk, block):
    network = trunk(block=block)
    assert network.feature_dim == 16
    with torch.no_grad():
        y = network(torch.randn(2, 3, 4, 16, 16))
    assert y.shape == (2, 16)
    assert y.isfinite().all()


def test_the_declaration_is_what_was_asked_for(trunk):
    declared = trunk(frames=8, image_size=24, mean=[0.1, 0.2, 0.3], std=[1, 1, 1], colour="grey", margin=0.5).input
    assert (declared.frames, declared.height, declared.width, declared.colour, declared.margin) == (8, 24, 24, "grey", 0.5)
    assert (declared.mean, declared.std) == ((0.1, 0.2, 0.3), (1.0, 1.0, 1.0))
    usual = affectzoo.create_backbone("dmsn-c-18").input
    assert (usual.frames, usual.height, usual.width, usual.colour) == (16, 112, 112, "rgb")


@pytest.mark.parametrize(("frames", "side"), [(1, 16), (5, 17), (7, 33)])
def test_odd_lengths_and_sizes(trunk, frames, side):
    for downsample in ("stride", "pool"):
        network = trunk(frames=frames, image_size=side, downsample=downsample)
        with torch.no_grad():
            assert network(torch.randn(1, 3, frames, side, side)).shape == (1, 16)


def test_multiscale_stages_are_those_asked_for(trunk):
    three = {"layers": [1, 2, 1], "widths": [8, 8, 8]}
    assert scales(trunk(**three)) == [{3}, {3}, {1}]
    assert scales(trunk(**three, multiscale_stages=[3])) == [{1}, {1}, {3}]
    assert scales(trunk(**three, multiscale_stages=[])) == [{1}, {1}, {1}]
    assert scales(trunk(**three, multiscale_stages=[3, 1, 1], block_config={"kernels": [3, 5]})) == [{2}, {1}, {2}]
    assert scales(trunk(layers=[1], widths=[8], downsample_stages=[])) == [{3}]


def test_a_stage_halves_time_and_space_by_stride_or_by_pool(trunk):
    layout = {"layers": [1, 1, 1], "widths": [8, 8, 8], "frames": 12, "image_size": 44}
    stem = [6, 11, 11]  # stride (1, 2, 2), then a max-pool of stride 2
    for downsample in ("stride", "pool"):
        found = sizes(trunk(**layout, downsample=downsample, downsample_stages=[2, 3]), 12, 44)
        assert found == [stem, [3, 6, 6], [2, 3, 3]]
        found = sizes(trunk(**layout, downsample=downsample, downsample_stages=[]), 12, 44)
        assert found == [stem, stem, stem]
        assert sizes(trunk(**layout, downsample=downsample, downsample_stages=[1]), 12, 44)[0] == [3, 6, 6]
    pooled = trunk(**layout, downsample="pool", downsample_stages=[2])
    strided = trunk(**layout, downsample="stride", downsample_stages=[2])
    assert [type(part).__name__ for part in pooled.stages[1]] == ["MaxPool3d", "DMSNC"]
    assert [type(part).__name__ for part in strided.stages[1]] == ["DMSNC"]


def test_presets_are_the_trunk_with_its_layout():
    preset = affectzoo.create_backbone("dmsn-b-18", frames=4, image_size=16)
    saved = preset.component.config
    assert set(saved) == {"frames", "image_size", "mean", "std", "colour", "margin", "activation_checkpointing", "init"}
    again = affectzoo.create_backbone("dmsn-b-18", **saved)
    assert again.state_dict().keys() == preset.state_dict().keys()
    layout = {key: list(value) if isinstance(value, tuple) else value for key, value in DMSNB18.layout.items()}
    same = affectzoo.create_backbone("dmsn", **layout, frames=4, image_size=16)
    same.load_state_dict(preset.state_dict())
    x = torch.randn(1, 3, 4, 16, 16)
    with torch.no_grad():
        assert torch.equal(same.eval()(x), preset.eval()(x))
    with pytest.raises(affectzoo.AffectzooError, match="unknown key 'layers'"):
        affectzoo.create_backbone("dmsn-b-18", layers=[1])


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"block": "dmsn-a", "block_config": {"kernels": [3, 5], "branch_width": 3}, "multiscale_stages": [2]},
        {"block": "msn", "downsample": "pool", "image_size": 17, "margin": 0.0},
        {"block": "r2plus1d", "block_config": {"middle": 5}, "colour": "grey"},
        {"block": "basic3d", "layers": [1, 1], "mean": [0.5, 0.5, 0.5], "activation_checkpointing": True},
    ],
)
def test_the_saved_config_rebuilds_the_same_network(trunk, config):
    network = trunk(**config)
    saved = network.component.config
    again = affectzoo.create_backbone("dmsn", **saved).eval()
    assert again.component.config == saved
    assert again.input == network.input
    again.load_state_dict(network.state_dict())
    x = torch.randn(1, 3, 4, network.input.height, network.input.width)
    with torch.no_grad():
        assert torch.equal(again(x), network(x))


def test_activation_checkpointing_changes_no_output_and_no_gradient(trunk):
    plain, frugal = trunk().train(), trunk(activation_checkpointing=True).train()
    frugal.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 4, 16, 16)
    outputs = [network(x) for network in (plain, frugal)]
    torch.testing.assert_close(*outputs)
    for y in outputs:
        y.square().sum().backward()
    for (name, ours), theirs in zip(plain.named_parameters(), frugal.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)


def test_activation_checkpointing_counts_a_batch_once(trunk):
    plain, frugal = trunk().train(), trunk(activation_checkpointing=True).train()
    frugal.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 4, 16, 16)
    for network in (plain, frugal):
        network(x).square().sum().backward()
    for name, ours in plain.state_dict().items():
        torch.testing.assert_close(ours, frugal.state_dict()[name], msg=name)


def test_activation_checkpointing_can_be_switched_on_later_and_is_not_saved_then(trunk):
    plain = trunk().train()
    frugal = copy.deepcopy(plain)
    frugal.checkpoint_activations()
    assert frugal.component == plain.component
    counts = []
    for network in (plain, frugal):
        calls: list[int] = []
        for block in (part for part in network.stages.modules() if isinstance(part, affectzoo.Block)):
            block.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        network(torch.randn(2, 3, 4, 16, 16)).sum().backward()
        counts.append(len(calls))
    assert counts == [3, 6]


def test_activation_checkpointing_allows_a_second_backward(trunk):
    loss = trunk(activation_checkpointing=True).train()(torch.randn(2, 3, 4, 16, 16)).square().sum()
    loss.backward(retain_graph=True)
    loss.backward()


def test_a_block_of_ones_own_is_used_and_comes_back_bit_for_bit(tiny, tmp_path, monkeypatch):
    affectzoo.register_block("mine")(Scaled)
    config = {**tiny, "block": "mine", "block_config": {"extra": 2}, "multiscale_stages": [2]}
    model = affectzoo.create_model(visual={"name": "dmsn", "config": config}, sequence={"length": 2})
    backbone = model.backbones["visual"]
    assert backbone.feature_dim == 18
    assert [[block.multiscale for block in stage] for stage in backbone.stages] == [[False, False], [True]]
    model.train()(x := {"visual": torch.randn(1, 2, 3, 4, 16, 16)})
    folder = model.eval().save_pretrained(tmp_path / "model")
    again = affectzoo.load(folder)
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    with torch.no_grad():
        assert torch.equal(again(x), model(x))

    without = [entry for entry in registry()._entries["block"] if entry.name != "mine"]
    monkeypatch.setitem(registry()._entries, "block", without)
    with pytest.raises(RegistryError, match="'mine'") as caught:
        affectzoo.load(folder)
    assert "\n" not in str(caught.value)


def test_a_block_that_is_not_registered_says_how_to_register_it(tiny, tmp_path, monkeypatch):
    affectzoo.register_block("mine")(Plain)
    model = affectzoo.create_model(visual={"name": "dmsn", "config": {**tiny, "block": "mine"}}, sequence={"length": 2})
    folder = model.save_pretrained(tmp_path / "model")
    without = [entry for entry in registry()._entries["block"] if entry.name != "mine"]
    monkeypatch.setitem(registry()._entries, "block", without)
    with pytest.raises(RegistryError, match=r"@affectzoo\.register_block\('mine'\)"):
        affectzoo.load(folder)


def test_a_block_without_scales_is_left_alone(trunk):
    affectzoo.register_block("plain")(Plain)
    network = trunk(block="plain")
    assert network.component.config["multiscale_stages"] is None
    with torch.no_grad():
        assert network(torch.randn(1, 3, 4, 16, 16)).shape == (1, 16)


@pytest.mark.parametrize("fusion", ["joint-cross-attention", "cross-attention", "concat"])
def test_beside_audio_a_masked_step_is_not_seen(tiny, fusion):
    model = affectzoo.create_model(
        visual={"name": "dmsn", "config": tiny}, audio=AUDIO, fusion=fusion, sequence={"length": 4}
    ).eval()
    inputs = {"visual": torch.randn(2, 4, 3, 4, 16, 16), "audio": torch.randn(2, 4, 1, 40, 50)}
    masks = {"visual": torch.tensor([[True, False, True, True], [False] * 4]), "audio": torch.ones(2, 4, dtype=torch.bool)}
    with torch.no_grad():
        y = model(inputs, masks)
        assert y.shape == (2, 4, 2)
        assert y.isfinite().all()
        for other in (torch.randn(3, 4, 16, 16), torch.full((3, 4, 16, 16), torch.nan)):
            changed = inputs["visual"].clone()
            changed[0, 1] = changed[1, 2] = other
            assert torch.equal(model({**inputs, "visual": changed}, masks), y)
        alone = model({"audio": inputs["audio"]})
    torch.testing.assert_close(y[1], alone[1])


def test_training_beside_audio_reaches_both(tiny, awake):
    model = awake(
        affectzoo.create_model(
            visual={"name": "dmsn", "config": tiny}, audio=AUDIO, fusion="joint-cross-attention", sequence={"length": 4}
        )
    )
    inputs = {"visual": torch.randn(2, 4, 3, 4, 16, 16), "audio": torch.randn(2, 4, 1, 40, 50)}
    masks = {name: torch.tensor([[True, False, True, True], [True] * 4]) for name in inputs}
    y = model(inputs, masks)
    (y * torch.randn_like(y)).sum().backward()
    for name, parameter in model.backbones["visual"].named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_the_score_of_a_video_is_the_median_over_its_clips(tiny):
    model = affectzoo.create_model(
        visual={"name": "dmsn", "config": tiny}, targets=["bdi-ii"], sequence={"length": 3}, head={"pool": "median"}
    ).eval()
    x = {"visual": torch.randn(2, 3, 3, 4, 16, 16)}
    with torch.no_grad():
        steps = model(x, pool=False)
        torch.testing.assert_close(model(x), steps.median(dim=1).values)
        masks = {"visual": torch.tensor([[True, False, False], [True] * 3])}
        torch.testing.assert_close(model(x, masks)[0], steps[0, 0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_floating_point_types(trunk, dtype):
    with torch.no_grad():
        assert trunk().to(dtype)(torch.randn(1, 3, 4, 16, 16, dtype=dtype)).dtype == dtype


class SingleByDefault(affectzoo.Block):
    """A block that is multiscale only where it is told."""

    def __init__(self, in_channels: int, width: int, stride: int = 1, *, multiscale: bool = False) -> None:
        super().__init__()
        self.multiscale, self.out_channels = multiscale, width
        self.convolution = torch.nn.Conv3d(in_channels, width, 1, stride)
        torch.nn.init.zeros_(self.convolution.weight)

    def forward(self, x):
        return self.convolution(x)


def test_a_block_of_ones_own_is_told_its_scales_and_keeps_its_initialisation(trunk):
    affectzoo.register_block("single")(SingleByDefault)
    network = trunk(block="single", multiscale_stages=[2], layers=[1, 1])
    assert [part.multiscale for stage in network.stages for part in stage] == [False, True]
    assert all(bool((part.convolution.weight == 0).all()) for stage in network.stages for part in stage)
