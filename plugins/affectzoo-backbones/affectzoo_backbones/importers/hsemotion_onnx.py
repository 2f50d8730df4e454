"""The weights inside an ONNX export of a chain of convolutions, under the names they had before the export.

`torch.onnx.export` folds a batch norm into the convolution before it, and what is folded loses its name. The order of the
convolutions stays: each is matched to the network's by place and shape, and its bias becomes the batch norm again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from affectzoo.errors import CheckpointError

#: How many inputs a node cannot do without; an input that is left out is an empty name.
_INPUTS = {"Identity": 1, "Conv": 2, "BatchNormalization": 5, "Gemm": 2}
_NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Norm:
    """A batch norm that the export left in: its tensors in the order of `_NORM`, each `[C]`, and its epsilon."""

    tensors: tuple[Tensor, ...]
    eps: float


@dataclass
class Convolution:
    """One `Conv`: weight `[C, C_in / groups, H, W]`, its name in the file, bias `[C]`, and the batch norm after it.

    `pads` are rows and columns added above, left, below and right; empty where the node says nothing.
    """

    weight: Tensor
    name: str
    bias: Tensor | None
    pads: tuple[int, ...]
    norm: Norm | None = None


@dataclass(frozen=True)
class Graph:
    """What a classifier's graph computes with: convolutions in the order in which they run, and one linear layer at the end.

    Attributes:
        linear_weight, linear_bias: `[K, D]` and `[K]`.
    """

    convolutions: tuple[Convolution, ...]
    linear_weight: Tensor
    linear_bias: Tensor

    @property
    def is_folded(self) -> bool:
        """Whether batch norms became part of the convolutions."""
        return all(convolution.norm is None for convolution in self.convolutions)


def read_graph(path: Path) -> Graph:
    """Read the convolutions and the linear layer of an ONNX file. Runs nothing, opens no other file.

    Raises:
        CheckpointError: the package `onnx` is absent, or the file is damaged or no such classifier; one sentence.
    """
    nodes, tensors = _load(path)
    convolutions: list[Convolution] = []
    linears: list[tuple[Tensor, Tensor]] = []
    last_output = ""
    for node in nodes:
        given = list(node.input)
        needed = _INPUTS.get(node.op_type, 0)
        if len(given) < needed or not all(given[:needed]) or not node.output:
            raise CheckpointError(f"{path} is damaged: a node {node.op_type} lacks an input or output; get it again")
        if node.op_type == "Constant":
            tensors.update((node.output[0], attribute.t) for attribute in node.attribute if attribute.name == "value")
        elif node.op_type == "Identity" and given[0] in tensors:
            # An exporter stores equal tensors once.
            tensors[node.output[0]] = tensors[given[0]]
        elif node.op_type == "Conv":
            weight, *rest = _weights(given[1:], tensors, path)
            convolutions.append(Convolution(weight, given[1], rest[0] if rest else None, _pads(node)))
            last_output = node.output[0]
        elif node.op_type == "BatchNormalization":
            if not convolutions or given[0] != last_output:
                raise CheckpointError(f"{path}: a batch norm does not follow a convolution; this is another network")
            stored = tuple(_weights(given[1:5], tensors, path))
            convolutions[-1].norm = Norm(stored, _attribute(node, "epsilon", 1e-5))
        elif node.op_type == "Gemm":
            weight, *rest = _weights(given[1:], tensors, path)
            plain = not _attribute(node, "transA", 0) and _attribute(node, "alpha", 1.0) == _attribute(node, "beta", 1.0) == 1.0
            if not rest or not plain or weight.ndim != 2:
                raise CheckpointError(f"{path}: the last layer is not a linear layer with a bias; this is another network")
            linears.append((weight if _attribute(node, "transB", 0) else weight.T.contiguous(), rest[0]))
    if len(linears) != 1:
        raise CheckpointError(f"{path} has {len(linears)} linear layers, not one; this is another network")
    return Graph(tuple(convolutions), *linears[0])


def name_tensors(graph: Graph, network: nn.Module, *, source: Path) -> dict[str, Tensor]:
    """The graph's weights by `network`'s names, ready for `affectzoo.load_state`.

    Args:
        graph: as read from `source`.
        network: without its last layer, on any device; its convolutions run in the order in which it lists them, and each
            that has no bias is followed by a batch norm.

    Raises:
        CheckpointError: the graph's convolutions are not the network's; the first that differs is named.
    """
    layers = [(name, m) for name, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    places = [(name, m, after) for (name, m), after in pairwise([*layers, ("", None)]) if isinstance(m, nn.Conv2d)]
    if len(places) != len(graph.convolutions):
        raise CheckpointError(
            f"{source} has {len(graph.convolutions)} convolutions, not {len(places)}; this is another network"
        )
    known = network.state_dict().keys()
    named: dict[str, Tensor] = {}
    for (name, layer, (after_name, after)), convolution in zip(places, graph.convolutions, strict=True):
        if convolution.weight.shape != layer.weight.shape:
            raise CheckpointError(
                f"{source}: the convolution in the place of {name!r} has shape {list(convolution.weight.shape)}, "
                f"not {list(layer.weight.shape)}; this is another network"
            )
        if convolution.name in known and convolution.name != f"{name}.weight":
            raise CheckpointError(
                f"{source}: {convolution.name!r} stands in the place of '{name}.weight'; this is another network"
            )
        named[f"{name}.weight"] = convolution.weight
        if isinstance(after, nn.BatchNorm2d):
            norm = _norm_of(convolution, after, name, source)
            named.update({f"{after_name}.{key}": tensor for key, tensor in zip(_NORM, norm, strict=True)})
        elif convolution.bias is None or convolution.norm is not None:
            raise CheckpointError(f"{source}: {name!r} must have a bias and no batch norm; this is another network")
        else:
            named[f"{name}.bias"] = convolution.bias
    return named


def _norm_of(convolution: Convolution, norm: nn.BatchNorm2d, name: str, source: Path) -> Sequence[Tensor]:
    """Tensors that make `norm` do what the file does after `convolution`, in the order of `_NORM`."""
    if convolution.norm is not None and convolution.bias is None:
        if not math.isclose(convolution.norm.eps, norm.eps, rel_tol=1e-4):  # the file holds it in float32
            raise CheckpointError(
                f"{source}: the batch norm after {name!r} has epsilon {convolution.norm.eps:.3g}, not {norm.eps:.3g}; "
                "this is another network"
            )
        return convolution.norm.tensors
    if convolution.norm is not None or convolution.bias is None:
        raise CheckpointError(f"{source}: {name!r} must have a batch norm or a bias, and not both; this is another network")
    ones, zeros = torch.ones_like(convolution.bias), torch.zeros_like(convolution.bias)
    return ones, convolution.bias, zeros, ones - norm.eps


def _load(path: Path) -> tuple[Sequence[Any], dict[str, Any]]:
    """The nodes of a file's graph and its stored tensors by name."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise CheckpointError(
            f"{path} needs the package onnx to be read; install it with `pip install 'affectzoo-backbones[onnx]'`"
        ) from error
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except (DecodeError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or not an ONNX file; get it again") from error
    return graph.node, {tensor.name: tensor for tensor in graph.initializer}


def _weights(names: Sequence[str], tensors: dict[str, Any], path: Path) -> list[Tensor]:
    """The stored tensors of these names, float."""
    return [_weight(name, tensors, path) for name in names if name]


def _weight(name: str, tensors: dict[str, Any], path: Path) -> Tensor:
    from onnx import TensorProto, numpy_helper

    if name not in tensors:
        raise CheckpointError(f"{path}: the weight {name!r} is computed, not stored; this is another network")
    stored = tensors[name]
    if stored.data_location == TensorProto.EXTERNAL:
        raise CheckpointError(f"{path} keeps its weights in other files; export it as one file")
    try:
        array = numpy_helper.to_array(stored)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: the tensor {name!r} is damaged; get the file again") from error
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise CheckpointError(f"{path}: the weight {name!r} is {array.dtype}, not float; quantised networks are not read")
    return torch.from_numpy(array.astype(np.float32))


def _pads(node: Any) -> tuple[int, ...]:
    return next((tuple(a.ints) for a in node.attribute if a.name == "pads"), ())


def _attribute(node: Any, name: str, default: float) -> float:
    """A number that the node has, or the `default` of the ONNX standard."""
    from onnx import AttributeProto

    return next((a.f if a.type == AttributeProto.FLOAT else a.i for a in node.attribute if a.name == name), default)
