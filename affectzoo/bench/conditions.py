"""Conditions: the same test split with other options of its dataset, on which every run's model is scored besides."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator

from affectzoo.config import DataConfig, ExperimentConfig, ModelConfig
from affectzoo.data.feature_store import read_store
from affectzoo.data.windows import unlabelled
from affectzoo.errors import ConfigError, DataError
from affectzoo.train.experiment import apply_override
from affectzoo.train.extract import Encoders, encoders_of_experiment, encoders_of_model, extract
from affectzoo.train.splits import load_split

_FEATURES, _FOLDER = "features", "folder="
_CALLED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Condition:
    """Where its test split is, and the `key=value`s by which it differs."""

    data: DataConfig
    options: tuple[str, ...]


def parse_also(given: Sequence[str]) -> dict[str, list[str]]:
    """`NAME:key=value[,key=value]` -> name -> its `key=value`s. A comma that no `key=` follows belongs to a value.

    Raises:
        ConfigError: of another form, or a name that is given twice.
    """
    found: dict[str, list[str]] = {}
    for text in given:
        name, colon, rest = text.partition(":")
        changes = re.split(r",(?=[A-Za-z_][\w.-]*=)", rest)
        if not colon or not _CALLED.fullmatch(name) or any(not change.partition("=")[1] for change in changes):
            raise ConfigError(f"--also {text} is not of the form NAME:key=value, such as noisy:data.config.degraded=audio")
        if name in found:
            raise ConfigError(f"--also names {name} twice; give each condition a name of its own")
        for change in changes:
            if not change.startswith(("data.config.", _FOLDER)):
                raise ConfigError(
                    f"--also {name}: {change} is no option of the dataset; give data.config.KEY=VALUE, or of features "
                    "folder=OTHER"
                )
        found[name] = changes
    return found


def conditions_of(
    also: Mapping[str, Sequence[str]],
    experiment: ExperimentConfig,
    *,
    say: Callable[[str], None] = print,
) -> dict[str, Condition]:
    """Name -> condition.

    Of stored features either another folder is named, or the test split of the dataset that they were made from is encoded
    with the changed options into `OUT/features-NAME`.

    Args:
        also: of `parse_also`.
        experiment: what all rows share.
        say: takes one line for the user.

    Raises:
        ConfigError: options that do not fit the data.
        DataError: another folder whose features are not comparable.
        AffectzooError: what the dataset or the extraction refuses.
    """
    return {name: Condition(_changed(name, changes, experiment, say), tuple(changes)) for name, changes in also.items()}


def _changed(name: str, changes: Sequence[str], experiment: ExperimentConfig, say: Callable[[str], None]) -> DataConfig:
    folders = [change.removeprefix(_FOLDER) for change in changes if change.startswith(_FOLDER)]
    if folders and experiment.data.name != _FEATURES:
        raise ConfigError(
            f"--also {name}: folder={folders[0]} takes another folder of features, but {experiment.data.name} is "
            "no such folder; give data.config.KEY=VALUE"
        )
    if folders and len(changes) > 1:
        raise ConfigError(f"--also {name}: folder={folders[0]} stands for the whole test split; leave the rest out")
    if folders:
        return _other_folder(name, Path(folders[0]), experiment)
    overrides = [change.removeprefix("data.") for change in changes]
    if experiment.data.name != _FEATURES:
        return _apply(experiment.data, overrides, name)
    made_from = read_store(Path(str(experiment.data.config["folder"]))).data
    own, folder = _apply(made_from, overrides, name), Path(experiment.output) / f"features-{name}"
    say(f"features of the test split of {own.name} for {name}: {folder}")
    extract(own, _encoders(experiment, say), folder, only=("test",), say=say)
    return _other_folder(name, folder, experiment)


def _encoders(experiment: ExperimentConfig, say: Callable[[str], None]) -> Encoders:
    """The backbones of `init`, in the shape of the experiment's features."""
    sequence, targets = experiment.model.sequence, [target.to_json() for target in experiment.model.targets]
    if isinstance(experiment.init, str):
        return encoders_of_model(experiment.init, seconds=sequence.seconds, targets=targets)
    return encoders_of_experiment(experiment, say=say)


def _apply(data: DataConfig, overrides: Sequence[str], name: str) -> DataConfig:
    whole = data.to_json()
    for override in overrides:
        whole = apply_override(whole, override)
    return DataConfig.parse(whole, where=f"--also {name}")


def _other_folder(name: str, folder: Path, experiment: ExperimentConfig) -> DataConfig:
    """The features in `folder`, once it is known that they are those of the same backbones, targets and seconds."""
    given = Path(str(experiment.data.config["folder"]))
    here, there = read_store(given), read_store(folder)
    absent = [stream for stream in experiment.model.streams if stream not in there.streams]
    if absent:
        raise DataError(f"--also {name}: {folder} holds no features of {absent[0]}; extract them with the backbones of {given}")
    for stream in experiment.model.streams:
        if here.streams[stream].weights != there.streams[stream].weights:
            raise DataError(
                f"--also {name}: the features of {stream} in {folder} come from other weights than those in {given}; extract "
                "them with the same model"
            )
    if [t.name for t in here.targets] != [t.name for t in there.targets] or here.seconds != there.seconds:
        raise DataError(f"--also {name}: {folder} has other targets or seconds than {given}; extract it with the same model")
    return DataConfig(name=_FEATURES, config={**experiment.data.config, "folder": str(folder)})


def check_people(data: DataConfig, conditions: Mapping[str, DataConfig], config: ModelConfig, accelerator: Accelerator) -> None:
    """Refuse a condition whose test split has not the clips of `data`, in the same order: differences are between equals.

    Raises:
        DataError: names the condition and the first clip that differs; or there is no test split.
    """
    plain = load_split(data, config, "test", accelerator)
    if len(unlabelled(plain)) == len(plain.clip_ids):
        raise DataError(
            f"there is no test split with labels, and --also {next(iter(conditions))} is scored on one; leave it out"
        )
    for name, changed in conditions.items():
        own = load_split(changed, config, "test", accelerator)
        for number, clip in enumerate(plain.clip_ids):
            if number >= len(own.clip_ids) or (clip, plain.subjects[number]) != (own.clip_ids[number], own.subjects[number]):
                found = own.clip_ids[number] if number < len(own.clip_ids) else "nothing"
                raise DataError(f"--also {name}: its test split has {found} in the place of {clip}; let it change no clips")
        if len(own.clip_ids) > len(plain.clip_ids):
            extra = own.clip_ids[len(plain.clip_ids)]
            raise DataError(f"--also {name}: its test split has {extra} besides; let it change no clips")
