"""Any classifier of timm, from its Hub layout or from a bare file."""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any, cast

import timm
import torch
from pydantic import Field
from torch import Tensor, nn

from affectzoo import AffectModel, FramesInput, Imported, StrictConfig, load_state, read_state_dict
from affectzoo.errors import CheckpointError, ConfigError
from affectzoo_backbones.efficientnet_names import in_timm_names
from affectzoo_backbones.importers.parts import read_json
from affectzoo_backbones.importers.timm_model import AVERAGED, classifier_model, fill_classifier
from affectzoo_backbones.timm_network import check_variant, create_network, has_fixed_size

#: In the order of preference; a pickle is read only where there is nothing better.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
#: Side of the largest image that a number in a file may ask memory for.
_MOST_PIXELS = 4096

_CROP = (
    "How images were cut out in training is not known here: crops are the whole square on the face box's longer side and a "
    "tenth of that on each side; `margin` in config.json changes it, and `affectzoo evaluate` tells which is best."
)


class _Preprocessing(StrictConfig, extra="ignore"):
    """What timm calls `pretrained_cfg`."""

    input_size: tuple[int, int, int] | None = None
    mean: list[float] | None = None
    std: list[float] | None = None
    label_names: list[str] | dict[str, str] | str | None = None


class _Description(StrictConfig, extra="ignore"):
    """What timm's `config.json` says, as far as it matters here."""

    architecture: str
    num_classes: int | None = None
    label_names: list[str] | dict[str, str] | str | None = None
    model_args: dict[str, Any] = Field(default_factory=dict)
    pretrained_cfg: _Preprocessing = _Preprocessing()

    def labels(self, count: int) -> list[str] | None:
        """The `count` classes' names in order; None where they have none, or their number is another."""
        names = self.label_names or self.pretrained_cfg.label_names
        if isinstance(names, dict):
            names = [names[str(i)] for i in range(len(names)) if str(i) in names]
        return names if isinstance(names, list) and len(names) == count else None


def convert(source: Path, *, architecture: str = "", target: str = "class") -> Imported:
    """A timm image classifier as a model of faces: `config.json` and its weights in a folder, or a file of weights alone.

    Args:
        source: the folder or the file; tensors by timm's names or those of EfficientNet-PyTorch.
        architecture: timm's name of the network, for a file alone.
        target: what the categorical target is called.

    Raises:
        CheckpointError: damaged, of another network, or its classifier cannot be split off.
        ConfigError: `config.json` or an option is wrong, or `architecture` is missing.
        UnknownNameError: timm has no such network; near matches are named.
    """
    file, description = _find(Path(source), architecture)
    check_variant(description.architecture)
    size, arguments = _image_size(description, file)
    full, name = _fill_original(description.architecture, size, arguments, read_state_dict(file), file)
    tensors = full.state_dict()
    weight, bias = tensors.pop(f"{name}.weight"), tensors.pop(f"{name}.bias")
    if description.num_classes not in (None, len(weight)):
        raise CheckpointError(
            f"{file} has {len(weight)} outputs, but its config.json says num_classes {description.num_classes}"
        )
    labels = description.labels(len(weight))
    preprocessing = description.pretrained_cfg
    model = classifier_model(
        description.architecture,
        targets=[{"name": target, "kind": "categorical", "classes": labels or len(weight)}],
        image_size=size,
        mean=preprocessing.mean,
        std=preprocessing.std,
        model_args=arguments or None,
    )
    fill_classifier(model, tensors, weight, bias, source=file)
    _check_same(full, model, description.architecture)
    notes = [AVERAGED, _CROP]
    if labels is None:
        notes.append(f"No names of its {len(weight)} classes were found: they are called 0 to {len(weight) - 1}.")
    if preprocessing.mean is None or preprocessing.std is None:
        notes.append("Normalisation was not saved with the weights: it is what timm uses for the network's own weights.")
    return Imported(
        model=model,
        summary=f"{target} ({len(weight)} classes) of a face, timm's {description.architecture}",
        notes=tuple(notes),
    )


#: What may be fetched of a repository on the Hub.
convert.files = ("config.json", *_WEIGHTS)  # pyright: ignore[reportFunctionMemberAccess]


