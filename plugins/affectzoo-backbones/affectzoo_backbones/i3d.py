"""I3D, Inception-v1 inflated to three dimensions (Carreira and Zisserman 2017, "Quo Vadis, Action Recognition?").

Module names, shapes and numbers are those of the public PyTorch checkpoint `rgb_imagenet.pt`, so that its state dict loads
here once the two `logits.conv3d` tensors are left out: the Kinetics classifier is not built.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from affectzoo import Backbone, FramesInput, count_batches_once
from affectzoo_backbones.inputs import check_frames

Triple = tuple[int, int, int]


def pad_same(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Zero-pad `[N, C, T, H, W]` as TensorFlow's "same" does: ceil(size / stride) steps, the odd pixel at the end."""
    padding: list[int] = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        steps = -(-size // s)
        total = max((steps - 1) * s + k - size, 0)
        padding += [total // 2, total - total // 2]
    return functional.pad(x, padding) if any(padding) else x


class Unit(nn.Module):
    """Convolution, batch norm, ReLU, with "same" padding."""

    def __init__(self, in_channels: int, out_channels: int, kernel: Triple = (1, 1, 1), stride: Triple = (1, 1, 1)) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv3d = nn.Conv3d(in_channels, out_channels, kernel, stride, bias=False)
        # Epsilon and momentum of the public checkpoint; momentum 0.01 is TensorFlow's decay of 0.99.
        self.bn = nn.BatchNorm3d(out_channels, eps=0.001, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv3d(pad_same(x, self.kernel, self.stride))))


class Pool(nn.Module):
    """Max pooling with "same" padding. It follows a ReLU, so that padding with zeros never wins over a value."""

    def __init__(self, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return functional.max_pool3d(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """An Inception module: 1x1x1, two 3x3x3 branches behind 1x1x1 reductions, and a pooled branch, side by side.

    `widths` names the six convolutions in the order b0, b1a, b1b, b2a, b2b, b3b.
    """

    def __init__(self, in_channels: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = widths
        self.b0 = Unit(in_channels, b0)
        self.b1a = Unit(in_channels, b1a)
        self.b1b = Unit(b1a, b1b, (3, 3, 3))
        self.b2a = Unit(in_channels, b2a)
        self.b2b = Unit(b2a, b2b, (3, 3, 3))
        self.b3a = Pool((3, 3, 3), (1, 1, 1))
        self.b3b = Unit(in_channels, b3b)
        self.out_channels = b0 + b1b + b2b + b3b

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], dim=1)


#: The trunk after `Conv3d_2c_3x3`, in order: an Inception module's widths, or a pooling layer's kernel and stride.
TRUNK: dict[str, tuple[int, int, int, int, int, int] | tuple[Triple, Triple]] = {
    "MaxPool3d_3a_3x3": ((1, 3, 3), (1, 2, 2)),
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "MaxPool3d_4a_3x3": ((3, 3, 3), (2, 2, 2)),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "MaxPool3d_5a_2x2": ((2, 2, 2), (2, 2, 2)),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


class I3D(Backbone):
    """I3D on RGB frames: `[N, 3, T, H, W] -> [N, 1024]`, values in -1..1, averaged over what is left of T, H and W.

    Args:
        frames: T, frames per sub-sequence.
        image_size: side of the crops in pixels; the public weights were trained at 224.
        margin: room around the face box, as in `FramesInput`.

    Raises:
        ConfigError: a value out of range.
    """

    feature_dim = 1024

    def __init__(self, *, frames: int = 8, image_size: int = 224, margin: float = 0.2) -> None:
        super().__init__()
        # Mean and deviation of one half take 0..1 to -1..1.
        half = (0.5, 0.5, 0.5)
        self.input = self.declared = FramesInput.parse(
            {"frames": frames, "height": image_size, "width": image_size, "mean": half, "std": half, "margin": margin},
            where="i3d",
        )
        self.Conv3d_1a_7x7 = Unit(3, 64, (7, 7, 7), (2, 2, 2))
        self.MaxPool3d_2a_3x3 = Pool((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = Unit(64, 64)
        self.Conv3d_2c_3x3 = Unit(64, 192, (3, 3, 3))
        self.recomputes = False
        channels = 192
        for name, layer in TRUNK.items():
            if len(layer) == 2:
                self.add_module(name, Pool(*layer))
            else:
                mixed = Mixed(channels, layer)
                self.add_module(name, mixed)
                channels = mixed.out_channels

    def checkpoint_activations(self) -> None:
        """Compute each unit and each Inception module again in the backward pass from now on."""
        self.recomputes = True
        count_batches_once(self)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, 3, T, H, W] -> [N, 1024]`; any size will do."""
        check_frames(x, self.declared)
        for layer in self.children():
            x = checkpoint(layer, x, use_reentrant=False) if self.recomputes and self.training else layer(x)
        return x.mean(dim=(2, 3, 4))
