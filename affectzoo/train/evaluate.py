"""Evaluation: gather every prediction of a split, then compute each metric once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from affectzoo.config import TargetConfig
from affectzoo.data.windows import WindowDataset
from affectzoo.model.heads import pool_steps
from affectzoo.objectives.metrics import ccc, mean_absolute_error, pcc, root_mean_squared_error, unweighted_average_recall

#: Name of a metric of a continuous or ordinal target -> the function.
REGRESSION = {"ccc": ccc, "mae": mean_absolute_error, "rmse": root_mean_squared_error, "pcc": pcc}


@dataclass(frozen=True)
class SplitPredictions:
    """All W windows of a split, on the CPU.

    Attributes:
        prediction, label: `[W, L, K]`, of sub-sequences: not pooled.
        valid: `[W, L]` bool, labels that count; present: `[W, L]` bool, steps at which any modality is.
        row, step: `[W]` and `[W, L]`; the clip a window comes from, and its sub-sequences there.
    """

    prediction: Tensor
    label: Tensor
    valid: Tensor
    present: Tensor
    row: Tensor
    step: Tensor


@torch.no_grad()
def predict_split(accelerator: Accelerator, model: nn.Module, loader: DataLoader[Any]) -> SplitPredictions:
    """Run a prepared model over a prepared loader; call on every process, each gets the whole split."""
    model.eval()
    gathered: dict[str, list[Tensor]] = {name: [] for name in ("prediction", "label", "valid", "present", "row", "step")}
    for batch in loader:
        prediction = model(batch["inputs"], batch["masks"], pool=False).float()
        present = torch.stack(list(batch["masks"].values())).any(dim=0)
        # gather_for_metrics drops the examples that padded the last batch: exact for any size and process count.
        parts = accelerator.gather_for_metrics(
            (prediction, batch["targets"], batch["valid"], present, batch["row"], batch["step"])
        )
        for name, part in zip(gathered, parts, strict=True):
            gathered[name].append(part.cpu())
    return SplitPredictions(**{name: torch.cat(parts) for name, parts in gathered.items()})


def scores(predictions: SplitPredictions, targets: Sequence[TargetConfig], pool: str | None = None) -> dict[str, float]:
    """The metrics of a split, computed once over all of it; `score` is what the best epoch is chosen by.

    A continuous or ordinal target has `ccc` (over all valid steps, the ABAW protocol), `mae`, `rmse` and `pcc`, a categorical
    one `uar`, each as `metric.target`; `ccc` alone is their mean. `score` is the mean over targets of CCC or UAR.

    With `pool` these are of recordings: the steps of a recording at which there was something to predict from are pooled, and
    its labels alike; the same metrics of sub-sequences follow as `step.metric.target`.
    """
    if pool is None:
        return _metrics(predictions.prediction, predictions.label, predictions.valid, targets)
    counted = predictions.valid & predictions.present
    steps = _metrics(predictions.prediction, predictions.label, counted, targets)
    prediction = _pooled(_probabilities(predictions.prediction, targets), predictions, pool)
    label = _pooled(predictions.label, predictions, pool)
    whole = torch.ones(prediction.shape[:-1], dtype=torch.bool)
    return _metrics(prediction, label, whole, targets) | {f"step.{name}": value for name, value in steps.items()}


def _probabilities(values: Tensor, targets: Sequence[TargetConfig]) -> Tensor:
    """The values with the scores of classes as probabilities, which is what a timeline pools."""
    parts = values.split([len(target.columns) for target in targets], dim=-1)
    return torch.cat(
        [part.softmax(-1) if target.kind == "categorical" else part for part, target in zip(parts, targets, strict=True)],
        dim=-1,
    )


def _pooled(values: Tensor, predictions: SplitPredictions, how: str) -> Tensor:
    """`[W, L, K]` of windows to `[R, K]` of the recordings that have a valid step."""
    rows = predictions.row.unsqueeze(1).expand_as(predictions.step)
    pooled = []
    for row in predictions.row.unique():
        mine = (rows == row) & predictions.valid
        # As in prediction: a step without any input has no say, unless there is no other.
        seen = mine & predictions.present
        chosen = seen if bool(seen.any()) else mine
        if bool(chosen.any()):
            # Several processes hand over their windows in turns: `last` needs them in the order of time.
            order = predictions.step[chosen].argsort()
            pooled.append(pool_steps(values[chosen][order].unsqueeze(0), None, how)[0])
    return torch.stack(pooled) if pooled else values.new_zeros(0, values.shape[-1])


def _metrics(prediction: Tensor, label: Tensor, valid: Tensor, targets: Sequence[TargetConfig]) -> dict[str, float]:
    result: dict[str, float] = {}
    chosen: list[float] = []
    start = 0
    for target in targets:
        columns = slice(start, start + len(target.columns))
        start = columns.stop
        x, y = prediction[..., columns], label[..., columns]
        if target.kind == "categorical":
            result[f"uar.{target.name}"] = float(unweighted_average_recall(x, y, valid))
            chosen.append(result[f"uar.{target.name}"])
        else:
            result |= {f"{name}.{target.name}": float(metric(x, y, valid)) for name, metric in REGRESSION.items()}
            chosen.append(result[f"ccc.{target.name}"])
    regressed = [result[f"ccc.{target.name}"] for target in targets if target.kind != "categorical"]
    if regressed:
        result["ccc"] = sum(regressed) / len(regressed)
    return result | {"score": sum(chosen) / len(chosen)}


def subjects_of(dataset: WindowDataset) -> int:
    """Number of different people in a split."""
    return len(set(dataset.subjects))
