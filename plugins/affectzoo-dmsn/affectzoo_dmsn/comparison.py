"""Blocks to compare DMSN with, in the same trunk: full 3D, (2+1)D, and the undecomposed multiscale block of MSN."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from affectzoo_dmsn.layers import Branches, ResidualBlock, check_flag, check_kernels, check_positive, closing, conv_bn, share


class Basic3D(ResidualBlock):
    """Two 3x3x3 convolutions (Tran et al. 2018, R3D): `[N, C, T, H, W] -> [N, width, T / s, H / s, W / s]`.

    Args:
        in_channels: C of the input.
        width: C of the output.
        stride: s, of T, H and W.
    """

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__(in_channels, width, stride)
        self.body = nn.Sequential(
            conv_bn(in_channels, width, (3, 3, 3), (stride, stride, stride)), closing(width, width, (3, 3, 3))
        )


class R2Plus1D(ResidualBlock):
    """Two (2+1)D convolutions (Tran et al. 2018): `[N, C, T, H, W] -> [N, width, T / s, H / s, W / s]`.

    Args:
        in_channels: C of the input.
        width: C of the output.
        stride: s, of T, H and W.
        middle: channels between the spatial and the temporal half; None keeps the parameters of 3x3x3 (section 3.5 there).
    """

    def __init__(self, in_channels: int, width: int, stride: int = 1, *, middle: int | None = None) -> None:
        super().__init__(in_channels, width, stride)
        layers: list[nn.Module] = []
        for first, step in ((in_channels, stride), (width, 1)):
            between = (
                max(1, 27 * first * width // (9 * first + 3 * width)) if middle is None else check_positive("middle", middle)
            )
            layers += [
                conv_bn(first, between, (1, 3, 3), (1, step, step)),
                closing(between, width, (3, 1, 1)) if layers else conv_bn(between, width, (3, 1, 1), (step, 1, 1)),
            ]
        self.body = nn.Sequential(*layers)


class MSN(ResidualBlock):
    """3x1x1 reduce, full kxkxk for every k side by side, 3x1x1 expand (de Melo et al. 2020): what DMSN decomposes.

    Follows the authors' released network: the shortcut is a 1x1x1 convolution in every block. Placing the stride in the
    branches is ours; their network pools between stages instead.

    Args:
        in_channels: C of the input.
        width: C of the output.
        stride: of T, H and W.
        kernels: odd sizes, one branch each.
        branch_width: C of the reduction and of each branch; None is a quarter of `width`, half of it without scales.
        multiscale: false leaves one branch, of the smallest size.

    Raises:
        ConfigError: an even kernel, a width that does not divide, a value that is not a positive integer.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int = 1,
        *,
        kernels: Sequence[int] = (3, 5, 7),
        branch_width: int | None = None,
        multiscale: bool = True,
    ) -> None:
        super().__init__(in_channels, width, stride, project=True)
        sizes = check_kernels(kernels)
        if not check_flag("multiscale", multiscale):
            sizes = [min(sizes)]
        each = share(width, 4 if multiscale else 2) if branch_width is None else check_positive("branch_width", branch_width)
        self.body = nn.Sequential(
            conv_bn(in_channels, each, (3, 1, 1)),
            Branches(conv_bn(each, each, (k, k, k), (stride, stride, stride)) for k in sizes),
            closing(each * len(sizes), width, (3, 1, 1)),
        )
