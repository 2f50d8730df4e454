"""Random changes to a training batch. All draws come from one generator, so that a seed decides them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from affectzoo.config import FramesInput, LogMelInput, StreamInput, TrainConfig, WaveformInput
from affectzoo.train.augment.frames import augment_frames
from affectzoo.train.augment.mixup import mixup
from affectzoo.train.augment.sound import add_noise, augment_log_mel, augment_waveform


def augment(
    batch: dict[str, Any], inputs: Mapping[str, StreamInput], train: TrainConfig, generator: torch.Generator
) -> dict[str, Any]:
    """Change inputs, mix windows, then drop whole modalities and mask single sub-sequences; only mixing touches labels.

    Args:
        batch: as `WindowDataset` gives it; its tensors are not written to.
        inputs: modality -> what its tensor is; empty where all are features, which are not changed.
        train: how much and how often.
        generator: on the CPU; decides every draw. What is switched off draws nothing.
    """
    changes = train.augment
    given, masks = dict(batch["inputs"]), dict(batch["masks"])
    for name in sorted(inputs.keys() & given.keys()) if changes.asked() else []:
        kind = inputs[name]
        if isinstance(kind, FramesInput):
            given[name] = augment_frames(given[name], masks[name], kind, changes, generator)
            continue
        if isinstance(kind, LogMelInput):
            given[name] = augment_log_mel(given[name], masks[name], kind, changes, generator)
        if isinstance(kind, WaveformInput):
            given[name] = augment_waveform(given[name], kind, changes, generator)
        given[name] = add_noise(given[name], changes.noise.get(name, 0.0), generator)
    batch = {**batch, "inputs": given}
    if train.mixup:
        batch = mixup(batch, train.mixup, generator)
    return {**batch, "masks": _dropped(batch["masks"], train, generator)}


def _dropped(masks: Mapping[str, Tensor], train: TrainConfig, generator: torch.Generator) -> dict[str, Tensor]:
    """The masks without the modalities and sub-sequences that are drawn."""
    masks = dict(masks)
    size = len(next(iter(masks.values())))
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
    return masks
