"""Checks of a temporal encoder: `[B, L, D]` and a mask `[B, L]` to `[B, L, out_dim]`."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from affectzoo.testing import running
from affectzoo.testing.check import Subject
from affectzoo.testing.masked import masked_steps_change_nothing
from affectzoo.testing.promises import Row, on_inputs, promises_of_any_module
from affectzoo.testing.running import CLOSE, built, described, draw, expect, finite, run, same

_DIM, _BATCH, _LENGTH = 6, 4, 7
_GIVEN = {"in_dim": _DIM}


def _mask() -> Tensor:
    """Window 0 whole, 1 with a gap, 2 with both ends masked, 3 without anything."""
    mask = torch.ones(_BATCH, _LENGTH, dtype=torch.bool)
    mask[1, 2:4] = False
    mask[2, [0, -1]] = False
    mask[3] = False
    return mask


def _args() -> tuple[Tensor, Tensor]:
    return draw(_BATCH, _LENGTH, _DIM), _mask()


def _output_shape(subject: Subject) -> None:
    for dim, batch, length in itertools.product((1, 6, 16), (1, 3), (1, 2, 9)):
        module, x = built(subject, {"in_dim": dim}), draw(batch, length, dim)
        expected, what = [batch, length, module.out_dim], f"in_dim={dim}, {described(x)}"
        for args in ((x,), (x, torch.ones(batch, length, dtype=torch.bool))):
            encoded = run(module, args)
            expect(isinstance(encoded, Tensor), f"{what}: the output must be a tensor, not {type(encoded).__name__}")
            shape = list(encoded.shape)
            expect(shape == expected, f"{what}: the output must be [B, L, out_dim] = {expected}, not {shape}")
            expect(encoded.dtype is torch.float32, f"{what}: the output must be float32, as the input, not {encoded.dtype}")
            finite(encoded, f"{what}: the output")


def _masked_steps(subject: Subject) -> None:
    x, mask = _args()
    hidden = ~mask.unsqueeze(-1)
    masked_steps_change_nothing(built(subject, _GIVEN), (x, mask), lambda value: (x.masked_fill(hidden, value), mask))


def _no_mask(subject: Subject) -> None:
    module, (x, mask) = built(subject, _GIVEN), _args()
    claim = f"{described(x)} with a mask that hides nothing, and without a mask"
    same(run(module, (x, torch.ones_like(mask))), run(module, (x,)), claim, **CLOSE)


def _gradients(subject: Subject) -> None:
    x, mask = _args()
    running.gradients_reach_every_parameter(subject, _GIVEN, [(x,), (x, mask)])


CHECKS: tuple[Row, ...] = (
    ("output-shape", "The output is [B, L, out_dim], float32 and finite, for several B, L and D.", _output_shape),
    ("masked-steps", "What a masked step holds, NaN too, changes no output and no gradient.", _masked_steps),
    ("no-mask", "A mask that hides nothing gives what no mask gives.", _no_mask),
    ("gradients-reach-every-parameter", "Every trainable parameter gets a gradient, and a finite one.", _gradients),
    *promises_of_any_module(
        on_inputs(_GIVEN, _args),
        _GIVEN,
        alone="A window gives the same alone as within a batch.",
        unchanged="Features and mask are left as they were.",
    ),
)
