"""Where a model computes."""

from __future__ import annotations

import torch

from affectzoo.errors import InputError


def usable_device(chosen: str | torch.device) -> torch.device:
    """`cpu`, `cuda:0`, ... as a device that computes here; `InputError` names those that do."""
    try:
        device = torch.device(chosen)
        # Reading it back: a meta device takes tensors but computes nothing.
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        count = torch.cuda.device_count()
        known = "cpu" + "".join(f", cuda:{number}" for number in range(count))
        raise InputError(f"device {str(chosen)!r} cannot be used here; there is {known}") from error
    return device
