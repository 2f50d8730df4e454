"""Backbones on signals, that is sensor channels over time, or one row of features that somebody extracted."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from affectzoo import Backbone, SignalInput
from affectzoo.errors import ConfigError, InputError


class SignalMLP(Backbone):
    """Channels standardised, then hidden layers: `[N, T, C] -> [N, D]`.

    Channels come in any unit: each is standardised by the mean and variance of all training batches so far, and by those of
    the batch while it trains.

    Args:
        channels: C.
        samples: T, instants in a sub-sequence; 1 for one row of features.
        hidden: widths of the layers; the last is D.
        dropout: after each layer.

    Raises:
        ConfigError: a size under 1, or a dropout outside 0 to 1.
    """

    def __init__(self, *, channels: int, samples: int = 1, hidden: Sequence[int] = (64,), dropout: float = 0.1) -> None:
        super().__init__()
        self.input = self.declared = SignalInput.parse({"channels": channels, "samples": samples}, where="signal-mlp")
        if not hidden or min(hidden) < 1:
            raise ConfigError(f"signal-mlp: hidden must be widths of at least one layer, not {list(hidden)}")
        if not 0 <= dropout < 1:
            raise ConfigError(f"signal-mlp: dropout must be at least 0 and under 1, not {dropout}")
        self.feature_dim = hidden[-1]
        # Inputs do not change while a network learns, so all batches count alike.
        self.standardise = nn.BatchNorm1d(channels, affine=False, momentum=None)
        layers: list[nn.Module] = []
        for before, width in zip((channels * samples, *hidden), hidden, strict=False):
            layers += [nn.Linear(before, width), nn.LayerNorm(width), nn.GELU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers)
        self._checkpointed = False

    def checkpoint_activations(self) -> None:
        """Compute the hidden layers again in the backward pass from now on; no batch norm is among them."""
        self._checkpointed = True

    def forward(self, x: Tensor) -> Tensor:
        """`[N, T, C] -> [N, D]`.

        Raises:
            InputError: another shape, or integers.
        """
        _check_signals(x, self.declared)
        flat = self._standardised(x).flatten(1)
        if self._checkpointed and self.training:
            return checkpoint(self.layers, flat, use_reentrant=False)  # pyright: ignore[reportReturnType]
        return self.layers(flat)

    def _standardised(self, x: Tensor) -> Tensor:
        norm = self.standardise
        by_channel = x.transpose(1, 2)
        if norm.training and len(x) * x.shape[1] == 1:
            # One value has no variance: it is seen as in evaluation, and tells nothing of the others.
            by_channel = functional.batch_norm(by_channel, norm.running_mean, norm.running_var, eps=norm.eps)
        else:
            by_channel = norm(by_channel)
        return by_channel.transpose(1, 2)


class Features(Backbone):
    """Features that another network gave, passed on unchanged: `[N, 1, D] -> [N, D]`. It has no weights.

    For models whose backbones are not part of them: the stream takes what was extracted elsewhere.

    Args:
        channels: D.

    Raises:
        ConfigError: D under 1.
    """

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.input = self.declared = SignalInput.parse({"channels": channels, "samples": 1}, where="features")
        self.feature_dim = channels

    def checkpoint_activations(self) -> None:
        """Nothing is computed, so nothing is computed again."""

    def forward(self, x: Tensor) -> Tensor:
        """`[N, 1, D] -> [N, D]`.

        Raises:
            InputError: another shape, or integers.
        """
        _check_signals(x, self.declared)
        return x.squeeze(1)


def _check_signals(x: Tensor, wanted: SignalInput) -> None:
    """Raise `InputError` unless `x` is float `[N, T, C]` as declared."""
    shape = [wanted.samples, wanted.channels]
    if x.ndim != 3 or list(x.shape[1:]) != shape:
        raise InputError(f"signals must be [N, {shape[0]}, {shape[1]}], not {list(x.shape)}")
    if not x.is_floating_point():
        raise InputError(f"a backbone takes floating-point signals, not {x.dtype}")
