"""`affectzoo bench fusion`: table, files, exit codes, and what is refused in one sentence."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import affectzoo
from affectzoo.bench import fusion as bench
from affectzoo.train.state import StoppedError
from tests.bench.conftest import forget_fusions, register_fusions
from tests.train.toys import toy_corpus, toy_experiment


@pytest.fixture
def recipe(tmp_path) -> Iterator[Path]:
    """A YAML file that trains in a second."""
    affectzoo.register_dataset("toy-corpus")(toy_corpus())
    register_fusions()
    experiment = toy_experiment(tmp_path, streams=("audio", "visual"), data={"name": "toy-corpus"})
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(experiment.to_json()))
    yield path
    forget_fusions()


def test_a_table_and_its_files_and_the_same_again(affect, recipe, tmp_path):
    out = tmp_path / "bench"
    command = ("bench", "fusion", recipe, "--fusions", "concat,toy-rain", "--seeds", "0", "--epochs", "1", "--out", out)
    outcome = affect(*command)
    assert outcome.code == 1
    assert outcome.complaints[-1].startswith("affectzoo: toy-rain: fusion 'toy-rain' of session could not be built")
    summary = json.loads((out / "bench.json").read_text())
    lines = [line.split() for line in outcome.out.splitlines()]
    score = f"{summary['rows'][0]['metrics']['score']['mean']:.3f}"
    assert [line[1:4] for line in lines if line[:1] == ["concat"]] == [[score, "-", "-"]]
    assert [line[1:] for line in lines if line[:1] == ["toy-rain"]] == [["-"] * 5]
    assert [line[1] for line in lines if line[:1] in (["audio"], ["visual"])] == ["alone", "alone"]
    assert "nothing was chosen on the test split" in outcome.out
    assert "epoch=" not in outcome.out
    assert "epoch=0" in (out / "fusion" / "concat" / "seed0" / "train.log").read_text()
    with (out / "fusions.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["concat", "toy-rain", "audio", "visual"]
    assert (out / "fusions.md").read_text().startswith("| fusion | ccc.valence | ccc.arousal | mean | - concat |")
    assert (out / "fusions.png").is_file()
    again = affect(*command)
    assert again.out == outcome.out


def test_folds_and_options_of_one_fusion_are_taken_and_no_column_is_cut(affect, recipe, tmp_path):
    out = tmp_path / "bench"
    given = ("--fusions", "concat", "--seeds", "0", "--epochs", "1", "--folds", "2", "fusions.concat.dim=4")
    outcome = affect("bench", "fusion", recipe, *given, "--out", out)
    assert outcome.code == 0
    assert "Cross-validated over 2 folds by subject" in outcome.out
    assert all(word in outcome.out for word in ("95% interval", "parameters", "ms/step"))
    for fold in ("fold-00", "fold-01"):
        run = json.loads((out / "fusion" / "concat" / fold / "seed0" / "experiment.json").read_text())
        assert run["model"]["fusion"]["config"] == {"dim": 4}


def test_rows_of_one_fusion_and_conditions_are_taken(affect, recipe, tmp_path):
    out = tmp_path / "bench"
    given = ("--fusions", "concat,wide=concat", "fusions.wide.dim=4", "--seeds", "0", "--epochs", "1", "--out", out)
    outcome = affect("bench", "fusion", recipe, *given, "--also", "read:data.config.task=read")
    assert outcome.code == 0
    with (out / "fusions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["concat", "wide", "audio", "visual"]
    assert all(row["read:score.mean"] == row["score.mean"] for row in rows)
    assert (
        (out / "fusions.md")
        .read_text()
        .startswith("| fusion | ccc.valence | ccc.arousal | mean | - concat | 95% interval | read |")
    )
    assert "(read: data.config.task=read)" in outcome.out
    assert "wide is concat with dim=4" in outcome.out


def test_being_told_to_stop_is_no_failure(affect, recipe, tmp_path, monkeypatch):
    def stopped(*_: Any, **__: Any) -> Any:
        raise StoppedError

    monkeypatch.setattr(bench, "train", stopped)
    outcome = affect("bench", "fusion", recipe, "--fusions", "concat", "--out", tmp_path / "bench")
    assert outcome.code == 0
    assert outcome.out == "stopped; the state is saved: the same command goes on\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fusions", "concatt"], "no fusion is called 'concatt'. Did you mean 'concat'?"),
        (["--fusions", ","], "there is no fusion to compare"),
        (["--fusions", "concat,concat"], "the fusion concat is given twice"),
        (["--seeds", "0,x"], "--seeds 0,x is not a list of whole numbers such as 0,1,2"),
        (["--seeds", "0,0"], "the seed 0 is given twice"),
        (["model.fusion=concat"], "leave model.fusion=concat out and use --fusions"),
        (["--folds", "1"], "--folds 1 is neither a number of folds, 2 or more, nor loso"),
        (["fusions.concatt.dim=3"], "fusions.concatt.dim=3 is an option of no fusion that takes part"),
        (["--fusions", "concat,affectzoo-fusion/concat"], "the fusion concat is given twice"),
        (["--also", "read"], "--also read is not of the form NAME:key=value"),
        (["--also", "read:folder=x"], "--also read: folder=x takes another folder of features"),
        (["train.epoch=3"], "unknown key 'train.epoch'"),
        (["data.config.tusk=x"], "unknown key 'tusk'; did you mean 'task'?"),
    ],
)
def test_what_cannot_be_is_one_sentence(affect, recipe, tmp_path, arguments, words):
    outcome = affect("bench", "fusion", recipe, *arguments, "--out", tmp_path / "bench")
    assert outcome.code == 2
    assert len(outcome.complaints) == 1
    assert words in outcome.complaints[0]
    assert not (tmp_path / "bench").exists()


@pytest.mark.parametrize(
    ("source", "words"),
    [("renderd", "Did you mean 'rendered'?"), ("absent.yaml", "absent.yaml does not exist")],
)
def test_a_source_that_is_not_there_is_one_sentence(affect, tmp_path, source, words):
    outcome = affect("bench", "fusion", source, "init=jca-rendered", "--out", tmp_path / "bench")
    assert (outcome.code, len(outcome.complaints)) == (2, 1)
    assert words in outcome.complaints[0]
