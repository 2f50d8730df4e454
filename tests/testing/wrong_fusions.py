"""Fusions that keep their contract, and for each check one that breaks that promise and no other."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from affectzoo import Fusion, complete, zero_masked

Features = Mapping[str, Tensor]


class Right(Fusion):
    """A gated projection of all features `[B, L, dim]`; the gate `[B, L, dim]` is its map."""

    def __init__(self, dims: Mapping[str, int], seq_len: int, *, dim: int = 8) -> None:
        super().__init__()
        self.dims = dict(dims)
        self.seq_len = seq_len
        self.project = nn.Linear(sum(dims.values()), dim)
        self.gate = nn.Linear(dim, dim)
        self.out_dim = dim

    def forward(self, features: Features, masks: Features | None = None, *, return_attention: bool = False) -> Any:
        x = self.prepared(features, masks)
        fused = self.project(torch.cat(list(x.values()), dim=-1))
        gate = torch.sigmoid(self.gate(fused))
        output = self.finished(gate * fused)
        return (output, self.maps(gate)) if return_attention else output

    def prepared(self, features: Features, masks: Features | None) -> dict[str, Tensor]:
        return complete(features, masks, self.dims, self.seq_len)[0]

    def finished(self, output: Tensor) -> Tensor:
        return output

    def maps(self, gate: Tensor) -> dict[str, Tensor]:
        return {"gate": gate}


class RightAttention(Fusion):
    """What authors like to use and a check could take for a fault: dropout, a gate that starts at zero, torch's attention.

    `[B, L, dim]`, residual over the sum of all projected modalities; the map `[B, L, L]` is the mean of all heads.
    """

    def __init__(self, dims: Mapping[str, int], seq_len: int, *, dim: int = 8, dropout: float = 0.5) -> None:
        super().__init__()
        self.dims = dict(dims)
        self.seq_len = seq_len
        self.project = nn.ModuleDict({name: nn.Linear(width, dim) for name, width in dims.items()})
        self.attend = nn.MultiheadAttention(dim, 2, dropout=dropout, batch_first=True)
        self.scale = nn.Parameter(torch.zeros(dim))
        self.out_dim = dim

    def forward(self, features: Features, masks: Features | None = None, *, return_attention: bool = False) -> Any:
        x, present = complete(features, masks, self.dims, self.seq_len)
        here = torch.stack(list(present.values())).any(dim=0)
        fused = zero_masked(torch.stack([self.project[name](x[name]) for name in self.dims]).sum(dim=0), here)
        left_out = ~here & here.any(dim=1, keepdim=True)  # a softmax over nothing would be NaN
        attended, weights = self.attend(fused, fused, fused, key_padding_mask=left_out, need_weights=return_attention)
        output = zero_masked(fused + self.scale * attended, here)
        return (output, {"attention": weights}) if return_attention else output


class RightByChance(Right):
    """Leaves out most of its layers in training, each pass others."""

    def __init__(self, dims: Mapping[str, int], seq_len: int) -> None:
        super().__init__(dims, seq_len)
        self.layers = nn.ModuleList(nn.Linear(self.out_dim, self.out_dim) for _ in range(6))

    def finished(self, output: Tensor) -> Tensor:
        for layer in self.layers:
            if not self.training or torch.rand(()) < 0.4:
                output = output + torch.tanh(layer(output))
        return output


class RightWeights(Right):
    """Its map is a softmax, zero where nothing is present, and says so."""

    attention_kind = "weights"

    def maps(self, gate: Tensor) -> dict[str, Tensor]:
        return {"gate": torch.cat([gate.softmax(-1)[:, :-1], torch.zeros_like(gate[:, -1:])], dim=1)}


class FalseWidth(Right):
    """Declares an out_dim that it does not give."""

    def __init__(self, dims: Mapping[str, int], seq_len: int, *, dim: int = 8) -> None:
        super().__init__(dims, seq_len, dim=dim)
        self.out_dim = dim + 1


class OnesForAbsent(Right):
    """Takes an absent modality for one whose features are all one."""

    def prepared(self, features: Features, masks: Features | None) -> dict[str, Tensor]:
        given = next(iter(features.values()))
        filled = {name: features.get(name, given.new_ones(*given.shape[:2], dim)) for name, dim in self.dims.items()}
        return super().prepared(filled, masks)


class GoesByPosition(Right):
    """Takes the first modality that it is handed for audio."""

    def prepared(self, features: Features, masks: Features | None) -> dict[str, Tensor]:
        x = super().prepared(features, masks)
        return {name: x[name] for name in features} if len(features) == len(x) else x


class MasksByProduct(Right):
    """Multiplies by the mask, so NaN stays NaN."""

    def prepared(self, features: Features, masks: Features | None) -> dict[str, Tensor]:
        x = complete(features, None, self.dims, self.seq_len)[0]
        return x if masks is None else {n: x[n] * masks[n].unsqueeze(-1) if n in masks else x[n] for n in x}


class MasksAfterALayer(Right):
    """Zeroes what a masked step became, not what it held: the layer's gradient is NaN."""

    def __init__(self, dims: Mapping[str, int], seq_len: int) -> None:
        super().__init__(dims, seq_len)
        self.before = nn.ModuleDict({name: nn.Linear(dim, dim) for name, dim in dims.items()})

    def prepared(self, features: Features, masks: Features | None) -> dict[str, Tensor]:
        x = complete(features, None, self.dims, self.seq_len)[0]
        present = complete(features, masks, self.dims, self.seq_len)[1]
        return {name: zero_masked(self.before[name](x[name]), present[name]) for name in self.dims}


