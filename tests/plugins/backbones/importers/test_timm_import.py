"""timm's classifiers as models of faces: the same logits, the saved preprocessing, and no network half imported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import save_for_hf
from torch import nn

from affectzoo.config import FramesInput
from affectzoo.errors import AffectzooError, CheckpointError, ConfigError, UnknownNameError
from affectzoo_backbones.importers import timm_import
from tests.plugins.backbones.efficientnets import LITE0, published_names

NARROW = {"channels": [8, 16, 24, 32]}
LABELS = ["angry", "calm", "glad"]


def folder(path: Path, config: dict[str, Any], state: dict[str, torch.Tensor] | None = None) -> Path:
    """A folder in timm's layout."""
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    if state is not None:
        save_file(state, path / "model.safetensors")
    return path


def narrow(classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("resnet10t", num_classes=classes, **NARROW).eval()


def config_of(**changed: Any) -> dict[str, Any]:
    preprocessing = {"input_size": [3, 48, 48], "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}
    return {
        "architecture": "resnet10t",
        "num_classes": 3,
        "label_names": LABELS,
        "model_args": NARROW,
        "pretrained_cfg": preprocessing,
        **changed,
    }


def check_same(network: nn.Module, model: Any) -> None:
    """The model gives the network's logits on one image."""
    declared = model.config.streams["visual"].input
    assert isinstance(declared, FramesInput)
    image = torch.randn(2, 3, declared.height, declared.width, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        # [B, L, 3, T, H, W]: one window of one step for each image
        given, expected = model({"visual": image[:, None, :, None]})[:, 0], network(image)
    torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-5)  # rounding of another memory format


def test_a_folder_in_timms_layout(tmp_path):
    network = narrow()
    imported = timm_import.convert(folder(tmp_path / "net", config_of(), network.state_dict()))
    check_same(network, imported.model)
    declared = imported.model.config.streams["visual"].input
    assert (declared.height, declared.width, declared.mean, declared.std) == (48, 48, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    assert imported.model.columns == ("class.angry", "class.calm", "class.glad")
    assert not imported.model.training


def test_what_timm_itself_saves_is_read(tmp_path):
    torch.manual_seed(0)
    network = timm.create_model("test_vit", num_classes=3).eval()
    save_for_hf(network, tmp_path / "net", model_config={"label_names": LABELS})
    imported = timm_import.convert(tmp_path / "net", target="mood")
    check_same(network, imported.model)
    assert imported.model.columns == ("mood.angry", "mood.calm", "mood.glad")


def test_an_efficientnet_by_the_names_of_efficientnet_pytorch(tmp_path):
    torch.manual_seed(0)
    network = timm.create_model("tf_efficientnet_lite0", num_classes=3).eval()
    state = dict(zip(published_names(LITE0), network.state_dict().values(), strict=True))
    torch.save(state, tmp_path / "lite0.pth")
    imported = timm_import.convert(tmp_path / "lite0.pth", architecture="tf_efficientnet_lite0")
    check_same(network, imported.model)


def test_a_network_of_a_fixed_size_keeps_the_size_it_was_trained_at(tmp_path):
    torch.manual_seed(0)
    network = timm.create_model("test_vit", num_classes=3, img_size=96).eval()
    save_for_hf(network, tmp_path / "net")
    imported = timm_import.convert(tmp_path / "net")
    assert imported.model.config.streams["visual"].input.height == 96
    check_same(network, imported.model)


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("mobilenetv3_small_050", {}),
        ("convnext_atto", {"depths": [1, 1, 1, 1], "dims": [8, 16, 24, 32]}),
        ("regnety_002", {}),
        ("test_resnet", {}),
        ("test_mambaout", {}),
        ("ghostnet_050", {}),
    ],
)
def test_families_give_what_timm_gives(tmp_path, architecture, arguments):
    torch.manual_seed(0)
    network = timm.create_model(architecture, num_classes=4, **arguments).eval()
    config = {"architecture": architecture, "model_args": arguments, "pretrained_cfg": {"input_size": [3, 64, 64]}}
    check_same(network, timm_import.convert(folder(tmp_path / "net", config, network.state_dict())).model)


def test_a_bare_file_needs_the_networks_name(tmp_path):
    torch.manual_seed(0)
    network = timm.create_model("test_resnet", num_classes=5).eval()
    torch.save({"state_dict": network.state_dict(), "epoch": 3}, tmp_path / "net.pth")
    with pytest.raises(ConfigError, match="architecture=NAME"):
        timm_import.convert(tmp_path / "net.pth")
    imported = timm_import.convert(tmp_path / "net.pth", architecture="test_resnet")
    check_same(network, imported.model)
    assert imported.model.columns == tuple(f"class.{i}" for i in range(5))
    assert any("called 0 to 4" in note for note in imported.notes)
    assert any("Normalisation was not saved" in note for note in imported.notes)


def test_safetensors_are_preferred_to_a_pickle(tmp_path):
    network = narrow()
    path = folder(tmp_path / "net", config_of(), network.state_dict())
    (path / "pytorch_model.bin").write_bytes(b"never opened")
    check_same(network, timm_import.convert(path).model)
    (path / "model.safetensors").unlink()
    torch.save(network.state_dict(), path / "pytorch_model.bin")
    check_same(network, timm_import.convert(path).model)
    assert timm_import.convert.files == ("config.json", "model.safetensors", "pytorch_model.bin")


def test_the_layout_of_before_timm_09_is_read(tmp_path):
    old = {"architecture": "resnet10t", "num_classes": 3, "labels": LABELS, "input_size": [3, 40, 40], "mean": [0.1] * 3}
    network = timm.create_model("resnet10t", num_classes=3).eval()
    model = timm_import.convert(folder(tmp_path / "net", old, network.state_dict())).model
    assert model.columns[0] == "class.angry"
    assert (model.config.streams["visual"].input.height, model.config.streams["visual"].input.mean) == (40, (0.1, 0.1, 0.1))


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        ({"0": "a", "1": "b", "2": "c"}, ("class.a", "class.b", "class.c")),
        ({"0": "a", "7": "b", "9": "c"}, ("class.0", "class.1", "class.2")),
        (["a", "b"], ("class.0", "class.1", "class.2")),
        ("imagenet-1k", ("class.0", "class.1", "class.2")),
    ],
)
def test_names_are_taken_only_where_each_class_has_one(tmp_path, names, columns):
    path = folder(tmp_path / "net", config_of(label_names=names), narrow().state_dict())
    imported = timm_import.convert(path)
    assert imported.model.columns == columns
    assert any("No names" in note for note in imported.notes) == (columns[0] == "class.0")


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"architecture": "resnet10"}, UnknownNameError, "did you mean"),
        ({"architecture": "hf-hub:somebody/net"}, UnknownNameError, "no model called"),
        ({"architecture": "resnet18", "model_args": {}}, CheckpointError, "another network"),
        ({"num_classes": 8}, CheckpointError, "3 outputs, but its config.json says num_classes 8"),
        ({"model_args": {"chanels": [8]}}, ConfigError, "chanels"),
        ({"model_args": {"checkpoint_path": "x.pth"}}, ConfigError, "may not hold checkpoint_path"),
        ({"model_args": {**NARROW, "in_chans": 1}}, CheckpointError, "takes 1 channels"),
        ({"pretrained_cfg": {"input_size": [3, 48, 64]}}, CheckpointError, "48 x 64 images; face crops are square"),
        ({"model_args": {**NARROW, "img_size": {"height": 48}}}, ConfigError, "for the size of images"),
        ({"pretrained_cfg": {"input_size": [3, 10**9, 10**9]}}, ConfigError, "for the size of images"),
        ({"pretrained_cfg": {"input_size": "48"}}, ConfigError, "input_size"),
        ({"pretrained_cfg": {"mean": [0.5]}}, ConfigError, "mean"),
        ({"label_names": ["a", "a", "b"]}, ConfigError, "each named once"),
    ],
)
def test_a_config_that_does_not_fit_is_one_sentence(tmp_path, changed, error, message):
    path = folder(tmp_path / "net", config_of(**changed), narrow().state_dict())
    with pytest.raises(error, match=message) as caught:
        timm_import.convert(path)
    assert isinstance(caught.value, AffectzooError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"num_classes": 3}'])
