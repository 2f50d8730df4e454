"""A timm classifier as a model of one visual stream: the network is the backbone, the last layer the head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from affectzoo import AffectModel, create_model, load_state
from affectzoo.errors import CheckpointError

#: A classifier of single images on video: a row for every half second, from two crops a quarter of a second apart. A longer
#: step would blur expressions, most of which last 0.5 to 4 s; more crops cost time and hardly differ from their neighbours.
FRAMES = 2
SEQUENCE = {"seconds": 0.5, "length": 16}

AVERAGED = (
    "The original takes single images; here two crops a quarter of a second apart make a row for every half second. Their "
    "features are averaged, which is the same as averaging the outputs, because the last layer is linear."
)


def classifier_model(architecture: str, *, targets: Sequence[Any], **config: Any) -> AffectModel:
    """An unfilled model in evaluation mode: `timm/<architecture>` and one linear layer for each target.

    Args:
        architecture: timm's name.
        targets: as `affectzoo.create_model` takes them.
        config: further keywords of the `timm/` backbone, such as `image_size` and `margin`.
    """
    visual = {"name": f"timm/{architecture}", "config": {"frames": FRAMES, "pretrained": False, **config}}
    return create_model(visual=visual, targets=targets, sequence=SEQUENCE, head={"hidden": None}).eval()


def fill_classifier(
    model: AffectModel, network: Mapping[str, Tensor], weight: Tensor, bias: Tensor, *, source: str | Path
) -> None:
    """Fill a `classifier_model`, strictly.

    Args:
        network: the tensors before the last layer, by timm's names.
        weight, bias: of the last layer, `[K, D]` and `[K]`: a row for each column of the model, in order.

    Raises:
        CheckpointError: a tensor is missing, left over or misshapen; it and `source` are named.
    """
    load_state(model.get_submodule("backbones.visual.network"), network, source=source)
    rows = len(model.columns)
    if len(weight) != rows or tuple(bias.shape) != (rows,):
        raise CheckpointError(
            f"{source}: the last layer is {list(weight.shape)} and {list(bias.shape)}, not of {rows} outputs; "
            "this is another network"
        )
    start = 0
    for target, regressor in zip(model.head.targets, model.head.regressors.children(), strict=True):
        own = slice(start, start + len(target.columns))
        *_, linear = regressor.children()
        load_state(linear, {"weight": weight[own], "bias": bias[own]}, source=source)
        start = own.stop