class UnusedLayer(Right):
    """Has a layer that nothing reads."""

    def __init__(self, dims: Mapping[str, int], seq_len: int) -> None:
        super().__init__(dims, seq_len)
        self.unused = nn.Linear(2, 2)


class NormalisesOverBatch(Right):
    """Takes away the mean of the batch, in eval mode too."""

    def finished(self, output: Tensor) -> Tensor:
        return output - output.mean(dim=0, keepdim=True)


class NormalisesBehindAGate(NormalisesOverBatch):
    """As above, in a branch whose scale is next to nothing before training."""

    def __init__(self, dims: Mapping[str, int], seq_len: int) -> None:
        super().__init__(dims, seq_len)
        self.scale = nn.Parameter(torch.full((self.out_dim,), 1e-6))

    def finished(self, output: Tensor) -> Tensor:
        return output + self.scale * super().finished(output)


class SortsByLength(Right):
    """Sorts the windows by how much is present, as packed sequences want it, and forgets to sort back."""

    def prepared(self, features: Features, masks: Features | None) -> dict[str, Tensor]:
        x, present = complete(features, masks, self.dims, self.seq_len)
        order = torch.stack(list(present.values())).sum(dim=(0, 2)).argsort(descending=True, stable=True)
        return {name: value[order] for name, value in x.items()}


class RandomConstant(Right):
    """Draws a constant when it is made, and keeps it neither in a buffer nor in its config."""

    def __init__(self, dims: Mapping[str, int], seq_len: int) -> None:
        super().__init__(dims, seq_len)
        self.scale = 1 + torch.rand(()).item()

    def finished(self, output: Tensor) -> Tensor:
        return self.scale * output


class KeepsDoubles(Right):
    """A float64 buffer: a model is saved in one precision."""

    def __init__(self, dims: Mapping[str, int], seq_len: int) -> None:
        super().__init__(dims, seq_len)
        self.register_buffer("ramp", torch.linspace(0, 1, seq_len, dtype=torch.float64).unsqueeze(-1))

    def finished(self, output: Tensor) -> Tensor:
        return output + self.get_buffer("ramp").to(output.dtype)


class KeepsState(Right):
    """State beside the tensors, which a file of weights does not hold."""

    def get_extra_state(self) -> dict[str, int]:
        return {"steps": 3}

    def set_extra_state(self, state: Any) -> None: ...


class SavesPercent(Right):
    """Takes its dropout as a fraction and saves it in percent."""

    def __init__(self, dims: Mapping[str, int], seq_len: int, *, dropout: float = 0.001) -> None:
        super().__init__(dims, seq_len)
        self.dropout = dropout
        self.saved_config = {"dropout": 100 * dropout}

    def finished(self, output: Tensor) -> Tensor:
        return nn.functional.dropout(output, self.dropout, self.training)


class TakesAnything(Right):
    """Ignores keywords that it does not know."""

    def __init__(self, dims: Mapping[str, int], seq_len: int, **options: Any) -> None:
        super().__init__(dims, seq_len, dim=options.get("dim", 8))


class MakesFloat32(Right):
    """Makes a float32 matrix in its forward pass, whatever the features are."""

    def finished(self, output: Tensor) -> Tensor:
        return output @ torch.eye(self.out_dim)


class DrawsFromPython(Right):
    """Its noise comes from Python's generator, which torch's seed does not reach."""

    def finished(self, output: Tensor) -> Tensor:
        return output * random.uniform(0.9, 1.1) if self.training else output


