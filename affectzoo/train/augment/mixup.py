"""Mixup: every window of a batch is mixed with another one, inputs and labels alike (Zhang et al. 2018, arXiv 1710.09412)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def mixup(batch: dict[str, Any], alpha: float, generator: torch.Generator) -> dict[str, Any]:
    """The batch with each window i replaced by `share * i + (1 - share) * j`, j being another window or i itself.

    - Where only one of the two has a modality at a step, its input is taken as it is, and the modality is present there.
    - A label is mixed by the same share, those of classes being shares themselves; where only one of the two has any input, the
      label is that one's. A step counts only where both labels are valid.

    Args:
        batch: as `WindowDataset` gives it, raw inputs or features; its tensors are not written to.
        alpha: the share of each window is drawn from Beta(alpha, alpha).
        generator: on the CPU; decides the draws.
    """
    size = len(batch["valid"])
    partner = torch.randperm(size, generator=generator)
    # torch draws from a Beta with its global generator alone.
    seed = int(torch.randint(2**62, (), generator=generator))
    share = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, size)).float().unsqueeze(1)
    device = batch["valid"].device
    partner, share = partner.to(device), share.to(device)
    inputs, masks = {}, {}
    for name, own in batch["masks"].items():
        other = own[partner]
        x = batch["inputs"][name]
        inputs[name] = _mixed(x, x[partner], _shares(share, own, other))
        masks[name] = own | other
    seen = torch.stack(list(batch["masks"].values())).any(dim=0)
    label, valid = batch["targets"], batch["valid"]
    return {
        **batch,
        "inputs": inputs,
        "masks": masks,
        "targets": _mixed(label, label[partner], _shares(share, seen, seen[partner])),
        "valid": valid & valid[partner],
    }


def _shares(share: Tensor, own: Tensor, other: Tensor) -> Tensor:
    """`[B, L]` share of the own window at each step: all of it where the other is absent, nothing where only that is there."""
    return torch.where(own & other, share, torch.where(other, 0.0, 1.0))


def _mixed(x: Tensor, y: Tensor, share: Tensor) -> Tensor:
    """`[B, L, ...]`; what has no share may hold anything."""
    weight = share.view(*share.shape, *(1,) * (x.ndim - 2)).to(x.dtype)
    return torch.where(weight == 1, x, torch.where(weight == 0, y, torch.lerp(y, x, weight)))
