"""The same predictions faster on this machine: batch norms folded into convolutions, memory format and dtype by measuring."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from affectzoo.config import FramesInput, LogMelInput, SignalInput, StreamInput
from affectzoo.errors import CheckpointError, InputError
from affectzoo.model.affect_model import AffectModel
from affectzoo.model.checkpoint import DTYPES
from affectzoo.model.contracts import Backbone
from affectzoo.model.folding import TOLERANCE, fold_norms, replace_modules

_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
#: Largest difference of the features, relative to the largest feature, before a variant counts as broken.
_BROKEN = {"float32": TOLERANCE, "bfloat16": 0.1, "float16": 0.1}


@dataclass(frozen=True)
class StreamReport:
    """What was chosen for one backbone.

    Attributes:
        stream: modality; folded: batch norms that became part of a convolution; dtype: what the backbone computes in.
        layout: `as it was`, `contiguous`, `channels-last`, or `packed` (channels-last, weights laid out for the CPU).
        before_ms, after_ms: per batch; before is None where the original cannot run here.
        difference: largest of the features', as a share of the largest feature.
    """

    stream: str
    folded: int
    layout: str
    dtype: str
    before_ms: float | None
    after_ms: float
    difference: float

    def __str__(self) -> str:
        before = "the original cannot run here"
        if self.before_ms is not None:
            before = f"{self.before_ms:.1f} ms before, {self.before_ms / self.after_ms:.1f} times as fast"
        return (
            f"{self.stream}: {self.dtype}, {self.layout}, {self.folded} batch norms folded; {self.after_ms:.1f} ms, {before}; "
            f"features differ by at most {self.difference:.2%} of the largest"
        )


@dataclass(frozen=True)
class OptimizationReport:
    """What was chosen for a model, and how far its outputs are from the original's in float32, on noise.

    Attributes:
        device: where it was measured, and the only place where the model runs.
        batch_size: sub-sequences in one measured pass; streams: one report for each backbone.
        differences: output column -> largest absolute difference, in the target's unit.
    """

    device: str
    batch_size: int
    streams: tuple[StreamReport, ...]
    differences: dict[str, float]

    def __str__(self) -> str:
        first = f"optimised for {self.device}, {self.batch_size} sub-sequences at a time"
        last = "outputs differ: " + ", ".join(f"{column} by at most {value:.2g}" for column, value in self.differences.items())
        return "\n  ".join([first, *map(str, self.streams), last])


class OptimizedModel(AffectModel):
    """An `AffectModel` for inference on the device where it was made: float32 in, float32 out, no gradients.

    Attributes:
        report: what was chosen, and what it changes.
    """

    def __init__(self, original: AffectModel, backbones: Mapping[str, Backbone], report: OptimizationReport) -> None:
        nn.Module.__init__(self)
        self.source, self.config, self.columns = original.source, original.config, original.columns
        self.feature_dims, self._fused_dims = original.feature_dims, original._fused_dims
        # The backbones last: who asks for the dtype of the first weight learns what the model takes.
        self.head, self.fusion, self.temporals = original.head, original.fusion, original.temporals
        self.backbones = nn.ModuleDict(backbones)
        self.report = report
        count = original.parameter_count()  # packed weights are no parameters
        self.parameter_count = lambda: count
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> OptimizedModel:
        """Evaluation mode is the only one."""
        if mode:
            raise InputError("an optimised model cannot be trained; train the original and optimise it again")
        super().train(False)
        return self

    def save_pretrained(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: what is fast here may be slow or impossible elsewhere."""
        raise CheckpointError("an optimised model is made for one machine and is not saved; save the original instead")

    def optimize_for_inference(self, **_: Any) -> NoReturn:
        """Refused: folded weights would be rounded twice."""
        raise InputError("this model is optimised already; optimise the original again instead")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> OptimizedModel:  # noqa: ARG002
        # `to`, `half`, `cuda` and their like come here: those that change nothing pass, such as `to` the same device.
        for dtype in {parameter.dtype for parameter in self.parameters()}:
            moved = fn(probe := torch.empty(0, dtype=dtype, device=self.report.device))
            if (moved.device, moved.dtype) != (probe.device, dtype):
                raise InputError(f"this model is optimised for {self.report.device}; move the original and optimise it there")
        return self


class _Wrapped(Backbone):
    """A backbone in another dtype and layout: float32 in and out."""

    def __init__(self, network: Backbone, dtype: torch.dtype, layout: str) -> None:
        super().__init__()
        self.feature_dim, self.input, self.component = network.feature_dim, network.input, network.component
        self.network, self.dtype = network.to(dtype), dtype
        self.dims: set[int] = set()
        for module in network.modules() if layout in ("channels-last", "packed") else ():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                self.dims.add(module.weight.ndim)
                module.weight.data = module.weight.data.contiguous(memory_format=_CHANNELS_LAST[module.weight.ndim])

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.dtype)
        if x.ndim in self.dims:
            x = x.contiguous(memory_format=_CHANNELS_LAST[x.ndim])
        return self.network(x).float()


