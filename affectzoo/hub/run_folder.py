"""A folder of `affectzoo train`, read as what others may know of it: settings without folders, people as counts."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affectzoo.cards.front import Metric, Value
from affectzoo.config import ExperimentConfig
from affectzoo.errors import AffectzooError, DataError
from affectzoo.model.origin import Origin, origin_of
from affectzoo.registry import registry
from affectzoo.remote.folders import all_without_folders

#: The settings of the run, in the repository that it is pushed to.
TRAINING_FILE = "training.json"

_METRICS = {"ccc": "CCC", "pcc": "PCC", "rmse": "RMSE", "mae": "MAE", "uar": "UAR"}
_SPLITS = {"test": "test", "val": "val, by which the epoch was chosen"}
#: Stands for the name of a person in settings.
_SOMEBODY = "(a subject)"
_DIRECT = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        folder: of the run.
        experiment: what was asked for.
        result: what `result.json` holds; None for a run that has not ended.
        environment: versions and device; empty where they were not written.
        trained_on: dataset -> how many people, its model and what that began from; None where nobody knows.
    """

    folder: Path
    experiment: ExperimentConfig
    result: dict[str, Any] | None
    environment: dict[str, Any]
    trained_on: dict[str, int | None]
    _people: frozenset[str]

    @property
    def model(self) -> Path:
        """The folder of its best epoch."""
        return self.folder / "model"

    def settings(self) -> dict[str, Any]:
        """The experiment as JSON: absolute paths are their last part, and nobody's name stands in it."""
        settings = all_without_folders(self.experiment.to_json())
        return settings | {"data": _without_names(settings["data"], self._people)}

    def command(self) -> str:
        """Trains the same again, from `training.json`; what lay in a folder of this machine is to be filled in."""
        moved = _moved(self.experiment.to_json(), self.settings())
        # Where it is written decides nothing.
        told = [shlex.quote(f"{key}=PATH/TO/{last}") for key, last in moved if key != "output"]
        return " ".join(["affectzoo train", TRAINING_FILE, *told])

    def metrics(self) -> list[Metric]:
        """The scores of the run's best epoch, a row for each metric and split; a score that is not defined is left out."""
        of = "sub-sequences" if self.experiment.model.head.pool is None else "recordings"
        rows = []
        for split, told in _SPLITS.items():
            scores = (self.result or {}).get(split, {})
            for metric, word in _METRICS.items():
                named = {target.name: scores.get(f"{metric}.{target.name}") for target in self.experiment.model.targets}
                values = {name: Value(mean=round(value, 4)) for name, value in named.items() if value is not None}
                if values:
                    rows.append(
                        Metric(
                            metric=f"{word} over all {of} of the split",
                            dataset=self.experiment.data.name,
                            split=told,
                            subjects=(self.result or {}).get("subjects", {}).get(split) or None,
                            values=values,
                            command=self.command(),
                        )
                    )
        return rows

    def training(self) -> str:
        """How it was trained, in a paragraph."""
        asked, ran = self.experiment, self.environment
        if self.result is None:
            ended = f"Of at most {asked.train.epochs} epochs; the training had not ended when this was pushed"
        else:
            ended = f"Epoch {self.result['best_epoch']} of at most {asked.train.epochs}, the best on the validation split"
        with_what = ", ".join(f"{name} {ran[name]}" for name in ("affectzoo", "torch") if name in ran)
        on = f" on {ran['device']}" if "device" in ran else ""
        ran_with = f" Trained with {with_what}{on}." if with_what else ""
        return f"{ended}; seed {asked.seed}.{ran_with} `{TRAINING_FILE}` holds every setting: `{self.command()}`."

    def data(self) -> str:
        """What it was trained on: datasets, licences, how many people; a list."""
        counts = (self.result or {}).get("subjects", {})
        splits = ", ".join(f"{number} in {split}" for split, number in counts.items())
        lines = []
        for name in self.trained_on or {self.experiment.data.name: None}:
            people = self.trained_on.get(name)
            known = "people: not known" if people is None else f"people trained on: {people}"
            lines.append(f"- `{name}`{_licence_of_data(name)}; {known}")
        return "\n".join([*lines, *([f"\nPeople of this training's splits: {splits}."] if splits else [])])

    def origins(self) -> tuple[list[Origin], bool]:
        """The models of the zoo or the Hub that it began from, through the author's own runs; whether one is not known."""
        found: dict[str, Origin] = {}
        unknown = self._gather(found, frozenset())
        return list(found.values()), unknown

    def _gather(self, found: dict[str, Origin], above: frozenset[Path]) -> bool:
        """Add the origins by name; whether one is not known. `above` are folders of runs on the way here."""
        unknown = False
        for name in self.experiment.init_models:
            folder = self.folder_named(name)
            if folder is None:
                origin = origin_of(name)
                found |= {origin.name: origin} if origin else {}
                unknown |= origin is None
            elif folder in above or (before := find_run(folder)) is None:
                unknown = True
            else:
                unknown |= before._gather(found, above | {folder})
        return unknown

    def folder_named(self, name: str) -> Path | None:
        """A folder by the name that the experiment has for it: as seen from here, or from where it was trained."""
        path = Path(name).expanduser()
        output = Path(self.experiment.output)
        above = list(self.folder.resolve().parents)
        # output/name/seed0
        depth = len(output.parts) + len(Path(self.experiment.name).parts)
        places = [path] if output.is_absolute() or depth >= len(above) else [path, above[depth] / path]
        return next((place.resolve() for place in places if place.is_dir()), None)

    def pretrained(self) -> list[str]:
        """Names of components that began from weights which others had published."""
        streams = self.experiment.model.streams
        parts = [part for stream in streams.values() for part in (stream.backbone, stream.temporal) if part is not None]
        return [part.name for part in parts if part.config.get("pretrained") or part.config.get("init")]


