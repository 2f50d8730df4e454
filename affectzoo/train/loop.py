"""One experiment: config -> data -> model -> epochs -> evaluate -> save."""

from __future__ import annotations

import functools
import itertools
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from affectzoo.config import ExperimentConfig, FramesInput
from affectzoo.data.feature_store import check_weights
from affectzoo.data.schema import IDENTITY, SPLITS
from affectzoo.data.windows import (
    StreamedWindows,
    WindowDataset,
    check_labels,
    class_counts,
    fingerprint,
    unlabelled,
    windows_over,
)
from affectzoo.errors import ConfigError, DataError
from affectzoo.files import write_json
from affectzoo.model.affect_model import AffectModel
from affectzoo.objectives.losses import Objective, balanced_weights
from affectzoo.train.batches import Batches, StreamedBatches, evaluation_loader
from affectzoo.train.evaluate import predict_split, scores, subjects_of
from affectzoo.train.features import OnFeatures, encode_windows
from affectzoo.train.fit import Fit
from affectzoo.train.learner import Learner
from affectzoo.train.pretrain import load_backbones, stream_experiments
from affectzoo.train.splits import dataset_of, load_rows, no_clips
from affectzoo.train.start import checkpoint_activations, freeze, start_from
from affectzoo.train.watch.watch import accelerator_for

#: Settings that change neither the weights nor the scores of a run, so that they may change when it goes on.
_HARMLESS = {"": ("output", "tracker"), "train": ("workers", "checkpoint_steps", "keep_checkpoints")}


def train(experiment: ExperimentConfig, accelerator: Accelerator | None = None, *, resume: bool = False) -> dict[str, Any]:
    """Run one experiment; the model that was best on validation is saved and scored once on the test split.

    Writes under `output/name/seed<seed>`: `experiment.json` (what was asked for), `config.json` (with every default filled in),
    `environment.json`, `metrics.jsonl` (a line an epoch), `curves.png`, `checkpoints/`, `model/` (the best epoch) and
    `result.json`.

    Args:
        experiment: what to do.
        accelerator: None makes one for the experiment.
        resume: go on from the last checkpoint, where there is one; a run that has ended is not run again.

    Returns:
        What `result.json` holds: best epoch, validation and test scores, sizes, seconds.

    Raises:
        AffectzooError: settings, data or weights that cannot be used, a loss that is not a number.
        StoppedError: SIGTERM came; the state is saved.
    """
    started = time.perf_counter()
    check(experiment)
    folder = run_folder(experiment)
    make_folder(folder)
    accelerator = accelerator or accelerator_for(experiment, folder)

    def say(text: str) -> None:
        accelerator.print(text, flush=True)

    if resume and is_done(experiment, accelerator):
        say(f"{folder} has ended: nothing to go on with")
        return json.loads((folder / "result.json").read_text(encoding="utf-8"))
    refuse_to_overwrite(folder, resume, accelerator)
    single = {}
    for name, alone in stream_experiments(experiment).items():
        if not is_done(alone, accelerator):
            say(f"training {name} alone: {run_folder(alone)}")
            train(alone, accelerator, resume=True)
        single[name] = run_folder(alone) / "model"

    set_seed(experiment.seed)
    model = AffectModel(experiment.model)
    for name, backbone in model.backbones.items():
        if backbone.init_report is not None:
            say(f"{name} starts {backbone.init_report}")
    start_from(model, experiment, say)
    datasets = load_splits(experiment, model, accelerator)
    identity = identity_of(experiment, datasets, accelerator)
    raw_test = datasets["test"]
    if single:
        load_backbones(model, single)
        datasets |= {split: encode_windows(model, datasets[split], accelerator) for split in ("train", "val")}
    freeze(model, experiment.train.freeze)
    training = datasets["train"]
    on_features = training.on_features
    if on_features and not single:
        check_weights(Path(str(experiment.data.config["folder"])), model)
        model.backbones.requires_grad_(False)
    if experiment.train.activation_checkpointing:
        checkpoint_activations(model)
    frames = {name for name, stream in model.config.streams.items() if isinstance(stream.input, FramesInput)}
    learner = Learner(
        model,
        objective_of(experiment, training, model),
        on_features=on_features,
        compiled=experiment.train.compile,
    )
    write_config(experiment, model, folder, accelerator)
    # Equal weights on every process, unequal dropout.
    set_seed(experiment.seed, device_specific=True)
    batches = batches_of(experiment, training, model, accelerator)
    fit = Fit(
        experiment, learner, batches, datasets["val"], set() if on_features else frames, folder, accelerator, identity, say
    )
    best_epoch = fit.run(resume=resume)

    best = AffectModel.from_folder(folder / "model").to(accelerator.device)
    loaders = {"val": datasets["val"], "test": raw_test}
    result = {
        "name": experiment.name,
        "seed": experiment.seed,
        "best_epoch": best_epoch,
        **{split: evaluate(best, data, experiment, accelerator) for split, data in loaders.items()},
        "subjects": {split: subjects_of(data) for split, data in datasets.items() if isinstance(data, WindowDataset)},
        "parameters": model.parameter_count(),
        "seconds": time.perf_counter() - started,
    }
    if accelerator.is_main_process:
        write_json(folder / "result.json", result)
    accelerator.wait_for_everyone()
    return result


