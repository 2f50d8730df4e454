"""The trunk that all networks here share: stem, four stages of blocks by name, mean over what is left of T, H and W."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import affectzoo
from affectzoo import Backbone, Block, FramesInput, count_batches_once
from affectzoo.errors import ConfigError, InputError
from affectzoo_dmsn.inflate import initialise
from affectzoo_dmsn.layers import StemPool, check_flag, check_list, check_positive, conv_bn


class DMSN(Backbone):
    """A 3D residual network of blocks by name: face crops `[N, 3, T, H, W] -> [N, D]`, D the last of `widths`.

    The conventions are those of the same authors' released MSN: stem 7x7x7 with stride (1, 2, 2), batch norm, ReLU,
    max-pool 3 with stride 2; 16 crops of 112 x 112, every 4th or 8th frame of a video. The layout of the stages is ours
    (reconstruction, see `affectzoo_dmsn.blocks`).

    The start is ours too: half of the stem's filters are differences over time, the last batch norm of each block is zero.
    On CPUs it trains in float32 whatever the autocast, because bfloat16 gradients fail there.

    A sub-sequence of 16 crops that lasts `seconds` samples every n-th frame of a 30 fps video with
    `seconds = 16 * n / 30`: 2.1333 for every 4th, 4.2667 for every 8th.

    Args:
        block: a block by registry name, yours among them (`{name, distribution, version}` in a saved model).
        block_config: keywords for every block, such as `{"kernels": [3, 5]}`.
        layers: blocks in each stage.
        widths: C of each stage.
        multiscale_stages: stages, from 1, whose blocks are multiscale; the others get `multiscale=False`. None is 1 and 2
            where the block has that option, and leaves other blocks alone.
        downsample: halve T, H and W at the start of a stage by `stride` in its first block, or by a max-`pool` before it.
        downsample_stages: stages, from 1, that begin so.
        stem_width: C of the stem.
        frames, image_size: T, and H = W; other sizes are refused.
        mean, std, colour, margin: as in `FramesInput`.
        activation_checkpointing: compute each block again in the backward pass instead of keeping its activations.
        init: start from other weights: `timm/resnet34` (a 2D ResNet, inflated), a `.safetensors` file of one in timm's
            naming, or what `affectzoo.load` takes, a model whose visual network is like this one. A reloaded model never
            does. What was taken is in `init_report`.

    Raises:
        ConfigError: unknown block, widths that do not divide, lists that do not fit each other.
        DownloadError, CheckpointError: the weights of `init` cannot be had or do not fit.
    """

    def __init__(
        self,
        *,
        block: str | Mapping[str, Any] = "dmsn-c",
        block_config: Mapping[str, Any] | None = None,
        layers: Sequence[int] = (3, 4, 6, 3),
        widths: Sequence[int] = (64, 128, 256, 512),
        multiscale_stages: Sequence[int] | None = None,
        downsample: Literal["stride", "pool"] = "stride",
        downsample_stages: Sequence[int] = (2, 3, 4),
        stem_width: int = 64,
        frames: int = 16,
        image_size: int = 112,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        colour: Literal["rgb", "grey"] = "rgb",
        margin: float = 0.2,
        activation_checkpointing: bool = False,
        init: str | None = None,
    ) -> None:
        super().__init__()
        layers, widths = check_list("layers", layers), check_list("widths", widths)
        _check_layout(layers, widths, downsample, block_config)
        downsample_stages = _check_stages("downsample_stages", downsample_stages, len(layers))
        check_positive("frames", frames)
        check_positive("image_size", image_size)
        check_positive("stem_width", stem_width)
        check_flag("activation_checkpointing", activation_checkpointing)
        self.input = self.declared = FramesInput.parse(
            {
                "frames": frames,
                "height": image_size,
                "width": image_size,
                "mean": mean,
                "std": std,
                "colour": colour,
                "margin": margin,
            },
            where="input",
        )
        config = dict(block_config or {})
        provider = _provider(block, stem_width, widths[0], config)
        multiscale = _multiscale(provider, multiscale_stages, len(layers))
        # Everything resolved, so that a reloaded model is built alike whatever a later release takes for None.
        self.saved_config = {
            "block": provider,
            "block_config": config,
            "layers": layers,
            "widths": widths,
            "multiscale_stages": multiscale,
            "downsample": downsample,
            "downsample_stages": downsample_stages,
            "stem_width": stem_width,
            **{name: self.declared.to_json()[name] for name in ("frames", "mean", "std", "colour", "margin")},
            "image_size": image_size,
            "activation_checkpointing": activation_checkpointing,
            "init": None,
        }
        self.activation_checkpointing = False
        self.stem = nn.Sequential(conv_bn(3, stem_width, (7, 7, 7), (1, 2, 2)), StemPool())
        _see_motion(self.stem)
        stages: list[nn.Module] = []
        channels = stem_width
        for number, (count, width) in enumerate(zip(layers, widths, strict=True), 1):
            halved = number in downsample_stages
            scales = {} if multiscale is None else {"multiscale": number in multiscale}
            stage = nn.Sequential()
            if halved and downsample == "pool":
                stage.append(nn.MaxPool3d(2, 2, ceil_mode=True))
            for position in range(count):
                stride = 2 if halved and downsample == "stride" and position == 0 else 1
                built = affectzoo.create_block(provider, channels, width, stride, **config, **scales)
                stage.append(built)
                channels = built.out_channels
            stages.append(stage)
        self.stages = nn.ModuleList(stages)
        self.feature_dim = channels
        if init is not None:
            self.init_report = initialise(self, init)
        if activation_checkpointing:
            self.checkpoint_activations()

    def checkpoint_activations(self) -> None:
        """Compute each block again in the backward pass from now on."""
        self.activation_checkpointing = True
        count_batches_once(self)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, 3, T, H, W] -> [N, D]`, T, H and W as declared."""
        wanted = self.declared
        if x.ndim != 5 or list(x.shape[1:]) != [3, wanted.frames, wanted.height, wanted.width]:
            raise InputError(
                f"this network takes face crops [N, 3, {wanted.frames}, {wanted.height}, {wanted.width}], not {list(x.shape)}"
            )
        if not x.is_floating_point():
            raise InputError(f"a backbone takes normalised floating-point input, not {x.dtype}")
        if x.device.type == "cpu" and torch.is_grad_enabled() and torch.is_autocast_enabled("cpu"):
            # There the bfloat16 gradients of small 3D feature maps are now and then not numbers (torch 2.15, oneDNN).
            with torch.autocast("cpu", enabled=False):
                return self._features(x.float())
        return self._features(x)

    def _features(self, x: Tensor) -> Tensor:
        if self.training or x.device.type == "cpu":  # the faster layout there (elsewhere: optimize_for_inference)
            x = x.contiguous(memory_format=torch.channels_last_3d)
        x = self.stem(x)
        for stage in self.stages:
            for part in stage.children():
                if self.activation_checkpointing and self.training and isinstance(part, Block):
                    x = checkpoint(part, x, use_reentrant=False)
                else:
                    x = part(x)
        return x.mean(dim=(2, 3, 4))


