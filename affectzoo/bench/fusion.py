"""The ablation of the papers for anybody: fusions and single modalities on the same data, backbones, budget and seeds."""

from __future__ import annotations

import gc
import json
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from affectzoo import __version__
from affectzoo.bench.code import keep_code
from affectzoo.bench.cost import milliseconds_per_step, parameters_of
from affectzoo.bench.plan import Candidate, Plan
from affectzoo.bench.quality import Answers, answers_in, difference, joined, metrics_of, spread
from affectzoo.data.folds import FoldConfig
from affectzoo.errors import AffectzooError, ConfigError, DataError
from affectzoo.files import without_nan, write_json
from affectzoo.model.affect_model import AffectModel
from affectzoo.registry import registry
from affectzoo.train.loop import train
from affectzoo.train.report.compare import DRAWS, LEVEL
from affectzoo.train.report.predicted import load_model, predict_part
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
        `metrics` over seeds (of all folds of a seed together), `difference` to the baseline, `parameters` and `ms_per_step`;
        what there is not, is None.

    Raises:
        ConfigError: the folder holds a comparison with other settings.
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
            what = str(error).removesuffix("; set it back, or start another run (name=...)")
            raise ConfigError(
                f"{plan.folder} holds another comparison: {what}; set it back, or choose another --out"
            ) from error
    make_folder(plan.folder)
    head = {**asked, "versions": {"affectzoo": __version__}}
    if before is None:
        write_json(plan.folder / SUMMARY, {**head, "rows": []})
    runs: dict[Candidate, list[dict[str, Any]]] = {candidate: [] for candidate in plan.candidates}
    for seed in plan.seeds:  # one seed after the other: what is cut off has whole seeds
        for candidate in plan.candidates:
            runs[candidate] += [_run(plan, candidate, seed, fold, say) for fold in plan.folds]
    rows = [{"kind": own.kind, "name": own.name, "runs": runs[own]} for own in plan.candidates]
    summary = {
        **head,
        "source": source_of(plan.experiment.data),
        "baseline": plan.baseline.name,
        "seeds": list(plan.seeds),
        "rows": rows,
    }
    if before is not None and _same_runs(before, summary):
        return before
    summary = without_nan(_measured(plan, summary, say))
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
            keep_code(folder, registry().find("fusion", candidate.name), plan.fusions[candidate.name].config)
        # What a run tells of itself would bury what is told of all.
        with (folder / LOG).open("a", encoding="utf-8") as log, redirect_stdout(log):
            result = train(experiment, resume=True)
    except StoppedError:
        raise
    except (Exception, SystemExit) as error:
        run["error"] = reason(error)
        say(f"{_called(candidate, run)} failed: {run['error']}")
        return run
    finally:
        gc.collect()  # one run's model and data must not stand beside the next one's
    score, spent = result["val"]["score"], time.perf_counter() - started
    say(f"{_called(candidate, run)}: validation score {score:.3f} in epoch {result['best_epoch']}, {spent:.0f} s")
    return run | {key: result[key] for key in ("best_epoch", "seconds", "data_of")} | {"split": _split(result)}


def _called(candidate: Candidate, run: Mapping[str, Any]) -> str:
    return f"{candidate.called}, seed {run['seed']}" + (f", fold {run['fold']}" if "fold" in run else "")


def _split(result: Mapping[str, Any]) -> str:
    return "test" if "test" in result else "val"


def reason(error: BaseException) -> str:
    """One sentence; of an error that is not ours its kind too, and its traceback on standard error."""
    if isinstance(error, AffectzooError):
        return str(error)
    traceback.print_exception(error)
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}"


def _same_runs(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether a summary is of these very runs, so that nothing need be predicted and timed again."""

    def known(summary: dict[str, Any]) -> Any:
        keys = ("run", "error", "best_epoch", "seconds", "data_of")
        rows = [[row["name"], [{key: run.get(key) for key in keys} for run in row["runs"]]] for row in summary["rows"]]
        return json.loads(json.dumps(without_nan([rows, summary.get("baseline"), summary["versions"]])))

    return known(before) == known(now)


def _measured(plan: Plan, summary: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """The summary with everything that is measured on runs that have ended."""
    accelerator = accelerator_for(plan.experiment.model_copy(update={"precision": "no", "tracker": None}), plan.folder)
    answers: dict[tuple[Candidate, int], Answers] = {}
    models: dict[str, AffectModel] = {}
    settings, targets = plan.experiment.train, plan.experiment.model.targets
    for candidate, row in zip(plan.candidates, summary["rows"], strict=True):
        parts: dict[int, list[Answers]] = {}
        for run, fold in zip(row["runs"], plan.folds * len(plan.seeds), strict=True):
            if "error" in run:
                continue
            try:
                loaded = load_model(plan.folder / run["run"])
                data = plan.run(candidate, run["seed"], fold).data
                predicted = predict_part(
                    loaded, data, run["split"], accelerator, batch_size=settings.batch_size, workers=settings.workers
                )
            except (Exception, SystemExit) as error:
                run["error"] = reason(error)
                say(f"{_called(candidate, run)} failed: {run['error']}")
                continue
            own = answers_in(predicted, loaded.model.head.pool)
            run["metrics"] = metrics_of(own, targets)
            parts.setdefault(run["seed"], []).append(own)
            models.setdefault(candidate.key, loaded.model)
            summary["split"] = run["split"]
        # A seed without one of its folds has not answered for everybody.
        answers |= {(candidate, seed): joined(own) for seed, own in parts.items() if len(own) == len(plan.folds)}
    summary["subjects"] = len(set(next(iter(answers.values())).subjects)) if answers else None
    times = milliseconds_per_step(models, settings.batch_size, accelerator.device)
    for candidate, row in zip(plan.candidates, summary["rows"], strict=True):
        found = [metrics_of(answers[candidate, seed], targets) for seed in plan.seeds if (candidate, seed) in answers]
        row["error"] = next((run["error"] for run in row["runs"] if "error" in run), "")
        row["metrics"] = {name: spread([own[name] for own in found]) for name in found[0]} if found else None
        row["parameters"] = parameters_of(models[candidate.key]) if candidate.key in models else None
        timed = times.get(candidate.key)
        if isinstance(timed, Exception):
            say(f"{candidate.called} could not be timed: {reason(timed)}")
        row["ms_per_step"] = timed if isinstance(timed, float) else None
        pairs = [
            (answers[candidate, seed], answers[plan.baseline, seed])
            for seed in plan.seeds
            if (candidate, seed) in answers and (plan.baseline, seed) in answers
        ]
        row["difference"] = difference(pairs, targets) if pairs and candidate != plan.baseline else None
    return summary | {"level": LEVEL, "draws": DRAWS, "device": str(accelerator.device)}
