"""timm models per frame and on spectrograms: sizes, names, weights."""

from __future__ import annotations

import pytest
import timm
import timm.models._builder as timm_builder
import torch
from safetensors.torch import save_file

from affectzoo.errors import CheckpointError, ConfigError, DownloadError, InputError, UnknownNameError
from affectzoo_backbones.efficientnet_names import in_timm_names
from affectzoo_backbones.spectrogram import SpectrogramBackbone, SpectrogramResNet18
from affectzoo_backbones.timm_backbone import TimmBackbone
from affectzoo_backbones.timm_network import measure_features
from tests.plugins.backbones.efficientnets import LITE0, published_names

NARROW = {"channels": [8, 16, 24, 32]}


@pytest.mark.parametrize(
    ("variant", "size"),
    [
        ("mobilenetv3_small_050", 64),
        ("efficientnet_lite0", 32),
        ("convnext_atto", 64),
        ("swin_tiny_patch4_window7_224", 28),
        ("vit_tiny_patch16_224", 64),
        ("regnety_002", 64),
        ("selecsls42", 64),
        ("ghostnet_050", 32),
    ],
)
def test_feature_dim_is_what_comes_out(variant, size):
    backbone = TimmBackbone(variant, image_size=size, frames=1).eval()
    with torch.no_grad():
        assert backbone(torch.zeros(1, 3, 1, size, size)).shape == (1, backbone.feature_dim)


def test_frames_are_encoded_one_by_one_and_averaged():
    backbone = TimmBackbone("resnet10t", image_size=48, frames=4, model_args=NARROW).eval()
    x = torch.randn(2, 3, 4, 48, 48)
    with torch.no_grad():
        expected = torch.stack([backbone.network(x[:, :, t]) for t in range(4)]).mean(0)
        torch.testing.assert_close(backbone(x), expected)


def test_preprocessing_is_that_of_the_weights():
    assert TimmBackbone("resnet18.a1_in1k", model_args=NARROW).input.mean == (0.485, 0.456, 0.406)
    vit = TimmBackbone("vit_tiny_patch16_224").input
    assert (vit.height, vit.width, vit.mean, vit.std) == (224, 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    chosen = TimmBackbone("resnet10t", image_size=64, mean=[0.1, 0.2, 0.3], margin=0.5, colour="grey", model_args=NARROW).input
    assert (chosen.height, chosen.mean, chosen.margin, chosen.colour) == (64, (0.1, 0.2, 0.3), 0.5, "grey")


def test_standardised_frames_lose_their_exposure_and_nothing_else():
    backbone = TimmBackbone(
        "resnet10t", image_size=48, frames=1, mean=[0.1, 0.2, 0.3], standardise=True, model_args=NARROW
    ).eval()
    assert backbone.saved_config["standardise"]
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (backbone.input.mean, backbone.input.std))
    pixels = torch.rand(2, 3, 1, 48, 48)
    with torch.no_grad():
        assert backbone((torch.full_like(pixels, 0.5) - mean) / std).isfinite().all()
        backbone.network = torch.nn.Flatten()  # what the network is given
        given, darker = (backbone((frames - mean) / std) for frames in (pixels, 0.7 * pixels))
        apart = backbone((pixels * torch.tensor([1.0, 0.5, 0.5]).view(3, 1, 1, 1) - mean) / std)
    torch.testing.assert_close(given.mean(dim=1), torch.zeros(2), atol=1e-5, rtol=0)
    assert given.std(dim=1).sub(1).abs().max() < 0.1
    # But for the fraction that keeps a grey picture from being blown up.
    torch.testing.assert_close(darker, given, atol=0.1, rtol=0)
    assert (apart - given).abs().max() > 0.5, "hues stay"


def test_a_narrow_resnet_is_small_enough_to_ship():
    backbone = TimmBackbone("resnet10t", image_size=48, model_args={"channels": [24, 48, 96, 192], "stem_width": 16})
    assert sum(p.numel() for p in backbone.parameters()) < 750_000
    assert backbone.feature_dim == 192


