"""A run that was cut off anywhere ends with the weights of one that was not, bit for bit."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file

import affectzoo
from affectzoo.errors import CheckpointError, ConfigError, DataError
from affectzoo.train.fit import Fit
from affectzoo.train.loop import train
from affectzoo.train.runs import run_folder
from affectzoo.train.state import StoppedError
from tests.train.toys import toy_dataset, toy_experiment, use_dataset

#: Everything that a step may depend on: dropout, masking, mixing, an average, accumulation, learnt weights of the targets.
HARD: dict[str, Any] = {
    "accumulate": 2,
    "modality_dropout": 0.3,
    "time_masking": 0.2,
    "mixup": 0.4,
    "ema": 0.9,
    "weighting": "uncertainty",
    "checkpoint_steps": 2,
}


class Killed(BaseException):
    """What no code of the project may catch."""


@pytest.fixture(autouse=True)
def dataset(monkeypatch):
    use_dataset(monkeypatch, toy_dataset())


def hard(folder: Path, **changes: Any) -> Any:
    return toy_experiment(folder, streams=("audio", "visual"), dropout=0.3, train={**HARD, **changes})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def lines(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in found]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nothing stopped."""
    with pytest.MonkeyPatch.context() as patch:
        use_dataset(patch, toy_dataset())
        experiment = hard(tmp_path_factory.mktemp("whole"))
        result = train(experiment)
    return run_folder(experiment), result


def kill(monkeypatch: pytest.MonkeyPatch, method: str, at: int, after: bool) -> None:
    """Let the run die at call number `at` of a method, before or after its work."""
    real, calls = getattr(Fit, method), []

    def dying(self: Fit, *args: Any, **kwargs: Any) -> Any:
        calls.append(None)
        if len(calls) == at and not after:
            raise Killed
        found = real(self, *args, **kwargs)
        if len(calls) == at and after:
            raise Killed
        return found

    monkeypatch.setattr(Fit, method, dying)


@pytest.mark.parametrize(
    ("method", "at", "after"),
    [
        ("_step", 1, False),  # before the first checkpoint
        ("_step", 4, True),  # in the middle of an epoch, after a checkpoint that is older
        ("_step", 9, False),
        ("_save", 1, True),  # right after a checkpoint in the middle of an epoch
        ("_validate", 2, True),  # the epoch is in the log, but not in a checkpoint
        ("_keep_best", 2, True),
        ("_save", 6, False),
    ],
)
def test_a_killed_run_goes_on_to_the_same_bits(whole, tmp_path, monkeypatch, method, at, after):
    experiment = hard(tmp_path)
    with monkeypatch.context() as patch:
        kill(patch, method, at, after)
        with pytest.raises(Killed):
            train(experiment)
    torch.rand(17)  # another process draws otherwise
    result = train(experiment, resume=True)
    folder = run_folder(experiment)
    assert same(weights(folder), weights(whole[0]))
    assert lines(folder) == lines(whole[0])
    assert {k: v for k, v in result.items() if k != "seconds"} == {k: v for k, v in whole[1].items() if k != "seconds"}


def test_a_run_may_be_killed_again_and_again(whole, tmp_path, monkeypatch):
    experiment = hard(tmp_path)
    attempts = 0
    while attempts < 9:
        attempts += 1
        with monkeypatch.context() as patch:
            kill(patch, "_step", 3, True)
            try:
                train(experiment, resume=True)
                break
            except Killed:
                continue
    else:
        pytest.fail("three steps a time never came to an end")
    assert attempts > 2
    assert same(weights(run_folder(experiment)), weights(whole[0]))


def test_the_last_checkpoint_may_be_damaged(whole, tmp_path, monkeypatch, capsys):
    experiment = hard(tmp_path)
    with monkeypatch.context() as patch:
        kill(patch, "_step", 8, True)
        with pytest.raises(Killed):
            train(experiment)
    folder = run_folder(experiment)
    last = max((folder / "checkpoints").glob("step-*"))
    (last / "shared.pt").write_bytes((last / "shared.pt").read_bytes()[:100])
    train(experiment, resume=True)
    assert f"{last.name} is skipped: it is only half written" in capsys.readouterr().out
    assert same(weights(folder), weights(whole[0]))


