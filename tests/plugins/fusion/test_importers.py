"""`jca-tbiom`: the authors' fusion gives its numbers, from features and on top of backbones."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import linear

import affectzoo
from affectzoo.errors import CheckpointError, ConfigError, InputError
from affectzoo.registry import ImporterSpec
from affectzoo_fusion import affectzoo_importers
from affectzoo_fusion.importers import convert

SHAPES = {
    "encoder1": (128, 512),
    "encoder2": (128, 512),
    "affine_a": (16, 16),
    "affine_v": (16, 16),
    "W_a": (32, 16),
    "W_v": (32, 16),
    "W_ca": (32, 256),
    "W_cv": (32, 256),
    "W_ha": (16, 32),
    "W_hv": (16, 32),
    **{f"{name}regressor.0": (128, 640) for name in "va"},
    **{f"{name}regressor.2": (1, 128) for name in "va"},
}


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    tensors: dict[str, Tensor] = {}
    for name, shape in SHAPES.items():
        tensors[f"{name}.weight"] = torch.randn(shape, generator=generator) / math.sqrt(shape[1])
        if name.startswith(("encoder", "v", "a")) and not name.startswith("affine"):
            tensors[f"{name}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)
    return tensors


def equations(state: dict[str, Tensor], audio: Tensor, visual: Tensor) -> dict[str, Tensor]:
    """One window `[16, 512]` of each modality to `[16]` of each target, as `models/cam.py` computes it."""
    x_a = linear(audio, state["encoder1.weight"], state["encoder1.bias"])
    x_v = linear(visual, state["encoder2.weight"], state["encoder2.bias"])
    joint = torch.cat([x_a, x_v], dim=1)
    correlation = torch.tanh(x_v.T @ (state["affine_v.weight"] @ joint) / math.sqrt(256))
    hidden = torch.relu(correlation @ state["W_cv.weight"].T + x_v.T @ state["W_v.weight"].T)
    attended = (hidden @ state["W_hv.weight"].T).T + x_v
    fused = torch.cat([visual, attended], dim=1)
    outputs: dict[str, Tensor] = {}
    for target in ("valence", "arousal"):
        y = fused
        for layer in ("0", "2"):
            name = f"{target[0]}regressor.{layer}"
            y = linear(y, state[f"{name}.weight"], state[f"{name}.bias"])
        outputs[target] = y.squeeze(1)
    return outputs


def save(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def features(seed: int, batch: int = 2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(batch, 16, 1, 512, generator=generator) for name in ("audio", "visual")}


def test_outputs_are_those_of_the_authors_module(shared, tmp_path):
    numbers = load_file(shared / "parity" / "jca_tbiom.safetensors")
    released = {key.removeprefix("state."): value for key, value in numbers.items() if key.startswith("state.")}
    model = convert(save(tmp_path / "jointcam_model.pt", {"net": released})).model
    assert model.columns == ("valence", "arousal")
    with torch.no_grad():
        output = model({name: numbers[name].unsqueeze(2) for name in ("visual", "audio")})
    # Single precision, in another order of sums.
    torch.testing.assert_close(output[..., 0], numbers["valence"], atol=1e-5, rtol=0)
    torch.testing.assert_close(output[..., 1], numbers["arousal"], atol=1e-5, rtol=0)


def test_outputs_are_those_of_the_equations(state, tmp_path):
    model = convert(save(tmp_path / "jointcam_model.pt", state)).model
    assert not model.training
    inputs = features(2)
    with torch.no_grad():
        output = model(inputs)
        for window in range(2):
            expected = equations(state, inputs["audio"][window, :, 0], inputs["visual"][window, :, 0])
            torch.testing.assert_close(output[window, :, 0], expected["valence"], atol=1e-5, rtol=0)
            torch.testing.assert_close(output[window, :, 1], expected["arousal"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("layout", ["bare", "net", "data-parallel"])
def test_every_layout_of_the_file_gives_the_same_model(state, tmp_path, layout):
    content = {
        "bare": state,
        # What the authors' training writes: its best scores are numpy's.
        "net": {"net": state, "best_Val_accV": np.float64(0.6), "best_Val_accA": np.float64(0.5), "best_Val_acc_epoch": 7},
        "data-parallel": {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
    }[layout]
    model = convert(save(tmp_path / "jointcam_model.pt", content)).model
    assert torch.equal(model.state_dict()["fusion.attention.visual.W_c.weight"], state["W_cv.weight"])
    assert torch.equal(model.state_dict()["head.regressors.arousal.3.bias"], state["aregressor.2.bias"])


def test_the_model_is_the_released_one(state, tmp_path):
    imported = convert(save(tmp_path / "jointcam_model.pt", state))
    config = imported.model.config
    assert (config.sequence.length, config.sequence.seconds) == (16, pytest.approx(32 / 30))
    assert (config.head.hidden, config.head.activation, config.head.dropout) == (128, "none", 0.6)
    assert config.fusion is not None
    assert config.fusion.config["output"] == "visual-residual"
    assert "backbones=FOLDER" in " ".join(imported.notes)
    assert imported.caution


def test_predicting_a_file_from_features_is_refused_in_one_sentence(state, tmp_path):
    model = convert(save(tmp_path / "jointcam_model.pt", state)).model
    with pytest.raises(InputError, match="wants signal; from a media file it can be given frames"):
        affectzoo.predict(model, tmp_path / "clip.mp4")


@pytest.fixture(scope="module")
def backbones(tmp_path_factory) -> Path:
    """A saved model with the streams of TSAV: four input channels, 1.6 s of sound."""
    torch.manual_seed(3)
    model = affectzoo.create_model(
        visual={"name": "r2plus1d_18", "config": {"fourth_channel": -2.0}},
        audio={"name": "spectrogram-resnet18", "config": {"log_mel": {"frames": 161}}},
        fusion="concat",
        sequence={"seconds": 1.6, "length": 1},
        head={"hidden": None},
    )
    return model.save_pretrained(tmp_path_factory.mktemp("imported") / "tsav")


def test_backbones_of_a_folder_make_a_whole_model(state, backbones, tmp_path):
    imported = convert(save(tmp_path / "jointcam_model.pt", state), backbones=str(backbones))
    model, given = imported.model, affectzoo.AffectModel.from_folder(backbones)
    audio = model.config.streams["audio"].input
    assert isinstance(audio, affectzoo.LogMelInput)
    assert audio.frames == 107  # what 32/30 s fill, as the authors had it
    generator = torch.Generator().manual_seed(4)
    inputs = {
        "visual": torch.randn(1, 16, 3, 2, 32, 32, generator=generator),
        "audio": torch.randn(1, 16, 1, 64, 107, generator=generator),
    }
    stem = given.backbones["visual"].state_dict()["network.stem.0.weight"]
    rgb = affectzoo.create_backbone("r2plus1d_18").eval()
    rgb.load_state_dict({**given.backbones["visual"].state_dict(), "network.stem.0.weight": stem[:, :3]})
    with torch.no_grad():
        # The authors cut the drawing's weights from the first layer.
        visual = rgb(inputs["visual"][0])
        sound = given.backbones["audio"](inputs["audio"][0])
        expected = equations(state, sound, visual)
        output = model(inputs)[0]
    torch.testing.assert_close(output[:, 0], expected["valence"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output[:, 1], expected["arousal"], atol=1e-5, rtol=1e-5)
    said = " ".join((imported.summary, *imported.notes, imported.caution))
    assert "were not reproduced" in said
    assert str(tmp_path) not in said
    assert str(backbones.parent) not in said


def small(folder: Path, **streams: object) -> Path:
    """A saved model with small streams of 512 features, but for what is given."""
    chosen = {
        "visual": {"name": "features", "config": {"channels": 512}},
        "audio": {"name": "signal-mlp", "config": {"channels": 4, "hidden": [512]}},
        **streams,
    }
    return affectzoo.create_model(streams=chosen, fusion="concat", targets=["valence"]).save_pretrained(folder)


def test_backbones_of_any_model_with_512_features_will_do(state, tmp_path):
    torch.manual_seed(5)
    folder = small(tmp_path / "small")
    imported = convert(save(tmp_path / "jointcam_model.pt", state), backbones=folder)
    given = affectzoo.AffectModel.from_folder(folder)
    for name, tensor in given.backbones.state_dict().items():
        assert torch.equal(imported.model.backbones.state_dict()[name], tensor)


def test_backbones_of_another_width_are_named(state, tmp_path):
    folder = small(tmp_path / "small", audio={"name": "signal-mlp", "config": {"channels": 4, "hidden": [64]}})
    with pytest.raises(CheckpointError, match="it takes 512 audio features, the folder gives 64"):
        convert(save(tmp_path / "jointcam_model.pt", state), backbones=folder)


def test_backbones_without_a_stream_are_named(state, tmp_path):
    other = small(tmp_path / "small", visual=None, face={"name": "features", "config": {"channels": 512}})
    with pytest.raises(CheckpointError, match="512 visual features, the folder has no such stream"):
        convert(save(tmp_path / "jointcam_model.pt", state), backbones=other)


def test_backbones_that_are_no_model(state, tmp_path):
    with pytest.raises((CheckpointError, ConfigError), match="not a folder"):
        convert(save(tmp_path / "jointcam_model.pt", state), backbones=tmp_path / "absent")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"W_hv.weight": None}, "it has no 'W_hv.weight'"),
        ({"coattn.bias": (3,)}, "it holds 'coattn.bias'"),
        ({"affine_a.weight": (8, 8)}, r"has shape \[8, 8\], not \[16, 16\]"),
    ],
)
def test_another_network(state, tmp_path, change, says):
    changed = {**state, **{name: None if shape is None else torch.zeros(shape) for name, shape in change.items()}}
    path = save(tmp_path / "other.pt", {name: tensor for name, tensor in changed.items() if tensor is not None})
    with pytest.raises(CheckpointError, match=says) as caught:
        convert(path)
    assert "other.pt" in str(caught.value)


def test_a_truncated_file(state, tmp_path):
    path = save(tmp_path / "jointcam_model.pt", state)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(CheckpointError, match="jointcam_model"):
        convert(path)


def test_a_malicious_pickle_is_refused_and_not_run(state, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "run"),)

    with pytest.raises(CheckpointError, match="evil"):
        convert(save(tmp_path / "evil.pt", {"net": {**state, "W_a.weight": Evil()}}))
    assert not (tmp_path / "run").exists()


def test_the_importer_is_declared():
    (spec,) = affectzoo_importers()
    assert isinstance(spec, ImporterSpec)
    spec.validate()
    assert (spec.name, spec.target) == ("jca-tbiom", "affectzoo_fusion.importers:convert")
