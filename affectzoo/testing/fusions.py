"""Checks of a fusion of audio and visual: `modality -> [B, L, D_m]` and masks `[B, L]` to `[B, L, out_dim]`."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from affectzoo.testing import running
from affectzoo.testing.check import Subject
from affectzoo.testing.promises import Row, promises_of_any_module
from affectzoo.testing.running import CLOSE, EXACT, built, described, draw, expect, finite, run, same

_DIMS = {"audio": 6, "visual": 10}
_BATCH, _LENGTH = 4, 5
_GIVEN = {"dims": _DIMS, "seq_len": _LENGTH}


def _features(dims: Mapping[str, int] = _DIMS, batch: int = _BATCH, length: int = _LENGTH) -> dict[str, Tensor]:
    drawn = draw(batch, length, sum(dims.values())).split(list(dims.values()), dim=-1)
    return {name: x.clone() for name, x in zip(dims, drawn, strict=True)}


def _masks() -> dict[str, Tensor]:
    """Window 0 whole, 1 with gaps in each modality and a step without any, 2 without audio, 3 without anything."""
    audio, visual = torch.ones(2, _BATCH, _LENGTH, dtype=torch.bool)
    audio[1, 1:3] = False
    visual[1, 2:4] = False
    audio[2:] = False
    visual[3] = False
    return {"audio": audio, "visual": visual}


def _args() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    return _features(), _masks()


def _output_shape(subject: Subject) -> None:
    for length, dims, batch in itertools.product((1, 5, 16), ((6, 10), (16, 16), (7, 3)), (1, 3)):
        wide = dict(zip(_DIMS, dims, strict=True))
        module, features = built(subject, {"dims": wide, "seq_len": length}), _features(wide, batch, length)
        fused, what = run(module, (features,)), f"dims={wide}, seq_len={length}: {described(features)}"
        expect(isinstance(fused, Tensor), f"{what}: the output must be a tensor, not {type(fused).__name__}")
        expected = [batch, length, module.out_dim]
        expect(list(fused.shape) == expected, f"{what}: [B, L, out_dim] must be {expected}, not {list(fused.shape)}")
        expect(fused.dtype is torch.float32, f"{what}: the output must be float32, as the features are, not {fused.dtype}")
        finite(fused, f"{what}: the output")


def _missing_modality(subject: Subject) -> None:
    module, features = built(subject, _GIVEN), _features()
    for missing in _DIMS:
        absent = run(module, ({name: x for name, x in features.items() if name != missing},))
        masked = run(module, (features, {missing: torch.zeros(_BATCH, _LENGTH, dtype=torch.bool)}))
        finite(absent, f"without {missing}: the output")
        same(absent, masked, f"without {missing}, and with {missing} masked throughout (affectzoo.complete does it)", **CLOSE)


def _masked_steps(subject: Subject) -> None:
    module, (features, masks) = built(subject, _GIVEN), _args()
    expected = run(module, (features, masks))
    finite(expected, "the output with masked steps, one window without anything")
    for value in (7.0, 1e30, math.inf, math.nan):
        spoilt = {name: x.masked_fill(~masks[name].unsqueeze(-1), value) for name, x in features.items()}
        claim = f"with {value} in the masked steps of {described(features)} (affectzoo.zero_masked; a product keeps NaN)"
        same(run(module, (spoilt, masks)), expected, claim, **EXACT)
    # Zeroing after a layer keeps NaN out of the output, but not out of the layer's gradient.
    spoilt = {name: x.masked_fill(~masks[name].unsqueeze(-1), math.nan) for name, x in features.items()}
    claim = f"gradients with NaN in the masked steps of {described(features)}, and without it (affectzoo.zero_masked first)"
    same(_gradients_of(module, spoilt, masks), _gradients_of(module, features, masks), claim, **CLOSE)
    whole = {name: torch.ones_like(mask) for name, mask in masks.items()}
    same(run(module, (features, whole)), run(module, (features,)), "with masks that hide nothing, and without masks", **CLOSE)


def _gradients_of(module: Any, features: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
    """Of every parameter, and of every modality's features."""
    leaves = {name: x.clone().requires_grad_() for name, x in features.items()}
    wanted = {**{f"parameter {name}": p for name, p in module.named_parameters() if p.requires_grad}, **leaves}
    fused = module({name: x.clone() for name, x in leaves.items()}, masks)  # autograd forbids writing into a leaf
    gradients = torch.autograd.grad((fused * draw(*fused.shape, seed=3)).sum(), list(wanted.values()), allow_unused=True)
    return dict(zip(wanted, gradients, strict=True))


def _gradients(subject: Subject) -> None:
    features, masks = _args()
    alone = [({name: x},) for name, x in features.items()]
    running.gradients_reach_every_parameter(subject, _GIVEN, [(features,), (features, masks), *alone])


def _inputs_unchanged(subject: Subject) -> None:
    for wanted in (False, True):
        running.inputs_unchanged(subject, _GIVEN, _args(), return_attention=wanted)


def _attention(subject: Subject) -> None:
    module, args = built(subject, _GIVEN), _args()
    pair = run(module, args, return_attention=True)
    expect(isinstance(pair, tuple) and len(pair) == 2, "return_attention=True must return (output, attention)")
    fused, maps = pair
    same(fused, run(module, args), "the output with and without return_attention", **CLOSE)
    expect(isinstance(maps, Mapping), f"attention must be a mapping of named maps, not {type(maps).__name__}")
    for name, attention in maps.items():
        what = f"the attention map {name!r} of {described(args)}"
        expect(isinstance(name, str) and name, f"{what}: its name must be a word")
        expect(isinstance(attention, Tensor), f"{what} must be a tensor, not {type(attention).__name__}")
        expect(attention.ndim > 1 and len(attention) == _BATCH, f"{what} must be [B, ...], not {list(attention.shape)}")
        finite(attention, what)
    first = running.each(lambda x: x[:1], args)
    _, one = run(module, first, return_attention=True)
    expect(set(one) == set(maps), f"the maps are called {', '.join(one)} for one window and {', '.join(maps)} for {_BATCH}")
    same(one, {name: x[:1] for name, x in maps.items()}, "the maps of window 0 alone, and within its batch", **CLOSE)


def _on_args(function: Callable[[Subject, Mapping[str, Any], Any], None]) -> Callable[[Subject], None]:
    @functools.wraps(function)
    def check(subject: Subject) -> None:
        function(subject, _GIVEN, _args())

    return check


CHECKS: tuple[Row, ...] = (
    ("output-shape", "The output is [B, L, out_dim], float32 and finite, for several B, L and D.", _output_shape),
    ("missing-modality", "A modality that is absent counts as masked throughout, and never makes NaN.", _missing_modality),
    (
        "masked-steps",
        "What a masked step holds, NaN too, changes nothing; nor do masks that hide nothing.",
        _masked_steps,
    ),
    ("gradients-reach-every-parameter", "Every trainable parameter gets a gradient, and a finite one.", _gradients),
    *promises_of_any_module(
        _on_args,
        _GIVEN,
        alone="A window gives the same alone as within a batch.",
        unchanged="Features and masks are left as they were.",
        inputs_unchanged=_inputs_unchanged,
    ),
    ("attention", "Attention maps have names, shapes [B, ...] and finite values; asking for them changes nothing.", _attention),
)
