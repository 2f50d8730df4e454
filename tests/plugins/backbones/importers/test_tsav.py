"""`tsav-abaw2020`: the original network, rebuilt here from torchvision, gives the same numbers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.models.video import r2plus1d_18

import affectzoo
from affectzoo.errors import CheckpointError, ConfigError, InputError
from affectzoo_backbones.importers.tsav import convert
from affectzoo_backbones.video import R2Plus1D18

#: Of each channel, RGB and the drawing.
MEAN = torch.tensor([0.43216, 0.394666, 0.37645, 0.5]).view(1, 4, 1, 1, 1)
STD = torch.tensor([0.22803, 0.22145, 0.216989, 0.225]).view(1, 4, 1, 1, 1)
UNITS = ("au1", "au2", "au4", "au6", "au12", "au15", "au20", "au25")
EXPRESSIONS = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise")


class Original(nn.Module):
    """torchvision's networks side by side, audio first; 17 outputs: 7 expressions, valence, arousal, 8 action units."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_model = nn.ModuleDict({"resnet": resnet18(weights=None)})
        self.video_model = nn.ModuleDict({"r2plus1d": r2plus1d_18(weights=None)})
        self.audio, self.video = self.audio_model["resnet"], self.video_model["r2plus1d"]
        self.audio.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
        self.video.stem[0] = nn.Conv3d(  # pyright: ignore[reportIndexIssue, reportArgumentType]
            4, 45, (1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False
        )
        self.audio.fc = self.video.fc = nn.Identity()
        self.fc = nn.Sequential(nn.Dropout(0.0), nn.Linear(1024, 17))

    def forward(self, audio: Tensor, clip: Tensor) -> Tensor:
        return self.fc(torch.cat([self.audio(audio), self.video(clip)], dim=1))

    def tensors(self) -> dict[str, Tensor]:
        return {name: t for name, t in self.state_dict().items() if not name.startswith(("audio.", "video."))}


@pytest.fixture(scope="module")
def original() -> Original:
    torch.manual_seed(4)
    network = Original()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            # Statistics that a network has which has seen something.
            module.running_mean.normal_(0.0, 0.1)  # pyright: ignore[reportOptionalMemberAccess]
            module.running_var.uniform_(0.5, 1.5)  # pyright: ignore[reportOptionalMemberAccess]
    return network.eval()


@pytest.fixture(scope="module")
def checkpoint(original, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tsav") / "TSAV_Sub4_544k.pth.tar"
    torch.save({"state_dict": original.tensors()}, path)
    return path


@pytest.fixture(scope="module")
def imported(checkpoint) -> affectzoo.Imported:
    return convert(checkpoint)


def test_all_seventeen_outputs_are_the_originals(original, imported):
    generator = torch.Generator().manual_seed(5)
    clip = torch.rand(2, 3, 4, 48, 48, generator=generator)
    black = torch.zeros(2, 1, 4, 48, 48)
    audio = torch.randn(2, 1, 64, 161, generator=generator)
    with torch.no_grad():
        expected = original(audio, (torch.cat([clip, black], dim=1) - MEAN) / STD)
        visual = (clip - MEAN[:, :3]) / STD[:, :3]
        ours = imported.model({"visual": visual.unsqueeze(1), "audio": audio.unsqueeze(1)}).squeeze(1)
    got = dict(zip(imported.model.columns, ours.unbind(dim=1), strict=True))
    assert len(got) == 2 + 7 + 16
    names = [*(f"expression.{e}" for e in EXPRESSIONS), "valence", "arousal", *(f"{u}.present" for u in UNITS)]
    # Single precision, in another order of sums.
    torch.testing.assert_close(torch.stack([got[name] for name in names], dim=1), expected, atol=1e-5, rtol=1e-5)
    assert expected.std(dim=0).min() > 1e-5  # the inputs matter
    for place, unit in enumerate(UNITS):
        both = torch.stack([got[f"{unit}.absent"], got[f"{unit}.present"]], dim=1)
        torch.testing.assert_close(both.softmax(dim=1)[:, 1], expected[:, 9 + place].sigmoid(), atol=1e-5, rtol=0)


def test_a_drawing_that_is_given_is_used(original, imported):
    clip = torch.rand(1, 4, 4, 48, 48, generator=torch.Generator().manual_seed(6))
    x = (clip - MEAN) / STD
    with torch.no_grad():
        drawn = imported.model.backbones["visual"](x)
        torch.testing.assert_close(drawn, original.video(x), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(drawn, imported.model.backbones["visual"](x[:, :3]), atol=1e-3)


def test_it_says_what_it_is_fed(imported):
    config = imported.model.config
    visual, audio = config.streams["visual"].input, config.streams["audio"].input
    assert isinstance(visual, affectzoo.FramesInput)
    assert isinstance(audio, affectzoo.LogMelInput)
    assert (visual.frames, visual.height, visual.width) == (8, 112, 112)
    torch.testing.assert_close(torch.tensor([visual.mean, visual.std]), torch.stack([MEAN, STD]).view(2, 4)[:, :3])
    assert (audio.sample_rate, audio.win_length, audio.hop_length, audio.n_fft, audio.n_mels) == (44100, 882, 441, 1024, 64)
    assert (audio.mean, audio.std) == (-14.8, 19.895)
    # As many columns as a sub-sequence fills: none of padding, none cut off.
    assert audio.frames == round(config.sequence.seconds * audio.sample_rate) // audio.hop_length + 1
    assert config.sequence.seconds / visual.frames == pytest.approx(6 / 30)
    assert "landmarks" in imported.notes[0]
    assert imported.caution


def test_it_takes_exactly_the_public_checkpoints_tensors(shared, tmp_path):
    listing = json.loads((shared / "checkpoints" / "tsav_abaw2020.json").read_text())["tensors"]
    tensors = {name: torch.zeros(shape, dtype=torch.float32 if shape else torch.int64) for name, shape in listing.items()}
    torch.save({"state_dict": tensors}, tmp_path / "public.pth.tar")
    model = convert(tmp_path / "public.pth.tar").model
    assert sum(p.numel() for p in model.backbones.parameters()) == sum(
        t.numel() for n, t in tensors.items() if not n.startswith("fc.") and "running" not in n and t.ndim
    )


@pytest.mark.parametrize(
    ("drop", "add", "says"),
    [
        ("fc.1.", None, r"no tensor called 'fc\.1\.'"),
        ("audio_model.", None, r"no tensor called 'audio_model\.resnet\.'"),
        ("video_model.r2plus1d.layer3.0.conv1.0.0.weight", None, r"'layer3\.0\.conv1\.0\.0\.weight' is missing"),
        (None, ("logits.weight", (3, 3)), r"holds 'logits\.weight'"),
        (None, ("fc.1.weight", (18, 1024)), r"is \[18, 1024\] and \[17\]"),
        (None, ("video_model.r2plus1d.stem.0.weight", (45, 3, 1, 7, 7)), r"'stem\.0\.weight' has shape \[45, 3, 1, 7, 7\]"),
    ],
)
def test_another_network(original, tmp_path, drop, add, says):
    tensors = {name: t for name, t in original.tensors().items() if drop is None or not name.startswith(drop)}
    if add is not None:
        tensors[add[0]] = torch.zeros(add[1])
    torch.save({"state_dict": tensors}, tmp_path / "other.pth.tar")
    with pytest.raises(CheckpointError, match=says) as caught:
        convert(tmp_path / "other.pth.tar")
    assert "other.pth.tar" in str(caught.value)


def test_a_truncated_file(checkpoint, tmp_path):
    path = tmp_path / "short.pth.tar"
    path.write_bytes(checkpoint.read_bytes()[: 2**20])
    with pytest.raises(CheckpointError, match="short"):
        convert(path)


def test_no_such_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"absent\.pth\.tar"):
        convert(tmp_path / "absent.pth.tar")


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "run"),)

    torch.save({"state_dict": {"fc.1.weight": Evil()}}, tmp_path / "evil.pth.tar")
    with pytest.raises(CheckpointError, match="evil"):
        convert(tmp_path / "evil.pth.tar")
    assert not (tmp_path / "run").exists()


