"""Settings that would fail, or be ignored: refused before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping

from affectzoo.config import ExperimentConfig, ModelConfig, StreamInput, TrainConfig
from affectzoo.data.windows import StreamedWindows, WindowDataset
from affectzoo.errors import ConfigError
from affectzoo.model.affect_model import AffectModel
from affectzoo.train.augment import check_augment
from affectzoo.train.sampling import check_sampling
from affectzoo.train.splits import dataset_of


def check(experiment: ExperimentConfig) -> None:
    """Refuse before the streams are trained alone what would fail, or be ignored, after that.

    Raises:
        AffectzooError: a part that cannot be built, or settings that do not fit each other.
    """
    length = experiment.model.sequence.length
    for name, settings in (("train", experiment.train), ("pretrain", experiment.pretrain)):
        if settings is not None and (settings.window_hop or 1) > length:
            raise ConfigError(f"{name}.window_hop {settings.window_hop} is longer than a window of {length} steps")
        if settings is not None:
            check_sampling(settings.sampling, experiment.model.targets, name)
            _check_training(settings, experiment.model, name)
    dataset_of(experiment.data, experiment.model)
    if experiment.pretrain is not None:
        if asked := experiment.train.augment.asked():
            raise ConfigError(
                f"train.augment.{asked[0]} has no effect on features: set it under pretrain, where inputs are read"
            )
        if experiment.train.activation_checkpointing:
            raise ConfigError("train.activation_checkpointing has no effect on features: set it under pretrain")
        if experiment.pretrain.distil is not None:
            raise ConfigError("pretrain.distil would teach every stream alone by the same models: set it under train")
        if experiment.pretrain.modality_dropout:
            raise ConfigError("pretrain.modality_dropout has no effect on a stream alone: set it under train")
        if experiment.init is not None:
            raise ConfigError("init and pretrain both say where the backbones come from: leave one of them out")
        check_augment(experiment.pretrain.augment, inputs_of(AffectModel(experiment.model).config), length, "pretrain")


def _check_training(settings: TrainConfig, model: ModelConfig, where: str) -> None:
    """Refuse what acts on classes, numbers, labels or other windows where there are none, and what is asked for twice.

    Raises:
        ConfigError: names the option, under `where` (`train` or `pretrain`).
    """
    classes = any(target.kind == "categorical" for target in model.targets)
    distil = settings.distil
    softened = distil is not None and distil.temperature != 1
    asked = {
        "class_balance": settings.class_balance,
        "logit_adjustment": settings.logit_adjustment,
        "label_smoothing": settings.label_smoothing,
        "calibrate": settings.calibrate,
        "distil.temperature": softened,
    }
    for option, on in asked.items():
        if on and not classes:
            raise ConfigError(f"{where}.{option} has no effect: no target is categorical; leave it out")
    if settings.loss != "ccc" and all(target.kind == "categorical" for target in model.targets):
        raise ConfigError(f"{where}.loss has no effect: every target is categorical, and takes cross-entropy; leave it out")
    if settings.sampling_exponent and settings.sampling == "windows":
        raise ConfigError(f"{where}.sampling_exponent has no effect with {where}.sampling windows: choose what is drawn")
    alike = settings.sampling == "classes" and not settings.sampling_exponent
    balances = {"class_balance": settings.class_balance, "sampling: classes": alike}
    if settings.logit_adjustment and any(balances.values()):
        other = next(option for option, on in balances.items() if on)
        raise ConfigError(f"{where}.logit_adjustment and {where}.{other} both make up for rare classes: choose one")
    if settings.mixup and settings.batch_size == 1:
        raise ConfigError(f"{where}.mixup has no effect with {where}.batch_size 1: there is no other window in the batch")
    if distil is not None and len(set(distil.teachers)) < len(distil.teachers):
        twice = next(name for name in distil.teachers if distil.teachers.count(name) > 1)
        raise ConfigError(f"{where}.distil.teachers names {twice} more than once, and all have the same say; name it once")
    if distil is not None and distil.weight == 1:
        of_labels = {
            "label_smoothing": settings.label_smoothing,
            "class_balance": settings.class_balance,
            "logit_adjustment": settings.logit_adjustment,
            "weighting": settings.weighting != "fixed",
            "loss": settings.loss != "ccc",
            "ordinal_loss": settings.ordinal_loss != "regress",
        }
        for option, on in of_labels.items():
            if on:
                raise ConfigError(f"{where}.{option} has no effect: {where}.distil.weight 1 leaves the labels out")


def inputs_of(config: ModelConfig) -> dict[str, StreamInput]:
    """Modality -> its input, of a complete config."""
    return {name: stream.input for name, stream in config.streams.items() if stream.input is not None}


def check_fit(
    experiment: ExperimentConfig, dataset: WindowDataset | StreamedWindows, inputs: Mapping[str, StreamInput]
) -> None:
    """Refuse settings that do not fit the training split or the model's inputs.

    Raises:
        ConfigError: they would fail, or be ignored.
    """
    settings = experiment.train
    if isinstance(dataset, StreamedWindows):
        if experiment.pretrain is not None:
            raise ConfigError("pretrain needs a training split that is not streamed")
        if settings.epoch_steps is None:
            raise ConfigError("the training split is streamed, so its length is unknown: set train.epoch_steps")
        if settings.workers > 1:
            raise ConfigError("the training split is streamed, and a stream has one reader: set train.workers to 1 or 0")
        for option in ("class_balance", "logit_adjustment"):
            if getattr(settings, option):
                raise ConfigError(f"train.{option} needs the labels of the whole training split, and this one is streamed")
        if settings.sampling != "windows":
            raise ConfigError(
                f"train.sampling: {settings.sampling} needs the labels of the whole training split, and this one is streamed"
            )
    elif settings.epoch_steps is not None:
        raise ConfigError("train.epoch_steps is for a training split that is streamed; this one has an end: leave it out")
    if dataset.on_features:
        idle = [f"augment.{option}" for option in settings.augment.asked()]
        if settings.activation_checkpointing:
            idle.append("activation_checkpointing")
        if idle:
            raise ConfigError(f"train.{idle[0]} has no effect on features: leave it out")
        if experiment.pretrain is not None:
            raise ConfigError("pretrain trains backbones, and this dataset holds features of theirs: leave pretrain out")
    check_augment(settings.augment, inputs, dataset.length, "train")
