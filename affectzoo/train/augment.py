"""Random changes to a training batch. All draws come from one generator, so that a seed decides them."""

from __future__ import annotations

from typing import Any

import torch

from affectzoo.config import TrainConfig


def augment(batch: dict[str, Any], frames: set[str], train: TrainConfig, generator: torch.Generator) -> dict[str, Any]:
    """Mirror face crops and drop whole modalities, a window at a time; mask single sub-sequences; labels stay.

    Args:
        batch: as `WindowDataset` gives it.
        frames: modalities whose inputs are face crops `[B, L, 3, T, H, W]`.
        train: how often.
        generator: on the CPU; decides every draw.
    """
    size = batch["targets"].shape[0]
    inputs, masks = dict(batch["inputs"]), dict(batch["masks"])
    for name in sorted(frames):
        if train.horizontal_flip:
            chosen = torch.rand(size, generator=generator) < train.horizontal_flip
            x = inputs[name]
            inputs[name] = torch.where(chosen.to(x.device).view(-1, *[1] * (x.ndim - 1)), x.flip(-1), x)
    if train.modality_dropout and len(masks) > 1:
        dropped = torch.rand(size, generator=generator) < train.modality_dropout
        which = torch.randint(len(masks), (size,), generator=generator)
        for position, name in enumerate(list(masks)):
            gone = (dropped & (which == position)).to(masks[name].device)
            masks[name] = masks[name] & ~gone.unsqueeze(1)
    if train.time_masking:
        for name, mask in masks.items():
            gone = torch.rand(mask.shape, generator=generator) < train.time_masking
            masks[name] = mask & ~gone.to(mask.device)
    return {**batch, "inputs": inputs, "masks": masks}