def test_a_fourth_channel_of_zeros_is_the_network_without_it():
    torch.manual_seed(7)
    four = R2Plus1D18(frames=2, image_size=32, fourth_channel=0.0).eval()
    three = R2Plus1D18(frames=2, image_size=32).eval()
    state = four.state_dict()
    three.load_state_dict({**state, "network.stem.0.weight": state["network.stem.0.weight"][:, :3]})
    x = torch.randn(2, 3, 2, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(four(x), three(x), atol=1e-5, rtol=1e-5)


def test_kinetics_weights_leave_the_fourth_channel_at_zero(monkeypatch):
    torch.manual_seed(8)
    public = r2plus1d_18(weights=None).state_dict()
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: public)
    backbone = R2Plus1D18(pretrained=True, fourth_channel=1.5)
    stem = backbone.network.state_dict()["stem.0.weight"]
    assert torch.equal(stem[:, :3], public["stem.0.weight"])
    assert not stem[:, 3].any()
    assert (backbone.saved_config or {})["fourth_channel"] == 1.5


@pytest.mark.parametrize("channels", [2, 5])
def test_other_numbers_of_channels_are_refused(channels):
    with pytest.raises(InputError, match=r"frames must be \[N, 3, T, H, W\]"):
        R2Plus1D18(fourth_channel=0.0)(torch.randn(1, channels, 2, 32, 32))


@pytest.mark.parametrize("value", ["black", True])
def test_a_fourth_channel_must_be_a_number(value):
    with pytest.raises(ConfigError, match="fourth_channel must be a number"):
        R2Plus1D18(fourth_channel=value)
