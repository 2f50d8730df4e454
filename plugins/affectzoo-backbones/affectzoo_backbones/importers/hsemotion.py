"""HSEmotion / EmotiEffLib: expression, valence and arousal of a face, by an EfficientNet (Savchenko 2021, 2022).

The authors publish whole pickled timm modules and ONNX exports of them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from affectzoo import Imported, read_module_classes, read_state_dict
from affectzoo.errors import CheckpointError
from affectzoo_backbones.importers.hsemotion_onnx import name_tensors, read_graph
from affectzoo_backbones.importers.timm_model import AVERAGED, classifier_model, fill_classifier
from affectzoo_backbones.timm_network import create_network

#: Features of the last layer -> network, and side of the crops in pixels.
_NETWORKS = {1280: ("tf_efficientnet_b0", 224), 1408: ("tf_efficientnet_b2", 260)}

_SEVEN = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
_EIGHT = ("anger", "contempt", *_SEVEN[1:])
#: Outputs -> classes, and targets after them.
_OUTPUTS = {
    7: (_SEVEN, ()),
    8: (_EIGHT, ()),
    9: (_SEVEN, ("valence", "arousal")),
    10: (_EIGHT, ("valence", "arousal")),
}

#: ImageNet's, on values in 0..1.
_MEAN = [0.485, 0.456, 0.406]
_STD = [0.229, 0.224, 0.225]
#: The authors cut faces out exactly where their detector's box is.
_MARGIN = 0.0

_CAUTION = "HSEmotion says what a face looks like to people who labelled photographs from the web, not what a person feels."
_CROP = (
    "The authors stretch the box of their detector (MTCNN), without a margin, to a square; here the crop is the square on the "
    "box's longer side, which keeps proportions, from whichever detector is chosen."
)
_RANGES = "Valence and arousal are not squashed, as in the original: they were trained on -1..1 and may leave it a little."
_FOLDED = (
    "The file's batch norms are folded into its convolutions: predictions are the same, but for fine-tuning import the .pt "
    "file, whose batch norms are whole."
)


def convert(source: Path) -> Imported:
    """A `.pt` (module or state dict), `.safetensors` or `.onnx` file of HSEmotion's EfficientNet-B0 or -B2.

    7 or 8 expressions, with or without valence and arousal; all of it is told from the shapes.

    Raises:
        CheckpointError: the file is damaged or of another network.
    """
    source = Path(source)
    read = _read_onnx if source.suffix.lower() == ".onnx" else _read_pickle
    tensors, weight, bias, folded = read(source)
    architecture, size = _network(weight, source)
    if len(weight) not in _OUTPUTS:
        raise CheckpointError(
            f"{source} has {len(weight)} outputs; HSEmotion's networks have 7 or 8, with valence and arousal 9 or 10"
        )
    classes, continuous = _OUTPUTS[len(weight)]
    model = classifier_model(
        architecture,
        targets=[{"name": "expression", "kind": "categorical", "classes": classes}, *continuous],
        image_size=size,
        mean=_MEAN,
        std=_STD,
        margin=_MARGIN,
    )
    fill_classifier(model, tensors, weight, bias, source=source)
    predicted = f"{len(classes)} expressions" + (", valence and arousal" if continuous else "")
    return Imported(
        model=model,
        summary=f"{predicted} of a face, {size} x {size} crops, {architecture}",
        notes=(AVERAGED, _CROP, *([_RANGES] if continuous else []), *([_FOLDED] if folded else [])),
        caution=_CAUTION,
    )


def _read_pickle(source: Path) -> tuple[dict[str, Tensor], Tensor, Tensor, bool]:
    """The network's tensors by timm's names, the last layer's `[K, D]` and `[K]`, and whether batch norms are folded."""
    tensors = read_state_dict(source)
    stem = read_module_classes(source).get("conv_stem", "")
    if stem and not stem.endswith(".Conv2dSame"):
        # The networks without `tf_` have the same tensors, other padding and another epsilon.
        raise CheckpointError(
            f"{source}: its first convolution is {stem}, not Conv2dSame as in HSEmotion; this is another network"
        )
    for name in ("classifier", "classifier.0"):  # a Linear, or a Sequential of one
        if f"{name}.weight" in tensors and f"{name}.bias" in tensors:
            return tensors, tensors.pop(f"{name}.weight"), tensors.pop(f"{name}.bias"), False
    raise CheckpointError(f"{source} has no last layer called 'classifier' or 'classifier.0'; it is not a network of HSEmotion")


def _read_onnx(source: Path) -> tuple[dict[str, Tensor], Tensor, Tensor, bool]:
    """As `_read_pickle`."""
    graph = read_graph(source)
    architecture, _ = _network(graph.linear_weight, source)
    with torch.device("meta"):
        network = create_network(architecture, in_chans=3, image_size=None, pretrained=False, model_args=None)
    pads = graph.convolutions[0].pads if graph.convolutions else ()
    if any(pads) and pads[:2] == pads[2:]:
        # At an even size, "same" padding of a stride of 2 goes to one side.
        raise CheckpointError(
            f"{source}: its first convolution is padded on all sides, unlike HSEmotion's; this is another network"
        )
    return name_tensors(graph, network, source=source), graph.linear_weight, graph.linear_bias, graph.is_folded


def _network(weight: Tensor, source: Path) -> tuple[str, int]:
    """timm's name of the network whose last layer has this `weight`, and the side of its crops."""
    if weight.ndim != 2 or weight.shape[1] not in _NETWORKS:
        raise CheckpointError(
            f"{source}: the last layer's weight is {list(weight.shape)}; HSEmotion's EfficientNets have "
            f"{' or '.join(map(str, _NETWORKS))} features (B0, B2)"
        )
    return _NETWORKS[weight.shape[1]]
