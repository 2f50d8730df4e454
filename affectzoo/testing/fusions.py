"""Checks of a fusion of audio and visual: `modality -> [B, L, D_m]` and masks `[B, L]` to `[B, L, out_dim]`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from affectzoo.testing import running
from affectzoo.testing.check import Subject
from affectzoo.testing.masked import masked_steps_change_nothing
from affectzoo.testing.promises import Row, on_inputs, promises_of_any_module
from affectzoo.testing.running import CLOSE, built, described, draw, expect, finite, run, same

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


def _modality_order(subject: Subject) -> None:
    module, (features, masks) = built(subject, _GIVEN), _args()
    turned = [dict(reversed(given.items())) for given in (features, masks)]
    claim = (
        f"with {', '.join(turned[0])} handed over in this order, and in that of dims (go by name, as affectzoo.complete does)"
    )
    same(run(module, tuple(turned)), run(module, (features, masks)), claim, **CLOSE)


def _masked_steps(subject: Subject) -> None:
    module, (features, masks) = built(subject, _GIVEN), _args()

    def spoilt(value: float) -> tuple[Any, ...]:
        return {name: x.masked_fill(~masks[name].unsqueeze(-1), value) for name, x in features.items()}, masks

    masked_steps_change_nothing(module, (features, masks), spoilt)
    whole = {name: torch.ones_like(mask) for name, mask in masks.items()}
    same(run(module, (features, whole)), run(module, (features,)), "with masks that hide nothing, and without masks", **CLOSE)


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
        _expect_kind(attention, module.attention_kind, what)
    first = running.each(lambda x: x[:1], args)
    _, one = run(module, first, return_attention=True)
    expect(set(one) == set(maps), f"the maps are called {', '.join(one)} for one window and {', '.join(maps)} for {_BATCH}")
    same(one, {name: x[:1] for name, x in maps.items()}, "the maps of window 0 alone, and within its batch", **CLOSE)


def _expect_kind(attention: Tensor, kind: str, what: str) -> None:
    """Fail unless a map holds what `Fusion.attention_kind` says of it."""
    expect(kind in ("", "weights", "correlations"), f"its attention_kind {kind!r} must be 'weights', 'correlations' or ''")
    low, high = attention.min().item(), attention.max().item()
    if kind == "correlations":
        expect(low >= -1 and high <= 1, f"{what} goes from {low:g} to {high:g}; correlations are within -1 and 1")
    if kind == "weights":
        sums = attention.sum(-1)
        wrong = sums[((sums - 1).abs() > 1e-4) & attention.any(-1)]
        expect(low >= 0, f"{what} goes down to {low:g}; weights are not negative")
        expect(
            not len(wrong), f"{what} must sum to one over its last dimension, or be zero; {len(wrong)} rows do not: {wrong[:3]}"
        )


CHECKS: tuple[Row, ...] = (
    ("output-shape", "The output is [B, L, out_dim], float32 and finite, for several B, L and D.", _output_shape),
    ("missing-modality", "A modality that is absent counts as masked throughout, and never makes NaN.", _missing_modality),
    ("modality-order", "The order in which modalities are handed over changes nothing.", _modality_order),
    (
        "masked-steps",
        "What a masked step holds, NaN too, changes nothing; nor do masks that hide nothing.",
        _masked_steps,
    ),
    ("gradients-reach-every-parameter", "Every trainable parameter gets a gradient, and a finite one.", _gradients),
    *promises_of_any_module(
        on_inputs(_GIVEN, _args),
        _GIVEN,
        alone="A window gives the same alone as within a batch.",
        unchanged="Features and masks are left as they were.",
        inputs_unchanged=_inputs_unchanged,
    ),
    (
        "attention",
        "Attention maps have names, shapes [B, ...] and the values that attention_kind says; asking for them changes nothing.",
        _attention,
    ),
)
