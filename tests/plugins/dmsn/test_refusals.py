"""Bad layouts and bad inputs: one clear sentence each, of the right type."""

from __future__ import annotations

import pytest
import torch

import affectzoo
from affectzoo.errors import ConfigError, InputError, PluginError, UnknownNameError

BAD_NUMBERS = [0, -1, True, 1.0, "1", None]


@pytest.mark.parametrize(
    ("shape", "dtype", "says"),
    [
        ((1, 3, 5, 16, 16), torch.float32, r"face crops \[N, 3, 4, 16, 16\], not \[1, 3, 5, 16, 16\]"),
        ((1, 3, 4, 17, 16), torch.float32, r"not \[1, 3, 4, 17, 16\]"),
        ((1, 3, 4, 16, 15), torch.float32, r"not \[1, 3, 4, 16, 15\]"),
        ((1, 1, 4, 16, 16), torch.float32, r"not \[1, 1, 4, 16, 16\]"),
        ((1, 4, 3, 16, 16), torch.float32, r"not \[1, 4, 3, 16, 16\]"),
        ((3, 4, 16, 16), torch.float32, r"not \[3, 4, 16, 16\]"),
        ((1, 2, 3, 4, 16, 16), torch.float32, r"not \[1, 2, 3, 4, 16, 16\]"),
        ((1, 3, 4, 16, 16), torch.uint8, r"normalised floating-point input, not torch\.uint8"),
        ((1, 3, 4, 16, 16), torch.int64, r"normalised floating-point input, not torch\.int64"),
        ((1, 3, 4, 16, 16), torch.bool, r"normalised floating-point input, not torch\.bool"),
    ],
)
def test_a_wrong_input_is_named(trunk, shape, dtype, says):
    with pytest.raises(InputError, match=says):
        trunk()(torch.zeros(shape, dtype=dtype))


@pytest.mark.parametrize("key", ["layers", "widths"])
@pytest.mark.parametrize("value", BAD_NUMBERS)
def test_every_number_of_a_layout_is_a_positive_integer(trunk, key, value):
    with pytest.raises(ConfigError, match=f"^every number in {key} must be a positive integer, not {value!r}$"):
        trunk(**{key: [8, value]})


@pytest.mark.parametrize("value", BAD_NUMBERS)
def test_the_width_of_the_stem_is_a_positive_integer(trunk, value):
    with pytest.raises(ConfigError, match=f"^stem_width must be a positive integer, not {value!r}$"):
        trunk(stem_width=value)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"layers": []}, "layers must name at least one stage"),
        ({"widths": []}, "layers names 2 stages and widths 0"),
        ({"layers": [1, 2, 3]}, "layers names 3 stages and widths 2; both must name every stage"),
        ({"widths": [8]}, "layers names 2 stages and widths 1"),
        ({"widths": [9, 16]}, "width 9 cannot be divided by 2: choose a multiple of 2, or set branch_width"),
        ({"block": "msn", "widths": [8, 6], "multiscale_stages": [1, 2]}, "width 6 cannot be divided by 4"),
        ({"multiscale_stages": [0]}, "every number in multiscale_stages must be a positive integer, not 0"),
        ({"multiscale_stages": [1, 3]}, "multiscale_stages counts stages from 1 to 2; there is no stage 3"),
        ({"multiscale_stages": ["1"]}, "every number in multiscale_stages must be a positive integer, not '1'"),
        ({"downsample_stages": [5]}, "downsample_stages counts stages from 1 to 2; there is no stage 5"),
        ({"downsample_stages": [-1]}, "every number in downsample_stages must be a positive integer, not -1"),
        ({"block": "basic3d", "multiscale_stages": [1]}, "'basic3d' has no option 'multiscale': leave multiscale_stages out"),
        ({"block": "r2plus1d", "block_config": {"multiscale": True}}, "block_config cannot set multiscale"),
        ({"downsample": "avg"}, "downsample must be 'stride' or 'pool', not 'avg'"),
        ({"block_config": {"kernel": [3]}}, "'dmsn-c': unknown key 'kernel'; did you mean 'kernels'"),
        ({"block_config": {"kernels": [3, 4]}}, "4 is even"),
        ({"block": "basic3d", "block_config": {"kernels": [3]}}, "'basic3d': unknown key 'kernels'; it takes no configuration"),
        ({"frames": 0}, "frames must be a positive integer, not 0"),
        ({"image_size": 0}, "image_size must be a positive integer, not 0"),
        ({"image_size": -16}, "image_size must be a positive integer, not -16"),
        ({"image_size": 16.5}, "image_size must be a positive integer, not 16.5"),
        ({"colour": "blue"}, "colour: input should be 'rgb' or 'grey'"),
        ({"margin": -1}, "margin: input should be greater than or equal to 0"),
        ({"mean": [0.5]}, "mean"),
        ({"width": [8, 16]}, "'dmsn': unknown key 'width'; did you mean 'widths'"),
    ],
)
def test_a_wrong_layout_is_one_sentence(trunk, config, says):
    with pytest.raises(ConfigError, match=says) as caught:
        trunk(**config)
    assert "\n" not in str(caught.value)
    assert "Error:" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"layers": 3}, "layers must"),
        ({"multiscale_stages": 1}, "multiscale_stages"),
        ({"multiscale_stages": [True]}, "multiscale_stages"),
        ({"downsample_stages": None}, "downsample_stages"),
        ({"downsample_stages": [1.0]}, "downsample_stages"),
        ({"block": 3}, "block must be"),
        ({"block_config": [1]}, "block_config must be"),
        ({"block_config": {"width": 3}}, "block_config"),
        ({"block_config": {"stride": 3}}, "block_config"),
        ({"block_config": {"multiscale": True}}, "multiscale_stages"),
        ({"frames": True}, "frames"),
        ({"activation_checkpointing": "no"}, "activation_checkpointing must be true or false"),
    ],
)
def test_a_value_of_the_wrong_kind_is_one_sentence(trunk, config, says):
    with pytest.raises(ConfigError, match=says) as caught:
        trunk(**config)
    assert "Error:" not in str(caught.value)


@pytest.mark.parametrize(
    ("block", "near"), [("dmsn-d", "dmsn-c"), ("basic", "basic3d"), ("r2plus1", "r2plus1d"), ("mns", "msn")]
)
def test_an_unknown_block_names_its_neighbours(trunk, block, near):
    with pytest.raises(UnknownNameError, match=f"no block is called {block!r}. Did you mean .*{near!r}.*affectzoo list blocks"):
        trunk(block=block)


def test_a_class_that_is_no_block_is_refused(trunk):
    @affectzoo.register_block("none")
    class NoBlock(torch.nn.Module):
        def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
            super().__init__()
            self.sizes = (in_channels, width, stride)

    with pytest.raises(PluginError, match=r"'none' of session is a NoBlock; it must derive from affectzoo\.Block"):
        trunk(block="none")
