"""A dataset and a backbone that train in milliseconds: eight numbers a sub-sequence, from which two targets follow."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, Value
from torch import Tensor, nn

import affectzoo
from affectzoo.config import ExperimentConfig, ModelConfig
from affectzoo.data.folds import FoldConfig, assign
from affectzoo.data.prepared import ClipRow, arrow_features
from affectzoo.data.schema import SPLITS
from affectzoo.registry import registry
from affectzoo.train import splits

SAMPLES = 8


class ToyWave(affectzoo.Backbone):
    """One linear layer, a dropout if wanted; no batch norm, so that a batch may be cut anywhere.

    Args:
        width: D; dropout: share; norm: a batch norm all the same.
    """

    def __init__(self, *, width: int = 6, dropout: float = 0.0, norm: bool = False) -> None:
        super().__init__()
        self.feature_dim = width
        self.input = affectzoo.WaveformInput(sample_rate=SAMPLES, samples=SAMPLES, normalise=False)
        self.linear, self.dropout = nn.Linear(SAMPLES, width), nn.Dropout(dropout)
        self.norm = nn.BatchNorm1d(width) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.dropout(self.norm(self.linear(x))))


def toy_rows(config: ModelConfig, split: str, clips: int, steps: int = 5, change: Callable[..., None] | None = None) -> Dataset:
    """Rows of one split; `change(number, arrays)` may spoil what a clip holds."""
    found = []
    for number in range(clips):
        draws = np.random.default_rng([number, sum(map(ord, split))])
        inputs = {name: draws.standard_normal((steps, SAMPLES)).astype(np.float32) for name in config.streams}
        whole = np.mean(list(inputs.values()), axis=0)
        targets = np.stack([np.tanh(whole[:, :4].mean(1)), np.tanh(whole[:, 4:].sum(1) / 2)], axis=1)
        arrays = {
            "targets": targets[:, : len(config.targets)].astype(np.float32),
            "valid": np.ones(steps, bool),
            "inputs": inputs,
        }
        if change is not None:
            change(number, arrays)
        present = {name: np.ones(steps, bool) for name in inputs}
        row = ClipRow(f"{split}{number}", f"{split}-subject{number}", np.arange(steps) + 0.5, present=present, **arrays)
        found.append(row.to_arrow())
    return Dataset.from_list(found, features=arrow_features(list(config.streams)))


def toy_dataset(sizes: Mapping[str, int] | None = None, change: Callable[..., None] | None = None, stream: bool = False) -> Any:
    """The builder of a dataset with so many clips in each split; `change` spoils the training split."""
    sizes = sizes or {"train": 11, "val": 4, "test": 3}

    def build(config: ModelConfig, **_: Any) -> dict[str, Any]:
        rows: dict[str, Any] = {
            split: toy_rows(config, split, count, change=change if split == "train" else None) for split, count in sizes.items()
        }
        return {**rows, "train": rows["train"].to_iterable_dataset()} if stream else rows

    return build


def use_dataset(patch: pytest.MonkeyPatch, builder: Any) -> None:
    """Let `builder` build the dataset `toy`."""

    class Found:
        name, provider, distribution, version = "toy", "toy 1.0", "toy", "1.0"

        def resolve(self) -> Any:
            return builder

    class Registry:
        def find(self, kind: str, name: str) -> Any:
            return Found() if name == "toy" else registry().find(kind, name)

    patch.setattr(splits, "registry", Registry)


def toy_experiment(
    output: Any, *, streams: tuple[str, ...] = ("audio",), dropout: float = 0.0, norm: bool = False, **changes: Any
) -> ExperimentConfig:
    """An experiment on the toy dataset; `train` is merged into small defaults, the rest replaces top-level keys."""
    affectzoo.register_backbone("toy-wave")(ToyWave)
    backbone = {"name": "toy-wave", "config": {"dropout": dropout, "norm": norm}}
    model = {
        "sequence": {"seconds": 1.0, "length": 2},
        "streams": {name: {"backbone": backbone} for name in streams},
        "fusion": "concat" if len(streams) > 1 else None,
        "head": {"hidden": None},
        "targets": ["valence", "arousal"],
    }
    train = {"epochs": 3, "batch_size": 4, "window_hop": 1, "lr": 0.01, **changes.pop("train", {})}
    whole = {"name": "toy", "output": str(output), "model": model, "data": {"name": "toy"}, "train": train, **changes}
    return ExperimentConfig.parse(whole)


def toy_corpus(
    protocols: tuple[affectzoo.Protocol, ...] = (), people: int = 6, scores: bool = False, names: str = "abcdefghijkl"
) -> Any:
    """The builder of a dataset that is divided into folds: two clips of each of `people`, with all their annotations.

    Four annotations a second, the last two of a clip not valid; or with `scores` one label for each clip. Its option `task`
    stands in an extra column, besides `recording`, which names the person.
    """

    def build(config: ModelConfig, *, fold: Any = None, task: str = "talk") -> dict[str, Any]:
        clips = [f"{person}-{number}" for person in names[:people] for number in range(2)]
        subjects = [clip[0] for clip in clips]
        official = [("train", "val", "test")[names.index(subject) % 3] for subject in subjects]
        splits = official if fold is None else assign(subjects, FoldConfig.parse(fold))
        found: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
        for number, (clip, subject, split) in enumerate(zip(clips, subjects, splits, strict=True)):
            row = _clip_of_a_corpus(config, number, clip, subject, scores)
            extra = {"task": task, "recording": subject, "empty": None}
            found[split].append({**row, "extra": json.dumps(extra)})
        columns = {f"annotation.{name}": Value("large_binary") for name in ("times_s", "targets", "valid")}
        features = Features({**arrow_features(list(config.streams)), **columns, "extra": Value("string")})
        return {split: Dataset.from_list(rows, features=features) for split, rows in found.items()}

    build.protocols = protocols  # pyright: ignore[reportFunctionMemberAccess]
    return build


def _clip_of_a_corpus(config: ModelConfig, number: int, clip: str, subject: str, scores: bool) -> dict[str, Any]:
    draws = np.random.default_rng(100 + number)
    steps = 4 + number % 3
    inputs = {name: draws.standard_normal((steps, SAMPLES)).astype(np.float32) for name in config.streams}
    whole = np.mean(list(inputs.values()), axis=0)
    targets = np.stack([np.tanh(whole[:, :4].mean(1)), np.tanh(whole[:, 4:].sum(1) / 2)], axis=1).astype(np.float32)
    middles = np.arange(steps) + 0.5
    times = np.arange(0.0 if scores else 4.0 * steps) / 4
    if scores:
        targets[:] = np.round(np.random.default_rng(ord(subject)).uniform(-1, 1, 2), 2)  # of a person
    values = np.stack([np.interp(times, middles, column) for column in targets.T], axis=1) + 0.05
    row = ClipRow(
        clip_id=clip,
        subject=subject,
        times_s=middles,
        targets=targets[:, : len(config.targets)],
        valid=np.ones(steps, bool),
        inputs=inputs,
        present={name: np.ones(steps, bool) for name in inputs},
    )
    return {
        **row.to_arrow(),
        "annotation.times_s": times.tobytes(),
        "annotation.targets": values[:, : len(config.targets)].clip(-1, 1).astype(np.float32).tobytes(),
        "annotation.valid": (np.arange(len(times)) < len(times) - 2).tobytes(),
    }
