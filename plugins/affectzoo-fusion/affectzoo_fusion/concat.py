"""Concatenation: the baseline that every attentive fusion has to beat."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from affectzoo import Fusion, complete, zero_masked
from affectzoo_fusion.checks import check_dims, check_positive


class Concat(Fusion):
    """Features side by side: `Y = [X_1, ..., X_M]`, or `Y = [X_1, ..., X_M] W + b` with `dim`.

    Works on any L and any number of modalities from two on; they stand in alphabetical order. It has no attention maps.

    Args:
        dims: modality -> D_m.
        seq_len: L; any length is accepted.
        dim: width of the projection; None keeps all features as they are.

    Raises:
        ConfigError: fewer than two modalities, or a width that is no positive integer.
    """

    def __init__(self, dims: Mapping[str, int], seq_len: int, *, dim: int | None = None) -> None:
        super().__init__()
        self.dims = check_dims(dims)
        check_positive("seq_len", seq_len)
        width = sum(self.dims.values())
        self.project = None if dim is None else nn.Linear(width, check_positive("dim", dim))
        self.out_dim = width if dim is None else dim

    def forward(
        self, features: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None, *, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Fuse modality -> `[B, L, D_m]` to `[B, L, out_dim]`; a step without any modality is zero."""
        x, present = complete(features, masks, self.dims)
        fused = torch.cat([x[name] for name in self.dims], dim=-1)
        if self.project is not None:
            any_present = torch.stack([present[name] for name in self.dims]).any(dim=0)
            fused = zero_masked(self.project(fused), any_present)
        return (fused, {}) if return_attention else fused
