"""How often a run has looked at a test split: who looks until a number pleases has fitted the test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from affectzoo.config import DataConfig, ExperimentConfig, ModelConfig
from affectzoo.errors import DataError, InputError
from affectzoo.files import without_nan
from affectzoo.train.splits import dataset_of

FILE = "looks.jsonl"
#: Options of every dataset that do not say which clips there are.
_ELSEWHERE = frozenset(("cache_dir", "workers", "detector"))
#: Options that name a folder are called so, or end so: `faces_root`.
_PLACES = ("root", "folder")


def run_of(model: Path) -> Path | None:
    """The run whose best epoch lies in `model`; None where it is not of a run."""
    return model.parent if model.name == "model" and (model.parent / "experiment.json").is_file() else None


@dataclass(frozen=True)
class Looks:
    """A look at a test split.

    Attributes:
        run: the folder; number: of the look, 1 for the first.
        of_training: whether one of those before was the end of the training.
        of: the dataset and the options that decide which clips it has.
    """

    run: Path
    number: int
    of_training: bool
    of: dict[str, Any]

    def __str__(self) -> str:
        trained = ", the first of them at the end of its training" if self.of_training else ""
        others = f"; {self.run / FILE} lists them" if self.number > 1 + self.of_training else ""
        return f"look number {self.number} of this run at this test split{trained}{others}"

    def record(self, how: Mapping[str, Any], score: Mapping[str, Any]) -> None:
        """Append a line to `looks.jsonl`: when, at what, with which options, and what came out.

        Raises:
            InputError: the file cannot be written.
        """
        line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "of": self.of, **how, "score": dict(score)}
        path = self.run / FILE
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(without_nan(line), allow_nan=False) + "\n")
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{path} cannot be written ({reason}), and each look at the test split is noted there") from error


def looks_at(run: Path, data: DataConfig, config: ModelConfig) -> Looks:
    """The next look of a run at the test split of `data`.

    Those before are the lines of `looks.jsonl` of the same data, and the end of the training if it tested on these.

    Raises:
        DataError: a file of the run is damaged.
    """
    of = _identity(data, config)
    trained = _own(run, config) == of
    before = sum(line.get("of") == of for line in _lines(run / FILE))
    return Looks(run, before + trained + 1, trained, of)


def _own(run: Path, config: ModelConfig) -> dict[str, Any] | None:
    """The data that the run was tested on at the end of its training; None where it was not."""
    result, settings = run / "result.json", run / "experiment.json"
    try:
        if not result.is_file() or "test" not in json.loads(result.read_text(encoding="utf-8")):
            return None
        experiment = ExperimentConfig.parse(json.loads(settings.read_text(encoding="utf-8")), where=str(settings))
    except (OSError, ValueError) as error:
        raise DataError(f"{run} cannot be read: {error}") from error
    return _identity(experiment.data, config)


def _identity(data: DataConfig, config: ModelConfig) -> dict[str, Any]:
    """A dataset with every option that decides which clips it has; named as registered, folders by their full names."""
    entry, arguments = dataset_of(data, config)
    kept = {name: value for name, value in arguments.items() if name not in _ELSEWHERE}
    for name in kept:
        if name.rpartition("_")[2] in _PLACES and kept[name] is not None:
            kept[name] = str(Path(str(kept[name])).expanduser().resolve())
    return json.loads(json.dumps({"name": entry.name, **kept}, default=str))


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; it lists the looks at the test split") from error
    if not all(isinstance(line, dict) for line in lines):
        raise DataError(f"{path} is damaged: each of its lines is one look at the test split, as a JSON object")
    return lines
