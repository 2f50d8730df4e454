"""Checkpoints of a run: all that the next step depends on, so that a run that was killed goes on as if it had not been.

A checkpoint is a folder `checkpoints/step-N`: `shared.pt`, one `process-I.pt` for each process, and `complete.json`, written
last, with the size of each. It is written under another name and renamed. These files are local: nothing reads them but a run
that goes on, and they hold tensors and numbers only.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from affectzoo.errors import CheckpointError, ConfigError

_COMPLETE, _SHARED = "complete.json", "shared.pt"


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        epoch, batch: the next batch to read; step: optimiser steps made.
        loss_sum, loss_count: of the steps of the current epoch.
        best, best_epoch: best validation score and its epoch, -1 before the first.
        seconds: spent so far.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    best: float = -math.inf
    best_epoch: int = -1
    seconds: float = 0.0


class StoppedError(Exception):
    """SIGTERM came: the state is saved, and the run can go on with `--resume`."""


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: of the run.
        keep: how many of the last stay.
        identity: what must be the same when the run goes on: experiment, data, number of processes.
        accelerator: every method is called on every process.
        say: takes one line for the user.
    """

    def __init__(
        self, folder: Path, *, keep: int, identity: Mapping[str, Any], accelerator: Accelerator, say: Callable[[str], None]
    ) -> None:
        self.folder, self.keep, self.accelerator, self.say = folder / "checkpoints", keep, accelerator, say
        self.identity = json.loads(json.dumps(identity))

    def save(self, shared: Mapping[str, Any], own: Mapping[str, Any], progress: Progress) -> None:
        """Write a checkpoint and remove all but the last `keep`.

        Args:
            shared: state that all processes have in common, written by the first one.
            own: state of this process, besides its random generators.

        Raises:
            CheckpointError: it could not be written; those before it are whole.
        """
        final = self.folder / f"step-{progress.step:09d}"
        temporary = self.folder / f".saving-{final.name}"
        main, failure = self.accelerator.is_main_process, None
        try:
            if main:
                shutil.rmtree(temporary, ignore_errors=True)
                temporary.mkdir(parents=True)
        except OSError as error:
            failure = error
        self._agree(failure, temporary)
        try:
            _write(temporary / f"process-{self.accelerator.process_index}.pt", {**own, "generators": generators()})
            if main:
                _write(temporary / _SHARED, {**shared, "progress": asdict(progress)})
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            failure = error
        self._agree(failure, temporary)
        try:
            if main:
                sizes = {path.name: path.stat().st_size for path in temporary.iterdir()}
                text = json.dumps({"files": sizes, "identity": self.identity, "step": progress.step}, indent=2)
                with (temporary / _COMPLETE).open("w", encoding="utf-8") as file:
                    file.write(text + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                _sync_folder(temporary)
                old = self.folder / f".old-{final.name}"  # of the same step, where a run went on from the end of an epoch
                if final.exists():
                    final.rename(old)
                temporary.rename(final)
                _sync_folder(self.folder)
                shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            failure = error
        self._agree(failure, temporary)
        if main:
            whole = [path for path in self._all() if _what_is_wrong(path) is None]
            for path in self._all():
                if path not in whole[-self.keep :]:
                    shutil.rmtree(path, ignore_errors=True)

    def latest(self) -> Path | None:
        """The last whole checkpoint; one line for each that is not."""
        for path in reversed(self._all()):
            wrong = _what_is_wrong(path)
            if wrong is None:
                return path
            self.say(f"{path.name} is skipped: {wrong}")
        return None

    def load(self, path: Path) -> tuple[dict[str, Any], dict[str, Any], Progress]:
        """Shared state, own state and progress of a checkpoint of this very run.

        Raises:
            ConfigError: another experiment, other data or another number of processes; the message names it.
        """
        then = json.loads((path / _COMPLETE).read_text(encoding="utf-8"))["identity"]
        same_run(then, self.identity)
        shared = torch.load(path / _SHARED, map_location="cpu", weights_only=True)
        own = torch.load(path / f"process-{self.accelerator.process_index}.pt", map_location="cpu", weights_only=True)
        return shared, own, Progress(**shared.pop("progress"))

    def clear(self) -> None:
        """Forget every checkpoint."""
        if self.accelerator.is_main_process:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.accelerator.wait_for_everyone()

    def _all(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("step-*") if path.is_dir()) if self.folder.is_dir() else []

    def _agree(self, failure: Exception | None, temporary: Path) -> None:
        try:
            agree(self.accelerator, failure, f"the checkpoint {temporary.name.removeprefix('.saving-')}", self.folder)
        except CheckpointError:
            if self.accelerator.is_main_process:
                shutil.rmtree(temporary, ignore_errors=True)
            raise


def agree(accelerator: Accelerator, failure: Exception | None, what: str, folder: Path) -> None:
    """Go on together, or fail together: called on every process, with what went wrong on this one.

    Raises:
        CheckpointError: something did, somewhere.
    """
    flag = torch.tensor([failure is not None], dtype=torch.float32, device=accelerator.device)
    if float(accelerator.reduce(flag, "sum")) == 0:  # pyright: ignore[reportArgumentType]
        return
    reason = "another process failed"
    if failure is not None:
        reason = getattr(failure, "strerror", None) or str(failure).splitlines()[0]
    raise CheckpointError(
        f"{what} cannot be written to {folder}: {reason}; checkpoints before it are whole: make room and go on with --resume"
    ) from failure


def generators() -> dict[str, Any]:
    """State of every global random generator of this process."""
    kind, keys, place, has_gauss, gauss = np.random.get_state()
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), place, has_gauss, gauss),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_generators(state: Mapping[str, Any]) -> None:
    """Put every global random generator where `generators` found it."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, place, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), place, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Within the block SIGTERM ends nothing: the function given tells whether it has come."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set  # signals are the main thread's alone
        return
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


def _write(path: Path, state: Mapping[str, Any]) -> None:
    with path.open("wb") as file:
        torch.save(dict(state), file)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _what_is_wrong(path: Path) -> str | None:
    try:
        files = json.loads((path / _COMPLETE).read_text(encoding="utf-8"))["files"]
        sizes = {name: (path / name).stat().st_size for name in files}
    except (OSError, ValueError, KeyError, TypeError):
        return "it is only half written"
    return None if sizes == files else "it is only half written"


def same_run(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to take one run for another, by the first key that differs."""
    before, after = _flat(then), _flat(now)
    for key in sorted(before.keys() | after.keys()):
        was, is_now = before.get(key), after.get(key)
        if was == is_now:
            continue
        if key == "processes":
            raise ConfigError(f"this run was trained by {was} processes, now there are {is_now}; go on with {was}")
        if key.startswith("data_of."):
            split = key.removeprefix("data_of.")
            raise ConfigError(
                f"the {split} split is not the one that this run was trained on; start a new run under another name"
            )
        raise ConfigError(
            f"{key} is {is_now!r}, and was {was!r} when this run began; set it back, or start another run (name=...)"
        )


def _flat(value: Any, above: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value:
        return {above: value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= _flat(item, f"{above}.{key}" if above else str(key))
    return found
