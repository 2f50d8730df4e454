"""transformers' audio and video encoders as backbones, built from a config, or from weights on disk or on the Hub."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, AutoModel, PreTrainedConfig

from affectzoo import Backbone, FramesInput, LogMelInput, WaveformInput, count_batches_once
from affectzoo.errors import CheckpointError, ConfigError, DownloadError, UnknownNameError
from affectzoo_backbones.inputs import check_frames, check_log_mel, check_waveform, declare
from affectzoo_backbones.messages import one_line
from affectzoo_backbones.pretrained_files import Source, locate
from affectzoo_backbones.transformers_inputs import (
    MODEL_TYPES,
    SPECTROGRAM_TYPE,
    WAVEFORM_TYPES,
    check_agreement,
    declaration,
    shortest_waveform,
)

#: Where these networks' defaults do not suit windows of a second. The built-in SpecAugment masks at least two spans of
#: ten steps, that is 40 % of a second; layer drop leaves parameters without gradient. Ask for them in `model_config`.
SHORT_WINDOWS: dict[str, dict[str, Any]] = {
    name: {"mask_time_prob": 0.0, "mask_feature_prob": 0.0, "layerdrop": 0.0} for name in WAVEFORM_TYPES
}
#: Without weights an AST is as long as a sub-sequence of 32/30 s at 100 steps per second, not 10.24 s as in AudioSet.
FROM_SCRATCH: dict[str, dict[str, Any]] = {SPECTROGRAM_TYPE: {"max_length": 107}}


#: Older names that a config class translates by itself.
LEGACY_FIELDS = frozenset({"qkv_bias"})


class TransformersBackbone(Backbone):
    """A transformers encoder, its hidden states pooled to one vector (Wolf et al. 2020, arXiv 1910.03771).

    | model type                                  | input                       | declared as               |
    |---------------------------------------------|-----------------------------|---------------------------|
    | `wav2vec2`, `hubert`, `wavlm`               | `[N, S]` at 16 kHz          | `WaveformInput`           |
    | `audio-spectrogram-transformer`             | `[N, 1, 128, F]`            | `LogMelInput`             |
    | `videomae`                                  | `[N, 3, 16, 224, 224]`      | `FramesInput`             |

    AST was trained on Kaldi's filter bank. `LogMelInput` repeats its sample rate, window, hop, bands, floor and statistics,
    but not Kaldi's pre-emphasis, removal of the mean per frame, mel scale, or padding on the right: fine-tune after
    loading public AST weights.

    Args:
        variant: the model type.
        weights: a folder written by transformers' `save_pretrained`, or `org/name[@revision]` on the Hub; safetensors only,
            read as float32 (a model's dtype is set as a whole). Its `preprocessor_config.json`, where there is one, decides
            the declared input. A reloaded model never fetches them.
        model_config: fields of the transformers config, over the checkpoint's or over transformers' defaults. Masking and
            layer drop of the waveform models are off unless asked for here.
        pool: `mean` over all tokens, or `class` for AST's own output (the mean of its class and distillation tokens).
        input_config: fields of the declared input that differ, such as `{"samples": 32000}`.

    Raises:
        UnknownNameError: not one of the model types above.
        ConfigError: an unknown field, contradictory fields, or a checkpoint of another model type.
        CheckpointError: the weights lack a tensor, have other shapes, or are not safetensors.
        DownloadError: the Hub does not have the weights, refuses them or cannot be reached.
    """

    def __init__(
        self,
        variant: str,
        *,
        weights: str | None = None,
        model_config: Mapping[str, Any] | None = None,
        pool: Literal["mean", "class"] = "mean",
        input_config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if variant not in MODEL_TYPES:
            near = difflib.get_close_matches(variant, MODEL_TYPES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(MODEL_TYPES)}."
            raise UnknownNameError(f"transformers/ has no model type {variant!r}; {hint}")
        if pool not in ("mean", "class") or (pool == "class" and variant != SPECTROGRAM_TYPE):
            raise ConfigError(f"pool must be 'mean', or 'class' with {SPECTROGRAM_TYPE}; {variant} got {pool!r}")
        self.variant, self.pool = variant, pool
        source = None if weights is None else locate(weights)
        config = _model_config(variant, source, model_config or {})
        self.network = _from_config(config) if source is None else _from_weights(source, config)
        self.feature_dim = _feature_dim(config)
        self.input = declare(declaration(config, source), input_config, where=f"transformers/{variant}: input_config")
        check_agreement(self.input, config)
        self.shortest = shortest_waveform(config) if isinstance(self.input, WaveformInput) else 0
        # All of both, so that neither a checkpoint nor another release's defaults are needed again.
        self.saved_config = {
            "weights": None,
            "model_config": {name: _plain(getattr(config, name)) for name in _own_fields(type(config))},
            "pool": pool,
            "input_config": self.input.to_json(),
        }

    def checkpoint_activations(self) -> None:
        """Compute the activations of each layer again in the backward pass from now on."""
        network: Any = self.network
        # Releases of transformers differ in the name.
        enable = getattr(network, "activation_checkpointing_enable", None) or network.gradient_checkpointing_enable
        enable({"use_reentrant": False})
        count_batches_once(network)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, S]`, `[N, 1, M, F]` or `[N, 3, T, H, W]`, as declared in `input`, to `[N, D]`."""
        if isinstance(self.input, WaveformInput):
            check_waveform(x, self.shortest)
        elif isinstance(self.input, LogMelInput):
            check_log_mel(x, self.input, exact_frames=True)
            x = x.squeeze(1).transpose(1, 2)
        else:
            assert isinstance(self.input, FramesInput)
            check_frames(x, self.input, exact_size=True, exact_frames=True)
            x = x.transpose(1, 2)
        output = self.network(x)
        return output.pooler_output if self.pool == "class" else output.last_hidden_state.mean(dim=1)


def _model_config(variant: str, source: Source | None, overrides: Mapping[str, Any]) -> PreTrainedConfig:
    """The transformers config: the checkpoint's or the default one, then our changes, then the caller's."""
    config_class = CONFIG_MAPPING[variant]
    known = _own_fields(config_class)
    for name in overrides:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}."
            raise ConfigError(f"transformers/{variant}: unknown field {name!r} of model_config; {hint}")
    if source is None:
        base = FROM_SCRATCH.get(variant, {})
    else:
        base = source.read_json("config.json") or {}
        if base.get("model_type") != variant:
            raise ConfigError(
                f"{source.location} holds a {base.get('model_type')!r} model; build it as another variant than {variant!r}"
            )
        # Fields that would fetch or run something, and those that say nothing about the architecture, stay behind.
        base = {name: value for name, value in base.items() if name in known or name in LEGACY_FIELDS}
    try:
        return config_class(**{**base, **SHORT_WINDOWS.get(variant, {}), **overrides})
    # transformers' configs are checked by huggingface_hub's strict dataclasses, whose errors are of several kinds.
    except Exception as error:
        raise ConfigError(f"transformers/{variant} refuses this model_config: {one_line(error)}") from error


