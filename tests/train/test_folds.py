"""A cross-validation is its folds: each an ordinary run, nobody tested twice, and one summary of them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import affectzoo
from affectzoo import Protocol
from affectzoo.config import DataConfig
from affectzoo.errors import ConfigError, DataError
from affectzoo.objectives.metrics import ccc, mean_absolute_error
from affectzoo.train import folds
from affectzoo.train.fit import Fit
from affectzoo.train.folds import Plan, cross_validate, plan_of
from affectzoo.train.report import compare, report
from affectzoo.train.report.assess import assess
from affectzoo.train.state import StoppedError
from tests.train.toys import toy_corpus, toy_experiment

FOLDS = Protocol(
    name="3fold", summary="s", source="s", targets=("valence",), metrics=("mae",), of="annotations", folds=3, average="folds"
)
OFFICIAL = Protocol(name="official", summary="s", source="s", targets=("valence",), metrics=("mae",), of="clips", split="val")


class Killed(BaseException):
    """What no code of the project may catch."""


@pytest.fixture(autouse=True, scope="module")
def few_draws():
    """Intervals are tested elsewhere, and take most of the time here."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (compare, report):
            patch.setattr(module, "DRAWS", 20)
        yield


@pytest.fixture(autouse=True)
def corpus():
    affectzoo.register_dataset("toy-corpus")(toy_corpus((FOLDS, OFFICIAL)))


def make_plan(output: Path, *, data: dict[str, Any] | None = None, train: dict[str, Any] | None = None, **asked: Any) -> Plan:
    settings = {"epochs": 2, "checkpoint_steps": 2, **(train or {})}
    config = {"task": "talk", **(data or {})}
    experiment = toy_experiment(output, dropout=0.3, data={"name": "toy-corpus", "config": config}, train=settings)
    options: dict[str, Any] = {**({} if "protocol" in asked else {"folds": 3}), **asked}
    return plan_of(experiment, **options)


def without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_seconds(item) for key, item in value.items() if key != "seconds"}
    return [without_seconds(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Plan, dict[str, Any]]:
    """A cross-validation that nothing stopped."""
    affectzoo.register_dataset("toy-corpus")(toy_corpus((FOLDS, OFFICIAL)))
    plan = make_plan(tmp_path_factory.mktemp("whole"))
    return plan, cross_validate(plan)


def test_everybody_is_tested_once_and_in_no_training_split(whole):
    plan, summary = whole
    assert sorted(name for row in summary["per_fold"] for name in row["subjects"]) == list("abcdef")
    assert sum(row["clips"] for row in summary["per_fold"]) == summary["clips"] == 12
    for row in summary["per_fold"]:
        data = json.loads((plan.folder / row["run"] / "experiment.json").read_text())["data"]["config"]["fold"]
        assert (data["folds"], data["number"]) == (3, row["fold"])
        assert json.loads((plan.folder / row["run"] / "result.json").read_text())["subjects"]["test"] == 2


def test_mean_and_sd_are_over_folds_and_pooled_is_of_all_predictions(whole):
    plan, summary = whole
    frames = []
    for row in summary["per_fold"]:
        alone = assess(str(plan.folder / row["run"]), plan.run(row["fold"]).data)
        assert row["test"]["valence"]["ccc"] == pytest.approx(alone.results["metrics"]["valence"]["ccc"]["value"])
        frames.append(alone.to_frame())
    for metric, function in (("ccc", ccc), ("mae", mean_absolute_error)):
        found = summary["metrics"]["arousal"][metric]
        own = [row["test"]["arousal"][metric] for row in summary["per_fold"]]
        assert found["mean"] == pytest.approx(np.mean(own))
        assert found["sd"] == pytest.approx(np.std(own, ddof=1))
        x, y = (
            torch.tensor(np.concatenate([frame[f"{word}.arousal"].to_numpy() for frame in frames]))[:, None]
            for word in ("predicted", "label")
        )
        assert found["pooled"]["value"] == pytest.approx(float(function(x, y)), abs=1e-6)  # of float32
        assert found["pooled"]["low"] < found["pooled"]["value"] < found["pooled"]["high"]


def test_a_second_call_neither_trains_nor_predicts(whole, monkeypatch):
    plan, summary = whole
    for name in ("predict_part", "load_model"):
        monkeypatch.setattr(folds, name, lambda *_, **__: pytest.fail("predicted again"))
    monkeypatch.setattr(Fit, "run", lambda *_, **__: pytest.fail("trained again"))
    assert cross_validate(plan) == summary


@pytest.mark.parametrize(("at", "after"), [(5, True), (14, False)])
def test_a_killed_cross_validation_goes_on_to_the_same_numbers(whole, tmp_path, monkeypatch, at, after):
    plan = make_plan(tmp_path)
    real, calls = Fit._step, []

    def dying(self: Fit, *args: Any) -> Any:
        calls.append(None)
        if len(calls) == at and not after:
            raise Killed
        found = real(self, *args)
        if len(calls) == at:
            raise Killed
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Fit, "_step", dying)
        with pytest.raises(Killed):
            cross_validate(plan)
    torch.rand(17)  # another process draws otherwise
    summary = cross_validate(plan)
    own = ("per_fold", "metrics")
    assert without_seconds([summary[key] for key in own]) == without_seconds([whole[1][key] for key in own])
    for row in summary["per_fold"]:
        one, other = (load_file(p.folder / row["run"] / "model" / "model.safetensors") for p in (plan, whole[0]))
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_being_told_to_stop_stops_all_folds(tmp_path, monkeypatch):
    def stopped(*_: Any, **__: Any) -> Any:
        raise StoppedError

    plan = make_plan(tmp_path)
    monkeypatch.setattr(Fit, "run", stopped)
    with pytest.raises(StoppedError):
        cross_validate(plan)
    assert json.loads((plan.folder / "crossval.json").read_text())["per_fold"] == []


