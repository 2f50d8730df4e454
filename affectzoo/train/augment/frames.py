"""Random changes to face crops `[B, L, 3, T, H, W]`: one draw for all pictures of a window."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from affectzoo.config import FramesInput
from affectzoo.config.augment import AugmentConfig

#: Of red, green and blue in the luminance (ITU-R BT.601).
_LUMINANCE = (0.299, 0.587, 0.114)
#: Least share of its sides to which a picture is shrunk.
_SMALLEST = 0.4


def augment_frames(x: Tensor, mask: Tensor, given: FramesInput, changes: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Mirror, move in time, crop and turn, change colours, blur, cut out; `x` is not written to.

    Args:
        x: `[B, L, 3, T, H, W]`, normalised as `given` says.
        mask: `[B, L]` bool, true = a face; what stands in the other steps is not mixed into these.
        given: mean and std of the pixels.
        changes: what is drawn.
        generator: on the CPU.
    """
    if changes.flip:
        x = _mirror(x, torch.rand(len(x), generator=generator) < changes.flip)
    if changes.jitter or changes.frame_drop:
        x = _move(x, mask, changes, generator)
    if changes.crop or changes.rotate:
        x = _crop(x, changes, generator)
    if changes.brightness or changes.contrast or changes.saturation or changes.grey:
        x = _colour(x, mask, given, changes, generator)
    if changes.blur:
        x = _blur(x, changes.blur, generator)
    if changes.cutout:
        x = _cutout(x, changes.cutout, generator)
    return x


