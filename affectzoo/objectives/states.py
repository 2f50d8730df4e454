"""The metrics as torchmetrics states: exact over any batch size and any number of processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from affectzoo.errors import InputError
from affectzoo.objectives.metrics import CLASS_METRICS, REGRESSION_METRICS

_METRICS = REGRESSION_METRICS | CLASS_METRICS


class SeriesMetric(Metric):
    """One metric by name over all valid steps it was given on all processes, computed once in float64.

    Steps are kept in float32, 8 bytes a column. A batch that a loader filled up with repeated examples must mark those as
    not valid: a state cannot know them.

    Args:
        name: a key of `REGRESSION_METRICS` or `CLASS_METRICS`.
        columns: K, the columns of prediction and label.
        kwargs: of `torchmetrics.Metric`.

    Raises:
        InputError: an unknown name, or a batch of another shape.
    """

    is_differentiable = False
    full_state_update = False
    prediction: list[Tensor] | Tensor
    label: list[Tensor] | Tensor

    def __init__(self, name: str, columns: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if name not in _METRICS:
            raise InputError(f"unknown metric {name!r}; choose one of {', '.join(_METRICS)}")
        self.name = name
        self.columns = columns
        # Flat: a process without a step brings an empty vector, which can be joined to no table.
        self.add_state("prediction", [], dist_reduce_fx="cat")
        self.add_state("label", [], dist_reduce_fx="cat")

    def update(self, prediction: Tensor, label: Tensor, valid: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            prediction, label: `[..., K]`.
            valid: `[...]` bool; None counts every step.
        """
        if prediction.shape != label.shape or prediction.shape[-1:] != (self.columns,):
            raise InputError(
                f"metric {self.name!r} of {self.columns} columns was given a prediction {list(prediction.shape)} and a label "
                f"{list(label.shape)}; give both as [..., {self.columns}]"
            )
        keep = torch.ones_like(label[..., 0], dtype=torch.bool) if valid is None else valid.bool()
        if keep.shape != label.shape[:-1]:
            raise InputError(f"metric {self.name!r}: valid is {list(keep.shape)}, the steps are {list(label.shape[:-1])}")
        for steps, values in ((self.prediction, prediction), (self.label, label)):
            assert isinstance(steps, list)
            steps.append(values.detach()[keep].float().flatten())

    def compute(self) -> Tensor:
        """`[K]` float64; a scalar for K = 1, as torchmetrics has it, and for the metrics of classes."""
        prediction, label = self._joined(self.prediction), self._joined(self.label)
        return _METRICS[self.name](prediction, label, None)

    def _joined(self, steps: list[Tensor] | Tensor) -> Tensor:
        # A list before the processes meet, one tensor after.
        if isinstance(steps, list):
            steps = torch.cat(steps) if steps else torch.zeros(0, device=self.device)
        return steps.view(-1, self.columns)