def test_resuming_is_asked_for(tmp_path, monkeypatch):
    experiment = hard(tmp_path)
    with monkeypatch.context() as patch:
        kill(patch, "_step", 8, True)
        with pytest.raises(Killed):
            train(experiment)
    with pytest.raises(ConfigError, match=r"holds a run that has not ended: go on with --resume"):
        train(experiment)


def test_a_run_that_has_ended_is_not_run_again(whole, monkeypatch):
    folder, result = whole
    kill(monkeypatch, "run", 1, after=False)
    experiment = hard(folder.parent.parent)
    assert train(experiment, resume=True)["test"] == result["test"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lr": 0.02}, r"train.lr is 0.02, and was 0.01"),
        ({"epochs": 4}, "train.epochs"),
        ({"batch_size": 5}, "train.batch_size"),
    ],
)
def test_another_configuration_is_refused_by_the_key_that_differs(tmp_path, monkeypatch, changes, words):
    with monkeypatch.context() as patch:
        kill(patch, "_step", 4, True)
        with pytest.raises(Killed):
            train(hard(tmp_path))
    with pytest.raises(ConfigError, match=words):
        train(hard(tmp_path, **changes), resume=True)


def test_what_changes_no_weight_may_change(whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill(patch, "_step", 8, True)
        with pytest.raises(Killed):
            train(hard(tmp_path))
    experiment = hard(tmp_path, checkpoint_steps=1, keep_checkpoints=1, workers=1)
    train(experiment, resume=True)
    assert same(weights(run_folder(experiment)), weights(whole[0]))
    assert len(list((run_folder(experiment) / "checkpoints").iterdir())) == 1


def test_other_data_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill(patch, "_step", 4, True)
        with pytest.raises(Killed):
            train(hard(tmp_path))

    def shifted(number: int, arrays: dict[str, Any]) -> None:
        if number == 3:
            arrays["targets"][0, 0] += 0.01

    use_dataset(monkeypatch, toy_dataset(change=shifted))
    with pytest.raises(ConfigError, match="the train split is not the one that this run was trained on"):
        train(hard(tmp_path), resume=True)


def test_a_stream_goes_on_where_it_was(tmp_path, monkeypatch):
    use_dataset(monkeypatch, toy_dataset(stream=True))
    settings = {"epoch_steps": 5, "checkpoint_steps": 2, "batch_size": 8}
    alone, cut = (toy_experiment(tmp_path / name, dropout=0.3, train=settings) for name in ("alone", "cut"))
    train(alone)
    with monkeypatch.context() as patch:
        kill(patch, "_step", 8, True)
        with pytest.raises(Killed):
            train(cut)
    train(cut, resume=True)
    assert same(weights(run_folder(cut)), weights(run_folder(alone)))


def test_sigterm_saves_and_the_run_goes_on(whole, tmp_path, monkeypatch):
    experiment = hard(tmp_path)
    real, calls = Fit._step, []

    def signalled(self: Fit, *args: Any) -> float:
        calls.append(None)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Fit, "_step", signalled)
        with pytest.raises(StoppedError):
            train(experiment)
    assert len(calls) in (5, 6), "it stops at the end of a step"
    train(experiment, resume=True)
    assert same(weights(run_folder(experiment)), weights(whole[0]))


def test_a_loss_that_is_not_a_number_names_its_clips_and_touches_nothing(tmp_path, monkeypatch):
    def spoiled(number: int, arrays: dict[str, Any]) -> None:
        if number == 3:
            arrays["inputs"]["audio"][2] = float("nan")

    use_dataset(monkeypatch, toy_dataset(change=spoiled))
    experiment = toy_experiment(tmp_path, train={"checkpoint_steps": 1})
    with pytest.raises(DataError, match=r"the loss is not a number at step \d+; its clips are listed in .*failed-step.json"):
        train(experiment)
    folder = run_folder(experiment)
    report = json.loads((folder / "failed-step.json").read_text())
    assert "train3" in {window["clip"] for window in report["windows"]}
    for path in (folder / "checkpoints").glob("step-*/shared.pt"):
        learner = torch.load(path, weights_only=True)["learner"]
        assert all(bool(tensor.isfinite().all()) for tensor in learner.values())


