"""The ablation of the papers for anybody: fusions and single modalities on the same data, backbones, budget and seeds."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from affectzoo import __version__
from affectzoo.bench.code import keep_code
from affectzoo.bench.conditions import check_people
from affectzoo.bench.measure import measured
from affectzoo.bench.plan import Plan
from affectzoo.bench.rows import Candidate, called, reason
from affectzoo.data.folds import FoldConfig
from affectzoo.errors import ConfigError, DataError
from affectzoo.files import without_nan, write_json
from affectzoo.model.affect_model import AffectModel
from affectzoo.registry import registry
from affectzoo.train.loop import train
from affectzoo.train.runs import make_folder, that_matter
from affectzoo.train.splits import source_of
from affectzoo.train.state import StoppedError, same_run
from affectzoo.train.watch.watch import accelerator_for

SUMMARY = "bench.json"
#: Beside each run, what it said.
LOG = "train.log"


def bench_fusions(plan: Plan, *, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Train every row with every seed where that has not been done, score all of them, and time them side by side.

    Every run is an ordinary one of `affectzoo.train` in `plan.folder`, and goes on where it was cut off. Its best epoch is
    chosen on the validation split; the model of that epoch alone is scored on the test split. What fails is a row with its
    error.

    Returns:
        What `bench.json` holds: `rows`, each with `runs` (`seed`, its `fold` where there are folds, and `metrics` or `error`),
        `metrics` over seeds (of all folds of a seed together), `difference` to the baseline, both again for each of
        `conditions`, `parameters` and `ms_per_step`; what there is not, is None. `looked_at` lists every test split that models
        in this folder were ever scored on.

    Raises:
        ConfigError: the folder holds a comparison with other settings.
        DataError: a condition whose test split has other clips.
        StoppedError: SIGTERM came; the state of the run is saved.
    """
    shared = that_matter(plan.experiment.to_json())
    asked: dict[str, Any] = {
        "experiment": {key: value for key, value in shared.items() if key not in ("name", "seed", "new_parts")},
        "fold": None if plan.folds[0] is None else {**plan.folds[0].to_json(), "number": None},
    }
    before = _read_summary(plan.folder)
    if before is not None:
        try:
            same_run(*({**of["experiment"], "fold": of["fold"]} for of in (before, asked)))
        except ConfigError as error:
            raise ConfigError(f"{plan.folder} holds another comparison: {_for_all(str(error))}") from error
    if plan.conditions:
        everybody = AffectModel(plan.run(plan.candidates[-1], plan.seeds[0], plan.folds[0]).model).config
        accelerator = accelerator_for(plan.experiment.model_copy(update={"tracker": None}), plan.folder)
        for fold in plan.folds:
            check_people(plan.data(fold), {name: plan.data(fold, name) for name in plan.conditions}, everybody, accelerator)
    make_folder(plan.folder)
    head = {**asked, "versions": {"affectzoo": __version__}}
    if before is None:
        write_json(plan.folder / SUMMARY, {**head, "rows": []})
    runs: dict[Candidate, list[dict[str, Any]]] = {candidate: [] for candidate in plan.candidates}
    for seed in plan.seeds:  # one seed after the other: what is cut off has whole seeds
        for candidate in plan.candidates:
            runs[candidate] += [_run(plan, candidate, seed, fold, say) for fold in plan.folds]
    rows = [{"kind": own.kind, "name": own.name, **_component(plan, own), "runs": runs[own]} for own in plan.candidates]
    conditions = {name: {"options": list(own.options), "data": own.data.to_json()} for name, own in plan.conditions.items()}
    looked_at = list(before.get("looked_at", [])) if before else []
    # Whoever has looked has looked, whether or not the table still shows it.
    now = [asked["experiment"]["data"], *(own["data"] for own in conditions.values())]
    looked_at += [data for data in now if data not in looked_at]
    summary = {
        **head,
        "conditions": conditions,
        "looked_at": looked_at,
        "source": source_of(plan.experiment.data),
        "baseline": plan.baseline.name,
        "seeds": list(plan.seeds),
        "rows": rows,
    }
    if before is not None and _same_runs(before, summary):
        return before
    summary = without_nan(measured(plan, summary, say))
    write_json(plan.folder / SUMMARY, summary)
    return summary


def _read_summary(folder: Path) -> dict[str, Any] | None:
    path = folder / SUMMARY
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {**found, "experiment": found["experiment"], "fold": found["fold"], "rows": found["rows"]}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{path} is damaged; remove it, and run affectzoo bench again: runs that have ended are kept"
        ) from error


def _run(plan: Plan, candidate: Candidate, seed: int, fold: FoldConfig | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Train one, or take it as it is; a failure is said and kept, so that the others go on."""
    folder = plan.place(candidate, seed, fold)
    run: dict[str, Any] = {"seed": seed, **({} if fold is None else {"fold": fold.number})}
    run["run"] = folder.relative_to(plan.folder).as_posix()
    started = time.perf_counter()
    try:
        experiment = plan.run(candidate, seed, fold)
        make_folder(folder)
        if candidate.kind == "fusion":
            keep_code(folder, registry().find("fusion", plan.fusions[candidate.name].name), plan.fusions[candidate.name].config)
        # What a run tells of itself would bury what is told of all.
        with (folder / LOG).open("a", encoding="utf-8") as log, redirect_stdout(log):
            result = train(experiment, resume=True)
    except StoppedError:
        raise
    except (Exception, SystemExit) as error:
        run["error"] = _for_all(reason(error))
        say(f"{called(candidate, run)} failed: {run['error']}")
        return run
    finally:
        gc.collect()  # one run's model and data must not stand beside the next one's
    score, spent = result["val"]["score"], time.perf_counter() - started
    say(f"{called(candidate, run)}: validation score {score:.3f} in epoch {result['best_epoch']}, {spent:.0f} s")
    return run | {key: result[key] for key in ("best_epoch", "seconds", "data_of")} | {"split": _split(result)}


def _split(result: Mapping[str, Any]) -> str:
    return "test" if "test" in result else "val"


def _component(plan: Plan, candidate: Candidate) -> dict[str, Any]:
    """The fusion of a row and its options."""
    if candidate.kind == "alone":
        return {}
    own = plan.fusions[candidate.name]
    return {"fusion": own.name, "options": dict(own.config)}


def _for_all(text: str) -> str:
    """What `train` says of one run, as advice for a comparison, where names are not the user's to choose."""
    return text.replace("start a new run under another name", "choose another --out").replace(
        "start another run (name=...)", "choose another --out"
    )


def _same_runs(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether a summary is of these very runs, so that nothing need be predicted and timed again."""

    def known(summary: dict[str, Any]) -> Any:
        keys = ("run", "error", "best_epoch", "seconds", "data_of")
        rows = [[row["name"], [{key: run.get(key) for key in keys} for run in row["runs"]]] for row in summary["rows"]]
        told = [summary.get(key) for key in ("baseline", "versions", "conditions")]
        return json.loads(json.dumps(without_nan([rows, *told])))

    return known(before) == known(now)
