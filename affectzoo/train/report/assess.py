"""From the names of a model and of a dataset to the report of one split."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from affectzoo.config import DataConfig
from affectzoo.data.feature_store import check_weights
from affectzoo.data.windows import WindowDataset
from affectzoo.errors import DataError, InputError, PredictionError
from affectzoo.hub.resolve import resolve
from affectzoo.model.affect_model import AffectModel
from affectzoo.train.evaluate import Series, by_recording, by_step, predict_split
from affectzoo.train.features import OnFeatures
from affectzoo.train.report.postprocess import PostProcessing
from affectzoo.train.report.report import Report
from affectzoo.train.splits import dataset_of, load_split


def assess(
    name: str,
    data: DataConfig,
    *,
    split: str = "test",
    post_processing: PostProcessing | None = None,
    device: str | None = None,
    batch_size: int = 16,
    workers: int = 0,
    advance: Callable[[int, int], None] | None = None,
) -> Report:
    """Predict one split in float32 and compare it with its labels.

    Args:
        name: what `affectzoo.load` takes, or the folder of a run, whose `model` is meant.
        data: the dataset.
        split: `train`, `val` or `test`.
        post_processing: None does nothing to predictions and labels.
        device: None is the GPU where there is one.
        batch_size, workers: of the loader.
        advance: called with the number of batches done and that of all.

    Raises:
        InputError: no such split or device, or a post-processing that cannot be.
        DataError: the dataset does not fit the model, or has no valid label.
        PredictionError: the model gave values that are not numbers.
    """
    found = resolve(name)
    model = AffectModel.from_folder(found.folder, dtype="float32")
    _, arguments = dataset_of(data, model.config)
    accelerator = _accelerator(device)
    dataset = load_split(data, model.config, split, accelerator)
    if dataset.on_features:
        check_weights(Path(str(arguments["folder"])), model)
    steps, times_s = _predicted(model, dataset, accelerator, batch_size, workers, advance)
    if not bool(steps.prediction.isfinite().all()):
        raise PredictionError(f"the model {name} gave values that are not numbers; its weights or a part of it are broken")
    if not bool(steps.valid.any()):
        raise DataError(f"the split {split} of dataset {data.name!r} has no valid label, so there is nothing to compare with")
    done = post_processing or PostProcessing()
    step_s = model.config.sequence.seconds
    steps = done(steps, times_s, step_s, model.config.targets)
    if not bool(steps.valid.any()):
        raise InputError(f"--label-delay {done.label_delay_s:g} leaves no step with a valid label; give fewer seconds")
    return Report(
        model=name,
        source=found.source,
        revision=found.revision,
        data=DataConfig(name=data.name, config=json.loads(json.dumps(arguments, default=str))),
        split=split,
        targets=model.config.targets,
        pool=model.head.pool,
        post_processing=tuple(done.words(step_s)),
        steps=steps,
        times_s=times_s,
        recordings=None if model.head.pool is None else by_recording(steps, model.head.pool),
        clip_ids=dataset.clip_ids,
        subjects=dataset.subjects,
    )


def _predicted(
    model: AffectModel,
    dataset: WindowDataset,
    accelerator: Accelerator,
    batch_size: int,
    workers: int,
    advance: Callable[[int, int], None] | None,
) -> tuple[Series, np.ndarray]:
    """Every step of the clips, without padding, and the middles of all `[S]` in seconds."""
    network = OnFeatures(model) if dataset.on_features else model
    loader = accelerator.prepare_data_loader(DataLoader(dataset, batch_size=batch_size, num_workers=workers))
    predictions = predict_split(accelerator, network.to(accelerator.device), loader, advance)
    steps = by_step(predictions, model.config.targets)
    steps = steps.at(steps.step < torch.tensor(dataset.counts)[steps.row])
    times = [np.frombuffer(dataset.read_row(row)[0]["times_s"], dtype=np.float64) for row in range(len(dataset.counts))]
    for clip_id, own, count in zip(dataset.clip_ids, times, dataset.counts, strict=True):
        if len(own) != count:
            raise DataError(f"{clip_id}: {len(own)} times for {count} sub-sequences")
    return steps, np.concatenate(times)


def _accelerator(device: str | None) -> Accelerator:
    """One that computes on `device`, in the precision of the weights."""
    if device is None:
        return Accelerator(mixed_precision="no")
    try:
        # Reading it back: a meta device takes tensors but computes nothing.
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        known = "cpu or cuda" if torch.cuda.is_available() else "cpu"
        raise InputError(f"device {device!r} cannot be used here; use {known}") from error
    # accelerate takes a device from its environment alone, and the first one of a process for good.
    os.environ["ACCELERATE_TORCH_DEVICE"] = device
    try:
        accelerator = Accelerator(mixed_precision="no")
    finally:
        del os.environ["ACCELERATE_TORCH_DEVICE"]
    if accelerator.device.type != torch.device(device).type:
        raise InputError(f"this process already computes on {accelerator.device}; start another one for {device}")
    return accelerator
