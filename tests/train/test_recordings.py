"""Models that score whole recordings, people as classes, and networks that start from another's weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import affectzoo
from affectzoo.config import TargetConfig
from affectzoo.errors import CheckpointError, DataError
from affectzoo.train.evaluate import SplitPredictions, scores
from affectzoo.train.loop import train
from affectzoo.train.runs import run_folder
from tests.data.toy_corpus import CLASSES, ToyCorpus, toy_model, write_toys

BACKBONE: dict[str, Any] = {
    "name": "dmsn",
    "config": {"layers": [1, 1], "widths": [4, 8], "downsample_stages": [2], "stem_width": 4, "frames": 4, "image_size": 24},
}
SEVERITY = {"name": "severity", "low": 0, "high": 10}


@pytest.fixture
def make_run(make_experiment, tmp_path, rendered_cache):
    """A trained tiny DMSN on rendered clips: its folder and `result.json`."""

    def make(task: str, target: Any, identities: dict[str, int], **backbone: Any) -> tuple[Path, dict[str, Any]]:
        config = {**BACKBONE["config"], **backbone}
        experiment = make_experiment(
            name=f"{task}-{len(backbone)}",
            output=str(tmp_path),
            model={
                "sequence": {"seconds": 0.5, "length": 1},
                "streams": {"visual": {"backbone": {**BACKBONE, "config": config}}},
                "head": {"hidden": None, "pool": "median"} if task != "identity" else {"hidden": None},
                "targets": [target],
            },
            data={
                "name": "rendered",
                "config": {"task": task, "identities": identities, "duration_s": 2.5, "cache_dir": str(rendered_cache)},
            },
            train={"epochs": 1, "batch_size": 8} | ({"loss": "mse"} if task != "identity" else {}),
        )
        train(experiment)
        folder = run_folder(experiment)
        return folder, json.loads((folder / "result.json").read_text())

    return make


def test_a_recording_model_trains_on_clips_and_is_scored_by_recordings(make_run):
    folder, result = make_run("severity", SEVERITY, {"train": 3, "val": 2, "test": 2})
    for split in ("val", "test"):
        assert {"mae.severity", "rmse.severity", "pcc.severity", "ccc.severity", "step.mae.severity"} <= set(result[split])
    model = affectzoo.load(folder / "model")
    assert model.config.head.pool == "median"
    assert model({"visual": torch.zeros(2, 3, 3, 4, 24, 24)}).shape == (2, 1)


def test_people_are_classes_in_every_split_and_their_network_starts_another(make_run, capsys):
    folder, result = make_run("identity", {"name": "identity", "kind": "categorical", "classes": 3}, {"train": 3})
    assert set(result["test"]) == {"uar.identity", "score"}
    assert result["subjects"] == {"train": 3, "val": 3, "test": 3}
    capsys.readouterr()
    started, _ = make_run("severity", SEVERITY, {"train": 3, "val": 2, "test": 2}, init=str(folder / "model"))
    printed = capsys.readouterr().out
    assert f"visual starts from {folder / 'model'}: 100% of the weights" in printed
    assert json.loads((started / "experiment.json").read_text())["model"]["streams"]["visual"]["backbone"]["config"]["init"]
    # What is saved needs the other no more.
    assert affectzoo.load(started / "model").config.streams["visual"].backbone.config["init"] is None


def test_a_network_that_does_not_fit_is_refused_before_anything_is_rendered(make_run, tmp_path):
    other = affectzoo.create_model(visual={"backbone": {"name": "timm/resnet10t", "config": {"image_size": 32}}})
    other.save_pretrained(tmp_path / "other")
    with pytest.raises(CheckpointError, match=r"nothing in the visual backbone of .*other fits"):
        make_run("severity", SEVERITY, {"train": 3, "val": 2, "test": 2}, init=str(tmp_path / "other"))


def test_other_tasks_still_keep_people_apart(make_run, monkeypatch):
    from affectzoo.data.windows import WindowDataset

    real = WindowDataset.__init__

    def same(self: WindowDataset, *args: Any, **options: Any) -> None:
        real(self, *args, **options)
        self.subjects = ["somebody"] * len(self.subjects)

    monkeypatch.setattr(WindowDataset, "__init__", same)
    with pytest.raises(DataError, match="'somebody' is in both train and val"):
        make_run("severity", SEVERITY, {"train": 3, "val": 2, "test": 2})


def test_a_corpus_without_media_trains_on_a_fold(make_experiment, tmp_path):
    affectzoo.register_dataset("toy-corpus")(ToyCorpus)
    root = write_toys(tmp_path / "toys", 5, 3)
    mood = {"name": "mood", "kind": "categorical", "classes": list(CLASSES)}
    model = {**toy_model(mood).to_json(), "head": {"hidden": None, "pool": "mean"}}
    data = {"root": str(root), "fold": {"folds": 5, "number": 2}, "cache_dir": str(tmp_path / "cache")}
    experiment = make_experiment(
        name="fold",
        output=str(tmp_path),
        model=model,
        data={"name": "toy-corpus", "config": data},
        train={"epochs": 20, "batch_size": 8, "lr": 0.01},
    )
    train(experiment)
    result = json.loads((run_folder(experiment) / "result.json").read_text())
    assert result["subjects"] == {"train": 3, "val": 1, "test": 1}
    assert result["test"]["uar.mood"] == 1.0  # the second channel is the class
    assert affectzoo.load(run_folder(experiment) / "model").config.streams["head"].backbone.name == "signal-mlp"


def split_of(prediction: list[list[float]], present: list[list[bool]], label: list[list[float]]) -> SplitPredictions:
    """Recordings of equal length, one window each."""
    shape = (len(prediction), len(prediction[0]))
    return SplitPredictions(
        prediction=torch.tensor(prediction).unsqueeze(-1),
        label=torch.tensor(label).unsqueeze(-1),
        valid=torch.ones(shape, dtype=torch.bool),
        present=torch.tensor(present),
        row=torch.arange(shape[0]),
        step=torch.arange(shape[1]).expand(shape),
    )


@pytest.mark.parametrize(("pool", "errors"), [("median", [1.0, 4.0]), ("mean", [3.0, 4.0]), ("last", [8.0, 4.0])])
def test_a_recording_is_the_pool_of_its_steps_that_were_seen(pool, errors):
    # The fourth step of the first recording holds nothing; nothing of the second was seen, so that all of it counts.
    split = split_of(
        [[0.0, 1.0, 8.0, 99.0], [4.0, 4.0, 4.0, 4.0]],
        [[True, True, True, False], [False] * 4],
        [[0.0] * 4, [0.0] * 4],
    )
    found = scores(split, [TargetConfig.parse(SEVERITY)], pool)
    assert found["mae.severity"] == pytest.approx(sum(errors) / 2)
    assert found["step.mae.severity"] == pytest.approx(3.0)


def test_last_is_last_in_time_however_windows_were_gathered():
    split = split_of([[1.0, 2.0], [3.0, 4.0]], [[True] * 2] * 2, [[0.0] * 2] * 2)
    turned = SplitPredictions(
        **{
            **split.__dict__,
            "row": torch.zeros(2, dtype=torch.long),
            "step": torch.tensor([[2, 3], [0, 1]]),
        }
    )
    assert scores(turned, [TargetConfig.parse(SEVERITY)], "last")["mae.severity"] == pytest.approx(2.0)


def test_classes_are_scored_by_recall_and_do_not_enter_the_ccc():
    targets = [TargetConfig.parse("valence"), TargetConfig.parse({"name": "emotion", "kind": "categorical", "classes": 2})]
    label = torch.tensor([[[0.1, 1, 0], [0.5, 0, 1], [0.9, 0, 1]]])
    split = SplitPredictions(
        label.clone(), label, *(torch.ones(1, 3, dtype=torch.bool) for _ in range(2)), torch.zeros(1), torch.arange(3)[None]
    )
    found = scores(split, targets)
    assert found["ccc"] == pytest.approx(1.0)
    assert found["uar.emotion"] == 1.0
    assert found["score"] == pytest.approx(1.0)
