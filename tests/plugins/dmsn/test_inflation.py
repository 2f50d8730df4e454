"""Starting from other weights: what is taken, where it lands, and what is said when nothing can be taken."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

import affectzoo
from affectzoo.errors import AffectzooError, CheckpointError, ConfigError, DownloadError, UnknownNameError
from affectzoo_dmsn.inflate import InitReport, inflate
from affectzoo_dmsn.layers import Branches

FULL = {"block": "basic3d", "layers": [2, 2, 2, 2], "frames": 4, "image_size": 32}


@pytest.fixture(scope="module")
def flat() -> dict[str, nn.Module]:
    """Random 2D ResNets whose batch norm is not the identity."""
    torch.manual_seed(3)
    found = {name: timm.create_model(name, num_classes=5).eval() for name in ("resnet18", "resnet34", "resnet50")}
    for network in found.values():
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                nn.init.normal_(part.running_mean, std=0.1)
                nn.init.uniform_(part.running_var, 0.5, 2)
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias, std=0.1)
    return found


@pytest.fixture
def saved(flat, tmp_path):
    """A function: name of a 2D ResNet -> its weights in a file."""

    def save(name: str) -> str:
        path = tmp_path / f"{name}.safetensors"
        save_file(flat[name].state_dict(), path)
        return str(path)

    return save


def middle(kernel: torch.Tensor, size: int) -> torch.Tensor:
    time, height, width = (n // 2 for n in kernel.shape[2:])
    half = size // 2
    return kernel[:, :, time, height - half : height + half + 1, width - half : width + half + 1]


def holds_only(kernel: torch.Tensor, values: torch.Tensor) -> bool:
    """Whether `values` stand in the middle of `kernel`, and nothing but zeros around them."""
    return torch.equal(middle(kernel, values.shape[-1]), values) and torch.count_nonzero(kernel) == torch.count_nonzero(values)


def test_a_resnet18_fills_every_layer_of_the_3d_network_of_its_shape(saved, flat):
    network = affectzoo.create_backbone("dmsn", **FULL, init=saved("resnet18"))
    report = network.init_report
    assert isinstance(report, InitReport)
    assert (len(report.whole), len(report.share), len(report.left)) == (20, 0, 0)
    assert report.parameters == report.of == sum(p.numel() for p in network.parameters())
    assert report.unused == ("fc.weight",)
    assert (
        str(report)
        == f"from {report.source}: 100% of the weights; 20 layers whole; 0 keep their random start; not used: fc.weight"
    )
    source = flat["resnet18"].state_dict()
    assert holds_only(network.stem[0][0].weight, source["conv1.weight"])
    assert holds_only(network.stages[1][0].body[0][0].weight, source["layer2.0.conv1.weight"])
    assert holds_only(network.stages[1][0].shortcut[0].weight, source["layer2.0.downsample.0.weight"])
    norm = network.stages[1][0].shortcut[1]
    for part in ("weight", "bias", "running_mean", "running_var"):
        assert torch.equal(getattr(norm, part), source[f"layer2.0.downsample.1.{part}"])


def test_a_still_video_gives_what_the_2d_network_gives_for_the_image(saved, flat):
    network = affectzoo.create_backbone("dmsn", **{**FULL, "image_size": 64}, init=saved("resnet18")).eval()
    image = torch.randn(2, 3, 64, 64)
    reference = flat["resnet18"]
    with torch.no_grad():
        expected = reference.forward_head(reference.forward_features(image), pre_logits=True)
        torch.testing.assert_close(network(image.unsqueeze(2).repeat(1, 1, 4, 1, 1)), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("kernel", "size"), [((3, 3, 3), 3), ((1, 5, 5), 3), ((1, 7, 7), 3), ((3, 1, 1), 1), ((7, 7, 7), 7)])
@pytest.mark.parametrize("stride", [1, 2])
def test_an_inflated_layer_computes_what_the_2d_layer_computes_frame_by_frame(flat, kernel, size, stride):
    names = {1: "layer1.0.conv1", 3: "layer1.0.conv2", 7: "conv1"}
    weight = flat["resnet50"].state_dict()[f"{names[size]}.weight"]
    place = "stem" if size == 7 else "stage"
    layer = nn.Conv3d(weight.shape[1], weight.shape[0], kernel, (1, stride, stride), [n // 2 for n in kernel], bias=False)
    network = nn.Module()
    block = Holder(nn.Sequential(layer, nn.BatchNorm3d(weight.shape[0])))
    network.stem = block.body if place == "stem" else nn.Sequential()
    network.stages = nn.ModuleList([] if place == "stem" else [nn.Sequential(block)])
    report = inflate(network, flat["resnet50"].state_dict(), "test")
    assert len(report.whole) == 1
    video = torch.randn(1, weight.shape[1], 4, 9, 9)
    with torch.no_grad():
        expected = [nn.functional.conv2d(video[:, :, t], weight, stride=stride, padding=size // 2) for t in range(4)]
        torch.testing.assert_close(layer(video), torch.stack(expected, dim=2), atol=1e-5, rtol=1e-5)


class Holder(affectzoo.Block):
    """A block around a given body."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


