"""Evaluation: gather every prediction of a split, then compute each metric once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from affectzoo.config import TargetConfig, target_columns
from affectzoo.data.windows import WindowDataset
from affectzoo.model.heads import pool_steps
from affectzoo.objectives.metrics import REGRESSION_METRICS, unweighted_average_recall

#: Name of a metric of a continuous or ordinal target -> the function.
REGRESSION = {name: REGRESSION_METRICS[name] for name in ("ccc", "mae", "rmse", "pcc")}


@dataclass(frozen=True)
class SplitPredictions:
    """Predictions of a split beside their labels, on the CPU: `[...]` is `[W, L]` for windows as they were gathered, `[S]` for
    the steps of clips in order or for whole recordings.

    Attributes:
        prediction, label: `[..., K]`; of windows as the model gives them, else classes as probabilities.
        valid: `[...]` bool, labels that count; present: `[...]` bool, where any modality is.
        row: `[W]` or `[S]`, the clip; step: `[...]`, the sub-sequence there (of a recording its first).
    """

    prediction: Tensor
    label: Tensor
    valid: Tensor
    present: Tensor
    row: Tensor
    step: Tensor

    def at(self, chosen: Tensor) -> SplitPredictions:
        """Those that `chosen`, a mask or indices of the first dim, picks."""
        return SplitPredictions(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


@torch.no_grad()
def predict_split(
    accelerator: Accelerator,
    model: nn.Module,
    loader: DataLoader[Any],
    advance: Callable[[int, int], None] | None = None,
) -> SplitPredictions:
    """Run a prepared model over a prepared loader; call on every process, each gets the whole split.

    `advance` is called with the number of batches done and that of all.
    """
    model.eval()
    gathered: dict[str, list[Tensor]] = {name: [] for name in ("prediction", "label", "valid", "present", "row", "step")}
    for done, batch in enumerate(loader, start=1):
        prediction = model(batch["inputs"], batch["masks"], pool=False).float()
        present = torch.stack(list(batch["masks"].values())).any(dim=0)
        # gather_for_metrics drops the examples that padded the last batch: exact for any size and process count.
        parts = accelerator.gather_for_metrics(
            (prediction, batch["targets"], batch["valid"], present, batch["row"], batch["step"])
        )
        for name, part in zip(gathered, parts, strict=True):
            gathered[name].append(part.cpu())
        if advance is not None:
            advance(done, len(loader))
    return SplitPredictions(**{name: torch.cat(parts) for name, parts in gathered.items()})


def by_step(predictions: SplitPredictions, targets: Sequence[TargetConfig]) -> SplitPredictions:
    """Every step of every clip once, by clip and time; windows that share a step are averaged, as in prediction."""
    row = predictions.row.long().unsqueeze(1).expand_as(predictions.step)
    place = row * (int(predictions.step.max()) + 1) + predictions.step
    unique, owner, windows = place.flatten().unique(return_inverse=True, return_counts=True)
    probable = _probabilities(predictions.prediction, targets).flatten(0, 1)
    summed = probable.new_zeros(len(unique), probable.shape[1]).index_add_(0, owner, probable)

    def once(values: Tensor) -> Tensor:
        flat = values.flatten(0, 1)
        kept = flat.new_empty(len(unique), *flat.shape[1:])
        kept[owner] = flat  # windows agree on all but the prediction
        return kept

    return SplitPredictions(
        prediction=summed / windows.unsqueeze(1),
        label=once(predictions.label),
        valid=once(predictions.valid),
        present=once(predictions.present),
        row=once(row),
        step=once(predictions.step),
    )


def by_recording(steps: SplitPredictions, how: str) -> SplitPredictions:
    """The recordings that have a valid step: prediction and label pooled by `how` over the steps that count.

    As in prediction, a step without any input has no say, unless there is no other.
    """
    rows, recording = steps.row.unique(return_inverse=True)
    seen = steps.valid & steps.present
    anything = torch.zeros(len(rows), dtype=torch.bool).index_put_((recording[seen],), torch.tensor(True))
    counts = seen | (steps.valid & ~anything[recording])
    counted = steps.at(counts)
    counted = counted.at(counted.row.argsort(stable=True))
    lengths = counted.row.unique_consecutive(return_counts=True)[1]
    starts = lengths.cumsum(0) - lengths
    found = counted.at(starts)
    prediction, label = found.prediction.clone(), found.label.clone()
    # Recordings of one length at a time: no padding, and no more of them than their lengths differ.
    for length in lengths.unique().tolist():
        alike = lengths == length
        places = starts[alike].unsqueeze(1) + torch.arange(length)
        prediction[alike] = pool_steps(counted.prediction[places], None, how)
        label[alike] = pool_steps(counted.label[places], None, how)
    return replace(found, prediction=prediction, label=label)


def scores(predictions: SplitPredictions, targets: Sequence[TargetConfig], pool: str | None = None) -> dict[str, float]:
    """The metrics of a split, computed once over all of it; `score` is what the best epoch is chosen by.

    A continuous or ordinal target has `ccc` (over all valid steps, the ABAW protocol), `mae`, `rmse` and `pcc`, a categorical
    one `uar`, each as `metric.target`; `ccc` alone is their mean. `score` is the mean over targets of CCC or UAR.

    With `pool` these are of recordings: the steps of a recording at which there was something to predict from are pooled, and
    its labels alike; the same metrics of sub-sequences follow as `step.metric.target`.
    """
    steps = by_step(predictions, targets)
    if pool is None:
        return _metrics(steps, steps.valid, targets)
    recordings = by_recording(steps, pool)
    of_steps = _metrics(steps, steps.valid & steps.present, targets)
    return _metrics(recordings, recordings.valid, targets) | {f"step.{name}": value for name, value in of_steps.items()}


def _probabilities(values: Tensor, targets: Sequence[TargetConfig]) -> Tensor:
    """The values with the scores of classes as probabilities, which is what a timeline pools."""
    parts = values.split([len(target.columns) for target in targets], dim=-1)
    return torch.cat(
        [part.softmax(-1) if target.kind == "categorical" else part for part, target in zip(parts, targets, strict=True)],
        dim=-1,
    )


def _metrics(series: SplitPredictions, valid: Tensor, targets: Sequence[TargetConfig]) -> dict[str, float]:
    result: dict[str, float] = {}
    chosen: list[float] = []
    columns = target_columns(targets)
    for target in targets:
        x, y = series.prediction[:, columns[target.name]], series.label[:, columns[target.name]]
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
