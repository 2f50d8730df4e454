"""The six blocks: shapes, gradients, what each of them sees, and folding for inference."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

import affectzoo
from affectzoo.errors import ConfigError, InputError, UnknownNameError
from affectzoo_dmsn import affectzoo_blocks
from affectzoo_dmsn.layers import Branches

NAMES = ["dmsn-a", "dmsn-b", "dmsn-c", "msn", "basic3d", "r2plus1d"]
SCALED = NAMES[:4]


def branches(block: nn.Module) -> Branches:
    (found,) = [part for part in block.modules() if isinstance(part, Branches)]
    return found


def kernels(module: nn.Module) -> list[tuple[int, ...]]:
    return [part.kernel_size for part in module.modules() if isinstance(part, nn.Conv3d)]


def seen(awake, name: str, **config) -> tuple[int, int, int]:
    """Extent in T, H and W of the input that one position of the body's output depends on."""
    block = awake(affectzoo.create_block(name, 4, 4, **config)).eval()
    for part in block.modules():
        if isinstance(part, nn.Conv3d):
            nn.init.constant_(part.weight, 0.1)  # all positive, so that no ReLU hides a dependence
    x = torch.ones(1, 4, 15, 13, 13, requires_grad=True)
    block.body(x)[0, :, 7, 6, 6].sum().backward()
    touched = x.grad[0].abs().sum(0).nonzero()
    extent = touched.amax(0) - touched.amin(0) + 1
    assert (touched.amax(0) + touched.amin(0)).tolist() == [14, 12, 12], "what a block sees is centred"
    return tuple(extent.tolist())


def test_every_block_is_tested():
    assert set(NAMES) == {spec.name for spec in affectzoo_blocks()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("channels", "width"), [(8, 8), (4, 8), (12, 8)])
