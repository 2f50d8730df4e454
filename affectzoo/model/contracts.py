"""The contracts that plugins implement. Shapes are the contract: B batch, L sub-sequences, D features, N = B * L.

A component is an `nn.Module` whose constructor takes its config as keyword arguments with defaults; the factory checks
the keywords, fills in the defaults and saves them, so a component never handles its own configuration. A constructor
whose arguments do not say everything (a Hub id, say) sets `self.saved_config` to the keywords that rebuild it offline.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from affectzoo.config import ComponentConfig, FramesInput, LogMelInput, SignalInput, WaveformInput
from affectzoo.errors import ConfigError, InputError


class Component(nn.Module):
    """What backbones, temporal encoders, fusions and blocks share."""

    #: Registry name, provider and full config; set by the factory after construction.
    component: ComponentConfig | None = None
    #: Keywords that rebuild this instance without a network, where the constructor's arguments would not.
    saved_config: dict[str, Any] | None = None
    #: What the constructor took from other weights; `str` of it is a sentence, told when training begins.
    init_report: Any = None


class Backbone(Component):
    """Encodes one sub-sequence of one modality: `[N, ...] -> [N, feature_dim]`.

    Attributes:
        feature_dim: D.
        input: what it wants to be fed. Visual: `[N, 3, T, H, W]`; log-mel: `[N, 1, M, F]`; waveform: `[N, S]`;
            signal: `[N, T, C]`.
    """

    feature_dim: int
    input: FramesInput | LogMelInput | WaveformInput | SignalInput

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor: ...

    def checkpoint_activations(self) -> None:
        """Compute activations again in the backward pass from now on: less memory, more time, the same gradients.

        One that has batch norms calls `affectzoo.count_batches_once`.

        Raises:
            ConfigError: this backbone cannot.
        """
        name = self.component.name if self.component is not None else type(self).__name__
        raise ConfigError(f"the backbone {name} has no activation checkpointing; leave train.activation_checkpointing out")


class Block(Component):
    """A block of a 3D network: `[N, C, T, H, W] -> [N, out_channels, T / s, H / s, W / s]`, sizes rounded up.

    The constructor takes `in_channels` (C), `width` and `stride` (s) first; `width` is mostly, and need not be,
    `out_channels`. One that works at several scales takes `multiscale`, false for a single scale of the same size.
    """

    out_channels: int

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor: ...


class Temporal(Component):
    """Encodes a window of features: `[B, L, D]` and a mask `[B, L]` (true = present) to `[B, L, out_dim]`.

    The constructor takes `in_dim` first. What a masked step holds never influences the output.
    """

    out_dim: int

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor: ...


class Fusion(Component):
    """Fuses modalities: `modality -> [B, L, D_m]` and masks `[B, L]` to `[B, L, out_dim]`.

    The constructor takes `dims` (modality -> D_m) and `seq_len` (L) first. `forward(..., return_attention=True)` returns
    `(output, attention)`, attention a mapping of named maps (empty where the method has none). What a masked step holds
    never influences the output, and a modality that is absent counts as masked throughout: call `complete` first.
    """

    out_dim: int
    #: What every attention map holds, for those who read or draw it: `weights`, which sum to one over the last dimension or are
    #: all zero where there is nothing to weigh; `correlations`, from -1 to 1; empty for anything else.
    attention_kind: str = ""

    @abstractmethod
    def forward(
        self, features: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None, *, return_attention: bool = False
    ) -> Any: ...


def zero_masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """`x` `[B, L, D]` with zeros where `mask` `[B, L]` is false; x itself is unchanged.

    Filled, not multiplied: a NaN in a masked step must vanish too.
    """
    return x if mask is None else x.masked_fill(~mask.bool().unsqueeze(-1), 0.0)


def complete(
    features: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None, dims: Mapping[str, int], seq_len: int | None = None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Fill absent modalities with zeros, zero masked steps, give every modality a mask, check shapes.

    Args:
        features: modality -> `[B, L, D_m]`, at least one of `dims`.
        masks: modality -> `[B, L]` bool, true = present; absent means all present.
        dims: modality -> D_m, the modalities a fusion was built for.
        seq_len: the L that the fusion needs; None accepts any.

    Returns:
        Features and masks with exactly the keys of `dims`, in its order.

    Raises:
        InputError: an unknown modality, none at all, or a wrong shape.
    """
    unknown = [name for name in features if name not in dims]
    given = [name for name in dims if name in features]
    if unknown or not given:
        raise InputError(f"this fusion takes {', '.join(dims)}; got {', '.join(features) or 'nothing'}")
    reference = features[given[0]]
    if reference.ndim != 3:
        raise InputError(f"{given[0]} features must be [B, L, D], not {list(reference.shape)}")
    batch, length = reference.shape[:2]
    if seq_len is not None and length != seq_len:
        raise InputError(f"this fusion was built for L = {seq_len} sub-sequences; got {length}")
    filled: dict[str, Tensor] = {}
    present: dict[str, Tensor] = {}
    for name, dim in dims.items():
        if name not in features:
            filled[name] = reference.new_zeros(batch, length, dim)
            present[name] = torch.zeros(batch, length, dtype=torch.bool, device=reference.device)
            continue
        x = features[name]
        if x.shape != (batch, length, dim):
            raise InputError(f"{name} features must be {[batch, length, dim]}, not {list(x.shape)}")
        mask = None if masks is None else masks.get(name)
        if mask is None:
            filled[name], present[name] = x, torch.ones(batch, length, dtype=torch.bool, device=x.device)
            continue
        if mask.shape != (batch, length):
            raise InputError(f"the {name} mask must be {[batch, length]}, not {list(mask.shape)}")
        present[name] = mask.bool()
        filled[name] = zero_masked(x, mask)
    return filled, present
