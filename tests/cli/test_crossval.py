"""`affectzoo crossval` and `affectzoo evaluate --protocol`: tables, exit codes, and what is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import affectzoo
from affectzoo import Protocol
from affectzoo.cli.crossval import run_launched
from affectzoo.errors import AffectzooError, DataError
from affectzoo.train import folds, launch
from affectzoo.train.experiment import read_experiment
from affectzoo.train.state import StoppedError
from tests.train.toys import toy_corpus, toy_experiment

FOLDS = Protocol(
    name="toy-3fold",
    summary="Three folds by subject, every annotation.",
    source="nobody 2026",
    targets=("valence", "arousal"),
    metrics=("ccc",),
    of="annotations",
    folds=3,
    options={"task": "read"},
)


@pytest.fixture
def recipe(tmp_path) -> Path:
    """A YAML file that trains in a second and writes beside itself."""
    affectzoo.register_dataset("toy-corpus")(toy_corpus((FOLDS,)))
    experiment = toy_experiment(tmp_path / "runs", data={"name": "toy-corpus"}, train={"epochs": 1})
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(experiment.to_json()))
    return path


def test_a_protocol_in_one_command_and_its_number_again_from_the_folder(affect, recipe, tmp_path):
    outcome = affect("crossval", recipe, "--protocol", "toy-3fold")
    assert outcome.code == 0, outcome.err
    folder = tmp_path / "runs" / "toy"
    summary = json.loads((folder / "crossval.json").read_text())
    lines = outcome.out.splitlines()
    assert "toy: 3 folds by subject of toy-corpus, 6 subjects, 12 clips" in lines
    assert "Three folds by subject, every annotation. (nobody 2026)" in lines
    reported = f"{summary['protocol']['values']['mean']['ccc']['value']:.3f}"
    assert [line.split()[2] for line in lines if line.split()[:2] == ["mean", "ccc"]] == [reported]
    over = summary["metrics"]["valence"]["rmse"]
    row = next(line.split() for line in lines if line.split()[:2] == ["valence", "rmse"])
    assert row[2:6] == [f"{over['mean']:.3f}", f"{over['sd']:.3f}", "3", f"{over['pooled']['value']:.3f}"]
    rows = [line.split() for line in lines if line.split()[:1] in (["0"], ["1"], ["2"])]
    assert [row[1:3] for row in rows] == [["2", "4"]] * 3
    again = affect("crossval", recipe, "--protocol", "toy-3fold")
    assert again.out.splitlines()[-len(lines) :][-20:] == lines[-20:]
    assert "epoch=" not in again.out
    evaluated = affect("evaluate", folder, recipe, "--protocol", "toy-3fold", "--out", tmp_path / "out")
    assert evaluated.code == 0, evaluated.err
    assert evaluated.out.startswith(f"{folder} on toy-corpus, protocol toy-3fold\nThree folds by subject")
    assert [line.split()[2] for line in evaluated.out.splitlines() if line.split()[:2] == ["mean", "ccc"]] == [reported]
    assert "besides, of all steps:" in evaluated.out
    assert (tmp_path / "out" / "annotations.csv").is_file()


def test_a_failed_fold_is_said_and_the_exit_code_is_1(affect, recipe, monkeypatch):
    real = folds.train

    def failing(experiment: Any, **options: Any) -> Any:
        if experiment.name.endswith("fold-01"):
            raise DataError("the second fold is wet")
        return real(experiment, **options)

    monkeypatch.setattr(folds, "train", failing)
    outcome = affect("crossval", recipe, "--folds", "3")
    assert outcome.code == 1
    assert outcome.complaints == ["affectzoo: fold 1: the second fold is wet"]
    assert "2 of 3 folds have ended" in outcome.out
    assert affect("crossval", recipe, "--folds", "3", "--only", "0,2").code == 0


def test_being_told_to_stop_is_no_failure(affect, recipe, monkeypatch):
    def stopped(*_: Any, **__: Any) -> Any:
        raise StoppedError

    monkeypatch.setattr(folds, "train", stopped)
    outcome = affect("crossval", recipe, "--folds", "loso")
    assert outcome.code == 0
    assert outcome.out.endswith("stopped; the state is saved: the same command goes on\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "how many folds? give --folds 5, --folds loso, or a --protocol"),
        (["--folds", "one"], "--folds one is neither a number of folds, 2 or more, nor loso"),
        (["--folds", "1"], "--folds 1 is neither"),
        (["--folds", "3", "--only", "0;1"], "--only 0;1 is not a list of fold numbers such as 0,3"),
        (["--folds", "3", "--only", "7"], "there is no fold 7; the folds are 0 to 2"),
        (["--folds", "9"], "6 subjects cannot be divided into 9 folds"),
        (["--protocol", "toy-4fold"], "did you mean 'toy-3fold'?"),
        (["--folds", "3", "train.epoch=3"], "unknown key 'train.epoch'"),
        (["--folds", "3", "data.config.tusk=x"], "unknown key 'tusk'; did you mean 'task'?"),
    ],
)
def test_what_cannot_be_is_one_sentence(affect, recipe, arguments, words):
    outcome = affect("crossval", recipe, *arguments)
    assert outcome.code == 2
    assert len(outcome.complaints) == 1
    assert words in outcome.complaints[0]


def test_several_processes_get_the_fold_as_overrides(recipe, tmp_path, monkeypatch):
    experiment = read_experiment(recipe, ["train.lr=0.5"])
    plan = folds.plan_of(experiment, protocol="toy-3fold", seed=4)
    fold = plan.run(1)
    given: list[Any] = []

    def launched(processes: int, arguments: list[str]) -> int:
        given.append((processes, arguments))
        result = tmp_path / "runs" / "toy" / "fold-01" / "seed0" / "result.json"
        result.parent.mkdir(parents=True)
        result.write_text('{"best_epoch": 3}')
        return 0

    monkeypatch.setattr(launch, "launch", launched)
    assert run_launched(fold, experiment, recipe, ["train.lr=0.5"], 2) == {"best_epoch": 3}
    (processes, arguments), *_ = given
    assert (processes, arguments[-1]) == (2, "--resume")
    assert read_experiment(arguments[0], arguments[1:-1]) == fold


@pytest.mark.parametrize(("code", "error"), [(2, AffectzooError), (0, StoppedError)])
def test_processes_that_leave_no_result_failed_or_were_stopped(recipe, monkeypatch, code, error):
    experiment = read_experiment(recipe)
    monkeypatch.setattr(launch, "launch", lambda *_: code)
    with pytest.raises(error):
        run_launched(folds.plan_of(experiment, folds=3).run(0), experiment, recipe, [], 2)
