"""The table, the CSV and the plot of a comparison whose numbers are known."""

from __future__ import annotations

import csv
import io
from itertools import pairwise
from typing import Any

import pytest
import torch
from PIL import Image

from affectzoo.bench import quality
from affectzoo.bench.plot import plot_bench, spread_out
from affectzoo.bench.quality import Answers, difference, metrics_of
from affectzoo.bench.table import columns_of, failure_of, reading, to_csv, to_markdown
from affectzoo.config import TargetConfig
from affectzoo.errors import DataError

VALENCE = TargetConfig.parse("valence")
LEVELS = TargetConfig.parse({"name": "mood", "kind": "categorical", "classes": ["a", "b"]})


def row(name: str, kind: str = "fusion", **found: Any) -> dict[str, Any]:
    empty = {"error": "", "metrics": None, "difference": None, "parameters": None, "ms_per_step": None, "conditions": {}}
    failed = {"error": found["error"]} if "error" in found else {}
    return {"kind": kind, "name": name, "runs": [{"seed": seed, **failed} for seed in (0, 1)], **empty, **found}


@pytest.fixture
def summary() -> dict[str, Any]:
    """Two fusions, one of which failed, and a modality alone with one seed's number."""

    def metrics(mean: float, sd: float | None) -> dict[str, Any]:
        return {name: {"mean": mean, "sd": sd, "seeds": 2} for name in ("ccc.valence", "ccc.arousal", "score")}

    gain = {"mean": -0.25, "sd": None, "low": -0.5, "high": 0.125, "seeds": 1}
    return {
        "source": "rendered",
        "experiment": {"data": {"name": "features", "config": {"folder": "a"}}, "train": {"batch_size": 32}},
        "conditions": {},
        "looked_at": [{"name": "features", "config": {"folder": "a"}}],
        "baseline": "concat",
        "seeds": [0, 1],
        "split": "test",
        "subjects": 8,
        "level": 0.95,
        "draws": 1000,
        "device": "cpu",
        "rows": [
            row("concat", metrics=metrics(0.5, 0.1), parameters={"fusion": 0, "trained": 26}, ms_per_step=1.0),
            row("a|b", error="it rained | hard"),
            row(
                "visual",
                kind="alone",
                metrics=metrics(0.25, None),
                difference=gain,
                parameters={"fusion": 1234, "trained": 5678},
                ms_per_step=0.504,
            ),
        ],
    }


def test_the_table_holds_the_numbers_and_a_failed_row_its_error(summary):
    header, rows = columns_of(summary)
    assert header[:4] == ["fusion", "ccc.valence", "ccc.arousal", "mean"]
    assert header[4:] == ["- concat", "95% interval", "parameters", "ms/step", "error"]
    assert rows[0] == ["concat", *["0.500 (0.100)"] * 3, "-", "-", "0", "1.00", ""]
    assert rows[1] == ["a|b", *["-"] * 7, "it rained | hard"]
    assert rows[2] == ["visual alone", *["0.250"] * 3, "-0.250", "[-0.500, +0.125]", "1,234", "0.50", ""]
    short, few = columns_of(summary, short=True)
    assert short == ["fusion", "mean", "- concat", "95% interval", "parameters", "ms/step"]
    assert few[2] == ["visual alone", "0.250", "-0.250", "[-0.500, +0.125]", "1,234", "0.50"]
    text = to_markdown(summary)
    assert "| a\\|b | - |" in text
    assert all(line.replace("\\|", "").count("|") == len(header) + 1 for line in text.splitlines() if line.startswith("|"))


def test_the_reader_is_told_what_the_test_split_was_used_for(summary):
    assert "On rendered; mean (sd) over the seeds 0, 1." in reading(summary)
    assert "test split (8 subjects)" in reading(summary)
    assert "nothing was chosen on the test split" in reading(summary)
    assert "these numbers flatter" in reading({**summary, "split": "val"})
    failed = {**summary, "rows": [row("concat", error="it rained")]}
    assert reading({**failed, "split": None}) == "On rendered; mean (sd) over the seeds 0, 1."
    assert "intervals by bootstrap over subjects and seeds (1000 draws); of 8 subjects they are too narrow." in reading(summary)
    assert "too narrow" not in reading({**summary, "subjects": 20})
    assert "seed 0 alone, which may be luck" in reading({**summary, "seeds": [0]})


