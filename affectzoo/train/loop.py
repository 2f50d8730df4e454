"""One experiment: config -> data -> model -> epochs -> evaluate -> save."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from affectzoo.config import ExperimentConfig, target_columns
from affectzoo.data.feature_store import check_weights
from affectzoo.data.schema import SPLITS
from affectzoo.data.windows import (
    StreamedWindows,
    WindowDataset,
    check_labels,
    class_counts,
    unlabelled,
    windows_over,
)
from affectzoo.errors import DataError
from affectzoo.files import write_json
from affectzoo.model.affect_model import AffectModel
from affectzoo.objectives.losses import Objective, balanced_weights, log_frequencies
from affectzoo.train.augment import effective
from affectzoo.train.batches import Batches, StreamedBatches, evaluation_loader
from affectzoo.train.calibrate import calibrate
from affectzoo.train.checks import check, check_fit, inputs_of
from affectzoo.train.distil import Teachers, check_backbones, distance_of, load_teachers, teachers_identity
from affectzoo.train.evaluate import predict_split, scores, subjects_of
from affectzoo.train.features import OnFeatures, encode_windows, encoded_once, weights_of_backbones
from affectzoo.train.fit import Fit
from affectzoo.train.learner import Learner
from affectzoo.train.pretrain import load_backbones, stream_experiments
from affectzoo.train.runs import (
    identity_of,
    is_done,
    make_folder,
    refuse_to_overwrite,
    result_of,
    run_folder,
    write_config,
)
from affectzoo.train.sampling import groups_of
from affectzoo.train.seen import check_people
from affectzoo.train.splits import load_rows, no_clips
from affectzoo.train.start import checkpoint_activations, freeze, start_from
from affectzoo.train.watch.watch import accelerator_for


def train(experiment: ExperimentConfig, accelerator: Accelerator | None = None, *, resume: bool = False) -> dict[str, Any]:
    """Run one experiment; the model that was best on validation is saved and scored once on the test split, if it has labels.

    Writes under `output/name/seed<seed>`: `experiment.json` (what was asked for), `config.json` (with every default filled in),
    `trained_on.json` (whom), `environment.json`, `metrics.jsonl` (a line an epoch), `curves.png`, `checkpoints/`, `model/` (the
    best epoch) and `result.json`.

    Args:
        experiment: what to do.
        accelerator: None makes one for the experiment.
        resume: go on from the last checkpoint, where there is one; a run that has ended is not run again.

    Returns:
        What `result.json` holds: best epoch, validation and test scores, with `train.calibrate` what `calibrate` gives as
        `calibration`, sizes, seconds.

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

    set_seed(experiment.seed)
    model = AffectModel(experiment.model)
    for name, backbone in model.backbones.items():
        if backbone.init_report is not None:
            say(f"{name} starts {backbone.init_report}")
    start_from(model, experiment, say)
    datasets = load_splits(experiment, model, accelerator)
    identity = identity_of(experiment, datasets, accelerator)
    if resume and (result := result_of(experiment, identity, accelerator)) is not None:
        say(f"{folder} has ended; its result is taken")
        return result
    refuse_to_overwrite(experiment, resume, accelerator)
    teachers = load_teachers(experiment.train, model, accelerator)
    if teachers:
        identity["weights_of_teachers"] = teachers_identity(teachers)
    raw_test, single, inputs = datasets.get("test"), {}, inputs_of(model.config)
    for name, alone in stream_experiments(experiment).items():
        changes = effective(alone.train.augment, {name: inputs[name]}, model.config.sequence.length)
        alone = alone.model_copy(update={"train": alone.train.model_copy(update={"augment": changes})})
        if not is_done(alone, accelerator):
            say(f"training {name} alone: {run_folder(alone)}")
        train(alone, accelerator, resume=True)
        single[name] = run_folder(alone) / "model"
    if single:
        load_backbones(model, single)
    freeze(model, experiment.train.freeze)
    if experiment.train.activation_checkpointing:
        checkpoint_activations(model)
    if datasets["train"].on_features:
        if "folder" in experiment.data.config:
            check_weights(Path(str(experiment.data.config["folder"])), model)
        model.backbones.requires_grad_(False)
    elif single or encoded_once(experiment, model, teachers, datasets["train"]):
        if not single:
            say("the backbones are frozen: they run once, and the rest is trained on their features")
            identity["weights_of_backbones"] = weights_of_backbones(model)
        settings = experiment.train
        encode = functools.partial(encode_windows, model, accelerator=accelerator, workers=settings.workers)
        datasets |= {split: encode(datasets[split]) for split in ("train", "val")}
    training = datasets["train"]
    on_features = training.on_features
    if on_features:
        check_backbones(teachers, model)
    objective = objective_of(experiment, training, model)
    distance = distance_of(experiment.train, objective)
    learner = Learner(model, objective, on_features=on_features, compiled=experiment.train.compile, distance=distance)
    taught = None if distance is None else Teachers(teachers, distance, accelerator, on_features=on_features)
    # Equal weights on every process, unequal dropout.
    set_seed(experiment.seed, device_specific=True)
    batches = batches_of(experiment, training, model, accelerator)
    changed = {} if on_features else inputs
    fit = Fit(experiment, learner, batches, datasets["val"], changed, folder, accelerator, identity, say, taught)
    best_epoch = fit.run(resume=resume, begin=lambda: write_config(experiment, model, training, accelerator))

    best = AffectModel.from_folder(folder / "model").to(accelerator.device)
    calibration = {}
    if experiment.train.calibrate:
        # From the temperatures of the training, so that a run that was killed meanwhile ends alike.
        targets, saved = model.config.targets, folder / "model"
        calibration["calibration"] = calibrate(best, targets, datasets["val"], experiment.train, accelerator, saved)
    loaders = {"val": datasets["val"], **({} if raw_test is None else {"test": raw_test})}
    result = {
        "name": experiment.name,
        "seed": experiment.seed,
        "best_epoch": best_epoch,
        **{split: evaluate(best, data, experiment, accelerator) for split, data in loaders.items()},
        **calibration,
        "subjects": {split: subjects_of(data) for split, data in datasets.items() if isinstance(data, WindowDataset)},
        "data_of": identity["data_of"],
        "parameters": model.parameter_count(),
        "seconds": time.perf_counter() - started,
    }
    if accelerator.is_main_process:
        write_json(folder / "result.json", result)
    accelerator.wait_for_everyone()
    return result


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
    Challenges withhold the labels of their test split: without any, or without clips, it is left out.

    Raises:
        DataError: another split lacks clips or labels, or a split holds what cannot be.
    """

    def say(text: str) -> None:
        accelerator.print(text, flush=True)

    rows = load_rows(experiment.data, model.config, accelerator)
    datasets: dict[str, Any] = {}
    for split in SPLITS:
        if split == "train" and split in rows and not hasattr(rows[split], "__len__"):
            datasets[split] = StreamedWindows(rows[split], model.config, hop=experiment.train.window_hop)
            say("train is streamed: its subjects and labels are not checked")
            continue
        if split not in rows or not len(rows[split]):
            if split == "test":
                say("there is no test split: the run is scored on the validation split alone")
                continue
            raise no_clips(experiment.data, split)
        hop = experiment.train.window_hop if split == "train" else None
        dataset = windows_over(rows[split], model.config, hop=hop)
        check_labels(dataset)
        blank = unlabelled(dataset)
        if len(blank) == len(dataset.clip_ids):
            if split == "test":
                say("no clip of the test split has a valid label: the run is scored on the validation split alone")
                continue
            raise DataError(
                f"no clip of the split {split} has a valid label; leave subjects without labels out, or divide them otherwise"
            )
        if blank:
            found = f"{len(blank)} of {len(dataset.clip_ids)} clips have no valid label, {blank[0]!r} among them"
            say(f"{split}: {found}")
        datasets[split] = dataset
    check_fit(experiment, datasets["train"], inputs_of(model.config))
    check_people(experiment, datasets, say)
    return datasets


def batches_of(
    experiment: ExperimentConfig, dataset: WindowDataset | StreamedWindows, model: AffectModel, accelerator: Accelerator
) -> Batches | StreamedBatches:
    """The training batches of this process."""
    settings = experiment.train
    if isinstance(dataset, StreamedWindows):
        assert settings.epoch_steps is not None
        return StreamedBatches(
            functools.partial(StreamedWindows, dataset.rows, model.config, hop=dataset.hop),
            per_epoch=settings.epoch_steps * settings.accumulate,
            batch_size=settings.batch_size,
            workers=settings.workers,
            accelerator=accelerator,
        )
    return Batches(
        dataset,
        batch_size=settings.batch_size,
        workers=settings.workers,
        seed=experiment.seed,
        accelerator=accelerator,
        groups=groups_of(dataset, settings.sampling),
        exponent=settings.sampling_exponent,
    )


def objective_of(experiment: ExperimentConfig, dataset: WindowDataset | StreamedWindows, model: AffectModel) -> Objective:
    """The loss that the settings ask for; how frequent classes are is counted in the training split."""
    settings, targets = experiment.train, model.config.targets
    balanced: dict[str, torch.Tensor] = {}
    offsets: dict[str, torch.Tensor] = {}
    if settings.class_balance or settings.logit_adjustment:
        assert isinstance(dataset, WindowDataset)
        counts = class_counts(dataset)
        columns = target_columns(targets)
        for name in (target.name for target in targets if target.kind == "categorical"):
            if settings.class_balance:
                balanced[name] = balanced_weights(counts[columns[name]])
            if settings.logit_adjustment:
                drawn = counts[columns[name]]
                if settings.sampling == "classes":
                    drawn = drawn.double() ** settings.sampling_exponent
                offsets[name] = settings.logit_adjustment * log_frequencies(drawn)
    return Objective(
        targets,
        loss=settings.loss,
        ordinal_loss=settings.ordinal_loss,
        weights=settings.weights,
        weighting=settings.weighting,
        class_weights=balanced,
        label_smoothing=settings.label_smoothing,
        offsets=offsets,
    )
