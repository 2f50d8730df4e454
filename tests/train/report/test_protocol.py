"""`--protocol`: the split, options and folds are the corpus' own, and no model is tested on whom it was trained on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import affectzoo
from affectzoo import Protocol
from affectzoo.config import DataConfig
from affectzoo.errors import AffectzooError, ConfigError, DataError, InputError
from affectzoo.model.affect_model import AffectModel
from affectzoo.objectives.metrics import ccc
from affectzoo.train.folds import cross_validate, plan_of
from affectzoo.train.loop import train
from affectzoo.train.report.assess import assess
from affectzoo.train.report.postprocess import PostProcessing
from affectzoo.train.report.protocol import protocol_of, settle
from affectzoo.train.runs import run_folder
from tests.train.toys import toy_corpus, toy_experiment

BOTH = ("valence", "arousal")


def protocol(name: str, **changes: Any) -> Protocol:
    fields: dict[str, Any] = {"targets": BOTH, "metrics": ("ccc", "mae"), "of": "annotations", **changes}
    return Protocol(name=name, summary=f"How {name} is reported.", source="nobody 2026", **fields)


PROTOCOLS = (
    protocol("val", split="val", options={"task": "read"}),
    protocol("3fold", folds=3),
    protocol("3fold-mean", folds=3, average="folds"),
    protocol("loso", folds="loso"),
    protocol("scores", split="test", of="clips", metrics=("mae", "rmse")),
    protocol("recordings", split="test", of="clips", metrics=("mae",), group="recording"),
    protocol("dominance", split="test", targets=("dominance",)),
)
DATA = DataConfig(name="toy-corpus")


@pytest.fixture(autouse=True)
def corpora():
    affectzoo.register_dataset("toy-corpus")(toy_corpus(PROTOCOLS))
    affectzoo.register_dataset("toy-scores")(toy_corpus(PROTOCOLS, scores=True))
    affectzoo.register_dataset("toy-plain")(toy_corpus())


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """The folder of a model that no run has trained."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    return AffectModel(toy_experiment(folder).model).save_pretrained(folder / "model")


