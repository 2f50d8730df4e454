"""Names of tensors: EfficientNet-PyTorch (Melas-Kyriazi 2019), in which many EfficientNets are published, and timm."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

#: A block that widens first, and one that does not.
_INVERTED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_se_reduce": "se.conv_reduce",
    "_se_expand": "se.conv_expand",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_SEPARABLE = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_se_reduce": "se.conv_reduce",
    "_se_expand": "se.conv_expand",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}


def in_timm_names(tensors: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """`tensors` by timm's names, where they have those of EfficientNet-PyTorch; else as they are.

    Args:
        tensors: of the whole network or a part of it; names that are not known stay.
        network: timm's, whose stages say where the blocks, numbered through there, belong.
    """
    stages = getattr(network, "blocks", None)
    if "_conv_stem.weight" not in tensors or not isinstance(stages, nn.Sequential):
        return dict(tensors)
    places = [f"{i}.{k}" for i, stage in enumerate(stages) for k, _ in enumerate(stage.children())]
    return {_renamed(name, places, tensors): tensor for name, tensor in tensors.items()}


def _renamed(name: str, places: list[str], tensors: Mapping[str, Tensor]) -> str:
    if inside := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
        number, part, rest = inside.groups()
        names = _INVERTED if f"_blocks.{number}._expand_conv.weight" in tensors else _SEPARABLE
        known = part in names and int(number) < len(places)
        return f"blocks.{places[int(number)]}.{names[part]}.{rest}" if known else name
    part, _, rest = name.partition(".")
    return f"{_OUTSIDE[part]}.{rest}" if part in _OUTSIDE else name
