"""HSEmotion's pickled networks: the imported model gives what the original gives, whatever the variant."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn

from affectzoo.cards.bundled import bundled_cards
from affectzoo.config import FramesInput
from affectzoo.errors import CheckpointError
from affectzoo.media.crops import frames_to_tensor
from affectzoo_backbones.importers import hsemotion
from tests.plugins.backbones.importers.networks import efficientnet

EIGHT = ["anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]
SEVEN = [name for name in EIGHT if name != "contempt"]
#: ImageNet's, by which the authors normalise.
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def original(architecture: str = "tf_efficientnet_b0", outputs: int = 10, *, wrapped: bool = True) -> nn.Module:
    """The authors' network; theirs of two tasks wrap the classifier."""
    network = efficientnet(architecture, outputs)
    if wrapped:
        network.classifier = nn.Sequential(network.classifier)
    return network


def shaped(architecture: str, outputs: int, classifier: str) -> dict[str, torch.Tensor]:
    """A state dict of the right names and shapes, all zeros: costs no initialisation."""
    with torch.device("meta"):
        state = timm.create_model(architecture, num_classes=outputs).state_dict()
    return {name.replace("classifier", classifier): torch.zeros(t.shape, dtype=t.dtype) for name, t in state.items()}


@pytest.fixture(scope="module")
def b0() -> nn.Module:
    return original()


@pytest.mark.parametrize(("architecture", "size", "outputs", "wrapped"), [("b0", 224, 10, True), ("b2", 260, 8, False)])
def test_a_pickled_module_gives_what_the_original_gives(tmp_path, architecture, size, outputs, wrapped):
    network = original(f"tf_efficientnet_{architecture}", outputs, wrapped=wrapped)
    torch.save(network, tmp_path / "enet.pt")
    imported = hsemotion.convert(tmp_path / "enet.pt")
    model, declared = imported.model, imported.model.config.streams["visual"].input
    assert isinstance(declared, FramesInput)
    assert (declared.height, declared.width, declared.margin, declared.frames) == (size, size, 0.0, 2)

    crops = np.random.default_rng(0).integers(0, 256, (1, 1, 2, size, size, 3), dtype=np.uint8)
    with torch.inference_mode():
        given = model({"visual": frames_to_tensor(crops, declared)})
        pixels = ((torch.from_numpy(crops[0, 0]) / 255 - MEAN) / STD).permute(0, 3, 1, 2)
        expected = network(pixels).mean(dim=0)  # of two frames
    # Rounding of another memory format and of another order of the normalisation.
    torch.testing.assert_close(given[0, 0], expected, rtol=1e-5, atol=1e-5)
    assert expected.std() > 0.1, "outputs this equal would show no difference"
    assert not model.training


def test_a_state_dict_is_as_good_as_the_module(tmp_path, b0):
    torch.save(b0.state_dict(), tmp_path / "enet.pt")
    model = hsemotion.convert(tmp_path / "enet.pt").model
    network = model.get_submodule("backbones.visual.network").state_dict()
    assert all(torch.equal(tensor, b0.state_dict()[name]) for name, tensor in network.items())
    rows = torch.cat([model.state_dict()[f"head.regressors.{name}.1.weight"] for name in ("expression", "valence", "arousal")])
    assert torch.equal(rows, b0.state_dict()["classifier.0.weight"])


@pytest.mark.parametrize("classifier", ["classifier", "classifier.0"])
@pytest.mark.parametrize(
    ("outputs", "classes", "continuous"),
    [(7, SEVEN, []), (8, EIGHT, []), (9, SEVEN, ["valence", "arousal"]), (10, EIGHT, ["valence", "arousal"])],
)
def test_classes_and_targets_are_told_from_the_shapes(tmp_path, outputs, classes, continuous, classifier):
    architecture = "tf_efficientnet_b2" if outputs == 7 else "tf_efficientnet_b0"
    torch.save(shaped(architecture, outputs, classifier), tmp_path / "enet.pt")
    imported = hsemotion.convert(tmp_path / "enet.pt")
    assert list(imported.model.columns) == [f"expression.{name}" for name in classes] + continuous
    assert imported.model.config.streams["visual"].backbone.name == f"timm/{architecture}"
    ranges = [(target.low, target.high) for target in imported.model.config.targets if target.kind == "continuous"]
    assert ranges == [(-1.0, 1.0)] * len(continuous)
    assert imported.model.config.head.hidden is None


def test_the_published_file_has_the_names_and_shapes_that_are_read(tmp_path, shared):
    published = json.loads((shared / "checkpoints/hsemotion_enet_b0_8_va_mtl.json").read_text())["tensors"]
    torch.save({name: torch.zeros(shape) for name, shape in published.items()}, tmp_path / "enet.pt")
    assert len(hsemotion.convert(tmp_path / "enet.pt").model.columns) == 10


