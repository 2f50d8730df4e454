"""Vanilla cross-attention between two modalities."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from affectzoo import Fusion, complete
from affectzoo_fusion.checks import check_dims, check_positive
from affectzoo_fusion.masking import MaskedProjection, masked_softmax


class CrossAttention(Fusion):
    """Cross-attentional audio-visual fusion (Praveen et al. 2021, arXiv:2111.05222, the fusion that JCA compares with).

    For modalities a and v (alphabetical order), X `[L, d]`, all weights shared by every step:

        X_a, X_v = Linear(D -> d)
        Z = X_a W X_v^T                                                [L, L]
        A_a = softmax(Z over the steps of a),  A_v = softmax(Z^T over the steps of v)
        X_att,a = tanh(X_a + A_a^T X_a),       X_att,v = tanh(X_v + A_v^T X_v)
        Y = [X_att,a, X_att,v]

    Row j of A_a^T says how much step j of v takes from each step of a. A softmax runs over present steps only; a masked
    step of v asks for nothing (its row is zero). A masked step of a may still receive what the others say at its time.

    Args:
        dims: modality -> D_m, exactly two.
        seq_len: L; any length is accepted.
        dim: d.

    Raises:
        ConfigError: not two modalities, or a width that is no positive integer.
    """

    attention_kind = "weights"

    def __init__(self, dims: Mapping[str, int], seq_len: int, *, dim: int = 128) -> None:
        super().__init__()
        self.dims = check_dims(dims, exactly=2)
        check_positive("seq_len", seq_len)
        self.project = MaskedProjection(self.dims, check_positive("dim", dim))
        self.W = nn.Linear(dim, dim, bias=False)
        self.out_dim = 2 * dim

    def forward(
        self, features: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None, *, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Fuse two modalities `[B, L, D_m]` to `[B, L, 2 d]`.

        With `return_attention` also, under each modality's name, A^T `[B, L, L]`: the row of a step at which the other
        modality is present sums to one over the present steps of this one, all other entries are zero. Raises
        `InputError` for features of another shape.
        """
        x, present = complete(features, masks, self.dims)
        a, v = self.dims
        x = self.project(x, present)
        both = present[v].unsqueeze(2) & present[a].unsqueeze(1)
        # A Linear computes x W^T, so this is Z^T = (X_v W^T) X_a^T, whose rows are steps of v.
        Z_t = self.W(x[v]) @ x[a].mT
        attention = {a: masked_softmax(Z_t, both), v: masked_softmax(Z_t.mT, both.mT)}
        fused = torch.cat([torch.tanh(x[name] + attention[name] @ x[name]) for name in (a, v)], dim=-1)
        return (fused, attention) if return_attention else fused
