"""Log-mel at another speed and of another vocal tract: one resampling of the time and mel axes of a window."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from affectzoo.config import LogMelInput
from affectzoo.config.augment import AugmentConfig


def warp(x: Tensor, mask: Tensor, given: LogMelInput, changes: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Stretch, move in time and shift the pitch of `[B, L, 1, M, F]`, linearly interpolated; `x` is not written to.

    Masked sub-sequences keep what they hold, and none of it enters the others: there it counts as silence.

    Args:
        x: normalised as `given` says; its L * F frames are one time axis.
        mask: `[B, L]` bool, true = present. Time is stretched about the middle of the first to the last present sub-sequence.
        given: whose floor is what enters at the edges.
        changes: `stretch`, `shift` and `pitch`; what is 0 draws nothing.
        generator: on the CPU.
    """
    if not (changes.stretch or changes.shift or changes.pitch):
        return x
    size, length, _, bands, frames = x.shape
    speed, scale = (_factors(size, most, generator) for most in (changes.stretch, changes.pitch))
    later = 2 * (_factors(size, changes.shift, generator) - 1)
    # With align_corners the centres of the outermost values are at -1 and 1.
    times = speed * torch.linspace(-1, 1, length * frames) + (1 - speed) * _middles(mask.cpu(), frames) - later
    mels = (torch.linspace(-1, 1, bands) + 1) / scale - 1
    grid = torch.stack(torch.broadcast_tensors(times.unsqueeze(1), mels.unsqueeze(2)), dim=-1)  # [B, M, L * F, 2]
    floor = (given.floor_db - given.mean) / given.std
    held = mask.view(size, length, 1, 1, 1)
    # grid_sample reads 0 outside: the floor is taken as 0.
    picture = (x - floor).masked_fill(~held, 0.0).permute(0, 2, 3, 1, 4).reshape(size, 1, bands, length * frames)
    warped = functional.grid_sample(picture, grid.to(x), padding_mode="zeros", align_corners=True)
    return torch.where(held, warped.view(size, 1, bands, length, frames).permute(0, 3, 1, 2, 4) + floor, x)


def _factors(size: int, most: float, generator: torch.Generator) -> Tensor:
    """`[B, 1]`"""
    return 1 + most * (2 * torch.rand(size, 1, generator=generator) - 1) if most else torch.ones(size, 1)


def _middles(mask: Tensor, frames: int) -> Tensor:
    """`[B, 1]` middle of what is present, on an axis where the first frame of the window is -1 and the last 1."""
    length = mask.shape[1]
    steps = torch.arange(length)
    first = torch.where(mask, steps, length).amin(dim=1, keepdim=True).clamp(max=length - 1)
    last = torch.where(mask, steps, 0).amax(dim=1, keepdim=True)
    middle = (first + last + 1) * frames / 2 - 0.5
    return 2 * middle / max(1, length * frames - 1) - 1
