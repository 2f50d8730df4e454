"""Cross-validation: a recipe over folds by subject, each fold an ordinary run that can go on, and one summary of all."""

from __future__ import annotations

import gc
import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from accelerate import Accelerator

from affectzoo import __version__
from affectzoo.config import DataConfig, ExperimentConfig, TargetConfig, target_columns
from affectzoo.data.folds import FoldConfig, assign, fold_count, fold_of
from affectzoo.data.protocols import Protocol
from affectzoo.errors import AffectzooError, ConfigError
from affectzoo.files import without_nan, write_json
from affectzoo.model.affect_model import AffectModel
from affectzoo.objectives.metrics import CLASS_METRICS, REGRESSION_METRICS
from affectzoo.train.evaluate import SplitPredictions, by_recording
from affectzoo.train.loop import check, train
from affectzoo.train.report.compare import over_folds
from affectzoo.train.report.fold_runs import SUMMARY, asked_of, read_summary, with_fold, without_fold
from affectzoo.train.report.predicted import Predicted, joined, load_model, predict_part
from affectzoo.train.report.protocol import (
    check_folds,
    check_model,
    named_folds,
    protocol_of,
    report_protocol,
    settle,
    subjects_of_clips,
)
from affectzoo.train.report.report import Report
from affectzoo.train.runs import is_done, make_folder, run_folder
from affectzoo.train.state import StoppedError, same_run
from affectzoo.train.watch.watch import accelerator_for

#: Trains one fold, or takes it as it is; returns what its `result.json` holds.
RunFold = Callable[[ExperimentConfig], dict[str, Any]]


@dataclass(frozen=True)
class Plan:
    """What is cross-validated.

    Attributes:
        experiment: the recipe; its data without a fold.
        fold: how subjects are divided; its number means nothing.
        subjects: of each clip.
        protocol: how it is reported; None gives the metrics alone.
    """

    experiment: ExperimentConfig
    fold: FoldConfig
    subjects: Sequence[str]
    protocol: Protocol | None = None

    @property
    def folder(self) -> Path:
        """Where the summary and the folds' runs are written."""
        return Path(self.experiment.output) / self.experiment.name

    @property
    def count(self) -> int:
        """Number of folds."""
        return fold_count(self.subjects, self.fold.folds)

    def held_out(self, number: int) -> tuple[list[str], int]:
        """The subjects that a fold tests, and the number of their clips."""
        splits = assign(self.subjects, self.fold.model_copy(update={"number": number}))
        own = [subject for subject, split in zip(self.subjects, splits, strict=True) if split == "test"]
        return sorted(set(own)), len(own)

    def run(self, number: int) -> ExperimentConfig:
        """The experiment of one fold."""
        width = max(2, len(str(self.count - 1)))
        data = with_fold(self.experiment.data, self.fold.model_copy(update={"number": number}))
        name = f"{self.experiment.name}/fold-{number:0{width}d}"
        return self.experiment.model_copy(update={"name": name, "data": data})