@pytest.fixture
def degraded(summary) -> dict[str, Any]:
    """The same, with the test split once more under noise, where `visual` has no score."""
    data = {"name": "features", "config": {"folder": "b"}}
    score = {name: {"mean": 0.125, "sd": 0.01, "seeds": 2} for name in ("ccc.valence", "ccc.arousal", "score")}
    gain = {"mean": 0.0625, "sd": 0.5, "low": -0.25, "high": 0.375, "seeds": 2}
    summary["rows"][0]["conditions"] = {"noisy": {"metrics": score, "difference": None}}
    summary["rows"][1]["conditions"] = {"noisy": {"metrics": score, "difference": gain}}
    summary["rows"][2]["conditions"] = {"noisy": {"metrics": None, "difference": None}}
    conditions = {"noisy": {"options": ["folder=b"], "data": data}}
    return {**summary, "conditions": conditions, "looked_at": [*summary["looked_at"], data]}


def test_a_condition_is_a_column_with_its_difference(degraded, tmp_path):
    header, rows = columns_of(degraded)
    assert header[6:11] == ["noisy", "noisy - concat", "95% interval", "parameters", "ms/step"]
    assert [row[6:9] for row in rows] == [
        ["0.125 (0.010)", "-", "-"],
        ["0.125 (0.010)", "+0.062 (0.500)", "[-0.250, +0.375]"],
        ["-", "-", "-"],
    ]
    assert columns_of(degraded, short=True)[0][4:7] == ["noisy", "noisy - concat", "95% interval"]
    found = list(csv.DictReader(io.StringIO(to_csv(degraded))))
    assert (found[0]["score.mean"], found[0]["noisy:score.mean"], found[0]["noisy:difference.mean"]) == ("0.5", "0.125", "")
    assert (found[1]["noisy:ccc.valence.sd"], found[1]["noisy:difference.high"]) == ("0.01", "0.375")
    assert (found[2]["difference.low"], found[2]["noisy:score.mean"]) == ("-0.5", "")
    plain = plot_bench({**degraded, "conditions": {}}, tmp_path / "plain.png")
    noisy = plot_bench(degraded, tmp_path / "noisy.png")
    assert plain is not None
    assert noisy is not None
    assert plain.read_bytes() != noisy.read_bytes()


def test_the_reader_is_told_how_often_the_test_split_was_read(degraded):
    assert "other options of the same test split, for the same models (noisy: folder=b)." in reading(degraded)
    assert "The test split was read 2 times" in reading(degraded)
    assert "2 looks at the same people" in reading(degraded)
    # Left out of this table, it was looked at all the same.
    assert "2 looks at the same people" in reading({**degraded, "conditions": {}})
    assert "looks" not in reading({**degraded, "conditions": {}, "looked_at": degraded["looked_at"][:1]})


def test_the_reader_is_told_what_a_row_is_whose_name_does_not_say_it(summary):
    summary["rows"][0] |= {"fusion": "concat", "options": {"dim": 4}}
    summary["rows"][1] |= {"fusion": "joint-cross-attention", "options": {"iterations": 2, "dim": 8}}
    assert "concat has dim=4. a|b is joint-cross-attention with iterations=2, dim=8." in reading(summary)


def test_a_row_that_failed_in_part_says_where(summary):
    said = {"error": "it rained"}
    own = row("a", runs=[{"seed": 0}, {"seed": 1, **said}], **said)
    assert failure_of(own, summary) == "seed 1: it rained"
    own["runs"][0] |= said
    assert failure_of(own, summary) == "it rained"
    assert failure_of(summary["rows"][0], summary) == ""


def test_the_csv_holds_the_same_in_full(summary):
    rows = list(csv.DictReader(io.StringIO(to_csv(summary))))
    assert [own["name"] for own in rows] == ["concat", "a|b", "visual"]
    assert (rows[0]["ccc.valence.mean"], rows[0]["score.sd"], rows[0]["difference.mean"]) == ("0.5", "0.1", "")
    assert (rows[1]["score.mean"], rows[1]["error"]) == ("", "it rained | hard")
    assert (rows[2]["difference.low"], rows[2]["difference.high"], rows[2]["ms_per_step"]) == ("-0.5", "0.125", "0.504")
    assert (rows[2]["fusion_parameters"], rows[2]["trained_parameters"], rows[2]["baseline"]) == ("1234", "5678", "concat")


