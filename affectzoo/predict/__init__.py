"""From a media file to a timeline of affect."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from os import PathLike
from types import ModuleType
from typing import Any, Literal, overload

from affectzoo.errors import AffectzooError, InputError
from affectzoo.predict.predictor import Predictor, Progress
from affectzoo.predict.timeline import Timeline
from affectzoo.predict.together import CombinedPredictor, Model, predictor_for

__all__ = ["CombinedPredictor", "Predictor", "Timeline", "predict", "predictor_for"]


@overload
def predict(
    model: Model | Sequence[Model],
    paths: str | PathLike[str],
    *,
    combine: str | None = ...,
    weights: Sequence[float] | None = ...,
    progress: Progress | None = ...,
    **options: Any,
) -> Timeline: ...
@overload
def predict(
    model: Model | Sequence[Model],
    paths: Iterable[str | PathLike[str]],
    *,
    combine: str | None = ...,
    weights: Sequence[float] | None = ...,
    on_error: Literal["raise"] = ...,
    progress: Progress | None = ...,
    **options: Any,
) -> list[Timeline]: ...
@overload
def predict(
    model: Model | Sequence[Model],
    paths: Iterable[str | PathLike[str]],
    *,
    combine: str | None = ...,
    weights: Sequence[float] | None = ...,
    on_error: Literal["collect"],
    progress: Progress | None = ...,
    **options: Any,
) -> list[Timeline | AffectzooError]: ...
def predict(
    model: Model | Sequence[Model],
    paths: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    combine: str | None = None,
    weights: Sequence[float] | None = None,
    on_error: Literal["raise", "collect"] = "raise",
    progress: Progress | None = None,
    **options: Any,
) -> Any:
    """Predict affect along one media file or several.

    Args:
        model: an `AffectModel`, or what `affectzoo.load` takes; or a list of such, whose predictions are combined: see
            `CombinedPredictor`.
        paths: one file, or several.
        combine: how: `mean`, which is also what None means.
        weights: a positive number for each of several models; None weighs them alike.
        on_error: with several files, `raise` stops at the first bad one; `collect` goes on and leaves its
            `AffectzooError` at its place in the list.
        progress: called with the seconds done of a file and its length in seconds (None where unknown).
        options: as `Predictor` takes them: detector, detect_every, overlap, batch_size, smooth, device, say.

    Returns:
        A `Timeline`, or for several files a list in their order.

    Raises:
        AffectzooError: one sentence that says what is wrong with which file or option.
    """
    if on_error not in ("raise", "collect"):
        raise InputError(f"on_error is 'raise' or 'collect', not {on_error!r}")
    predictor = predictor_for(model, combine=combine, weights=weights, **options)
    if isinstance(paths, str | PathLike):
        return predictor(paths, progress)
    results: list[Timeline | AffectzooError] = []
    for path in paths:
        try:
            results.append(predictor(path, progress))
        except AffectzooError as error:
            if on_error == "raise":
                raise
            results.append(error)
    return results


class _CallablePackage(ModuleType):
    """`affectzoo.predict` names a function and this package; Python binds the package to it once that is imported.

    So the package answers to a call as the function does, whichever of the two the name holds.
    """

    def __call__(self, *args: Any, **options: Any) -> Any:
        return predict(*args, **options)


sys.modules[__name__].__class__ = _CallablePackage
