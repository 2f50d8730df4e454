"""Some classes of a target alone: `happy` against `neutral`, or all but a class that is hardly there."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from affectzoo.config import TargetConfig, target_columns
from affectzoo.errors import InputError
from affectzoo.train.evaluate import SplitPredictions
from affectzoo.train.report.compare import Compared


@dataclass(frozen=True)
class Restriction:
    """What is labelled with another class is left out, and the probabilities of the others are divided by their sum.

    Attributes:
        target: name of a categorical target.
        classes: of it, in the model's order.
        before: every target of the model.
    """

    target: str
    classes: tuple[str, ...]
    before: tuple[TargetConfig, ...]

    @classmethod
    def parse(cls, text: str, targets: Sequence[TargetConfig]) -> Restriction:
        """Read `A,B`, or `TARGET:A,B` of a model that has several targets with classes.

        Raises:
            InputError: no such target or class, or fewer than two classes.
        """
        categorical = {target.name: target for target in targets if target.kind == "categorical"}
        if not categorical:
            held = ", ".join(target.name for target in targets)
            raise InputError(f"--classes {text}: this model predicts {held}, and none of these has classes; leave it out")
        named, colon, rest = text.partition(":")
        if colon and named in categorical:
            target, text = categorical[named], rest
        elif len(categorical) == 1:
            (target,) = categorical.values()
        else:
            first = next(iter(categorical))
            raise InputError(
                f"--classes {text} is of one target, and {', '.join(categorical)} have classes; write {first}:{text}"
            )
        wanted = [name.strip() for name in text.split(",")]
        for name in wanted:
            if name not in target.classes:
                near = difflib.get_close_matches(name, target.classes, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(target.classes)}"
                raise InputError(f"--classes: {target.name} of this model has no class {name!r}; {hint}")
        if len(set(wanted)) < 2:
            raise InputError(f"--classes {text} is one class, and telling classes apart needs two; add another")
        return cls(target.name, tuple(name for name in target.classes if name in wanted), tuple(targets))

    @property
    def targets(self) -> tuple[TargetConfig, ...]:
        """The model's, the one with its other classes gone."""
        return tuple(t.model_copy(update={"classes": self.classes}) if t.name == self.target else t for t in self.before)

    @property
    def words(self) -> str:
        """As tables, plots and reports name it."""
        return f"{self.target} of {', '.join(self.classes)} alone: other labels left out, probabilities renormalised"

    def left_out(self, label: np.ndarray) -> dict[str, int]:
        """Class -> how many of the labels `[N, K]` are of it and are left out, in the model's order; only what occurs."""
        own = self._own()
        counts = np.bincount(label[:, target_columns(self.before)[self.target]].argmax(1), minlength=len(own.classes))
        return {name: int(count) for name, count in zip(own.classes, counts, strict=True) if count and name not in self.classes}

    def of_split(
        self, steps: SplitPredictions, recordings: SplitPredictions | None
    ) -> tuple[SplitPredictions, SplitPredictions | None, dict[str, int]]:
        """Steps, and recordings of a model that pools, and what was left out of the ones that are scored.

        Scores of recordings are made of all classes first: a step that gives little to the classes that stay has as little
        say as it had.

        Raises:
            InputError: nothing is labelled with one of the classes.
        """
        left_out = self.left_out((steps.at(steps.valid) if recordings is None else recordings).label.numpy())
        steps = self._of_series(steps)
        if recordings is not None:
            recordings = self._of_series(recordings)
            recordings = recordings.at(recordings.valid)
        if not bool((steps if recordings is None else recordings).valid.any()):
            raise self._nothing()
        return steps, recordings, left_out

    def _nothing(self) -> InputError:
        return InputError(f"--classes {','.join(self.classes)}: nothing is labelled with one of them; choose others")

    def _of_series(self, series: SplitPredictions) -> SplitPredictions:
        """Steps or recordings; what is labelled otherwise is not valid."""
        prediction, label, kept = self._arrays(series.prediction.double().numpy(), series.label.numpy())
        return replace(
            series,
            prediction=torch.from_numpy(prediction).to(series.prediction.dtype),
            label=torch.from_numpy(label),
            valid=series.valid & torch.from_numpy(kept),
        )

    def of_compared(self, compared: Compared) -> Compared:
        """Those that are labelled with one of the classes.

        Raises:
            InputError: there is none.
        """
        prediction, label, kept = self._arrays(compared.prediction, compared.label)
        if not kept.any():
            raise self._nothing()
        chosen = np.flatnonzero(kept).tolist()
        return replace(
            compared,
            prediction=prediction[kept],
            label=label[kept],
            names=[compared.names[i] for i in chosen],
            subjects=[compared.subjects[i] for i in chosen],
            folds=[compared.folds[i] for i in chosen] if compared.folds else [],
            rows=[compared.rows[i] for i in chosen] if compared.rows else [],
            time_s=None if compared.time_s is None else compared.time_s[kept],
            clips=None if compared.clips is None else [compared.clips[i] for i in chosen],
        )

    def _own(self) -> TargetConfig:
        return next(target for target in self.before if target.name == self.target)

    def _arrays(self, prediction: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`[N, K']` predictions and labels in the columns of `targets`, `[N]` which are labelled with one of the classes.

        Where all the probability was in other classes, the rest is shared evenly.
        """
        own, columns = self._own(), target_columns(self.before)[self.target]
        places = [own.classes.index(name) for name in self.classes]
        inner = prediction[:, columns][:, places]
        total = inner.sum(axis=1, keepdims=True)
        even = np.full_like(inner, 1 / len(places))
        inner = np.divide(inner, total, out=even, where=total > 0)
        parts = [
            np.concatenate([values[:, : columns.start], middle, values[:, columns.stop :]], axis=1)
            for values, middle in ((prediction, inner), (label, label[:, columns][:, places]))
        ]
        kept = np.isin(label[:, columns].argmax(axis=1), places)
        return parts[0], parts[1], kept
