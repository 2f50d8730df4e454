"""What every block is made of: convolution and batch norm as one unit, branches side by side, the residual frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from affectzoo import Block
from affectzoo.errors import ConfigError, InputError

Triple = tuple[int, int, int]


def frames_of(x: Tensor) -> Tensor:
    """`[N, C, T, H, W] -> [N * T, C, H, W]`, without a copy where `x` lies channels-last."""
    return x.transpose(1, 2).flatten(0, 1)


def clips_of(frames: Tensor, count: int) -> Tensor:
    """`[N * T, C, H, W] -> [N, C, T, H, W]`, N being `count`; never a copy."""
    return frames.unflatten(0, (count, -1)).transpose(1, 2)


class Convolution(nn.Conv3d):
    """A 3D convolution; a decomposed kernel, `k x 1 x 1` or `1 x k x k`, is computed as the 2D convolution that it is.

    The same weights and the same numbers: `k x 1 x 1` sees H and W as one axis, `1 x k x k` the frames as a batch, where the
    input lies channels-last, so that neither copies it. On CPUs, 2D kernels take what their 3D ones leave to a slow path.
    """

    def forward(self, input: Tensor) -> Tensor:
        (time, *space), (step, height, width), x = self.kernel_size, self.stride, input
        padding, *around = (int(size) for size in self.padding)
        if space == [1, 1]:
            x = x if (height, width) == (1, 1) else x[..., ::height, ::width]
            y = nn.functional.conv2d(x.flatten(3), self.weight.squeeze(4), self.bias, (step, 1), (padding, 0))
            y = y.unflatten(3, x.shape[3:])
            # One clip may come back with a stride of N that batch norm's gradient misreads (torch 2.15): set it anew.
            return clips_of(frames_of(y), 1) if len(x) == 1 else y
        if time == step == 1 and x.is_contiguous(memory_format=torch.channels_last_3d):
            y = nn.functional.conv2d(frames_of(x), self.weight.squeeze(2), self.bias, (height, width), around)
            return clips_of(y, len(x))
        return super().forward(x)


class StemPool(nn.Module):
    """`MaxPool3d(3, stride=2, padding=1)`, over space and then over time: a maximum of maxima."""

    def forward(self, x: Tensor) -> Tensor:
        y = clips_of(nn.functional.max_pool2d(frames_of(x), 3, 2, 1), len(x))
        even, odd = y[:, :, ::2], y[:, :, 1::2]
        around = nn.functional.pad(odd, (0, 0, 0, 0, 1, even.shape[2] - odd.shape[2]), value=-math.inf)
        return even.maximum(around[:, :, :-1]).maximum(around[:, :, 1:])


def conv_bn(
    in_channels: int, out_channels: int, kernel: Triple, stride: Triple = (1, 1, 1), *, relu: bool = True
) -> nn.Sequential:
    """Convolution without bias that keeps T, H and W (divided by `stride`), batch norm and, where wanted, ReLU."""
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    convolution = Convolution(in_channels, out_channels, kernel, stride, padding, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")  # as the video ResNets have it
    convolution.weight.data = convolution.weight.data.contiguous(memory_format=torch.channels_last_3d)  # or each pass copies it
    return nn.Sequential(convolution, nn.BatchNorm3d(out_channels), *([nn.ReLU()] if relu else []))


def closing(in_channels: int, out_channels: int, kernel: Triple) -> nn.Sequential:
    """The last `conv_bn` of a body: no ReLU, and a batch norm that starts at zero.

    So every block starts as its shortcut, and a deep network as a shallow one (Goyal et al. 2017, section 5.1).
    """
    layers = conv_bn(in_channels, out_channels, kernel, relu=False)
    nn.init.zeros_(layers[1].weight)  # pyright: ignore[reportArgumentType]
    return layers


class Branches(nn.ModuleList):
    """Modules that see the same input; their outputs are concatenated over channels."""

    def __init__(self, branches: Iterable[nn.Module]) -> None:
        super().__init__(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self], dim=1)


class ResidualBlock(Block):
    """`ReLU(body(x) + shortcut(x))`; a subclass sets `self.body`.

    Args:
        in_channels: C of the input.
        width: C of the output.
        stride: of T, H and W alike.
        project: a 1 x 1 x 1 shortcut even where the shapes agree; without it the input itself is added there.
    """

    body: nn.Module

    def __init__(self, in_channels: int, width: int, stride: int, *, project: bool = False) -> None:
        super().__init__()
        for key, value in (("in_channels", in_channels), ("width", width), ("stride", stride)):
            check_positive(key, value)
        self.in_channels, self.out_channels = in_channels, width
        self.shortcut: nn.Module = nn.Identity()
        if project or in_channels != width or stride != 1:
            self.shortcut = conv_bn(in_channels, width, (1, 1, 1), (stride, stride, stride), relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, C, T, H, W] -> [N, width, T / stride, H / stride, W / stride]`, sizes rounded up."""
        if x.ndim != 5 or x.shape[1] != self.in_channels:
            raise InputError(f"this block takes [N, {self.in_channels}, T, H, W], not {list(x.shape)}")
        if not x.is_floating_point():
            raise InputError(f"this block takes floating-point input, not {x.dtype}")
        return torch.relu(self.body(x) + self.shortcut(x))


def check_positive(key: str, value: object) -> int:
    """Return `value` where it is an integer of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{key} must be a positive integer, not {value!r}")
    return value


def check_list(key: str, values: object) -> list[int]:
    """Return `values` where it is a list of integers of at least 1."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ConfigError(f"{key} must be a list of positive integers, not {values!r}")
    return [check_positive(f"every number in {key}", value) for value in values]


def check_kernels(kernels: Sequence[int]) -> list[int]:
    """Return `kernels` where all are odd and different: an even one would shift what it sees by half a step."""
    wanted = ConfigError(f"kernels must be a list of different odd sizes such as [3, 5, 7], not {kernels!r}")
    if not isinstance(kernels, Sequence) or isinstance(kernels, str) or not kernels:
        raise wanted
    for size in kernels:
        if check_positive("every size in kernels", size) % 2 == 0:
            raise ConfigError(f"kernels must be odd, so that a branch is centred; {size} is even")
    if len(set(kernels)) != len(kernels):
        raise wanted
    return list(kernels)


def check_flag(key: str, value: object) -> bool:
    """Return `value` where it is true or false: the text "false" would count as true."""
    if not isinstance(value, bool):
        raise ConfigError(f"{key} must be true or false, not {value!r}")
    return value


def share(width: int, parts: int) -> int:
    """`width / parts` channels for a branch; `ConfigError` where that leaves a remainder."""
    if width % parts:
        raise ConfigError(f"width {width} cannot be divided by {parts}: choose a multiple of {parts}, or set branch_width")
    return width // parts
