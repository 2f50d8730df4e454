"""One small instance of every backbone, and a network that answers nobody."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import torch

from affectzoo.config import FramesInput, LogMelInput, SignalInput
from affectzoo.model.contracts import Backbone
from affectzoo_backbones.i3d import I3D
from affectzoo_backbones.signal import SignalMLP
from affectzoo_backbones.spectrogram import SpectrogramBackbone, SpectrogramResNet18
from affectzoo_backbones.timm_backbone import TimmBackbone
from affectzoo_backbones.transformers_backbone import TransformersBackbone
from affectzoo_backbones.video import MC318, R3D18, R2Plus1D18

TINY_TRANSFORMER = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
TINY_WAVEFORM = {
    **TINY_TRANSFORMER,
    "conv_dim": [8, 8],
    "conv_kernel": [10, 8],
    "conv_stride": [5, 4],
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
TINY_VIDEO = {**TINY_TRANSFORMER, "image_size": 32, "num_frames": 4}
WAVEFORM_INPUT = {"samples": 2000}


class Case(NamedTuple):
    """A backbone class, its positional variant where it is a family, and its configuration."""

    build: type[Backbone]
    variant: tuple[str, ...]
    config: dict[str, Any]

    def make(self, config: dict[str, Any] | None = None) -> Backbone:
        return self.build(*self.variant, **(self.config if config is None else config))


CASES = {
    "timm-resnet": Case(
        TimmBackbone, ("resnet10t",), {"image_size": 48, "frames": 3, "model_args": {"channels": [8, 16, 24, 32]}}
    ),
    "timm-vit": Case(TimmBackbone, ("test_vit",), {"image_size": 64, "frames": 2, "pool_frames": "max", "colour": "grey"}),
    "spectrogram-resnet18": Case(SpectrogramResNet18, (), {}),
    "spectrogram-narrow": Case(
        SpectrogramBackbone,
        ("resnet10t",),
        {"log_mel": {"n_mels": 40, "frames": 50}, "model_args": {"channels": [8, 16, 24, 32]}},
    ),
    "spectrogram-vit": Case(SpectrogramBackbone, ("test_vit",), {"log_mel": {"n_mels": 64, "frames": 96}}),
    "r2plus1d_18": Case(R2Plus1D18, (), {"frames": 2, "image_size": 32}),
    "r3d_18": Case(R3D18, (), {"frames": 2, "image_size": 32}),
    "mc3_18": Case(MC318, (), {"frames": 2, "image_size": 32}),
    "i3d": Case(I3D, (), {"frames": 2, "image_size": 32}),
    "wav2vec2": Case(TransformersBackbone, ("wav2vec2",), {"model_config": TINY_WAVEFORM, "input_config": WAVEFORM_INPUT}),
    "hubert": Case(TransformersBackbone, ("hubert",), {"model_config": TINY_WAVEFORM, "input_config": WAVEFORM_INPUT}),
    "wavlm": Case(TransformersBackbone, ("wavlm",), {"model_config": TINY_WAVEFORM, "input_config": WAVEFORM_INPUT}),
    "ast": Case(TransformersBackbone, ("audio-spectrogram-transformer",), {"model_config": TINY_TRANSFORMER, "pool": "class"}),
    "signal-mlp": Case(SignalMLP, (), {"channels": 3, "samples": 4, "hidden": [16, 8]}),
    "videomae": Case(TransformersBackbone, ("videomae",), {"model_config": TINY_VIDEO}),
}


def sample(backbone: Backbone, batch: int = 2) -> torch.Tensor:
    """Random input of exactly the declared shape."""
    wanted = backbone.input
    generator = torch.Generator().manual_seed(7)
    if isinstance(wanted, FramesInput):
        shape = (batch, 3, wanted.frames, wanted.height, wanted.width)
    elif isinstance(wanted, LogMelInput):
        shape = (batch, 1, wanted.n_mels, wanted.frames)
    elif isinstance(wanted, SignalInput):
        shape = (batch, wanted.samples, wanted.channels)
    else:
        shape = (batch, wanted.samples)
    return torch.randn(shape, generator=generator)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No backbone may open a connection in these tests."""

    def refuse(_: socket.socket, address: Any) -> None:
        raise AssertionError(f"a backbone tried to connect to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from threads, and lose much where test processes share cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def built() -> dict[str, Backbone]:
    """Backbones of this module by case name, built on first use: see `case_backbone`."""
    return {}


@pytest.fixture(params=list(CASES))
def case_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def backbone(case_name: str, built: dict[str, Backbone]) -> Backbone:
    """The small backbone of a case, in training mode and without gradients."""
    if case_name not in built:
        torch.manual_seed(0)
        built[case_name] = CASES[case_name].make()
    built[case_name].zero_grad(set_to_none=True)
    return built[case_name].train()


@pytest.fixture
def declared_sample() -> Any:
    """`sample`, for test modules: with importlib imports they cannot import from here."""
    return sample


@pytest.fixture
def tiny_configs() -> dict[str, dict[str, Any]]:
    """The tiny transformers configs by model type."""
    return {
        "wav2vec2": TINY_WAVEFORM,
        "hubert": TINY_WAVEFORM,
        "wavlm": TINY_WAVEFORM,
        "audio-spectrogram-transformer": {**TINY_TRANSFORMER, "max_length": 64},
        "videomae": TINY_VIDEO,
    }
