"""Checks of a block of a 3D network: `[N, C, T, H, W] -> [N, out_channels, T / s, H / s, W / s]`, sizes rounded up."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from affectzoo.testing import running
from affectzoo.testing.check import Subject
from affectzoo.testing.promises import Row, promises_of_any_module
from affectzoo.testing.running import built, described, draw, expect, finite, run
from affectzoo.testing.targets import target_of

#: A block within a stage, and the first of one: the shapes agree, or differ in everything.
_WITHIN = {"in_channels": 16, "width": 16, "stride": 1}
_FIRST = {"in_channels": 8, "width": 16, "stride": 2}


def _args(given: Mapping[str, Any]) -> tuple[Tensor]:
    return (draw(3, given["in_channels"], 4, 6, 6),)


def _sizes(given: Mapping[str, Any], size: Iterable[int]) -> list[int]:
    """T, H, W of the output."""
    return [-(-length // given["stride"]) for length in size]


def _output_shape(subject: Subject) -> None:
    givens = (_WITHIN, _FIRST, {**_FIRST, "in_channels": 24}, {**_WITHIN, "stride": 2})
    for given, size in itertools.product(givens, ((4, 8, 8), (8, 6, 10))):
        module, x = built(subject, given), draw(2, given["in_channels"], *size)
        output, what = run(module, (x,)), f"{given}: {described(x)}"
        expect(isinstance(output, Tensor), f"{what}: the output must be a tensor, not {type(output).__name__}")
        expected, shape = [2, module.out_channels, *_sizes(given, size)], list(output.shape)
        expect(shape == expected, f"{what}: the output must be [N, out_channels, T / s, ...] = {expected}, not {shape}")
        expect(output.dtype is torch.float32, f"{what}: the output must be float32, as the input, not {output.dtype}")
        finite(output, f"{what}: the output")


def _odd_sizes(subject: Subject) -> None:
    for given, size in itertools.product((_WITHIN, _FIRST, {**_FIRST, "stride": 3}), ((5, 7, 9), (1, 1, 1))):
        x = draw(2, given["in_channels"], *size)
        expected, shape = _sizes(given, size), list(run(built(subject, given), (x,)).shape[2:])
        what = f"{given}: {described(x)}"
        expect(shape == expected, f"{what}: T, H, W must come out as {expected}, divided by s and rounded up, not {shape}")


def _single_scale(subject: Subject) -> None:
    if "multiscale" not in inspect.signature(target_of(subject)).parameters:
        return
    for given in (_WITHIN, _FIRST):
        several, one = (built(replace(subject, config={**subject.config, "multiscale": m}), given) for m in (True, False))
        expected, shape = list(run(several, _args(given)).shape), list(run(one, _args(given)).shape)
        expect(shape == expected, f"{given}: multiscale=False must give {expected}, as multiscale=True does, not {shape}")


def _on_both(function: Callable[..., None]) -> Callable[[Subject], None]:
    @functools.wraps(function)
    def check(subject: Subject) -> None:
        for given in (_WITHIN, _FIRST):
            function(subject, given, _args(given))

    return check


def _gradients(subject: Subject) -> None:
    for given in (_WITHIN, _FIRST):
        running.gradients_reach_every_parameter(subject, given, [_args(given)])


CHECKS: tuple[Row, ...] = (
    ("output-shape", "The output is [N, out_channels, T / s, H / s, W / s], float32 and finite.", _output_shape),
    ("odd-sizes", "Sizes that the stride does not divide are rounded up, down to a single position.", _odd_sizes),
    ("single-scale", "Where it takes multiscale, false gives an output of the same size.", _single_scale),
    ("gradients-reach-every-parameter", "Every trainable parameter gets a gradient, and a finite one.", _gradients),
    *promises_of_any_module(
        _on_both,
        _WITHIN,
        alone="In eval mode a sub-sequence gives the same alone as within a batch.",
        unchanged="The input is left as it was.",
    ),
)