def test_branches_divide_the_filters_of_a_layer_while_they_last(saved, flat):
    network = affectzoo.create_backbone("dmsn-c-50", frames=4, image_size=32, init=saved("resnet50"))
    report = network.init_report
    source = flat["resnet50"].state_dict()
    for stage, depth in ((0, 3), (1, 4)):
        for number in range(depth):
            kernel = source[f"layer{stage + 1}.{number}.conv2.weight"]
            half = kernel.shape[0] // 2
            first, second, third = next(p for p in network.stages[stage][number].modules() if isinstance(p, Branches))
            name = f"stages.{stage}.{number}.body.1"
            assert holds_only(first[0].weight, kernel[:half])
            assert holds_only(second[0].weight, kernel[half:])
            assert torch.count_nonzero(third[0].weight) == third[0].weight.numel(), "nothing is left for the third branch"
            assert torch.equal(second[1].bias, source[f"layer{stage + 1}.{number}.bn2.bias"][half:])
            assert {f"{name}.0.0", f"{name}.1.0"} <= set(report.share)
            assert f"{name}.2.0" in report.left
    assert len(report.share) == 2 * (3 + 4)
    for number in range(6):  # single-scale stages take the layer whole
        single = next(p for p in network.stages[2][number].modules() if isinstance(p, Branches))[0][0]
        assert holds_only(single.weight, source[f"layer3.{number}.conv2.weight"])
    assert "stem.0.0" in report.whole
    layers = sum(isinstance(part, nn.Conv3d) for part in network.modules())
    assert len(report.whole) + len(report.share) + len(report.left) == layers
    text = str(report)
    assert "14 from a share of a layer's filters" in text
    assert f"{len(report.left)} keep their random start (stages.0.0." in text
    assert "\n" not in text


def test_the_report_is_true_of_every_layer(saved):
    for block in ("dmsn-a", "dmsn-b", "dmsn-c", "msn", "r2plus1d"):
        torch.manual_seed(5)
        plain = affectzoo.create_backbone("dmsn", **{**FULL, "block": block})
        torch.manual_seed(5)
        network = affectzoo.create_backbone("dmsn", **{**FULL, "block": block}, init=saved("resnet34"))
        before, after, report = plain.state_dict(), network.state_dict(), network.init_report
        for layer in report.left:
            assert torch.equal(before[f"{layer}.weight"], after[f"{layer}.weight"]), layer
        for layer in (*report.whole, *report.share):
            assert not torch.equal(before[f"{layer}.weight"], after[f"{layer}.weight"]), layer
        taken = sum(
            after[f"{layer}.weight"].numel() + 2 * len(after[f"{layer}.weight"]) for layer in (*report.whole, *report.share)
        )
        assert report.parameters == taken
        assert 0 < report.parameters < report.of == sum(p.numel() for p in network.parameters())


