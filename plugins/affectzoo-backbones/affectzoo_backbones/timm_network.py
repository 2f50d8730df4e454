"""Build a timm model as a feature extractor, strictly: no near miss, no half-loaded weights, no network on reload."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import timm
import torch
from torch import nn

from affectzoo import count_batches_once, read_state_dict
from affectzoo.errors import CheckpointError, ConfigError, DownloadError, UnknownNameError
from affectzoo_backbones.efficientnet_names import in_timm_names
from affectzoo_backbones.messages import one_line

#: Arguments of `timm.create_model` that this package sets itself, or that name files and places to fetch from.
RESERVED = frozenset(
    {"cache_dir", "checkpoint_path", "features_only", "img_size", "in_chans", "model_name", "num_classes", "pretrained"}
    | {"pretrained_cfg", "pretrained_cfg_overlay", "pretrained_strict", "scriptable", "exportable", "no_jit"}
)


def check_variant(variant: str) -> None:
    """Raise `UnknownNameError` with near matches where timm has no such architecture or no such pretrained tag."""
    architecture, _, tag = variant.partition(".")
    if not timm.is_model(architecture) or ":" in variant:
        near = difflib.get_close_matches(architecture, timm.list_models(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "`timm.list_models()` names all."
        raise UnknownNameError(f"timm has no model called {variant!r}; {hint}")
    tagged = timm.list_pretrained(architecture) if tag else []
    if tag and variant not in tagged:
        known = ", ".join(difflib.get_close_matches(variant, tagged, n=3, cutoff=0.0)) or "none"
        raise UnknownNameError(f"timm has no pretrained weights {variant!r}; known for this model: {known}")


def has_fixed_size(variant: str) -> bool:
    """Whether the model takes one image size only (a vision transformer's position embedding, for example)."""
    config = timm.get_pretrained_cfg(variant)
    return bool(config is not None and config.fixed_input_size)


def create_network(
    variant: str,
    *,
    in_chans: int,
    image_size: tuple[int, int] | None,
    pretrained: bool | str,
    model_args: Mapping[str, Any] | None,
) -> nn.Module:
    """A timm model without its classifier: `[N, in_chans, H, W] -> [N, D]`.

    Args:
        variant: timm's name, with or without a tag (`resnet18.a1_in1k`).
        in_chans: input channels; pretrained first convolutions are adapted by timm.
        image_size: height and width where the model's size is fixed, None elsewhere.
        pretrained: load timm's weights for the variant, or those of a file by timm's names or EfficientNet-PyTorch's; every
            tensor but the classifier must come from them.
        model_args: further keywords of the timm model, such as `{"channels": [24, 48, 96, 192]}`.

    Raises:
        UnknownNameError: no such model; near matches are named.
        CheckpointError: there is no such file, it cannot be read, or it holds another network.
        ConfigError: an argument that the model does not take, or weights that do not fit.
        DownloadError: the weights cannot be fetched.
    """
    check_variant(variant)
    arguments = dict(model_args or {})
    reserved = sorted(RESERVED & arguments.keys())
    if reserved:
        raise ConfigError(f"model_args may not hold {', '.join(reserved)}: the backbone sets these itself")
    if not isinstance(pretrained, bool | str) or pretrained == "":
        raise ConfigError(f"pretrained must be true, false or a file of weights, not {pretrained!r}")
    if image_size is not None:
        arguments["img_size"] = image_size
    # Convolutions run up to twice as fast with channels last, on CPU and GPU; values and saved weights are the same.
    network = _create(variant, in_chans=in_chans, num_classes=0, **arguments).to(memory_format=torch.channels_last)
    if pretrained:
        # With another number of classes timm loads non-strictly, and a layer that the weights lack stays random in silence.
        # So the weights go into the network they were made for, strictly, and from there into ours, strictly.
        if isinstance(pretrained, str):
            donor = _filled(variant, pretrained, network, in_chans=in_chans, **arguments).state_dict()
        else:
            donor = _fetched(variant, in_chans=in_chans, **arguments).state_dict()
        missing = [key for key in network.state_dict() if key not in donor]
        if missing:
            raise ConfigError(f"the pretrained weights of {variant!r} lack {missing[0]!r}; use pretrained=False")
        network.load_state_dict({key: donor[key] for key in network.state_dict()})
    return network


def _fetched(variant: str, **arguments: Any) -> nn.Module:
    """timm's whole network with its own weights."""
    config = timm.get_pretrained_cfg(variant)
    return _create(variant, pretrained=True, num_classes=config.num_classes if config is not None else 0, **arguments)


def _filled(variant: str, file: str, network: nn.Module, **arguments: Any) -> nn.Module:
    """timm's whole network, with as many classes as the weights in a file have; `network` is the one without classifier."""
    given = in_timm_names(read_state_dict(file), network)
    config = timm.get_pretrained_cfg(variant)
    last = config.classifier if config is not None else None
    names = (last,) if isinstance(last, str) else last or ()
    classes = next((len(given[f"{name}.weight"]) for name in names if f"{name}.weight" in given), 0)
    overlay = {"state_dict": given, "num_classes": classes}
    try:
        return _create(variant, pretrained=True, num_classes=classes, pretrained_cfg_overlay=overlay, **arguments)
    except ConfigError as error:
        raise CheckpointError(f"{file} does not hold the weights of timm's {variant!r}: {error}") from error


def measure_features(
    variant: str,
    size: tuple[int, int],
    *,
    in_chans: int,
    image_size: tuple[int, int] | None,
    model_args: Mapping[str, Any] | None,
) -> int:
    """D of the model's output at `size`, found by a run without data on the meta device.

    Attributes such as `num_features` disagree among timm's families about what is left after pooling; a run does not.

    Raises:
        ConfigError: the model cannot take this size, or does not pool to one vector per image.
    """
    with torch.device("meta"), torch.no_grad():
        network = create_network(variant, in_chans=in_chans, image_size=image_size, pretrained=False, model_args=model_args)
        try:
            features = network.eval()(torch.zeros(1, in_chans, *size))
        except (AssertionError, RuntimeError, ValueError) as error:
            raise ConfigError(f"timm's {variant!r} cannot take {size[0]} x {size[1]} input: {one_line(error)}") from error
    if features.ndim != 2:
        raise ConfigError(
            f"timm's {variant!r} gives {list(features.shape[1:])} per image, not one vector; choose another model"
        )
    return features.shape[1]


def checkpoint_activations(network: nn.Module, name: str) -> None:
    """Let timm's model compute the activations of its blocks again in the backward pass from now on.

    Raises:
        ConfigError: it cannot; `name` is what the message calls it.
    """
    try:
        network.set_grad_checkpointing(True)  # pyright: ignore[reportCallIssue]
    except (AssertionError, AttributeError) as error:
        raise ConfigError(f"timm's {name} has no activation checkpointing; leave train.activation_checkpointing out") from error
    count_batches_once(network)


def _create(variant: str, **arguments: Any) -> nn.Module:
    try:
        return timm.create_model(variant, **arguments)
    except OSError as error:
        raise DownloadError(
            f"the pretrained weights of timm's {variant!r} cannot be fetched: {one_line(error).rstrip('.')}. "
            "Check the connection, name a file of weights (pretrained=FILE), or use pretrained=False."
        ) from error
    except (AssertionError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(f"timm cannot build {variant!r} with these arguments: {one_line(error)}") from error