class RemembersTheFirst(Right):
    """Centres everything by the first windows that it is given."""

    mean: Tensor | None = None

    def finished(self, output: Tensor) -> Tensor:
        if self.mean is None:
            self.mean = output.mean().detach()
        return output - self.mean


class WidthsFromInputs(Right):
    """A layer whose width the first input decides."""

    def __init__(self, dims: Mapping[str, int], seq_len: int) -> None:
        super().__init__(dims, seq_len)
        self.late = nn.LazyLinear(self.out_dim)

    def finished(self, output: Tensor) -> Tensor:
        return self.late(output)


class EndsTheProcess(Right):
    """Calls sys.exit."""

    def finished(self, output: Tensor) -> Tensor:  # noqa: ARG002
        raise SystemExit(3)


class ZeroesInPlace(Right):
    """Zeroes masked steps in the caller's tensors."""

    def prepared(self, features: Features, masks: Features | None) -> dict[str, Tensor]:
        for name, mask in (masks or {}).items():
            features[name].masked_fill_(~mask.unsqueeze(-1), 0.0)
        return super().prepared(features, masks)


class ShortcutWhenCompiled(Right):
    """Leaves something out where it is compiled."""

    def finished(self, output: Tensor) -> Tensor:
        return output if torch.compiler.is_dynamo_compiling() else 2 * output


class BranchesOnValues(Right):
    """Asks a tensor for its value, which an exported graph cannot answer."""

    def finished(self, output: Tensor) -> Tensor:
        return output.clamp(-1e3, 1e3) if output.abs().max() > 1e3 else output


class AveragedMaps(Right):
    """Gives a map without a batch dimension."""

    def maps(self, gate: Tensor) -> dict[str, Tensor]:
        return {"gate": gate.mean(dim=0)}


class GatesAsWeights(Right):
    """Calls gates weights, though they do not sum to one."""

    attention_kind = "weights"


class LargeCorrelations(Right):
    attention_kind = "correlations"

    def maps(self, gate: Tensor) -> dict[str, Tensor]:
        return {"gate": 3 * gate}


RIGHT: tuple[type[Fusion], ...] = (Right, RightAttention, RightByChance, RightWeights)

#: A check, a fusion that only it catches, and what its message must say.
WRONG: tuple[tuple[str, type[Fusion], str], ...] = (
    ("output-shape", FalseWidth, r"\[B, L, out_dim\] must be \[1, 1, 9\], not \[1, 1, 8\]"),
    ("missing-modality", OnesForAbsent, "without audio, and with audio masked throughout"),
    ("modality-order", GoesByPosition, "visual, audio handed over in this order"),
    ("masked-steps", MasksByProduct, "with inf in the masked steps"),
    ("masked-steps", MasksAfterALayer, "gradients with NaN in the masked steps"),
    ("gradients-reach-every-parameter", UnusedLayer, "no gradient reaches unused.weight, unused.bias"),
    ("batch-of-one-equals-batch-of-many", NormalisesOverBatch, "row 0 of .* alone, and within its batch"),
    ("batch-of-one-equals-batch-of-many", NormalisesBehindAGate, "row 0 of .* alone, and within its batch"),
    ("permutation", SortsByLength, r"with its rows in the order \[3, 2, 1, 0\]"),
    ("save-and-load", RandomConstant, "after saving and loading"),
    ("save-and-load", KeepsDoubles, r"cannot be saved: .* mixes \['torch.float32', 'torch.float64'\]"),
    ("save-and-load", KeepsState, "cannot be saved: _extra_state is a dict"),
    ("config-round-trip", SavesPercent, "builds saves another config: {'dropout': 10.0}"),
    ("unknown-key-refused", TakesAnything, "was accepted"),
    ("half-precision", MakesFloat32, "the bfloat16 module on .*dtype of its input.*RuntimeError: "),
    ("deterministic", DrawsFromPython, "twice in training mode"),
    ("inputs-unchanged", ZeroesInPlace, "after the forward pass"),
    ("compiled", ShortcutWhenCompiled, "under torch.compile"),
    ("exported", BranchesOnValues, "no branch and no size may depend on .*data-dependent"),
    ("attention", AveragedMaps, r"'gate' .* must be \[B, ...\], not \[5, 8\]"),
    ("attention", GatesAsWeights, "'gate' .* must sum to one over its last dimension"),
    ("attention", LargeCorrelations, "'gate' .* goes from .*; correlations are within -1 and 1"),
)
