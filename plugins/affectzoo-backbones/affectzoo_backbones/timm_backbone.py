"""Any timm model as a face backbone: one pass per frame, pooled over the frames of a sub-sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from timm.data.config import resolve_model_data_config
from torch import Tensor

from affectzoo import Backbone, FramesInput
from affectzoo.errors import ConfigError
from affectzoo_backbones.inputs import check_frames
from affectzoo_backbones.timm_network import (
    check_variant,
    checkpoint_activations,
    create_network,
    has_fixed_size,
    measure_features,
)

#: Pixels of 0 to 1: a picture of one grey has no contrast to be blown up.
_LEAST_SPREAD = 0.025


class TimmBackbone(Backbone):
    """A timm model on every frame: `[N, 3, T, H, W] -> [N, D]` (Wightman 2019, PyTorch Image Models).

    Args:
        variant: timm's model name, with or without a tag of its weights.
        frames: T, frames per sub-sequence.
        image_size: side of the crops in pixels; None is the size the model's weights were trained at.
        pretrained: start from timm's weights, or from those of a file, by timm's names or those of EfficientNet-PyTorch. A
            reloaded model never does.
        pool_frames: how T vectors become one.
        mean, std: per channel, on values in 0..1; None is what the model's weights were trained with.
        margin: room around the face box, as in `FramesInput`.
        colour: `rgb`, or `grey` for luminance repeated over three channels.
        standardise: each frame minus its own mean, over its own standard deviation (and a fortieth of the range of pixels):
            neither exposure nor how light a skin is counts as such.
        mirror: in evaluation, features are the mean of those of each picture and of its mirror image; twice the time.
        model_args: further keywords of the timm model, such as `{"channels": [24, 48, 96, 192]}` for a narrow ResNet.

    Raises:
        UnknownNameError: timm has no such model; near matches are named.
        ConfigError: an argument that the model does not take.
        CheckpointError: `pretrained` names a file that is not there, cannot be read or holds another network.
        DownloadError: `pretrained` weights cannot be fetched.
    """

    def __init__(
        self,
        variant: str,
        *,
        frames: int = 8,
        image_size: int | None = None,
        pretrained: bool | str = False,
        pool_frames: Literal["mean", "max"] = "mean",
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        margin: float = 0.2,
        colour: Literal["rgb", "grey"] = "rgb",
        standardise: bool = False,
        mirror: bool = False,
        model_args: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if pool_frames not in ("mean", "max"):
            raise ConfigError(f"pool_frames must be 'mean' or 'max', not {pool_frames!r}")
        if image_size is not None and (not isinstance(image_size, int) or image_size < 1):
            raise ConfigError(f"image_size must be a positive number of pixels, not {image_size!r}")
        check_variant(variant)
        self.variant = variant
        self.pool_frames = pool_frames
        self.standardise, self.mirror = standardise, mirror
        self.exact_size = has_fixed_size(variant)
        square = (image_size, image_size) if image_size else None
        fixed = square if self.exact_size else None
        self.network = create_network(variant, in_chans=3, image_size=fixed, pretrained=pretrained, model_args=model_args)
        trained_with = resolve_model_data_config(self.network)
        height, width = square or trained_with["input_size"][-2:]
        self.input = self.declared = FramesInput.parse(
            {
                "frames": frames,
                "height": height,
                "width": width,
                "mean": tuple(trained_with["mean"] if mean is None else mean),
                "std": tuple(trained_with["std"] if std is None else std),
                "margin": margin,
                "colour": colour,
            },
            where=f"timm/{variant}",
        )
        self.feature_dim = measure_features(
            variant, (self.declared.height, self.declared.width), in_chans=3, image_size=fixed, model_args=model_args
        )
        # Everything resolved, nothing to fetch: timm may change what a variant was trained with, a saved model may not.
        self.saved_config = {
            "frames": frames,
            "image_size": image_size if height != width else height,
            "pretrained": False,
            "pool_frames": pool_frames,
            "mean": list(self.declared.mean),
            "std": list(self.declared.std),
            "margin": self.declared.margin,
            "colour": colour,
            "standardise": standardise,
            "mirror": mirror,
            "model_args": dict(model_args) if model_args else None,
        }

    def checkpoint_activations(self) -> None:
        """Compute the activations of timm's blocks again in the backward pass from now on."""
        checkpoint_activations(self.network, self.variant)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, 3, T, H, W] -> [N, D]`; T may differ from the declared one, H and W too unless the model's size is fixed."""
        check_frames(x, self.declared, exact_size=self.exact_size)
        batch, _, time = x.shape[:3]
        images = x.transpose(1, 2).flatten(0, 1)
        if self.standardise:
            images = self._standardised(images)
        images = images.contiguous(memory_format=torch.channels_last)
        features = self.network(images)
        if self.mirror and not self.training:
            features = (features + self.network(images.flip(-1))) / 2
        features = features.unflatten(0, (batch, time))
        return features.mean(dim=1) if self.pool_frames == "mean" else features.amax(dim=1)

    def _standardised(self, images: Tensor) -> Tensor:
        """`[N, 3, H, W]`, normalised as declared; all three channels together, so that hues stay."""
        shape = (1, 3, 1, 1)
        mean, std = (images.new_tensor(values).view(shape) for values in (self.declared.mean, self.declared.std))
        pixels = images * std + mean
        spread, middle = torch.std_mean(pixels, dim=(1, 2, 3), keepdim=True)
        return (pixels - middle) / (spread + _LEAST_SPREAD)
