"""Toy components for the tests of the model: small enough to be checked by hand."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

import affectzoo


class ToyVisual(affectzoo.Backbone):
    """A convolution with batch normalisation, averaged over time and space.

    Args:
        width: D.
    """

    def __init__(self, *, width: int = 6) -> None:
        super().__init__()
        self.feature_dim = width
        self.input = affectzoo.FramesInput(frames=2, height=4, width=4)
        self.convolution = nn.Conv3d(3, width, 1)
        self.norm = nn.BatchNorm3d(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.convolution(x)).mean(dim=(2, 3, 4))


class ToyAudio(affectzoo.Backbone):
    """Mel bands through one linear layer."""

    def __init__(self, *, width: int = 5) -> None:
        super().__init__()
        self.feature_dim = width
        self.input = affectzoo.LogMelInput(n_mels=8, frames=3)
        self.linear = nn.Linear(8, width)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.linear(x.mean(dim=(1, 3))))


class ToyTied(ToyAudio):
    """Two names for one weight, and a buffer that is a view of it."""

    def __init__(self, *, width: int = 8) -> None:
        super().__init__(width=width)
        self.again = nn.Linear(8, width)
        self.again.weight = self.linear.weight
        self.register_buffer("first_row", self.linear.weight.detach()[0])


class ToyFusion(affectzoo.Fusion):
    """A weighted sum of projections; its attention is the share of each modality."""

    def __init__(self, dims: Mapping[str, int], seq_len: int, *, width: int = 7) -> None:
        super().__init__()
        self.dims = dict(dims)
        self.seq_len = seq_len
        self.out_dim = width
        self.projections = nn.ModuleDict({name: nn.Linear(dim, width) for name, dim in self.dims.items()})

    def forward(
        self, features: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None, *, return_attention: bool = False
    ):
        filled, present = affectzoo.complete(features, masks, self.dims, self.seq_len)
        shares = torch.stack([present[name] for name in self.dims], dim=-1).float()
        shares = shares / shares.sum(dim=-1, keepdim=True).clamp(min=1)
        parts = torch.stack([self.projections[name](filled[name]) for name in self.dims], dim=-1)
        fused = (parts * shares.unsqueeze(2).to(parts.dtype)).sum(dim=-1)
        return (fused, {"shares": shares}) if return_attention else fused


def register_toys() -> None:
    """Register every toy for this process; doing so again replaces them."""
    affectzoo.register_backbone("toy-visual")(ToyVisual)
    affectzoo.register_backbone("toy-audio")(ToyAudio)
    affectzoo.register_backbone("toy-tied")(ToyTied)
    affectzoo.register_fusion("toy-sum")(ToyFusion)


def audio_visual_model(**more) -> affectzoo.AffectModel:
    """The model that most tests use: both toys, L = 4, valence and arousal."""
    arguments = {"visual": "toy-visual", "audio": "toy-audio", "fusion": "toy-sum", "sequence": {"length": 4}}
    return affectzoo.create_model(**{**arguments, **more})


def random_inputs(batch: int = 2, length: int = 4) -> dict[str, Tensor]:
    """Raw inputs of both modalities."""
    return {"visual": torch.randn(batch, length, 3, 2, 4, 4), "audio": torch.randn(batch, length, 1, 8, 3)}
