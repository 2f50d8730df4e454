"""What is trained: a model and its objective as one module, so that a wrapper around modules (DDP, FSDP) sees every weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from affectzoo.model.affect_model import AffectModel
from affectzoo.objectives.distillation import Distillation
from affectzoo.objectives.losses import Objective


class Total:
    """Sum of a tensor over all processes; gradients flow through the own part.

    Attributes:
        processes: how many there are.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator, self.processes = accelerator, accelerator.num_processes

    def __call__(self, own: Tensor) -> Tensor:
        if self.processes == 1:
            return own
        whole: Tensor = self.accelerator.reduce(own.detach().clone(), "sum")  # pyright: ignore[reportAssignmentType]
        return whole + (own - own.detach())


class Learner(nn.Module):
    """An `AffectModel` with its objective: predictions, or with labels the loss of the batch of all processes together.

    Args:
        model: trained in place.
        objective: of the model's targets; may hold weights of its own.
        distance: from what teachers say; None learns from labels alone.
        on_features: whether inputs are backbone features.
        compiled: whether the model runs through `torch.compile`.
    """

    def __init__(
        self,
        model: AffectModel,
        objective: Objective,
        *,
        on_features: bool,
        compiled: bool = False,
        distance: Distillation | None = None,
    ) -> None:
        super().__init__()
        self.model, self.objective, self.on_features = model, objective, on_features
        self.distance = distance
        self._run: Callable[..., Tensor] = model.forward_features if on_features else model.forward
        if compiled:
            self._run = torch.compile(self._run)

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        masks: Mapping[str, Tensor],
        *,
        pool: bool = False,
        labels: Tensor | None = None,
        counted: Tensor | None = None,
        taught: Tensor | None = None,
        total: Total | None = None,
    ) -> Tensor:
        """`[B, L, K]` (`[B, K]` where `pool` is true and the head pools); with `labels` a scalar.

        Args:
            inputs, masks: as `AffectModel` takes them; features where the learner is on features.
            pool: let the head pool.
            labels: `[B, L, K]`.
            counted: `[B, L]` bool, steps whose loss counts.
            taught: `[B, L, K]` of the teachers, where there are any.
            total: sums over processes.
        """
        prediction = self._run(inputs, masks, pool=pool)
        if labels is None:
            return prediction
        assert counted is not None
        assert total is not None
        loss = self.objective(prediction, labels, counted, total=total)
        if self.distance is not None:
            assert taught is not None
            distance = self.distance(prediction, taught, counted, total=total)
            loss = (1 - self.distance.share) * loss + self.distance.share * distance
        # The wrapper takes the mean of the gradients of all processes; of a loss of them together it must be the sum.
        return loss.detach() + total.processes * (loss - loss.detach())

    def train(self, mode: bool = True) -> Learner:
        """Parts without a weight to train stay in evaluation mode: their statistics and dropout must not move."""
        super().train(mode)
        for part in self.modules():
            weights = list(part.parameters())
            if mode and weights and not any(weight.requires_grad for weight in weights):
                part.eval()
        return self
