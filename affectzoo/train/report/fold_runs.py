"""The folder of a cross-validation: `crossval.json`, and the run of each fold beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from affectzoo.config import DataConfig
from affectzoo.data.folds import FoldConfig
from affectzoo.errors import DataError, InputError
from affectzoo.train.runs import that_matter

SUMMARY = "crossval.json"


@dataclass(frozen=True)
class FoldRuns:
    """A cross-validation whose folds have all ended.

    Attributes:
        folder: of it.
        folds, seed: how subjects are divided.
        data: what it was trained on, without a fold.
        runs: the folder of each fold's run, by number; subjects: whom it was tested on.
    """

    folder: Path
    folds: int | Literal["loso"]
    seed: int
    data: DataConfig
    runs: tuple[Path, ...]
    subjects: tuple[frozenset[str], ...]


def is_cross_validation(name: str) -> bool:
    """Whether a model's name is the folder of a cross-validation."""
    return bool(name) and (Path(name).expanduser() / SUMMARY).is_file()


def read_summary(folder: Path) -> dict[str, Any] | None:
    """What `crossval.json` holds; None where there is none.

    Raises:
        DataError: it is damaged.
    """
    path = folder / SUMMARY
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; remove it, and run affectzoo crossval again") from error
    if not isinstance(found, dict) or not {"experiment", "fold", "per_fold", "count"} <= found.keys():
        raise DataError(f"{path} is no summary of a cross-validation; remove it, and run affectzoo crossval again")
    return found


def read_fold_runs(folder: Path) -> FoldRuns:
    """The runs of a cross-validation.

    Raises:
        DataError: `crossval.json` is absent or damaged.
        InputError: a fold has not ended, or failed.
    """
    found = read_summary(folder)
    if found is None:
        raise DataError(f"{folder} holds no {SUMMARY}; give the folder that affectzoo crossval writes to")
    rows = {row["fold"]: row for row in found["per_fold"] if not row["error"]}
    absent = [str(number) for number in range(found["count"]) if number not in rows]
    if absent:
        raise InputError(f"{folder}: no result of fold {', '.join(absent)}; run affectzoo crossval again first")
    fold = FoldConfig.parse({**found["fold"], "number": 0}, where=str(folder / SUMMARY))
    data = DataConfig.parse(found["experiment"]["data"], where=str(folder / SUMMARY))
    ended = [rows[number] for number in range(found["count"])]
    return FoldRuns(
        folder,
        fold.folds,
        fold.seed,
        without_fold(data),
        runs=tuple(folder / row["run"] for row in ended),
        subjects=tuple(frozenset(row["subjects"]) for row in ended),
    )


def with_fold(data: DataConfig, fold: FoldConfig) -> DataConfig:
    """The same data, divided by subject."""
    return DataConfig(name=data.name, config={**data.config, "fold": fold.to_json()})


def without_fold(data: DataConfig) -> DataConfig:
    """The same data, with its own splits."""
    return DataConfig(name=data.name, config={key: value for key, value in data.config.items() if key != "fold"})


def asked_of(experiment: dict[str, Any], fold: FoldConfig) -> dict[str, Any]:
    """What makes a cross-validation the same one: settings that change a number, and how subjects are divided."""
    data = {**experiment["data"], "config": {k: v for k, v in experiment["data"]["config"].items() if k != "fold"}}
    divided = {key: value for key, value in fold.to_json().items() if key != "number"}
    return {"experiment": that_matter({**experiment, "data": data}), "fold": divided}
