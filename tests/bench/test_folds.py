"""Fusions cross-validated by subject."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import affectzoo
from affectzoo.bench import fusion as bench
from affectzoo.bench.fusion import bench_fusions
from affectzoo.bench.plan import plan_of
from affectzoo.bench.table import failure_of, reading
from affectzoo.config import ExperimentConfig
from affectzoo.errors import ConfigError, DataError
from affectzoo.train.report.assess import assess
from tests.bench.conftest import lin, quiet
from tests.train.toys import toy_corpus, toy_experiment


def test_over_folds_everybody_is_scored_once_by_a_run_that_never_saw_them(tmp_path, monkeypatch):
    affectzoo.register_dataset("toy-corpus")(toy_corpus())
    experiment = toy_experiment(tmp_path, streams=("audio", "visual"), data={"name": "toy-corpus"}, train={"epochs": 1})
    plan = plan_of(experiment, fusions=["concat"], seeds=[0, 1], folds=2, say=quiet)
    real = bench.train

    def failing(own: ExperimentConfig, **options: Any) -> Any:
        if (own.name, own.seed) == ("alone/visual/fold-01", 1):
            raise DataError("it rained")
        return real(own, **options)

    monkeypatch.setattr(bench, "train", failing)
    summary = bench_fusions(plan, say=quiet)
    assert (summary["split"], summary["subjects"]) == ("test", 6)
    fused, audio, visual = summary["rows"]
    found = []
    for seed in plan.seeds:
        frames = []
        for run in [run for run in fused["runs"] if run["seed"] == seed]:
            fold = plan.folds[run["fold"]]
            seen = json.loads((plan.folder / run["run"] / "trained_on.json").read_text())["toy-corpus"]
            frame = assess(
                str(plan.folder / run["run"]), plan.run(plan.candidates[0], seed, fold).data, split="test"
            ).to_frame()
            assert seen
            assert not set(frame["subject"]) & set(seen)
            frames.append(frame[frame["valid"]])
        assert sorted(subject for frame in frames for subject in set(frame["subject"])) == list("abcdef")
        x, y = (np.concatenate([frame[f"{what}.valence"] for frame in frames]) for what in ("predicted", "label"))
        found.append(lin(x, y))
    assert fused["metrics"]["ccc.valence"]["mean"] == pytest.approx(np.mean(found), abs=1e-6)
    assert audio["difference"]["seeds"] == 2
    # Of seed 1 half the people are missing: it counts for nothing, and the row says so.
    assert (visual["metrics"]["score"]["seeds"], visual["difference"]["seeds"]) == (1, 1)
    assert failure_of(visual, summary) == "seed 1: it rained"
    assert "Cross-validated over 2 folds by subject (6 subjects)" in reading(summary)
    with pytest.raises(ConfigError, match=r"another comparison: fold\.folds is 3, and was 2 .* choose another --out$"):
        bench_fusions(plan_of(experiment, fusions=["concat"], folds=3, say=quiet), say=quiet)


def test_folds_that_cannot_be_made_are_refused(make_plan, tmp_path):
    with pytest.raises(ConfigError, match="has no option fold"):  # a store has the splits that it was made with
        plan_of(make_plan("concat").experiment, fusions=["concat"], folds=2, say=quiet)
    affectzoo.register_dataset("toy-corpus")(toy_corpus())
    experiment = toy_experiment(tmp_path, streams=("audio", "visual"), data={"name": "toy-corpus"})
    with pytest.raises(DataError, match="6 subjects cannot be divided into 9 folds"):
        plan_of(experiment, fusions=["concat"], folds=9, say=quiet)
