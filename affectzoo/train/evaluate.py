"""Evaluation: gather every prediction of a split, then compute each metric once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from affectzoo.data.windows import WindowDataset
from affectzoo.objectives.metrics import ccc, mean_absolute_error


@dataclass(frozen=True)
class SplitPredictions:
    """All W windows of a split, on the CPU.

    Attributes:
        prediction, label: `[W, L, K]`.
        valid: `[W, L]` bool.
        row, step: `[W]` and `[W, L]`; the clip a window comes from, and its sub-sequences there.
    """

    prediction: Tensor
    label: Tensor
    valid: Tensor
    row: Tensor
    step: Tensor


@torch.no_grad()
def predict_split(accelerator: Accelerator, model: nn.Module, loader: DataLoader[Any]) -> SplitPredictions:
    """Run a prepared model over a prepared loader; call on every process, each gets the whole split."""
    model.eval()
    gathered: dict[str, list[Tensor]] = {"prediction": [], "label": [], "valid": [], "row": [], "step": []}
    for batch in loader:
        prediction = model(batch["inputs"], batch["masks"]).float()
        # gather_for_metrics drops the examples that padded the last batch: exact for any size and process count.
        parts = accelerator.gather_for_metrics((prediction, batch["targets"], batch["valid"], batch["row"], batch["step"]))
        for name, part in zip(gathered, parts, strict=True):
            gathered[name].append(part.cpu())
    return SplitPredictions(**{name: torch.cat(parts) for name, parts in gathered.items()})


def scores(predictions: SplitPredictions, columns: tuple[str, ...]) -> dict[str, float]:
    """CCC over all valid steps of the split (the ABAW protocol) and mean absolute error, for each column, and the mean CCC."""
    concordance = ccc(predictions.prediction, predictions.label, predictions.valid)
    error = mean_absolute_error(predictions.prediction, predictions.label, predictions.valid)
    result = {f"ccc.{name}": float(concordance[i]) for i, name in enumerate(columns)}
    result |= {f"mae.{name}": float(error[i]) for i, name in enumerate(columns)}
    return result | {"ccc": float(concordance.mean())}


def subjects_of(dataset: WindowDataset) -> int:
    """Number of different people in a split."""
    return len(set(dataset.subjects))
