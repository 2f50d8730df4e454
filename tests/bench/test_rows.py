"""Names of rows: one fusion is one row, and with another name two."""

from __future__ import annotations

import json

import pytest

from affectzoo.bench.fusion import bench_fusions
from affectzoo.bench.plan import plan_of
from affectzoo.bench.rows import Candidate, components, rows_of
from affectzoo.config import ComponentConfig
from affectzoo.errors import ConfigError, UnknownNameError
from tests.bench.conftest import quiet


def test_one_fusion_under_two_names_is_two_rows_with_options_of_their_own(make_plan):
    experiment = make_plan("concat").experiment
    given, options = ["concat", "wide=concat", "toy-sum"], ["fusions.wide.dim=4"]
    plan = plan_of(experiment, fusions=given, options=options, seeds=[0], say=quiet)
    summary = bench_fusions(plan, say=quiet)
    rows = {row["name"]: row for row in summary["rows"]}
    assert list(rows) == ["concat", "wide", "toy-sum", "audio", "visual"]
    assert not any(row["error"] for row in rows.values())
    assert (rows["wide"]["fusion"], rows["wide"]["options"]) == ("concat", {"dim": 4})
    assert rows["wide"]["parameters"]["fusion"] > rows["concat"]["parameters"]["fusion"] == 0
    assert rows["wide"]["difference"]["seeds"] == 1
    run = json.loads((plan.place(Candidate("fusion", "wide"), 0) / "experiment.json").read_text())
    assert run["model"]["fusion"] == {"name": "concat", "distribution": None, "version": None, "config": {"dim": 4}}


def test_a_distribution_before_a_name_makes_no_second_row():
    assert rows_of(["affectzoo-fusion/concat", "c2=affectzoo-fusion/concat"]) == {"concat": "concat", "c2": "concat"}
    with pytest.raises(ConfigError, match="the fusion concat is given twice; give it once, or a second row another name"):
        rows_of(["concat", "affectzoo-fusion/concat"])


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ("=concat", ConfigError, "a row is called by letters"),
        ("a/b=concat", ConfigError, "a row is called by letters"),
        ("../up=concat", ConfigError, "a row is called by letters"),
        ("toy-sum=concat", ConfigError, "toy-sum is a fusion itself"),
        ("mine=concatt", UnknownNameError, "Did you mean 'concat'"),
        ("mine=", UnknownNameError, "no fusion is called ''"),
    ],
)
def test_a_row_that_cannot_be_is_refused(given, error, words):
    with pytest.raises(error, match=words):
        rows_of([given])


def test_an_experiments_own_fusion_is_the_row_of_that_name():
    own = ComponentConfig(name="affectzoo-fusion/concat", config={"dim": 4})
    found = components(own, {"concat": "concat", "two": "concat"}, ["fusions.two.dim=8"])
    assert {row: (part.name, part.config) for row, part in found.items()} == {
        "concat": ("concat", {"dim": 4}),
        "two": ("concat", {"dim": 8}),
    }
