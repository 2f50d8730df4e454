"""From a media file to a timeline of affect."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, overload

from affectzoo.errors import AffectzooError, InputError
from affectzoo.predict.predictor import Predictor, Progress
from affectzoo.predict.timeline import Timeline

if TYPE_CHECKING:
    from affectzoo.model.affect_model import AffectModel

__all__ = ["Predictor", "Timeline", "predict"]


@overload
def predict(
    model: AffectModel | str | Path, paths: str | PathLike[str], *, progress: Progress | None = ..., **options: Any
) -> Timeline: ...
@overload
def predict(
    model: AffectModel | str | Path,
    paths: Iterable[str | PathLike[str]],
    *,
    on_error: Literal["raise"] = ...,
    progress: Progress | None = ...,
    **options: Any,
) -> list[Timeline]: ...
@overload
def predict(
    model: AffectModel | str | Path,
    paths: Iterable[str | PathLike[str]],
    *,
    on_error: Literal["collect"],
    progress: Progress | None = ...,
    **options: Any,
) -> list[Timeline | AffectzooError]: ...
def predict(
    model: AffectModel | str | Path,
    paths: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    on_error: Literal["raise", "collect"] = "raise",
    progress: Progress | None = None,
    **options: Any,
) -> Any:
    """Predict affect along one media file or several.

    Args:
        model: an `AffectModel`, or what `affectzoo.load` takes.
        paths: one file, or several.
        on_error: with several files, `raise` stops at the first bad one; `collect` goes on and leaves its
            `AffectzooError` at its place in the list.
        progress: called with the seconds done of a file and its length in seconds (None where unknown).
        options: as `Predictor` takes them: detector, detect_every, overlap, batch_size, device, say.

    Returns:
        A `Timeline`, or for several files a list in their order.

    Raises:
        AffectzooError: one sentence that says what is wrong with which file or option.
    """
    if on_error not in ("raise", "collect"):
        raise InputError(f"on_error is 'raise' or 'collect', not {on_error!r}")
    predictor = Predictor(model, **options)
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
