"""A run's folder: where it is, whether it has ended, whether it may be written to, and what makes it the same run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from affectzoo.config import ExperimentConfig
from affectzoo.data.windows import WindowDataset, fingerprint
from affectzoo.errors import ConfigError
from affectzoo.files import write_json
from affectzoo.model.affect_model import AffectModel
from affectzoo.train.seen import write_seen
from affectzoo.train.state import same_run

#: Settings that change neither the weights nor the scores of a run, so that they may change when it goes on.
_HARMLESS, _HARMLESS_TRAINING = ("output", "tracker"), ("workers", "checkpoint_steps", "keep_checkpoints")


def run_folder(experiment: ExperimentConfig) -> Path:
    """Where a run writes."""
    return Path(experiment.output) / experiment.name / f"seed{experiment.seed}"


def make_folder(folder: Path) -> None:
    """Make a run's folder before any work is done for it; several processes may do so at once."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output: {folder} cannot be made: {error.strerror or error}; choose another") from error


def that_matter(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an experiment, as JSON, without those that change no number."""
    kept = {key: value for key, value in settings.items() if key not in _HARMLESS}
    for part in ("train", "pretrain"):
        if kept.get(part) is not None:
            kept[part] = {key: value for key, value in kept[part].items() if key not in _HARMLESS_TRAINING}
    return kept


def identity_of(experiment: ExperimentConfig, datasets: Mapping[str, Any], accelerator: Accelerator) -> dict[str, Any]:
    """What must be the same when a run goes on: settings, data (`data_of`), number of processes."""
    prints = {split: fingerprint(data) for split, data in datasets.items() if isinstance(data, WindowDataset)}
    return {**that_matter(experiment.to_json()), "data_of": prints, "processes": accelerator.num_processes}


def is_done(experiment: ExperimentConfig, accelerator: Accelerator) -> bool:
    """Whether this very experiment has already ended here; asked by every process before any of them writes."""
    folder = run_folder(experiment)
    result, settings = (_read(folder / name) for name in ("result.json", "experiment.json"))
    accelerator.wait_for_everyone()
    return result is not None and settings is not None and that_matter(settings) == that_matter(experiment.to_json())


def result_of(experiment: ExperimentConfig, identity: Mapping[str, Any], accelerator: Accelerator) -> dict[str, Any] | None:
    """What a run that has ended here found; None where there is none.

    Raises:
        ConfigError: it was another run, or on other data.
    """
    folder = run_folder(experiment)
    result, settings = (_read(folder / name) for name in ("result.json", "experiment.json"))
    accelerator.wait_for_everyone()
    if result is None or settings is None:
        return None
    now = that_matter(experiment.to_json())
    same_run({**that_matter(settings), "data_of": result.get("data_of", {})}, {**now, "data_of": identity["data_of"]})
    return result


def refuse_to_overwrite(experiment: ExperimentConfig, resume: bool, accelerator: Accelerator) -> None:
    """A run may be weeks of work: one that was cut off is gone on with, and another one's result is left alone.

    Raises:
        ConfigError: it would be lost.
    """
    folder = run_folder(experiment)
    ended = _read(folder / "result.json") is not None
    unfinished = any((folder / "checkpoints").glob("step-*")) and not ended
    settings = _read(folder / "experiment.json")
    accelerator.wait_for_everyone()
    if unfinished and not resume:
        raise ConfigError(
            f"{folder} holds a run that has not ended: go on with --resume, or remove it, or choose another name="
        )
    if ended and settings is not None and that_matter(settings) != that_matter(experiment.to_json()):
        try:
            same_run(that_matter(settings), that_matter(experiment.to_json()))
        except ConfigError as error:
            raise ConfigError(f"{folder} holds the result of another run: {error}") from error


def write_config(experiment: ExperimentConfig, model: AffectModel, training: Any, accelerator: Accelerator) -> None:
    """Save what was asked for (`experiment.json`), with every default filled in (`config.json`), and whom it trains on."""
    if not accelerator.is_main_process:
        return
    folder = run_folder(experiment)
    (folder / "result.json").unlink(missing_ok=True)
    write_json(folder / "experiment.json", experiment.to_json())
    write_json(folder / "config.json", experiment.model_copy(update={"model": model.config}).to_json())
    write_seen(folder, experiment, training)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
