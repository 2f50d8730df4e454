"""Batch norms under activation checkpointing: a batch whose activations are computed again is still one batch."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def count_batches_once(network: nn.Module) -> None:
    """From now on no batch norm of `network` updates its running statistics during a backward pass.

    There a forward pass runs only because its activations were not kept. Call it once a backbone's
    `checkpoint_activations` has chosen what to compute again; calling it twice does no harm.
    """
    for norm in network.modules():
        if isinstance(norm, _BatchNorm) and _hold not in norm._forward_pre_hooks.values():
            norm.register_forward_pre_hook(_hold)
            # Also when the pass ends early, which torch's checkpoint does by raising as soon as it has what it needs.
            norm.register_forward_hook(_release, always_call=True)


def _hold(norm: _BatchNorm, _: object) -> None:
    # A compiled network computes again in a graph of its own, which holds no updates.
    if not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1:
        norm.__dict__["_held"] = norm.momentum, norm.num_batches_tracked
        norm.momentum, norm.num_batches_tracked = 0.0, None


def _release(norm: _BatchNorm, *_: object) -> None:
    if "_held" in norm.__dict__:
        norm.momentum, norm.num_batches_tracked = norm.__dict__.pop("_held")
