"""The training loop: config -> data -> prepare -> epochs -> evaluate -> save."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from affectzoo.config import ExperimentConfig, FramesInput, TrainConfig
from affectzoo.data.schema import IDENTITY, SPLITS
from affectzoo.data.windows import FeatureWindows, WindowDataset
from affectzoo.errors import AffectzooError, ConfigError, DataError
from affectzoo.files import replacing
from affectzoo.model.affect_model import AffectModel
from affectzoo.model.build import check_arguments
from affectzoo.objectives.losses import objective
from affectzoo.registry import Entry, registry
from affectzoo.train.augment import augment
from affectzoo.train.evaluate import predict_split, scores, subjects_of
from affectzoo.train.features import OnFeatures, encode_windows
from affectzoo.train.pretrain import load_backbones, stream_experiments


def train(experiment: ExperimentConfig, accelerator: Accelerator | None = None) -> dict[str, Any]:
    """Run one experiment; the model that was best on validation is saved and scored once on the test split.

    Writes under `output/name/seed<seed>`: `config.json`, `metrics.jsonl` (a line an epoch), `model/` (the best epoch) and
    `result.json`.

    Returns:
        What `result.json` holds: best epoch, validation and test scores, sizes, seconds.
    """
    started = time.perf_counter()
    check(experiment)
    accelerator = accelerator or Accelerator(mixed_precision=experiment.precision)
    folder = run_folder(experiment)
    make_folder(folder)
    single = {}
    for name, alone in stream_experiments(experiment).items():
        if not is_done(alone, accelerator):
            accelerator.print(f"training {name} alone: {run_folder(alone)}", flush=True)
            train(alone, accelerator)
        single[name] = run_folder(alone) / "model"

    set_seed(experiment.seed)
    model = AffectModel(experiment.model)
    for name, backbone in model.backbones.items():
        if backbone.init_report is not None:
            accelerator.print(f"{name} starts {backbone.init_report}", flush=True)
    datasets: Mapping[str, WindowDataset] = load_splits(experiment, model, accelerator)
    raw_test = datasets["test"]
    network: nn.Module = model
    frames = {name for name, stream in model.config.streams.items() if isinstance(stream.input, FramesInput)}
    if single:
        load_backbones(model, single)
        datasets = {
            split: encode_windows(model, dataset, accelerator) for split, dataset in datasets.items() if split != "test"
        }
        network, frames = OnFeatures(model), set()
    write_config(experiment, model, folder, accelerator)
    best_epoch = fit(experiment, network, model, datasets, frames, folder, accelerator)

    best = AffectModel.from_folder(folder / "model").to(accelerator.device)
    loaders = {"val": datasets["val"], "test": raw_test}
    result = {
        "name": experiment.name,
        "seed": experiment.seed,
        "best_epoch": best_epoch,
        **{split: evaluate(best, data, experiment, accelerator) for split, data in loaders.items()},
        "subjects": {split: subjects_of(dataset) for split, dataset in {**datasets, **loaders}.items()},
        "parameters": model.parameter_count(),
        "seconds": time.perf_counter() - started,
    }
    if accelerator.is_main_process:
        write_text(folder / "result.json", json.dumps(without_nan(result), indent=2, allow_nan=False) + "\n")
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
    dataset_of(experiment)
    if experiment.pretrain is not None:
        if experiment.train.horizontal_flip:
            raise ConfigError("train.horizontal_flip has no effect on features: set it under pretrain, where crops are seen")
        if experiment.pretrain.modality_dropout:
            raise ConfigError("pretrain.modality_dropout has no effect on a stream alone: set it under train")
        AffectModel(experiment.model)


def fit(
    experiment: ExperimentConfig,
    network: nn.Module,
    model: AffectModel,
    datasets: Mapping[str, WindowDataset],
    frames: set[str],
    folder: Path,
    accelerator: Accelerator,
) -> int:
    """Train `network` (the model, or the model on features) and save each best epoch; returns the best epoch's number."""
    settings = experiment.train
    loaders = {
        split: make_loader(datasets[split], settings, experiment.seed, shuffle=split == "train") for split in ("train", "val")
    }
    optimizer = torch.optim.AdamW(parameter_groups(model, settings.weight_decay), lr=settings.lr)
    wrapped, optimizer, training, validation = accelerator.prepare(network, optimizer, loaders["train"], loaders["val"])
    total = settings.epochs * len(training)
    # Stepped once an optimiser step on every process, so it is not given to prepare, which would step it once a process.
    schedule = LambdaLR(optimizer, lambda step: warmup_cosine(step, total, settings.warmup))
    generator = torch.Generator().manual_seed(experiment.seed + accelerator.process_index)
    started, best, best_epoch = time.perf_counter(), -math.inf, -1
    for epoch in range(settings.epochs):
        wrapped.train()
        losses = 0.0
        for batch in training:
            batch = augment(batch, frames, settings, generator)
            prediction = wrapped(batch["inputs"], batch["masks"], pool=False)
            loss = objective(prediction, batch["targets"], counted(batch, model), model.config.targets, settings.loss)
            accelerator.backward(loss)
            if settings.clip_norm is not None:
                accelerator.clip_grad_norm_(wrapped.parameters(), settings.clip_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses += float(loss.detach())
        line = {"epoch": epoch, "loss": losses / len(training), "seconds": time.perf_counter() - started}
        line |= scores(predict_split(accelerator, wrapped, validation), model.config.targets, model.head.pool)
        log(line, folder, accelerator)
        if line["score"] > best:
            best, best_epoch = line["score"], epoch
            if accelerator.is_main_process:
                model.save_pretrained(folder / "model")
        if settings.patience is not None and epoch - best_epoch >= settings.patience:
            break
    accelerator.wait_for_everyone()
    accelerator.free_memory()
    if best_epoch < 0:
        raise DataError(f"{experiment.name}: the validation score was never a number; look at {folder / 'metrics.jsonl'}")
    return best_epoch


def evaluate(
    model: AffectModel, dataset: WindowDataset, experiment: ExperimentConfig, accelerator: Accelerator
) -> dict[str, float]:
    """Scores of a model on a split of raw inputs or of its own backbones' features."""
    network = OnFeatures(model) if isinstance(dataset, FeatureWindows) else model
    loader = accelerator.prepare_data_loader(make_loader(dataset, experiment.train, experiment.seed, shuffle=False))
    return scores(predict_split(accelerator, network, loader), model.config.targets, model.head.pool)


def counted(batch: dict[str, Any], model: AffectModel) -> torch.Tensor:
    """`[B, L]` steps whose loss counts: those with a valid label.

    Of a model that scores recordings only those with some input: a blank step has no say in a score either.
    """
    if model.head.pool is None:
        return batch["valid"]
    return batch["valid"] & torch.stack(list(batch["masks"].values())).any(dim=0)


def dataset_of(experiment: ExperimentConfig) -> tuple[Entry, dict[str, Any]]:
    """The registry entry of the experiment's dataset and the full arguments of its builder, every key checked."""
    entry = registry().find("dataset", experiment.data.name)
    given = {"config": experiment.model}
    return entry, check_arguments(entry.resolve(), given, dict(experiment.data.config), f"dataset {entry.name!r}")


def load_splits(experiment: ExperimentConfig, model: AffectModel, accelerator: Accelerator) -> dict[str, WindowDataset]:
    """Build the dataset for the model's inputs; the main process prepares it, the others read its cache."""
    entry, arguments = dataset_of(experiment)
    try:
        with accelerator.main_process_first():
            rows = entry.resolve()(config=model.config, **arguments)
    except AffectzooError:
        raise
    except Exception as error:
        # The datasets library wraps what a generator raises.
        cause = error.__cause__ or error
        reason = f"{type(cause).__name__}: {str(cause).strip().splitlines()[0] if str(cause).strip() else 'no message'}"
        raise DataError(f"dataset {entry.name!r} of {entry.provider} could not be built: {reason}") from error
    empty = [split for split in SPLITS if split not in rows or not len(rows[split])]
    if empty:
        raise DataError(f"dataset {entry.name!r} of {entry.provider} has no clips for the split {empty[0]}")
    hops = {"train": experiment.train.window_hop}
    datasets = {split: WindowDataset(rows[split], model.config, hop=hops.get(split)) for split in SPLITS}
    if [target.name for target in model.config.targets] == [IDENTITY]:
        return datasets  # whose classes are the people: they must be the same in every split
    people = {split: set(dataset.subjects) for split, dataset in datasets.items()}
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        if people[one] & people[other]:
            raise DataError(f"subject {min(people[one] & people[other])!r} is in both {one} and {other}")
    return datasets


def make_loader(dataset: WindowDataset, settings: TrainConfig, seed: int, *, shuffle: bool) -> DataLoader[Any]:
    """Shuffled by seed for training, in order for the rest; the last batch is never dropped."""
    return DataLoader(
        dataset,
        batch_size=settings.batch_size,
        shuffle=shuffle,
        generator=torch.Generator().manual_seed(seed),
        num_workers=settings.workers,
        persistent_workers=settings.workers > 0,
    )


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels only: not for biases and norms."""
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    free = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def warmup_cosine(step: int, total: int, warmup: float) -> float:
    """Factor of the learning rate: linear rise over `warmup * total` steps, then a half cosine to zero."""
    rise = max(1, round(warmup * total))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, total - rise))))


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


def write_config(experiment: ExperimentConfig, model: AffectModel, folder: Path, accelerator: Accelerator) -> None:
    """Save what was asked for (`experiment.json`) and with every default filled in (`config.json`); start the log."""
    if not accelerator.is_main_process:
        return
    (folder / "result.json").unlink(missing_ok=True)
    resolved = experiment.model_copy(update={"model": model.config})
    write_text(folder / "experiment.json", json.dumps(experiment.to_json(), indent=2) + "\n")
    write_text(folder / "config.json", json.dumps(resolved.to_json(), indent=2) + "\n")
    write_text(folder / "metrics.jsonl", "")


def log(line: dict[str, Any], folder: Path, accelerator: Accelerator) -> None:
    """One epoch to the screen and to `metrics.jsonl`."""
    if accelerator.is_main_process:
        with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(without_nan(line), allow_nan=False) + "\n")
    accelerator.print(" ".join(f"{k}={v:.4f}" if isinstance(v, float) else f"{k}={v}" for k, v in line.items()), flush=True)


def without_nan(value: Any) -> Any:
    """JSON knows no NaN: a score that is not a number becomes null."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_text(path: Path, text: str) -> None:
    """Write a whole file or leave the old one."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
