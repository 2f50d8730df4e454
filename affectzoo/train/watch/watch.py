"""Watching a run: a progress bar or a line an epoch, `metrics.jsonl`, `curves.png`, `environment.json`, a tracker."""

from __future__ import annotations

import json
import math
import time
from collections import deque
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from affectzoo.config import ExperimentConfig
from affectzoo.errors import ConfigError
from affectzoo.files import replacing, without_nan
from affectzoo.train.watch.curves import draw_curves
from affectzoo.train.watch.environment import write_environment

#: Steps that speed and the share of waiting are measured over, and steps between two values that go to a tracker.
_RECENT, _TRACKED = 100, 10
#: Seconds between two looks of the bar, and the shortest epoch that is worth a picture.
_LOOK_S, _PICTURE_S = 0.1, 1.0


def accelerator_for(experiment: ExperimentConfig, folder: Path) -> Accelerator:
    """The accelerator of a run that writes to `folder`.

    Raises:
        ConfigError: the tracker's package is not installed, or this machine lacks the precision.
    """
    tracker = experiment.tracker
    if tracker is not None and not _is_installed(tracker):
        raise ConfigError(f"tracker {tracker} is not installed: pip install {tracker}, or leave tracker out")
    if experiment.precision == "fp16" and not torch.accelerator.is_available():
        raise ConfigError("precision fp16 cannot be had here: it needs a GPU; use bf16, or no")
    if AcceleratorState._shared_state.get("_mixed_precision", experiment.precision) != experiment.precision:
        AcceleratorState._reset_state()  # of a run before this one, which would decide on the precision of all
    try:
        return Accelerator(
            # Without it, several processes on a machine without a GPU would know nothing of each other.
            cpu=not torch.accelerator.is_available(),
            mixed_precision=experiment.precision,
            # A batch may lack a whole modality, and a part may be frozen.
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
            log_with=tracker,
            project_dir=folder,
        )
    except ValueError as error:
        raise ConfigError(f"precision {experiment.precision} cannot be had here: {error}") from error


class _Step(NamedTuple):
    clock: float
    loss: float
    examples: int
    waited: float