def _own_fields(config_class: type[PreTrainedConfig]) -> list[str]:
    """The fields that describe this architecture, without those that every transformers config carries."""
    common = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    return [field.name for field in dataclasses.fields(config_class) if field.name not in common]


def _from_config(config: PreTrainedConfig) -> nn.Module:
    try:
        return AutoModel.from_config(config, trust_remote_code=False, dtype=torch.float32)
    except (AssertionError, RuntimeError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ConfigError(
            f"transformers cannot build a {config.model_type} from this model_config: {one_line(error)}"
        ) from error


def _from_weights(source: Source, config: PreTrainedConfig) -> nn.Module:
    try:
        network, report = AutoModel.from_pretrained(
            source.location,
            revision=source.revision or "main",
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except OSError as error:
        kind = CheckpointError if source.is_folder or "safetensors" in str(error) else DownloadError
        raise kind(f"{source.location} has no weights that can be read: {one_line(error)}") from error
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(f"the weights of {source.location} do not fit: {one_line(error)}") from error
    # transformers leaves absent tensors at random and only warns; a backbone with random layers is refused instead.
    missing = sorted(report["missing_keys"])
    if missing:
        raise CheckpointError(f"{source.location} lacks {len(missing)} tensor(s) of this model, such as {missing[0]!r}")
    # from_pretrained ends in eval mode; a component starts in training mode, however it was built.
    return network.train()


def _feature_dim(config: Any) -> int:
    """Width of the hidden states; wav2vec2 and WavLM may end in an adapter of another width."""
    return config.output_hidden_size if getattr(config, "add_adapter", False) else config.hidden_size


def _plain(value: Any) -> Any:
    """A config value as JSON holds it: tuples become lists."""
    return json.loads(json.dumps(value))
