"""Checks of a backbone: what it declares to want, `[N, ...]`, to `[N, feature_dim]`.

Networks are built many times: give a config of small widths and sizes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from affectzoo.config import FramesInput, LogMelInput, SignalInput, WaveformInput
from affectzoo.errors import ConfigError
from affectzoo.testing import running
from affectzoo.testing.check import CheckFailed, Subject
from affectzoo.testing.promises import Row, promises_of_any_module
from affectzoo.testing.running import CLOSE, built, described, draw, expect, finite, rebuilt, run, same, seeded

_GIVEN: dict[str, Any] = {}
_BATCH = 3
_INPUTS = (FramesInput, LogMelInput, WaveformInput, SignalInput)


def _shape(wanted: object) -> tuple[int, ...]:
    """What a declared input is without its batch."""
    match wanted:
        case FramesInput():
            return 3, wanted.frames, wanted.height, wanted.width
        case LogMelInput():
            return 1, wanted.n_mels, wanted.frames
        case WaveformInput():
            return (wanted.samples,)
        case SignalInput():
            return wanted.samples, wanted.channels
    kinds = ", ".join(f"affectzoo.{kind.__name__}" for kind in _INPUTS)
    raise CheckFailed(f"its input is {wanted!r}; it must be one of {kinds}")


def _args(subject: Subject) -> tuple[Tensor]:
    return (draw(_BATCH, *_shape(built(subject, _GIVEN).input)),)


def _output_shape(subject: Subject) -> None:
    module = built(subject, _GIVEN)
    for batch in (1, 2, 5):
        x = draw(batch, *_shape(module.input))
        features, what = run(module, (x,)), f"the declared input {described(x)}"
        expect(isinstance(features, Tensor), f"{what}: the output must be a tensor, not {type(features).__name__}")
        expected, shape = [batch, module.feature_dim], list(features.shape)
        expect(shape == expected, f"{what}: the output must be [N, feature_dim] = {expected}, not {shape}")
        expect(features.dtype is torch.float32, f"{what}: the output must be float32, as the input, not {features.dtype}")
        finite(features, f"{what}: the output")


def _input_declared(subject: Subject) -> None:
    """The declaration is saved with the weights: it must survive, and be what the rebuilt network declares."""
    module = built(subject, _GIVEN)
    _shape(module.input)
    dim = module.feature_dim
    expect(isinstance(dim, int) and dim > 0, f"its feature_dim is {dim!r}, not a positive integer")
    again = type(module.input).parse(module.input.to_json(), where=subject.name)
    expect(again == module.input, f"its input {module.input} comes back from JSON as {again}")
    other = rebuilt(subject, module, _GIVEN)
    for name in ("input", "feature_dim"):
        saved, found = getattr(module, name), getattr(other, name)
        expect(found == saved, f"what its saved config builds has another {name}: {found} instead of {saved}")


def _gradients(subject: Subject) -> None:
    running.gradients_reach_every_parameter(subject, _GIVEN, [_args(subject)])


def _checkpointing(subject: Subject) -> None:
    """Of a backbone that offers it; the contract's own refuses with a `ConfigError`."""
    try:
        built(subject, _GIVEN).checkpoint_activations()
    except ConfigError:
        return
    (x,) = _args(subject)
    plain, saving = (_trained(subject, x, again=again) for again in (False, True))
    claim = f"with and without checkpoint_activations, in training mode on {described(x)}"
    same(saving["gradients"], plain["gradients"], f"gradients {claim}", **CLOSE)
    same(saving["buffers"], plain["buffers"], f"buffers {claim} (affectzoo.count_batches_once)", **CLOSE)


def _trained(subject: Subject, x: Tensor, *, again: bool) -> dict[str, dict[str, Tensor]]:
    """Gradients and buffers after one pass there and back."""
    module = built(subject, _GIVEN).train()
    if again:
        module.checkpoint_activations()
    with seeded(2):
        features = module(x.clone())
        if features.requires_grad:
            (features * draw(*features.shape, seed=3)).sum().backward()
    gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    return {"gradients": gradients, "buffers": dict(module.named_buffers())}


def _on_args(function: Callable[[Subject, Mapping[str, Any], Any], None]) -> Callable[[Subject], None]:
    @functools.wraps(function)
    def check(subject: Subject) -> None:
        function(subject, _GIVEN, _args(subject))

    return check


CHECKS: tuple[Row, ...] = (
    ("output-shape", "The declared input gives [N, feature_dim], float32 and finite, for several N.", _output_shape),
    (
        "input-declared",
        "Input and feature_dim survive saving.",
        _input_declared,
    ),
    ("gradients-reach-every-parameter", "Every trainable parameter gets a gradient, and a finite one.", _gradients),
    (
        "activation-checkpointing",
        "Where it is offered, gradients and buffers stay the same.",
        _checkpointing,
    ),
    *promises_of_any_module(
        _on_args,
        _GIVEN,
        alone="In eval mode a sub-sequence gives the same alone as within a batch.",
        unchanged="The input is left as it was.",
    ),
)
