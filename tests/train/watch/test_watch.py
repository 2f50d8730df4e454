"""What a run shows and writes while it goes on: bar, lines, log, curves, environment, trackers."""

from __future__ import annotations

import importlib.util
import io
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from rich.console import Console

from affectzoo.config import ExperimentConfig
from affectzoo.errors import ConfigError
from affectzoo.train.watch import environment, watch
from affectzoo.train.watch.curves import draw_curves
from affectzoo.train.watch.watch import Watch, accelerator_for

SEEN = {"loss": 0.5, "lr": 1e-3, "score": 0.25}


def experiment(**changes):
    model = {"streams": {"visual": "timm/resnet10t"}, "targets": ["valence", "arousal"]}
    return ExperimentConfig.parse({"name": "t", "model": model, "data": {"name": "rendered"}, **changes})


@pytest.fixture
def start(tmp_path):
    """A function that starts to watch a run in `tmp_path`; all are closed at the end."""
    started = []

    def make(*, settings=None, **progress):
        settings = settings or experiment()
        accelerator = accelerator_for(settings, tmp_path)
        started.append(Watch(tmp_path, settings, accelerator, **{"steps": 40, "epochs": 4, **progress}))
        return started[-1]

    yield make
    for one in started:
        one.close()


@pytest.fixture
def terminal(monkeypatch):
    """What a terminal of 200 columns shows."""
    monkeypatch.setenv("TERM", "xterm")
    shown = io.StringIO()
    monkeypatch.setattr(watch, "Console", lambda: Console(file=shown, force_terminal=True, width=200, color_system=None))
    return shown


def run_epochs(watched, numbers, steps=10, **values):
    for number in numbers:
        for _ in range(steps):
            watched.step(0.5, 1e-3, 32, 0.0)
        watched.epoch({"epoch": number, **SEEN, **values})


def logged(folder: Path):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_an_epoch_is_a_line_on_the_screen_and_one_in_the_log(start, tmp_path, capsys):
    watched = start()
    assert logged(tmp_path) == []
    run_epochs(watched, [0, 1], seconds=12.34567, missing=math.nan)
    watched.say("so [it] goes")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "epoch=0 loss=0.5000 lr=0.001 score=0.2500 seconds=12.3457 missing=nan"
    assert lines[2] == "so [it] goes"
    assert logged(tmp_path) == [{"epoch": n, **SEEN, "seconds": 12.34567, "missing": None} for n in (0, 1)]
    assert "NaN" not in (tmp_path / "metrics.jsonl").read_text()


def test_a_run_that_goes_on_drops_the_epochs_it_makes_again(start, tmp_path):
    run_epochs(start(), [0, 1, 2])
    with (tmp_path / "metrics.jsonl").open("a") as log:
        log.write('{"epoch": 3, "lo')
    run_epochs(start(done=10, done_epochs=1), [1])
    assert [line["epoch"] for line in logged(tmp_path)] == [0, 1]
    start()
    assert logged(tmp_path) == []


def test_a_half_line_is_no_epoch(start, tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 0, "loss": 1.0}\n{"epoch": 1, "lo')
    run_epochs(start(done=20, done_epochs=2), [2])
    assert [line["epoch"] for line in logged(tmp_path)] == [0, 2]


def test_the_bar_tells_step_epoch_best_speed_and_waiting(start, terminal, monkeypatch):
    clock = iter([0.0, 0.0, 10.0, 10.5, 11.0, *[20.0] * 9])
    monkeypatch.setattr(watch, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    monkeypatch.setattr(watch, "_PICTURE_S", math.inf)
    watched = start()  # at 0.0
    watched.epoch({"epoch": 0, **SEEN, "steps": 8})  # from 0.0 to 10.0 s
    watched.step(0.3, 2e-3, 32, 0.1)
    watched.step(0.5, 2e-3, 32, 0.15)
    watched.say("half [way]")
    watched.close()
    shown = terminal.getvalue()
    assert "epoch=0 loss=0.5000" in shown
    assert "half [way]" in shown
    assert "epoch 2/4" in shown
    assert "10/40" in shown
    # 64 sub-sequences and 0.25 s of waiting in 1 s; the loss is the mean of two steps.
    assert "loss 0.4000  best 0.2500  lr 0.002  64 sub-sequences/s  25% waiting" in shown


def test_the_best_score_is_remembered_when_a_run_goes_on(start, terminal, tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 0, "score": 0.75}\n{"epoch": 1, "score": null}\n')
    watched = start(done=20, done_epochs=2)
    watched.step(0.5, 1e-3, 32, 0.0)
    watched.close()
    assert "epoch 3/4" in terminal.getvalue()
    assert "best 0.7500" in terminal.getvalue()


def test_other_processes_write_and_print_nothing(tmp_path, capsys):
    watched = Watch(tmp_path, experiment(), SimpleNamespace(is_main_process=False), steps=1, epochs=1)  # type: ignore[arg-type]
    run_epochs(watched, [0])
    watched.say("hello")
    watched.close()
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_short_epochs_are_drawn_once_at_the_end(start, tmp_path):
    watched = start()
    run_epochs(watched, [0, 1])
    assert not (tmp_path / "curves.png").exists()
    watched.close()
    assert (tmp_path / "curves.png").is_file()


def test_a_long_epoch_is_drawn_at_once(start, tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "_PICTURE_S", 0.0)
    run_epochs(start(), [0])
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 900


@pytest.mark.parametrize("lines", [[{}], [{"epoch": 0, "score": None, "loss": 1.0}], [{"epoch": 0, "score": math.nan}]])
def test_curves_without_a_number_are_drawn_all_the_same(tmp_path, lines):
    draw_curves(lines, tmp_path / "curves.png")
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_a_step_costs_next_to_nothing(start):
    watched = start(steps=5000)
    began = time.perf_counter()
    for _ in range(5000):
        watched.step(0.5, 1e-3, 32, 0.0)
    # Measured: under a microsecond. 50 leaves room for a busy machine.
    assert (time.perf_counter() - began) / 5000 < 50e-6


def test_the_environment_names_neither_host_nor_user_nor_folder(start, tmp_path, monkeypatch):
    words = ["/home/ann/env/bin/python", "-m", "affectzoo.train", "/home/ann/my runs/e.yaml", "data.config.folder=/data/ann"]
    monkeypatch.setattr(sys, "orig_argv", words)
    start(done=7)
    text = (tmp_path / "environment.json").read_text()
    found = json.loads(text)
    assert found["command"] == ["python", "-m", "affectzoo.train", "e.yaml", "data.config.folder=ann"]
    assert found["torch"] == torch.__version__
    assert found["processes"] == 1
    assert found["from_step"] == 7
    assert found["earlier"] == []
    assert not set(text) & {"\\", "~"}
    assert "home" not in text


def test_the_environment_before_a_stop_is_kept(start, tmp_path):
    path = tmp_path / "environment.json"
    for done in (0, 3, 9):
        start(done=done)
    found = json.loads(path.read_text())
    assert found["from_step"] == 9
    assert [earlier["from_step"] for earlier in found["earlier"]] == [0, 3]
    assert all("earlier" not in earlier for earlier in found["earlier"])


def test_git_is_asked_where_the_run_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment._git() is None
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *command], check=True)
    clean = environment._git()
    assert clean is not None
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    Path("new").touch()
    assert environment._git() == {**clean, "dirty": True}
    monkeypatch.setenv("PATH", "")
    assert environment._git() is None