@pytest.fixture(scope="module")
def pooled(tmp_path_factory) -> Path:
    """The folder of one that scores recordings."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("pooled")
    config = toy_experiment(folder).model.to_json()
    config["head"]["pool"] = "median"
    return AffectModel(toy_experiment(folder, model=config).model).save_pretrained(folder / "model")


@pytest.fixture(scope="module")
def folds(tmp_path_factory) -> tuple[Path, dict[str, Any]]:
    """A cross-validation and its summary."""
    affectzoo.register_dataset("toy-corpus")(toy_corpus(PROTOCOLS))
    experiment = toy_experiment(tmp_path_factory.mktemp("runs"), data={"name": "toy-corpus"}, train={"epochs": 1})
    plan = plan_of(experiment, protocol="3fold")
    return plan.folder, cross_validate(plan)


def test_annotations_of_the_official_split_are_compared_at_their_own_times(model, tmp_path):
    report = assess(str(model), DATA, protocol="val")
    found = report.results["protocol"]
    assert report.split == "val"
    assert (found["name"], found["source"], found["of"]) == ("val", "nobody 2026", "annotations")
    assert report.results["data"]["config"]["task"] == "read"
    paths = report.write(tmp_path)
    assert [path.name for path in paths] == ["report.json", "predictions.csv", "annotations.csv"]
    frame, steps = pd.read_csv(paths[2]), pd.read_csv(paths[1])
    # Four a second, the last two of each clip not valid.
    assert len(frame) == found["n"] == sum(4 * n - 2 for n in steps.groupby("clip_id").size())
    for clip, own in frame.groupby("clip_id"):
        given = steps[steps["clip_id"] == clip]
        expected = np.interp(own["time_s"], given["time_s"], given["predicted.arousal"])
        assert own["predicted.arousal"].to_numpy() == pytest.approx(expected, abs=2e-6)  # six decimals were written
    x, y = (torch.tensor(frame[f"{word}.valence"].to_numpy())[:, None] for word in ("predicted", "label"))
    assert found["values"]["valence"]["ccc"]["value"] == pytest.approx(float(ccc(x, y)), abs=1e-4)
    assert (
        json.loads(paths[0].read_text())["protocol"]["values"]["mean"]["ccc"]["value"]
        == found["values"]["mean"]["ccc"]["value"]
    )
    assert report.title == f"{model} on toy-corpus, protocol val"


def test_one_model_is_tested_on_every_clip_of_all_folds(model):
    whole = assess(str(model), DATA, protocol="loso").results
    assert whole["clips"] == 12
    assert whole["protocol"]["averaged"] == "once over 6 folds together"
    assert [fold["subjects"] for fold in whole["protocol"]["per_fold"]] == [[name] for name in "abcdef"]
    three = assess(str(model), DATA, protocol="3fold").results
    # The same annotations in another order.
    assert three["protocol"]["values"]["valence"]["ccc"]["value"] == pytest.approx(
        whole["protocol"]["values"]["valence"]["ccc"]["value"]
    )
    assert sum(fold["n"] for fold in three["protocol"]["per_fold"]) == whole["protocol"]["n"]
    averaged = assess(str(model), DATA, protocol="3fold-mean").results["protocol"]
    own = [fold["values"]["arousal"]["mae"] for fold in averaged["per_fold"]]
    assert averaged["values"]["arousal"]["mae"] == {
        "value": pytest.approx(np.mean(own)),
        "sd": pytest.approx(np.std(own, ddof=1)),
        "folds": 3,
    }
    assert averaged["averaged"] == "mean and sd over 3 folds"


def test_of_a_cross_validation_each_model_predicts_its_own_subjects(folds):
    folder, summary = folds
    report = assess(str(folder), DATA, protocol="3fold")
    assert report.results["protocol"] == summary["protocol"]
    frame = report.protocol.frame if report.protocol else pd.DataFrame()
    tested = frame.groupby("fold")["subject"].unique()
    for row in summary["per_fold"]:
        assert sorted(tested[row["fold"]]) == row["subjects"]
        alone = assess(
            str(folder / row["run"]), DataConfig(name="toy-corpus", config={"fold": {"folds": 3, "number": row["fold"]}})
        )
        steps = report.to_frame()
        mine = steps[steps["clip_id"].isin(alone.clip_ids)]
        assert mine["predicted.valence"].tolist() == pytest.approx(alone.to_frame()["predicted.valence"].tolist())


def test_models_meet_nobody_they_were_trained_on(folds, tmp_path):
    folder, _ = folds
    run = folder / "fold-00" / "seed0"
    for name in (run, run / "model"):
        with pytest.raises(
            InputError,
            match=r"was trained on 3 of the 6 subjects, \w among them, and the protocol 3fold tests them; train",
        ):
            assess(str(name), DATA, protocol="3fold")
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    affectzoo.register_dataset("toy-corpus")(toy_corpus(PROTOCOLS, people=7))
    with pytest.raises(DataError, match=r"was tested on other subjects than fold \d of 'toy-corpus' holds now"):
        assess(str(moved), DATA, protocol="3fold")


def test_a_cross_validation_is_refused_where_it_does_not_fit(folds, tmp_path):
    folder, _ = folds
    for data, name, words in (
        (DATA, None, "is a cross-validation; give --protocol, or the run of one fold"),
        (DATA, "loso", "has 3 folds by subject, but the protocol loso has leave-one-subject-out folds"),
        (DATA, "val", "has 3 folds by subject, but the protocol val has no folds"),
        (DataConfig(name="toy-scores"), "3fold", "was trained on toy-corpus, not on toy-scores"),
        (DataConfig(name="toy-corpus", config={"fold": {"folds": 3, "seed": 4}}), "3fold", "fold.seed is 4"),
    ):
        with pytest.raises(AffectzooError, match=words):
            assess(str(folder), data, protocol=name)
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    summary = json.loads((moved / "crossval.json").read_text())
    summary["per_fold"][1]["error"] = "it rained"
    (moved / "crossval.json").write_text(json.dumps(summary))
    with pytest.raises(InputError, match="no result of fold 1; run affectzoo crossval again"):
        assess(str(moved), DATA, protocol="3fold")
    (moved / "crossval.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        assess(str(moved), DATA, protocol="3fold")


def test_scores_of_clips_and_of_recordings(model, pooled, tmp_path):
    data = DataConfig(name="toy-scores")
    for name, how in ((model, "the mean of its sub-sequences with any input"), (pooled, "the median of its sub-sequences")):
        report = assess(str(name), data, protocol="scores")
        found = report.results["protocol"]
        assert found["compared"] == f"one score for each clip: {how}"
        assert (found["n"], list(found["values"]["valence"])) == (4, ["mae", "rmse"])
        frame = pd.read_csv(report.write(tmp_path)[2])
        assert list(frame["clip_id"]) == ["c-0", "c-1", "f-0", "f-1"]
        steps = report.to_frame().groupby("clip_id")["predicted.valence"]
        scores = [float((np.mean if name == model else np.median)(own.to_numpy())) for _, own in steps]
        assert frame["predicted.valence"].tolist() == pytest.approx(scores, abs=1e-6)  # six decimals
    grouped = assess(str(model), data, protocol="recordings")
    assert grouped.protocol is not None
    assert grouped.protocol.frame["recording"].tolist() == ["c", "f"]
    assert grouped.protocol.frame["clips"].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("config", "name", "split", "words"),
    [
        ({"task": "sing"}, "val", None, "task is 'sing', but the protocol val says 'read'; leave task out"),
        ({}, "val", "test", "--split test, but the protocol val is of the split val"),
        ({}, "3fold", "val", "--split val, but the protocol 3fold tests every subject in its fold"),
        ({"fold": {"folds": 3}}, "val", None, "the protocol val has the official split val and no folds"),
        ({"fold": {"folds": 5}}, "3fold", None, "the protocol 3fold has 3 folds by subject"),
    ],
)
def test_what_contradicts_a_protocol_is_refused_by_both_names(config, name, split, words):
    with pytest.raises(ConfigError, match=words):
        settle(DataConfig(name="toy-corpus", config=config), protocol_of("toy-corpus", name), split)


def test_what_agrees_with_a_protocol_may_be_said():
    given = {"task": "read", "other": 1}
    assert settle(DataConfig(name="toy-corpus", config=given), PROTOCOLS[0], "val").config == given
    assert settle(DATA, PROTOCOLS[1], "test").config == {}


def test_a_single_fold_is_no_protocol(model):
    data = DataConfig(name="toy-corpus", config={"fold": {"folds": 3, "number": 1}})
    with pytest.raises(ConfigError, match=r"fold.number names one fold, and the protocol 3fold takes all"):
        assess(str(model), data, protocol="3fold")


def test_an_unknown_protocol_names_those_that_there_are():
    with pytest.raises(ConfigError, match=r"has no protocol '3folds'; did you mean '3fold'\?"):
        protocol_of("toy-corpus", "3folds")
    with pytest.raises(ConfigError, match="has no protocol 'xyz'; it has val, 3fold"):
        protocol_of("toy-corpus", "xyz")
    with pytest.raises(ConfigError, match=r"'toy-plain' of .* has no protocols; leave --protocol out"):
        protocol_of("toy-plain", "val")


def test_a_model_that_a_protocol_cannot_compare_is_refused(model, pooled):
    for name, data, words in (
        (model, "dominance", "compares dominance; this model has no dominance, it predicts valence, arousal"),
        (pooled, "val", r"compares every annotation, and this model gives one score .* \(head.pool is median\)"),
    ):
        with pytest.raises(InputError, match=words):
            assess(str(name), DATA, protocol=data)
    with pytest.raises(InputError, match="--label-delay moves labels along time"):
        assess(str(model), DATA, protocol="scores", post_processing=PostProcessing(0.5))


def test_rows_without_annotations_are_refused(model):
    plain = toy_corpus((protocol("test", split="test"),))

    def without(config: Any) -> Any:
        return {split: rows.remove_columns("annotation.times_s") for split, rows in plain(config).items()}

    without.protocols = plain.protocols  # pyright: ignore[reportFunctionMemberAccess]
    affectzoo.register_dataset("toy-old")(without)
    with pytest.raises(DataError, match=r"hold no column annotation.times_s"):
        assess(str(model), DataConfig(name="toy-old"), protocol="test")


def test_post_processing_is_of_what_is_compared_and_named(model):
    plain = assess(str(model), DATA, protocol="val")
    done = assess(str(model), DATA, protocol="val", post_processing=PostProcessing(label_delay_s=0.5))
    assert plain.protocol is not None
    assert done.protocol is not None
    assert done.protocol.results["n"] == plain.protocol.results["n"] - 2 * len(done.clip_ids)
    assert done.named(done.protocol.frame)["post_processing"].unique().tolist() == ["labels 0.5 s earlier (interpolated)"]


def test_a_model_trained_on_the_official_split_is_evaluated_on_it(tmp_path):
    experiment = toy_experiment(tmp_path, data={"name": "toy-corpus", "config": {"task": "read"}}, train={"epochs": 1})
    train(experiment)
    assert assess(str(run_folder(experiment)), experiment.data, protocol="val").results["protocol"]["subjects"] == 2


def test_a_model_of_one_fold_is_not_reported_on_an_official_split_with_its_own_people(folds):
    folder, _ = folds
    met = []
    for number in range(3):
        run = folder / f"fold-0{number}" / "seed0"
        own = set(json.loads((run / "trained_on.json").read_text())["toy-corpus"])
        report = assess(str(run), DataConfig(name="toy-corpus", config={"task": "read"}), split="val")
        assert report.met_in_training == tuple(sorted(own & set(report.subjects)))
        if report.met_in_training:
            met.append(run)
    assert met
    for run in met:
        with pytest.raises(InputError, match="and the protocol val tests them; train on the official split"):
            assess(str(run), DATA, protocol="val")


def test_a_run_that_does_not_say_whom_it_was_trained_on_is_no_model_of_all_folds(folds, tmp_path):
    folder, _ = folds
    run = tmp_path / "seed0"
    shutil.copytree(folder / "fold-00" / "seed0", run)
    (run / "trained_on.json").unlink()
    with pytest.raises(InputError, match="was trained on toy-corpus, and the protocol 3fold tests them"):
        assess(str(run), DATA, protocol="3fold")
    (run / "trained_on.json").write_text("[]")
    with pytest.raises(DataError, match=r"trained_on.json cannot be read"):
        assess(str(run), DATA, protocol="3fold")


def test_people_of_another_folder_of_the_same_loader_are_others(folds):
    folder, _ = folds
    affectzoo.register_dataset("toy-corpus")(toy_corpus(PROTOCOLS, names="uvwxyz"))
    found = assess(str(folder / "fold-00" / "seed0"), DATA, protocol="3fold").results["protocol"]
    assert found["subjects"] == 6
