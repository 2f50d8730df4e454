"""Checkpoints: written whole or not at all, the last ones kept, another run's refused."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from affectzoo.errors import CheckpointError, ConfigError
from affectzoo.train import state
from affectzoo.train.state import Checkpoints, Progress, generators, set_generators, stop_requests

IDENTITY: dict[str, Any] = {"train": {"lr": 0.1, "weights": {}}, "data_of": {"train": "abc"}, "processes": 1}


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make(tmp_path, said):
    def checkpoints(keep: int = 2, **changes: Any) -> Checkpoints:
        identity = {**IDENTITY, **changes}
        return Checkpoints(tmp_path, keep=keep, identity=identity, accelerator=Accelerator(cpu=True), say=said.append)

    return checkpoints


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_what_was_saved_comes_back_to_the_bit(make):
    made = make()
    shared = {"learner": {"weight": torch.randn(3, 3), "count": torch.tensor(7)}, "schedule": {"last_epoch": 4, "lrs": [0.1]}}
    progress = Progress(epoch=3, batch=2, step=41, loss_sum=0.1 + 0.2, loss_count=3, best=-math.inf, seconds=1.5)
    made.save(shared, {"draws": torch.Generator().get_state()}, progress)
    found, own, where = made.load(made.latest())
    assert torch.equal(found["learner"]["weight"], shared["learner"]["weight"])
    assert found["schedule"] == shared["schedule"]
    assert where == progress
    assert torch.equal(own["draws"], torch.Generator().get_state())


def test_the_last_ones_stay(make, tmp_path):
    made = make(keep=2)
    for step in (1, 20, 300, 1000):
        made.save({}, {}, Progress(step=step))
    assert names(tmp_path) == ["step-000000300", "step-000001000"]
    made.clear()
    assert made.latest() is None


def test_damaged_ones_are_not_counted_among_those_that_stay(make, tmp_path):
    made = make(keep=1)
    made.save({}, {}, Progress(step=5))
    damaged = tmp_path / "checkpoints" / "step-000000007"
    damaged.mkdir()
    (damaged / "shared.pt").write_bytes(b"half")
    made.save({}, {}, Progress(step=6))
    assert names(tmp_path) == ["step-000000006"]
    made.save({}, {}, Progress(step=6, seconds=2.0))  # the same step once more
    assert names(tmp_path) == ["step-000000006"]
    assert made.load(made.latest())[2].seconds == 2.0


@pytest.mark.parametrize("harm", ["no marker", "short file", "no file", "marker is no JSON", "empty folder"])
def test_a_half_written_one_is_skipped_with_one_line(make, tmp_path, said, harm):
    made = make()
    for step in (1, 2):
        made.save({"weight": torch.randn(100)}, {}, Progress(step=step))
    last = tmp_path / "checkpoints" / "step-000000002"
    shared, marker = last / "shared.pt", last / "complete.json"
    if harm == "no marker":
        marker.unlink()
    elif harm == "short file":
        shared.write_bytes(shared.read_bytes()[:-1])
    elif harm == "no file":
        shared.unlink()
    elif harm == "marker is no JSON":
        marker.write_text('{"files":')
    else:
        for path in last.iterdir():
            path.unlink()
    assert made.latest() == tmp_path / "checkpoints" / "step-000000001"
    assert said == ["step-000000002 is skipped: it is only half written"]


def test_what_a_killed_save_left_behind_is_no_checkpoint(make, tmp_path):
    made = make()
    left = tmp_path / "checkpoints" / ".saving-step-000000003"
    left.mkdir(parents=True)
    (left / "shared.pt").write_bytes(b"half")
    assert made.latest() is None
    made.save({}, {}, Progress(step=3))
    assert names(tmp_path) == ["step-000000003"]


@pytest.mark.parametrize("failing", ["process-0.pt", "shared.pt", "complete.json"])
def test_a_full_disk_leaves_the_last_good_one(make, tmp_path, monkeypatch, failing):
    made = make()
    made.save({"weight": torch.ones(3)}, {}, Progress(step=1))
    real = Path.open

    def full(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.name == failing:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(CheckpointError, match=r"step-000000002 cannot be written .*: No space left on device; .* --resume"):
        made.save({"weight": torch.ones(3)}, {}, Progress(step=2))
    monkeypatch.setattr(Path, "open", real)
    assert names(tmp_path) == ["step-000000001"]
    assert made.load(made.latest())[2].step == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_torch_reports_a_full_disk_as_the_same_error(make, monkeypatch):
    real = state._write
    monkeypatch.setattr(state, "_write", lambda _, content: real(Path("/dev/full"), content))
    with pytest.raises(CheckpointError, match="cannot be written"):
        make().save({"weight": torch.ones(100_000)}, {}, Progress(step=2))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train": {"lr": 0.2, "weights": {}}}, r"train.lr is 0.2, and was 0.1 when this run began"),
        ({"train": {"lr": 0.1, "weights": {"valence": 2}}}, r"train.weights"),
        ({"data_of": {"train": "abd"}}, "the train split is not the one that this run was trained on"),
        ({"processes": 2}, "trained by 1 processes, now there are 2"),
    ],
)
def test_another_run_is_refused_by_name(make, changes, words):
    make().save({}, {}, Progress(step=1))
    other = make(**changes)
    with pytest.raises(ConfigError, match=words):
        other.load(other.latest())


def test_all_generators_come_back():
    kept = generators()
    drawn = random.random(), np.random.rand(3), torch.rand(3)
    set_generators(kept)
    again = random.random(), np.random.rand(3), torch.rand(3)
    assert drawn[0] == again[0]
    assert np.array_equal(drawn[1], again[1])
    assert torch.equal(drawn[2], again[2])


def test_a_request_to_stop_is_noticed_and_the_old_handler_returns():
    before = signal.getsignal(signal.SIGTERM)
    with stop_requests() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
    assert signal.getsignal(signal.SIGTERM) == before


def test_checkpoints_hold_no_code(make):
    """torch reads them with `weights_only`, which refuses anything but tensors and plain values."""
    made = make()
    made.save(
        {"optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}},
        {},
        Progress(step=1),
    )
    assert json.loads((made.latest() / "complete.json").read_text())["step"] == 1
    for path in made.latest().glob("*.pt"):
        torch.load(path, weights_only=True)