@pytest.mark.parametrize("error", [DataError("fold 1 cannot be"), RuntimeError("it rained\nin the second line")])
def test_a_fold_that_fails_is_a_row_and_the_others_go_on(whole, tmp_path, monkeypatch, capsys, error):
    real = folds.train

    def failing(experiment: Any, **options: Any) -> Any:
        if experiment.name.endswith("fold-01"):
            raise error
        return real(experiment, **options)

    plan = make_plan(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(folds, "train", failing)
        summary = cross_validate(plan)
    words = "fold 1 cannot be" if isinstance(error, DataError) else "RuntimeError: it rained"
    assert [row["error"] for row in summary["per_fold"]] == ["", words, ""]
    assert ("Traceback" in capsys.readouterr().err) == isinstance(error, RuntimeError)
    assert summary["metrics"]["valence"]["ccc"]["folds"] == 2
    # Once it is mended, the summary is that of a cross-validation in which nothing failed.
    assert without_seconds(cross_validate(plan)["metrics"]) == without_seconds(whole[1]["metrics"])


def test_some_folds_may_be_trained_first(whole, tmp_path):
    plan = make_plan(tmp_path)
    assert [row["fold"] for row in cross_validate(plan, only=[2])["per_fold"]] == [2]
    both = cross_validate(plan, only=[0])
    assert [row["fold"] for row in both["per_fold"]] == [0, 2]
    assert both["metrics"]["valence"]["ccc"]["folds"] == 2
    assert without_seconds(cross_validate(plan)["metrics"]) == without_seconds(whole[1]["metrics"])
    with pytest.raises(ConfigError, match="there is no fold 3; the folds are 0 to 2"):
        cross_validate(plan, only=[3])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train": {"lr": 0.02}}, r"holds another cross-validation: experiment.train.lr is 0.02, and was 0.01"),
        ({"folds": 4}, "fold.folds is 4, and was 3"),
        ({"seed": 1}, "fold.seed is 1, and was 0"),
        ({"data": {"task": "sing"}}, "experiment.data.config.task is 'sing'"),
    ],
)
def test_another_recipe_is_refused_by_the_key_that_differs(whole, changes, words):
    before = (whole[0].folder / "crossval.json").read_bytes()
    with pytest.raises(ConfigError, match=words):
        cross_validate(make_plan(whole[0].folder.parent, **changes))
    assert (whole[0].folder / "crossval.json").read_bytes() == before


def test_one_subject_left_out_at_a_time(tmp_path):
    plan = make_plan(tmp_path, folds="loso", train={"epochs": 1})
    summary = cross_validate(plan, only=[0, 5])
    assert plan.count == 6
    assert [(row["run"], row["subjects"]) for row in summary["per_fold"]] == [
        ("fold-00/seed0", ["a"]),
        ("fold-05/seed0", ["f"]),
    ]


def test_a_protocol_says_the_folds_and_what_is_reported(tmp_path):
    plan = make_plan(tmp_path, protocol="3fold", train={"epochs": 1})
    found = cross_validate(plan)["protocol"]
    assert (plan.fold.folds, found["name"], found["averaged"]) == (3, "3fold", "mean and sd over 3 folds")
    own = [fold["values"]["valence"]["mae"] for fold in found["per_fold"]]
    assert found["values"]["valence"]["mae"]["value"] == pytest.approx(np.mean(own))
    plain = cross_validate(make_plan(tmp_path, train={"epochs": 1}))
    assert "protocol" not in plain


def test_the_recipe_may_say_how_to_divide(tmp_path):
    plan = make_plan(tmp_path, data={"fold": {"folds": 4, "number": 2, "seed": 7, "val": 0.4}}, folds=None)
    assert (plan.fold.folds, plan.fold.seed, plan.fold.val, plan.fold.number) == (4, 7, 0.4, 0)
    assert make_plan(tmp_path, data={"fold": {"folds": 4, "seed": 7}}, folds=3, seed=1).fold.seed == 1
    assert plan.experiment.data == DataConfig(name="toy-corpus", config={"task": "talk"})


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"folds": None}, ConfigError, "how many folds?"),
        ({"folds": 7}, DataError, "6 subjects cannot be divided into 7 folds"),
        ({"folds": 1}, ConfigError, "--folds"),
        ({"folds": 5, "protocol": "3fold"}, ConfigError, "5 folds by subject are asked for, but the protocol 3fold has 3"),
        ({"protocol": "official"}, ConfigError, "the protocol official has the official split val and no folds"),
        ({"protocol": "4fold"}, ConfigError, "has no protocol '4fold'; did you mean '3fold'"),
    ],
)
def test_folds_that_cannot_be_are_refused(tmp_path, asked, error, words):
    with pytest.raises(error, match=words.replace("?", r"\?")):
        make_plan(tmp_path, **asked)
    assert not list(tmp_path.iterdir())


def test_a_dataset_that_is_not_divided_by_subject_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"'rendered' of .* has no option fold, so it is not divided by subject"):
        plan_of(toy_experiment(tmp_path, data={"name": "rendered"}), folds=3)
