"""How far predictions are from those of teachers, over one process or many (Hinton et al. 2015, arXiv 1503.02531)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from affectzoo.config import TargetConfig
from affectzoo.objectives.losses import Total, identity, mean_loss


class Distillation(nn.Module):
    """Weighted mean over the targets of the distance from the mean of the teachers.

    Of a categorical target it is `temperature^2 * KL(teachers | model)` between class probabilities at that temperature, so
    that its gradient does not shrink with it; of a continuous or ordinal target the squared distance where the range is 2 wide.

    Args:
        targets: what the K columns mean, in order.
        weights: `[targets]`, from 0 up and not all 0; a target of weight 0 is left out, whatever it holds.
        temperature: over 0.
        share: of this distance in the whole loss; kept for who adds them up.
    """

    weights: Tensor

    def __init__(self, targets: Sequence[TargetConfig], weights: Tensor, *, temperature: float, share: float) -> None:
        super().__init__()
        self.targets, self.temperature, self.share = tuple(targets), temperature, share
        self.register_buffer("weights", weights.clone(), persistent=False)
        self._counted = [place for place, weight in enumerate(weights.tolist()) if weight > 0]

    def mean_of(self, predictions: Sequence[Tensor]) -> Tensor:
        """`[B, L, K]` of all teachers together, from `[B, L, K]` of each: classes as probabilities at the temperature."""
        return torch.stack([self._softened(prediction) for prediction in predictions]).mean(0)

    def _softened(self, prediction: Tensor) -> Tensor:
        parts = prediction.float().split(self._sizes(), dim=-1)
        soft = [
            (part / self.temperature).softmax(-1) if target.kind == "categorical" else part
            for target, part in zip(self.targets, parts, strict=True)
        ]
        return torch.cat(soft, dim=-1)

    def forward(self, prediction: Tensor, taught: Tensor, valid: Tensor, *, total: Total = identity) -> Tensor:
        """The mean distance of the valid steps: a scalar, float32 under autocast too.

        Args:
            prediction: `[B, L, K]`, classes as logits.
            taught: `[B, L, K]` as `mean_of` gives it.
            valid: `[B, L]` bool; what the others hold reaches neither loss nor gradient.
            total: sums a tensor over all processes; every process calls it equally often, with equal shapes.
        """
        blank = ~valid.unsqueeze(-1)
        dtype = torch.promote_types(prediction.dtype, torch.float32)
        x, y = (values.to(dtype).masked_fill(blank, 0.0).split(self._sizes(), dim=-1) for values in (prediction, taught))
        steps = torch.stack([self._distance(self.targets[i], x[i], y[i]) for i in self._counted], dim=-1)
        share = self.weights[self._counted].to(dtype)
        return (share * mean_loss(steps, torch.ones_like(steps), valid, total)).sum() / share.sum()

    def _distance(self, target: TargetConfig, x: Tensor, y: Tensor) -> Tensor:
        """Of each step, `[B, L]`."""
        if target.kind != "categorical":
            return ((x - y) / ((target.high - target.low) / 2)).square().squeeze(-1)
        logs = (x / self.temperature).log_softmax(-1)
        return self.temperature**2 * functional.kl_div(logs, y, reduction="none").sum(-1)

    def _sizes(self) -> list[int]:
        return [len(target.columns) for target in self.targets]
