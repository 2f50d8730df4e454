"""Late fusion: several models predict a file, each by itself, and what they say becomes one timeline."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from affectzoo.config import TargetConfig
from affectzoo.errors import AffectzooError, InputError, MediaError
from affectzoo.media.decode import probe
from affectzoo.media.faces import Detector
from affectzoo.model.affect_model import AffectModel
from affectzoo.predict.merge import merge
from affectzoo.predict.predictor import Predictor, Progress, detector_name, local_path
from affectzoo.predict.timeline import Timeline

#: Ways to combine what several models say.
COMBINATIONS = ("mean",)

#: A model, or what `affectzoo.load` takes.
Model = AffectModel | str | Path


class CombinedPredictor:
    """Predicts affect along media files with several models; called as a `Predictor` is.

    Every model decodes the file for itself and keeps its own sub-sequences; all share one face detector. Then:

    - Rows are those of the model with the shortest sub-sequences. Another model's value in a row is the mean of its rows
      that share time with it, by the time shared.
    - Faces of different models are one where their boxes overlap over the time that both see them. A model that does not
      follow a face gives what it predicts for nobody, from the sound; one that only hears gives that to every face.
    - A value is the (weighted) mean over the models that have one: probabilities of a categorical target by class, values
      of a continuous one in the range of the first model that predicts it. Targets that one model alone has are kept.
    - With `head.pool` it is the combined rows that are pooled.
    - A derived target is combined as any continuous one of its name is.
    - A model that takes nothing of what a file holds is left out for it, and the timeline says so.

    Args:
        models: two or more, each an `AffectModel` or what `affectzoo.load` takes.
        combine: `mean`.
        weights: a positive number for each model; None weighs them alike.
        detector: as `Predictor` takes it.
        say: is given sentences for the user.
        options: as `Predictor` takes them: detect_every, overlap, batch_size, smooth, device.

    Attributes:
        names: of the models, in order; parts: their predictors.
        targets: of the timelines: the first model's, then those that others add.
        detector: the one that all share, None where no model sees.

    Raises:
        InputError: models, weights or options that do not go together.
        DetectorError: the detector cannot be built.
    """

    def __init__(
        self,
        models: Sequence[Model],
        *,
        combine: str = "mean",
        weights: Sequence[float] | None = None,
        detector: str | Detector = "auto",
        say: Callable[[str], None] | None = None,
        **options: Any,
    ) -> None:
        self.names = _names(models)
        if len(models) < 2:
            raise InputError("give two models or more to combine; for one there is Predictor")
        self.weights = _weights(combine, weights, self.names)
        self._weighted = weights is not None
        self.detector: Detector | None = None
        self.parts: list[Predictor] = []
        for model in models:
            self.parts.append(Predictor(model, detector=self.detector or detector, say=say, **options))
            self.detector = self.detector or self.parts[-1].detector
        self.combine = combine
        self.targets, self._notes = _common_targets(self.names, [part.model.config.predicted_targets for part in self.parts])
        self.pool = _common_pool(self.names, [part.model for part in self.parts])

    @property
    def source(self) -> str:
        """Which models, and how they are combined."""
        sources = [part.model.source or name for part, name in zip(self.parts, self.names, strict=True)]
        if self._weighted:
            sources = [f"{source} (weight {weight:g})" for source, weight in zip(sources, self.weights, strict=True)]
        return f"{self.combine} of {_listed(sources)}"

    def __call__(self, path: str | PathLike[str], progress: Progress | None = None) -> Timeline:
        """Predict one file.

        Args:
            path: video or audio file.
            progress: called after each batch, with the share of the file that all models together have done, in seconds.

        Raises:
            MediaError: the file cannot be read, or holds no track that any model takes.
            AffectzooError: a model failed; the message begins with its name.
        """
        for part in self.parts:
            part.timings = None  # of one that is left out or never begins, none remain from another file
        file = local_path(path)
        if not os.path.isfile(file):  # noqa: PTH113 - `Path.is_file` raises where a folder may not be entered
            return self.parts[0](file)  # says what is wrong: no such file, or a folder
        able = self._able(file)
        timelines: list[Timeline] = []
        for k in able:
            told = None if progress is None else _share(progress, [t.duration_s for t in timelines], len(able))
            try:
                timelines.append(self.parts[k](file, told))
            except AffectzooError as error:
                error.args = (f"{self.names[k]}: {error}",)
                raise
        frame, given = merge(timelines, self.targets, [self.weights[k] for k in able])
        names = [self.names[k] for k in able]
        return Timeline(
            frame,
            source=str(file),
            model=self.source,
            targets=self.targets,
            detector=detector_name(self.detector),
            warnings=[
                *self._notes,
                *self._left_out(able),
                *_gathered(names, [timeline.warnings for timeline in timelines]),
                *_gaps(names, given),
            ],
            notes=_gathered(names, [timeline.notes for timeline in timelines]),
            pool=self.pool,
            duration_s=max(timeline.duration_s for timeline in timelines),
        )

    def _able(self, file: Path) -> list[int]:
        """The models that take a track which the file holds."""
        info = probe(file)
        held = {"visual": info.video is not None, "audio": info.audio is not None}
        able = [k for k, part in enumerate(self.parts) if any(held[name] for name in part.model.backbones)]
        if not able:
            track, sense = ("audio", "hear") if held["visual"] else ("video", "see")
            raise MediaError(f"{file}: there is no {track} track, and these models only {sense}; use a model for the other")
        return able

    def _left_out(self, able: Sequence[int]) -> list[str]:
        return [
            f"{name} only {'hears' if 'audio' in part.model.backbones else 'sees'}, and the file gives it nothing: left out"
            for k, (name, part) in enumerate(zip(self.names, self.parts, strict=True))
            if k not in able
        ]


def predictor_for(
    models: Model | Sequence[Model],
    *,
    combine: str | None = None,
    weights: Sequence[float] | None = None,
    **options: Any,
) -> Predictor | CombinedPredictor:
    """The predictor of one model, or of several: a list or tuple, of which one alone is that model.

    Raises:
        InputError: something else than models, or `combine` or `weights` for a single one that is not in a list.
    """
    if isinstance(models, list | tuple):
        if len(models) != 1:
            return CombinedPredictor(models, combine=combine or "mean", weights=weights, **options)
        _weights(combine or "mean", weights, _names(models))
        return Predictor(models[0], **options)
    _names([models])
    if combine is not None or weights is not None:
        raise InputError("combine and weights are for several models; give them as a list: predict([a, b], ...)")
    return Predictor(models, **options)  # pyright: ignore[reportArgumentType]


def _names(models: Sequence[Any]) -> list[str]:
    """A name for each, as the user gave it where he did."""
    names: list[str] = []
    for k, model in enumerate(models, start=1):
        if not isinstance(model, AffectModel | str | Path):
            raise InputError(
                f"a model is a name, a folder or an AffectModel, and several are a list of these, not {type(model).__name__}"
            )
        name = model.source or f"model {k}" if isinstance(model, AffectModel) else str(model)
        if any(_same(model, other) for other in models[: k - 1]):
            raise InputError(f"{name} is given twice; give each model once, and weights where one counts for more")
        # Two that began as one checkpoint may differ by now.
        names.append(f"{name} (model {k})" if name in names else name)
    return names


def _same(one: Model, other: Model) -> bool:
    """Whether both are one object, or one name or folder, however it is written."""
    if isinstance(one, AffectModel) or isinstance(other, AffectModel):
        return one is other
    return os.path.abspath(one) == os.path.abspath(other)  # noqa: PTH100 - a name of the zoo is no path


def _weights(combine: str, weights: Sequence[float] | None, names: Sequence[str]) -> list[float]:
    """What each model counts for."""
    if combine not in COMBINATIONS:
        raise InputError(f"combine is one of {', '.join(COMBINATIONS)}, not {combine!r}")
    if weights is None:
        return [1.0] * len(names)
    given = list(weights) if isinstance(weights, Iterable) else [weights]
    if len(given) != len(names):
        raise InputError(f"weights must be as many as the models, {len(names)}, not {len(given)}")
    for name, weight in zip(names, given, strict=True):
        if isinstance(weight, bool) or not isinstance(weight, Real) or not 0 < weight < math.inf:
            raise InputError(f"the weight of {name} must be a positive number, not {weight!r}")
    return [float(weight) for weight in given]


def _common_targets(
    names: Sequence[str], targets: Sequence[Sequence[TargetConfig]]
) -> tuple[tuple[TargetConfig, ...], list[str]]:
    """Every target once, as the first model that has it does, and sentences about ranges that are mapped."""
    common: dict[str, tuple[str, TargetConfig]] = {}
    notes: list[str] = []
    for name, own in zip(names, targets, strict=True):
        for target in own:
            first, known = common.setdefault(target.name, (name, target))
            if target.kind != known.kind:
                raise InputError(_differ(first, name, target, known.kind, target.kind))
            if set(target.classes) != set(known.classes):
                raise InputError(_differ(first, name, target, *(f"classes {_listed(t.classes)}" for t in (known, target))))
            if target.kind == "categorical" or (target.low, target.high) == (known.low, known.high):
                continue
            theirs, ours = (f"{t.low:g} to {t.high:g}" for t in (known, target))
            if target.kind == "ordinal":
                raise InputError(_differ(first, name, target, f"levels {theirs}", f"levels {ours}"))
            notes.append(f"{name}: {target.name} from {ours} was mapped onto {theirs}, the range of {first}")
    for k, (name, own) in enumerate(zip(names, targets, strict=True)):
        others = {target.name for j, theirs in enumerate(targets) if j != k for target in theirs}
        if not others & {target.name for target in own}:
            predicts = f"{name} predicts {_listed([target.name for target in own])}"
            raise InputError(
                f"{predicts} and shares no target with {_listed([n for n in names if n != name])} "
                f"({', '.join(sorted(others))}); combine models that predict the same"
            )
    return tuple(target for _, target in common.values()), notes


def _differ(first: str, second: str, target: TargetConfig, one: str, other: str) -> str:
    return (
        f"{first} and {second} do not mean the same by {target.name!r}: {one} in the first, {other} in the second; "
        "combine models that agree"
    )


def _common_pool(names: Sequence[str], models: Sequence[AffectModel]) -> str | None:
    """How all models pool their rows."""
    pool = models[0].head.pool
    columns = {target.name for target in models[0].config.predicted_targets}
    for name, model in zip(names, models, strict=True):
        if model.head.pool != pool:
            one, other = (f"head.pool {p!r}" if p else "no head.pool" for p in (pool, model.head.pool))
            raise InputError(f"{names[0]} has {one} and {name} has {other}; combine models that pool alike")
        if pool is not None and {target.name for target in model.config.predicted_targets} != columns:
            raise InputError(f"{names[0]} and {name} score recordings by other targets; combine models that score the same")
    return pool


def _share(progress: Progress, before: Sequence[float], count: int) -> Progress:
    """Progress of one of `count` models as that of all, after those that took `before` seconds."""

    def told(done_s: float, total_s: float | None) -> None:
        progress((sum(before) + done_s) / count, total_s)

    return told


def _gathered(names: Sequence[str], told: Sequence[Sequence[str]]) -> list[str]:
    """The sentences of all, each once; those of some begin with their names."""
    said: dict[str, list[str]] = {}
    for name, sentences in zip(names, told, strict=True):
        for sentence in dict.fromkeys(sentences):
            said.setdefault(sentence, []).append(name)
    return [text if len(who) == len(names) else f"{', '.join(who)}: {text}" for text, who in said.items()]


def _gaps(names: Sequence[str], given: np.ndarray) -> list[str]:
    """A sentence about the rows `[n, models]` in which some models have values and others have none."""
    some = given.any(axis=1)
    few = int((some & ~given.all(axis=1)).sum())
    if not few:
        return []
    counts = _listed([f"{name} in {count}" for name, count in zip(names, given.sum(axis=0).tolist(), strict=True)])
    return [f"{few} of {int(some.sum())} rows rest{'s' if few == 1 else ''} on some of the models only: {counts}"]


def _listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
