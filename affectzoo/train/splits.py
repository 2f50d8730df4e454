"""The splits of a dataset by registry name, prepared for a model; and how a command line names such a dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from affectzoo.config import DataConfig, ExperimentConfig, ModelConfig
from affectzoo.data.corpus_windows import builder_of
from affectzoo.data.feature_store import read_store
from affectzoo.data.schema import SPLITS
from affectzoo.data.windows import WindowDataset, check_labels, windows_over
from affectzoo.errors import AffectzooError, DataError, InputError, UnknownNameError
from affectzoo.registry import Entry, check_arguments, registry
from affectzoo.train.experiment import apply_override, read_experiment


def dataset_of(data: DataConfig, config: ModelConfig) -> tuple[Entry, dict[str, Any]]:
    """The registry entry of a dataset and the full arguments of its builder, every key checked."""
    entry = registry().find("dataset", data.name)
    builder = builder_of(entry.resolve())
    return entry, check_arguments(builder, {"config": config}, dict(data.config), f"dataset {entry.name!r}")


def source_of(data: DataConfig) -> str:
    """The registry name of a dataset; of stored features that of the dataset that they were made from."""
    name = registry().find("dataset", data.name).name
    return read_store(Path(str(data.config["folder"]))).data.name if name == "features" else name


def load_rows(
    data: DataConfig, config: ModelConfig, accelerator: Accelerator, splits: Sequence[str] = SPLITS
) -> Mapping[str, Any]:
    """Split -> prepared rows for the model's inputs; the main process prepares them, the others read its cache.

    Args:
        data: the dataset.
        config: the model's.
        accelerator: of this process.
        splits: the wanted ones; those that a dataset lacks are left out, and a corpus prepares no others.

    Raises:
        DataError: the builder failed; the sentence holds its reason.
        AffectzooError: what the builder refuses in a sentence of its own.
    """
    entry, arguments = dataset_of(data, config)
    try:
        with accelerator.main_process_first():
            rows = builder_of(entry.resolve())(config=config, **arguments)
            return {split: rows[split] for split in splits if split in rows}
    except AffectzooError:
        raise
    except Exception as error:
        # The datasets library wraps what a generator raises.
        cause = error.__cause__ or error
        if isinstance(cause, AffectzooError):
            raise cause from error
        reason = f"{type(cause).__name__}: {str(cause).strip().splitlines()[0] if str(cause).strip() else 'no message'}"
        raise DataError(f"dataset {entry.name!r} of {entry.provider} could not be built: {reason}") from error


def no_clips(data: DataConfig, split: str) -> DataError:
    """The error for a split that is absent or empty."""
    entry = registry().find("dataset", data.name)
    return DataError(f"dataset {entry.name!r} of {entry.provider} has no clips for the split {split}")


def load_split(data: DataConfig, config: ModelConfig, split: str, accelerator: Accelerator) -> WindowDataset:
    """Windows over every step of one split; its labels and its first window are read, to see that they fit the model.

    Raises:
        InputError: no such split.
        DataError: the split has no clips or is streamed, or its rows hold other inputs or labels than the model's.
    """
    if split not in SPLITS:
        raise InputError(f"there is no split {split!r}; use {', '.join(SPLITS)}")
    rows = load_rows(data, config, accelerator, splits=(split,))
    if split in rows and not hasattr(rows[split], "__len__"):
        raise DataError(f"the split {split} of dataset {data.name!r} is streamed; only a split that is on disk is evaluated")
    if split not in rows or not len(rows[split]):
        raise no_clips(data, split)
    dataset = windows_over(rows[split], config)
    if not len(dataset):
        raise DataError(f"the clips of the split {split} of dataset {data.name!r} hold no sub-sequence")
    check_labels(dataset)
    dataset[0]
    return dataset


def read_data(name: str, overrides: Sequence[str] = ()) -> DataConfig:
    """A dataset by registry name, or the `data` section of an experiment file or of a run folder.

    Args:
        name: `rendered`, `recipes/jca-rendered.yaml`, `runs/jca-rendered/seed0`.
        overrides: `dotted.key=value` of the dataset's options; values are YAML.

    Raises:
        UnknownNameError: none of these.
        DataError: a folder without an `experiment.json`.
        ConfigError: a file that is no experiment, or an override that is not `key=value`.
    """
    data = _named(name)
    config: dict[str, Any] = dict(data.config)
    for override in overrides:
        config = apply_override(config, override)
    return DataConfig.parse({"name": data.name, "config": config}, where=name)


def _named(name: str) -> DataConfig:
    path = Path(name).expanduser()
    if path.is_file() or path.suffix in (".yaml", ".yml"):
        return read_experiment(path).data
    saved = path / "experiment.json"
    if saved.is_file():
        try:
            return ExperimentConfig.parse(json.loads(saved.read_text(encoding="utf-8")), where=str(saved)).data
        except ValueError as error:
            if isinstance(error, AffectzooError):
                raise
            raise DataError(f"{saved} is not JSON: {error}") from error
    try:
        registry().find("dataset", name)
    except UnknownNameError:
        if path.is_dir():
            raise DataError(
                f"{path} is not a run folder: it holds no experiment.json; give a dataset, an experiment file or a run folder"
            ) from None
        raise
    return DataConfig(name=name)