class _Packed(nn.Module):
    """A convolution, and the ReLU after it, with weights in the order that oneDNN computes in."""

    def __init__(self, convolution: nn.Module, relu: bool, size: list[int]) -> None:
        super().__init__()
        assert isinstance(convolution, nn.Conv2d | nn.Conv3d)
        padding: list[Any] = list(convolution.padding)
        weight, stride = convolution.weight.data, list(convolution.stride)
        self.bias, self.after, self.columns = convolution.bias, "relu" if relu else "none", 0
        # The dot products of bfloat16 take channels in pairs and many: of a stem's three, the columns become channels.
        few = convolution.in_channels <= 4 and convolution.groups == 1 and weight.shape[-1] > 1
        if few and weight.dtype == torch.bfloat16 and convolution.dilation[-1] == 1:
            self.columns, self.pad, self.step = weight.shape[-1], padding[-1], stride[-1]
            weight = weight.movedim(-1, 1).flatten(1, 2).unsqueeze(-1)
            weight = torch.cat([weight, weight.new_zeros(len(weight), weight.shape[1] % 2, *weight.shape[2:])], dim=1)
            padding[-1], stride[-1], size = 0, 1, []
        self.channels = weight.shape[1]
        self.arguments = (padding, stride, list(convolution.dilation), convolution.groups)
        # Opaque to `state_dict` and `to`; neither is allowed on an optimised model anyway.
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(weight.contiguous(), *self.arguments, size)

    def forward(self, x: Tensor) -> Tensor:
        if self.columns:
            # One column more than the padding: the zero weight that makes the taps even reads into it.
            rows = nn.functional.pad(x.movedim(1, -1), (0, 0, self.pad, self.pad + 1)).contiguous()
            count = (rows.shape[-2] - 1 - self.columns) // self.step + 1
            strides = (*rows.stride()[:-2], self.step * rows.shape[-1], 1)
            x = rows.as_strided((*rows.shape[:-2], count, self.channels), strides).contiguous().movedim(-1, 1)
        return torch.ops.mkldnn._convolution_pointwise(x, self.weight, self.bias, *self.arguments, self.after, [], "")


def _is_plain(module: nn.Conv2d | nn.Conv3d, size: list[int]) -> bool:
    """Whether a convolution does what its weights and options say; one of somebody's own may compute it otherwise."""
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        return False
    if type(module) in (nn.Conv2d, nn.Conv3d):
        return True
    x = torch.randn(1, *size[1:], generator=torch.Generator().manual_seed(0)).to(module.weight.dtype)
    plain = nn.functional.conv2d if isinstance(module, nn.Conv2d) else nn.functional.conv3d
    expected = plain(x, module.weight, module.bias, module.stride, module.padding, module.dilation, module.groups)
    close = _BROKEN[str(x.dtype).removeprefix("torch.")] * expected.abs().max()
    return bool((module(x) - expected).abs().max() <= close)


def _pack(network: nn.Module, chains: Sequence[tuple[str, str | None, list[int]]]) -> None:
    """Swap, in place, the convolutions that oneDNN can hold packed: their name, their ReLU's, the shape of the input."""
    modules = dict(network.named_modules())
    replaced: dict[nn.Module, nn.Module] = {}
    for name, relu, size in chains:
        module = modules[name]
        if not isinstance(module, nn.Conv2d | nn.Conv3d) or not _is_plain(module, size):
            continue
        replaced[module] = _Packed(module, relu is not None, size)
        if relu is not None:
            replaced[modules[relu]] = nn.Identity()
    replace_modules(network, replaced)


@dataclass
class _Variant:
    dtype: str
    layout: str
    folded: int
    run: Callable[[Tensor], Tensor]
    features: Tensor | None = None
    difference: float = 0.0
    ms: float = float("inf")


def optimize(
    model: AffectModel, *, batch_size: int, dtypes: Sequence[str] | None, tolerance: float | None, seconds: float
) -> OptimizedModel:
    """What `AffectModel.optimize_for_inference` does."""
    device = next(model.parameters()).device
    unknown = [name for name in dtypes or () if name not in DTYPES]
    if unknown or (dtypes is not None and not dtypes):
        raise InputError(f"dtypes must name some of {', '.join(DTYPES)}, not {', '.join(unknown) or 'none'}")
    if batch_size < 1 or seconds <= 0 or (tolerance is not None and tolerance < 0):
        raise InputError("batch_size must be at least 1, seconds above 0 and tolerance at least 0")
    given = copy.deepcopy(model).eval()
    exact = copy.deepcopy(given).float()
    variants: dict[str, list[_Variant]] = {}
    before: dict[str, float | None] = {}
    for name, stream in model.config.streams.items():
        x = example_input(stream.input, batch_size, device)
        variants[name] = list(_variants(exact.backbones[name], x, dtypes or _dtypes(device)))
        before[name] = _measure(variants[name], given.backbones[name], x, seconds / len(exact.backbones))
    length = model.config.sequence.length
    windows = torch.arange(batch_size * length, device=device).view(batch_size, length) % batch_size

    def outputs(chosen: Mapping[str, _Variant]) -> Tensor:
        features = {name: v.features[windows] for name, v in chosen.items() if v.features is not None}
        with torch.no_grad():
            return exact.forward_features(features, pool=False)

    # The first variant is the original in float32: there is always one that is close enough.
    expected = outputs({name: tried[0] for name, tried in variants.items()})
    chosen = {name: min(tried, key=lambda v: v.ms) for name, tried in variants.items()}
    while tolerance is not None and (outputs(chosen) - expected).abs().max() > tolerance:
        worst = max(chosen, key=lambda name: chosen[name].difference)
        closer = [v for v in variants[worst] if v.difference < chosen[worst].difference]
        chosen[worst] = min(closer, key=lambda v: v.ms)
    largest = (outputs(chosen) - expected).abs().flatten(0, 1).amax(0).tolist()
    streams = [StreamReport(n, v.folded, v.layout, v.dtype, before[n], v.ms, v.difference) for n, v in chosen.items()]
    differences = dict(zip(model.columns, largest, strict=True))
    report = OptimizationReport(str(device), batch_size, tuple(streams), differences)
    backbones: Any = {name: variant.run for name, variant in chosen.items()}
    return OptimizedModel(exact, backbones, report)