class Watch:
    """What is seen and written of a run while it goes on; processes other than the main one do nothing.

    Args:
        folder: of the run.
        experiment: its settings.
        accelerator: of this process.
        steps, epochs: optimiser steps and epochs of the whole run.
        done, done_epochs: how many of them a run that goes on has behind it; later lines of `metrics.jsonl` are dropped.

    Raises:
        ConfigError: the tracker does not start.
    """

    def __init__(
        self,
        folder: Path,
        experiment: ExperimentConfig,
        accelerator: Accelerator,
        *,
        steps: int,
        epochs: int,
        done: int = 0,
        done_epochs: int = 0,
    ) -> None:
        self.folder, self.accelerator, self.active = folder, accelerator, accelerator.is_main_process
        if not self.active:
            return
        self.steps, self.epochs, self.done = steps, epochs, done
        self.lr, self.losses, self.counted, self.drawn = 0.0, 0.0, 0, True
        self.lines = _keep_lines(folder / "metrics.jsonl", done_epochs)
        write_environment(folder / "environment.json", accelerator, done=done)
        if experiment.tracker is not None:
            _start_tracker(experiment, folder, accelerator, done)
        self.tracked = bool(accelerator.trackers)
        self.bar = _bar(Console())
        if self.bar is not None:
            self.task = self.bar.add_task("", total=steps, completed=done, epoch=self._epoch(), status="")
            self.bar.start()
        self._begin_epoch()

    def step(self, loss: float, lr: float, examples: int, waited: float) -> None:
        """Once an optimiser step, on every process.

        Args:
            loss: of the step.
            lr: learning rate of the step.
            examples: sub-sequences of all processes in it.
            waited: seconds spent waiting for data.
        """
        if not self.active:
            return
        now = time.perf_counter()
        self.done, self.lr = self.done + 1, lr
        self.losses, self.counted = self.losses + loss, self.counted + 1
        self.recent.append(_Step(now, loss, examples, waited))
        if self.bar is not None and now >= self.next_look:
            self.next_look = now + _LOOK_S
            self.bar.update(self.task, completed=self.done, status=self._status())
        if self.tracked and self.done % _TRACKED == 0:
            self._track_step()

    def epoch(self, line: dict[str, float | int]) -> None:
        """Once an epoch: `line` goes to the screen, to `metrics.jsonl`, to the tracker and into `curves.png`.

        Args:
            line: `epoch`, `loss`, the validation `score` and whatever else is worth a note; `steps`, where it is there, is
                the number of optimiser steps so far.
        """
        if not self.active:
            return
        self.done = int(line.get("steps", self.done))
        self.lines.append({"lr": self.lr} | line)
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(without_nan(line), allow_nan=False) + "\n")
        if self.tracked:
            values = {f"epoch/{key}": value for key, value in line.items() if math.isfinite(value)}
            self.accelerator.log(values, step=self.done)
        self.say(" ".join(f"{key}={_text(value)}" for key, value in line.items()))
        self.drawn = time.perf_counter() - self.began >= _PICTURE_S
        if self.drawn:
            draw_curves(self.lines, self.folder / "curves.png")
        self._begin_epoch()
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, epoch=self._epoch())

    def say(self, text: str) -> None:
        """One line above the bar."""
        if not self.active:
            return
        if self.bar is None:
            print(text, flush=True)
        else:
            self.bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Stop the bar, draw what has not been drawn, let the tracker finish; called again it does nothing."""
        if not self.active:
            return
        self.active = False
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done)
            self.bar.stop()
        # Not end_training, which would end the processes' group too.
        for tracker in self.accelerator.trackers:
            tracker.finish()
        self.accelerator.trackers.clear()
        if not self.drawn:
            draw_curves(self.lines, self.folder / "curves.png")

    def _begin_epoch(self) -> None:
        self.began = time.perf_counter()
        self.losses, self.counted, self.next_look = 0.0, 0, 0.0
        # The first entry only says when the others began.
        self.recent: deque[_Step] = deque([_Step(self.began, math.nan, 0, 0.0)], maxlen=_RECENT + 1)

    def _epoch(self) -> str:
        return f"epoch {min(len(self.lines) + 1, self.epochs)}/{self.epochs}"

    def _pace(self) -> tuple[float, float]:
        """Sub-sequences per second and the share of the time spent waiting for data, lately."""
        seconds = max(self.recent[-1].clock - self.recent[0].clock, 1e-9)
        steps = list(islice(self.recent, 1, None))
        return sum(step.examples for step in steps) / seconds, min(1.0, sum(step.waited for step in steps) / seconds)

    def _status(self) -> str:
        speed, waiting = self._pace()
        parts = [f"loss {self.losses / self.counted:.4f}"]
        scores = [line["score"] for line in self.lines if line.get("score") is not None and math.isfinite(line["score"])]
        if scores:
            parts.append(f"best {max(scores):.4f}")
        parts += [f"lr {self.lr:.2g}", f"{speed:.0f} sub-sequences/s", f"{waiting:.0%} waiting"]
        if self.accelerator.device.type == "cuda":
            parts.append(f"{torch.cuda.max_memory_allocated(self.accelerator.device) / 2**30:.1f} GiB")
        return "  ".join(parts)

    def _track_step(self) -> None:
        speed, waiting = self._pace()
        losses = [step.loss for step in self.recent][1:][-_TRACKED:]
        values = {
            "train/loss": sum(losses) / len(losses),
            "train/lr": self.lr,
            "train/sub_sequences_per_s": speed,
            "train/waiting": waiting,
        }
        self.accelerator.log(values, step=self.done)


def _bar(console: Console) -> Progress | None:
    """A bar over optimiser steps; None where nobody looks."""
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    return Progress(
        TextColumn("{task.fields[epoch]}"),
        BarColumn(bar_width=20, table_column=Column(no_wrap=True)),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[status]}", table_column=Column()),  # on a narrow terminal this one takes several lines
        console=console,
        refresh_per_second=4,
        speed_estimate_period=300.0,  # validation is part of the time left
    )


def _keep_lines(path: Path, count: int) -> list[dict[str, Any]]:
    """Cut a log down to its first `count` lines, or to those that are whole; makes the file."""
    kept: list[dict[str, Any]] = []
    texts = path.read_text(encoding="utf-8").splitlines()[:count] if count and path.is_file() else []
    for text in texts:
        try:
            kept.append(json.loads(text))
        except ValueError:
            break
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{text}\n" for text in texts[: len(kept)]), encoding="utf-8")
    return kept


def _start_tracker(experiment: ExperimentConfig, folder: Path, accelerator: Accelerator, done: int) -> None:
    # A stream that is trained alone has a folder of its own and its parent's accelerator.
    accelerator.project_configuration.logging_dir = str(folder)
    if not done:
        for path in (folder / "tensorboard").glob("events.out.tfevents.*"):
            path.unlink()
    run = f"{experiment.name}-seed{experiment.seed}"
    options: dict[str, dict[str, Any]] = {
        "tensorboard": {"purge_step": done + 1},  # steps that are made again replace those of the run that stopped
        "trackio": {"name": run},
        "wandb": {"name": run, "dir": str(folder)},
    }
    try:
        accelerator.init_trackers("tensorboard" if experiment.tracker == "tensorboard" else "affectzoo", init_kwargs=options)
    except Exception as error:  # each package has its own
        reason = f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
        raise ConfigError(f"tracker {experiment.tracker} does not start ({reason}); leave tracker out") from error


def _is_installed(package: str) -> bool:
    # By its metadata: a folder of that name, such as wandb makes, can be imported too.
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _text(value: float | int) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if 0 < abs(value) < 0.1 else f"{value:.4f}"