def find_run(folder: Path) -> Run | None:
    """The run whose folder, or whose `model`, this is; None where it is neither.

    Raises:
        DataError: a file of it cannot be read.
        ConfigError: its settings are of no experiment.
    """
    for place in (folder, folder.parent) if folder.name == "model" else (folder,):
        if (place / "experiment.json").is_file() and (place / "model").is_dir():
            return _read_run(place)
    return None


def _read_run(folder: Path) -> Run:
    settings = folder / "experiment.json"
    seen = _read(folder / "trained_on.json")
    people = {name: found for name, found in seen.items() if isinstance(found, list)}
    result = _read(folder / "result.json")
    return Run(
        folder=folder,
        experiment=ExperimentConfig.parse(_read(settings), where=str(settings)),
        result=result or None,
        environment=_read(folder / "environment.json"),
        trained_on={name: len(people[name]) if name in people else None for name in seen},
        _people=frozenset(str(person) for found in people.values() for person in found),
    )


def _read(path: Path) -> dict[str, Any]:
    """A JSON mapping; empty where the file is absent."""
    if not path.is_file():
        return {}
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(held, dict):
        raise DataError(f"{path} is not a file of a run: it holds no mapping")
    return held


def _without_names(value: Any, people: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {_without_names(key, people): _without_names(item, people) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_names(item, people) for item in value]
    return _SOMEBODY if isinstance(value, str) and value in people else value


def _moved(before: Any, after: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Dotted key and new value of every text that lost its folder, where a command line can name it."""
    if isinstance(before, dict) and isinstance(after, Mapping):
        for name in before:
            if name in after and _DIRECT.fullmatch(name):
                yield from _moved(before[name], after[name], f"{key}.{name}".lstrip("."))
    elif isinstance(after, str) and before != after and after != _SOMEBODY:
        yield key, after


def _licence_of_data(name: str) -> str:
    """The licence of a corpus as its loader states it."""
    try:
        card = getattr(registry().find("dataset", name).resolve(), "card", None)
    except AffectzooError:
        return ""  # its plugin is not here, and the name is still worth saying
    return f" ({card.title}; licence of the data: {card.licence})" if card is not None else ""
