"""transformers encoders: built from configs, from folders and from the Hub, and never fetched again."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import CONFIG_MAPPING, AutoModel

from affectzoo.config import FramesInput, LogMelInput, WaveformInput
from affectzoo.errors import CheckpointError, ConfigError, DownloadError, InputError, UnknownNameError
from affectzoo_backbones import pretrained_files
from affectzoo_backbones.transformers_backbone import TransformersBackbone
from affectzoo_backbones.transformers_inputs import DECIBELS, MODEL_TYPES


@pytest.fixture(params=MODEL_TYPES)
def checkpoint(request, tiny_configs, tmp_path):
    """A model type, a folder that transformers saved, and the model in it."""
    torch.manual_seed(5)
    config = CONFIG_MAPPING[request.param](**tiny_configs[request.param])
    model = AutoModel.from_config(config).eval()
    model.save_pretrained(tmp_path)
    return request.param, tmp_path, model


def test_weights_from_a_folder_are_whole(checkpoint, declared_sample):
    variant, folder, model = checkpoint
    backbone = TransformersBackbone(variant, weights=str(folder))
    assert backbone.training
    source = model.state_dict()
    loaded = backbone.network.state_dict()
    assert set(source) - set(loaded) <= {"masked_spec_embed"}
    assert all(torch.equal(value, source[name]) for name, value in loaded.items())
    x = declared_sample(backbone)
    # AST takes [N, F, M], VideoMAE [N, T, 3, H, W].
    native = x if x.ndim == 2 else (x[:, 0] if x.ndim == 4 else x).transpose(1, 2)
    with torch.no_grad():
        expected = model(native).last_hidden_state.mean(1)
        torch.testing.assert_close(backbone.eval()(x), expected)


def test_reload_needs_neither_weights_nor_network(checkpoint, declared_sample):
    variant, folder, _ = checkpoint
    backbone = TransformersBackbone(variant, weights=str(folder)).eval()
    saved = json.loads(json.dumps(backbone.saved_config))
    assert saved["weights"] is None
    for file in folder.iterdir():
        file.unlink()
    again = TransformersBackbone(variant, **saved).eval()
    again.load_state_dict(backbone.state_dict(), strict=True)
    x = declared_sample(backbone)
    with torch.no_grad():
        assert torch.equal(again(x), backbone(x))
    assert (again.input, again.saved_config) == (backbone.input, backbone.saved_config)


def test_a_missing_tensor_is_refused(checkpoint):
    variant, folder, _ = checkpoint
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(CheckpointError, match=r"lacks \d+ tensor"):
        TransformersBackbone(variant, weights=str(folder))


def test_another_shape_is_refused(checkpoint):
    variant, folder, _ = checkpoint
    with pytest.raises(CheckpointError, match="do not fit"):
        TransformersBackbone(variant, weights=str(folder), model_config={"intermediate_size": 48})


def test_another_model_type_is_refused(checkpoint):
    variant, folder, _ = checkpoint
    other = "hubert" if variant != "hubert" else "wavlm"
    with pytest.raises(ConfigError, match=f"holds a '{variant}' model"):
        TransformersBackbone(other, weights=str(folder))


def test_pickled_weights_are_never_read(checkpoint):
    variant, folder, model = checkpoint
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="safetensors"):
        TransformersBackbone(variant, weights=str(folder))


def test_half_precision_weights_are_read_as_float32(checkpoint):
    variant, folder, model = checkpoint
    model.half().save_pretrained(folder)
    backbone = TransformersBackbone(variant, weights=str(folder))
    assert {p.dtype for p in backbone.parameters()} == {torch.float32}


def test_declared_inputs_without_weights(tiny_configs):
    wave = TransformersBackbone("hubert", model_config=tiny_configs["hubert"]).input
    assert wave == WaveformInput(sample_rate=16000, samples=17067, normalise=True)
    ast_config = {k: v for k, v in tiny_configs["audio-spectrogram-transformer"].items() if k != "max_length"}
    mel = TransformersBackbone("audio-spectrogram-transformer", model_config=ast_config).input
    assert isinstance(mel, LogMelInput)
    assert (mel.sample_rate, mel.n_mels, mel.frames, mel.win_length, mel.hop_length) == (16000, 128, 107, 400, 160)
    # Kaldi's ln(power) and our dB are the same number after their own normalisation.
    log_power = -7.0
    assert (log_power * DECIBELS - mel.mean) / mel.std == pytest.approx((log_power + 4.2677393) / (2 * 4.5689974))
    video = TransformersBackbone("videomae", model_config={**tiny_configs["videomae"], "num_frames": 16}).input
    assert isinstance(video, FramesInput)
    assert (video.frames, video.height, video.mean) == (16, 32, (0.485, 0.456, 0.406))


def test_the_checkpoints_own_preprocessing_wins(tiny_configs, tmp_path):
    AutoModel.from_config(CONFIG_MAPPING["wavlm"](**tiny_configs["wavlm"])).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False, "sampling_rate": 8000}))
    declared = TransformersBackbone("wavlm", weights=str(tmp_path)).input
    assert declared == WaveformInput(sample_rate=8000, samples=8533, normalise=False)


def test_masking_and_layer_drop_are_off_unless_asked_for(tiny_configs):
    backbone = TransformersBackbone("wav2vec2", model_config=tiny_configs["wav2vec2"])
    saved = backbone.saved_config
    assert saved is not None
    assert (saved["model_config"]["mask_time_prob"], saved["model_config"]["layerdrop"]) == (0.0, 0.0)
    asked = TransformersBackbone("wav2vec2", model_config={**tiny_configs["wav2vec2"], "mask_time_prob": 0.05})
    assert "network.masked_spec_embed" in asked.state_dict()


@pytest.mark.parametrize(
    ("variant", "config", "error", "message"),
    [
        ("wav2vec", {}, UnknownNameError, "did you mean 'wav2vec2'"),
        ("clap", {}, UnknownNameError, "known are wav2vec2, hubert"),
        ("wav2vec2", {"model_config": {"hiden_size": 8}}, ConfigError, "did you mean 'hidden_size'"),
        ("wav2vec2", {"model_config": {"auto_map": {"AutoModel": "x.y"}}}, ConfigError, "unknown field 'auto_map'"),
        ("wav2vec2", {"model_config": {"hidden_size": "wide"}}, ConfigError, "refuses this model_config"),
        ("wav2vec2", {"model_config": {"conv_dim": [8]}}, ConfigError, "refuses this model_config"),
        ("wav2vec2", {"input_config": {"samples": 100}, "model_config": {"num_hidden_layers": 1}}, ConfigError, "at least 400"),
        ("wav2vec2", {"pool": "class"}, ConfigError, "pool must be"),
        ("videomae", {"model_config": {"num_hidden_layers": 1}, "input_config": {"frames": 8}}, ConfigError, "built for"),
        ("hubert", {"weights": "/no/such/folder"}, ConfigError, "neither a folder nor a Hub id"),
    ],
)
def test_a_wrong_value_is_one_sentence(variant, config, error, message):
    with pytest.raises(error, match=message) as caught:
        TransformersBackbone(variant, **config)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        TransformersBackbone("hubert", weights=str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        TransformersBackbone("hubert", weights=str(tmp_path))


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (LocalEntryNotFoundError("offline"), "org/model is not cached and the Hub cannot be reached"),
        (OSError("connection reset"), "org/model could not be fetched from the Hub: OSError: connection reset"),
    ],
)
def test_an_unreachable_hub_is_one_sentence(monkeypatch, raised, message):
    def fail(*_, **__):
        raise raised

    monkeypatch.setattr(pretrained_files, "hf_hub_download", fail)
    with pytest.raises(DownloadError, match=message):
        TransformersBackbone("hubert", weights="org/model")


def test_hub_files_come_from_one_commit(monkeypatch, tiny_configs, tmp_path):
    snapshot = tmp_path / "snapshots" / "0123abcd"
    AutoModel.from_config(CONFIG_MAPPING["hubert"](**tiny_configs["hubert"])).save_pretrained(snapshot)
    asked = []

    def download(repository, name, *, revision=None):
        asked.append((repository, name, revision))
        if not (snapshot / name).is_file():
            raise LocalEntryNotFoundError("absent")
        return str(snapshot / name)

    monkeypatch.setattr(pretrained_files, "hf_hub_download", download)
    source = pretrained_files.locate("org/model@main")
    assert (source.location, source.revision, source.is_folder) == ("org/model", "0123abcd", False)
    assert source.read_json("preprocessor_config.json") is None
    assert (source.read_json("config.json") or {})["model_type"] == "hubert"
    assert asked == [
        ("org/model", "config.json", "main"),
        ("org/model", "preprocessor_config.json", "0123abcd"),
        ("org/model", "config.json", "0123abcd"),
    ]


def test_waveform_too_short(tiny_configs):
    backbone = TransformersBackbone("wav2vec2", model_config=tiny_configs["wav2vec2"])
    # Two convolutions: (1 - 1) * 4 + 8 = 8 steps, (8 - 1) * 5 + 10 = 45 samples.
    with pytest.raises(InputError, match="at least 45 samples"):
        backbone(torch.zeros(1, 44))


def test_offline_reload_in_a_fresh_process(tiny_configs):
    saved = TransformersBackbone("wavlm", model_config=tiny_configs["wavlm"]).saved_config
    code = (
        "import json, socket, sys\n"
        "def refuse(*_): raise SystemExit('connected')\n"
        "socket.socket.connect = refuse\n"
        "from affectzoo_backbones.transformers_backbone import TransformersBackbone\n"
        "print(TransformersBackbone('wavlm', **json.loads(sys.argv[1])).feature_dim)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code, json.dumps(saved)], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "16", done.stderr