def plan_of(
    experiment: ExperimentConfig,
    *,
    folds: int | Literal["loso"] | None = None,
    seed: int | None = None,
    protocol: str | None = None,
) -> Plan:
    """A cross-validation of a recipe.

    Args:
        experiment: the recipe; `data.config.fold` may give `folds`, `seed` and `val`.
        folds: None takes those of the recipe or of the protocol.
        seed: decides which subjects share a fold; None is the recipe's, or 0.
        protocol: name of one with folds.

    Raises:
        ConfigError: no number of folds, a protocol that contradicts it, a dataset that has no folds, or settings that fail.
        DataError: the corpus cannot be used, or has too few subjects.
    """
    given = fold_of(experiment.data.config.get("fold"))  # pyright: ignore[reportArgumentType]
    data, chosen = without_fold(experiment.data), None
    if protocol is not None:
        chosen = protocol_of(data.name, protocol)
        if chosen.folds is None:
            raise ConfigError(
                f"the protocol {protocol} has the official split {chosen.split} and no folds; train, then affectzoo evaluate"
            )
        asked = folds or (given.folds if given else None)
        if asked is not None and asked != chosen.folds:
            raise ConfigError(
                f"{named_folds(asked)} are asked for, but the protocol {protocol} has {named_folds(chosen.folds)}; "
                "leave --folds and data.config.fold out"
            )
        folds, data = chosen.folds, settle(data, chosen)
    folds = folds or (given.folds if given else None)
    if folds is None:
        raise ConfigError("how many folds? give --folds 5, --folds loso, or a --protocol that says it")
    seed = seed if seed is not None else given.seed if given else 0
    divided = {**(given.to_json() if given else {}), "folds": folds, "seed": seed, "number": 0}
    fold = FoldConfig.parse(divided, where="--folds")
    experiment = experiment.model_copy(update={"data": data})
    model = AffectModel(experiment.model)
    if chosen is not None:
        check_model(chosen, model.config, model.head.pool, 0.0)
    accelerator = accelerator_for(experiment, Path(experiment.output))
    subjects = subjects_of_clips(data, model.config, fold, accelerator)
    plan = Plan(experiment, fold, subjects, chosen)
    check(plan.run(0))
    return plan


