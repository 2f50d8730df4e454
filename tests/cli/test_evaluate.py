"""`affectzoo evaluate`: the table, the files it writes, and what it refuses in one sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

import affectzoo
from affectzoo.objectives.metrics import ccc

_BACKBONE = {"frames": 2, "image_size": 32, "model_args": {"channels": [4, 4, 8, 8], "stem_width": 4}}


@pytest.fixture(scope="session")
def options(tmp_path_factory) -> list[str]:
    """Options of a rendered dataset of three little clips of three people."""
    cache = tmp_path_factory.mktemp("cache")
    return ["identities={train: 1, val: 1, test: 3}", "clips_per_identity=1", "duration_s=2.5", f"cache_dir={cache}"]


@pytest.fixture(scope="session")
def severity_model(tmp_path_factory) -> Path:
    """The folder of an untrained model that scores recordings."""
    torch.manual_seed(0)
    model = affectzoo.create_model(
        visual={"backbone": {"name": "timm/resnet10t", "config": _BACKBONE}},
        targets=[{"name": "severity", "low": 0, "high": 10}],
        sequence={"seconds": 0.5, "length": 1},
        head={"hidden": None, "pool": "median"},
    )
    return model.save_pretrained(tmp_path_factory.mktemp("model") / "severity")


def test_one_table_a_report_predictions_and_plots(affect, tiny_model, options, tmp_path):
    outcome = affect("evaluate", tiny_model, "rendered", *options, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    names = {"report.json", "predictions.csv", "videos.png", "scatter.png", "residuals.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    frame = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert (report["clips"], report["subjects"], report["steps"], len(frame)) == (3, 3, 15, 15)
    assert report["data"]["config"]["identities"] == {"train": 1, "val": 1, "test": 3}
    assert report["data"]["config"]["task"] == "affect"  # a default
    assert report["versions"] == {"affectzoo": affectzoo.__version__, "torch": torch.__version__}
    # Who reads the predictions finds the very metrics of the report: six decimals were written.
    values = [torch.tensor(frame[f"{word}.valence"].to_numpy())[:, None] for word in ("predicted", "label")]
    value = report["metrics"]["valence"]["ccc"]["value"]
    assert float(ccc(*values)) == pytest.approx(value, abs=1e-4)
    lines = outcome.out.splitlines()
    assert lines[0] == f"{tiny_model} on rendered, split test"
    row = next(line.split() for line in lines if line.startswith("valence"))
    assert row[:4] == ["valence", "steps", "ccc", f"{value:.3f}"]
    assert "videos  mean ccc (3)" in outcome.out
    assert lines[-3] == "3 videos of 3 subjects, 15 of 15 steps have a label that counts"
    assert lines[-2].endswith("intervals by bootstrap over subjects (1000 draws)")
    assert all(str(tmp_path / "out" / name) in lines[-1] for name in names)


def test_recordings_are_scored_first_and_steps_besides(affect, severity_model, options, tmp_path):
    outcome = affect("evaluate", severity_model, "rendered", "task=severity", *options, "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    kinds = [line.split()[1] for line in outcome.out.splitlines() if line.startswith("severity")]
    assert kinds == ["recordings"] * 6 + ["steps"] * 6
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "predictions.csv", "scatter.png", "residuals.png"}


def test_an_agreement_has_no_unit_and_an_error_has_that_of_its_target(affect, options, tmp_path):
    torch.manual_seed(0)
    affectzoo.create_model(
        visual={"backbone": {"name": "timm/resnet10t", "config": _BACKBONE}},
        targets=[{"name": "severity", "low": 0, "high": 10, "unit": "points"}],
        sequence={"seconds": 0.5, "length": 1},
    ).save_pretrained(tmp_path / "model")
    outcome = affect("evaluate", tmp_path / "model", "rendered", "task=severity", *options, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    rows = [line for line in outcome.out.splitlines() if line.startswith("severity")]
    assert {line.split()[1] for line in rows} == {"steps", "videos"}
    for line in rows:
        assert ("points" in line) == ("mae" in line or "rmse" in line), line


def test_a_run_folder_gives_its_model_and_its_data(affect, tiny_model, options, tmp_path):
    run = tmp_path / "seed0"
    shutil.copytree(tiny_model, run / "model")
    config = yaml.safe_load((tiny_model / "config.json").read_text())
    data = {key: yaml.safe_load(value) for key, value in (option.split("=", 1) for option in options)}
    experiment = {"name": "tiny", "model": config, "data": {"name": "rendered", "config": data}}
    (run / "experiment.json").write_text(json.dumps(experiment))
    outcome = affect("evaluate", run, run, "--split", "val", "--out", tmp_path / "out", "--device", "cpu")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(f"{run} on rendered, split val\n")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["model"] == {"name": str(run), "source": str(run / "model"), "revision": ""}
    assert "no intervals: an interval by subject needs at least two subjects" in outcome.out
    assert "interval" not in outcome.out.splitlines()[1]
    assert "fewer than three videos have a CCC" in outcome.err


def test_stored_features_are_evaluated_as_their_inputs_are(affect, tiny_model, options, tmp_path):
    assert affect("features", "rendered", *options, "--model", tiny_model, "--out", tmp_path / "store").code == 0
    values = []
    for number, data in enumerate((["rendered", *options], ["features", f"folder={tmp_path / 'store'}"])):
        outcome = affect("evaluate", tiny_model, *data, "--out", tmp_path / str(number))
        assert outcome.code == 0, outcome.err
        values.append(pd.read_csv(tmp_path / str(number) / "predictions.csv")["predicted.arousal"].tolist())
    # Other batches through the backbone round differently.
    assert values[0] == pytest.approx(values[1], abs=1e-4)


def test_what_was_done_to_predictions_is_said_and_changes_no_name(affect, tiny_model, options, tmp_path):
    done = ["--clip", "--smooth", "median:1.5", "--label-delay", "0.5"]
    outcome = affect("evaluate", tiny_model, "rendered", *options, "--out", tmp_path, *done)
    assert outcome.code == 0, outcome.err
    words = [
        "labels 0.5 s earlier (interpolated)",
        "predictions smoothed (median of 3 steps, 1.5 s)",
        "predictions clipped to their range",
    ]
    assert outcome.out.splitlines()[0] == "; ".join([f"{tiny_model} on rendered, split test", *words])
    assert json.loads((tmp_path / "report.json").read_text())["post_processing"] == words
    assert "12 of 15 steps have a label that counts" in outcome.out
    assert sum(line.split()[1:3] == ["steps", "ccc"] for line in outcome.out.splitlines() if line.startswith("valence")) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--split", "tset"], "there is no split 'tset'; use train, val, test"),
        (["--smooth", "mean:3"], "smoothing is box:SECONDS, median:SECONDS or gaussian:SECONDS"),
        (["--smooth", "box:60"], "longer than every video of the split"),
        (["--label-delay", "-1"], "must be zero or a positive number"),
        (["--label-delay", "60"], "longer than every video of the split"),
        (["--device", "abacus"], "device 'abacus' cannot be used here"),
        (["task=severity"], "this model wants valence, arousal"),
        (["clip_per_identity=1"], "did you mean 'clips_per_identity'?"),
    ],
)
def test_what_cannot_be_is_one_sentence(affect, tiny_model, options, tmp_path, changes, words):
    outcome = affect("evaluate", tiny_model, "rendered", *options, *changes, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert len(outcome.complaints) == 1
    assert words in outcome.complaints[0]
    assert not list((tmp_path / "out").glob("*"))


def test_a_folder_that_is_a_file_and_names_that_are_none_are_refused(affect, tiny_model, tmp_path):
    (tmp_path / "file").touch()
    for arguments, words in (
        ([tiny_model, "rendered", "--out", tmp_path / "file"], "choose another --out"),
        (["jca-renderd", "rendered"], "Did you mean 'jca-rendered'"),
        ([tiny_model, "renderd"], "Did you mean 'rendered'?"),
        ([tiny_model, tmp_path], "is not a run folder"),
    ):
        outcome = affect("evaluate", *arguments, *([] if "--out" in arguments else ["--out", tmp_path / "out"]))
        assert outcome.code == 2
        assert len(outcome.complaints) == 1
        assert words in outcome.complaints[0]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [("valid", "has no valid label, so there is nothing to compare with"), ("weights", "gave values that are not numbers")],
)
def test_a_split_without_labels_and_a_broken_model_are_refused(
    affect, tiny_model, options, tmp_path, monkeypatch, spoil, words
):
    from affectzoo.train.report import predicted

    real = predicted.predict_steps

    def spoilt(*arguments):
        steps, times_s = real(*arguments)
        if spoil == "valid":
            steps.valid[:] = False
        else:
            steps.prediction[3, 0] = float("nan")
        return steps, times_s

    monkeypatch.setattr(predicted, "predict_steps", spoilt)
    outcome = affect("evaluate", tiny_model, "rendered", *options, "--out", tmp_path)
    assert outcome.code == 2
    assert len(outcome.complaints) == 1
    assert words in outcome.complaints[0]
