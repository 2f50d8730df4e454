"""A dataset and a backbone that train in milliseconds: eight numbers a sub-sequence, from which two targets follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch import Tensor, nn

import affectzoo
from affectzoo.config import ExperimentConfig, ModelConfig
from affectzoo.data.schema import ClipRow, arrow_features
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