def cross_validate(
    plan: Plan, *, only: Sequence[int] = (), run: RunFold | None = None, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Train every fold that has not ended, then summarise those that have; what is finished is taken as it is.

    Writes `crossval.json` in `plan.folder`: `per_fold` (subjects, clips, run, best epoch, metrics on its own test subjects, or
    `error`), `metrics` (target -> metric -> mean and `sd` over folds, `pooled` value with its interval by subject), and
    `protocol`. All predictions are in float32.

    Args:
        plan: of `plan_of`.
        only: numbers of the folds to train; empty trains all.
        run: None trains in this process.
        say: takes one line for the user.

    Returns:
        What `crossval.json` holds.

    Raises:
        ConfigError: the folder holds another cross-validation, or there is no fold of that number.
        StoppedError: SIGTERM came; the state of the fold is saved.
    """
    wrong = [number for number in only if not 0 <= number < plan.count]
    if wrong:
        raise ConfigError(f"there is no fold {wrong[0]}; the folds are 0 to {plan.count - 1}")
    asked = asked_of(plan.experiment.to_json(), plan.fold)
    before = read_summary(plan.folder)
    if before is not None:
        try:
            same_run({key: before[key] for key in asked}, asked)
        except ConfigError as error:
            raise ConfigError(f"{plan.folder} holds another cross-validation: {error}") from error
    make_folder(plan.folder)
    head = {"name": plan.experiment.name, **asked, "count": plan.count, "versions": {"affectzoo": __version__}}
    if before is None:
        write_json(plan.folder / SUMMARY, {**head, "per_fold": []})
    rows = [
        _row(plan, number, (run or _train) if not only or number in only else _as_it_is, say) for number in range(plan.count)
    ]
    summary = {**head, "clips": len(plan.subjects), "subjects": len(set(plan.subjects))}
    summary["asked_protocol"] = None if plan.protocol is None else plan.protocol.name
    summary["per_fold"] = [row for row in rows if row is not None]
    if before is not None and _same_runs(before, summary):
        return before
    done = [row for row in summary["per_fold"] if not row["error"]]
    if done:
        summary |= _measured(plan, done)
    write_json(plan.folder / SUMMARY, summary)
    return without_nan(summary)


def _train(experiment: ExperimentConfig) -> dict[str, Any]:
    return train(experiment, resume=True)


def _as_it_is(experiment: ExperimentConfig) -> dict[str, Any] | None:
    """The result of a fold that is not to be trained now; None where it has not ended."""
    if not is_done(experiment, Accelerator()):
        return None
    return json.loads((run_folder(experiment) / "result.json").read_text(encoding="utf-8"))


def _row(
    plan: Plan, number: int, run: Callable[..., dict[str, Any] | None], say: Callable[[str], None]
) -> dict[str, Any] | None:
    """What is known of a fold before its predictions are compared; a failure is said and kept, so that the others go on."""
    experiment = plan.run(number)
    subjects, clips = plan.held_out(number)
    place = run_folder(experiment).relative_to(plan.folder).as_posix()
    row: dict[str, Any] = {"fold": number, "run": place, "subjects": subjects, "clips": clips, "error": ""}
    if run is not _as_it_is:
        more = f" and {len(subjects) - 3} more" if len(subjects) > 3 else ""
        say(f"fold {number} of {plan.count}: tested on {', '.join(subjects[:3])}{more}")
    try:
        result = run(experiment)
    except StoppedError:
        raise
    except AffectzooError as error:
        row["error"] = str(error)
    except Exception as error:
        traceback.print_exc()
        row["error"] = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"
    else:
        if result is None:
            return None
        return row | {key: result[key] for key in ("best_epoch", "seconds", "data_of")}
    finally:
        gc.collect()  # one fold's model and data must not stand beside the next one's
    say(f"fold {number} failed: {row['error']}")
    return row


def _same_runs(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether a summary is of these very runs, so that nothing need be predicted again."""
    known = [{key: row.get(key) for key in own} for row, own in zip(before["per_fold"], now["per_fold"], strict=False)]
    keys = ("asked_protocol", "versions")
    return (
        len(before["per_fold"]) == len(now["per_fold"])
        and known == json.loads(json.dumps(without_nan(now["per_fold"])))
        and all(before.get(key) == now[key] for key in keys)
    )


def _measured(plan: Plan, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The metrics of folds that have ended: of each (put into `rows`), over folds, of all together, and the protocol's."""
    accelerator = accelerator_for(plan.experiment.model_copy(update={"precision": "no", "tracker": None}), plan.folder)
    first = AffectModel.from_folder(plan.folder / rows[0]["run"] / "model")
    config, pool = first.config, first.head.pool
    parts: list[Predicted] = []
    for row in rows:
        predicted = predict_part(
            load_model(plan.folder / row["run"]),
            plan.run(row["fold"]).data,
            "test",
            accelerator,
            fold=row["fold"],
            delivered=plan.protocol is not None,
            batch_size=plan.experiment.train.batch_size,
            workers=plan.experiment.train.workers,
        )
        parts.append(predicted)
        steps = predicted.steps
        row["test"] = _metrics(steps.at(steps.valid) if pool is None else by_recording(steps, pool), config.targets)
    everything = joined(parts)
    check_folds(everything)
    report = Report(
        model=str(plan.folder),
        source=str(plan.folder),
        revision="",
        data=DataConfig(name=plan.experiment.data.name, config=plan.experiment.data.config),
        split="test",
        targets=config.targets,
        pool=pool,
        post_processing=(),
        steps=everything.steps,
        times_s=everything.times_s,
        recordings=None if pool is None else by_recording(everything.steps, pool),
        clip_ids=everything.clip_ids,
        subjects=everything.subjects,
    )
    pooled = report.results["metrics"]
    found: dict[str, Any] = {}
    for target, metrics in pooled.items():
        found[target] = {}
        for metric in metrics:
            over = over_folds([row["test"][target][metric] for row in rows])
            found[target][metric] = {"mean": over.pop("value"), **over, "pooled": metrics[metric]}
    of = report.results["predictions_of"]
    summary: dict[str, Any] = {"predictions_of": of, "intervals": report.results["intervals"], "metrics": found}
    if plan.protocol is not None:
        summary["protocol"] = report_protocol(plan.protocol, everything, config, pool).results
    return summary


def _metrics(series: SplitPredictions, targets: Sequence[TargetConfig]) -> dict[str, dict[str, float]]:
    """Target -> metric -> value; NaN where it is not defined."""
    columns = target_columns(targets)
    found: dict[str, dict[str, float]] = {}
    for target in targets:
        x, y = (values[:, columns[target.name]] for values in (series.prediction, series.label))
        known = CLASS_METRICS if target.kind == "categorical" else REGRESSION_METRICS
        found[target.name] = {name: float(metric(x, y, None)) for name, metric in known.items()}
    return found
