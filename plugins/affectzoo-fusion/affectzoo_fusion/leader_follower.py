"""Leader-follower attentive fusion: one trusted modality leads, attention over modalities follows."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from affectzoo import Fusion, complete
from affectzoo_fusion.checks import check_choice, check_dims, check_positive
from affectzoo_fusion.masking import MaskedProjection, masked_softmax


class LeaderFollower(Fusion):
    """After Zhang et al. 2021, arXiv:2107.01175 (leader-follower attention); steps are independent of each other.

    At every step, with one row per modality in alphabetical order (M rows):

        q_m, k_m, v_m = Linear(D_m -> dim) of x_m
        A = softmax(Q K^T / sqrt(dim))                 [M, M], over the modalities that are present
        Y = [x_leader, (A V)_1, ..., (A V)_M]

    The leader enters as it is, so that noise in the followers cannot take it away; the attended rows say what they add.
    The row of an absent modality is zero. Works on any L and any number of modalities from two on.

    Args:
        dims: modality -> D_m.
        seq_len: L; any length is accepted.
        dim: width of each attended row.
        leader: the modality that leads.

    Raises:
        ConfigError: fewer than two modalities, an unknown leader, or a width that is no positive integer.
    """

    attention_kind = "weights"

    def __init__(self, dims: Mapping[str, int], seq_len: int, *, dim: int = 32, leader: str = "visual") -> None:
        super().__init__()
        self.dims = check_dims(dims)
        check_positive("seq_len", seq_len)
        check_positive("dim", dim)
        self.leader = check_choice("leader", leader, self.dims)
        self.query = MaskedProjection(self.dims, dim)
        self.key = MaskedProjection(self.dims, dim)
        self.value = MaskedProjection(self.dims, dim)
        self.out_dim = self.dims[leader] + dim * len(self.dims)

    def forward(
        self, features: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None, *, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Fuse modality -> `[B, L, D_m]` to `[B, L, D_leader + M * dim]`.

        With `return_attention` also `{"attention": [B, L, M, M]}`: the row of a present modality sums to one over the
        present modalities, all other entries are zero. Raises `InputError` for features of another shape.
        """
        x, present = complete(features, masks, self.dims)
        q, k, v = (torch.stack(list(project(x, present).values()), dim=2) for project in (self.query, self.key, self.value))
        here = torch.stack([present[name] for name in self.dims], dim=-1)
        scores = (q / math.sqrt(q.shape[-1])) @ k.mT
        attention = masked_softmax(scores, here.unsqueeze(-1) & here.unsqueeze(-2))
        fused = torch.cat([x[self.leader], (attention @ v).flatten(2)], dim=-1)
        return (fused, {"attention": attention}) if return_attention else fused
