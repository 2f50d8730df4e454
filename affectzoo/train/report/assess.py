"""From the names of a model and of a dataset to the report of one split, or of what a protocol says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from accelerate import Accelerator

from affectzoo.config import DataConfig
from affectzoo.data.protocols import Protocol
from affectzoo.errors import DataError, InputError
from affectzoo.model.device import usable_device
from affectzoo.train.evaluate import by_recording
from affectzoo.train.report.fold_runs import is_cross_validation, read_fold_runs
from affectzoo.train.report.looks import looks_at, run_of
from affectzoo.train.report.postprocess import PostProcessing
from affectzoo.train.report.predicted import Loaded, Predicted, joined, load_model, predict_part
from affectzoo.train.report.protocol import (
    check_model,
    folds_of,
    folds_of_runs,
    protocol_of,
    refuse_seen,
    report_protocol,
    settle,
)
from affectzoo.train.report.report import Report
from affectzoo.train.report.restrict import Restriction
from affectzoo.train.seen import Seen, met_before, seen_by
from affectzoo.train.splits import dataset_of

Predict = Callable[[Loaded, DataConfig, str, int | None], Predicted]


def assess(
    name: str,
    data: DataConfig,
    *,
    split: str | None = None,
    protocol: str | None = None,
    by: Sequence[str] = (),
    classes: str | None = None,
    post_processing: PostProcessing | None = None,
    device: str | None = None,
    batch_size: int = 16,
    workers: int = 0,
    advance: Callable[[int, int], None] | None = None,
) -> Report:
    """Predict in float32 and compare with labels.

    Args:
        name: what `affectzoo.load` takes, or the folder of a run, whose `model` is meant; with a protocol that has folds also
            the folder of a cross-validation, of which each fold's model predicts its own test subjects.
        data: the dataset.
        split: `train`, `val` or `test`; None is the protocol's, or `test`.
        protocol: how the corpus is reported; None gives the metrics of the split.
        by: `subject`, or extra columns of the corpus: the metrics for each value besides.
        classes: `A,B` or `TARGET:A,B`: some classes of a target alone, as `Restriction` has it; None is all.
        post_processing: None does nothing to predictions and labels.
        device: None is the GPU where there is one.
        batch_size, workers: of the loader.
        advance: called with the number of batches done and that of all, of each split or fold.

    Raises:
        InputError: no such split, device or class, a post-processing that cannot be, or a model that the protocol cannot
            compare.
        ConfigError: no such protocol, or what is asked for contradicts it.
        DataError: the dataset does not fit the model, has no valid label or no such column.
        PredictionError: the model gave values that are not numbers.
    """
    chosen = None if protocol is None else protocol_of(data.name, protocol)
    if chosen is not None:
        data = settle(data, chosen, split)
    split = split or (chosen.split if chosen else "") or "test"
    done = post_processing or PostProcessing()
    accelerator = accelerator_on(device)

    def predict(loaded: Loaded, part: DataConfig, split: str, fold: int | None) -> Predicted:
        return predict_part(
            loaded,
            part,
            split,
            accelerator,
            fold=fold,
            delivered=chosen is not None,
            by=by,
            batch_size=batch_size,
            workers=workers,
            advance=advance,
        )

    seen: Seen = {}
    run = None
    if is_cross_validation(name):
        loaded, predicted = _of_runs(name, data, chosen, done, predict)
        restriction = None if classes is None else Restriction.parse(classes, loaded.model.config.targets)
        source, revision = str(Path(name).expanduser()), ""
    else:
        loaded = load_model(name)
        source, revision = loaded.found.source, loaded.found.revision
        config, pool, seen = loaded.model.config, loaded.model.head.pool, seen_by(loaded.found.folder)
        restriction = None if classes is None else Restriction.parse(classes, config.targets)
        run = run_of(loaded.found.folder) if split == "test" else None
        if chosen is not None:
            check_model(chosen, config, pool, done.label_delay_s)
        if chosen is not None and chosen.folds is not None:
            folds, subjects = folds_of(chosen, data, config, accelerator)
            refuse_seen(name, seen, data, chosen, subjects)
            predicted = joined([predict(loaded, fold, "test", number) for number, fold in enumerate(folds)])
        else:
            predicted = predict(loaded, data, split, None)
            if chosen is not None:
                refuse_seen(name, seen, data, chosen, predicted.subjects)
    config, pool = loaded.model.config, loaded.model.head.pool
    steps, step_s = predicted.steps, config.sequence.seconds
    if not bool(steps.valid.any()):
        raise DataError(f"the split {split} of dataset {data.name!r} has no valid label, so there is nothing to compare with")
    steps = done(steps, predicted.times_s, step_s, config.targets)
    if not bool(steps.valid.any()):
        raise InputError(f"--label-delay {done.label_delay_s:g} leaves no step with a valid label; give fewer seconds")
    processed = replace(predicted, steps=steps)
    reported = None
    if chosen is not None:
        reported = report_protocol(chosen, processed, config, pool, done.label_delay_s, restriction)
    recordings = None if pool is None else by_recording(steps, pool)
    targets, words, left_out = config.targets, done.words(step_s), {}
    if restriction is not None:
        steps, recordings, left_out = restriction.of_split(steps, recordings)
        targets, words = restriction.targets, [*words, restriction.words]
    _, arguments = dataset_of(data, config)
    return Report(
        model=name,
        source=source,
        revision=revision,
        data=DataConfig(name=data.name, config=json.loads(json.dumps(arguments, default=str))),
        split=split,
        targets=targets,
        pool=pool,
        post_processing=tuple(words),
        steps=steps,
        times_s=predicted.times_s,
        recordings=recordings,
        clip_ids=predicted.clip_ids,
        subjects=predicted.subjects,
        met_in_training=tuple(met_before(seen, data, predicted.subjects)),
        protocol=reported,
        by=tuple(dict.fromkeys(by)),
        columns=predicted.by,
        left_out=left_out if reported is None else reported.left_out,
        looks=None if run is None else looks_at(run, data, config),
    )


def _of_runs(
    name: str, data: DataConfig, protocol: Protocol | None, done: PostProcessing, predict: Predict
) -> tuple[Loaded, Predicted]:
    """The first fold's model, and what each fold's model predicts of its own test subjects."""
    runs = read_fold_runs(Path(name).expanduser())
    if protocol is None:
        raise InputError(f"{name} is a cross-validation; give --protocol, or the run of one fold such as {runs.runs[0]}")
    parts, first = [], None
    for number, (run, part) in enumerate(zip(runs.runs, folds_of_runs(protocol, data, runs), strict=True)):
        loaded = load_model(run)
        first = first or loaded
        check_model(protocol, loaded.model.config, loaded.model.head.pool, done.label_delay_s)
        predicted = predict(loaded, part, "test", number)
        if set(predicted.subjects) != runs.subjects[number]:
            raise DataError(
                f"{run} was tested on other subjects than fold {number} of {data.name!r} holds now, so it may have been "
                "trained on these; evaluate on the data that it was trained on"
            )
        parts.append(predicted)
    assert first is not None
    return first, joined(parts)


def accelerator_on(device: str | None) -> Accelerator:
    """One that computes on `device`, in the precision of the weights."""
    if device is None:
        return Accelerator(mixed_precision="no")
    wanted = usable_device(device)
    # accelerate takes a device from its environment alone, and the first one of a process for good.
    os.environ["ACCELERATE_TORCH_DEVICE"] = device
    try:
        accelerator = Accelerator(mixed_precision="no")
    finally:
        del os.environ["ACCELERATE_TORCH_DEVICE"]
    if accelerator.device.type != wanted.type:
        raise InputError(f"this process already computes on {accelerator.device}; start another one for {device}")
    return accelerator
