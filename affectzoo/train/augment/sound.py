"""Random changes to sound and signals: one draw for all sub-sequences of a window, but for noise."""

from __future__ import annotations

import torch
from torch import Tensor

from affectzoo.config import LogMelInput, WaveformInput
from affectzoo.config.augment import AugmentConfig
from affectzoo.train.augment.warp import warp


def augment_log_mel(x: Tensor, mask: Tensor, given: LogMelInput, changes: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Speed and pitch, gain, SpecAugment on `[B, L, 1, M, F]`; `x` is not written to, `mask` is `[B, L]` bool.

    What a gain brings under the floor of `given` is raised to it, as in the front end. Masks are filled with 0, the mean.
    """
    x = warp(x, mask, given, changes, generator)
    size, length, _, bands, frames = x.shape
    if changes.gain_db:
        floor = (given.floor_db - given.mean) / given.std
        x = (x + _gain_db(size, changes.gain_db, generator).to(x).view(-1, 1, 1, 1, 1) / given.std).clamp_min(floor)
    if changes.time_masks:
        hidden = _stretches(size, length * frames, changes.time_masks, changes.time_width, generator)
        x = x.masked_fill(hidden.to(x.device).view(size, length, 1, 1, frames), 0.0)
    if changes.frequency_masks:
        hidden = _stretches(size, bands, changes.frequency_masks, changes.frequency_width, generator)
        x = x.masked_fill(hidden.to(x.device).view(size, 1, 1, bands, 1), 0.0)
    return x


def augment_waveform(x: Tensor, given: WaveformInput, changes: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Gain on `[B, L, S]`, cut to -1..1 as a recorder would; normalised waveforms stay: no gain outlives normalisation."""
    if not changes.gain_db or given.normalise:
        return x
    return (x * (10 ** (_gain_db(len(x), changes.gain_db, generator) / 20)).to(x).view(-1, 1, 1)).clamp_(-1, 1)


def add_noise(x: Tensor, sd: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise of `sd` on every value."""
    return x + sd * torch.randn(x.shape, generator=generator).to(x) if sd else x


def _gain_db(size: int, most: float, generator: torch.Generator) -> Tensor:
    return most * (2 * torch.rand(size, generator=generator) - 1)


def _stretches(size: int, length: int, count: int, most: float, generator: torch.Generator) -> Tensor:
    """`[size, length]` bool: `count` stretches of 0 to `most * length` places each, anywhere."""
    widths, starts = torch.rand(2, size, count, 1, generator=generator)
    widths = (widths * (int(most * length) + 1)).floor()
    starts = (starts * (length - widths + 1)).floor()
    places = torch.arange(length)
    return ((places >= starts) & (places < starts + widths)).any(dim=1)
