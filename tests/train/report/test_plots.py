"""Which pictures a report has, and which videos are drawn."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from affectzoo.train.evaluate import SplitPredictions
from affectzoo.train.report.plots import chosen_videos, plot_report
from tests.train.report.test_report import EMOTION, make_report

#: Of one person, whose values have no intervals, and of several.
GROUPED = {"by": ("sex", "$a_$"), "columns": [{"sex": sex, "$a_$": "$x"} for sex in ("f", "f", "m", "m")]}


def drawn(report, folder) -> set[str]:
    written = plot_report(report, folder)
    for path in written:
        with Image.open(path) as image:
            # Drawn on: neither blank nor one colour.
            assert len(image.convert("L").getcolors() or []) > 10
    assert {path.name for path in folder.iterdir()} == {path.name for path in written}
    return {path.stem for path in written}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, {"videos", "scatter", "residuals"}),
        ({"targets": ("bdi-ii",), "pool": "median"}, {"scatter", "residuals"}),
        ({"targets": (EMOTION,)}, {"confusion", "reliability"}),
        ({"targets": ("valence", EMOTION)}, {"videos", "scatter", "residuals", "confusion", "reliability"}),
        ({"targets": (EMOTION,), "pool": "mean", **GROUPED}, {"confusion", "reliability", "by"}),
        ({"targets": ("bdi-ii",), "pool": "mean", **GROUPED}, {"scatter", "residuals", "by"}),
    ],
)
def test_each_kind_of_model_has_its_pictures(tmp_path, options, names):
    assert drawn(make_report(**options), tmp_path) == names


def test_the_best_the_median_and_the_worst_are_by_ccc():
    report = make_report()
    rated = {
        row: sum(video["metrics"][name]["ccc"] for name in ("valence", "arousal")) / 2
        for row, video in enumerate(report.results["per_video"])
    }
    chosen = chosen_videos(report)
    order = sorted(rated, key=rated.__getitem__)
    assert (chosen["worst"][0], chosen["best"][0]) == (order[0], order[-1])
    assert chosen["median"][0] in order[1:-1]
    assert all(value == pytest.approx(rated[row]) for row, value in chosen.values())


def test_videos_without_a_ccc_do_not_count(tmp_path):
    def hide(steps: SplitPredictions) -> SplitPredictions:
        return SplitPredictions(**{**steps.__dict__, "valid": steps.valid & (steps.row > 1)})

    report = make_report(change=hide)
    assert chosen_videos(report) == {}
    assert "videos" not in drawn(report, tmp_path)


def test_names_that_look_like_formulas_and_a_lonely_label_are_drawn(tmp_path):
    def sparse(steps: SplitPredictions) -> SplitPredictions:
        return SplitPredictions(**{**steps.__dict__, "valid": steps.valid & (steps.step % 2 == 0)})

    names = ["$x", "a_$b$", "c" * 80, "d"]
    report = make_report(clip_ids=names, model="$model", change=sparse, post_processing=("one thing", "another " * 20))
    assert "videos" in drawn(report, tmp_path)


def test_a_constant_prediction_has_a_scatter(tmp_path):
    def constant(steps: SplitPredictions) -> SplitPredictions:
        return SplitPredictions(
            **{**steps.__dict__, "prediction": torch.zeros_like(steps.prediction), "label": 0 * steps.label}
        )

    assert drawn(make_report(change=constant), tmp_path) == {"scatter", "residuals"}
