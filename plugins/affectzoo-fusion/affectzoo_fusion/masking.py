"""What every fusion does about masked steps: projections that keep them zero, and a softmax that leaves them out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from affectzoo import zero_masked


class MaskedProjection(nn.Module):
    """One `Linear(D_m -> dim)` per modality; a masked step stays zero although the layer has a bias."""

    def __init__(self, dims: Mapping[str, int], dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({name: nn.Linear(width, dim) for name, width in dims.items()})

    def forward(self, features: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Project modality -> `[B, L, D_m]` with masks `[B, L]` to modality -> `[B, L, dim]`."""
        return {name: zero_masked(layer(features[name]), masks[name]) for name, layer in self.layers.items()}


def masked_softmax(scores: Tensor, mask: Tensor, dim: int = -1) -> Tensor:
    """Softmax of `scores` along `dim` over the places where `mask` (broadcastable) is true.

    The other places are exactly zero, and so is a row without any true place: never NaN.
    """
    # The least finite number instead of -inf: a row of -inf only would be NaN, in the gradient too.
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~mask, lowest).softmax(dim).masked_fill(~mask, 0.0)
