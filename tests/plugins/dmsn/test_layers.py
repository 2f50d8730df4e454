"""Decomposed kernels as 2D convolutions, and the stem's pool in two steps: the same numbers as the 3D operations."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from affectzoo_dmsn.layers import Convolution, StemPool, conv_bn

LAYOUTS = [torch.contiguous_format, torch.channels_last_3d]
KERNELS = [(3, 1, 1), (7, 1, 1), (1, 3, 3), (1, 5, 3), (1, 1, 1), (3, 3, 3)]


@pytest.mark.parametrize("layout", LAYOUTS, ids=["contiguous", "channels-last"])
@pytest.mark.parametrize("clips", [1, 2])
@pytest.mark.parametrize("stride", [(1, 1, 1), (2, 1, 1), (1, 2, 2), (2, 2, 2), (1, 2, 3)], ids=str)
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_a_convolution_and_its_gradients_are_those_of_conv3d(kernel, stride, clips, layout):
    padding = tuple(size // 2 for size in kernel)
    ours, plain = (kind(3, 4, kernel, stride, padding) for kind in (Convolution, nn.Conv3d))
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(clips, 3, 8, 9, 11)  # with 5 frames, the gradient of Conv3d breaks the heap (torch 2.15)
    x = x.contiguous(memory_format=layout).requires_grad_()
    y, expected = ours(x), plain(x)
    torch.testing.assert_close(y, expected, atol=1e-5, rtol=1e-5)
    gradient = torch.randn_like(expected)
    found = torch.autograd.grad(y, [x, *ours.parameters()], gradient)
    for one, other in zip(found, torch.autograd.grad(expected, [x, *plain.parameters()], gradient), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS, ids=["contiguous", "channels-last"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_one_clip_has_the_right_gradient_through_a_batch_norm(kernel, training, layout):
    """A stride of N that torch's slow 2D path leaves at N = 1 once made the norm's gradient wrong."""
    unit = conv_bn(3, 4, kernel, relu=False).train(training)
    plain = nn.Sequential(nn.Conv3d(3, 4, kernel, padding=[size // 2 for size in kernel], bias=False), nn.BatchNorm3d(4))
    plain.train(training).double().load_state_dict(unit.state_dict())
    x = torch.randn(1, 3, 15, 13, 13).contiguous(memory_format=layout).requires_grad_()
    exact = x.detach().double().contiguous().requires_grad_()
    gradient = torch.zeros(1, 4, 15, 13, 13)
    gradient[0, :, 7, 6, 6] = 1
    (found,) = torch.autograd.grad(unit(x), x, gradient)
    (expected,) = torch.autograd.grad(plain(exact), exact, gradient.double())
    torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS, ids=["contiguous", "channels-last"])
@pytest.mark.parametrize("frames", [1, 2, 3, 8])
def test_the_pool_of_the_stem_is_a_3d_pool(frames, layout):
    x = torch.randn(2, 3, frames, 9, 12).contiguous(memory_format=layout).requires_grad_()
    y, expected = StemPool()(x), nn.MaxPool3d(3, 2, 1)(x)
    assert torch.equal(y, expected)
    gradient = torch.randn_like(expected)
    (one,), (other,) = (torch.autograd.grad(pooled, x, gradient) for pooled in (y, expected))
    torch.testing.assert_close(one, other)