@torch.no_grad()
def _see_motion(stem: nn.Module) -> None:
    """Half of the filters start as differences over time, each pixel's weights summing to zero. Ours.

    A face moves little against what stays: filters drawn at random answer to its looks, and a network that begins with them
    learns nothing of movement from a few thousand clips.
    """
    for module in stem.modules():
        if isinstance(module, nn.Conv3d):
            half = module.weight[: module.out_channels // 2]
            half -= half.mean(dim=2, keepdim=True)


def _check_layout(layers: list[int], widths: list[int], downsample: str, block_config: object) -> None:
    if not layers:
        raise ConfigError("layers must name at least one stage")
    if len(layers) != len(widths):
        raise ConfigError(f"layers names {len(layers)} stages and widths {len(widths)}; both must name every stage")
    if downsample not in ("stride", "pool"):
        raise ConfigError(f"downsample must be 'stride' or 'pool', not {downsample!r}")
    if block_config is not None and not isinstance(block_config, Mapping):
        raise ConfigError(f"block_config must be a mapping of the block's keywords, not {block_config!r}")
    for key, instead in (("in_channels", "widths"), ("width", "widths"), ("stride", "downsample_stages")):
        if key in (block_config or {}):
            raise ConfigError(f"block_config cannot set {key}, which differs from stage to stage; set {instead}")
    if "multiscale" in (block_config or {}):
        raise ConfigError("block_config cannot set multiscale, which differs from stage to stage; set multiscale_stages")


def _check_stages(key: str, stages: object, count: int) -> list[int]:
    for stage in check_list(key, stages):
        if stage > count:
            raise ConfigError(f"{key} counts stages from 1 to {count}; there is no stage {stage}")
    return check_list(key, stages)


def _provider(block: object, in_channels: int, width: int, config: dict[str, Any]) -> dict[str, Any]:
    """The block's name with the distribution and version that provide it, by building one."""
    if not isinstance(block, str | Mapping):
        raise ConfigError(f"block must be a registry name such as 'dmsn-c', not {block!r}")
    component = affectzoo.create_block(block, in_channels, width, **config).component
    assert component is not None
    return {"name": component.name, "distribution": component.distribution, "version": component.version}


def _multiscale(provider: dict[str, Any], stages: object, count: int) -> list[int] | None:
    """The stages whose blocks are multiscale; None where the block knows nothing of scales."""
    name = f"{provider['distribution']}/{provider['name']}"
    if "multiscale" not in affectzoo.info(name, kind="block").options:
        if stages is not None:
            raise ConfigError(f"the block {provider['name']!r} has no option 'multiscale': leave multiscale_stages out")
        return None
    if stages is None:
        return [stage for stage in (1, 2) if stage <= count]
    return _check_stages("multiscale_stages", stages, count)
