"""Batch norms become part of the convolutions before them, in any network: found by following one forward pass."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import fuse_conv_bn_eval
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from affectzoo.model.contracts import Backbone

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
#: Largest difference that a fold may make, relative to the largest value, in float32.
TOLERANCE = 1e-3


@dataclass
class Chain:
    """A convolution, its input, and what alone takes its output: a batch norm (with the two as one), then a ReLU."""

    convolution: nn.Module
    x: Tensor
    norm: nn.Module | None = None
    folded: nn.Module | None = None
    relu: nn.Module | None = None


class _Recorder(TorchDispatchMode):
    """Follows one forward pass: which module's output goes where, and how many operations take it."""

    def __init__(self) -> None:
        super().__init__()
        # By the id of a tensor, which means something only while the tensor lives.
        self.chains: dict[int, tuple[Chain, Tensor]] = {}
        self.uses: dict[int, int] = {}
        self.calls: dict[nn.Module, int] = {}
        self.once: list[tuple[int, Chain, nn.Module]] = []
        self.paused = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for leaf in () if self.paused else tree_leaves((args, kwargs)):
            if id(leaf) in self.uses:
                self.uses[id(leaf)] += 1
        return func(*args, **(kwargs or {}))

    def hook(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if self.paused or not inputs or not isinstance(inputs[0], Tensor) or not isinstance(output, Tensor):
            return
        self.calls[module] = self.calls.get(module, 0) + 1
        x = inputs[0]
        chain = self.chains[id(x)][0] if self.uses.get(id(x)) == 1 else None
        if isinstance(module, _CONVOLUTIONS):
            self.chains[id(output)], self.uses[id(output)] = (Chain(module, x), output), 0
        elif chain is None or chain.relu is not None:
            return
        elif isinstance(module, _NORMS) and chain.norm is None:
            self.paused = True
            chain.folded = _fold(chain.convolution, module, chain.x, output)
            self.paused = False
            if chain.folded is not None:
                chain.norm = module
                self.once.append((id(x), chain, module))
                self.chains[id(output)], self.uses[id(output)] = (chain, output), 0
        elif type(module) is nn.ReLU:
            chain.relu = module
            if not module.inplace:  # where it is, whatever takes the tensor later finds it done
                self.once.append((id(x), chain, module))


def _fold(convolution: Any, norm: Any, x: Tensor, expected: Tensor) -> nn.Module | None:
    """The convolution with the norm inside, where it gives what both gave for `x`; else None."""
    if norm.running_mean is None or norm.training:
        return None
    try:
        folded = fuse_conv_bn_eval(convolution, norm)
        y = _rest(norm)(folded(x))
    except Exception:  # a convolution of somebody's own need not take new weights
        return None
    return folded if (y - expected).abs().max() <= TOLERANCE * expected.abs().max() else None


def _rest(norm: Any) -> nn.Module:
    """What a norm does besides: timm's hold a dropout and an activation."""
    return nn.Sequential(norm.drop, norm.act) if hasattr(norm, "drop") and hasattr(norm, "act") else nn.Identity()


def fold_norms(backbone: Backbone, x: Tensor) -> tuple[Backbone, int, list[Chain]]:
    """A copy of a float32 backbone with every batch norm folded that alone takes the output of a convolution.

    `x` is some input, to find out where outputs go. Returns the copy, the number of norms folded, and the copy's
    convolutions that ran once, with their ReLU where there is one.
    """
    backbone = copy.deepcopy(backbone)
    recorder = _Recorder()
    handle = register_module_forward_hook(recorder.hook)  # global: one on a module would be copied with it
    try:
        with torch.no_grad(), recorder:
            backbone(x)
    finally:
        handle.remove()
    for identity, chain, module in recorder.once:
        # What something else sees, or what runs twice, stays as it is; so does a ReLU behind a norm that stays.
        if recorder.uses[identity] != 1 or recorder.calls[module] != 1:
            chain.relu = None
            if module is chain.norm:
                chain.norm = None
    chains = {id(c): c for c, _ in recorder.chains.values() if recorder.calls[c.convolution] == 1}
    replaced: dict[nn.Module, nn.Module] = {}
    for chain in chains.values():
        if recorder.calls.get(chain.relu) != 1:  # pyright: ignore[reportArgumentType]
            chain.relu = None
        if chain.norm is not None and chain.folded is not None:
            replaced |= {chain.norm: _rest(chain.norm), chain.convolution: chain.folded}
            chain.convolution = chain.folded
    replace_modules(backbone, replaced)
    return backbone, len(replaced) // 2, list(chains.values())


def replace_modules(network: nn.Module, replaced: Mapping[nn.Module, nn.Module]) -> None:
    """Put the second module of each pair wherever the first one is, in place."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if child in replaced:
                setattr(module, name, replaced[child])
