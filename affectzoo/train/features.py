"""Training on backbone features: every sub-sequence is encoded once, then only fusion and head run."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from affectzoo.data.windows import FeatureWindows, WindowDataset
from affectzoo.model.affect_model import AffectModel

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


@torch.no_grad()
def encode_windows(model: AffectModel, windows: WindowDataset, accelerator: Accelerator) -> FeatureWindows:
    """Features of every sub-sequence of every row, in float32, from the frozen backbones in evaluation mode."""
    model.to(accelerator.device).eval()
    features = []
    for number in range(len(windows.rows)):
        row, count = windows.read_row(number)
        encoded: dict[str, Tensor] = {}
        for name in windows.inputs:
            parts = []
            for start in range(0, count, _STEPS_AT_ONCE):
                steps = windows.steps(number, row, name, start, min(_STEPS_AT_ONCE, count - start))
                parts.append(model.encode(name, steps.unsqueeze(0).to(accelerator.device))[0].float().cpu())
            encoded[name] = torch.cat(parts)
        features.append(encoded)
    return FeatureWindows(windows, features)
