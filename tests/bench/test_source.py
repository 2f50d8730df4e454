"""A recipe over the backbones of two models is encoded once, and its rows are trained on the features."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

import affectzoo
from affectzoo.bench.fusion import bench_fusions
from affectzoo.bench.plan import plan_of
from affectzoo.bench.source import experiment_of
from affectzoo.config import DataConfig
from tests.bench.conftest import quiet
from tests.train.toys import toy_corpus


@pytest.fixture
def recipe(source, tmp_path) -> Path:
    affectzoo.register_dataset("toy-corpus")(toy_corpus())
    whole = {
        "name": "both",
        "init": {"audio": str(source[0]), "visual": str(source[0])},
        "model": {
            "sequence": {"seconds": 1.0, "length": 2},
            "fusion": "concat",
            "head": {"hidden": None},
            "targets": ["valence", "arousal"],
        },
        "data": {"name": "toy-corpus"},
        "train": {"epochs": 1, "batch_size": 4, "freeze": ["backbones"]},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(whole), encoding="utf-8")
    return path


def test_it_is_trained_on_features_of_its_own_backbones(recipe, source, tmp_path):
    said: list[str] = []
    experiment = experiment_of(str(recipe), ["data.config.task=read"], tmp_path / "bench", say=said.append)
    folder = tmp_path / "bench" / "features"
    assert experiment.data == DataConfig(name="features", config={"folder": str(folder)})
    assert json.loads((folder / "store.json").read_text())["data"]["config"]["task"] == "read"
    assert said[-1] == f"features of toy-corpus from the backbones of {source[0]}: {folder}"
    plan = plan_of(experiment, fusions=["concat"], seeds=[0], say=quiet)
    summary = bench_fusions(plan, say=quiet)
    assert [(row["name"], row["error"]) for row in summary["rows"]] == [("concat", ""), ("audio", ""), ("visual", "")]
    given = load_file(source[0] / "model" / "model.safetensors")
    for candidate in plan.candidates:
        own = load_file(plan.place(candidate, 0) / "model" / "model.safetensors")
        backbones = [name for name in own if name.startswith("backbones.")]
        assert backbones
        assert all(torch.equal(own[name], given[name]) for name in backbones)
        assert any(not torch.equal(own[name], given[name]) for name in own if name in given and name not in backbones)


@pytest.mark.parametrize(
    ("overrides", "options"),
    [
        (["train.freeze=[]"], {}),
        (["train.freeze=[backbones.audio]"], {}),
        (["train.augment.noise={audio: 0.1}"], {}),
        (["train.mixup=0.2"], {}),
        (["init.visual=null", "model.streams.visual=toy-wave"], {}),
        ([], {"divided": True}),
    ],
)
def test_it_keeps_its_own_data_where_features_would_not_do(recipe, tmp_path, overrides, options):
    experiment = experiment_of(str(recipe), overrides, tmp_path / "bench", say=quiet, **options)
    assert experiment.data == DataConfig(name="toy-corpus")
    assert not (tmp_path / "bench" / "features").exists()
