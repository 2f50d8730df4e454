"""Two processes train as one does with twice the batch; accumulated batches as one batch of them together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from accelerate import debug_launcher
from accelerate.state import AcceleratorState, GradientState
from safetensors.torch import load_file

from affectzoo.config import ExperimentConfig
from affectzoo.train.loop import train
from affectzoo.train.runs import run_folder
from tests.train.toys import toy_dataset, toy_experiment, use_dataset

pytestmark = pytest.mark.forks

#: float32 sums in another order; over a few dozen steps of AdamW that stays well under this.
CLOSE = 1e-5


def half_valid(number: int, arrays: dict[str, Any]) -> None:
    """Clips differ in how many steps count; one has none."""
    arrays["valid"][number % 5 :] = False
    arrays["targets"][number % 5 :] = float("nan")


def curve(folder: Path) -> list[dict[str, float]]:
    names = ("loss", "ccc.valence", "ccc.arousal", "rmse.valence", "lr")
    return [{n: json.loads(line)[n] for n in names} for line in (folder / "metrics.jsonl").read_text().splitlines()]


def child(experiment: ExperimentConfig) -> None:
    torch.set_num_threads(1)
    # What the parent has learnt about its one process came along.
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    train(experiment)


def compare(one: ExperimentConfig, other: ExperimentConfig) -> None:
    folders = run_folder(one), run_folder(other)
    for ours, theirs in zip(*map(curve, folders), strict=True):
        assert ours == pytest.approx(theirs, abs=CLOSE)
    weights = [load_file(folder / "model" / "model.safetensors") for folder in folders]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], atol=CLOSE, rtol=0)


@pytest.mark.parametrize(
    ("clips", "settings"),
    [
        (11, {"loss": "ccc"}),  # 44 windows: the last global batch is uneven
        (2, {"loss": "ccc"}),  # 8 windows of 8
        (3, {"loss": "ccc", "batch_size": 11}),  # the second process has one window
        (3, {"loss": "ccc", "batch_size": 6}),  # and now none, in an epoch of one batch
        (11, {"loss": "mse", "weighting": "uncertainty"}),
        (11, {"loss": "smooth-l1", "accumulate": 3, "clip_norm": 0.05}),
        (11, {"loss": "ccc", "ema": 0.8}),
    ],
)
def test_two_processes_are_one_with_twice_the_batch(tmp_path, monkeypatch, clips, settings):
    use_dataset(monkeypatch, toy_dataset({"train": clips, "val": 4, "test": 3}, half_valid))
    size = settings.get("batch_size", 4)
    two = toy_experiment(tmp_path / "two", streams=("audio", "visual"), train={**settings, "batch_size": size})
    one = toy_experiment(tmp_path / "one", streams=("audio", "visual"), train={**settings, "batch_size": 2 * size})
    train(one)
    debug_launcher(child, args=(two,), num_processes=2)
    compare(one, two)


def test_what_is_validated_is_what_is_saved(tmp_path, monkeypatch):
    """With batch norms every process sees other statistics; those of the first one are scored, and saved."""
    use_dataset(monkeypatch, toy_dataset())
    experiment = toy_experiment(tmp_path, norm=True, train={"ema": 0.5, "epochs": 2})
    debug_launcher(child, args=(experiment,), num_processes=2)
    folder = run_folder(experiment)
    result = json.loads((folder / "result.json").read_text())
    best = json.loads((folder / "metrics.jsonl").read_text().splitlines()[result["best_epoch"]])
    assert result["val"]["ccc.valence"] == pytest.approx(best["ccc.valence"], abs=1e-6)


def test_two_processes_share_a_stream(tmp_path, monkeypatch):
    use_dataset(monkeypatch, toy_dataset({"train": 11, "val": 4, "test": 3}, half_valid, stream=True))
    two, one = (toy_experiment(tmp_path / str(size), train={"epoch_steps": 7, "batch_size": size}) for size in (3, 6))
    train(one)
    debug_launcher(child, args=(two,), num_processes=2)
    compare(one, two)


@pytest.mark.parametrize("loss", ["mse", "l1", "smooth-l1"])
def test_accumulated_batches_are_weighted_by_the_steps_that_count(tmp_path, monkeypatch, loss):
    use_dataset(monkeypatch, toy_dataset({"train": 11, "val": 4, "test": 3}, half_valid))
    parts = toy_experiment(tmp_path / "parts", train={"loss": loss, "batch_size": 2, "accumulate": 4})
    whole = toy_experiment(tmp_path / "whole", train={"loss": loss, "batch_size": 8})
    train(parts)
    train(whole)
    compare(parts, whole)


def test_torchrun_and_our_own_start_train_alike(experiment_data, tmp_path):
    """`affectzoo train --nproc 2`, and torchrun itself: real processes, from the command line."""
    losses = []
    for name in ("ours", "torchrun"):
        data = experiment_data(name=name, output=str(tmp_path), train={"epochs": 1, "batch_size": 1, "window_hop": 1})
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(data), encoding="utf-8")
        run = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "affectzoo.train", str(path)]
        ours = ["-m", "affectzoo.cli", "train", str(path), "--nproc", "2"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
        command = [sys.executable, *(ours if name == "ours" else run)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.count("test ccc.valence") == 1, "one process speaks"
        losses.append(json.loads((tmp_path / name / "seed0" / "metrics.jsonl").read_text())["loss"])
    assert losses[0] == losses[1]


def test_an_error_of_several_processes_is_a_sentence_and_exit_code_two(experiment_data, tmp_path):
    data: dict[str, Any] = experiment_data(output=str(tmp_path))
    data["train"]["lrr"] = 1
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    command = [sys.executable, "-m", "affectzoo.cli", "train", str(path), "--nproc", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 2
    assert "unknown key 'train.lrr'; did you mean 'lr'?" in done.stderr
    assert "Traceback" not in done.stderr