def test_the_plot_is_drawn_where_there_is_a_point(summary, tmp_path):
    path = plot_bench(summary, tmp_path / "fusions.png")
    assert path is not None
    assert Image.open(path).size == (1260, 720)
    failed = {**summary, "rows": [row("concat", error="it rained")]}
    assert plot_bench(failed, tmp_path / "none.png") is None
    assert not (tmp_path / "none.png").exists()


def test_names_beside_the_plot_keep_their_order_and_distance():
    placed = spread_out([0.1, 0.11, 0.12, 0.9], 0.05)
    assert all(after - before >= 0.05 - 1e-9 for before, after in pairwise(placed))
    assert sum(placed) == pytest.approx(0.1 + 0.11 + 0.12 + 0.9)


def answers(prediction: list[float], label: list[float], subjects: str) -> Answers:
    x, y = (torch.tensor(values, dtype=torch.float64)[:, None] for values in (prediction, label))
    return Answers(x, y, list(subjects))


def test_differences_by_hand():
    label = [0.0, 1.0, 0.0, 1.0]
    perfect = answers(label, label, "aabb")
    # Population moments: covariance and variances 1/4, means apart by 1: 2/4 / (1/4 + 1/4 + 1) = 1/3.
    moved = answers([1.0, 2.0, 1.0, 2.0], label, "aabb")
    assert metrics_of(moved, [VALENCE]) == pytest.approx({"ccc.valence": 1 / 3, "score": 1 / 3})
    found = difference([(perfect, moved), (moved, moved)], [VALENCE])
    assert found["mean"] == pytest.approx(1 / 3)
    assert found["sd"] == pytest.approx(2**0.5 / 3)  # of 2/3 and 0
    # Both people are alike: whoever is drawn, the difference is that of the drawn seeds.
    assert (found["low"], found["high"]) == pytest.approx((0, 2 / 3))
    one = difference([(perfect, moved)], [VALENCE])
    assert (one["low"], one["high"]) == pytest.approx((2 / 3, 2 / 3))


def test_the_interval_knows_of_the_spread_over_seeds():
    label = [0.0, 1.0, 2.0] * 4
    draws = torch.Generator().manual_seed(1)
    noisy = [(torch.tensor(label) + torch.randn(12, generator=draws)).tolist() for _ in range(6)]
    pairs = [(answers(own, label, "aaabbbcccddd"), answers(label, label, "aaabbbcccddd")) for own in noisy]
    gains = [difference([pair], [VALENCE])["mean"] for pair in pairs]
    found = difference(pairs, [VALENCE])
    middle = sum(gains) / len(gains)
    error = (sum((gain - middle) ** 2 for gain in gains) / len(gains) ** 2) ** 0.5  # that of a mean of drawn seeds
    assert found["low"] < middle - error < middle + error < found["high"]


def test_the_interval_is_paired_by_subject():
    label = [0.0, 1.0, 2.0] * 4
    worse = [x + 0.1 * (k // 3) for k, x in enumerate(label)]
    own, other = (answers(values, label, "aaabbbcccddd") for values in (worse, [x + 1e-3 for x in worse]))
    found = difference([(own, other)], [VALENCE])
    alone = quality.confidence_interval(lambda chosen: metrics_of(own, [VALENCE], chosen)["score"], own.subjects)
    assert found["high"] - found["low"] < 0.1 * (alone[1] - alone[0])  # people differ much, the two rows little


def test_classes_are_scored_by_their_recall():
    label = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    chosen = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]], dtype=torch.float64)
    assert metrics_of(Answers(chosen, label, list("abcd")), [LEVELS]) == {"uar.mood": 0.75, "score": 0.75}


def test_runs_of_other_examples_are_not_compared():
    one, other = answers([0.0, 1.0], [0.0, 1.0], "ab"), answers([0.0, 1.0], [0.0, 1.0], "ac")
    with pytest.raises(DataError, match="scored on other examples"):
        difference([(one, other)], [VALENCE])
