"""Whom a model was trained on, written beside it, so that a test on these people is noticed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from affectzoo.config import DataConfig, ExperimentConfig
from affectzoo.data.schema import IDENTITY
from affectzoo.data.windows import WindowDataset
from affectzoo.errors import DataError
from affectzoo.files import write_json
from affectzoo.hub.resolve import resolve
from affectzoo.train.splits import source_of

#: In the folder of a run: dataset -> subjects.
_FILE = "trained_on.json"
#: Dataset -> the subjects that a model was trained on; None where nobody knows which.
Seen = Mapping[str, frozenset[str] | None]


def seen_by(folder: Path) -> Seen:
    """Whom the model in `folder` was trained on, and the model that it started from; nobody where it is not of a run.

    Raises:
        DataError: a damaged file beside it.
    """
    for path in (folder.parent / _FILE, folder.parent / "experiment.json"):
        if not path.is_file():
            continue
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            if path.name != _FILE:  # a run of before that file
                return {held["data"]["name"]: None}
            return {name: None if people is None else frozenset(people) for name, people in held.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path} cannot be read: {error}") from error
    return {}


def write_seen(folder: Path, experiment: ExperimentConfig, training: Any) -> None:
    """Save the subjects of the training split, and whom the models of `experiment.init` and the teachers were trained on.

    Of a split that is streamed nobody knows them; whose classes are the people, tests on them by intent.
    """
    seen = dict(_of_models(experiment))
    if not _names_people(experiment):
        name = source_of(experiment.data)
        own = frozenset(training.subjects) if isinstance(training, WindowDataset) else None
        before = seen.get(name, frozenset())
        seen[name] = None if own is None or before is None else own | before
    write_json(folder / _FILE, {name: None if people is None else sorted(people) for name, people in seen.items()})


def check_people(experiment: ExperimentConfig, datasets: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """Refuse a subject in two splits; say who of the test split each model that it learns from was trained on.

    Raises:
        DataError: names the subject and both splits.
    """
    if _names_people(experiment):
        return  # they must be the same in every split
    people = {split: set(data.subjects) for split, data in datasets.items() if isinstance(data, WindowDataset)}
    for one, other in itertools.combinations(people, 2):
        if people[one] & people[other]:
            raise DataError(f"subject {min(people[one] & people[other])!r} is in both {one} and {other}")
    for name in _models(experiment):
        if met := met_before(_of_model(name), experiment.data, people.get("test", ())):
            say(f"warning: {name} was trained on {counted(met, people['test'])}, of the test split")


def met_before(seen: Seen, data: DataConfig, subjects: Iterable[str]) -> list[str]:
    """Those of a dataset's subjects that a model is known to have been trained on."""
    known = seen.get(source_of(data)) if seen else None
    return sorted(known.intersection(subjects)) if known else []


def counted(met: list[str], subjects: Iterable[str]) -> str:
    """`2 of the 5 subjects, anna among them`."""
    return f"{len(met)} of the {len(set(subjects))} subjects, {met[0]} among them"


def _models(experiment: ExperimentConfig) -> tuple[str, ...]:
    """The models that a run starts from or is taught by, each once: what they know of people reaches its weights."""
    distil = experiment.train.distil
    return tuple(dict.fromkeys((*experiment.init_models, *(distil.teachers if distil is not None else ()))))


def _of_models(experiment: ExperimentConfig) -> Seen:
    """Whom the models that a run learns from were trained on, together."""
    together: dict[str, frozenset[str] | None] = {}
    for name in _models(experiment):
        for dataset, people in _of_model(name).items():
            before = together.get(dataset, frozenset())
            together[dataset] = None if people is None or before is None else people | before
    return together


def _of_model(name: str) -> Seen:
    # Only a folder on this machine can have a run's file beside it; the Hub need not be asked.
    return seen_by(resolve(name).folder) if Path(name).expanduser().is_dir() else {}


def _names_people(experiment: ExperimentConfig) -> bool:
    return [target.name for target in experiment.model.targets] == [IDENTITY]
