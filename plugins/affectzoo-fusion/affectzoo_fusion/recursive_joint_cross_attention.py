"""Recursive joint cross-attention (RJCA): JCA on its own attended features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from affectzoo import Fusion, complete
from affectzoo_fusion.checks import check_dims, check_positive
from affectzoo_fusion.joint_cross_attention import JointAttention
from affectzoo_fusion.masking import MaskedProjection


class RecursiveJointCrossAttention(Fusion):
    """RJCA (after Praveen et al. 2023, arXiv:2304.07958): the attended features go through the same attention again.

    With X_m(0) = Linear(D_m -> d) and the equations of `JointAttention`, for t = 1 ... iterations:

        J(t-1) = [X_a(t-1), X_v(t-1)]
        X_m(t) = (H_m(t) W_hm)^T + X_m(t-1)
        Y = [X_a(iterations), X_v(iterations)]

    The weights are shared by all iterations. The residuals add up, so the projected features reach the output unchanged:
    X(T) = X(0) + the sum of what each iteration adds. One iteration is JCA. The paper's LSTMs are temporal encoders,
    which a model config places around a fusion; they are no part of it.

    Args:
        dims: modality -> D_m, exactly two.
        seq_len: L.
        dim: d.
        hidden: k.
        iterations: how often the attention is applied.

    Raises:
        ConfigError: not two modalities, or a value that is no positive integer.
    """

    attention_kind = "correlations"

    def __init__(self, dims: Mapping[str, int], seq_len: int, *, dim: int = 128, hidden: int = 32, iterations: int = 3) -> None:
        super().__init__()
        self.dims = check_dims(dims, exactly=2)
        self.seq_len = check_positive("seq_len", seq_len)
        self.iterations = check_positive("iterations", iterations)
        self.project = MaskedProjection(self.dims, check_positive("dim", dim))
        check_positive("hidden", hidden)
        self.attention = nn.ModuleDict({name: JointAttention(seq_len, 2 * dim, hidden) for name in self.dims})
        self.out_dim = 2 * dim

    def forward(
        self, features: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None, *, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Fuse two modalities `[B, L, D_m]` to `[B, L, 2 d]`.

        With `return_attention` also, under each modality's name, the correlations C of all iterations
        `[B, iterations, d, 2d]` in [-1, 1]. Raises `InputError` for features of another shape.
        """
        x, present = complete(features, masks, self.dims, self.seq_len)
        x = self.project(x, present)
        layers = cast("Mapping[str, JointAttention]", self.attention)
        correlations: dict[str, list[Tensor]] = {name: [] for name in self.dims}
        for _ in range(self.iterations):
            joint = torch.cat([x[name] for name in self.dims], dim=-1)
            if return_attention:
                for name in self.dims:
                    correlations[name].append(layers[name].correlation(x[name], joint))
            x = {name: layers[name](x[name], joint) for name in self.dims}
        fused = torch.cat([x[name] for name in self.dims], dim=-1)
        if not return_attention:
            return fused
        return fused, {name: torch.stack(maps, dim=1) for name, maps in correlations.items()}
