"""What a comparison of fusions trains: its rows, their seeds, and the experiment of each run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from affectzoo.bench.conditions import Condition
from affectzoo.bench.rows import Candidate, components, every_fusion, rows_of
from affectzoo.config import ComponentConfig, DataConfig, ExperimentConfig
from affectzoo.data.folds import FoldConfig, fold_count, fold_of
from affectzoo.errors import ConfigError
from affectzoo.hub.resolve import resolve
from affectzoo.model.affect_model import AffectModel
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


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
        experiment: what all rows share; `output` is the folder of the comparison.
        candidates: the rows: fusions first, then each modality alone.
        seeds: of every row.
        baseline: the fusion that the others are compared with.
        fusions: row -> its component.
        folds: how subjects are divided, once for each fold; `(None,)` takes the splits of the data.
        conditions: name -> a test split that every model is scored on besides.
        held: names of the tensors of `init`; empty where there is none, or where it gives backbones alone.
    """

    experiment: ExperimentConfig
    candidates: tuple[Candidate, ...]
    seeds: tuple[int, ...]
    baseline: Candidate
    fusions: Mapping[str, ComponentConfig]
    folds: tuple[FoldConfig | None, ...] = (None,)
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    held: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where runs and tables are written."""
        return Path(self.experiment.output)

    def place(self, candidate: Candidate, seed: int, fold: FoldConfig | None = None) -> Path:
        """The folder of one run."""
        return run_folder(self.experiment.model_copy(update={"name": _name(candidate, fold), "seed": seed}))

    def data(self, fold: FoldConfig | None = None, condition: str | None = None) -> DataConfig:
        """What a run is trained on, or what its model is scored on under a condition."""
        data = self.experiment.data if condition is None else self.conditions[condition].data
        return data if fold is None else with_fold(data, fold)

    def run(self, candidate: Candidate, seed: int, fold: FoldConfig | None = None) -> ExperimentConfig:
        """The experiment of one run. Its backbones come from `init`, where there is one; everything else starts anew.

        Raises:
            AffectzooError: with `init`, a part of its model that cannot be built.
        """
        model, init = self.experiment.model, self.experiment.init
        if candidate.kind == "alone":
            changes: dict[str, Any] = {"streams": {candidate.name: model.streams[candidate.name]}, "fusion": None}
        else:
            changes = {"fusion": self.fusions[candidate.name]}
        model = model.model_copy(update=changes)
        if isinstance(init, Mapping):
            init = {name: source for name, source in init.items() if name in model.streams} or None
        changes = {"name": _name(candidate, fold), "seed": seed, "model": model, "init": init, "data": self.data(fold)}
        experiment = self.experiment.model_copy(update=changes)
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
    conditions: Mapping[str, Condition] | None = None,
    say: Callable[[str], None] = print,
) -> Plan:
    """A comparison of fusions in the place of the experiment's own; that one keeps its config.

    Args:
        experiment: what all rows share (`affectzoo.bench.source.experiment_of`).
        fusions: registry names, or `row=name` for a fusion under another name; None takes every one that is registered.
        options: `fusions.row.key=value`, of one row.
        seeds: of every row.
        folds: cross-validate by subject; of `data.config.fold` its `seed` and `val` count. None takes the splits of the data.
        conditions: name -> what is scored besides (`affectzoo.bench.conditions.conditions_of`).
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
    names = rows_of(fusions) if fusions is not None else {name: name for name in every_fusion(say)}
    for what, given in (("fusion", names), ("seed", seeds)):
        if not given:
            raise ConfigError(f"there is no {what} to compare; name at least one")
    twice = [seed for seed in seeds if list(seeds).count(seed) > 1]
    if twice:
        raise ConfigError(f"the seed {twice[0]} is given twice; give it once")
    first = _BASELINE if _BASELINE in names else next(iter(names))
    if first != _BASELINE:
        say(f"{_BASELINE} takes no part: differences are to {first}, the first that is named")
    held: tuple[str, ...] = ()
    if isinstance(experiment.init, str):
        held = tuple(AffectModel.from_folder(resolve(experiment.init).folder).state_dict())
    fused = [Candidate("fusion", name) for name in names]
    alone = [Candidate("alone", name) for name in streams]
    parts = components(experiment.model.fusion, names, options)
    plan = Plan(experiment, (*fused, *alone), tuple(seeds), Candidate("fusion", first), parts, held=held)
    plan = replace(plan, conditions=dict(conditions or {}))
    if folds is not None:
        plan = _divided(plan, folds)
    check(plan.run(alone[0], plan.seeds[0], plan.folds[0]))  # what is wrong for every row is no row's fault
    return plan


def _divided(plan: Plan, folds: int | Literal["loso"]) -> Plan:
    """The same for all folds; whatever fold the data had is left."""
    given = fold_of(plan.experiment.data.config.get("fold"))  # pyright: ignore[reportArgumentType]
    fold = FoldConfig.parse({**(given.to_json() if given else {}), "folds": folds, "number": 0}, where="--folds")
    experiment = plan.experiment.model_copy(update={"data": without_fold(plan.experiment.data)})
    conditions = {name: replace(own, data=without_fold(own.data)) for name, own in plan.conditions.items()}
    accelerator = accelerator_for(experiment.model_copy(update={"tracker": None}), plan.folder)
    config = AffectModel(plan.run(plan.candidates[-1], plan.seeds[0]).model).config  # people are the same in every row
    count = fold_count(subjects_of_clips(experiment.data, config, fold, accelerator), folds)
    numbered = tuple(fold.model_copy(update={"number": number}) for number in range(count))
    return replace(plan, experiment=experiment, conditions=conditions, folds=numbered)