def test_a_shortcut_takes_a_shortcut_and_nothing_else_does(flat):
    one = {"layers": [1], "widths": [64], "downsample_stages": [], "frames": 2, "image_size": 16}
    report = inflate(affectzoo.create_backbone("dmsn", block="msn", **one), flat["resnet50"].state_dict(), "test")
    assert "stages.0.0.shortcut.0" in report.left  # layer1.0.conv1 has its shape
    shortcut = {name: tensor for name, tensor in flat["resnet18"].state_dict().items() if "downsample" in name}
    two = {**one, "layers": [1, 1], "widths": [64, 128]}
    report = inflate(affectzoo.create_backbone("dmsn", block="basic3d", **two), shortcut, "test")
    assert report.whole == ("stages.1.0.shortcut.0",)
    with pytest.raises(CheckpointError, match="nothing in test fits"):
        inflate(affectzoo.create_backbone("dmsn", block="dmsn-c", **one), shortcut, "test")


def test_weights_without_batch_norm_are_taken_and_not_counted_as_more(flat):
    kernels = {name: tensor for name, tensor in flat["resnet18"].state_dict().items() if tensor.ndim == 4}
    network = affectzoo.create_backbone("dmsn", **FULL)
    report = inflate(network, kernels, "test")
    assert len(report.whole) == 20
    assert report.parameters == sum(
        tensor.numel() * (7 if tensor.shape[-1] == 7 else 3 if tensor.shape[-1] == 3 else 1) for tensor in kernels.values()
    )


def test_half_precision_weights_do_not_change_the_networks_type(flat):
    network = affectzoo.create_backbone("dmsn", **FULL)
    inflate(network, {name: tensor.half() for name, tensor in flat["resnet18"].state_dict().items()}, "test")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_a_reloaded_model_never_looks_for_its_first_weights(saved, tmp_path):
    source = saved("resnet18")
    model = affectzoo.create_model(visual={"name": "dmsn", "config": {**FULL, "init": source}}, sequence={"length": 1})
    assert model.backbones["visual"].component.config["init"] is None
    folder = model.save_pretrained(tmp_path / "model")
    Path(source).unlink()
    again = affectzoo.load(folder)
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    assert again.backbones["visual"].init_report is None
    preset = affectzoo.create_backbone("dmsn-c-50", frames=4, image_size=32, init=saved("resnet50"))
    assert preset.component.config["init"] is None


def identity_model(tiny, folder, **more):
    """A backbone trained on face identity, as far as its shape goes."""
    people = {"name": "identity", "kind": "categorical", "classes": ["anna", "ben", "cleo"]}
    model = affectzoo.create_model(
        visual={"name": "dmsn", "config": {**tiny, **more}}, targets=[people], sequence={"length": 2}, head={"pool": "mean"}
    )
    model.train()({"visual": torch.randn(2, 2, 3, 4, 16, 16)})  # moves the running statistics
    model.save_pretrained(folder)
    return model.eval()


def test_the_backbone_of_an_identity_model_is_taken_whole(tiny, tmp_path):
    source = identity_model(tiny, tmp_path / "identity")
    network = affectzoo.create_backbone("dmsn", **tiny, init=str(tmp_path / "identity")).eval()
    for name, tensor in source.backbones["visual"].state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor), name
    report = network.init_report
    assert (report.left, report.unused, report.share) == ((), (), ())
    assert report.parameters == report.of
    assert "100% of the weights" in str(report)
    x = torch.randn(1, 3, 4, 16, 16)
    with torch.no_grad():
        assert torch.equal(network(x), source.backbones["visual"](x))
    assert network.component.config["init"] is None


def test_a_backbone_that_fits_in_part_says_what_stays_random(tiny, tmp_path):
    identity_model(tiny, tmp_path / "identity")
    report = affectzoo.create_backbone("dmsn", **{**tiny, "widths": [8, 24]}, init=str(tmp_path / "identity")).init_report
    assert "stem.0.0" in report.whole
    assert all(name.startswith("stages.1.") for name in report.left)
    assert report.left
    assert 0 < report.parameters < report.of


