"""The decomposed multiscale blocks A, B and C (de Melo et al. 2022, arXiv 2203.11111).

Reconstruction: the authors released no code. Known from them: A has several temporal ranges, B several ranges in space and
time, C several spatial sizes, each from convolutions split into space and time; the size of DMSN-C (22.1 M parameters,
11.29 GMAC). From the same authors' MSN come the 3 x 1 x 1 reduction, kernels 3, 5, 7, concatenation and the residual sum.
Ours, chosen so that the sizes agree: branches of half the width, the closing 1 x 1 x 1, batch norm and ReLU after every
convolution (the last ReLU after the sum), the stride of space in the spatial and that of time in the temporal convolutions,
a single full-width branch of the smallest kernel where a stage is not multiscale, and a last batch norm that starts at zero.

Shapes: `[N, C, T, H, W] -> [N, width, T / stride, H / stride, W / stride]`.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from affectzoo_dmsn.layers import Branches, ResidualBlock, check_flag, check_kernels, check_positive, closing, conv_bn, share


def scales(kernels: Sequence[int], width: int, branch_width: int | None, multiscale: bool) -> tuple[list[int], int]:
    """Kernel sizes and the width of each branch: half of `width`, or one full-width branch without scales."""
    sizes = check_kernels(kernels)
    if not check_flag("multiscale", multiscale):
        return [min(sizes)], width
    return sizes, share(width, 2) if branch_width is None else check_positive("branch_width", branch_width)


class Multiscale(ResidualBlock):
    """What A, B and C share: their options. A subclass gives the layers for kernel sizes and the width of each branch."""

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
        super().__init__(in_channels, width, stride)
        sizes, each = scales(kernels, width, branch_width, multiscale)
        self.body = self.layers(in_channels, width, stride, sizes, each)

    def layers(self, in_channels: int, width: int, stride: int, sizes: list[int], each: int) -> nn.Sequential:
        """The body of the block."""
        raise NotImplementedError


class DMSNA(Multiscale):
    """Several temporal ranges: 3x1x1 reduce, 1x3x3, then kx1x1 for every k side by side, 1x1x1 fuse. A reconstruction.

    Args:
        in_channels: C of the input.
        width: C of the output and of the reduction.
        stride: of T, H and W.
        kernels: odd temporal ranges in frames, one branch each.
        branch_width: C of each branch; None is half of `width`.
        multiscale: false leaves one branch, of the smallest range and full width.

    Raises:
        ConfigError: an even kernel, a width that does not divide, a value that is not a positive integer.
    """

    def layers(self, in_channels: int, width: int, stride: int, sizes: list[int], each: int) -> nn.Sequential:
        return nn.Sequential(
            conv_bn(in_channels, width, (3, 1, 1)),
            conv_bn(width, width, (1, 3, 3), (1, stride, stride)),
            Branches(conv_bn(width, each, (k, 1, 1), (stride, 1, 1)) for k in sizes),
            closing(each * len(sizes), width, (1, 1, 1)),
        )


class DMSNB(Multiscale):
    """Several ranges in space and time: 3x1x1 reduce, then 1xkxk and kx1x1 for every k side by side, 1x1x1 fuse. A
    reconstruction.

    Args:
        in_channels: C of the input.
        width: C of the output and of the reduction.
        stride: of T, H and W.
        kernels: odd sizes k, in frames and in pixels of the feature map, one branch each.
        branch_width: C of each branch; None is half of `width`.
        multiscale: false leaves one branch, of the smallest size and full width.

    Raises:
        ConfigError: an even kernel, a width that does not divide, a value that is not a positive integer.
    """

    def layers(self, in_channels: int, width: int, stride: int, sizes: list[int], each: int) -> nn.Sequential:
        return nn.Sequential(
            conv_bn(in_channels, width, (3, 1, 1)),
            Branches(
                nn.Sequential(
                    conv_bn(width, each, (1, k, k), (1, stride, stride)), conv_bn(each, each, (k, 1, 1), (stride, 1, 1))
                )
                for k in sizes
            ),
            closing(each * len(sizes), width, (1, 1, 1)),
        )


class DMSNC(Multiscale):
    """Several spatial sizes: 3x1x1 reduce, then 1xkxk for every k side by side, 3x1x1, 1x1x1 fuse. A reconstruction.

    Args:
        in_channels: C of the input.
        width: C of the output and of the reduction.
        stride: of T, H and W.
        kernels: odd spatial sizes in pixels of the feature map, one branch each.
        branch_width: C of each branch; None is half of `width`.
        multiscale: false leaves one branch, of the smallest size and full width.

    Raises:
        ConfigError: an even kernel, a width that does not divide, a value that is not a positive integer.
    """

    def layers(self, in_channels: int, width: int, stride: int, sizes: list[int], each: int) -> nn.Sequential:
        return nn.Sequential(
            conv_bn(in_channels, width, (3, 1, 1)),
            Branches(conv_bn(width, each, (1, k, k), (1, stride, stride)) for k in sizes),
            conv_bn(each * len(sizes), width, (3, 1, 1), (stride, 1, 1)),
            closing(width, width, (1, 1, 1)),
        )