def test_the_saved_model_is_the_imported_one(tmp_path, b0):
    torch.save(b0.state_dict(), tmp_path / "enet.pt")
    model = hsemotion.convert(tmp_path / "enet.pt").model
    model.save_pretrained(tmp_path / "saved")
    again = type(model).from_folder(tmp_path / "saved")
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert again.config.streams["visual"].input == model.config.streams["visual"].input


@pytest.mark.parametrize(
    ("name", "architecture", "outputs"),
    [("hsemotion-b0-va", "b0", 10), ("hsemotion-b0-8", "b0", 8), ("hsemotion-b2-8", "b2", 8)],
)
def test_the_zoos_card_says_what_the_import_gives(tmp_path, name, architecture, outputs):
    torch.save(shaped(f"tf_efficientnet_{architecture}", outputs, "classifier"), tmp_path / "enet.pt")
    imported = hsemotion.convert(tmp_path / "enet.pt")
    front = next(card.front for card in bundled_cards() if card.front.name == name)
    config = imported.model.config
    assert front.importer == "hsemotion"
    assert front.targets == tuple(target.name for target in config.targets)
    assert front.components == {"visual": config.streams["visual"].backbone.name}
    declared = config.streams["visual"].input.to_json()
    assert front.inputs["visual"] == {key: declared[key] for key in front.inputs["visual"]}
    assert front.parameters == imported.model.parameter_count()
    assert front.caution == imported.caution
    imported.model.save_pretrained(tmp_path / "saved")
    assert front.size_mb == round((tmp_path / "saved/model.safetensors").stat().st_size / 1e6, 1)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (lambda: shaped("tf_efficientnet_b0", 1000, "classifier"), "has 1000 outputs; HSEmotion's networks have 7 or 8"),
        (lambda: shaped("tf_efficientnet_b0", 6, "classifier"), "has 6 outputs"),
        (lambda: shaped("mobilenetv3_large_100", 8, "classifier"), "another network"),
        (lambda: shaped("tf_efficientnet_b1", 8, "classifier"), "another network"),
        (lambda: shaped("tf_efficientnet_b3", 8, "classifier"), r"\[8, 1536\].*1280 or 1408 features"),
        (lambda: shaped("resnet10t", 8, "fc"), "no last layer called 'classifier'"),
        (lambda: {"classifier.weight": torch.zeros(1280), "classifier.bias": torch.zeros(8)}, r"weight is \[1280\]"),
        (lambda: {"classifier.weight": torch.zeros(8, 1280), "classifier.bias": torch.zeros(8)}, "is missing"),
        (lambda: {**shaped("tf_efficientnet_b0", 8, "classifier"), "extra": torch.zeros(1)}, "'extra'"),
        (
            lambda: {**shaped("tf_efficientnet_b0", 8, "classifier"), "classifier.bias": torch.zeros(9)},
            r"\[9\], not of 8 outputs",
        ),
    ],
    ids=["imagenet", "six", "mobilenet", "b1", "b3", "resnet", "flat", "head-only", "extra", "bias"],
)
def test_another_network_is_refused_in_one_sentence(tmp_path, state, message):
    torch.save(state(), tmp_path / "enet.pt")
    with pytest.raises(CheckpointError, match=message) as caught:
        hsemotion.convert(tmp_path / "enet.pt")
    assert "\n" not in str(caught.value)


def test_a_network_that_pads_differently_is_refused_though_its_tensors_are_alike(tmp_path):
    network = efficientnet("efficientnet_b0", 8)
    torch.save(network, tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match=r"first convolution is torch\.nn\.modules\.conv\.Conv2d, not Conv2dSame"):
        hsemotion.convert(tmp_path / "net.pt")
    torch.save(nn.DataParallel(network), tmp_path / "parallel.pt")
    with pytest.raises(CheckpointError, match="not Conv2dSame"):
        hsemotion.convert(tmp_path / "parallel.pt")


def test_a_file_cut_short_is_refused(tmp_path, b0):
    torch.save(b0, tmp_path / "whole.pt")
    data = (tmp_path / "whole.pt").read_bytes()
    for share in (0, 0.5, 0.999):
        (tmp_path / "cut.pt").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(CheckpointError, match=r"cut\.pt"):
            hsemotion.convert(tmp_path / "cut.pt")


class Malicious:
    """Pickles to a call that leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def test_nothing_in_a_malicious_pickle_runs(tmp_path, b0):
    trace = tmp_path / "ran"
    state = {**b0.state_dict(), "classifier.0.extra": Malicious(trace)}
    torch.save(state, tmp_path / "enet.pt")
    with pytest.raises(CheckpointError, match="mkdir"):
        hsemotion.convert(tmp_path / "enet.pt")
    assert not trace.exists()
