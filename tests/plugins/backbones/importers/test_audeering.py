"""`audeering-w2v2-dim`: the original network, rebuilt here from transformers and torch, gives the same numbers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2Model

import affectzoo
from affectzoo import AffectModel
from affectzoo.errors import CheckpointError
from affectzoo_backbones.importers.audeering import convert

WIDTH = 16
NORMS = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
CONFIG = Wav2Vec2Config(
    hidden_size=WIDTH,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=24,
    conv_dim=[8, 8],
    conv_kernel=[400, 4],
    conv_stride=[320, 4],
    conv_bias=True,
    num_conv_pos_embeddings=8,
    num_conv_pos_embedding_groups=2,
    feat_extract_norm="layer",
    do_stable_layer_norm=True,
    id2label={0: "arousal", 1: "dominance", 2: "valence"},
)


class Original(nn.Module):
    """The published network in evaluation: mean of the hidden states, dense, tanh, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.wav2vec2 = Wav2Vec2Model(CONFIG)
        self.dense, self.out_proj = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_proj(torch.tanh(self.dense(self.wav2vec2(x).last_hidden_state.mean(dim=1))))

    def tensors(self, *, old_names: bool) -> dict[str, Tensor]:
        named: dict[str, Tensor] = {}
        for name, tensor in self.state_dict().items():
            if not name.startswith("wav2vec2."):
                name = f"classifier.{name}"
            for new, old in NORMS.items():
                name = name.replace(new, old) if old_names else name
            named[name] = tensor.contiguous()
        return named


def write(folder: Path, tensors: dict[str, Tensor], *, pickled: bool = False, **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    config = {**CONFIG.to_dict(), "architectures": ["Wav2Vec2ForSpeechClassification"], "pooling_mode": "mean", **changes}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True, "sampling_rate": 16000}))
    if pickled:
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def original() -> Original:
    torch.manual_seed(3)
    network = Original().eval()
    with torch.no_grad():
        # As drawn, the mean of the hidden states says almost nothing of the sound.
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.mark.parametrize("old_names", [True, False])
@pytest.mark.parametrize("pickled", [True, False])
def test_it_predicts_what_the_original_does_on_minus_one_to_one(original, tmp_path, pickled, old_names):
    imported = convert(write(tmp_path, original.tensors(old_names=old_names), pickled=pickled))
    assert imported.model.columns == ("valence", "arousal", "dominance")
    assert not imported.model.training
    x = torch.randn(3, 64000, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        arousal, dominance, valence = original(x).unbind(dim=1)
        ours = imported.model({"audio": x.unsqueeze(1)})
    assert valence.std() > 1e-3  # else the sound would not matter
    # Single precision, summed in another order.
    expected = torch.stack([valence, arousal, dominance], dim=1) * 2 - 1
    torch.testing.assert_close(ours.squeeze(1), expected, atol=1e-5, rtol=0)


def test_order_of_the_outputs_is_the_files_own(original, tmp_path):
    published = convert(write(tmp_path / "a", original.tensors(old_names=True))).model
    swapped = {0: "valence", 1: "dominance", 2: "arousal"}
    other = convert(write(tmp_path / "b", original.tensors(old_names=True), id2label=swapped)).model
    x = {"audio": torch.randn(1, 1, 64000)}
    with torch.no_grad():
        torch.testing.assert_close(other(x)[..., [1, 0, 2]], published(x))


def test_it_says_what_it_is_fed_and_masks_nothing_in_training(original, tmp_path):
    imported = convert(write(tmp_path, original.tensors(old_names=True)))
    config = imported.model.config
    declared = config.streams["audio"].input
    assert declared is not None
    assert declared.to_json() == {"kind": "waveform", "sample_rate": 16000, "samples": 64000, "normalise": True}
    assert (config.sequence.seconds, config.sequence.length) == (4, 1)
    stored = config.streams["audio"].backbone.config["model_config"]
    assert isinstance(stored, dict)
    assert (stored["mask_time_prob"], stored["layerdrop"]) == (0.0, 0.0)
    assert any("2 y - 1" in note for note in imported.notes)
    assert "CC-BY-NC-SA" in imported.caution


def test_a_saved_import_loads_again_and_predicts_the_same(original, tmp_path):
    model = convert(write(tmp_path / "public", original.tensors(old_names=True))).model
    again = AffectModel.from_folder(model.save_pretrained(tmp_path / "ours"))
    x = {"audio": torch.randn(1, 1, 64000)}
    with torch.no_grad():
        assert torch.equal(model(x), again(x))


def test_safetensors_come_before_the_pickle(original, tmp_path):
    folder = write(tmp_path, original.tensors(old_names=True))
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    convert(folder)


def test_names_that_may_be_fetched():
    assert set(vars(convert)["files"]) == {"config.json", "preprocessor_config.json", "model.safetensors", "pytorch_model.bin"}


def test_a_file_in_place_of_the_folder(original, tmp_path):
    with pytest.raises(CheckpointError, match="is not a folder"):
        convert(write(tmp_path, original.tensors(old_names=True)) / "model.safetensors")


@pytest.mark.parametrize(
    ("absent", "says"), [("config.json", r"config\.json cannot be read"), ("model.safetensors", "neither model.safe")]
)
def test_a_missing_companion_is_named(original, tmp_path, absent, says):
    folder = write(tmp_path, original.tensors(old_names=True))
    (folder / absent).unlink()
    with pytest.raises(CheckpointError, match=says):
        convert(folder)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_type": "hubert"}, "model_type 'hubert'"),
        ({"id2label": {"0": "angry", "1": "happy", "2": "sad"}}, "calls its outputs angry, happy, sad"),
        ({"num_hidden_layers": 24}, "24 layers of 16, model.safetensors holds 3"),
        ({"num_hidden_layers": 10**9}, "1000000000 layers"),
        ({"hidden_size": 10**7}, r"not \[10000000, 10000000\]"),
        ({"hidden_size": "wide"}, "layers of wide"),
        ({"intermediate_size": 48}, "has shape"),
    ],
)
def test_a_config_of_something_else(original, tmp_path, changes, says):
    with pytest.raises(CheckpointError, match=says):
        convert(write(tmp_path, original.tensors(old_names=True), **changes))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not valid JSON"),
        ("[1]", "no JSON object"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "not valid JSON"),
        ('{"a": "' + "a" * 2**24 + '"}', "more than 16777216 bytes"),
    ],
    ids=["cut off", "a list", "deep", "large"],
)
def test_a_config_that_is_none(original, tmp_path, text, says):
    folder = write(tmp_path, original.tensors(old_names=True))
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=says):
        convert(folder)


