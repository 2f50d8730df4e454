"""Where training begins: the weights of another model, parts that start anew, parts that stay as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import affectzoo
from affectzoo.config import ModelConfig
from affectzoo.errors import AffectzooError, ConfigError
from affectzoo.train.experiment import read_experiment
from affectzoo.train.loop import train
from affectzoo.train.runs import run_folder
from affectzoo.train.start import freeze, parameter_groups
from tests.train.toys import toy_dataset, toy_experiment, use_dataset


@pytest.fixture(autouse=True)
def dataset(monkeypatch):
    use_dataset(monkeypatch, toy_dataset())


@pytest.fixture
def source(tmp_path) -> Path:
    """The folder of a run."""
    experiment = toy_experiment(tmp_path / "source", streams=("audio", "visual"), train={"epochs": 1})
    train(experiment)
    return run_folder(experiment)


def state(folder: Path) -> dict[str, torch.Tensor]:
    return affectzoo.load(folder / "model").state_dict()


def changed(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
    return {name.rsplit(".", 1)[0] for name in one if not torch.equal(one[name], other[name])}


def test_a_run_starts_from_another_and_keeps_what_is_frozen(source, tmp_path, capsys):
    experiment = toy_experiment(
        tmp_path, streams=("audio", "visual"), init=str(source), train={"epochs": 1, "freeze": ["backbones.audio"]}
    )
    train(experiment)
    moved = changed(state(source), state(run_folder(experiment)))
    assert moved
    assert not any(name.startswith("backbones.audio") for name in moved)
    total = len(state(source))
    assert f"starts from {source}: {total} of {total} tensors" in capsys.readouterr().out


def test_a_saved_model_is_a_start_too_and_gives_its_configuration(source, tmp_path):
    path = tmp_path / "experiment.yaml"
    whole = {"name": "again", "init": str(source / "model"), "data": {"name": "toy"}}
    path.write_text(yaml.safe_dump(whole), encoding="utf-8")
    experiment = read_experiment(path, ["model.head.dropout=0.1", f"output={tmp_path}", "train.epochs=1"])
    assert list(experiment.model.streams) == ["audio", "visual"]
    assert experiment.model.head.dropout == 0.1
    train(experiment)


def test_an_experiment_without_model_and_init_lacks_a_model(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump({"name": "none", "data": {"name": "toy"}}), encoding="utf-8")
    with pytest.raises(ConfigError, match="key 'model' is missing"):
        read_experiment(path)


def test_a_new_head_is_asked_for_and_what_is_dropped_is_said(source, tmp_path, capsys):
    model = {**toy_experiment(tmp_path, streams=("audio", "visual")).model.to_json(), "targets": [{"name": "mood"}]}
    other: dict[str, Any] = {"streams": ("audio", "visual"), "init": str(source), "train": {"epochs": 1}}
    use = toy_experiment(tmp_path / "one", **other).model_copy(update={"model": ModelConfig.parse(model)})
    with pytest.raises(ConfigError, match=r"predicts valence, arousal, this model mood: .*new_parts: \[head\]"):
        train(use)
    train(use.model_copy(update={"new_parts": ("head",)}))
    printed = capsys.readouterr().out
    heads = [name for name in state(source) if name.startswith("head.")]
    assert heads
    assert all(name in printed.split("dropped: ")[1].splitlines()[0] for name in heads)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"new_parts": ["haed"]}, r"new_parts: no tensor begins with 'haed'; did you mean 'head'\?"),
        ({"init": None, "new_parts": ["head"]}, "new_parts has no effect without init"),
        ({"streams": ("audio",)}, r"holds|has shape"),
        ({"train": {"freeze": ["backbone.audio"]}}, r"train.freeze: no tensor begins with 'backbone.audio'; did you mean"),
        ({"train": {"freeze": ["backbones", "head"]}}, "train.freeze leaves nothing to train"),
        ({"init": "nowhere-to-be-found"}, "nowhere-to-be-found"),
        ({"pretrain": {"epochs": 1}}, "init and pretrain both say where the backbones come from"),
    ],
)
def test_a_start_that_cannot_be_is_one_sentence(source, tmp_path, changes, words):
    whole = {"streams": ("audio", "visual"), "init": str(source), **changes}
    with pytest.raises(AffectzooError, match=words):
        train(toy_experiment(tmp_path / "other", **whole))


def test_another_width_names_the_tensor_and_the_part(source, tmp_path):
    experiment = toy_experiment(tmp_path / "wide", streams=("audio", "visual"), init=str(source))
    model = experiment.model.to_json()
    model["streams"]["audio"]["backbone"]["config"]["width"] = 9
    wide = experiment.model_copy(update={"model": ModelConfig.parse(model)})
    with pytest.raises(ConfigError, match=r"audio.linear.weight \[9, 8\] has shape \[6, 8\].*\[backbones.audio\]"):
        train(wide)
    with pytest.raises(ConfigError, match=r"head\.regressors.*new_parts: \[head\]"):
        train(wide.model_copy(update={"new_parts": ("backbones.audio",)}))
    train(wide.model_copy(update={"new_parts": ("backbones.audio", "head")}))


def test_frozen_parts_stay_in_evaluation_mode_and_out_of_the_optimiser(tmp_path):
    from affectzoo.objectives.losses import Objective
    from affectzoo.train.learner import Learner

    model = affectzoo.AffectModel(toy_experiment(tmp_path, streams=("audio", "visual"), dropout=0.5).model)
    freeze(model, ["backbones.audio"])
    learner = Learner(model, Objective(model.config.targets), on_features=False).train()
    assert not any(part.training for part in model.backbones["audio"].modules())
    assert all(part.training for part in model.backbones["visual"].modules())
    assert model.head.training
    trained = {id(p) for group in parameter_groups(learner, 0.1) for p in group["params"]}
    assert trained == {id(p) for p in learner.parameters() if p.requires_grad}
    assert not any(id(p) in trained for p in model.backbones["audio"].parameters())


def test_no_decay_for_biases(tmp_path):
    model = affectzoo.AffectModel(toy_experiment(tmp_path).model)
    decayed, free = parameter_groups(model, 0.1)
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert all(p.ndim > 1 for p in decayed["params"])
    assert all(p.ndim <= 1 for p in free["params"])


def test_who_is_tested_and_was_known_to_the_start_is_said(source, tmp_path, capsys):
    held = json.loads((source / "trained_on.json").read_text())
    assert list(held) == ["toy"]
    (source / "trained_on.json").write_text(json.dumps({"toy": [*held["toy"], "test-subject0"]}))
    experiment = toy_experiment(tmp_path, streams=("audio", "visual"), init=str(source), train={"epochs": 1})
    train(experiment)
    assert f"warning: {source} was trained on 1 of" in capsys.readouterr().out
    passed_on = json.loads((run_folder(experiment) / "trained_on.json").read_text())["toy"]
    assert passed_on == sorted({*held["toy"], "test-subject0"})
