"""Start a 3D network from other weights: a 2D ResNet's, inflated, or those of an affectzoo model with a network like it.

Inflation (after Carreira and Zisserman 2017, here into the centre): a 2D kernel `[O, I, k, k]` becomes the middle of a 3D
kernel `[O, I, T, K, K]`, zeros around it, so that the 3D layer computes at first what the 2D layer computed, frame by frame.
Layers are matched within the same stage and block. Branches that together use up a 2D layer's filters divide them: the first
branch takes the first filters, the second the next. What has no match keeps its random start, so that only `basic3d` becomes
the 2D network itself; the other blocks get filters to start from.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import affectzoo
from affectzoo import Block
from affectzoo.errors import AffectzooError, CheckpointError, ConfigError, DownloadError
from affectzoo_dmsn.layers import Branches

_NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class InitReport:
    """What a network took from other weights.

    Attributes:
        source: where they came from.
        whole, share: layers that took a layer, or a share of a layer's filters.
        left: layers that keep their random start.
        unused: tensors of the source that nothing took.
        parameters, of: weights taken, and weights in the network.
    """

    source: str
    whole: tuple[str, ...]
    share: tuple[str, ...]
    left: tuple[str, ...]
    unused: tuple[str, ...]
    parameters: int
    of: int

    def __str__(self) -> str:
        parts = [f"{len(self.whole)} layers whole"]
        if self.share:
            parts.append(f"{len(self.share)} from a share of a layer's filters")
        parts.append(f"{len(self.left)} keep their random start" + (f" ({_some(self.left)})" if self.left else ""))
        if self.unused:
            parts.append(f"not used: {_some(self.unused)}")
        return f"from {self.source}: {self.parameters / self.of:.0%} of the weights; {'; '.join(parts)}"


def _some(names: tuple[str, ...], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def initialise(network: nn.Module, init: str) -> InitReport:
    """Fill a trunk in place.

    Args:
        network: a `DMSN`.
        init: `timm/NAME` for a 2D ResNet with its public weights, a `.safetensors` file with a 2D ResNet in timm's naming, or
            what `affectzoo.load` takes: a model whose visual backbone is like this one, such as one trained on face identity.

    Raises:
        DownloadError: timm's weights cannot be fetched.
        CheckpointError, ConfigError: there is no such file or model, or nothing in it fits.
    """
    if not isinstance(init, str) or not init:
        raise ConfigError(f"init must name weights: timm/NAME, a .safetensors file, or a model; not {init!r}")
    if init.startswith("timm/"):
        return inflate(network, _timm_weights(init.removeprefix("timm/")), init)
    if init.endswith(".safetensors"):
        return inflate(network, _file_weights(Path(init)), init)
    return copy_backbone(network, init)


def _timm_weights(name: str) -> Mapping[str, Tensor]:
    import timm

    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture) or (tag and name not in timm.list_pretrained(architecture)):
        known = timm.list_pretrained(architecture) if timm.is_model(architecture) else timm.list_models("*resnet*")
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "use a ResNet of it, such as timm/resnet50"
        raise ConfigError(f"init: timm has no model {name!r}; {hint}")
    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # timm and the Hub's client fail in many ways
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")
        raise DownloadError(
            f"init: the weights of timm/{name} cannot be fetched: {reason}. Without a connection, give a .safetensors file"
        ) from error


def _file_weights(path: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise CheckpointError(f"init: there is no file {path}")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"init: {path} is not a safetensors file: {error}") from error


@dataclass
class _Flat:
    """A 2D convolution with its batch norm; `given` counts the filters that have been handed out."""

    name: str
    kernel: Tensor
    norm: dict[str, Tensor]
    given: int = 0


@torch.no_grad()
def inflate(network: nn.Module, weights: Mapping[str, Tensor], source: str) -> InitReport:
    """Fill a trunk from a 2D ResNet's state dict in timm's naming (`conv1`, `layer1.0.conv2`, ...); see the module."""
    flat = _flat_layers(weights)
    whole: list[str] = []
    share: list[str] = []
    left: list[str] = []
    used: set[str] = set()
    taken = 0
    for layer in _layers(network):
        match = _match(layer, flat.get(layer.place, []))
        if match is None:
            left.append(layer.name)
            continue
        filters = layer.convolution.out_channels
        rows = slice(match.given, match.given + filters)
        match.given += filters
        _fill(layer.convolution.weight, match.kernel[rows])
        for part, values in match.norm.items():
            getattr(layer.norm, part).copy_(values[rows])
        (whole if filters == match.kernel.shape[0] else share).append(layer.name)
        used.add(match.name)
        filled = (layer.convolution, layer.norm) if match.norm else (layer.convolution,)
        taken += sum(parameter.numel() for part in filled for parameter in part.parameters())
    unused = tuple(name for name in weights if name.endswith("weight") and not _belongs(name, used))
    total = sum(parameter.numel() for parameter in network.parameters())
    if not whole and not share:
        raise CheckpointError(
            f"init: nothing in {source} fits this network; it takes a 2D ResNet in timm's naming that has layers of the same "
            "widths in the same stages (timm/resnet18 and timm/resnet50: 64, 128, 256, 512)"
        )
    return InitReport(source, tuple(whole), tuple(share), tuple(left), unused, taken, total)


def _flat_layers(weights: Mapping[str, Tensor]) -> dict[tuple[int, int], list[_Flat]]:
    """(stage, block) -> its 2D convolutions in order; the stem is (0, 0)."""
    found: dict[tuple[int, int], list[_Flat]] = {}
    for name, kernel in weights.items():
        place = re.fullmatch(r"(?:layer(\d+)\.(\d+)\.)?(conv\d+|downsample\.\d+)\.weight", name)
        if place is None or kernel.ndim != 4:
            continue
        layer = name.removesuffix(".weight")
        if "downsample" in layer:
            beside = layer.rpartition(".")[0] + f".{int(layer.rpartition('.')[2]) + 1}"
        else:
            beside = layer.replace("conv", "bn")
        norm = {part: weights[f"{beside}.{part}"] for part in _NORM if f"{beside}.{part}" in weights}
        stage, block = (int(group) if group else 0 for group in place.groups()[:2])
        found.setdefault((stage, block), []).append(_Flat(layer, kernel, norm if len(norm) == len(_NORM) else {}))
    return found


@dataclass(frozen=True)
class _Layer:
    """A 3D convolution with the batch norm that follows it at once; `place` is its (stage, block), (0, 0) the stem.

    `branches` is how many stand side by side there, 0 outside of branches.
    """

    name: str
    place: tuple[int, int]
    convolution: nn.Conv3d
    norm: nn.BatchNorm3d
    shortcut: bool
    branches: int


def _layers(network: nn.Module) -> list[_Layer]:
    found = _layers_in(network.get_submodule("stem"), "stem", (0, 0))
    for number, stage in enumerate(network.get_submodule("stages").children(), 1):
        blocks = [(name, part) for name, part in stage.named_children() if isinstance(part, Block)]
        for position, (name, block) in enumerate(blocks):
            found += _layers_in(block, f"stages.{number - 1}.{name}", (number, position))
    return found


def _layers_in(module: nn.Module, name: str, place: tuple[int, int], branches: int = 0) -> list[_Layer]:
    found: list[_Layer] = []
    children = list(module.named_children())
    for index, (key, part) in enumerate(children):
        beside = children[index + 1][1] if index + 1 < len(children) else None
        if isinstance(part, nn.Conv3d) and isinstance(beside, nn.BatchNorm3d):
            found.append(_Layer(f"{name}.{key}", place, part, beside, ".shortcut" in name, branches))
        found += _layers_in(part, f"{name}.{key}", place, len(children) if isinstance(module, Branches) else branches)
    return found


def _match(layer: _Layer, candidates: list[_Flat]) -> _Flat | None:
    """The first 2D layer with as many inputs, filters left, and a kernel that fits inside; the same size goes first."""
    filters, inputs, _, height, width = layer.convolution.weight.shape
    fitting = [
        flat
        for flat in candidates
        if flat.kernel.shape[1] == inputs
        # Branches that together use up a layer's filters divide them; anything else takes all of them.
        and flat.kernel.shape[0] - flat.given >= filters
        and flat.kernel.shape[0] <= filters * max(1, layer.branches)
        and flat.kernel.shape[2] <= height
        and flat.kernel.shape[3] <= width
        # One pixel in the middle of a larger kernel would waste the larger kernel.
        and (flat.kernel.shape[2] > 1 or height == 1)
        and ("downsample" in flat.name) == layer.shortcut
    ]
    return min(fitting, key=lambda flat: flat.kernel.shape[2] != height, default=None)


def _fill(kernel: Tensor, flat: Tensor) -> None:
    """Put `[O, I, k, k]` into the middle of `[O, I, T, K, K]`, zeros around it."""
    kernel.zero_()
    time, height, width = (size // 2 for size in kernel.shape[2:])
    h, w = flat.shape[2] // 2, flat.shape[3] // 2
    kernel[:, :, time, height - h : height - h + flat.shape[2], width - w : width - w + flat.shape[3]] = flat


def _belongs(name: str, used: set[str]) -> bool:
    """Whether a tensor is part of a convolution that was used, or of its batch norm."""
    layer = name.removesuffix(".weight")
    if layer in used or layer.replace("bn", "conv") in used:
        return True
    above, _, number = layer.rpartition(".")
    return number.isdigit() and f"{above}.{int(number) - 1}" in used and "downsample" in layer


@torch.no_grad()
def copy_backbone(network: nn.Module, model: str) -> InitReport:
    """Copy every tensor of the same name and shape from the visual backbone of an affectzoo model; a partial fit is taken.

    Raises:
        ConfigError, CheckpointError: there is no such model, it does not see, or nothing in it fits.
    """
    try:
        backbones = affectzoo.load(model).backbones
    except AffectzooError as error:
        raise type(error)(f"init: {error}") from error
    if "visual" not in backbones:
        raise CheckpointError(f"init: {model} has no visual backbone; it has {', '.join(backbones)}")
    theirs, ours = backbones["visual"].state_dict(), network.state_dict()
    fitting = {name: tensor for name, tensor in theirs.items() if name in ours and ours[name].shape == tensor.shape}
    layers = [name.removesuffix(".weight") for name, part in ours.items() if name.endswith(".weight") and part.ndim > 1]
    whole = tuple(layer for layer in layers if f"{layer}.weight" in fitting)
    if not whole:
        raise CheckpointError(f"init: nothing in the visual backbone of {model} fits this network; build both alike")
    network.load_state_dict(fitting, strict=False)
    parameters = dict(network.named_parameters())
    return InitReport(
        source=model,
        whole=whole,
        share=(),
        left=tuple(layer for layer in layers if layer not in whole),
        unused=tuple(name for name in theirs if name not in fitting),
        parameters=sum(part.numel() for name, part in parameters.items() if name in fitting),
        of=sum(part.numel() for part in parameters.values()),
    )
