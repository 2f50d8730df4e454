"""`affectzoo features`: encode a dataset once, so that fusions and heads train on its features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from affectzoo.cli.console import out, remark
from affectzoo.cli.predict import make_folder
from affectzoo.errors import ConfigError

#: Overrides that are of an experiment, and of no dataset.
_OF_EXPERIMENT = ("init=", "init.", "model.", "data.")


def extract_features(
    data: str,
    overrides: Sequence[str],
    *,
    backbones: Sequence[str],
    model: str | None,
    folder: Path,
    seconds: float | None,
    targets: str | None,
    batch_size: int,
    workers: int,
) -> None:
    """Extract, then print how much, how fast and how to train on it.

    An experiment file needs neither backbones nor a model: then those that its `init` gives encode its data, and `overrides`
    may change `init`, `model` and `data` besides the options of the dataset.
    """
    of_experiment = not backbones and model is None and Path(data).suffix in (".yaml", ".yml")
    if bool(backbones) == (model is not None) and not of_experiment:
        raise ConfigError(
            "features come from --backbone, given once or several times, or from --model; give one of the two, or neither and "
            "an experiment file whose init names models"
        )
    names = None if targets is None else _names(targets)
    given = [_yaml(text, "--backbone") for text in backbones]
    for text, backbone in zip(backbones, given, strict=True):
        if not isinstance(backbone, str | dict):
            raise ConfigError(f"--backbone {text!r} is neither a name nor a mapping with name and config")
    make_folder(folder)

    from affectzoo.train.experiment import read_experiment
    from affectzoo.train.extract import encoders_of_backbones, encoders_of_experiment, encoders_of_model, extract
    from affectzoo.train.splits import read_data

    if of_experiment:
        own = [override if override.startswith(_OF_EXPERIMENT) else f"data.config.{override}" for override in overrides]
        experiment = read_experiment(Path(data).expanduser(), own)
        dataset = experiment.data
        encoders = encoders_of_experiment(experiment, seconds=seconds, targets=names, say=remark)
    else:
        dataset = read_data(data, overrides)
        if model is not None:
            encoders = encoders_of_model(model, seconds=seconds, targets=names)
        else:
            encoders = encoders_of_backbones(given, seconds=seconds, targets=names)
    done = extract(dataset, encoders, folder, batch_size=batch_size, workers=workers, say=remark)
    if done is None:
        return
    if done.written:
        rate = done.steps / done.seconds
        out.print(f"{done.steps} sub-sequences in {done.seconds:.1f} s: {rate:.1f} a second", highlight=False)
    kept = f", {done.files - done.written} of them kept" if done.written < done.files else ""
    out.print(f"{folder}: {done.files} files{kept}; train with data.name=features data.config.folder={folder}", soft_wrap=True)


def _names(text: str) -> list[Any]:
    """Targets: `valence,arousal`, or a YAML list of names and mappings."""
    value = _yaml(text, "--targets")
    if isinstance(value, str):
        return [name.strip() for name in value.split(",")]
    return value if isinstance(value, list) else [value]


def _yaml(text: str, option: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{option} {text!r} is neither a name nor YAML") from error