def check(experiment: ExperimentConfig) -> None:
    """Refuse before the streams are trained alone what would fail, or be ignored, after that.

    Raises:
        AffectzooError: a part that cannot be built, or settings that do not fit each other.
    """
    length = experiment.model.sequence.length
    for name, settings in (("train", experiment.train), ("pretrain", experiment.pretrain)):
        if settings is not None and (settings.window_hop or 1) > length:
            raise ConfigError(f"{name}.window_hop {settings.window_hop} is longer than a window of {length} steps")
    dataset_of(experiment.data, experiment.model)
    if experiment.pretrain is not None:
        if experiment.train.horizontal_flip:
            raise ConfigError("train.horizontal_flip has no effect on features: set it under pretrain, where crops are seen")
        if experiment.train.activation_checkpointing:
            raise ConfigError("train.activation_checkpointing has no effect on features: set it under pretrain")
        if experiment.pretrain.modality_dropout:
            raise ConfigError("pretrain.modality_dropout has no effect on a stream alone: set it under train")
        if experiment.init is not None:
            raise ConfigError("init and pretrain both say where the backbones come from: leave one of them out")
        AffectModel(experiment.model)


def evaluate(
    model: AffectModel, dataset: WindowDataset, experiment: ExperimentConfig, accelerator: Accelerator
) -> dict[str, float]:
    """Scores of a model on a split of raw inputs or of its own backbones' features."""
    network = OnFeatures(model) if dataset.on_features else model
    loader = accelerator.prepare_data_loader(evaluation_loader(dataset, experiment.train))
    return scores(predict_split(accelerator, network, loader), model.config.targets, model.head.pool)


def load_splits(experiment: ExperimentConfig, model: AffectModel, accelerator: Accelerator) -> dict[str, Any]:
    """Windows over every split, checked: no subject in two of them, labels in their range.

    A training split that is streamed (a `datasets.IterableDataset`) becomes `StreamedWindows`; neither can be checked there.
    """
    rows = load_rows(experiment.data, model.config, accelerator)
    datasets: dict[str, Any] = {}
    for split in SPLITS:
        if split == "train" and split in rows and not hasattr(rows[split], "__len__"):
            datasets[split] = StreamedWindows(rows[split], model.config, hop=experiment.train.window_hop)
            accelerator.print("train is streamed: its subjects and labels are not checked", flush=True)
            continue
        if split not in rows or not len(rows[split]):
            raise no_clips(experiment.data, split)
        hop = experiment.train.window_hop if split == "train" else None
        dataset = datasets[split] = windows_over(rows[split], model.config, hop=hop)
        check_labels(dataset)
        blank = unlabelled(dataset)
        if len(blank) == len(dataset.clip_ids):
            raise DataError(f"no clip of the split {split} has a valid label")
        if blank:
            found = f"{len(blank)} of {len(dataset.clip_ids)} clips have no valid label, {blank[0]!r} among them"
            accelerator.print(f"{split}: {found}", flush=True)
    if [target.name for target in model.config.targets] == [IDENTITY]:
        return datasets  # whose classes are the people: they must be the same in every split
    people = {split: set(data.subjects) for split, data in datasets.items() if isinstance(data, WindowDataset)}
    for one, other in itertools.combinations(people, 2):
        if people[one] & people[other]:
            raise DataError(f"subject {min(people[one] & people[other])!r} is in both {one} and {other}")
    return datasets