def test_a_fixed_size_is_held_and_a_free_one_is_not():
    fixed = TimmBackbone("test_vit", image_size=64, frames=2).eval()
    with pytest.raises(InputError, match=r"\[N, 3, T, 64, 64\]"):
        fixed(torch.zeros(1, 3, 2, 80, 80))
    free = TimmBackbone("resnet10t", image_size=48, model_args=NARROW).eval()
    with torch.no_grad():
        assert free(torch.zeros(1, 3, 2, 80, 64)).shape == (1, 32)


@pytest.mark.parametrize("family", [TimmBackbone, SpectrogramBackbone])
def test_an_unknown_variant_names_its_neighbours(family):
    with pytest.raises(UnknownNameError, match=r"'resnet81'; did you mean .*resnet"):
        family("resnet81")
    with pytest.raises(UnknownNameError, match=r"'resnet18\.a9_in1k'; known for this model: .*resnet18\.a1_in1k"):
        family("resnet18.a9_in1k")
    for name in ("hf-hub:somebody/model", "local-dir:/tmp", "../resnet18"):
        with pytest.raises(UnknownNameError):
            family(name)


def test_a_mirrored_picture_has_the_same_features_in_evaluation():
    torch.manual_seed(0)
    backbone = TimmBackbone("resnet10t", frames=2, image_size=32, mirror=True, model_args=NARROW)
    frames = torch.randn(3, 3, 2, 32, 32)
    with torch.no_grad():
        assert not torch.allclose(backbone(frames), backbone(frames.flip(-1)), atol=1e-3)
        backbone.eval()
        given = backbone(frames)
        torch.testing.assert_close(given, backbone(frames.flip(-1)))
        backbone.mirror = False
        torch.testing.assert_close(given, (backbone(frames) + backbone(frames.flip(-1))) / 2)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_args": {"chanels": [1, 2]}}, "chanels"),
        ({"model_args": {"checkpoint_path": "weights.pth"}}, "may not hold checkpoint_path"),
        ({"model_args": {"pretrained_cfg_overlay": {"file": "weights.pth"}}}, "may not hold pretrained_cfg_overlay"),
        ({"pretrained": 3}, "pretrained must be true, false or a file of weights, not 3"),
        ({"pretrained": ""}, "pretrained must be"),
        ({"frames": 0}, "frames"),
        ({"image_size": -1}, "image_size"),
        ({"mean": [0.5]}, "mean"),
        ({"colour": "infrared"}, "colour"),
        ({"pool_frames": "median"}, "pool_frames"),
    ],
)
def test_a_wrong_value_is_one_sentence(config, message):
    with pytest.raises(ConfigError, match=message) as caught:
        TimmBackbone("resnet10t", **{"image_size": 48, **config})
    assert "\n" not in str(caught.value)


def test_a_size_that_does_not_fit_the_patches_is_refused():
    with pytest.raises(ConfigError, match="test_vit"):
        SpectrogramBackbone("test_vit", log_mel={"n_mels": 64, "frames": 107})


def test_a_model_that_does_not_pool_is_refused(monkeypatch):
    monkeypatch.setattr("affectzoo_backbones.timm_network._create", lambda *_, **__: torch.nn.Identity())
    with pytest.raises(ConfigError, match="not one vector"):
        measure_features("resnet10t", (8, 8), in_chans=3, image_size=None, model_args=None)


@pytest.fixture
def local_weights(monkeypatch):
    """Serve timm's downloads from a dict that the test fills; return it."""
    state: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(timm_builder, "load_state_dict_from_hf", lambda *_, **__: dict(state))
    return state


def test_pretrained_weights_arrive_and_are_not_asked_for_again(local_weights):
    torch.manual_seed(3)
    source = timm.create_model("resnet10t").state_dict()
    local_weights.update(source)
    backbone = TimmBackbone("resnet10t", image_size=48, pretrained=True)
    assert all(torch.equal(value, source[name]) for name, value in backbone.network.state_dict().items())
    assert backbone.saved_config is not None
    assert backbone.saved_config["pretrained"] is False
    grey = SpectrogramBackbone("resnet10t", pretrained=True)
    assert torch.equal(grey.network.state_dict()["layer4.0.bn1.weight"], source["layer4.0.bn1.weight"])


