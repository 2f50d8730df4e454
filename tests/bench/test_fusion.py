"""Fusions on one feature store: the same backbones and budget for all, numbers that can be computed again, bad rows."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import affectzoo
from affectzoo.bench import measure
from affectzoo.bench.code import keep_code
from affectzoo.bench.fusion import bench_fusions
from affectzoo.bench.plan import plan_of
from affectzoo.bench.source import experiment_of
from affectzoo.config import DataConfig, ExperimentConfig
from affectzoo.errors import AffectzooError, ConfigError, UnknownNameError
from affectzoo.registry import FusionSpec, registry
from affectzoo.train.fit import Fit
from affectzoo.train.report.assess import assess
from affectzoo.train.state import StoppedError
from tests.bench.conftest import Sum, lin, quiet
from tests.train.toys import toy_corpus, toy_dataset, toy_experiment, use_dataset


class Killed(BaseException):
    """What no code of the project may catch."""


def test_the_numbers_are_those_of_the_saved_models_predictions(whole):
    plan, summary = whole
    score: dict[tuple[str, int], float] = {}
    for row in summary["rows"]:
        for run in row["runs"]:
            frame = assess(str(plan.folder / run["run"]), plan.experiment.data, split="test").to_frame()
            frame = frame[frame["valid"]]
            columns = {name: np.array(frame[name]) for name in frame.columns}
            own = [lin(columns[f"predicted.{t}"], columns[f"label.{t}"]) for t in ("valence", "arousal")]
            score[row["name"], run["seed"]] = float(np.mean(own))
            assert run["metrics"]["ccc.valence"] == pytest.approx(own[0], abs=1e-6)  # of float32
            result = json.loads((plan.folder / run["run"] / "result.json").read_text())
            assert run["metrics"]["score"] == pytest.approx(result["test"]["score"], abs=1e-6)
    assert [row["name"] for row in summary["rows"]] == ["concat", "toy-sum", "audio", "visual"]
    for row in summary["rows"]:
        own = [score[row["name"], seed] for seed in (0, 1)]
        found = row["metrics"]["score"]
        assert found["mean"] == pytest.approx(np.mean(own), abs=1e-6)
        assert found["sd"] == pytest.approx(np.std(own, ddof=1), abs=1e-6)
        if row["name"] == "concat":
            assert row["difference"] is None
            continue
        gains = [score[row["name"], seed] - score["concat", seed] for seed in (0, 1)]
        assert row["difference"]["mean"] == pytest.approx(np.mean(gains), abs=1e-6)
        assert row["difference"]["sd"] == pytest.approx(np.std(gains, ddof=1), abs=1e-6)
        assert row["difference"]["low"] < row["difference"]["high"]
    # A head of one layer on 6 features of each modality: 2 targets, 12 or 6 weights each and a bias.
    counts = {row["name"]: row["parameters"] for row in summary["rows"]}
    assert counts["concat"] == {"fusion": 0, "trained": 26}
    assert counts["toy-sum"] == {"fusion": 2, "trained": 16}
    assert counts["audio"] == {"fusion": 0, "trained": 14}
    assert all(row["ms_per_step"] > 0 for row in summary["rows"])
    assert (summary["split"], summary["subjects"]) == ("test", 3)


def test_every_run_has_the_backbones_of_init_and_its_own_seed(whole, source):
    plan, _ = whole
    given = load_file(source[0] / "model" / "model.safetensors")
    for candidate in plan.candidates:
        weights = [load_file(plan.place(candidate, seed) / "model" / "model.safetensors") for seed in plan.seeds]
        backbones = [name for name in weights[0] if name.startswith("backbones.")]
        assert backbones
        assert all(torch.equal(own[name], given[name]) for own in weights for name in backbones)
        assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_what_fails_is_a_row_with_its_error_and_the_others_go_on(make_plan, capsys):
    said: list[str] = []
    gone = FusionSpec(name="toy-gone", summary="s", licence="MIT", target="module_that_is_absent:Fusion")
    registry().register("fusion", gone, None)
    bad = ("toy-rain", "toy-nan", "toy-quit", "toy-gone")
    plan = make_plan("concat", *bad, "joint-cross-attention", seeds=(0,))
    summary = bench_fusions(plan, say=said.append)
    rows = {row["name"]: row for row in summary["rows"]}
    assert "toy-rain" in rows["toy-rain"]["error"]
    assert "RuntimeError: it rained" in rows["toy-rain"]["error"]
    assert "\n" not in rows["toy-rain"]["error"]
    assert "is not a number" in rows["toy-nan"]["error"]
    assert rows["toy-quit"]["error"] == "SystemExit: 3"
    assert "could not be imported from module_that_is_absent" in rows["toy-gone"]["error"]
    for name in bad:
        assert all(rows[name][key] is None for key in ("metrics", "difference", "parameters", "ms_per_step"))
    for name in ("concat", "joint-cross-attention", "audio", "visual"):
        assert not rows[name]["error"]
        assert rows[name]["metrics"]["score"]["seeds"] == 1
    assert [line.split(":")[0] for line in said if "failed" in line] == [f"{name}, seed 0 failed" for name in bad]
    assert "raise SystemExit(3)" in capsys.readouterr().err  # an error that is not ours keeps its traceback


def test_a_fusion_that_is_repaired_is_trained_and_one_that_changed_is_not_mixed_up(make_plan):
    plan = make_plan("concat", "toy-rain", seeds=(0,))
    assert bench_fusions(plan, say=quiet)["rows"][1]["error"]
    affectzoo.register_fusion("toy-rain")(Sum)
    assert not bench_fusions(plan, say=quiet)["rows"][1]["error"]
    code = plan.place(plan.candidates[1], 0) / "code.json"
    kept = json.loads(code.read_text())
    code.write_text(json.dumps({**kept, "source": "0" * 64}))
    changed = bench_fusions(plan, say=quiet)["rows"][1]
    assert "the code of toy-rain is not what" in changed["error"]
    assert changed["metrics"] is None
    code.write_text(json.dumps(kept))
    with pytest.raises(ConfigError, match="the options of toy-rain are not what"):
        keep_code(code.parent, registry().find("fusion", "toy-rain"), {"dim": 4})


def test_a_second_call_neither_trains_nor_predicts_nor_times(whole, monkeypatch):
    plan, summary = whole
    for name in ("predict_part", "milliseconds_per_step"):
        monkeypatch.setattr(measure, name, lambda *_, **__: pytest.fail("measured again"))
    monkeypatch.setattr(Fit, "run", lambda *_, **__: pytest.fail("trained again"))
    assert bench_fusions(plan, say=quiet) == summary


@pytest.mark.parametrize("at", [8, 19])
def test_a_killed_comparison_goes_on_to_the_same_numbers(whole, make_plan, monkeypatch, at):
    plan = make_plan("concat", seeds=(0,), overrides=("train.checkpoint_steps=5",))
    real, calls = Fit._step, []

    def dying(self: Fit, *args: Any) -> Any:
        calls.append(None)
        if len(calls) == at:
            raise Killed
        return real(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Fit, "_step", dying)
        with pytest.raises(Killed):
            bench_fusions(plan, say=quiet)
    torch.rand(17)  # another process draws otherwise
    own = {row["name"]: row["runs"][0]["metrics"] for row in bench_fusions(plan, say=quiet)["rows"]}
    assert own == {row["name"]: row["runs"][0]["metrics"] for row in whole[1]["rows"] if row["name"] in own}


def test_more_rows_are_added_and_other_settings_refused(make_plan):
    first = bench_fusions(make_plan("concat", seeds=(0,)), say=quiet)
    second = bench_fusions(make_plan("concat", "toy-sum", seeds=(0,)), say=quiet)
    assert second["rows"][0]["runs"] == first["rows"][0]["runs"]
    assert second["rows"][1]["difference"]["seeds"] == 1
    with pytest.raises(ConfigError, match=r"another comparison: train\.lr is 0\.1, .* or choose another --out$"):
        bench_fusions(make_plan("concat", overrides=("train.lr=0.1",)), say=quiet)


def test_being_told_to_stop_stops_all_rows(make_plan, monkeypatch):
    def stopped(*_: Any, **__: Any) -> Any:
        raise StoppedError

    monkeypatch.setattr(Fit, "run", stopped)
    with pytest.raises(StoppedError):
        bench_fusions(make_plan("concat"), say=quiet)


def test_without_concat_the_difference_is_to_the_first_named(make_plan):
    said: list[str] = []
    plan = make_plan("toy-sum", "self-attention", seeds=(0,), say=said.append)
    assert said == ["concat takes no part: differences are to toy-sum, the first that is named"]
    summary = bench_fusions(plan, say=quiet)
    assert summary["baseline"] == "toy-sum"
    assert summary["rows"][0]["difference"] is None
    ours, theirs = (row["metrics"]["score"]["mean"] for row in (summary["rows"][1], summary["rows"][0]))
    assert summary["rows"][1]["difference"]["mean"] == pytest.approx(ours - theirs)


def test_without_a_test_split_the_validation_split_is_scored(monkeypatch, tmp_path):
    use_dataset(monkeypatch, toy_dataset({"train": 6, "val": 3}))
    experiment = toy_experiment(tmp_path, streams=("audio", "visual"), train={"epochs": 1})
    summary = bench_fusions(plan_of(experiment, fusions=["concat"], seeds=[0], say=quiet), say=quiet)
    assert (summary["split"], summary["subjects"]) == ("val", 3)
    assert all(row["metrics"] for row in summary["rows"])


def test_data_that_changed_since_are_told_with_what_a_comparison_can_do(monkeypatch, tmp_path):
    experiment = toy_experiment(tmp_path, streams=("audio", "visual"), train={"epochs": 1})
    use_dataset(monkeypatch, toy_dataset({"train": 6, "val": 3, "test": 3}))
    plan = plan_of(experiment, fusions=["concat"], seeds=[0], say=quiet)
    bench_fusions(plan, say=quiet)
    use_dataset(monkeypatch, toy_dataset({"train": 6, "val": 3, "test": 4}))
    for row in bench_fusions(plan, say=quiet)["rows"]:
        assert row["error"] == "the test split is not the one that this run was trained on; choose another --out"


def test_a_recipe_that_trains_backbones_alone_first_shares_them_among_rows(monkeypatch, tmp_path):
    use_dataset(monkeypatch, toy_dataset())
    experiment = toy_experiment(
        tmp_path, streams=("audio", "visual"), dropout=0.3, train={"epochs": 1}, pretrain={"epochs": 1, "batch_size": 4}
    )
    plan = plan_of(experiment, fusions=["concat", "toy-sum"], seeds=[0], say=quiet)
    bench_fusions(plan, say=quiet)
    assert len(list(tmp_path.glob("toy-*/seed0"))) == 2
    one, other = (load_file(plan.place(own, 0) / "model" / "model.safetensors") for own in plan.candidates[:2])
    assert all(torch.equal(one[name], other[name]) for name in one if name.startswith("backbones."))


def test_a_recipes_own_fusion_keeps_its_config(make_plan, tmp_path):
    data = make_plan("concat").experiment.to_json()
    data["model"]["fusion"] = {"name": "concat", "config": {"dim": 4}}
    plan = plan_of(ExperimentConfig.parse({**data, "output": str(tmp_path)}), fusions=["concat", "toy-sum"], seeds=[0])
    configs = [plan.run(candidate, 0).model.fusion for candidate in plan.candidates]
    assert [fusion and fusion.config for fusion in configs] == [{"dim": 4}, {}, None, None]


def test_each_fusion_has_options_of_its_own(make_plan):
    affectzoo.register_fusion("toy-sum.two")(Sum)
    experiment = make_plan("concat").experiment
    options = ["fusions.toy-sum.two.leader=gaze", "fusions.toy-sum.two.heads=2", "fusions.toy-sum.dims.deep=[3]"]
    plan = plan_of(experiment, fusions=["concat", "toy-sum", "toy-sum.two"], options=options, say=quiet)
    configs = {name: component.config for name, component in plan.fusions.items()}
    assert configs == {"concat": {}, "toy-sum": {"dims": {"deep": [3]}}, "toy-sum.two": {"leader": "gaze", "heads": 2}}
    for wrong in ("fusions.toy-su.leader=gaze", "fusions.toy-sum=gaze"):
        with pytest.raises(ConfigError, match=f"{wrong} is an option of no fusion that takes part"):
            plan_of(experiment, fusions=["toy-sum"], options=[wrong], say=quiet)
    plan = plan_of(experiment, fusions=["concat"], options=["fusions.concat.dim=4"], seeds=[0], say=quiet)
    assert bench_fusions(plan, say=quiet)["rows"][0]["parameters"]["fusion"] > 0


def test_a_dataset_by_name_is_encoded_once_with_its_own_options(source, tmp_path):
    affectzoo.register_dataset("toy-corpus")(toy_corpus())
    given = [f"init={source[0]}", "train.lr=0.2", "data.config.task=read"]
    said: list[str] = []
    for _ in range(2):
        experiment = experiment_of("toy-corpus", given, tmp_path, epochs=3, say=said.append)
        assert experiment.data == DataConfig(name="features", config={"folder": str(tmp_path / "features")})
        assert (experiment.train.lr, experiment.train.epochs, experiment.train.window_hop) == (0.2, 3, 1)
    assert json.loads((tmp_path / "features" / "store.json").read_text())["data"]["config"]["task"] == "read"
    assert said == [f"features of toy-corpus from the backbones of {source[0]}: {tmp_path / 'features'}"] * 2


@pytest.mark.parametrize(
    ("fusions", "options", "error", "words"),
    [
        (["concatt"], {}, UnknownNameError, "Did you mean 'concat'"),
        (["concat", "concat"], {}, ConfigError, "the fusion concat is given twice"),
        (["concat"], {"seeds": (1, 1)}, ConfigError, "the seed 1 is given twice"),
        ([], {}, ConfigError, "there is no fusion to compare"),
        (["concat"], {"overrides": ("model.fusion=concat",)}, ConfigError, "use --fusions"),
        (["concat"], {"overrides": ("model.fusion.dim=3",)}, ConfigError, "use --fusions"),
        (["concat"], {"overrides": ("seed=3",)}, ConfigError, "use --seeds"),
        (["concat"], {"overrides": ("output=elsewhere",)}, ConfigError, "use --out"),
        (["concat"], {"overrides": ("model.streams.audio=null",)}, ConfigError, "one modality needs no fusion"),
        (["concat"], {"overrides": ("train.window_hop=9",)}, ConfigError, "longer than a window"),
        (["concat"], {"overrides": ("train.epoch=9",)}, ConfigError, "train.epoch"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_trained(make_plan, fusions, options, error, words, tmp_path):
    with pytest.raises(error, match=words):
        make_plan(*fusions, **options)
    assert not (tmp_path / "bench").exists()


def test_a_store_needs_the_backbones_that_made_it(source, tmp_path):
    run, store = source
    with pytest.raises(ConfigError, match="say whose they are, init=MODEL"):
        experiment_of(str(store), [], tmp_path)
    other = toy_experiment(tmp_path / "other", streams=("audio", "visual"), dropout=0.3).model
    torch.manual_seed(99)
    affectzoo.AffectModel(other).save_pretrained(tmp_path / "model")
    with pytest.raises(AffectzooError, match="come from other weights"):
        experiment_of(str(store), [f"init={tmp_path / 'model'}"], tmp_path)
    affectzoo.register_dataset("toy-corpus")(toy_corpus())
    with pytest.raises(ConfigError, match=r"which backbones encode toy-corpus\? say init=MODEL"):
        experiment_of("toy-corpus", [], tmp_path)
    with pytest.raises(UnknownNameError, match="Did you mean 'rendered'"):
        experiment_of("renderd", [f"init={run}"], tmp_path)


def test_one_modality_is_no_fusion(tmp_path):
    with pytest.raises(ConfigError, match="two modalities at least; here is audio alone"):
        plan_of(toy_experiment(tmp_path), fusions=["concat"])
