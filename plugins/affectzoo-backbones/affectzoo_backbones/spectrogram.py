"""Image networks on log-mel spectrograms: one input channel, mel bands as rows, time steps as columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from affectzoo import Backbone, LogMelInput
from affectzoo_backbones.inputs import check_log_mel, declare
from affectzoo_backbones.timm_network import (
    check_variant,
    checkpoint_activations,
    create_network,
    has_fixed_size,
    measure_features,
)


class SpectrogramBackbone(Backbone):
    """A timm model with one input channel: `[N, 1, M, F] -> [N, D]`.

    Args:
        variant: timm's model name, with or without a tag of its weights.
        log_mel: fields of `LogMelInput` that differ from its defaults (64 x 107 at 44.1 kHz).
        pretrained: start from timm's image weights, or from those of a file, by timm's names or those of EfficientNet-PyTorch;
            the first convolution is summed over colours. A reloaded model never does.
        model_args: further keywords of the timm model, such as `{"channels": [24, 48, 96, 192]}` for a narrow ResNet.

    Raises:
        UnknownNameError: timm has no such model; near matches are named.
        ConfigError: an argument that the model does not take, or an unknown field of `log_mel`.
        CheckpointError: `pretrained` names a file that is not there, cannot be read or holds another network.
        DownloadError: `pretrained` weights cannot be fetched.
    """

    def __init__(
        self,
        variant: str,
        *,
        log_mel: Mapping[str, Any] | None = None,
        pretrained: bool | str = False,
        model_args: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        check_variant(variant)
        self.variant = variant
        self.input = self.declared = declare(LogMelInput(), log_mel, where=f"spectrogram/{variant}: log_mel")
        size = (self.declared.n_mels, self.declared.frames)
        self.exact_size = has_fixed_size(variant)
        fixed = size if self.exact_size else None
        self.network = create_network(variant, in_chans=1, image_size=fixed, pretrained=pretrained, model_args=model_args)
        self.feature_dim = measure_features(variant, size, in_chans=1, image_size=fixed, model_args=model_args)
        self.saved_config = {
            "log_mel": self.declared.to_json(),
            "pretrained": False,
            "model_args": dict(model_args) if model_args else None,
        }

    def checkpoint_activations(self) -> None:
        """Compute the activations of timm's blocks again in the backward pass from now on."""
        checkpoint_activations(self.network, self.variant)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, 1, M, F] -> [N, D]`; F may differ from the declared one unless the model's size is fixed."""
        check_log_mel(x, self.declared, exact_frames=self.exact_size)
        return self.network(x.contiguous(memory_format=torch.channels_last))


class SpectrogramResNet18(SpectrogramBackbone):
    """ResNet-18 on `[N, 1, 64, 107]` log-mel, D = 512: the audio backbone of the JCA paper (arXiv 2203.14779).

    Takes `log_mel`, `pretrained` and `model_args` of `SpectrogramBackbone`.
    """

    def __init__(
        self,
        *,
        log_mel: Mapping[str, Any] | None = None,
        pretrained: bool | str = False,
        model_args: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__("resnet18", log_mel=log_mel, pretrained=pretrained, model_args=model_args)