def test_without_a_preprocessing_file_the_input_is_the_published_one(original, tmp_path):
    folder = write(tmp_path, original.tensors(old_names=True))
    (folder / "preprocessor_config.json").unlink()
    assert convert(folder).model.config.streams["audio"].input == affectzoo.WaveformInput(samples=64000)


def test_another_input_than_normalised_sound_at_16_khz(original, tmp_path):
    folder = write(tmp_path, original.tensors(old_names=True))
    (folder / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 8000}))
    with pytest.raises(CheckpointError, match="normalised sound at 16 kHz"):
        convert(folder)


@pytest.mark.parametrize(
    ("drop", "add", "says"),
    [
        ("classifier.out_proj.bias", None, "its last layer holds weight"),
        ("classifier.", None, "no tensor called 'classifier.dense.'"),
        ("wav2vec2.encoder.layers.1.final_layer_norm.bias", None, "encoder.layers.1.final_layer_norm.bias' is missing"),
        (None, "lm_head.weight", "holds 'lm_head.weight'"),
    ],
)
def test_another_network(original, tmp_path, drop, add, says):
    tensors = {n: t for n, t in original.tensors(old_names=True).items() if drop is None or not n.startswith(drop)}
    if add is not None:
        tensors[add] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=says):
        convert(write(tmp_path, tensors))


@pytest.mark.parametrize("pickled", [True, False])
def test_a_truncated_file(original, tmp_path, pickled):
    folder = write(tmp_path, original.tensors(old_names=True), pickled=pickled)
    path = folder / ("pytorch_model.bin" if pickled else "model.safetensors")
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(CheckpointError, match=path.name):
        convert(folder)


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "run"),)

    folder = write(tmp_path, {"wav2vec2.x": Evil()}, pickled=True)  # pyright: ignore[reportArgumentType]
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin"):
        convert(folder)
    assert not (tmp_path / "run").exists()