def _find(source: Path, architecture: str) -> tuple[Path, _Description]:
    """The file of weights, and what is known about it."""
    if not source.is_dir():
        if not architecture:
            raise ConfigError(
                f"{source} does not say which network it is; give architecture=NAME, such as architecture=resnet18"
            )
        return source, _Description(architecture=architecture)
    description = _read_description(source / "config.json")
    if architecture and architecture != description.architecture:
        raise ConfigError(f"{source} is a {description.architecture}, not a {architecture}; leave architecture out")
    for name in _WEIGHTS:
        if (source / name).is_file():
            return source / name, description
    raise CheckpointError(f"{source} holds neither {' nor '.join(_WEIGHTS)}; it is not a checkpoint in timm's layout")


def _read_description(path: Path) -> _Description:
    data = read_json(path)
    if "pretrained_cfg" not in data:
        # Before timm 0.9 everything stood on one level, and the names of classes under another key.
        data = {**data, "pretrained_cfg": {**data, "label_names": data.get("label_names", data.get("labels"))}}
    return _Description.parse(data, where=str(path))


def _image_size(description: _Description, source: Path) -> tuple[int | None, dict[str, Any]]:
    """The side of the crops in pixels, None for the network's own, and the network's other arguments."""
    arguments = dict(description.model_args)
    channels, *size = description.pretrained_cfg.input_size or (3,)
    channels = arguments.pop("in_chans", channels)
    named = arguments.pop("img_size", None)
    arguments.pop("num_classes", None)  # the last layer says it
    if named is not None:
        size = named if isinstance(named, list) else [named]
    if not all(isinstance(side, int) and 0 < side <= _MOST_PIXELS for side in size):
        raise ConfigError(f"{source}: its config.json gives {reprlib.repr(size)} for the size of images, not pixels")
    if channels != 3:
        raise CheckpointError(f"{source}: the network takes {channels} channels; only colour images, with 3, can be imported")
    if len(set(size)) > 1:
        raise CheckpointError(f"{source}: the network takes {' x '.join(map(str, size))} images; face crops are square")
    return (size[0] if size else None), arguments


def _fill_original(
    architecture: str, size: int | None, arguments: dict[str, Any], tensors: dict[str, Tensor], source: Path
) -> tuple[nn.Module, str]:
    """timm's network with its classifier, filled strictly and in evaluation mode, and the classifier's name."""
    square = (size, size) if size and has_fixed_size(architecture) else None
    sized = {**arguments, **({"img_size": square} if square else {})}
    with torch.device("meta"):
        # First, because it refuses arguments that name files or places.
        bare = create_network(architecture, in_chans=3, image_size=square, pretrained=False, model_args=arguments)
        full = timm.create_model(architecture, in_chans=3, **sized)
    classifier = getattr(full, "get_classifier", nn.Identity)()
    name = next((name for name, module in full.named_modules() if module is classifier), "")
    own = {f"{name}.weight", f"{name}.bias"}
    names = full.state_dict().keys()
    if not isinstance(classifier, nn.Linear) or not own <= names or names - own != bare.state_dict().keys():
        raise CheckpointError(_no_split(architecture))
    tensors = in_timm_names(tensors, full)
    weight = tensors.get(f"{name}.weight")
    if weight is None or weight.ndim != 2:
        raise CheckpointError(
            f"{source} has no classifier '{name}.weight', as timm's {architecture} has; this is another network"
        )
    if len(weight) < 2:
        raise CheckpointError(f"{source} has {len(weight)} output; a categorical target needs at least two")
    network = timm.create_model(architecture, in_chans=3, num_classes=len(weight), **sized).eval()
    load_state(network, tensors, source=source)
    return network, name


def _check_same(original: nn.Module, model: AffectModel, architecture: str) -> None:
    """Raise `CheckpointError` unless `model` gives what `original` gives: some networks do more than pool and classify."""
    wanted = cast(FramesInput, model.config.streams["visual"].input)
    image = torch.randn(1, 3, wanted.height, wanted.width, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = original(image)
        given = model({"visual": image[None, :, :, None]})[0]
    if not isinstance(expected, Tensor) or expected.shape != given.shape:
        raise CheckpointError(_no_split(architecture))
    # Far above rounding, far under what another order of layers would change.
    tolerance = 1e-3 * max(1.0, expected.nan_to_num().abs().max().item())
    if not torch.allclose(given, expected, rtol=0, atol=tolerance, equal_nan=True):
        raise CheckpointError(_no_split(architecture))


def _no_split(architecture: str) -> str:
    return f"timm's {architecture} does not end in one linear layer on pooled features, so its classifier cannot be split off"
