"""A model on a split: every metric with its interval by subject, each video and each subject besides."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from affectzoo import __version__
from affectzoo.config import DataConfig, TargetConfig, target_columns
from affectzoo.files import replacing, without_nan, write_json
from affectzoo.objectives.bootstrap import confidence_interval
from affectzoo.objectives.metrics import CLASS_METRICS, REGRESSION_METRICS, ccc
from affectzoo.train.evaluate import SplitPredictions
from affectzoo.train.report.classes import REPORTED, class_tables, confusion_frame, measured
from affectzoo.train.report.compare import DRAWS, LEVEL, Compared
from affectzoo.train.report.groups import by_column, headline, to_frame
from affectzoo.train.report.looks import FILE, Looks
from affectzoo.train.report.protocol import Reported

#: Metrics of a single video or subject: the others need many.
_OF_ONE = ("ccc", "mae", "rmse")


@dataclass(frozen=True)
class Report:
    """One model on one split.

    Attributes:
        model: as the user named it; source, revision: where it came from.
        data: the dataset with every option; split: of it.
        targets: the model's.
        pool: how steps become the score of a recording; None where every step is a prediction of its own.
        post_processing: what was done to predictions and labels, in words.
        steps: every sub-sequence of every clip, after that; times_s: `[S]` their middles.
        recordings: the pooled recordings; None without `pool`.
        clip_ids, subjects: of each row.
        met_in_training: the subjects that the model is known to have been trained on.
        protocol: the numbers that are reported; None where none was asked for.
        by: columns that make groups; columns: of each clip, column -> value.
        left_out: class -> how many labels of it were left out.
        looks: at the test split, by the run that the model is of; None where it is of none, and of other splits.
    """

    model: str
    source: str
    revision: str
    data: DataConfig
    split: str
    targets: tuple[TargetConfig, ...]
    pool: str | None
    post_processing: tuple[str, ...]
    steps: SplitPredictions
    times_s: np.ndarray
    recordings: SplitPredictions | None
    clip_ids: list[str]
    subjects: list[str]
    met_in_training: tuple[str, ...] = ()
    protocol: Reported | None = None
    by: tuple[str, ...] = ()
    columns: Sequence[dict[str, str]] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    looks: Looks | None = None

    @property
    def scored(self) -> SplitPredictions:
        """What the metrics are of: recordings, or the steps with a valid label."""
        return self.steps.at(self.steps.valid) if self.recordings is None else self.recordings

    @cached_property
    def compared(self) -> Compared:
        """What tables of classes and groups are of: what the protocol compares, or what is scored."""
        if self.protocol is not None:
            return self.protocol.compared
        scored = self.scored
        rows = scored.row.tolist()
        return Compared(
            prediction=scored.prediction.double().numpy(),
            label=scored.label.double().numpy(),
            names=[self.clip_ids[row] for row in rows],
            subjects=[self.subjects[row] for row in rows],
            folds=[],
            rows=[[row] for row in rows],
        )

    @property
    def compared_of(self) -> str:
        """What these are, in a word."""
        if self.protocol is None:
            return "steps" if self.pool is None else "recordings"
        return self.protocol.results["of"]

    @property
    def compared_targets(self) -> list[TargetConfig]:
        """The targets that are compared, those of the protocol if there is one."""
        return [t for t in self.targets if self.protocol is None or t.name in self.protocol.results["values"]]

    @property
    def headline(self) -> str:
        """Model, data, and split or protocol."""
        of = f"split {self.split}" if self.protocol is None else f"protocol {self.protocol.results['name']}"
        return f"{self.model} on {self.data.name}, {of}"

    @property
    def title(self) -> str:
        """The headline, and whatever was done to predictions and labels."""
        return "; ".join([self.headline, *self.post_processing])

    @cached_property
    def results(self) -> dict[str, Any]:
        """Everything measured, as plain values that JSON knows; what is not a number is None."""
        scored = self.scored
        result: dict[str, Any] = {
            "model": {"name": self.model, "source": self.source, "revision": self.revision},
            "targets": [target.to_json() for target in self.targets],
            "data": self.data.to_json(),
            "split": self.split,
            **({} if self.protocol is None else {"protocol": self.protocol.results}),
            "predictions_of": "sub-sequences" if self.pool is None else f"recordings ({self.pool} of their sub-sequences)",
            "post_processing": list(self.post_processing),
            "clips": len(self.clip_ids),
            "subjects": len(set(self.subjects)),
            "met_in_training": list(self.met_in_training),
            "steps": len(self.steps.row),
            "valid_steps": int(self.steps.valid.sum()),
            "intervals": self._intervals(),
            "metrics": self._metrics(scored),
        }
        if self.looks is not None:
            result["looks"] = {"number": self.looks.number, "of_training": self.looks.of_training, "file": FILE}
        if self.left_out:
            result["left_out"] = dict(self.left_out)
        if classes := self._classes(result["metrics"]):
            result["classes"] = classes
        if self.by:
            found = {c: by_column(self.compared, self.columns, c, self.targets, self.compared_targets) for c in self.by}
            result["by"] = {"of": self.compared_of, "columns": found}
        regressed = regressed_columns(self.targets)
        if len(regressed) > 1:
            x, y = scored.prediction[:, regressed].double(), scored.label[:, regressed].double()
            result["mean_ccc"] = self._measured(scored, lambda chosen: float(ccc(x[chosen], y[chosen]).mean()))
        if self.recordings is not None:
            # A blank step has no say in a score, and none here.
            result["metrics_of_steps"] = self._metrics(self.steps.at(self.steps.valid & self.steps.present))
        result["per_video"] = self._per_video()
        result["mean_over_videos"] = self._mean_over_videos(result["per_video"])
        result["per_subject"] = self._per_subject(scored)
        result["versions"] = {"affectzoo": __version__, "torch": torch.__version__}
        return without_nan(result)

    @property
    def score(self) -> dict[str, float | None]:
        """`metric.target` -> value, by UAR or CCC; of what the protocol compares, if there is one and it says so."""
        named = {target.name: headline(target) for target in self.targets}
        reported = self.results["metrics"] | self.results.get("protocol", {}).get("values", {})
        return {
            f"{metric}.{name}": found["value"]
            for name, wanted in named.items()
            for metric, found in reported[name].items()
            if metric == wanted
        }

    def to_frame(self) -> pd.DataFrame:
        """A row for each step: `clip_id, subject, time_s, valid, present`, `predicted.column` and `label.column`.

        Labels of steps that are not valid are missing. What was done to predictions and labels stands in `post_processing`.
        """
        rows = self.steps.row.tolist()
        frame = pd.DataFrame(
            {
                "clip_id": [self.clip_ids[row] for row in rows],
                "subject": [self.subjects[row] for row in rows],
                "time_s": self.times_s,
                "valid": self.steps.valid.numpy(),
                "present": self.steps.present.numpy(),
            }
        )
        names = [column for target in self.targets for column in target.columns]
        label = np.where(self.steps.valid.numpy()[:, None], self.steps.label.numpy(), np.nan)
        for k, name in enumerate(names):
            frame[f"predicted.{name}"] = self.steps.prediction[:, k].numpy()
            frame[f"label.{name}"] = label[:, k]
        return self.named(frame)

    def write(self, folder: Path) -> list[Path]:
        """Write `report.json`, `predictions.csv`, what the protocol compared, `confusion.TARGET.csv` of each categorical target
        and `by.csv`; returns the paths.
        """
        report = folder / "report.json"
        write_json(report, self.results)
        tables = {"predictions.csv": self.to_frame()}
        for target in self.compared_targets:
            if target.kind == "categorical":
                confusion = self.results["classes"][target.name]["confusion"]
                tables[f"confusion.{target.name}.csv"] = self.named(confusion_frame(confusion, target))
        if self.by:
            tables["by.csv"] = self.named(to_frame(self.results["by"]["columns"]))
        if self.protocol is not None:
            tables[self.protocol.file] = self.named(self.protocol.frame)
        for name, frame in tables.items():
            with replacing(folder / name) as temporary:
                frame.to_csv(temporary, index=False, float_format="%.6f")
        return [report, *(folder / name for name in tables)]

    def named(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows, with what was done to predictions and labels, if anything."""
        return frame.assign(post_processing="; ".join(self.post_processing)) if self.post_processing else frame

    def _intervals(self) -> dict[str, Any]:
        people = {self.subjects[row] for row in self.scored.row.tolist()}
        if len(people) < 2:
            return {"by": None, "why": "an interval by subject needs at least two subjects with valid labels"}
        return {"by": "subject", "level": LEVEL, "draws": DRAWS, "method": "percentile bootstrap over subjects"}

    def _metrics(self, series: SplitPredictions) -> dict[str, dict[str, Any]]:
        """Target -> metric -> value, low and high end of its interval."""
        columns = target_columns(self.targets)
        people = [self.subjects[row] for row in series.row.tolist()]
        found: dict[str, dict[str, Any]] = {}
        for target in self.targets:
            x, y = (values[:, columns[target.name]] for values in (series.prediction, series.label))
            found[target.name] = measured(REPORTED if target.kind == "categorical" else REGRESSION_METRICS, x, y, people)
        return found

    def _classes(self, metrics: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Categorical target -> `of` what, metrics, recall of each class, confusions and calibration of what is compared."""
        columns, compared = target_columns(self.targets), self.compared
        x, y = torch.from_numpy(compared.prediction), torch.from_numpy(compared.label)
        found: dict[str, dict[str, Any]] = {}
        for target in self.compared_targets:
            if target.kind == "categorical":
                pair = x[:, columns[target.name]], y[:, columns[target.name]]
                of_these = metrics[target.name] if self.protocol is None else measured(REPORTED, *pair, compared.subjects)
                found[target.name] = {"of": self.compared_of, "metrics": of_these, **class_tables(*pair, target)}
        return found

    def _measured(self, series: SplitPredictions, statistic: Callable[[torch.Tensor], float]) -> dict[str, float]:
        """A statistic of indices into `series`, and its interval."""
        people = [self.subjects[row] for row in series.row.tolist()]
        low, high = confidence_interval(statistic, people, draws=DRAWS, level=LEVEL)
        return {"value": statistic(torch.arange(len(people))), "low": low, "high": high}

    def _per_video(self) -> list[dict[str, Any]]:
        """Each clip: the metrics of its valid steps, and of a pooled one the score and its label."""
        pooled = {} if self.recordings is None else {row: k for k, row in enumerate(self.recordings.row.tolist())}
        videos = []
        for row, clip_id in enumerate(self.clip_ids):
            mine = self.steps.at((self.steps.row == row) & self.steps.valid)
            video: dict[str, Any] = {"clip_id": clip_id, "subject": self.subjects[row], "n": len(mine.row)}
            video["metrics"] = self._of_one(mine)
            if self.recordings is not None and row in pooled:
                names = [column for target in self.targets for column in target.columns]
                scores = (x[pooled[row]].tolist() for x in (self.recordings.prediction, self.recordings.label))
                video |= {word: dict(zip(names, x, strict=True)) for word, x in zip(("score", "label"), scores, strict=True)}
            videos.append(video)
        return videos

    def _per_subject(self, scored: SplitPredictions) -> list[dict[str, Any]]:
        """Each subject: the metrics of all of its valid steps, or of its recordings."""
        owners = np.array([self.subjects[row] for row in scored.row.tolist()], dtype=object)
        people = []
        for subject in sorted(set(self.subjects)):
            mine = scored.at(torch.from_numpy(owners == subject))
            people.append({"subject": subject, "n": len(mine.row), "metrics": self._of_one(mine)})
        return people

    def _of_one(self, mine: SplitPredictions) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        columns = target_columns(self.targets)
        for target in self.targets:
            x, y = (values[:, columns[target.name]] for values in (mine.prediction, mine.label))
            known = CLASS_METRICS if target.kind == "categorical" else {name: REGRESSION_METRICS[name] for name in _OF_ONE}
            found[target.name] = {name: float(metric(x, y, None)) for name, metric in known.items()}
        return found

    def _mean_over_videos(self, videos: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Target -> metric -> mean over the videos that have it, and how many these are."""
        result: dict[str, dict[str, Any]] = {}
        for target in self.targets:
            result[target.name] = {}
            for name in videos[0]["metrics"][target.name]:
                values = [video["metrics"][target.name][name] for video in videos]
                values = [value for value in values if math.isfinite(value)]
                mean = sum(values) / len(values) if values else math.nan
                result[target.name][name] = {"value": mean, "videos": len(values)}
        return result


def regressed_columns(targets: Sequence[TargetConfig]) -> list[int]:
    """Columns of continuous and ordinal targets."""
    columns = target_columns(targets)
    return [columns[target.name].start for target in targets if target.kind != "categorical"]