def _mirror(x: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the windows that are chosen (`[B]` bool)."""
    columns = torch.arange(x.shape[-1])
    source = torch.where(chosen.unsqueeze(1), columns.flip(0), columns).to(x.device)
    rows = x.flatten(1, -2)  # [B, N, W]
    return rows.gather(2, source.unsqueeze(1).expand_as(rows)).view_as(x)


def _move(x: Tensor, mask: Tensor, changes: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Move the pictures along the L * T slots of the window and repeat some."""
    size, length, _, frames = x.shape[:4]
    slots = torch.arange(length * frames)
    source = slots.expand(size, -1)
    if changes.jitter:
        shift = torch.randint(-changes.jitter, changes.jitter + 1, (size, 1), generator=generator)
        moved = slots + shift
        held = mask.cpu().repeat_interleave(frames, dim=1)
        usable = (moved >= 0) & (moved < len(slots)) & held.gather(1, moved.clamp(0, len(slots) - 1))
        first = slots // frames * frames
        source = torch.where(usable, moved, moved.clamp(first, first + frames - 1))
    if changes.frame_drop:
        kept = torch.rand(size, len(slots), generator=generator) >= changes.frame_drop
        kept[:, ::frames] = True
        last_kept = torch.where(kept, slots, 0).cummax(dim=1).values
        source = source.gather(1, last_kept)
    source = source.to(x.device).view(size, length, 1, frames)
    batch, channel = torch.arange(size, device=x.device).view(-1, 1, 1, 1), torch.arange(3, device=x.device).view(-1, 1)
    return x[batch, source // frames, channel, source % frames]


def _crop(x: Tensor, changes: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Cut out a part with sides `1 - crop` to 1 of the picture's, turned, and resize it to the whole, bilinearly."""
    share, across, down = torch.rand(3, len(x), generator=generator)
    share = 1 - changes.crop * share
    # Without it nothing is drawn, so that older runs go on with the same numbers.
    turn = torch.zeros(len(x))
    if changes.rotate:
        turn = math.radians(changes.rotate) * (2 * torch.rand(len(x), generator=generator) - 1)
    height, width = x.shape[-2:]
    # In the coordinates of grid_sample the picture is -1..1: a part of half-width `share` has its centre in +-(1 - share).
    theta = torch.zeros(len(x), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = share * turn.cos()
    theta[:, 0, 1], theta[:, 1, 0] = -share * turn.sin() * height / width, share * turn.sin() * width / height
    theta[:, 0, 2], theta[:, 1, 2] = (1 - share) * (2 * across - 1), (1 - share) * (2 * down - 1)
    pictures = x.flatten(1, 3)
    grid = functional.affine_grid(theta.to(x), list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False).view_as(x)


def _colour(x: Tensor, mask: Tensor, given: FramesInput, changes: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Brightness, contrast, saturation: together one affine map of the three channels, cut to pixels of 0..1."""

    def factor(most: float) -> Tensor:
        if not most:
            return torch.ones(len(x), 1, 1)
        return 1 + most * (2 * torch.rand(len(x), 1, 1, generator=generator) - 1)

    brightness, contrast, saturation = factor(changes.brightness), factor(changes.contrast), factor(changes.saturation)
    if changes.grey:
        chosen = torch.rand(len(x), 1, 1, generator=generator) < changes.grey
        saturation = torch.where(chosen, 0.0, saturation)
    mean, std, weights = (torch.tensor(values).to(x) for values in (given.mean, given.std, _LUMINANCE))
    brightness, contrast, saturation = brightness.to(x), contrast.to(x), saturation.to(x)
    middle = torch.zeros(len(x), 1, 1).to(x)
    if changes.contrast:
        held = mask.to(x.dtype).unsqueeze(-1)
        channels = (x.mean(dim=(3, 4, 5)) * held).sum(dim=1) / held.sum(dim=1).clamp_min(1)  # [B, 3]
        middle = ((channels * std + mean) @ weights).view(-1, 1, 1) * brightness
    # Of a pixel p: saturation mixes it with its luminance, brightness and contrast scale it, contrast about the middle.
    mix = saturation * torch.eye(3).to(x) + (1 - saturation) * weights.expand(3, 3)
    matrix = contrast * brightness * mix
    offset = (1 - contrast) * middle  # [B, 1, 1]
    # The same of normalised values, x = (p - mean) / std.
    shift = (matrix @ mean.view(3, 1) + offset - mean.view(3, 1)) / std.view(3, 1)
    matrix = matrix * std / std.view(3, 1)
    changed = torch.matmul(matrix.unsqueeze(1), x.flatten(3)).add_(shift.unsqueeze(1))
    low, high = (((bound - mean) / std).view(3, 1) for bound in (0.0, 1.0))
    return changed.clamp_(low, high).view_as(x)


def _blur(x: Tensor, chosen: float, generator: torch.Generator) -> Tensor:
    """Shrink the pictures of a share of the windows and enlarge them again, each window to its own number of pixels."""
    hit = torch.rand(len(x), generator=generator) < chosen
    sides = _SMALLEST + (1 - _SMALLEST) * torch.rand(len(x), generator=generator)
    x = x.clone()
    size = list(x.shape[-2:])
    for window in hit.nonzero().flatten().tolist():
        pictures = x[window].transpose(1, 2).flatten(0, 1)  # [L * T, 3, H, W]
        small = [max(1, round(side * float(sides[window]))) for side in size]
        shrunk = functional.interpolate(pictures, size=small, mode="bilinear", antialias=True)
        again = functional.interpolate(shrunk, size=size, mode="bilinear")
        x[window] = again.unflatten(0, (x.shape[1], x.shape[3])).transpose(1, 2)
    return x


def _cutout(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Fill a square with the mean, which is 0."""
    height, width = x.shape[-2:]
    half = share * min(height, width) / 2
    down, across = torch.rand(2, len(x), 1, generator=generator)
    rows, columns = ((torch.arange(n) + 0.5 - n * centre).abs() < half for n, centre in ((height, down), (width, across)))
    square = (rows.unsqueeze(2) & columns.unsqueeze(1)).to(x.device)  # [B, H, W]
    return x.masked_fill(square.view(-1, 1, 1, 1, height, width), 0.0)
