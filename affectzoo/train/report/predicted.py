"""A model's predictions of one split, or of the test splits of several folds, beside what the clips were delivered with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from affectzoo.config import DataConfig
from affectzoo.data.feature_store import check_weights
from affectzoo.data.windows import WindowDataset
from affectzoo.errors import DataError, PredictionError
from affectzoo.hub.resolve import Resolved, resolve
from affectzoo.model.affect_model import AffectModel
from affectzoo.train.evaluate import SplitPredictions, by_step, predict_split
from affectzoo.train.features import OnFeatures
from affectzoo.train.report.columns import read_columns
from affectzoo.train.splits import dataset_of, load_split

_TIMES, _TARGETS, _VALID, _EXTRA = "annotation.times_s", "annotation.targets", "annotation.valid", "extra"
_FRAMES = "frame_times_s"


@dataclass(frozen=True)
class Delivered:
    """Every annotation of a clip, and its extra columns.

    Attributes:
        times_s: `[m]` seconds from the start of the clip; m is 0 where only the whole clip has a label.
        targets: `[m, K]` in the model's columns and ranges.
        valid: `[m]` bool.
        extra: column -> value.
        frame_times_s: `[F]` seconds from the start of the clip of the frames of its video; empty where it has none.
    """

    times_s: np.ndarray
    targets: np.ndarray
    valid: np.ndarray
    extra: dict[str, Any]
    frame_times_s: np.ndarray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class Predicted:
    """Every step of every clip, without padding.

    Attributes:
        steps: by clip and time; times_s: `[S]` their middles.
        clip_ids, subjects, folds: of each clip; the fold is None where there are none.
        delivered: of each clip; empty where it was not asked for.
        by: of each clip, column -> value, of the columns that were asked for.
    """

    steps: SplitPredictions
    times_s: np.ndarray
    clip_ids: list[str]
    subjects: list[str]
    folds: list[int | None]
    delivered: list[Delivered]
    by: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Loaded:
    """A model in float32, and where it was found."""

    model: AffectModel
    found: Resolved


def load_model(name: str | Path) -> Loaded:
    """What `affectzoo.load` takes, or the folder of a run."""
    found = resolve(name)
    return Loaded(AffectModel.from_folder(found.folder, dtype="float32"), found)


def predict_part(
    loaded: Loaded,
    data: DataConfig,
    split: str,
    accelerator: Accelerator,
    *,
    fold: int | None = None,
    delivered: bool = False,
    by: Sequence[str] = (),
    batch_size: int = 16,
    workers: int = 0,
    advance: Callable[[int, int], None] | None = None,
) -> Predicted:
    """Predict one split in float32.

    Args:
        loaded: the model.
        data, split: the dataset and its part.
        accelerator: in the precision of the weights.
        fold: number of the fold that the split belongs to.
        delivered: whether annotations and extra columns are read.
        by: columns to tell clips apart by: `subject`, or extra ones.
        batch_size, workers: of the loader.
        advance: called with the number of batches done and that of all.

    Raises:
        DataError: the dataset does not fit the model, keeps no annotations, or has no such column.
        PredictionError: the model gave values that are not numbers.
    """
    model = loaded.model
    _, arguments = dataset_of(data, model.config)
    dataset = load_split(data, model.config, split, accelerator)
    if dataset.on_features:
        check_weights(Path(str(arguments["folder"])), model)
    kept = read_delivered(dataset, data.name) if delivered else []
    columns = read_columns(dataset, data.name, by)
    steps, times_s = predict_steps(model, dataset, accelerator, batch_size, workers, advance)
    if not bool(steps.prediction.isfinite().all()):
        name = loaded.found.source
        raise PredictionError(f"the model {name} gave values that are not numbers; its weights or a part of it are broken")
    return Predicted(steps, times_s, dataset.clip_ids, dataset.subjects, [fold] * len(dataset.clip_ids), kept, columns)


def predict_steps(
    model: AffectModel,
    dataset: WindowDataset,
    accelerator: Accelerator,
    batch_size: int,
    workers: int,
    advance: Callable[[int, int], None] | None,
) -> tuple[SplitPredictions, np.ndarray]:
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


def read_delivered(dataset: WindowDataset, name: str) -> list[Delivered]:
    """What each clip was delivered with.

    Raises:
        DataError: the rows hold no annotations, or arrays of different lengths.
    """
    absent = [column for column in (_TIMES, _TARGETS, _VALID, _EXTRA) if column not in dataset.rows.column_names]
    if absent:
        raise DataError(
            f"the rows of dataset {name!r} hold no column {absent[0]}, which a protocol compares with; evaluate on the corpus"
        )
    table = dataset.rows.select_columns([_TIMES, _TARGETS, _VALID, _EXTRA])[:]
    # Rows of signals, and those of other builders, have no video.
    frames = dataset.rows.select_columns([_FRAMES])[:][_FRAMES] if _FRAMES in dataset.rows.column_names else []
    found = []
    for number, (clip_id, times, targets, valid, extra) in enumerate(zip(dataset.clip_ids, *table.columns, strict=True)):
        times_s = np.frombuffer(times.as_buffer(), dtype=np.float64)
        values = np.frombuffer(targets.as_buffer(), dtype=np.float32)
        counts = np.frombuffer(valid.as_buffer(), dtype=bool)
        if len(counts) != len(times_s) or len(values) != len(times_s) * len(dataset.columns):
            raise DataError(f"{clip_id}: {len(times_s)} times, {len(values)} labels and {len(counts)} marks of annotations")
        text = extra.as_py()
        columns = json.loads(text) if text else {}
        frame_times = np.frombuffer(frames[number].as_buffer(), dtype=np.float64) if len(frames) else np.zeros(0)
        values = values.reshape(len(times_s), len(dataset.columns))
        found.append(Delivered(times_s, values, counts, columns, frame_times))
    return found


def joined(parts: Sequence[Predicted]) -> Predicted:
    """The clips of all parts, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    shifted, before = [], 0
    for part in parts:
        shifted.append(replace(part.steps, row=part.steps.row + before))
        before += len(part.clip_ids)
    return Predicted(
        steps=SplitPredictions(
            **{f.name: torch.cat([getattr(steps, f.name) for steps in shifted]) for f in fields(SplitPredictions)}
        ),
        times_s=np.concatenate([part.times_s for part in parts]),
        clip_ids=[clip for part in parts for clip in part.clip_ids],
        subjects=[subject for part in parts for subject in part.subjects],
        folds=[fold for part in parts for fold in part.folds],
        delivered=[one for part in parts for one in part.delivered],
        by=[one for part in parts for one in part.by],
    )
