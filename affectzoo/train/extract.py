"""Features of a whole dataset from frozen backbones, into a store that training reads; files are shared among processes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object, set_seed
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from affectzoo.config import (
    ComponentConfig,
    DataConfig,
    ExperimentConfig,
    FramesInput,
    ModelConfig,
    SignalInput,
    StreamConfig,
)
from affectzoo.data.feature_store import (
    StoreConfig,
    StoredSplit,
    StoredStream,
    feature_file,
    is_whole,
    open_store,
    weights_digest,
    write_rows,
    write_store,
)
from affectzoo.data.schema import SPLITS
from affectzoo.data.windows import WindowDataset, check_labels, fingerprint, windows_over
from affectzoo.errors import ConfigError, DataError
from affectzoo.hub.resolve import resolve
from affectzoo.model.affect_model import AffectModel
from affectzoo.model.build import build
from affectzoo.model.contracts import Backbone
from affectzoo.train.splits import dataset_of, load_rows
from affectzoo.train.start import backbones_anew, start_from

#: Clips in one file: lost and made again together when a run is interrupted.
CLIPS_PER_FILE = 16
_SAY_EVERY_S = 10.0


@dataclass(frozen=True)
class Encoders:
    """Backbones by modality, and the model that they are part of or could be: its inputs, seconds and targets count."""

    backbones: Mapping[str, Backbone]
    config: ModelConfig


@dataclass(frozen=True)
class Extracted:
    """What all processes did together: sub-sequences and files encoded now, files in all, seconds."""

    steps: int
    written: int
    files: int
    seconds: float


def encoders_of_model(name: str, *, seconds: float | None = None, targets: Sequence[Any] | None = None) -> Encoders:
    """All backbones of a model with their weights, in float32.

    Args:
        name: a zoo name, `org/repo[@revision]` on the Hub, a saved model or a run folder.
        seconds, targets: other ones than the model's, as in `encoders_of_backbones`.
    """
    model = AffectModel.from_folder(resolve(name).folder, dtype="float32")
    backbones: dict[str, Any] = dict(model.backbones.items())
    return Encoders(backbones, _config(model.config.to_json(), seconds, targets))


def encoders_of_backbones(
    given: Sequence[Any], *, seconds: float | None = None, targets: Sequence[Any] | None = None
) -> Encoders:
    """Backbones by name, each for the modality of its input: `visual` for frames, `audio` for sound.

    Args:
        given: registry names, or mappings as in `ComponentConfig`. What takes no pretrained weights gets random ones, always
            the same.
        seconds: of a sub-sequence; None is the default of `SequenceConfig`.
        targets: names from `KNOWN_TARGETS` or mappings as in `TargetConfig`; None is valence and arousal.

    Raises:
        ConfigError: two backbones for one modality, or none at all.
    """
    set_seed(0)
    backbones: dict[str, Backbone] = {}
    for component in given:
        backbone = build("backbone", ComponentConfig.parse(component, where="--backbone"))
        if isinstance(backbone.input, SignalInput):
            raise ConfigError(f"{component} takes a signal, and only a model says which: give --model")
        modality = "visual" if isinstance(backbone.input, FramesInput) else "audio"
        if modality in backbones:
            first, second = (b.component.name for b in (backbones[modality], backbone) if b.component)
            raise ConfigError(f"{first} and {second} are both {modality}; extract their features one after the other")
        backbones[modality] = backbone
    if not backbones:
        raise ConfigError("give a backbone or a model to extract features with")
    streams = {name: StreamConfig(backbone=b.component, input=b.input) for name, b in backbones.items() if b.component}
    first = next(iter(streams))
    one = _config({"streams": {first: streams[first]}, "targets": ["valence", "arousal"]}, seconds, targets)
    # Several streams without a fusion are no model; but a dataset looks at streams, seconds and targets alone.
    return Encoders(backbones, one.model_copy(update={"streams": streams}))


def encoders_of_experiment(
    experiment: ExperimentConfig,
    *,
    seconds: float | None = None,
    targets: Sequence[Any] | None = None,
    say: Callable[[str], None] = print,
) -> Encoders:
    """The backbones with which an experiment starts, all of them from its `init`.

    Args:
        experiment: its streams, seconds and targets count.
        seconds, targets: other ones, as in `encoders_of_backbones`.
        say: told where the weights come from.

    Raises:
        ConfigError: a backbone that starts from random weights, or an `init` that does not fit.
    """
    if anew := backbones_anew(experiment):
        raise ConfigError(
            f"the {anew[0]} backbone of {experiment.name} starts anew, so its features would be random: let init name a model "
            "for it, or give --model or --backbone"
        )
    model = AffectModel(experiment.model)
    start_from(model, experiment, say)
    backbones: dict[str, Any] = dict(model.backbones.items())
    return Encoders(backbones, _config(model.config.to_json(), seconds, targets))


def _config(whole: dict[str, Any], seconds: float | None, targets: Sequence[Any] | None) -> ModelConfig:
    if seconds is not None:
        whole = {**whole, "sequence": {**whole.get("sequence", {}), "seconds": seconds}}
    if targets is not None:
        whole = {**whole, "targets": list(targets)}
    return ModelConfig.parse(whole, where="--seconds and --targets")


def extract(
    data: DataConfig,
    encoders: Encoders,
    folder: Path,
    accelerator: Accelerator | None = None,
    *,
    batch_size: int = 64,
    workers: int = 0,
    clips_per_file: int = CLIPS_PER_FILE,
    only: Sequence[str] = SPLITS,
    say: Callable[[str], None] = print,
) -> Extracted | None:
    """Encode every sub-sequence of every split and write what `folder` does not hold yet; call on every process.

    Features are float32 from the backbones in evaluation mode, zero at masked steps, as `AffectModel.encode` gives them.

    Args:
        data: a dataset; its builder decides which arguments have an effect, so all of them must be equal to go on.
        encoders: what to encode with.
        folder: of the store.
        accelerator: of this process; None makes one.
        batch_size: sub-sequences that a backbone takes at once; a batch never spans two clips.
        workers: processes that read, for each process.
        clips_per_file: a file is the part of the work that one process takes, and that an interruption can lose.
        only: the splits that are wanted.
        say: told of the progress, and of each file that is there and not whole.

    Returns:
        What was done, on the main process.

    Raises:
        CheckpointError: the folder holds features of something else.
        DataError: a split that is streamed or holds features, labels that cannot be, or a file that is not whole at the end.
    """
    # Without `cpu`, processes on a machine that has no GPU would not know of each other.
    accelerator = accelerator or Accelerator(cpu=not torch.accelerator.is_available())
    wanted = _describe(data, encoders, clips_per_file)
    open_store(folder, wanted)  # what differs is found before the data are prepared
    rows = load_rows(data, encoders.config, accelerator, only)
    splits = {split: _windows(split, rows[split], encoders.config) for split in SPLITS if split in rows}
    if not any(len(windows.counts) for windows in splits.values()):
        raise DataError(f"dataset {data.name!r} has no clips")
    found = {split: StoredSplit(clips=len(w.counts), fingerprint=fingerprint(w)) for split, w in splits.items()}
    store = open_store(folder, wanted.model_copy(update={"splits": found}))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        write_store(folder, store)
    accelerator.wait_for_everyone()

    files = [
        _File(feature_file(folder, split, number), splits[split], clips)
        for split in splits
        for number, clips in enumerate(store.files(split))
    ]
    missing = []
    for file in files[accelerator.process_index :: accelerator.num_processes]:
        if not file.whole(store):
            if file.path.exists():
                say(f"{file.path} is not whole or not of these features; it is written again")
            missing.append(file)
    for backbone in encoders.backbones.values():
        backbone.to(accelerator.device).eval()
    started = said = time.perf_counter()
    done, total = 0, sum(sum(file.counts) for file in missing)
    for file, features in _encoded(missing, encoders.backbones, batch_size, workers, accelerator.device):
        write_rows(file.path, [file.row(*pair) for pair in zip(file.clips, features, strict=True)], store)
        done += sum(file.counts)
        if accelerator.is_main_process and time.perf_counter() - said > _SAY_EVERY_S:
            say(f"{done} of {total} sub-sequences{' of this process' if accelerator.num_processes > 1 else ''}")
            said = time.perf_counter()
    accelerator.wait_for_everyone()
    for file in files:
        if not file.whole(store):
            raise DataError(f"{file.path} is not whole; run the same command again, which writes it")
    steps, written = map(sum, zip(*gather_object([(total, len(missing))]), strict=True))
    return Extracted(steps, written, len(files), time.perf_counter() - started) if accelerator.is_main_process else None


@dataclass(frozen=True)
class _File:
    """One file of the store and the clips of a split that belong into it."""

    path: Path
    windows: WindowDataset
    clips: range

    @property
    def counts(self) -> list[int]:
        """Sub-sequences of each clip."""
        return [self.windows.counts[clip] for clip in self.clips]

    def whole(self, store: StoreConfig) -> bool:
        return is_whole(self.path, [self.windows.clip_ids[clip] for clip in self.clips], self.counts, store)

    def row(self, clip: int, features: Mapping[str, Tensor]) -> dict[str, Any]:
        """The row of a clip with features modality -> `[n, D]` for its inputs."""
        given, _ = self.windows.read_row(clip)
        row = {name: bytes(value) for name, value in given.items() if not name.startswith("input.")}
        row |= {f"feature.{name}": encoded.numpy() for name, encoded in features.items()}
        return {"clip_id": self.windows.clip_ids[clip], "subject": self.windows.subjects[clip], **row}


class _Chunks(Dataset[tuple[dict[str, Tensor], dict[str, Tensor]]]):
    """Raw sub-sequences and masks of clips in order, modality -> `[n, ...]` and `[n]`, at most `size` of one clip at once."""

    def __init__(self, files: Sequence[_File], size: int) -> None:
        self.size = size
        self.places = [
            (file.windows, clip, start)
            for file in files
            for clip, count in zip(file.clips, file.counts, strict=True)
            for start in range(0, count, size)
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        windows, clip, start = self.places[index]
        row, count = windows.read_row(clip)
        length = min(self.size, count - start)
        steps = {name: windows.steps(clip, row, name, start, length) for name in windows.inputs}
        present = {name: np.frombuffer(row[f"present.{name}"], dtype=bool) for name in windows.inputs}
        return steps, {name: torch.from_numpy(mask[start : start + length].copy()) for name, mask in present.items()}


@torch.no_grad()
def _encoded(
    files: Sequence[_File], backbones: Mapping[str, Backbone], batch_size: int, workers: int, device: torch.device
) -> Iterator[tuple[_File, list[dict[str, Tensor]]]]:
    """Each file with the features of its clips, modality -> `[n, D]` on the CPU."""
    chunks = iter(DataLoader(_Chunks(files, batch_size), batch_size=None, num_workers=workers))
    for file in files:
        clips = []
        for count in file.counts:
            features = {name: torch.zeros(count, backbone.feature_dim) for name, backbone in backbones.items()}
            for start in range(0, count, batch_size):
                steps, masks = next(chunks)
                for name, mask in masks.items():
                    # Masked steps never reach the backbone.
                    if mask.any():
                        encoded = backbones[name](steps[name][mask].to(device)).float().cpu()
                        features[name][start : start + batch_size][mask] = encoded
            clips.append(features)
        yield file, clips


def _windows(split: str, rows: Any, config: ModelConfig) -> WindowDataset:
    if not hasattr(rows, "__len__"):
        raise DataError(f"the split {split} is streamed; features are extracted from datasets that are on this machine")
    windows = windows_over(rows, config)
    if windows.on_features:
        raise DataError(f"the split {split} holds features already; give the dataset that they were extracted from")
    check_labels(windows)
    return windows


def _describe(data: DataConfig, encoders: Encoders, clips_per_file: int) -> StoreConfig:
    """The store, as far as it is known before the data are prepared."""
    entry, arguments = dataset_of(data, encoders.config)
    streams = {
        name: StoredStream(
            backbone=stream.backbone,
            input=stream.input,
            feature_dim=encoders.backbones[name].feature_dim,
            weights=weights_digest(encoders.backbones[name]),
        )
        for name, stream in encoders.config.streams.items()
        if stream.input is not None
    }
    return StoreConfig(
        streams=streams,
        seconds=encoders.config.sequence.seconds,
        # Of the labels; a temperature is of a head that no feature came from.
        targets=tuple(target.model_copy(update={"temperature": 1.0}) for target in encoders.config.targets),
        provider=entry.provider,
        data=DataConfig(name=entry.name, config=json.loads(json.dumps(arguments, default=str))),
        splits={},
        clips_per_file=clips_per_file,
    )
