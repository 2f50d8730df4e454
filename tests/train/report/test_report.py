"""What a report says is what the metrics say, of everything at once, each video and each subject."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from affectzoo.config import DataConfig, TargetConfig, target_columns
from affectzoo.objectives.metrics import CLASS_METRICS, REGRESSION_METRICS, ccc
from affectzoo.train.evaluate import SplitPredictions, by_recording
from affectzoo.train.report.report import Report

STEPS, CLIPS = 6, 4
EMOTION = TargetConfig.parse({"name": "emotion", "kind": "categorical", "classes": ["calm", "happy", "sad"]})


def make_report(targets: tuple[Any, ...] = ("valence", "arousal"), pool: str | None = None, **changes: Any) -> Report:
    """A report on four clips of six steps of two subjects; the last step of each has no label."""
    parsed = tuple(TargetConfig.parse(target) if isinstance(target, str) else target for target in targets)
    draws = np.random.default_rng(0)
    label = torch.from_numpy(draws.uniform(-0.9, 0.9, (CLIPS * STEPS, sum(len(t.columns) for t in parsed))))
    step = torch.arange(STEPS).repeat(CLIPS)
    prediction = label + torch.from_numpy(draws.normal(0.1, 0.2, label.shape))
    for target, columns in target_columns(parsed).items():
        if next(one for one in parsed if one.name == target).kind == "categorical":
            prediction[:, columns] = prediction[:, columns].softmax(-1)
            label[:, columns] = torch.eye(columns.stop - columns.start, dtype=label.dtype)[label[:, columns].argmax(-1)]
    steps = SplitPredictions(
        prediction=prediction,
        label=label,
        valid=step < STEPS - 1,
        present=torch.ones(len(step), dtype=torch.bool),
        row=torch.arange(CLIPS).repeat_interleave(STEPS),
        step=step,
    )
    steps = changes.pop("change", lambda steps: steps)(steps)
    fields: dict[str, Any] = {
        "model": "mine",
        "source": "mine",
        "revision": "",
        "data": DataConfig(name="rendered", config={"seed": 3}),
        "split": "test",
        "targets": parsed,
        "pool": pool,
        "post_processing": (),
        "steps": steps,
        "times_s": step.numpy() + 0.5,
        "recordings": None if pool is None else by_recording(steps, pool),
        "clip_ids": [f"clip{row}" for row in range(CLIPS)],
        "subjects": ["anna", "anna", "ben", "ben"],
    }
    return Report(**{**fields, **changes})


def test_metrics_are_of_all_valid_steps_at_once_and_videos_are_named_so():
    report = make_report()
    results, valid = report.results, report.steps.valid
    assert list(results["metrics"]) == ["valence", "arousal"]
    for k, target in enumerate(("valence", "arousal")):
        x, y = report.steps.prediction[:, k : k + 1], report.steps.label[:, k : k + 1]
        for name, metric in REGRESSION_METRICS.items():
            assert results["metrics"][target][name]["value"] == pytest.approx(float(metric(x, y, valid)))
        own = [float(ccc(x[i : i + 5], y[i : i + 5])) for i in range(0, CLIPS * STEPS, STEPS)]
        assert [video["metrics"][target]["ccc"] for video in results["per_video"]] == pytest.approx(own)
        assert results["mean_over_videos"][target]["ccc"] == {"value": pytest.approx(np.mean(own)), "videos": CLIPS}
    both = [results["metrics"][target]["ccc"]["value"] for target in ("valence", "arousal")]
    assert results["mean_ccc"]["value"] == pytest.approx(np.mean(both))
    assert (results["clips"], results["subjects"], results["steps"], results["valid_steps"]) == (4, 2, 24, 20)
    assert [video["n"] for video in results["per_video"]] == [5, 5, 5, 5]


def test_a_subject_is_all_of_its_videos():
    report = make_report()
    anna, ben = report.results["per_subject"]
    assert (anna["subject"], anna["n"], ben["subject"], ben["n"]) == ("anna", 10, "ben", 10)
    steps = report.steps.at(report.steps.valid & (report.steps.row < 2))
    assert anna["metrics"]["valence"]["ccc"] == pytest.approx(float(ccc(steps.prediction, steps.label)[0]))


def test_intervals_are_by_subject_and_hold_the_value():
    results = make_report().results
    assert results["intervals"]["by"] == "subject"
    mae = results["metrics"]["valence"]["mae"]
    own = sorted(one["metrics"]["valence"]["mae"] for one in results["per_subject"])
    # Of two subjects of one size a draw is one twice, the other twice, or both.
    assert (mae["low"], mae["high"]) == pytest.approx(own)
    assert mae["low"] < mae["value"] < mae["high"]


def test_one_subject_has_no_interval_and_the_report_says_why():
    results = make_report(subjects=["anna"] * CLIPS).results
    assert results["intervals"] == {"by": None, "why": "an interval by subject needs at least two subjects with valid labels"}
    assert results["metrics"]["valence"]["ccc"]["low"] is None
    assert results["metrics"]["valence"]["ccc"]["value"] is not None


def test_what_is_not_a_number_is_null(tmp_path):
    def constant(steps: SplitPredictions) -> SplitPredictions:
        values = torch.zeros_like(steps.label)
        return SplitPredictions(**{**steps.__dict__, "label": values, "prediction": values})

    report = make_report(change=constant)
    written, _ = report.write(tmp_path)
    saved = json.loads(written.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert saved["metrics"]["valence"]["ccc"]["value"] is None
    assert saved["metrics"]["valence"]["mae"]["value"] == 0
    assert saved["mean_over_videos"]["valence"]["ccc"] == {"value": None, "videos": 0}


def test_a_video_without_a_valid_label_has_no_metrics():
    def hide(steps: SplitPredictions) -> SplitPredictions:
        return SplitPredictions(**{**steps.__dict__, "valid": steps.valid & (steps.row != 1)})

    results = make_report(change=hide).results
    assert results["per_video"][1] == {
        "clip_id": "clip1",
        "subject": "anna",
        "n": 0,
        "metrics": {name: dict.fromkeys(("ccc", "mae", "rmse")) for name in ("valence", "arousal")},
    }
    assert results["mean_over_videos"]["valence"]["mae"]["videos"] == 3


def test_a_report_of_recordings_has_their_scores_first_and_steps_besides():
    report = make_report(("bdi-ii",), pool="median")
    results = report.results
    assert results["predictions_of"] == "recordings (median of their sub-sequences)"
    steps = report.steps.at(report.steps.valid)
    pooled = [float(x.quantile(0.5)) for x in steps.prediction[:, 0].split(5)]
    labels = [float(x.quantile(0.5)) for x in steps.label[:, 0].split(5)]
    assert [video["score"]["bdi-ii"] for video in results["per_video"]] == pytest.approx(pooled)
    assert [video["label"]["bdi-ii"] for video in results["per_video"]] == pytest.approx(labels)
    mae = np.abs(np.subtract(pooled, labels)).mean()
    assert results["metrics"]["bdi-ii"]["mae"]["value"] == pytest.approx(mae)
    of_steps = float((steps.prediction - steps.label).abs().mean())
    assert results["metrics_of_steps"]["bdi-ii"]["mae"]["value"] == pytest.approx(of_steps)
    assert [subject["n"] for subject in results["per_subject"]] == [2, 2]


def test_classes_have_recall_and_f1_and_no_ccc():
    report = make_report((EMOTION,))
    steps = report.steps.at(report.steps.valid)
    found = report.results["metrics"]["emotion"]
    assert list(found) == ["uar", "accuracy", "f1", "ece", "nll"]
    assert report.results["classes"]["emotion"]["metrics"] == found
    for name, metric in CLASS_METRICS.items():
        assert found[name]["value"] == pytest.approx(float(metric(steps.prediction, steps.label, None)))
    assert "mean_ccc" not in report.results


def test_a_target_may_be_called_mean():
    mean = TargetConfig.parse({"name": "mean"})
    results = make_report((mean, "valence")).results
    assert set(results["metrics"]) == {"mean", "valence"}
    assert set(results["metrics"]["mean"]) == set(REGRESSION_METRICS)


def test_the_table_of_predictions_has_a_named_row_for_each_step(tmp_path):
    report = make_report(("valence", EMOTION))
    _, path, confusion = report.write(tmp_path)
    assert confusion.name == "confusion.emotion.csv"
    frame = pd.read_csv(path)
    columns = ["valence", "emotion.calm", "emotion.happy", "emotion.sad"]
    pairs = [f"{word}.{column}" for column in columns for word in ("predicted", "label")]
    assert list(frame.columns) == ["clip_id", "subject", "time_s", "valid", "present", *pairs]
    assert len(frame) == CLIPS * STEPS
    assert frame["clip_id"].tolist() == [f"clip{row}" for row in range(CLIPS) for _ in range(STEPS)]
    assert frame["label.valence"].isna().eq(~frame["valid"]).all()
    assert frame["predicted.valence"].tolist() == pytest.approx(
        report.steps.prediction[:, 0].tolist(), abs=1e-6
    )  # six decimals


def test_post_processing_is_named_wherever_numbers_are():
    report = make_report(post_processing=("predictions clipped to their range",))
    assert report.title == "mine on rendered, split test; predictions clipped to their range"
    assert report.results["post_processing"] == ["predictions clipped to their range"]
    assert report.to_frame()["post_processing"].eq("predictions clipped to their range").all()


def test_tables_of_classes_are_of_what_is_scored(tmp_path):
    report = make_report((EMOTION,), pool="mean")
    found = report.results["classes"]["emotion"]
    assert (found["of"], found["n"]) == ("recordings", CLIPS)
    confusion = pd.read_csv(report.write(tmp_path)[2])
    assert confusion["labelled"].tolist() == ["calm", "happy", "sad"]
    assert confusion.drop(columns="labelled").to_numpy().tolist() == found["confusion"]
    assert sum(one["n"] for one in found["recall"].values()) == CLIPS
    assert make_report((EMOTION,)).results["classes"]["emotion"]["n"] == 20


def test_groups_are_in_the_report_and_in_a_table(tmp_path):
    columns = [{"sex": sex} for sex in ("f", "f", "m", "m")]
    report = make_report(("valence", EMOTION), by=("sex",), columns=columns)
    told = report.results["by"]["columns"]["sex"]
    assert [(group["value"], group["n"], group["clips"], group["subjects"]) for group in told["groups"]] == [
        ("f", 10, 2, 1),
        ("m", 10, 2, 1),
    ]
    women = report.steps.at(report.steps.valid & (report.steps.row < 2))
    value = float(ccc(women.prediction[:, :1], women.label[:, :1]))
    assert told["groups"][0]["metrics"]["valence"]["ccc"]["value"] == pytest.approx(value)
    frame = pd.read_csv(next(path for path in report.write(tmp_path) if path.name == "by.csv"))
    row = frame[(frame["group"] == "f") & (frame["target"] == "valence") & (frame["metric"] == "ccc")]
    assert row["value"].item() == pytest.approx(value, abs=1e-6)  # six decimals
    assert set(frame["metric"][frame["target"] == "emotion"]) == {"uar", "accuracy", "f1", "ece", "nll"}


def test_the_score_that_a_look_notes_is_the_first_metric_of_each_target():
    report = make_report(("valence", EMOTION))
    metrics = report.results["metrics"]
    assert report.score == {
        "ccc.valence": metrics["valence"]["ccc"]["value"],
        "uar.emotion": metrics["emotion"]["uar"]["value"],
    }
