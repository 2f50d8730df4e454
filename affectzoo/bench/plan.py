"""What a comparison of fusions trains: its rows, their seeds, and the experiment of each run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from affectzoo.config import ComponentConfig, ExperimentConfig
from affectzoo.errors import ConfigError
from affectzoo.hub.resolve import resolve
from affectzoo.model.affect_model import AffectModel
from affectzoo.registry import registry
from affectzoo.train.loop import check
from affectzoo.train.runs import run_folder
from affectzoo.train.start import begins

#: The baseline wherever it takes part.
_BASELINE = "concat"
#: Parts that every run trains from the beginning, whatever `init` holds of them.
_NEW = ("fusion", "temporals", "head")


@dataclass(frozen=True)
class Candidate:
    """What one row is about: a fusion, or one modality `alone` without any."""

    kind: Literal["fusion", "alone"]
    name: str

    @property
    def key(self) -> str:
        """Where its runs are; no two have the same."""
        return f"{self.kind}/{self.name}"

    @property
    def called(self) -> str:
        """For people: `concat`, or `visual alone`."""
        return self.name if self.kind == "fusion" else f"{self.name} alone"


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
        experiment: what all rows share; `output` is the folder of the comparison.
        candidates: the rows: fusions first, then each modality alone.
        seeds: of every row.
        baseline: the fusion that the others are compared with.
        held: names of the tensors of `init`; empty where there is none.
    """

    experiment: ExperimentConfig
    candidates: tuple[Candidate, ...]
    seeds: tuple[int, ...]
    baseline: Candidate
    held: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where runs and tables are written."""
        return Path(self.experiment.output)

    def place(self, candidate: Candidate, seed: int) -> Path:
        """The folder of one run."""
        return run_folder(self.experiment.model_copy(update={"name": candidate.key, "seed": seed}))

    def run(self, candidate: Candidate, seed: int) -> ExperimentConfig:
        """The experiment of one run. Its backbones come from `init`, where there is one; everything else starts anew.

        Raises:
            AffectzooError: with `init`, a part of its model that cannot be built.
        """
        model = self.experiment.model
        if candidate.kind == "alone":
            changes: dict[str, Any] = {"streams": {candidate.name: model.streams[candidate.name]}, "fusion": None}
        else:
            asked = model.fusion is not None and model.fusion.name == candidate.name
            changes = {"fusion": model.fusion if asked else ComponentConfig(name=candidate.name)}
        model = model.model_copy(update=changes)
        experiment = self.experiment.model_copy(update={"name": candidate.key, "seed": seed, "model": model})
        if not self.held:
            return experiment
        gone = [f"backbones.{name}" for name in self.experiment.model.streams if name not in model.streams]
        names = [*self.held, *AffectModel(model).state_dict()]
        # One that no tensor begins with is refused in an experiment: a fusion may have no weights.
        parts = [part for part in (*_NEW, *gone) if any(begins(name, [part]) for name in names)]
        return experiment.model_copy(update={"new_parts": tuple(parts)})


def plan_of(
    experiment: ExperimentConfig,
    *,
    fusions: Sequence[str] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    say: Callable[[str], None] = print,
) -> Plan:
    """A comparison of fusions in the place of the experiment's own; that one keeps its config.

    Args:
        experiment: what all rows share (`affectzoo.bench.source.experiment_of`).
        fusions: registry names; None takes every one that is registered.
        seeds: of every row.
        say: told of what the differences are to where `concat` takes no part, and of families, which name no one fusion.

    Raises:
        ConfigError: fewer than two modalities, nothing to compare, a fusion or seed given twice, or settings that fail.
        UnknownNameError, NameCollisionError: a fusion that nobody provides, or several do.
        DataError: the dataset cannot be used.
    """
    streams = list(experiment.model.streams)
    if len(streams) < 2:
        raise ConfigError(f"a fusion needs two modalities at least; here is {streams[0]} alone")
    names = list(fusions) if fusions is not None else _registered(say)
    for what, given in (("fusion", names), ("seed", [str(seed) for seed in seeds])):
        if not given:
            raise ConfigError(f"there is no {what} to compare; name at least one")
        twice = [value for value in given if given.count(value) > 1]
        if twice:
            raise ConfigError(f"the {what} {twice[0]} is given twice; give it once")
    if fusions is not None:
        for name in names:
            registry().find("fusion", name)
    first = _BASELINE if _BASELINE in names else names[0]
    if first != _BASELINE:
        say(f"{_BASELINE} takes no part: differences are to {first}, the first that is named")
    held: tuple[str, ...] = ()
    if experiment.init is not None:
        held = tuple(AffectModel.from_folder(resolve(experiment.init).folder).state_dict())
    fused = [Candidate("fusion", name) for name in names]
    alone = [Candidate("alone", name) for name in streams]
    plan = Plan(experiment, (*fused, *alone), tuple(seeds), Candidate("fusion", first), held)
    check(plan.run(alone[0], plan.seeds[0]))  # what is wrong for every row is no row's fault
    return plan


def _registered(say: Callable[[str], None]) -> list[str]:
    names = registry().names("fusion")
    for family in [name for name in names if name.endswith("/")]:
        say(f"{family} is a family of fusions: name those of it that should take part")
    return [name for name in names if not name.endswith("/")]