def example_input(declared: StreamInput | None, batch: int, device: torch.device | str) -> Tensor:
    """Noise of the declared shape, the same at every call: `[N, 3, T, H, W]`, `[N, 1, M, F]`, `[N, T, C]` or `[N, S]`."""
    if isinstance(declared, FramesInput):
        shape = (3, declared.frames, declared.height, declared.width)
    elif isinstance(declared, LogMelInput):
        shape = (1, declared.n_mels, declared.frames)
    elif isinstance(declared, SignalInput):
        shape = (declared.samples, declared.channels)
    else:
        assert declared is not None  # a built model declares every input
        shape = (declared.samples,)
    return torch.randn((batch, *shape), generator=torch.Generator().manual_seed(0), device="cpu").to(device)


def _dtypes(device: torch.device) -> list[str]:
    """What this machine computes fast in."""
    if device.type == "cuda":
        return list(DTYPES) if torch.cuda.is_bf16_supported(including_emulation=False) else ["float32", "float16"]
    tests = (getattr(torch.cpu, name, bool) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return ["float32", "bfloat16"] if any(test() for test in tests) else ["float32"]


def _variants(backbone: Any, x: Tensor, dtypes: Sequence[str]) -> Iterator[_Variant]:
    """The backbone as it is in float32, then whatever can be built."""
    yield _Variant("float32", "as it was", 0, _Wrapped(copy.deepcopy(backbone), torch.float32, "as it was"))
    try:
        folded, count, chains = fold_norms(backbone, x[:1])
    except Exception:  # one that cannot be followed is measured as it is
        folded, count, chains = backbone, 0, []
    names = {module: name for name, module in folded.named_modules()}
    named = [(names[c.convolution], names[c.relu] if c.relu else None, [len(x), *c.x.shape[1:]]) for c in chains]
    layouts = ["contiguous"]
    if any(isinstance(m, nn.Conv2d | nn.Conv3d) for m in folded.modules()):
        layouts += ["channels-last", *(["packed"] if x.device.type == "cpu" and chains else [])]
    for dtype in dtypes:
        for layout in layouts:
            wrapped = _Wrapped(copy.deepcopy(folded), DTYPES[dtype], layout)
            if layout == "packed":
                try:
                    _pack(wrapped.network, named)
                except Exception:  # a build of torch without oneDNN, or with another interface to it
                    continue
            yield _Variant(dtype, layout, count, wrapped)


def _measure(variants: list[_Variant], original: nn.Module, x: Tensor, seconds: float) -> float | None:
    """Fill in features and ms, take out what is wrong; returns the ms of the original, None where it cannot run."""
    dtype = next((p.dtype for p in original.parameters()), x.dtype)
    before = _Variant("", "", 0, lambda x: original(x.to(dtype)))
    exact = variants[0].features = _timed(variants[0], x).clone()
    for variant in [*variants[1:], before]:
        try:
            variant.features = _timed(variant, x).clone()
            variant.difference = ((variant.features - exact).abs().max() / exact.abs().max().clamp(min=1e-12)).item()
        except Exception:  # an operation that this build of torch lacks in this dtype
            variant.difference = float("nan")
    # Written so that NaN fails, too.
    variants[:] = [v for v in variants if v.difference <= _BROKEN[v.dtype]]
    contenders = [*variants, *([before] if before.features is not None else [])]
    end = time.perf_counter() + seconds
    for number in range(50):  # in rounds, so that a busy machine hurts all alike
        fastest = min(c.ms for c in contenders)
        for contender in contenders:
            if contender.ms < (3.0 if number < 2 else 1.3) * fastest or (contender is before and number < 3):
                _timed(contender, x)
        if number and time.perf_counter() > end:
            break
    return before.ms if before.features is not None else None


def _timed(variant: _Variant, x: Tensor) -> Tensor:
    """Run once and keep the time where it is the shortest so far."""
    start = time.perf_counter()
    with torch.inference_mode():
        y = variant.run(x)
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)
    variant.ms = min(variant.ms, 1000 * (time.perf_counter() - start))
    return y
