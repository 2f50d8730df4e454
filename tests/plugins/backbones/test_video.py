"""torchvision's video networks and I3D."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from torchvision.models import get_model, get_model_weights

from affectzoo.errors import ConfigError, DownloadError
from affectzoo_backbones.i3d import I3D, Pool, pad_same
from affectzoo_backbones.video import KINETICS_MEAN, KINETICS_STD, MC318, R3D18, R2Plus1D18

TEST_DATA = Path(os.environ.get("AFFECTZOO_TEST_DATA", Path(__file__).parents[3].parent / "shared"))


@pytest.mark.parametrize("family", [R2Plus1D18, R3D18, MC318])
def test_declaration_is_that_of_the_public_weights(family):
    preset = get_model_weights(family.architecture)["DEFAULT"].transforms()
    declared = family().declared
    assert [declared.height, declared.width] == preset.crop_size == [112, 112]
    assert (list(declared.mean), list(declared.std)) == (preset.mean, preset.std)
    assert (declared.mean, declared.std) == (KINETICS_MEAN, KINETICS_STD)


def test_kinetics_weights_are_loaded_whole_and_not_again(monkeypatch):
    torch.manual_seed(1)
    source = get_model("r3d_18", weights=None).state_dict()
    monkeypatch.setattr(
        torch.hub, "load_state_dict_from_url", lambda *_, **options: source if options["weights_only"] else None
    )
    backbone = R3D18(pretrained=True)
    assert all(torch.equal(value, source[name]) for name, value in backbone.network.state_dict().items())
    assert backbone.saved_config is not None
    assert backbone.saved_config["pretrained"] is False


def test_unreachable_kinetics_weights_are_one_sentence(monkeypatch):
    def offline(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    with pytest.raises(DownloadError, match="Kinetics-400 weights of mc3_18 cannot be fetched"):
        MC318(pretrained=True)


@pytest.mark.parametrize("family", [R3D18, I3D])
def test_sizes_out_of_range(family):
    with pytest.raises(ConfigError, match="frames"):
        family(frames=0)


def test_torchvision_equals_the_wrapped_network():
    backbone = MC318().eval()
    reference = torchvision.models.video.mc3_18(weights=None)
    reference.fc = torch.nn.Identity()
    reference.load_state_dict(backbone.network.state_dict())
    x = torch.randn(1, 3, 4, 32, 32)
    with torch.no_grad():
        assert torch.equal(backbone(x), reference.eval()(x))


def test_i3d_has_the_public_checkpoints_tensors():
    listing = TEST_DATA / "checkpoints" / "i3d_rgb_imagenet.json"
    if not listing.is_file():
        pytest.skip("shared data absent")
    public = {name: tuple(shape) for name, shape in json.loads(listing.read_text())["tensors"].items()}
    ours = {name: tuple(value.shape) for name, value in I3D().state_dict().items()}
    assert ours == {name: shape for name, shape in public.items() if not name.startswith("logits.")}


def test_i3d_size_and_numbers():
    backbone = I3D()
    assert sum(p.numel() for p in backbone.parameters()) == 12_287_264
    assert {(m.eps, m.momentum) for m in backbone.modules() if isinstance(m, torch.nn.BatchNorm3d)} == {(0.001, 0.01)}
    assert (backbone.declared.height, backbone.declared.mean, backbone.declared.std) == (224, (0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize(("frames", "size"), [(1, 32), (7, 65), (16, 48)])
def test_i3d_takes_any_length_and_size(frames, size):
    with torch.no_grad():
        assert I3D().eval()(torch.randn(1, 3, frames, size, size)).shape == (1, 1024)


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 2), (3, 1), (2, 2), (1, 1)])
def test_same_padding_is_tensorflows(size, kernel, stride):
    x = torch.ones(1, 1, size, size, size)
    padded = pad_same(x, (kernel,) * 3, (stride,) * 3)
    steps = (padded.shape[-1] - kernel) // stride + 1
    assert steps == -(-size // stride)
    # The line through the middle of the cube: zeros, `size` ones, zeros, at most one zero more at the end.
    line = padded.amax(dim=(0, 1, 2, 3))
    before = int(line.argmax())
    assert line.tolist() == [0.0] * before + [1.0] * size + [0.0] * (len(line) - before - size)
    assert 0 <= len(line) - size - 2 * before <= 1


def test_pooling_pads_at_the_end_first():
    pooled = Pool((1, 1, 3), (1, 1, 2))(torch.tensor([1.0, 5.0, 2.0, 7.0]).view(1, 1, 1, 1, 4))
    assert pooled.flatten().tolist() == [5.0, 7.0]