def test_weights_that_lack_a_tensor_are_refused(local_weights):
    source = timm.create_model("resnet10t").state_dict()
    del source["layer3.0.conv1.weight"]
    local_weights.update(source)
    with pytest.raises(ConfigError, match=r"layer3\.0\.conv1\.weight"):
        TimmBackbone("resnet10t", image_size=48, pretrained=True)


def test_weights_of_another_width_are_refused(local_weights):
    local_weights.update(timm.create_model("resnet10t").state_dict())
    with pytest.raises(ConfigError, match="size mismatch"):
        TimmBackbone("resnet10t", image_size=48, pretrained=True, model_args=NARROW)


@pytest.mark.parametrize("published", [False, True])
def test_weights_come_from_a_file_by_timms_names_or_those_published(published, tmp_path):
    torch.manual_seed(3)
    source = timm.create_model("tf_efficientnet_lite0", num_classes=5).state_dict()
    names = published_names(LITE0) if published else list(source)
    torch.save(dict(zip(names, source.values(), strict=True)), tmp_path / "lite0.pth")
    backbone = TimmBackbone("tf_efficientnet_lite0", image_size=32, pretrained=str(tmp_path / "lite0.pth"))
    assert all(torch.equal(value, source[name]) for name, value in backbone.network.state_dict().items())
    assert backbone.saved_config is not None
    assert backbone.saved_config["pretrained"] is False
    one_channel = SpectrogramBackbone("tf_efficientnet_lite0", pretrained=str(tmp_path / "lite0.pth")).network.state_dict()
    torch.testing.assert_close(one_channel["conv_stem.weight"], source["conv_stem.weight"].sum(1, keepdim=True))


def test_names_with_squeeze_and_excitation_are_known():
    network = timm.create_model("efficientnet_b0", num_classes=0)
    part = {"_conv_stem.weight": torch.ones(1), "_blocks.1._expand_conv.weight": torch.ones(1)}
    part |= {f"_blocks.{block}._se_{side}.bias": torch.ones(1) for block in (0, 1) for side in ("reduce", "expand")}
    assert in_timm_names(part, network).keys() <= network.state_dict().keys()


def test_a_file_of_another_network_is_refused(tmp_path):
    save_file(timm.create_model("resnet10t").state_dict(), tmp_path / "ten.safetensors")
    with pytest.raises(CheckpointError, match=r"ten\.safetensors does not hold the weights of timm's 'tf_efficientnet_lite0'"):
        TimmBackbone("tf_efficientnet_lite0", image_size=32, pretrained=str(tmp_path / "ten.safetensors"))
    with pytest.raises(CheckpointError, match=r"none\.pth"):
        TimmBackbone("resnet10t", image_size=48, pretrained=str(tmp_path / "none.pth"))


def test_unreachable_weights_are_one_sentence(monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(timm_builder, "load_state_dict_from_hf", offline)
    with pytest.raises(DownloadError, match="cannot be fetched: no route to host"):
        TimmBackbone("resnet10t", image_size=48, pretrained=True)


def test_spectrogram_resnet18_is_the_papers():
    backbone = SpectrogramResNet18()
    assert backbone.feature_dim == 512
    assert backbone.network.state_dict()["conv1.weight"].shape == (64, 1, 7, 7)
    assert (backbone.declared.n_mels, backbone.declared.frames, backbone.declared.sample_rate) == (64, 107, 44100)
    with pytest.raises(InputError, match=r"\[N, 1, 64, F\]"):
        backbone(torch.zeros(1, 1, 107, 64))
    with pytest.raises(ConfigError, match="did you mean 'n_mels'"):
        SpectrogramResNet18(log_mel={"n_mel": 80})


def test_compiles_without_graph_breaks():
    backbone = TimmBackbone("resnet10t", image_size=48, frames=2, model_args=NARROW).eval()
    compiled = torch.compile(backbone, backend="eager", fullgraph=True)
    x = torch.randn(2, 3, 2, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), backbone(x))
