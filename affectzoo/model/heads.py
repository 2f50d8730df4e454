"""The head: fused features `[B, L, D]` to named columns `[B, L, K]`, or pooled over the window to `[B, K]`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from affectzoo.config import HeadConfig, TargetConfig

#: How the steps of a recording become its score.
POOLS = ("mean", "median", "last")

_ACTIVATIONS: dict[str, type[nn.Module]] = {"none": nn.Identity, "relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


class Head(nn.Module):
    """One regressor (or classifier) per target.

    A continuous or ordinal target is regressed on a scale of -1..1, mapped linearly onto low..high; the regressor is not
    squashed, so a prediction may leave the range. A categorical target gives one logit per class, divided by its
    temperature.

    Every step is regressed by itself; a head that pools does so afterwards.

    Attributes:
        columns: names of the K output columns, in order.
        pool: `mean`, `median` or `last`; None where it does not pool.
    """

    def __init__(self, in_dim: int, targets: Sequence[TargetConfig], config: HeadConfig) -> None:
        super().__init__()
        self.targets = tuple(targets)
        self.pool = config.pool
        self.columns = tuple(column for target in targets for column in target.columns)
        self.regressors = nn.ModuleDict({_key(t): _regressor(in_dim, len(t.columns), config) for t in targets})

    def forward(self, x: Tensor, mask: Tensor | None = None, *, pool: bool = True) -> Tensor:
        """Args: x `[B, L, D]`; mask `[B, L]`, true where any modality is present (used for pooling only).

        Returns `[B, L, K]`; `[B, K]` for a head that pools, unless `pool` is false. A window without one present step
        pools over all its steps.
        """
        outputs = []
        for target in self.targets:
            y = self.regressors[_key(target)](x)
            if target.kind != "categorical" and (target.low, target.high) != (-1.0, 1.0):
                y = target.low + (target.high - target.low) * (y + 1) / 2
            if target.temperature != 1.0:
                y = y / target.temperature
            outputs.append(y)
        y = torch.cat(outputs, dim=-1)
        return y if self.pool is None or not pool else pool_steps(y, mask, self.pool)


def pool_steps(y: Tensor, mask: Tensor | None, how: str) -> Tensor:
    """Pool `[B, L, K]` over its present steps to `[B, K]` by `mean`, `median` or `last`."""
    if mask is None:
        mask = torch.ones(y.shape[:2], dtype=torch.bool, device=y.device)
    mask = mask | ~mask.any(dim=1, keepdim=True)
    if how == "mean":
        weights = mask.unsqueeze(-1).to(y.dtype)
        return (y.masked_fill(~mask.unsqueeze(-1), 0.0) * weights).sum(1) / weights.sum(1)
    if how == "median":
        # The mean of the two middle values for an even count: torch's own median would take the lower one.
        ordered = y.masked_fill(~mask.unsqueeze(-1), float("inf")).sort(dim=1).values
        count = mask.sum(dim=1).view(-1, 1, 1).expand(-1, 1, y.shape[2])
        return ((ordered.gather(1, (count - 1) // 2) + ordered.gather(1, count // 2)) / 2).squeeze(1)
    steps = torch.arange(y.shape[1], device=y.device)
    last = (steps * mask).max(dim=1).values
    return y[torch.arange(y.shape[0], device=y.device), last]


def _key(target: TargetConfig) -> str:
    # A ModuleDict refuses the names of its own attributes, `type` and `values` among them.
    return f"{target.name}_" if hasattr(nn.ModuleDict(), target.name) else target.name


def _regressor(in_dim: int, out_dim: int, config: HeadConfig) -> nn.Sequential:
    if config.hidden is None:
        return nn.Sequential(nn.Dropout(config.dropout), nn.Linear(in_dim, out_dim))
    return nn.Sequential(
        nn.Linear(in_dim, config.hidden),
        _ACTIVATIONS[config.activation](),
        nn.Dropout(config.dropout),
        nn.Linear(config.hidden, out_dim),
    )