@pytest.mark.parametrize("name", ["tensorboard", "trackio", "wandb"])
def test_a_tracker_that_is_not_installed_is_one_sentence(name, tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "_is_installed", lambda _: False)
    with pytest.raises(ConfigError, match=f"tracker {name} is not installed: pip install {name}, or leave tracker out"):
        accelerator_for(experiment(tracker=name), tmp_path)


def test_packages_are_found_by_what_is_installed_not_by_folders(tmp_path, monkeypatch):
    (tmp_path / "hollow").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.util.find_spec("hollow") is not None
    assert not watch._is_installed("hollow")
    assert watch._is_installed("torch")


def test_a_tracker_that_does_not_start_is_one_sentence(start, monkeypatch):
    pytest.importorskip("tensorboard")
    from accelerate import Accelerator

    def fail(*_, **__):
        raise RuntimeError("no key\nmore")

    monkeypatch.setattr(Accelerator, "init_trackers", fail)
    with pytest.raises(ConfigError, match=r"tracker tensorboard does not start \(RuntimeError: no key\); leave tracker out"):
        start(settings=experiment(tracker="tensorboard"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="GPUs have float16")
def test_a_precision_that_the_machine_lacks_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="precision fp16 cannot be had here"):
        accelerator_for(experiment(precision="fp16"), tmp_path)


def test_tensorboard_shows_steps_and_epochs_once_also_after_a_stop(start, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def shown():
        events = EventAccumulator(str(tmp_path / "tensorboard"))
        events.Reload()
        return {tag: [(event.step, round(event.value, 6)) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}

    settings = experiment(tracker="tensorboard")
    first = start(settings=settings)
    run_epochs(first, [0], steps=20, lonely=math.nan)
    for _ in range(10):
        first.step(9.0, 1e-3, 32, 0.0)
    first.close()
    values = shown()
    assert values["train/loss"] == [(10, 0.5), (20, 0.5), (30, 9.0)]
    assert values["train/lr"] == [(10, 0.001), (20, 0.001), (30, 0.001)]
    assert values["epoch/score"] == [(20, 0.25)]
    assert "epoch/lonely" not in values

    again = start(settings=settings, done=20, done_epochs=1)
    run_epochs(again, [1], steps=10)
    again.close()
    values = shown()
    assert values["train/loss"] == [(10, 0.5), (20, 0.5), (30, 0.5)]
    assert values["epoch/score"] == [(20, 0.25), (30, 0.25)]

    accelerator_for(settings, tmp_path)  # such as of a run that is then refused
    assert shown() == values
    start(settings=settings).close()
    assert shown() == {}


def test_a_stream_that_is_trained_alone_logs_into_its_own_folder(tmp_path):
    pytest.importorskip("tensorboard")
    settings = experiment(tracker="tensorboard")
    accelerator = accelerator_for(settings, tmp_path / "whole")
    for name in ("stream", "whole"):
        one = Watch(tmp_path / name, settings, accelerator, steps=10, epochs=1)
        run_epochs(one, [0])
        one.close()
    for name in ("stream", "whole"):
        assert len(list((tmp_path / name / "tensorboard").glob("events*"))) == 1
