"""Temperature scaling (Guo et al. 2017, arXiv 1706.04599): one number for each categorical target, fitted on validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from accelerate import Accelerator

from affectzoo.config import TargetConfig, TrainConfig, target_columns
from affectzoo.data.windows import WindowDataset
from affectzoo.errors import CheckpointError
from affectzoo.files import write_json
from affectzoo.model.affect_model import AffectModel
from affectzoo.objectives.metrics import expected_calibration_error
from affectzoo.train.batches import evaluation_loader
from affectzoo.train.evaluate import SplitPredictions, by_recording, by_step, predict_split
from affectzoo.train.features import OnFeatures

#: Temperatures lie between one over this and this. Without a wrong answer on validation the best one would be 0.
_MOST = 20.0
#: Places of the grid that brackets the minimum, and how near to it the golden section comes; both in log-temperature.
_GRID, _CLOSE = 13, 1e-4


def calibrate(
    model: AffectModel,
    targets: Sequence[TargetConfig],
    dataset: WindowDataset,
    settings: TrainConfig,
    accelerator: Accelerator,
    folder: Path,
) -> dict[str, dict[str, float]]:
    """Fit the temperatures of a trained model and save them in `folder`; called on every process.

    What is fitted is what is reported: the probabilities of a step (of windows that share it their mean), or of a recording
    where the head pools.

    Args:
        model: trained; its temperatures are replaced.
        targets: with the temperatures it was trained with, whatever was fitted since.
        dataset: the validation split, of raw inputs or of the model's own features.
        settings: batch size and workers.
        folder: where the model is saved; its `config.json` is written again.

    Returns:
        Categorical target -> `temperature`, and on validation the expected calibration error (15 bins) and the mean negative
        log-likelihood, each as `before` and `after`.

    Raises:
        CheckpointError: the probabilities are no numbers.
    """
    set_targets(model, targets)
    network = OnFeatures(model) if dataset.on_features else model
    loader = accelerator.prepare_data_loader(evaluation_loader(dataset, settings))
    predictions = predict_split(accelerator, network, loader)
    found: dict[str, dict[str, float]] = {}
    for name, columns in target_columns(targets).items():
        target = next(target for target in targets if target.name == name)
        if target.kind == "categorical":
            found[name] = fit_temperature(predictions, target, columns, model.head.pool)
    fitted = {name: {"temperature": result["temperature"]} for name, result in found.items()}
    set_targets(model, [target.model_copy(update=fitted.get(target.name, {})) for target in targets])
    if accelerator.is_main_process:
        write_json(folder / "config.json", model.config.to_json())
    accelerator.wait_for_everyone()
    return found


def set_targets(model: AffectModel, targets: Sequence[TargetConfig]) -> None:
    """Give a model other temperatures."""
    model.config = model.config.model_copy(update={"targets": tuple(targets)})
    model.head.targets = tuple(targets)


def fit_temperature(predictions: SplitPredictions, target: TargetConfig, columns: slice, pool: str | None) -> dict[str, float]:
    """What `calibrate` returns for one target, whose logits stand in `columns` of windows as the model gives them."""
    logits, label = predictions.prediction[..., columns].double(), predictions.label[..., columns].double()

    def reported(temperature: float) -> SplitPredictions:
        steps = by_step(replace(predictions, prediction=logits / temperature, label=label), [target])
        return steps if pool is None else by_recording(steps, pool)

    def cost(log_temperature: float) -> float:
        return negative_log_likelihood(reported(math.exp(log_temperature)))

    best = minimise(cost, -math.log(_MOST), math.log(_MOST))
    factor = math.exp(best)
    result = {"temperature": target.temperature * factor}
    for when, at in (("before", 1.0), ("after", factor)):
        found = reported(at)
        result[f"ece_{when}"] = float(expected_calibration_error(found.prediction, found.label, found.valid))
        result[f"nll_{when}"] = negative_log_likelihood(found)
    if not all(map(math.isfinite, result.values())):
        raise CheckpointError(f"train.calibrate: the validation predictions of {target.name} are not all numbers")
    return result


def negative_log_likelihood(found: SplitPredictions) -> float:
    """Mean over what is valid of `-sum(label * log(probability))`; medians of probabilities are first brought to a sum of 1."""
    probable, label = found.prediction[found.valid].clamp_min(1e-12), found.label[found.valid]
    return float(-(label * (probable / probable.sum(-1, keepdim=True)).log()).sum(-1).mean())


def minimise(cost: Callable[[float], float], low: float, high: float) -> float:
    """Where `cost` is least between `low` and `high`: a grid, then a golden section between the neighbours of its best place.

    Of a step's likelihood there is one minimum; pooling may leave more, and the grid finds the lowest that is wider than it.
    """
    places = [low + (high - low) * i / (_GRID - 1) for i in range(_GRID)]
    best = min(range(_GRID), key=lambda i: cost(places[i]))
    low, high = places[max(0, best - 1)], places[min(_GRID - 1, best + 1)]
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = cost(left), cost(right)
    while high - low > _CLOSE:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = cost(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = cost(right)
    return (low + high) / 2
