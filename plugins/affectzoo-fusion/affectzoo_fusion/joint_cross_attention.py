"""Joint cross-attention (JCA): each modality attends to the joint representation of both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from affectzoo import Fusion, complete
from affectzoo_fusion.checks import check_choice, check_dims, check_positive
from affectzoo_fusion.masking import MaskedProjection


class JointAttention(nn.Module):
    """The attention of one modality to the joint representation (Praveen et al. 2022, arXiv:2203.14779, section 3.2).

    With the modality's X `[L, d]` and J = [X_a, X_v] `[L, 2d]`:

        C = tanh(X^T W_j J / sqrt(2 d))                [d, 2d]
        H = ReLU(C W_c + X^T W)                        [d, k]
        X_att = (H W_h)^T + X                          [L, d]

    The contraction runs over time, so L is the shape of W_j. Nothing has a bias: a modality that is zero throughout
    stays zero.
    """

    def __init__(self, seq_len: int, joint_dim: int, hidden: int) -> None:
        super().__init__()
        self.W_j = nn.Linear(seq_len, seq_len, bias=False)
        self.W_c = nn.Linear(joint_dim, hidden, bias=False)
        self.W = nn.Linear(seq_len, hidden, bias=False)
        self.W_h = nn.Linear(hidden, seq_len, bias=False)

    def correlation(self, x: Tensor, joint: Tensor) -> Tensor:
        """C `[B, d, 2d]` in [-1, 1] of X `[B, L, d]` and J `[B, L, 2d]`."""
        # The scale goes to the smallest factor: cheapest there, and no product can overflow in half precision.
        W_j = self.W_j.weight / math.sqrt(joint.shape[-1])
        # C is by far the largest tensor: tanh takes over the memory of the product, which no gradient needs.
        return (x.mT @ (W_j @ joint)).tanh_()

    def forward(self, x: Tensor, joint: Tensor) -> Tensor:
        """X_att `[B, L, d]` of X `[B, L, d]` and J `[B, L, 2d]`."""
        H = torch.relu(self.W_c(self.correlation(x, joint)) + self.W(x.mT))
        return self.W_h(H).mT + x


class JointCrossAttention(Fusion):
    """JCA (Praveen et al. 2022, arXiv:2203.14779): `X_m = Linear(D_m -> d)`, then `JointAttention`.

    `output="attended"` is the paper, `Y = [X_att,a, X_att,v]` in alphabetical order. `output="visual-residual"` is what
    the authors' released checkpoint holds: `Y = [raw features of residual, X_att,residual]`. There the other modality
    acts through J alone; its attention weights exist for the checkpoint's sake and are frozen, for no gradient could
    reach them.

    A masked step is zero in X and so in J: it adds nothing to any sum over time. It may still receive what its modality
    holds at other steps.

    Args:
        dims: modality -> D_m, exactly two.
        seq_len: L.
        dim: d.
        hidden: k.
        output: `attended` or `visual-residual`.
        residual: with `visual-residual`, the modality that is visual.

    Raises:
        ConfigError: not two modalities, or a value out of its range.
    """

    attention_kind = "correlations"

    def __init__(
        self,
        dims: Mapping[str, int],
        seq_len: int,
        *,
        dim: int = 128,
        hidden: int = 32,
        output: str = "attended",
        residual: str = "visual",
    ) -> None:
        super().__init__()
        self.dims = check_dims(dims, exactly=2)
        self.seq_len = check_positive("seq_len", seq_len)
        self.output = check_choice("output", output, ("attended", "visual-residual"))
        self.project = MaskedProjection(self.dims, check_positive("dim", dim))
        check_positive("hidden", hidden)
        self.attention = nn.ModuleDict({name: JointAttention(seq_len, 2 * dim, hidden) for name in self.dims})
        self.residual = residual
        self.out_dim = 2 * dim
        if output == "visual-residual":
            self.out_dim = self.dims[check_choice("residual", residual, self.dims)] + dim
            for name in self.dims:
                self.attention[name].requires_grad_(name == residual)

    def forward(
        self, features: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None, *, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Fuse two modalities `[B, L, D_m]` to `[B, L, out_dim]`.

        With `return_attention` also, under each modality's name, the correlation C `[B, d, 2d]` in [-1, 1].
        Raises `InputError` for features of another shape.
        """
        raw, present = complete(features, masks, self.dims, self.seq_len)
        x = self.project(raw, present)
        joint = torch.cat([x[name] for name in self.dims], dim=-1)
        if self.output == "attended":
            fused = torch.cat([self.attention[name](x[name], joint) for name in self.dims], dim=-1)
        else:
            fused = torch.cat([raw[self.residual], self.attention[self.residual](x[self.residual], joint)], dim=-1)
        if not return_attention:
            return fused
        # Computed a second time, so that a forward pass without maps never holds more than one of them.
        layers = cast("Mapping[str, JointAttention]", self.attention)
        return fused, {name: layers[name].correlation(x[name], joint) for name in self.dims}
