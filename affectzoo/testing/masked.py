"""What a masked step holds changes neither outputs nor gradients: of fusions and of temporal encoders."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from affectzoo.testing.running import CLOSE, EXACT, described, draw, each, finite, run, same


def masked_steps_change_nothing(module: Any, args: tuple[Any, ...], spoilt: Callable[[float], tuple[Any, ...]]) -> None:
    """Raise `CheckFailed` unless they do not.

    Args:
        module: in eval mode.
        args: with masked steps, and one window without anything.
        spoilt: gives `args` with a number in every masked step.
    """
    expected = run(module, args)
    finite(expected, "the output with masked steps, one window without anything")
    for value in (7.0, 1e30, math.inf, math.nan):
        claim = f"with {value} in the masked steps of {described(args[0])} (affectzoo.zero_masked; a product keeps NaN)"
        same(run(module, spoilt(value)), expected, claim, **EXACT)
    # Zeroing after a layer keeps NaN out of the output, but not out of the layer's gradient.
    claim = f"gradients with NaN in the masked steps of {described(args[0])}, and without it (affectzoo.zero_masked first)"
    same(_gradients(module, spoilt(math.nan)), _gradients(module, args), claim, **CLOSE)


def _gradients(module: Any, args: tuple[Any, ...]) -> dict[str, Tensor | None]:
    """Of every trainable parameter, and of every floating-point input."""
    wanted = {f"parameter {name}": p for name, p in module.named_parameters() if p.requires_grad}

    def leaf(x: Tensor) -> Tensor:
        if not x.is_floating_point():
            return x
        made = wanted[f"input {len(wanted)}"] = x.clone().requires_grad_()
        return made.clone()  # autograd forbids writing into a leaf

    output = module(*each(leaf, args))
    if not output.requires_grad:
        return {}
    gradients = torch.autograd.grad((output * draw(*output.shape, seed=3)).sum(), list(wanted.values()), allow_unused=True)
    return dict(zip(wanted, gradients, strict=True))