def batches_of(
    experiment: ExperimentConfig, dataset: WindowDataset | StreamedWindows, model: AffectModel, accelerator: Accelerator
) -> Batches | StreamedBatches:
    """The training batches of this process."""
    settings = experiment.train
    if isinstance(dataset, StreamedWindows):
        if settings.epoch_steps is None:
            raise ConfigError("the training split is streamed, so its length is unknown: set train.epoch_steps")
        if settings.workers > 1:
            raise ConfigError("the training split is streamed, and a stream has one reader: set train.workers to 1 or 0")
        if experiment.pretrain is not None:
            raise ConfigError("pretrain needs a training split that is not streamed")
        return StreamedBatches(
            functools.partial(StreamedWindows, dataset.rows, model.config, hop=dataset.hop),
            per_epoch=settings.epoch_steps * settings.accumulate,
            batch_size=settings.batch_size,
            workers=settings.workers,
            accelerator=accelerator,
        )
    if settings.epoch_steps is not None:
        raise ConfigError("train.epoch_steps is for a training split that is streamed; this one has an end: leave it out")
    return Batches(
        dataset, batch_size=settings.batch_size, workers=settings.workers, seed=experiment.seed, accelerator=accelerator
    )


def objective_of(experiment: ExperimentConfig, dataset: WindowDataset | StreamedWindows, model: AffectModel) -> Objective:
    """The loss that the settings ask for; classes are weighed by the labels of the training split."""
    settings, targets = experiment.train, model.config.targets
    balanced: dict[str, torch.Tensor] = {}
    if settings.class_balance:
        if isinstance(dataset, StreamedWindows):
            raise ConfigError("train.class_balance needs the labels of the whole training split, and this one is streamed")
        counts = class_counts(dataset)
        start = 0
        for target in targets:
            columns = slice(start, start := start + len(target.columns))
            if target.kind == "categorical":
                balanced[target.name] = balanced_weights(counts[columns])
        if not balanced:
            raise ConfigError("train.class_balance has no effect: no target is categorical")
    return Objective(
        targets,
        loss=settings.loss,
        ordinal_loss=settings.ordinal_loss,
        weights=settings.weights,
        weighting=settings.weighting,
        class_weights=balanced,
    )


def run_folder(experiment: ExperimentConfig) -> Path:
    """Where a run writes."""
    return Path(experiment.output) / experiment.name / f"seed{experiment.seed}"


def make_folder(folder: Path) -> None:
    """Make a run's folder before any work is done for it; several processes may do so at once."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output: {folder} cannot be made: {error.strerror or error}; choose another") from error


def is_done(experiment: ExperimentConfig, accelerator: Accelerator) -> bool:
    """Whether this very experiment has already ended here; asked by every process before any of them writes."""
    folder = run_folder(experiment)
    done = (folder / "result.json").is_file() and (folder / "experiment.json").is_file()
    done = done and json.loads((folder / "experiment.json").read_text(encoding="utf-8")) == experiment.to_json()
    accelerator.wait_for_everyone()
    return done


def refuse_to_overwrite(folder: Path, resume: bool, accelerator: Accelerator) -> None:
    """A run that was cut off may be weeks of work: it is gone on with, or removed by hand."""
    unfinished = any((folder / "checkpoints").glob("step-*")) and not (folder / "result.json").is_file()
    accelerator.wait_for_everyone()
    if unfinished and not resume:
        raise ConfigError(
            f"{folder} holds a run that has not ended: go on with --resume, or remove it, or choose another name="
        )


def identity_of(experiment: ExperimentConfig, datasets: Mapping[str, Any], accelerator: Accelerator) -> dict[str, Any]:
    """What must be the same when a run goes on."""
    settings = experiment.to_json()
    for above, keys in _HARMLESS.items():
        for key in keys:
            (settings[above] if above else settings).pop(key)
    prints = {split: fingerprint(data) for split, data in datasets.items() if isinstance(data, WindowDataset)}
    return {**settings, "data_of": prints, "processes": accelerator.num_processes}


def write_config(experiment: ExperimentConfig, model: AffectModel, folder: Path, accelerator: Accelerator) -> None:
    """Save what was asked for (`experiment.json`) and with every default filled in (`config.json`)."""
    if not accelerator.is_main_process:
        return
    (folder / "result.json").unlink(missing_ok=True)
    resolved = experiment.model_copy(update={"model": model.config})
    write_json(folder / "experiment.json", experiment.to_json())
    write_json(folder / "config.json", resolved.to_json())
