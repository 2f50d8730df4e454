"""Training on backbone features: every sub-sequence is encoded once, then only fusion and head run."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from affectzoo.config import ExperimentConfig
from affectzoo.data.feature_store import weights_digest
from affectzoo.data.windows import FeatureWindows, WindowDataset
from affectzoo.model.affect_model import AffectModel
from affectzoo.train.distil import other_backbone

#: Sub-sequences that a backbone takes at once, of as many rows as it takes.
_STEPS_AT_ONCE = 128


class OnFeatures(nn.Module):
    """An `AffectModel` whose `forward` takes features, so that a wrapper around modules (DDP) can train it."""

    def __init__(self, model: AffectModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, features: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None, *, pool: bool = True
    ) -> Tensor:
        """Modality -> `[B, L, D]` to `[B, L, K]`, or `[B, K]` where the head pools and `pool` lets it."""
        return self.model.forward_features(features, masks, pool=pool)


def encoded_once(experiment: ExperimentConfig, model: AffectModel, teachers: Mapping[str, AffectModel], windows: Any) -> bool:
    """Whether backbones would make the same features of every window in every epoch, so that they need to run only once.

    They do where all of them are frozen and raw windows come to them unchanged; those with nothing to freeze may still hold
    statistics or noise that training moves. Teachers must have the very same backbones, or they need raw windows.
    """
    if not isinstance(windows, WindowDataset) or windows.on_features:
        return False
    if experiment.train.augment.asked() or experiment.train.mixup:
        return False
    weights = [list(backbone.parameters()) for backbone in model.backbones.values()]
    if not all(own and not any(weight.requires_grad for weight in own) for own in weights):
        return False
    return not any(other_backbone(teacher, model) for teacher in teachers.values())


def weights_of_backbones(model: AffectModel) -> dict[str, str]:
    """Modality -> digest of the weights of its backbone."""
    return {name: weights_digest(backbone) for name, backbone in model.backbones.items()}


@torch.no_grad()
def encode_windows(model: AffectModel, windows: WindowDataset, accelerator: Accelerator, *, workers: int = 0) -> FeatureWindows:
    """Features of every sub-sequence of every row, in float32, from the frozen backbones in evaluation mode; zero where masked.

    Call on every process: they share the work, and each gets all features.

    Args:
        workers: processes that read, for each process.
    """
    model.to(accelerator.device).eval()
    chunks = _Chunks(windows)
    processes, total = accelerator.num_processes, chunks.total
    mine = range(accelerator.process_index, len(chunks), processes)
    # A generator of its own: the loader would draw from everybody's.
    own = iter(DataLoader(Subset(chunks, mine), batch_size=None, num_workers=workers, generator=torch.Generator()))
    features = {name: torch.zeros(total, model.feature_dims[name]) for name in windows.inputs}
    for first in range(0, len(chunks), processes):
        steps, masks = next(own, ({}, {}))
        for name, kept in features.items():
            encoded = torch.zeros(_STEPS_AT_ONCE, kept.shape[1], device=accelerator.device)
            if name in steps:
                x, mask = (part[name].unsqueeze(0).to(accelerator.device) for part in (steps, masks))
                encoded[: mask.shape[1]] = model.encode(name, x, mask)[0].float()
            # Chunk by chunk in order of the processes, all of them full but the last of all.
            gathered = encoded if processes == 1 else accelerator.gather(encoded)
            place = kept[first * _STEPS_AT_ONCE : (first + processes) * _STEPS_AT_ONCE]
            place.copy_(gathered[: len(place)])
    rows = {name: kept.split(windows.counts) for name, kept in features.items()}
    return FeatureWindows(windows, [{name: rows[name][number] for name in rows} for number in range(len(windows.counts))])


class _Chunks(Dataset[tuple[dict[str, Tensor], dict[str, Tensor]]]):
    """Raw sub-sequences and masks of all rows one after the other, modality -> `[n, ...]` and `[n]`, so many at once."""

    def __init__(self, windows: WindowDataset) -> None:
        self.windows = windows
        self.ends = list(itertools.accumulate(windows.counts))
        self.total = self.ends[-1] if self.ends else 0

    def __len__(self) -> int:
        return math.ceil(self.total / _STEPS_AT_ONCE)

    def __getitem__(self, index: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        place, stop = index * _STEPS_AT_ONCE, min((index + 1) * _STEPS_AT_ONCE, self.total)
        steps: dict[str, list[Tensor]] = {name: [] for name in self.windows.inputs}
        masks: dict[str, list[Tensor]] = {name: [] for name in self.windows.inputs}
        number = bisect.bisect_right(self.ends, place)
        while place < stop:
            row, count = self.windows.read_row(number)
            start = place - (self.ends[number] - count)
            length = min(count - start, stop - place)
            for name in steps:
                steps[name].append(self.windows.steps(number, row, name, start, length))
                mask = np.frombuffer(row[f"present.{name}"], dtype=bool)[start : start + length]
                masks[name].append(torch.from_numpy(mask.copy()))
            number, place = number + 1, place + length
        whole, present = ({name: torch.cat(parts) for name, parts in found.items()} for found in (steps, masks))
        return whole, present
