"""Self-attention over time on the concatenated modalities."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from affectzoo import Fusion, complete, zero_masked
from affectzoo.errors import ConfigError
from affectzoo_fusion.checks import check_dims, check_positive, check_probability
from affectzoo_fusion.masking import MaskedProjection, masked_softmax


class SelfAttention(Fusion):
    """One pre-norm transformer layer over the L steps (Vaswani et al. 2017, arXiv:1706.03762, equation 1).

    With E the width of all projected modalities together and P a learned embedding of the position `[L, E]`:

        X = [X_1, ..., X_M] + P                                     X_m = Linear(D_m -> dim)
        A = softmax(Q K^T / sqrt(E / heads)),  Q, K, V = Linear(LayerNorm(X))
        X = X + Linear(A V)
        Y = X + Linear(ReLU(Linear(LayerNorm(X))))

    A step takes part where at least one of its modalities is present; the others are neither read nor written (zero).
    P has L rows, so L is fixed.

    Args:
        dims: modality -> D_m.
        seq_len: L.
        dim: width of each projected modality; E = M * dim.
        heads: attention heads; divides E.
        dropout: on the attention and on both residual branches.

    Raises:
        ConfigError: fewer than two modalities, or a value out of its range.
    """

    attention_kind = "weights"

    def __init__(self, dims: Mapping[str, int], seq_len: int, *, dim: int = 128, heads: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.dims = check_dims(dims)
        self.seq_len = check_positive("seq_len", seq_len)
        self.heads = check_positive("heads", heads)
        width = check_positive("dim", dim) * len(self.dims)
        if width % heads:
            raise ConfigError(f"heads must divide the fused width of {width}; got {heads}")
        self.project = MaskedProjection(self.dims, dim)
        self.position = nn.Parameter(0.02 * torch.randn(seq_len, width))
        self.norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(check_probability("dropout", dropout))
        self.out_dim = width

    def forward(
        self, features: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None, *, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Fuse modality -> `[B, L, D_m]` to `[B, L, out_dim]`.

        With `return_attention` also `{"attention": [B, heads, L, L]}`: the row of a present step sums to one over the
        present steps, all other entries are zero. Raises `InputError` for features of another shape.
        """
        x, present = complete(features, masks, self.dims, self.seq_len)
        step = torch.stack([present[name] for name in self.dims]).any(dim=0)
        x = self.project(x, present)
        x = torch.cat([x[name] for name in self.dims], dim=-1) + self.position

        q, k, v = self.query_key_value(self.norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        scores = (q / math.sqrt(q.shape[-1])) @ k.mT
        attention = masked_softmax(scores, (step.unsqueeze(1) & step.unsqueeze(2)).unsqueeze(1))
        attended = (self.dropout(attention) @ v).transpose(1, 2).flatten(2)

        x = x + self.dropout(self.mix(attended))
        x = zero_masked(x + self.dropout(self.feed_forward(x)), step)
        return (x, {"attention": attention}) if return_attention else x
