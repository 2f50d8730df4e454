"""A whole tiny experiment: streams alone, fusion on their features, the files it leaves, and that it can be repeated."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator

import affectzoo
from affectzoo.config import FramesInput, TrainConfig
from affectzoo.train.__main__ import main
from affectzoo.train.batches import evaluation_loader
from affectzoo.train.evaluate import predict_split, scores
from affectzoo.train.experiment import read_experiment
from affectzoo.train.features import OnFeatures, encode_windows
from affectzoo.train.fit import warmup_cosine
from affectzoo.train.loop import load_splits, train
from affectzoo.train.pretrain import stream_experiments


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return affectzoo.load(folder).state_dict()


@pytest.fixture(scope="session")
def run(experiment_file) -> Path:
    """The folder of the tiny experiment, once it has run."""
    assert main([str(experiment_file)]) == 0
    return experiment_file.parent / "runs" / "tiny" / "seed0"


def test_a_run_leaves_its_files_and_no_half_ones(run):
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoints",
        "config.json",
        "curves.png",
        "environment.json",
        "experiment.json",
        "metrics.jsonl",
        "model",
        "result.json",
        "trained_on.json",
    ]
    assert sorted(path.name for path in (run / "model").iterdir()) == ["config.json", "model.safetensors"]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1]
    for line in lines:
        assert {"loss", "seconds", "ccc", "ccc.valence", "ccc.arousal", "mae.valence", "mae.arousal"} <= set(line)
    best = max(lines, key=lambda line: line["ccc"])
    result = read(run / "result.json")
    assert result["best_epoch"] == best["epoch"]
    assert result["val"]["ccc"] == pytest.approx(best["ccc"], abs=1e-5)
    assert result["subjects"] == {"train": 2, "val": 1, "test": 1}


def test_the_written_config_trains_the_same_model_again(run):
    config = affectzoo.load(run / "model").config
    complete = read(run / "config.json")["model"]
    assert complete == config.to_json()
    assert all(stream["input"] is not None for stream in complete["streams"].values())


def test_each_stream_was_trained_alone_first(run, experiment_file):
    alone = stream_experiments(read_experiment(experiment_file))
    fused = affectzoo.load(run / "model")
    for name, experiment in alone.items():
        folder = run.parents[1] / experiment.name / "seed0"
        model = affectzoo.load(folder / "model")
        assert list(model.backbones) == [name]
        assert model.fusion is None
        # Frozen from there on: weights and batch statistics alike.
        theirs, ours = model.backbones[name].state_dict(), fused.backbones[name].state_dict()
        assert all(torch.equal(theirs[key], ours[key]) for key in theirs)
        assert not (folder / "model" / "README.md").exists()


def test_the_result_is_what_the_saved_model_scores(run, experiment_file):
    experiment = read_experiment(experiment_file)
    model = affectzoo.load(run / "model")
    result = read(run / "result.json")
    accelerator = Accelerator()
    datasets = load_splits(experiment, model, accelerator)
    for split in ("val", "test"):
        loader = evaluation_loader(datasets[split], experiment.train)
        found = scores(predict_split(accelerator, model, loader), model.config.targets)
        assert found == pytest.approx(result[split], abs=1e-5)
    assert result["parameters"] == sum(parameter.numel() for parameter in model.parameters())


def test_features_and_raw_inputs_give_the_same_predictions(run, experiment_file):
    experiment = read_experiment(experiment_file)
    model = affectzoo.load(run / "model")
    accelerator = Accelerator()
    raw = load_splits(experiment, model, accelerator)["train"]
    features = encode_windows(model, raw, accelerator)
    assert len(features) == len(raw)
    pairs = ((model, raw), (OnFeatures(model), features))
    one, other = (predict_split(accelerator, net, evaluation_loader(data, experiment.train)) for net, data in pairs)
    torch.testing.assert_close(one.prediction, other.prediction, atol=1e-5, rtol=0)
    for name in ("label", "valid", "row", "step"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    # A step without a face or without sound is the same to both, too.
    masks = {"visual": torch.tensor([[True, False]]), "audio": torch.tensor([[False, True]])}
    batches = [{name: x.unsqueeze(0) for name, x in data[0]["inputs"].items()} for data in (raw, features)]
    with torch.inference_mode():
        torch.testing.assert_close(model(batches[0], masks), OnFeatures(model)(batches[1], masks), atol=1e-5, rtol=0)


def test_a_rival_fusion_shares_the_runs_of_the_streams_alone(run, experiment_file):
    runs = run.parents[1]
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()}
    assert main([str(experiment_file), "name=rival", "model.fusion=concat", "train.epochs=1"]) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert affectzoo.load(runs / "rival" / "seed0" / "model").config.fusion.name == "concat"
    assert {path.name for path in runs.iterdir()} == {path.relative_to(runs).parts[0] for path in before} | {"rival"}


def test_accelerate_launch_trains_as_the_readme_says(run, experiment_file):
    launcher = shutil.which("accelerate", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert launcher is not None
    done = subprocess.run(
        [launcher, "launch", "--num_processes", "1", "-m", "affectzoo.train", str(experiment_file), "name=launched"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        # accelerate gives each process one thread unless told otherwise; sums depend on how they are split over threads.
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1].startswith("test ccc.valence=")
    # The same seed, in another process.
    launched, here = weights(run.parents[1] / "launched" / "seed0" / "model"), weights(run / "model")
    assert all(torch.equal(launched[name], here[name]) for name in here)


def test_the_seed_decides_every_weight(make_experiment, tmp_path):
    found = {}
    for place, seed in (("one", 0), ("two", 0), ("three", 1)):
        experiment = make_experiment(
            output=str(tmp_path / place),
            seed=seed,
            train={"epochs": 1, "augment": {"flip": 0.5, "crop": 0.2}, "modality_dropout": 0.3},
        )
        train(experiment)
        found[place] = weights(tmp_path / place / "tiny" / f"seed{seed}" / "model")
    assert all(torch.equal(found["one"][name], found["two"][name]) for name in found["one"])
    assert not all(torch.equal(found["one"][name], found["three"][name]) for name in found["one"])


def test_a_finished_run_is_only_reused_for_the_very_same_experiment(make_experiment):
    settings = TrainConfig(epochs=1)
    one = stream_experiments(make_experiment(pretrain=settings.to_json()))
    for changes in ({"name": "other"}, {"output": "elsewhere"}, {"train": {"epochs": 9}}):
        other = stream_experiments(make_experiment(pretrain=settings.to_json(), **changes))
        assert {name: e.name for name, e in other.items()} == {name: e.name for name, e in one.items()}
    for changes in ({"pretrain": {"epochs": 2}}, {"pretrain": {"epochs": 1}, "precision": "bf16"}):
        other = stream_experiments(make_experiment(**changes))
        assert all(other[name].name != one[name].name for name in one)
    assert stream_experiments(make_experiment()) == {}


def test_the_learning_rate_rises_then_falls_to_zero():
    factors = [warmup_cosine(step, 100, 0.1) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9] == factors[10] == 1.0
    assert sorted(factors[10:], reverse=True) == factors[10:]
    assert factors[100] == pytest.approx(0.0)
    assert warmup_cosine(0, 1, 0.0) == 1.0


def test_the_inputs_of_the_tiny_model_are_those_of_its_backbones(run):
    model = affectzoo.load(run / "model")
    visual = model.config.streams["visual"].input
    assert isinstance(visual, FramesInput)
    assert (visual.frames, visual.height) == (2, 32)
