"""Conditions: the same models on the same test clips with other options of the dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import affectzoo
from affectzoo.bench.conditions import Condition, conditions_of, parse_also
from affectzoo.bench.fusion import bench_fusions
from affectzoo.bench.plan import Plan, plan_of
from affectzoo.bench.source import experiment_of
from affectzoo.bench.table import reading
from affectzoo.config import DataConfig, ModelConfig
from affectzoo.errors import AffectzooError, ConfigError, DataError
from affectzoo.train.fit import Fit
from affectzoo.train.report.assess import assess
from tests.bench.conftest import lin, quiet
from tests.train.toys import toy_corpus, toy_experiment, toy_rows

SIZES = {"train": 6, "val": 3, "test": 3}
AUDIO, VISUAL = "data.config.degraded=audio", "data.config.degraded=visual"


def degrading(config: ModelConfig, *, degraded: str = "none", people: int = 3, labels: bool = True) -> dict[str, Any]:
    """Toy splits whose test split loses a modality, has other people, or no labels."""

    def silent(_: int, arrays: dict[str, Any]) -> None:
        if degraded in arrays["inputs"]:
            arrays["inputs"][degraded][:] = 0
        arrays["valid"][:] = labels

    sizes = {split: count for split, count in {**SIZES, "test": people}.items() if count}
    return {split: toy_rows(config, split, n, change=silent if split == "test" else None) for split, n in sizes.items()}


@pytest.fixture(autouse=True)
def toy_degrading() -> None:
    """Of every test."""
    affectzoo.register_dataset("toy-degrading")(degrading)


def planned(output: Path, *also: str, seeds: tuple[int, ...] = (0, 1), **data: Any) -> Plan:
    """On the dataset itself."""
    experiment = toy_experiment(
        output, streams=("audio", "visual"), data={"name": "toy-degrading", "config": data}, train={"epochs": 2}
    )
    conditions = conditions_of(parse_also(also), experiment, say=quiet)
    return plan_of(experiment, fusions=["concat", "toy-sum"], seeds=seeds, conditions=conditions, say=quiet)


def scored(plan: Plan, run: dict[str, Any], data: DataConfig) -> float:
    """The mean CCC of a run, worked out from what `assess` predicts."""
    frame = assess(str(plan.folder / run["run"]), data, split="test").to_frame()
    columns = {name: np.array(frame[name]) for name in frame.columns}
    return float(np.mean([lin(columns[f"predicted.{t}"], columns[f"label.{t}"]) for t in ("valence", "arousal")]))


def test_every_model_is_scored_under_every_condition_and_compared_within_it(tmp_path):
    plan = planned(tmp_path, f"deaf:{AUDIO}", f"blind:{VISUAL}")
    summary = bench_fusions(plan, say=quiet)
    rows = {row["name"]: row for row in summary["rows"]}
    found: dict[tuple[str, int], float] = {}
    for row in rows.values():
        for run in row["runs"]:
            data = DataConfig(name="toy-degrading", config={"degraded": "audio"})
            if row["name"] != "visual":  # a silent voice alone has no variance to agree with
                found[row["name"], run["seed"]] = scored(plan, run, data)
                # Of float32.
                assert run["conditions"]["deaf"]["score"] == pytest.approx(found[row["name"], run["seed"]], abs=1e-6)
    gains = [found["toy-sum", seed] - found["concat", seed] for seed in (0, 1)]
    assert rows["toy-sum"]["conditions"]["deaf"]["difference"]["mean"] == pytest.approx(np.mean(gains), abs=1e-6)
    assert rows["concat"]["conditions"]["deaf"]["difference"] is None
    # What a model does not look at cannot hurt it.
    assert rows["audio"]["conditions"]["blind"]["metrics"] == rows["audio"]["metrics"]
    assert rows["visual"]["conditions"]["deaf"]["metrics"] == rows["visual"]["metrics"]
    for name in ("deaf", "blind"):
        assert rows["concat"]["conditions"][name]["metrics"] != rows["concat"]["metrics"]
    assert f"(deaf: {AUDIO}; blind: {VISUAL})" in reading(summary)
    assert "read 3 times" in reading(summary)


def test_a_condition_that_is_added_later_scores_runs_that_have_ended(tmp_path, monkeypatch):
    first = bench_fusions(planned(tmp_path, f"deaf:{AUDIO}", seeds=(0,)), say=quiet)
    monkeypatch.setattr(Fit, "run", lambda *_, **__: pytest.fail("trained again"))
    second = bench_fusions(planned(tmp_path, f"deaf:{AUDIO}", f"blind:{VISUAL}", seeds=(0,)), say=quiet)
    assert [row["metrics"] for row in second["rows"]] == [row["metrics"] for row in first["rows"]]
    for one, other in zip(first["rows"], second["rows"], strict=True):
        assert one["conditions"]["deaf"] == other["conditions"]["deaf"]
        assert other["conditions"]["blind"]["metrics"]
    # One that is no longer shown was looked at all the same.
    third = bench_fusions(planned(tmp_path, seeds=(0,)), say=quiet)
    assert third["conditions"] == {}
    assert "read 3 times" in reading(third)


def test_a_condition_that_fails_leaves_the_score_as_it_is(tmp_path, monkeypatch):
    from affectzoo.bench import measure

    real = measure.predict_part

    def failing(loaded: Any, data: DataConfig, *given: Any, **options: Any) -> Any:
        if data.config.get("degraded") == "audio" and "visual" not in loaded.model.config.streams:
            raise DataError("it rained")
        return real(loaded, data, *given, **options)

    monkeypatch.setattr(measure, "predict_part", failing)
    summary = bench_fusions(planned(tmp_path, f"deaf:{AUDIO}", seeds=(0,)), say=quiet)
    rows = {row["name"]: row for row in summary["rows"]}
    assert rows["audio"]["error"] == "deaf: it rained"
    assert rows["audio"]["metrics"]["score"]["seeds"] == 1
    assert rows["audio"]["conditions"]["deaf"] == {"metrics": None, "difference": None}
    assert not rows["visual"]["error"]


@pytest.mark.parametrize(
    ("also", "data", "words"),
    [
        ("few:data.config.people=2", {}, "--also few: its test split has nothing in the place of test2"),
        ("many:data.config.people=4", {}, "--also many: its test split has test3 besides"),
        ("none:data.config.degraded=audio", {"people": 0}, "no clips for the split test"),
        ("blank:data.config.degraded=audio", {"labels": False}, "there is no test split with labels"),
    ],
)
def test_other_people_or_none_are_refused_before_anything_is_trained(tmp_path, monkeypatch, also, data, words):
    monkeypatch.setattr(Fit, "run", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(DataError, match=words):
        bench_fusions(planned(tmp_path, also, **data), say=quiet)


def test_over_folds_a_condition_is_divided_alike(tmp_path):
    affectzoo.register_dataset("toy-corpus")(toy_corpus())
    experiment = toy_experiment(tmp_path, streams=("audio", "visual"), data={"name": "toy-corpus"}, train={"epochs": 1})
    conditions = conditions_of(parse_also(["same:data.config.task=read"]), experiment, say=quiet)
    plan = plan_of(experiment, fusions=["concat"], seeds=[0], folds=2, conditions=conditions, say=quiet)
    row = bench_fusions(plan, say=quiet)["rows"][0]
    assert row["conditions"]["same"]["metrics"] == row["metrics"]
    assert all(run["conditions"]["same"] == run["metrics"] for run in row["runs"])


def test_of_stored_features_the_changed_test_split_is_encoded_alone(tmp_path):
    experiment = toy_experiment(tmp_path / "source", streams=("audio", "visual"))
    torch.manual_seed(0)
    affectzoo.AffectModel(experiment.model).save_pretrained(tmp_path / "model")
    out, given = tmp_path / "bench", [f"init={tmp_path / 'model'}", "train.batch_size=4"]
    own = experiment_of("toy-degrading", given, out, epochs=1, say=quiet)
    said: list[str] = []
    conditions = conditions_of(parse_also([f"deaf:{AUDIO}"]), own, say=said.append)
    assert said[0] == f"features of the test split of toy-degrading for deaf: {out / 'features-deaf'}"
    store = json.loads((out / "features-deaf" / "store.json").read_text())
    assert list(store["splits"]) == ["test"]
    assert store["data"]["config"]["degraded"] == "audio"
    other = conditions_of(parse_also([f"copy:folder={out / 'features-deaf'}"]), own, say=quiet)
    plan = plan_of(own, fusions=["concat"], seeds=[0], conditions={**conditions, **other}, say=quiet)
    rows = {row["name"]: row for row in bench_fusions(plan, say=quiet)["rows"]}
    assert rows["concat"]["conditions"]["deaf"] == rows["concat"]["conditions"]["copy"]
    assert rows["concat"]["conditions"]["deaf"]["metrics"] != rows["concat"]["metrics"]
    assert rows["visual"]["conditions"]["deaf"]["metrics"] == rows["visual"]["metrics"]
    torch.manual_seed(1)
    affectzoo.AffectModel(experiment.model).save_pretrained(tmp_path / "other")
    foreign = experiment_of("toy-degrading", [f"init={tmp_path / 'other'}"], tmp_path / "elsewhere", epochs=1, say=quiet)
    with pytest.raises(DataError, match=r"the features of audio in .* come from other weights than those in"):
        conditions_of(parse_also([f"other:folder={foreign.data.config['folder']}"]), own, say=quiet)
    with pytest.raises(DataError, match=r"holds no store\.json"):
        conditions_of({"absent": [f"folder={tmp_path}"]}, own, say=quiet)
    with pytest.raises(ConfigError, match="stands for the whole test split; leave the rest out"):
        conditions_of({"both": [f"folder={tmp_path}", AUDIO]}, own, say=quiet)


def test_a_comma_that_no_key_follows_belongs_to_a_value():
    assert parse_also(["a:data.config.x=[1,2],data.config.y={p: 1, q: 2}", "b:folder=out/x,y"]) == {
        "a": ["data.config.x=[1,2]", "data.config.y={p: 1, q: 2}"],
        "b": ["folder=out/x,y"],
    }


@pytest.mark.parametrize(
    ("also", "words"),
    [
        (["deaf"], "not of the form NAME:key=value"),
        (["deaf:"], "not of the form NAME:key=value"),
        (["a b:data.config.x=1"], "not of the form NAME:key=value"),
        (["../a:data.config.x=1"], "not of the form NAME:key=value"),
        (["a:data.config.x"], "not of the form NAME:key=value"),
        (["a:train.lr=1"], r"--also a: train\.lr=1 is no option of the dataset"),
        (["a:data.name=x"], r"--also a: data\.name=x is no option of the dataset"),
        (["a:data.config.x=1", "a:data.config.x=2"], "--also names a twice"),
    ],
)
def test_a_condition_that_is_not_one_is_one_sentence(also, words):
    with pytest.raises(ConfigError, match=words):
        parse_also(also)


def test_a_folder_is_no_condition_of_a_dataset_and_an_unknown_option_none_at_all(tmp_path):
    with pytest.raises(ConfigError, match="toy-degrading is no such folder"):
        planned(tmp_path, "a:folder=elsewhere")
    plan = planned(tmp_path, "a:data.config.degrade=audio")
    assert plan.conditions["a"] == Condition(
        DataConfig(name="toy-degrading", config={"degrade": "audio"}), ("data.config.degrade=audio",)
    )
    with pytest.raises(AffectzooError, match="degrade"):
        bench_fusions(plan, say=quiet)
