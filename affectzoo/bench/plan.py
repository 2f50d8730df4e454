"""What a comparison of fusions trains: its rows, their seeds, and the experiment of each run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from affectzoo.config import ComponentConfig, ExperimentConfig
from affectzoo.data.folds import FoldConfig, fold_count, fold_of
from affectzoo.errors import ConfigError
from affectzoo.hub.resolve import resolve
from affectzoo.model.affect_model import AffectModel
from affectzoo.registry import registry
from affectzoo.train.experiment import apply_override
from affectzoo.train.loop import check
from affectzoo.train.report.fold_runs import with_fold, without_fold
from affectzoo.train.report.protocol import subjects_of_clips
from affectzoo.train.runs import run_folder
from affectzoo.train.start import begins
from affectzoo.train.watch.watch import accelerator_for

#: The baseline wherever it takes part.
_BASELINE = "concat"
#: Parts that every run trains from the beginning, whatever `init` holds of them.
_NEW = ("fusion", "temporals", "head")
#: What an override of one fusion's own options begins with: `fusions.leader-follower.leader=gaze`.
OPTIONS = "fusions."


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
        fusions: name -> the component of that row.
        folds: how subjects are divided, once for each fold; `(None,)` takes the splits of the data.
        held: names of the tensors of `init`; empty where there is none.
    """

    experiment: ExperimentConfig
    candidates: tuple[Candidate, ...]
    seeds: tuple[int, ...]
    baseline: Candidate
    fusions: Mapping[str, ComponentConfig]
    folds: tuple[FoldConfig | None, ...] = (None,)
    held: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where runs and tables are written."""
        return Path(self.experiment.output)

    def place(self, candidate: Candidate, seed: int, fold: FoldConfig | None = None) -> Path:
        """The folder of one run."""
        return run_folder(self.experiment.model_copy(update={"name": _name(candidate, fold), "seed": seed}))

    def run(self, candidate: Candidate, seed: int, fold: FoldConfig | None = None) -> ExperimentConfig:
        """The experiment of one run. Its backbones come from `init`, where there is one; everything else starts anew.

        Raises:
            AffectzooError: with `init`, a part of its model that cannot be built.
        """
        model = self.experiment.model
        if candidate.kind == "alone":
            changes: dict[str, Any] = {"streams": {candidate.name: model.streams[candidate.name]}, "fusion": None}
        else:
            changes = {"fusion": self.fusions[candidate.name]}
        model, data = model.model_copy(update=changes), self.experiment.data
        changes = {"name": _name(candidate, fold), "seed": seed, "model": model}
        experiment = self.experiment.model_copy(update={**changes, "data": data if fold is None else with_fold(data, fold)})
        if not self.held:
            return experiment
        gone = [f"backbones.{name}" for name in self.experiment.model.streams if name not in model.streams]
        names = [*self.held, *AffectModel(model).state_dict()]
        # One that no tensor begins with is refused in an experiment: a fusion may have no weights.
        parts = [part for part in (*_NEW, *gone) if any(begins(name, [part]) for name in names)]
        return experiment.model_copy(update={"new_parts": tuple(parts)})


def _name(candidate: Candidate, fold: FoldConfig | None) -> str:
    return candidate.key if fold is None else f"{candidate.key}/fold-{fold.number:02d}"


def plan_of(
    experiment: ExperimentConfig,
    *,
    fusions: Sequence[str] | None = None,
    options: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2),
    folds: int | Literal["loso"] | None = None,
    say: Callable[[str], None] = print,
) -> Plan:
    """A comparison of fusions in the place of the experiment's own; that one keeps its config.

    Args:
        experiment: what all rows share (`affectzoo.bench.source.experiment_of`).
        fusions: registry names; None takes every one that is registered.
        options: `fusions.name.key=value`, of one fusion.
        seeds: of every row.
        folds: cross-validate by subject; of `data.config.fold` its `seed` and `val` count. None takes the splits of the data.
        say: told of what the differences are to where `concat` takes no part, and of families, which name no one fusion.

    Raises:
        ConfigError: fewer than two modalities, nothing to compare, a fusion or seed given twice, options of a fusion that
            takes no part, data that cannot be divided, or settings that fail.
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
    components = _components(experiment, names, options)
    plan = Plan(experiment, (*fused, *alone), tuple(seeds), Candidate("fusion", first), components, held=held)
    if folds is not None:
        plan = _divided(plan, folds)
    check(plan.run(alone[0], plan.seeds[0], plan.folds[0]))  # what is wrong for every row is no row's fault
    return plan


def _components(experiment: ExperimentConfig, names: Sequence[str], options: Sequence[str]) -> dict[str, ComponentConfig]:
    """Each fusion with its options: those that the experiment has for its own, and those that are given here."""
    own = experiment.model.fusion
    found = {name: own.to_json() if own is not None and own.name == name else {"name": name, "config": {}} for name in names}
    for option in options:
        # A name may have a dot in it, and be the beginning of another.
        meant = [name for name in names if option.startswith(f"{OPTIONS}{name}.")]
        if not meant:
            raise ConfigError(
                f"{option} is an option of no fusion that takes part; say {OPTIONS}NAME.key=value of {', '.join(names)}"
            )
        name = max(meant, key=len)
        found[name] = apply_override(found[name], f"config.{option.removeprefix(f'{OPTIONS}{name}.')}")
    return {name: ComponentConfig.parse(given, where=f"{OPTIONS}{name}") for name, given in found.items()}


def _divided(plan: Plan, folds: int | Literal["loso"]) -> Plan:
    """The same for all folds; whatever fold the data had is left."""
    given = fold_of(plan.experiment.data.config.get("fold"))  # pyright: ignore[reportArgumentType]
    fold = FoldConfig.parse({**(given.to_json() if given else {}), "folds": folds, "number": 0}, where="--folds")
    experiment = plan.experiment.model_copy(update={"data": without_fold(plan.experiment.data)})
    accelerator = accelerator_for(experiment.model_copy(update={"tracker": None}), plan.folder)
    config = AffectModel(plan.run(plan.candidates[-1], plan.seeds[0]).model).config  # people are the same in every row
    count = fold_count(subjects_of_clips(experiment.data, config, fold, accelerator), folds)
    numbered = tuple(fold.model_copy(update={"number": number}) for number in range(count))
    return replace(plan, experiment=experiment, folds=numbered)


def _registered(say: Callable[[str], None]) -> list[str]:
    names = registry().names("fusion")
    for family in [name for name in names if name.endswith("/")]:
        say(f"{family} is a family of fusions: name those of it that should take part")
    return [name for name in names if not name.endswith("/")]