def refusal(init: object, error: type[AffectzooError], **config) -> str:
    with pytest.raises(error) as caught:
        affectzoo.create_backbone("dmsn", **{**FULL, **config, "init": init})
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "Error:" not in sentence
    assert ".." not in sentence
    assert sentence.startswith("init")
    return sentence


def test_a_source_that_fits_nothing(tmp_path, saved, tiny):
    path = tmp_path / "other.safetensors"
    save_file({"encoder.weight": torch.zeros(3, 3)}, path)
    assert f"nothing in {path} fits this network" in refusal(str(path), CheckpointError)
    save_file({}, path)
    assert "nothing in" in refusal(str(path), CheckpointError)
    narrow = {"widths": [32, 64, 128, 224], "stem_width": 32}
    assert "64, 128, 256, 512" in refusal(saved("resnet18"), CheckpointError, **narrow)
    identity_model(tiny, tmp_path / "identity")
    assert "nothing in the visual backbone of" in refusal(str(tmp_path / "identity"), CheckpointError)


def test_a_model_that_does_not_see(tmp_path):
    audio = {"name": "spectrogram/resnet10t", "config": {"model_args": {"channels": [8, 16, 24, 32]}}}
    affectzoo.create_model(audio=audio).save_pretrained(tmp_path / "model")
    assert "has no visual backbone; it has audio" in refusal(str(tmp_path / "model"), CheckpointError)


def test_files_that_are_none(tmp_path):
    assert "there is no file" in refusal(str(tmp_path / "none.safetensors"), CheckpointError)
    (tmp_path / "folder.safetensors").mkdir()
    assert "there is no file" in refusal(str(tmp_path / "folder.safetensors"), CheckpointError)
    for content in (b"not weights at all, but text", b"", b"\x80\x04K\x01."):
        (tmp_path / "text.safetensors").write_bytes(content)
        assert "text.safetensors is not a safetensors file" in refusal(str(tmp_path / "text.safetensors"), CheckpointError)


@pytest.mark.parametrize("init", ["", 3, True, ["timm/resnet18"]])
def test_an_init_that_names_nothing(init):
    assert "init must name weights: timm/NAME, a .safetensors file, or a model; not" in refusal(init, ConfigError)


def test_a_model_that_is_not_there(tmp_path):
    assert "no model is called 'nowhere'" in refusal("nowhere", UnknownNameError)
    (tmp_path / "empty").mkdir()
    assert "holds no config.json" in refusal(str(tmp_path / "empty"), CheckpointError)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("resnet51", "did you mean .*resnet50"),
        ("resnet18.a9_in1k", r"did you mean .*resnet18\.a1_in1k"),
        ("", "such as timm/resnet50"),
        ("hf-hub:somebody/model", "such as timm/resnet50"),
        ("../resnet18", "did you mean resnet18"),
    ],
)
def test_a_name_that_timm_does_not_have(name, says):
    with pytest.raises(ConfigError, match=f"^init: timm has no model .*{says}"):
        affectzoo.create_backbone("dmsn", **FULL, init=f"timm/{name}")


def test_weights_of_timm_that_cannot_be_fetched_are_one_sentence_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    began = time.monotonic()
    sentence = refusal("timm/resnet18", DownloadError)
    assert "the weights of timm/resnet18 cannot be fetched: " in sentence
    assert "give a .safetensors file" in sentence
    assert time.monotonic() - began < 30


def test_weights_of_timm_are_inflated(flat, monkeypatch):
    monkeypatch.setattr(timm, "create_model", lambda name, *, pretrained: flat[name] if pretrained else None)
    report = affectzoo.create_backbone("dmsn", **FULL, init="timm/resnet18").init_report
    assert report.source == "timm/resnet18"
    assert not report.left
