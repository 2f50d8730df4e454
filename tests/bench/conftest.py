"""A small feature store whose backbones are known, and fusions of this session, good and bad."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import affectzoo
from affectzoo.bench import quality
from affectzoo.bench.fusion import bench_fusions
from affectzoo.bench.plan import Plan, plan_of
from affectzoo.bench.source import experiment_of
from affectzoo.config import DataConfig
from affectzoo.registry import registry
from affectzoo.train.extract import encoders_of_model, extract
from affectzoo.train.loop import train
from affectzoo.train.runs import run_folder
from affectzoo.train.watch import watch
from tests.train.toys import toy_dataset, toy_experiment, use_dataset


def quiet(_: str) -> None:
    """Says nothing."""


def lin(x: np.ndarray, y: np.ndarray) -> float:
    """Concordance as Lin wrote it down."""
    return 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)


class Sum(affectzoo.Fusion):
    """A weighted sum; one weight for each modality."""

    def __init__(self, dims: dict[str, int], seq_len: int) -> None:
        super().__init__()
        self.dims, self.seq_len, self.out_dim = dims, seq_len, next(iter(dims.values()))
        self.weights = nn.Parameter(torch.ones(len(dims)))

    def forward(self, features: Any, masks: Any = None, *, return_attention: bool = False) -> Any:
        features, _ = affectzoo.complete(features, masks, self.dims, self.seq_len)
        fused = sum(weight * x for weight, x in zip(self.weights, features.values(), strict=True))
        return (fused, {}) if return_attention else fused


class Unbuildable(Sum):
    """Fails when it is built."""

    def __init__(self, dims: dict[str, int], seq_len: int) -> None:
        super().__init__(dims, seq_len)
        raise RuntimeError("it rained\nin the second line")


class NotANumber(Sum):
    """Fails when it is trained."""

    def forward(self, features: Any, masks: Any = None, *, return_attention: bool = False) -> Any:
        return super().forward(features, masks, return_attention=return_attention) * torch.nan


class Quitting(Sum):
    """Ends the process where nobody minds it."""

    def forward(self, *_: Any, **__: Any) -> Any:
        raise SystemExit(3)


def register_fusions() -> None:
    """Under the names that the tests use."""
    for name, fusion in {"toy-sum": Sum, "toy-rain": Unbuildable, "toy-nan": NotANumber, "toy-quit": Quitting}.items():
        affectzoo.register_fusion(name)(fusion)


def forget_fusions() -> None:
    """Take them out of the registry."""
    held = registry()._entries
    held["fusion"] = [entry for entry in held["fusion"] if not entry.name.startswith("toy-")]


@pytest.fixture(autouse=True)
def session_fusions() -> Iterator[None]:
    """Anew for every test, since some register others under the same names; none of them is left to other tests."""
    register_fusions()
    yield
    forget_fusions()


def spare_time(patch: pytest.MonkeyPatch) -> None:
    """Intervals and curves are tested elsewhere, and take most of the time here."""
    patch.setattr(quality, "DRAWS", 50)
    patch.setattr(watch, "draw_curves", lambda *_, **__: None)


@pytest.fixture(autouse=True)
def spared(monkeypatch) -> None:
    """Of every test."""
    spare_time(monkeypatch)


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> tuple[Path, Path]:
    """A run on two modalities, and the features of its backbones."""
    folder = tmp_path_factory.mktemp("source")
    with pytest.MonkeyPatch.context() as patch:
        spare_time(patch)
        use_dataset(patch, toy_dataset())
        experiment = toy_experiment(folder, streams=("audio", "visual"), dropout=0.3, train={"epochs": 1})
        train(experiment)
        run = run_folder(experiment)
        encoders = encoders_of_model(str(run), seconds=None, targets=None)
        extract(DataConfig(name="toy"), encoders, folder / "store", say=lambda _: None)
    return run, folder / "store"


Maker = Callable[..., Plan]


def _maker(source: tuple[Path, Path], output: Path) -> Maker:
    """Plans on the store, one epoch of 11 steps a run."""
    run, store = source

    def make(*fusions: str, seeds: tuple[int, ...] = (0, 1), overrides: tuple[str, ...] = (), say: Any = print) -> Plan:
        given = [f"init={run}", "train.batch_size=4", "train.lr=0.01", *overrides]
        experiment = experiment_of(str(store), given, output, epochs=1, say=say)
        return plan_of(experiment, fusions=fusions, seeds=seeds, say=say)

    return make


@pytest.fixture
def make_plan(source, tmp_path) -> Maker:
    """Plans that write into a folder of the test's own."""
    return _maker(source, tmp_path / "bench")


@pytest.fixture(scope="session")
def whole(source, tmp_path_factory) -> tuple[Plan, dict[str, Any]]:
    """A comparison of two fusions that nothing stopped, and what came out."""
    register_fusions()
    plan = _maker(source, tmp_path_factory.mktemp("whole"))("concat", "toy-sum")
    with pytest.MonkeyPatch.context() as patch:
        spare_time(patch)
        return plan, bench_fusions(plan, say=lambda _: None)