def test_a_damaged_config_is_one_sentence(tmp_path, text):
    path = folder(tmp_path / "net", {}, narrow().state_dict())
    (path / "config.json").write_text(text)
    with pytest.raises(AffectzooError, match=r"config\.json") as caught:
        timm_import.convert(path)
    assert len(str(caught.value)) < 500


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds neither model\.safetensors nor pytorch_model\.bin"):
        timm_import.convert(folder(tmp_path / "weightless", config_of()))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read: No such file"):
        timm_import.convert(tmp_path / "empty")
    state = narrow().state_dict()
    del state["layer2.0.conv1.weight"]
    with pytest.raises(CheckpointError, match=r"'layer2\.0\.conv1\.weight' is missing"):
        timm_import.convert(folder(tmp_path / "gap", config_of(), state))
    headless = timm.create_model("resnet10t", num_classes=0, **NARROW).state_dict()
    with pytest.raises(CheckpointError, match=r"no classifier 'fc\.weight'"):
        timm_import.convert(folder(tmp_path / "headless", config_of(), headless))
    with pytest.raises(CheckpointError, match="at least two"):
        timm_import.convert(folder(tmp_path / "single", config_of(num_classes=1), narrow(1).state_dict()))
    with pytest.raises(ConfigError, match="is a resnet10t, not a resnet18"):
        timm_import.convert(folder(tmp_path / "other", config_of(), narrow().state_dict()), architecture="resnet18")


def test_a_network_of_two_classifiers_is_refused(tmp_path):
    network = timm.create_model("deit_tiny_distilled_patch16_224", num_classes=3)
    torch.save(network.state_dict(), tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match="cannot be split off"):
        timm_import.convert(tmp_path / "net.pth", architecture="deit_tiny_distilled_patch16_224")


def test_a_network_that_does_more_than_classify_is_refused(tmp_path, monkeypatch):
    class Squashed(type(narrow())):
        def forward_head(self, x, pre_logits=False):
            return super().forward_head(x, pre_logits).tanh() * 2

    monkeypatch.setattr("timm.models.resnet.ResNet", Squashed)
    with pytest.raises(CheckpointError, match="cannot be split off"):
        timm_import.convert(folder(tmp_path / "net", config_of(), narrow().state_dict()))
