"""audEERING's wav2vec 2.0 for arousal, dominance and valence in speech (Wagner et al. 2023, arXiv 2203.07378).

Hub repository audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim: 12 layers of wav2vec2-large-robust, fine-tuned on
MSP-Podcast; the mean of the hidden states over time, dense, tanh, linear.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedConfig, Wav2Vec2Config

from affectzoo import AffectModel, Imported, create_model, load_state, read_state_dict
from affectzoo.errors import CheckpointError
from affectzoo_backbones.importers.parts import linear, read_json, split

_KIND = "audEERING's dimensional wav2vec2"
_PREFIXES = ("wav2vec2.", "classifier.dense.", "classifier.out_proj.")
#: What the outputs are, in the original's order, and what the imported model predicts, in its own.
_OUTPUTS: tuple[str, ...] = ("arousal", "dominance", "valence")
_TARGETS = ("valence", "arousal", "dominance")

_SAMPLE_RATE = 16000
_SECONDS = 4
#: Fields of the file's config that matter in training only: transformers' masking has weights, which fine-tuning here has not.
_TRAINING_ONLY = ("mask_time_prob", "mask_feature_prob", "layerdrop")
#: Both ways in which torch has named the two halves of a weight-normalised weight.
_WEIGHT_NORM = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}

_NOTES = (
    "The original gives arousal, dominance and valence in about 0..1; here they are 2 y - 1, on -1..1, in the order valence, "
    "arousal, dominance. They are not clipped.",
    "The original was trained on whole utterances of a few seconds, one speaker each; here every 4 s get a value, wherever "
    "sentences begin and end, from whoever speaks: several voices are judged as one.",
    "Digital silence (a peak under -80 dBFS) has no value. Any other sound is brought to unit variance and judged as if it "
    "were speech, noise and music too.",
    "The end of a recording is filled up with zeros to 4 s.",
    "The hidden layer of the original's regressor is repeated for each target, so that its outputs are the same.",
    "The built-in masking and the dropout before the regressor (0.1) were used in training only and are left out.",
)
_CAUTION = (
    "audeering-w2v2-dim judges the sound of speech and was trained on English podcasts; its weights are for research and "
    "non-commercial use (CC-BY-NC-SA-4.0)."
)


def convert(source: Path) -> Imported:
    """A folder with config.json and model.safetensors, or pytorch_model.bin where that is absent.

    A preprocessor_config.json is held to what the network was trained on.

    Raises:
        CheckpointError: not a folder, a file is missing or damaged, or it is another network.
    """
    source = Path(source)
    if not source.is_dir():
        raise CheckpointError(f"{source} is not a folder; give the folder that holds config.json and model.safetensors")
    config, stated = read_json(source / "config.json"), source / "preprocessor_config.json"
    preprocessing = read_json(stated) if stated.is_file() else {}
    weights = next((source / name for name in ("model.safetensors", "pytorch_model.bin") if (source / name).is_file()), None)
    if weights is None:
        raise CheckpointError(f"{source} holds neither model.safetensors nor pytorch_model.bin")
    order = _check(source, config, preprocessing)
    encoder, dense, last = split(read_state_dict(weights), _PREFIXES, source=weights, kind=_KIND)
    width = config.get("hidden_size")
    layers = len({name.split(".")[2] for name in encoder if name.startswith("encoder.layers.")})
    # Before the network is built: a config from elsewhere may ask for any size.
    if not isinstance(width, int) or config.get("num_hidden_layers") != layers:
        raise CheckpointError(
            f"{source}: config.json says {config.get('num_hidden_layers')} layers of {width}, {weights.name} holds {layers}; "
            "fetch both again"
        )
    hidden = linear(dense, (width, width), source=weights, kind=_KIND)
    output = linear(last, (len(_OUTPUTS), width), source=weights, kind=_KIND)
    model = _build(config, width)
    network: Any = model.backbones["audio"]
    load_state(network.network, _encoder(encoder, network.network.state_dict()), source=weights)
    load_state(model.head, _head(order, hidden, output), source=weights)
    return Imported(
        model=model,
        summary="valence, arousal and dominance of each 4 s of speech, wav2vec2-large-robust with 12 layers",
        notes=_NOTES,
        caution=_CAUTION,
    )


#: What may be fetched from the repository on the Hub.
convert.files = (  # pyright: ignore[reportFunctionMemberAccess]
    "config.json",
    "preprocessor_config.json",
    "model.safetensors",
    "pytorch_model.bin",
)


def _check(source: Path, config: Mapping[str, Any], preprocessing: Mapping[str, Any]) -> list[str]:
    """The outputs' names in the checkpoint's order.

    Raises:
        CheckpointError: another kind of model, other outputs or another input.
    """
    if config.get("model_type") != "wav2vec2":
        raise CheckpointError(f"{source} is not {_KIND}: config.json says model_type {config.get('model_type')!r}")
    labels = config.get("id2label")
    order = [str(labels.get(str(i))) for i in range(len(labels))] if isinstance(labels, dict) else list(_OUTPUTS)
    if sorted(order) != sorted(_OUTPUTS):
        raise CheckpointError(
            f"{source} is not {_KIND}: config.json calls its outputs {', '.join(order)}, not {', '.join(_OUTPUTS)}"
        )
    if preprocessing.get("sampling_rate", _SAMPLE_RATE) != _SAMPLE_RATE or preprocessing.get("do_normalize", True) is not True:
        raise CheckpointError(
            f"{source} is not {_KIND}: preprocessor_config.json asks for another input than normalised sound at 16 kHz"
        )
    return order


def _build(config: Mapping[str, Any], width: int) -> AffectModel:
    """The model without its weights; of the config only what describes the architecture."""
    common = {field.name for field in dataclasses.fields(PreTrainedConfig)}.union(_TRAINING_ONLY)
    own = [field.name for field in dataclasses.fields(Wav2Vec2Config) if field.name not in common]
    backbone = {
        "model_config": {name: config[name] for name in own if name in config},
        "input_config": {"samples": _SECONDS * _SAMPLE_RATE},
    }
    return create_model(
        audio={"name": "transformers/wav2vec2", "config": backbone},
        targets=_TARGETS,
        sequence={"seconds": _SECONDS, "length": 1},
        head={"hidden": width, "activation": "tanh"},
    ).eval()


def _encoder(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's tensors by the names that this release of torch gives them, without the vector that masks a step."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name == "masked_spec_embed":
            continue
        for pair in _WEIGHT_NORM.items():
            for old, new in (pair, pair[::-1]):
                if name not in expected and name.endswith(f".{old}"):
                    name = name.removesuffix(old) + new
        renamed[name] = tensor
    return renamed


def _head(order: list[str], hidden: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Regressors on -1..1: `2 (W tanh(h) + b) - 1 = (2 W) tanh(h) + (2 b - 1)`."""
    tensors: dict[str, Tensor] = {}
    for target in _TARGETS:
        row = order.index(target)
        weight, bias = output[0][row : row + 1], output[1][row : row + 1]
        tensors[f"regressors.{target}.0.weight"], tensors[f"regressors.{target}.0.bias"] = hidden
        tensors[f"regressors.{target}.3.weight"], tensors[f"regressors.{target}.3.bias"] = 2 * weight, 2 * bias - 1
    return tensors
