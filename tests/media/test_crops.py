import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from affectzoo.config import FramesInput
from affectzoo.errors import InputError
from affectzoo.media.crops import crop_face, frames_to_tensor


def test_the_crop_is_the_square_around_the_box_with_its_margin():
    image = np.zeros((200, 300, 3), np.uint8)
    image[60:140, 110:190] = 255  # the 80 px square around a box of 40 x 50 with a margin of 0.6
    crop = crop_face(image, np.array([130, 75, 170, 125]), FramesInput(height=40, width=40, margin=0.6))
    assert crop.shape == (40, 40, 3)
    assert crop.min() == 255


def test_beyond_the_border_the_edge_is_repeated():
    image = np.full((50, 50, 3), 7, np.uint8)
    image[:, 0] = 200
    crop = crop_face(image, np.array([-30, 10, 10, 50]), FramesInput(height=48, width=48, margin=0.2))
    assert (crop[24, :20] == 200).all()


@given(st.tuples(*[st.floats(-500, 500)] * 2), st.tuples(*[st.floats(0.1, 700)] * 2), st.integers(1, 200), st.integers(1, 200))
def test_any_box_on_any_image_gives_a_crop(corner, size, height, width):
    box = np.array([*corner, corner[0] + size[0], corner[1] + size[1]])
    crop = crop_face(np.full((height, width, 3), 9, np.uint8), box, FramesInput(height=24, width=32))
    assert crop.shape == (24, 32, 3)
    assert (crop == 9).all()


def test_grey_repeats_the_luminance():
    image = np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    crop = crop_face(image, np.array([10, 10, 50, 50]), FramesInput(colour="grey"))
    assert (crop[..., 0] == crop[..., 1]).all()
    assert (crop[..., 1] == crop[..., 2]).all()


def test_the_tensor_is_channels_first_and_normalised():
    config = FramesInput(frames=2, height=4, width=5, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1.0))
    crops = np.random.default_rng(0).integers(0, 256, (3, 7, 2, 4, 5, 3), dtype=np.uint8)
    tensor = frames_to_tensor(crops, config)
    assert tensor.shape == (3, 7, 3, 2, 4, 5)
    expected = (crops / 255 - np.array(config.mean)) / np.array(config.std)
    torch.testing.assert_close(tensor, torch.from_numpy(np.moveaxis(expected, -1, 2)).float(), rtol=1e-5, atol=1e-5)


def test_crops_of_another_shape_are_refused():
    with pytest.raises(InputError, match="uint8"):
        frames_to_tensor(np.zeros((8, 10, 10, 3), np.uint8), FramesInput())