@pytest.mark.parametrize("size", [(4, 8, 8), (5, 7, 9), (1, 1, 1)])
def test_shape_is_divided_by_the_stride_and_rounded_up(name, stride, channels, width, size):
    block = affectzoo.create_block(name, channels, width, stride).eval()
    assert block.out_channels == width
    with torch.no_grad():
        assert block(torch.randn(2, channels, *size)).shape == (2, width, *(-(-n // stride) for n in size))


@pytest.mark.parametrize("name", SCALED)
def test_a_single_scale_has_the_same_shape(name):
    block = affectzoo.create_block(name, 4, 8, 2, multiscale=False).eval()
    with torch.no_grad():
        assert block(torch.randn(1, 4, 5, 7, 7)).shape == (1, 8, 3, 4, 4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_reach_every_weight(awake, name, stride):
    block = awake(affectzoo.create_block(name, 4, 8, stride))
    y = block(torch.randn(2, 4, 4, 8, 8))
    (y * torch.randn_like(y)).sum().backward()
    for key, parameter in block.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_does_not_depend_on_its_batch(awake, name):
    block = awake(affectzoo.create_block(name, 4, 8)).eval()
    x = torch.randn(3, 4, 4, 6, 6)
    with torch.no_grad():
        torch.testing.assert_close(block(x), torch.cat([block(one[None]) for one in x]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_folding_batch_norm_changes_nothing(name):
    block = affectzoo.create_block(name, 4, 8, 2).eval()
    for part in block.modules():
        if isinstance(part, nn.BatchNorm3d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.normal_(part.bias)
    folded = copy.deepcopy(block)
    for part in folded.modules():
        if isinstance(part, nn.Sequential) and len(part) > 1 and isinstance(part[1], nn.BatchNorm3d):
            part[0], part[1] = fuse_conv_bn_eval(part[0], part[1]), nn.Identity()
    assert not [part for part in folded.modules() if isinstance(part, nn.BatchNorm3d)]
    x = torch.randn(2, 4, 4, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(folded(x), block(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "config", "extent"),
    [
        # reduction 3 in time, then what the block adds
        ("dmsn-a", {}, (9, 3, 3)),
        ("dmsn-a", {"kernels": [3, 5]}, (7, 3, 3)),
        ("dmsn-a", {"kernels": [3, 9]}, (11, 3, 3)),
        ("dmsn-a", {"multiscale": False}, (5, 3, 3)),
        ("dmsn-b", {}, (9, 7, 7)),
        ("dmsn-b", {"kernels": [3, 5]}, (7, 5, 5)),
        ("dmsn-b", {"multiscale": False}, (5, 3, 3)),
        ("dmsn-c", {}, (5, 7, 7)),
        ("dmsn-c", {"kernels": [3, 9]}, (5, 9, 9)),
        ("dmsn-c", {"multiscale": False}, (5, 3, 3)),
        ("msn", {}, (11, 7, 7)),
        ("msn", {"multiscale": False}, (7, 3, 3)),
        ("basic3d", {}, (5, 5, 5)),
        ("r2plus1d", {}, (5, 5, 5)),
    ],
)
def test_what_a_block_sees_is_what_defines_it(awake, name, config, extent):
    assert seen(awake, name, **config) == extent


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dmsn-a", [[(3, 1, 1)], [(5, 1, 1)], [(7, 1, 1)]]),
        ("dmsn-b", [[(1, 3, 3), (3, 1, 1)], [(1, 5, 5), (5, 1, 1)], [(1, 7, 7), (7, 1, 1)]]),
        ("dmsn-c", [[(1, 3, 3)], [(1, 5, 5)], [(1, 7, 7)]]),
        ("msn", [[(3, 3, 3)], [(5, 5, 5)], [(7, 7, 7)]]),
    ],
)
def test_branches_are_those_of_the_paper(name, expected):
    assert [kernels(branch) for branch in branches(affectzoo.create_block(name, 8, 8))] == expected


@pytest.mark.parametrize("name", ["dmsn-a", "dmsn-b", "dmsn-c"])
def test_no_kernel_of_dmsn_spans_time_and_space_at_once(name):
    assert all(time == 1 or height == width == 1 for time, height, width in kernels(affectzoo.create_block(name, 4, 8, 2)))


@pytest.mark.parametrize(("name", "half", "whole"), [("dmsn-a", 8, 16), ("dmsn-b", 8, 16), ("dmsn-c", 8, 16), ("msn", 4, 8)])
def test_width_of_the_branches(name, half, whole):
    def widths(**config) -> list[int]:
        parts = branches(affectzoo.create_block(name, 4, 16, **config))
        return [[part for part in branch.modules() if isinstance(part, nn.Conv3d)][-1].out_channels for branch in parts]

    assert widths() == [half] * 3
    assert widths(multiscale=False) == [whole]
    assert widths(branch_width=5) == [5] * 3
    assert widths(kernels=[3, 5, 7, 9], branch_width=3) == [3] * 4


def test_the_shortcut_is_the_input_where_shapes_agree_and_a_convolution_in_msn():
    for name in NAMES:
        same, other = affectzoo.create_block(name, 8, 8), affectzoo.create_block(name, 8, 8, 2)
        assert isinstance(same.shortcut, nn.Identity) == (name != "msn")
        assert kernels(other.shortcut) == [(1, 1, 1)]


def test_r2plus1d_has_as_many_weights_as_full_convolutions():
    split, full = (
        sum(part.weight.numel() for part in affectzoo.create_block(name, 64, 64).modules() if isinstance(part, nn.Conv3d))
        for name in ("r2plus1d", "basic3d")
    )
    assert split == pytest.approx(full, rel=0.01)
    chosen = affectzoo.create_block("r2plus1d", 8, 8, middle=5)
    assert [part.out_channels for part in chosen.modules() if isinstance(part, nn.Conv3d)] == [5, 8, 5, 8]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["in_channels", "width", "stride"])
@pytest.mark.parametrize("value", [0, -4, True, 8.0, "8", None])
def test_a_size_that_is_no_positive_integer_is_named(name, key, value):
    with pytest.raises(ConfigError, match=f"^{key} must be a positive integer, not {value!r}$"):
        affectzoo.create_block(name, **{"in_channels": 8, "width": 8, "stride": 1, key: value})


@pytest.mark.parametrize("name", SCALED)
@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"kernels": [3, 4]}, "kernels must be odd, so that a branch is centred; 4 is even"),
        ({"kernels": [3, 0]}, "every size in kernels must be a positive integer, not 0"),
        ({"kernels": [True, 3]}, "every size in kernels must be a positive integer, not True"),
        ({"kernels": [3.0]}, "every size in kernels must be a positive integer, not 3.0"),
        ({"kernels": [[3], [5]]}, r"every size in kernels must be a positive integer, not \[3\]"),
        ({"kernels": [3, 3]}, r"list of different odd sizes such as \[3, 5, 7\], not \[3, 3\]"),
        ({"kernels": []}, "list of different odd sizes"),
        ({"kernels": 3}, "list of different odd sizes such as .*, not 3"),
        ({"kernels": "357"}, "list of different odd sizes such as .*, not '357'"),
        ({"kernels": {"3": 5}}, "list of different odd sizes"),
        ({"kernels": [2], "multiscale": False}, "2 is even"),
        ({"branch_width": 0}, "branch_width must be a positive integer, not 0"),
        ({"branch_width": True}, "branch_width must be a positive integer, not True"),
        ({"multiscale": "false"}, "multiscale must be true or false, not 'false'"),
        ({"multiscale": None}, "multiscale must be true or false, not None"),
        ({"kernel": [3]}, "unknown key 'kernel'; did you mean 'kernels'?"),
    ],
)
def test_a_wrong_option_is_one_sentence(name, config, says):
    with pytest.raises(ConfigError, match=says) as caught:
        affectzoo.create_block(name, 8, 8, **config)
    assert "\n" not in str(caught.value)


def test_a_width_that_does_not_divide_says_what_to_choose():
    for name in ("dmsn-a", "dmsn-b", "dmsn-c"):
        with pytest.raises(ConfigError, match="width 7 cannot be divided by 2: choose a multiple of 2, or set branch_width"):
            affectzoo.create_block(name, 8, 7)
        affectzoo.create_block(name, 8, 7, branch_width=2)
        affectzoo.create_block(name, 8, 7, multiscale=False)
    with pytest.raises(ConfigError, match="width 6 cannot be divided by 4"):
        affectzoo.create_block("msn", 8, 6)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_input_names_the_shape_that_is_wanted(name):
    block = affectzoo.create_block(name, 8, 8)
    for shape in ((1, 7, 4, 8, 8), (8, 4, 8, 8)):
        with pytest.raises(InputError, match=r"takes \[N, 8, T, H, W\], not \["):
            block(torch.zeros(shape))
    with pytest.raises(InputError, match=r"floating-point input, not torch\.int64"):
        block(torch.zeros(1, 8, 4, 8, 8, dtype=torch.int64))


def test_an_unknown_block_names_its_neighbours():
    with pytest.raises(UnknownNameError, match=r"'dmsn-d'. Did you mean 'dmsn-[abc]'.*affectzoo list blocks"):
        affectzoo.create_block("dmsn-d", 8, 8)


@pytest.mark.parametrize("name", NAMES)
def test_a_block_starts_as_its_shortcut_and_can_leave_it(name):
    block = affectzoo.create_block(name, 4, 8, 2)
    x = torch.randn(2, 4, 4, 8, 8)
    torch.testing.assert_close(block(x), torch.relu(block.shortcut(x)))
    block(x).square().sum().backward()
    assert max(p.grad.abs().max() for p in block.body.parameters()) > 0


def test_half_of_the_stem_sees_nothing_in_a_still_video():
    network = affectzoo.create_backbone("dmsn", layers=[1], widths=[4], downsample_stages=[], stem_width=8, image_size=16)
    still = torch.randn(1, 3, 1, 16, 16).expand(-1, -1, 16, -1, -1)
    answers = network.stem[0][0](still)[0, :, 4:-4].abs().amax((1, 2, 3))  # away from the padding of T
    assert (answers[:4] < 1e-5).all()
    assert (answers[4:] > 1e-2).all()
