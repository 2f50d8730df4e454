"""What is measured on runs that have ended: scores on the test split and under each condition, differences, cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from affectzoo.bench.cost import milliseconds_per_step, parameters_of
from affectzoo.bench.plan import Plan
from affectzoo.bench.quality import Answers, answers_in, difference, joined, metrics_of, spread
from affectzoo.bench.rows import Candidate, called, reason
from affectzoo.data.folds import FoldConfig
from affectzoo.errors import DataError
from affectzoo.model.affect_model import AffectModel
from affectzoo.train.report.compare import DRAWS, LEVEL
from affectzoo.train.report.predicted import Loaded, load_model, predict_part
from affectzoo.train.watch.watch import accelerator_for

#: The test split as it is.
_PLAIN = None

#: (condition, row, seed) -> the answers for everybody.
_All = dict[tuple[str | None, Candidate, int], Answers]


def measured(plan: Plan, summary: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """The summary with everything that is measured; a run that fails here gets its `error`."""
    accelerator = accelerator_for(plan.experiment.model_copy(update={"precision": "no", "tracker": None}), plan.folder)
    settings = plan.experiment.train
    answers: _All = {}
    models: dict[str, AffectModel] = {}

    def answer(loaded: Loaded, split: str, fold: FoldConfig | None, condition: str | None) -> Answers:
        if condition is not _PLAIN and split != "test":
            raise DataError(f"{condition} cannot be scored: there is no test split with labels")
        data = plan.data(fold, condition)
        predicted = predict_part(loaded, data, split, accelerator, batch_size=settings.batch_size, workers=settings.workers)
        return answers_in(predicted, loaded.model.head.pool)

    for candidate, row in zip(plan.candidates, summary["rows"], strict=True):
        parts: dict[tuple[str | None, int], list[Answers]] = {}
        for run, fold in zip(row["runs"], plan.folds * len(plan.seeds), strict=True):
            if "error" in run:
                continue
            condition: str | None = _PLAIN
            try:
                loaded = load_model(plan.folder / run["run"])
                for condition in (_PLAIN, *plan.conditions):
                    own = answer(loaded, run["split"], fold, condition)
                    found = metrics_of(own, plan.experiment.model.targets)
                    if condition is _PLAIN:
                        run["metrics"] = found
                        models.setdefault(candidate.key, loaded.model)
                        summary["split"] = run["split"]
                    else:
                        run.setdefault("conditions", {})[condition] = found
                    parts.setdefault((condition, run["seed"]), []).append(own)
            except (Exception, SystemExit) as error:
                run["error"] = reason(error) if condition is _PLAIN else f"{condition}: {reason(error)}"
                say(f"{called(candidate, run)} failed: {run['error']}")
        # A seed without one of its folds has not answered for everybody.
        whole = {key: own for key, own in parts.items() if len(own) == len(plan.folds)}
        answers |= {(under, candidate, seed): joined(own) for (under, seed), own in whole.items()}
    summary["subjects"] = len(set(next(iter(answers.values())).subjects)) if answers else None
    times = milliseconds_per_step(models, settings.batch_size, accelerator.device)
    for candidate, row in zip(plan.candidates, summary["rows"], strict=True):
        row["error"] = next((run["error"] for run in row["runs"] if "error" in run), "")
        row |= _compared(plan, candidate, answers, _PLAIN)
        row["conditions"] = {name: _compared(plan, candidate, answers, name) for name in plan.conditions}
        row["parameters"] = parameters_of(models[candidate.key]) if candidate.key in models else None
        timed = times.get(candidate.key)
        if isinstance(timed, Exception):
            say(f"{candidate.called} could not be timed: {reason(timed)}")
        row["ms_per_step"] = timed if isinstance(timed, float) else None
    return summary | {"level": LEVEL, "draws": DRAWS, "device": str(accelerator.device)}


def _compared(
    plan: Plan, candidate: Candidate, answers: Mapping[tuple[str | None, Candidate, int], Answers], condition: str | None
) -> dict[str, Any]:
    """`metrics` over seeds and `difference` to the baseline, of one row on the test split or under one condition."""
    targets = plan.experiment.model.targets
    own = {seed: answers[condition, candidate, seed] for seed in plan.seeds if (condition, candidate, seed) in answers}
    found = [metrics_of(one, targets) for one in own.values()]
    base = {seed: answers[condition, plan.baseline, seed] for seed in own if (condition, plan.baseline, seed) in answers}
    pairs = [(own[seed], base[seed]) for seed in base]
    return {
        "metrics": {name: spread([one[name] for one in found]) for name in found[0]} if found else None,
        "difference": difference(pairs, targets) if pairs and candidate != plan.baseline else None,
    }