def test_a_start_that_is_refused_leaves_an_ended_run_alone(tmp_path):
    experiment = hard(tmp_path)
    train(experiment)
    folder = run_folder(experiment)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for settings, resume, words in (
        ({"epochs": 5}, True, "train.epochs is 5, and was 3"),
        ({"epochs": 5}, False, r"holds the result of another run: train.epochs is 5"),
        ({"epoch_steps": 3}, False, "train.epoch_steps is for a training split that is streamed"),
    ):
        with pytest.raises(ConfigError, match=words):
            train(hard(tmp_path, **settings), resume=resume)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_stream_alone_is_not_taken_over_from_other_data(tmp_path, monkeypatch):
    settings: dict[str, Any] = {"streams": ("audio", "visual"), "pretrain": {"epochs": 1, "batch_size": 4}}
    train(toy_experiment(tmp_path, **settings))
    other = toy_dataset({"train": 9, "val": 4, "test": 3})
    use_dataset(monkeypatch, other)
    with pytest.raises(ConfigError, match="the train split is not the one that this run was trained on"):
        train(toy_experiment(tmp_path, name="rival", **settings))


def test_a_run_with_streams_alone_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    found = []
    for name in ("whole", "killed"):
        settings: dict[str, Any] = {"pretrain": {"epochs": 2, "batch_size": 4, "checkpoint_steps": 2}}
        experiment = toy_experiment(tmp_path / name, streams=("audio", "visual"), dropout=0.3, train=HARD, **settings)
        if name == "killed":
            for at in (3, 9, 20):  # in the first stream, the second, and the fusion
                with monkeypatch.context() as patch:
                    kill(patch, "_step", at, True)
                    with pytest.raises(Killed):
                        train(experiment, resume=True)
        train(experiment, resume=True)
        found.append(weights(run_folder(experiment)))
    assert same(*found)


def test_a_full_disk_while_the_best_model_is_written(whole, tmp_path, monkeypatch):
    experiment = hard(tmp_path)
    real = affectzoo.AffectModel.save_pretrained
    calls: list[None] = []

    def full(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(None)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(affectzoo.AffectModel, "save_pretrained", full)
        with pytest.raises(CheckpointError, match=r"the best model cannot be written .* No space left on device"):
            train(experiment)
    train(experiment, resume=True)
    assert same(weights(run_folder(experiment)), weights(whole[0]))


def command(path: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "affectzoo.train", str(path), *more]


def start(command: list[str], folder: Path, processes: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    if processes > 1:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", *command[1:]]
    with (folder / "log.txt").open("a") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
        )


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_kill_nine_in_the_middle_of_an_epoch(experiment_data, tmp_path, processes):
    """Real processes, a real kill: the model files are equal byte for byte."""
    found = {}
    for name in ("whole", "killed"):
        train_settings = {"epochs": 2, "batch_size": 1, "modality_dropout": 0.2, "checkpoint_steps": 1, "window_hop": 1}
        data = experiment_data(name=name, output=str(tmp_path / "runs"), train=train_settings)
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(data), encoding="utf-8")
        folder = tmp_path / "runs" / name / "seed0"
        running = start(command(path), tmp_path, processes)
        if name == "killed":
            end = time.monotonic() + 120
            # Past the first epoch, and not at the end of one.
            while not any((folder / "checkpoints").glob("step-0000000*[1-9]")) and time.monotonic() < end:
                time.sleep(0.02)
            for process in [*psutil.Process(running.pid).children(recursive=True), psutil.Process(running.pid)]:
                process.kill()
            running.wait()
            assert not (folder / "result.json").exists(), "it was killed before its end"
            running = start(command(path, "--resume"), tmp_path, processes)
        assert running.wait(timeout=240) == 0, (tmp_path / "log.txt").read_text()[-2000:]
        found[name] = (folder / "model" / "model.safetensors").read_bytes()
    assert "goes on from" in (tmp_path / "log.txt").read_text()
    assert found["whole"] == found["killed"]


@pytest.mark.slow
def test_sigterm_ends_a_process_well(experiment_data, tmp_path):
    data = experiment_data(output=str(tmp_path / "runs"), train={"epochs": 500, "batch_size": 1, "workers": 1})
    path = tmp_path / "long.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    running = start(command(path), tmp_path, 1)
    folder = tmp_path / "runs" / "tiny" / "seed0"
    end = time.monotonic() + 120
    while not any((folder / "checkpoints").glob("step-*")) and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGTERM)  # as torchrun and job schedulers do: to the readers, too
    assert running.wait(timeout=60) == 0
    assert "stopped; the state is saved" in (tmp_path / "log.txt").read_text()
