"""`affectzoo evaluate` of a classifier: classes, groups, some classes alone, and the looks at a test split."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

import affectzoo
from tests.plugins.datasets.miniatures.faces_folder import write_table

CLASSES = ["angry", "happy", "sad"]


@pytest.fixture(scope="session")
def faces(tmp_path_factory) -> list[str]:
    """Arguments that name a folder of twelve test images of four people, two of whom are left-handed."""
    folder = tmp_path_factory.mktemp("faces")
    lines = [f"{n}.png,p{n % 4},{CLASSES[n // 4]},test,{'left' if n % 2 else 'right'},{n}" for n in range(12)]
    write_table(folder / "images", lines, header="file_name,subject,emotion,split,hand,number")
    return ["faces-folder", f"root={folder / 'images'}", "detector=full-frame", f"cache_dir={folder / 'cache'}"]


@pytest.fixture(scope="session")
def classifier(tmp_path_factory) -> Path:
    """The folder of an untrained model of three emotions."""
    torch.manual_seed(0)
    network = {"frames": 1, "image_size": 32, "model_args": {"channels": [4, 4, 8, 8], "stem_width": 4}}
    model = affectzoo.create_model(
        visual={"backbone": {"name": "timm/resnet10t", "config": network}},
        targets=[{"name": "emotion", "kind": "categorical", "classes": CLASSES}],
        sequence={"seconds": 1.0, "length": 1},
        head={"hidden": None},
    )
    return model.save_pretrained(tmp_path_factory.mktemp("model") / "emotion")


def test_a_classifier_is_told_by_class_and_by_group(affect, classifier, faces, tmp_path):
    outcome = affect("evaluate", classifier, *faces, "--by", "hand", "--by", "subject", "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    names = {"report.json", "predictions.csv", "confusion.emotion.csv", "by.csv"}
    assert {path.name for path in tmp_path.iterdir()} == names | {"confusion.png", "reliability.png", "by.png"}
    report = json.loads((tmp_path / "report.json").read_text())
    assert {name: one["n"] for name, one in report["classes"]["emotion"]["recall"].items()} == dict.fromkeys(CLASSES, 4)
    confusion = pd.read_csv(tmp_path / "confusion.emotion.csv").drop(columns="labelled").to_numpy()
    frame = pd.read_csv(tmp_path / "predictions.csv")
    pairs = [frame[[f"{word}.emotion.{name}" for name in CLASSES]].to_numpy().argmax(1) for word in ("label", "predicted")]
    assert confusion.tolist() == [[int(((pairs[0] == i) & (pairs[1] == j)).sum()) for j in range(3)] for i in range(3)]
    groups = report["by"]["columns"]["hand"]["groups"]
    assert [(group["value"], group["n"], group["subjects"]) for group in groups] == [("left", 6, 2), ("right", 6, 2)]
    lines = outcome.out.splitlines()
    assert [line.split()[2] for line in lines if line.startswith("emotion") and " steps " in line][:5] == [
        *("uar", "accuracy", "f1", "ece", "nll")
    ]
    assert any(line.split()[:2] == ["happy", "4"] for line in lines)
    assert "emotion by hand" in lines
    assert "look number" not in outcome.out


def test_some_classes_alone_and_what_was_left_out_is_said(affect, classifier, faces, tmp_path):
    arguments = ["evaluate", classifier, *faces, "--classes", "sad,happy"]
    outcome = affect(*arguments, "--out", tmp_path / "split")
    assert outcome.code == 0, outcome.err
    assert "emotion of happy, sad alone: other labels left out, probabilities renormalised" in outcome.out.splitlines()[0]
    assert "left out, 4 steps: angry 4" in outcome.out
    frame = pd.read_csv(tmp_path / "split" / "predictions.csv")
    assert "predicted.emotion.angry" not in frame
    total = frame["predicted.emotion.happy"].to_numpy() + frame["predicted.emotion.sad"].to_numpy()
    assert total == pytest.approx(1, abs=2e-6)  # six decimals of each
    assert frame["valid"].to_numpy().sum() == 8
    outcome = affect(*arguments, "--protocol", "faces-folder", "--by", "hand", "--out", tmp_path / "protocol")
    assert outcome.code == 0, outcome.err
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("split", "protocol")]
    assert reports[1]["classes"]["emotion"]["of"] == "clips"
    assert reports[1]["left_out"] == {"angry": 4}
    # A clip is one image here.
    assert reports[1]["classes"]["emotion"]["confusion"] == reports[0]["classes"]["emotion"]["confusion"]
    value = reports[0]["metrics"]["emotion"]["uar"]["value"]
    assert reports[1]["protocol"]["values"]["emotion"]["uar"]["value"] == pytest.approx(value)
    assert [group["n"] for group in reports[1]["by"]["columns"]["hand"]["groups"]] == [4, 4]


def test_classes_of_another_name_are_mapped_by_the_loader(affect, classifier, tmp_path):
    folder = tmp_path / "images"
    words = {"angry": "rage", "happy": "joy", "sad": "grief"}
    write_table(folder, [f"{n}.png,p{n},{(*words.values(), 'awe')[n % 4]},test" for n in range(8)])
    mapping = ", ".join(f"{word}: {name}" for name, word in words.items())
    data = ["faces-folder", f"root={folder}", "detector=full-frame", f"cache_dir={tmp_path / 'cache'}"]
    outcome = affect("evaluate", classifier, *data, f"classes={{{mapping}}}", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {name: one["n"] for name, one in report["classes"]["emotion"]["recall"].items()} == dict.fromkeys(CLASSES, 2)
    assert "classes leaves out awe (2 images)" in outcome.err


def test_each_look_of_a_run_at_its_test_split_is_counted(affect, classifier, faces, tmp_path):
    run = tmp_path / "seed0"
    shutil.copytree(classifier, run / "model")
    options = dict(option.split("=", 1) for option in faces[1:])
    experiment = {
        "name": "tiny",
        "model": json.loads((classifier / "config.json").read_text()),
        "data": {"name": "faces-folder", "config": options},
    }
    (run / "experiment.json").write_text(json.dumps(experiment))
    (run / "result.json").write_text(json.dumps({"test": {"score": 0.3}}))
    for number in (2, 3):
        outcome = affect("evaluate", run, run, "--classes", "happy,sad", "--out", tmp_path / "out")
        assert outcome.code == 0, outcome.err
        assert f"look number {number} of this run at this test split" in outcome.out
        report = json.loads((tmp_path / "out" / "report.json").read_text())
        assert report["looks"] == {"number": number, "of_training": True, "file": "looks.jsonl"}
    last = json.loads((run / "looks.jsonl").read_text().splitlines()[-1])
    assert last["score"] == {"uar.emotion": report["metrics"]["emotion"]["uar"]["value"]}
    assert last["post_processing"] == report["post_processing"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--classes", "happy,fear"], "emotion of this model has no class 'fear'"),
        (["--classes", "happy"], "is one class"),
        (["--by", "hnd"], "have no such column; did you mean 'hand'?"),
        (["--by", "emotion"], "have no such column; there are hand, number, subject"),
        (["--submission", "x.csv", "--by", "hand"], "leave --protocol, --label-delay, --by and --classes out"),
    ],
)
def test_what_cannot_be_is_one_sentence(affect, classifier, faces, tmp_path, changes, words):
    outcome = affect("evaluate", classifier, *faces, *changes, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert len(outcome.complaints) == 1
    assert words in outcome.complaints[0]
    assert not list((tmp_path / "out").glob("*"))
