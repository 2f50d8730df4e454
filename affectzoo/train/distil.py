"""The teachers of a run: frozen models that say what they would predict for a training batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from affectzoo.config import ModelConfig, TrainConfig
from affectzoo.data.feature_store import first_difference, weights_digest
from affectzoo.errors import ConfigError
from affectzoo.hub.resolve import resolve
from affectzoo.model.affect_model import AffectModel
from affectzoo.objectives.distillation import Distillation
from affectzoo.objectives.losses import Objective
from affectzoo.train.borrow import backbone_and_input


class Teachers:
    """What the teachers say, as `Distillation` takes it. No module, so that no checkpoint and no optimiser holds them.

    Args:
        models: name -> teacher in evaluation mode, on its device.
        distance: whose `mean_of` puts them together.
        accelerator: whose autocast they run under.
        on_features: whether inputs are backbone features.
    """

    def __init__(
        self, models: Mapping[str, AffectModel], distance: Distillation, accelerator: Accelerator, *, on_features: bool
    ) -> None:
        self.distance, self.accelerator = distance, accelerator
        self.run: list[Callable[..., Tensor]] = [
            functools.partial(model.forward_features if on_features else model.forward, pool=False) for model in models.values()
        ]

    @torch.no_grad()
    def __call__(self, inputs: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> Tensor:
        """`[B, L, K]`, classes as probabilities at the temperature."""
        with self.accelerator.autocast():
            return self.distance.mean_of([run(inputs, masks) for run in self.run])


def load_teachers(settings: TrainConfig, model: AffectModel, accelerator: Accelerator) -> dict[str, AffectModel]:
    """Name -> frozen model in float32; empty without `train.distil`.

    Raises:
        ConfigError: a teacher with other inputs, sequence or targets than `model`.
        AffectzooError: one that cannot be found or read.
    """
    found: dict[str, AffectModel] = {}
    for name in settings.distil.teachers if settings.distil is not None else ():
        teacher = AffectModel.from_folder(resolve(name).folder, dtype="float32")
        if difference := _difference(teacher.config, model.config):
            raise ConfigError(f"train.distil: {name} cannot teach this model: {difference}; leave it out, or make both alike")
        found[name] = teacher.requires_grad_(False).to(accelerator.device)
    return found


def distance_of(settings: TrainConfig, objective: Objective) -> Distillation | None:
    """The distance that the settings ask for, its targets weighed as those of the objective."""
    if settings.distil is None:
        return None
    share, temperature = settings.distil.weight, settings.distil.temperature
    return Distillation(objective.targets, objective.weights, temperature=temperature, share=share)


def teachers_identity(teachers: Mapping[str, AffectModel]) -> dict[str, str]:
    """Name -> digest of the weights, so that a run does not go on with other ones under the same name."""
    return {name: weights_digest(teacher) for name, teacher in teachers.items()}


def check_backbones(teachers: Mapping[str, AffectModel], model: AffectModel) -> None:
    """Refuse teachers that read features which their own backbones would not have made.

    Raises:
        ConfigError: names the teacher and the modality.
    """
    for name, teacher in teachers.items():
        if difference := other_backbone(teacher, model):
            raise ConfigError(
                f"train.distil: the training is on features, and {name} would have made others: {difference}; leave the "
                "teacher out, or train on raw inputs"
            )


def other_backbone(teacher: AffectModel, model: AffectModel) -> str:
    """The first backbone of a teacher that may make other features than the model's own, as a clause; empty where none does."""
    for modality, backbone in model.backbones.items():
        # Equal weights are not enough: pooling has none.
        there, here = (backbone_and_input(one.config.streams[modality]) for one in (teacher, model))
        if difference := first_difference(there, here, "in this model"):
            return f"of its {modality} stream {difference}"
        if weights_digest(backbone) != weights_digest(teacher.backbones[modality]):
            return f"its {modality} backbone has other weights"
    return ""


def _difference(teacher: ModelConfig, model: ModelConfig) -> str:
    """The first of what both must share that differs, as a clause; empty where nothing does."""
    return first_difference(_shared(teacher), _shared(model), "in this model")


def _shared(config: ModelConfig) -> dict[str, Any]:
    whole = config.to_json()
    return {
        "streams": sorted(config.streams),
        "columns": [column for target in config.targets for column in target.columns],
        "inputs": {name: stream["input"] for name, stream in whole["streams"].items()},
        "sequence": whole["sequence"],
        # A temperature only scales the logits.
        "targets": {target["name"]: {**target, "temperature": 1.0} for target in whole["targets"]},
    }
