"""Which part of a model broke its contract: asked after something went wrong, so that nothing is spent while all is well."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from affectzoo.errors import PluginError
from affectzoo.model.affect_model import AffectModel
from affectzoo.model.build import called, shaped
from affectzoo.model.contracts import complete, zero_masked


@torch.no_grad()
def find_fault(
    model: AffectModel, inputs: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None, *, on_features: bool
) -> str:
    """Run a model part by part, and say which is the first that fails, or gives another shape or no numbers.

    Args:
        model: in the mode in which it went wrong.
        inputs: modality -> what it was given, raw or, where `on_features` is true, as its backbones gave it.
        masks: modality -> `[B, L]`.

    Returns:
        A sentence that names the component, distribution and version; empty where every part keeps its contract, and where
        what it was given held no numbers in the first place.
    """
    features: dict[str, Tensor] = {}
    for name, x in inputs.items():
        mask = None if masks is None else masks.get(name)
        backbone, dim = model.backbones[name], model.feature_dims[name]
        if on_features:
            said, _ = _tried("backbone", backbone, lambda x=x: x, (*x.shape[:2], dim), mask)
        else:
            steps = x.flatten(0, 1) if mask is None else x[mask.bool()]
            if not bool(torch.isfinite(steps).all()):
                return ""
            run = lambda f=backbone, x=steps: f(x)  # noqa: E731
            said, _ = _tried("backbone", backbone, run, (len(steps), dim)) if len(steps) else ("", None)
        if said:
            return said
        features[name] = x if on_features else model.encode(name, x, mask)
    filled, present = complete(features, masks, model.feature_dims)
    for name, temporal in model.temporals.items():
        run: Callable[[], Any] = lambda f=temporal, x=filled[name], mask=present[name]: f(x, mask)  # noqa: E731
        said, y = _tried("temporal", temporal, run, (*present[name].shape, temporal.out_dim))
        if said:
            return said
        filled[name] = zero_masked(y, present[name])
    fusion = model.fusion
    if fusion is None:
        return ""
    size = next(iter(present.values())).shape
    return _tried("fusion", fusion, lambda: fusion(filled, present), (*size, fusion.out_dim))[0]


def _tried(
    kind: str, part: nn.Module, run: Callable[[], Any], wanted: Sequence[Any], mask: Tensor | None = None
) -> tuple[str, Any]:
    """What is wrong with the result of `run`, and the result; of a masked one the steps that are present."""
    name = called(kind, part)
    try:
        y = run()
    except Exception as error:
        return f"{name} failed: {type(error).__name__}: {(str(error) or 'no message').splitlines()[0]}", None
    try:
        shaped(kind, part, y, wanted)
    except PluginError as error:
        return str(error), None
    if not bool(torch.isfinite(y if mask is None else y[mask.bool()]).all()):
        if not all(bool(torch.isfinite(weight).all()) for weight in part.parameters()):
            return f"{name} holds weights that are not numbers", None
        return f"{name} gave values that are not numbers", None
    return "", y
