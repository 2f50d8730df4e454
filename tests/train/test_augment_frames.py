"""Face crops: one draw for all pictures of a window, pixels stay pixels, time stays in order and within the face."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from affectzoo.config import FramesInput
from affectzoo.config.augment import AugmentConfig
from affectzoo.train.augment.frames import augment_frames

SIDE = 20
CROPS = FramesInput(frames=4, height=SIDE, width=SIDE)
SIZE, LENGTH, FRAMES = 32, 3, 4
MEAN, STD = (torch.tensor(values).view(3, 1, 1, 1) for values in (CROPS.mean, CROPS.std))
#: float32 sums of three products of size one.
CLOSE = 2e-6


def changed(x: Tensor, mask: Tensor | None = None, given: FramesInput = CROPS, seed: int = 0, **changes: Any) -> Tensor:
    mask = torch.ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
    return augment_frames(x, mask, given, AugmentConfig.parse(changes), torch.Generator().manual_seed(seed))


def pictures() -> Tensor:
    """`[B, L, 3, T, H, W]` of one picture, so that all of a window must stay alike; pixels of .2 to .8."""
    pixels = torch.rand(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(5)) * 0.6 + 0.2
    return ((pixels - MEAN) / STD).expand(SIZE, LENGTH, 3, FRAMES, SIDE, SIDE).contiguous()


def numbered(size: int = SIZE) -> Tensor:
    """Pictures that hold the number of their slot."""
    slots = torch.arange(LENGTH * FRAMES, dtype=torch.float32).view(1, LENGTH, 1, FRAMES, 1, 1)
    return slots.expand(size, LENGTH, 3, FRAMES, SIDE, SIDE).contiguous()


def slots_of(x: Tensor) -> Tensor:
    """`[B, L * T]`: the slot that each shows; every channel and pixel must say the same."""
    assert torch.equal(x, x[:, :, :1, :, :1, :1].expand_as(x))
    return x[:, :, 0, :, 0, 0].flatten(1).long()


def pixels(x: Tensor) -> Tensor:
    return x * STD + MEAN


def luminance(x: Tensor) -> Tensor:
    return (pixels(x) * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1, 1)).sum(dim=2)


@pytest.mark.parametrize(
    "changes",
    [
        {"flip": 0.5},
        {"rotate": 20.0},
        {"crop": 0.4},
        {"brightness": 0.3},
        {"contrast": 0.3},
        {"saturation": 0.3},
        {"grey": 0.5},
        {"blur": 0.9},
        {"cutout": 0.4},
    ],
)
def test_all_pictures_of_a_window_get_the_same_draw_and_windows_their_own(changes):
    x = pictures()
    found = changed(x, **changes)
    torch.testing.assert_close(found, found[:, :1, :, :1].expand_as(found), atol=CLOSE, rtol=0)
    assert len({window.numpy().tobytes() for window in found[:, 0, :, 0]}) >= 2
    assert not torch.equal(found, x)


def test_a_crop_shows_a_part_of_the_picture_in_order():
    ramp = torch.linspace(-1, 1, SIDE)
    across = ramp.expand(SIZE, LENGTH, 3, FRAMES, SIDE, SIDE).contiguous()
    for x, axis in ((across, -1), (across.transpose(-1, -2).contiguous(), -2)):
        found = changed(x, crop=0.5).movedim(axis, -1)[..., 0, :]
        assert found.min() >= -1
        assert found.max() <= 1
        assert (found.diff(dim=-1) >= -CLOSE).all(), "neither mirrored nor folded"
        spans = (found[:, 0, 0, 0, -1] - found[:, 0, 0, 0, 0]) / 2
        assert spans.min() > 0.4, "no less than half, but for half a pixel at each edge"
        assert spans.max() < 1.0
        assert spans.std() > 0.05
        assert found[:, 0, 0, 0].mean(-1).std() > 0.05, "anywhere in the picture"
    uniform = torch.full((SIZE, LENGTH, 3, FRAMES, SIDE, SIDE), 0.7)
    torch.testing.assert_close(changed(uniform, crop=0.5), uniform, atol=CLOSE, rtol=0)


def test_a_turned_picture_keeps_its_middle_and_its_angles():
    """Of a ramp across the picture the slope turns: pixel for pixel alike in both directions, whatever the picture's shape."""
    height, width = 24, 12
    across = (torch.arange(width) - (width - 1) / 2).expand(SIZE, LENGTH, 3, FRAMES, height, width).contiguous()
    found = changed(across, rotate=10)[:, 0, 0, 0, 9:15, 4:8]
    to_right, down = found.diff(dim=-1).mean(dim=(1, 2)), found.diff(dim=-2).mean(dim=(1, 2))
    torch.testing.assert_close(to_right**2 + down**2, torch.ones(SIZE), atol=1e-4, rtol=0)
    turned = torch.rad2deg(torch.atan2(down, to_right))
    assert turned.abs().max() <= 10
    assert turned.min() < -3
    assert turned.max() > 3
    assert found.mean(dim=(1, 2)).abs().max() < 1e-4
    torch.testing.assert_close(changed(pictures(), rotate=20, crop=0.2).isfinite().all(), torch.tensor(True))


def test_a_blurred_picture_is_as_light_and_less_sharp_and_others_stay():
    x = pictures()
    found = changed(x, blur=0.5)
    same = (found == x).flatten(1).all(dim=1)
    assert 0 < same.sum() < SIZE
    sharp, blurred = (one[~same].diff(dim=-1).square().mean(dim=(1, 2, 3, 4, 5)) for one in (x, found))
    assert (blurred < 0.9 * sharp).all()
    torch.testing.assert_close(found[~same].mean(dim=(-2, -1)), x[~same].mean(dim=(-2, -1)), atol=0.15, rtol=0)
    assert torch.equal(changed(x, blur=1), changed(x, blur=1))


def test_colours_change_as_they_say_and_pixels_stay_between_black_and_white():
    x = pictures()
    bright = pixels(changed(x, brightness=0.2)) / pixels(x)
    per_window = bright.flatten(1)
    torch.testing.assert_close(per_window, per_window[:, :1].expand_as(per_window), atol=1e-5, rtol=0)
    assert 0.8 <= bright.min() < 0.9
    assert 1.1 < bright.max() <= 1.2
    contrasted = changed(x, contrast=0.2)
    middle = luminance(x).mean()
    ratios = ((pixels(contrasted) - middle) / (pixels(x) - middle)).flatten(1).median(dim=1).values
    assert 0.8 <= ratios.min() < 0.9
    assert 1.1 < ratios.max() <= 1.2
    torch.testing.assert_close(luminance(contrasted).mean(dim=(1, 2, 3, 4)), middle.expand(SIZE), atol=1e-5, rtol=0)
    torch.testing.assert_close(luminance(changed(x, saturation=0.2)), luminance(x), atol=1e-5, rtol=0)
    strong = pixels(changed(x, brightness=1, contrast=1, saturation=1))
    assert strong.min() >= -CLOSE
    assert strong.max() <= 1 + CLOSE


def test_a_window_without_colour_has_equal_channels_of_the_same_luminance():
    x = pictures()
    found = pixels(changed(x, grey=0.5))
    grey = (found - found[:, :, :1]).abs().amax(dim=(1, 2, 3, 4, 5)) < CLOSE
    assert 6 < grey.sum() < 26
    torch.testing.assert_close(found[grey][:, :, 0], luminance(x)[grey], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[~grey], pixels(x)[~grey], atol=1e-5, rtol=0)


def test_contrast_is_about_the_pictures_that_show_a_face():
    x = pictures()
    mask = torch.ones(SIZE, LENGTH, dtype=torch.bool)
    mask[:, 1] = False
    spoiled = x.clone()
    spoiled[:, 1] = 9.0
    one, other = changed(x, contrast=0.3), changed(spoiled, mask, contrast=0.3)
    torch.testing.assert_close(one[:, 0], other[:, 0], atol=CLOSE, rtol=0)


def test_pictures_move_by_as_many_slots_as_asked_and_repeat_at_the_ends():
    found = slots_of(changed(numbered(64), jitter=2))
    slots = torch.arange(LENGTH * FRAMES)
    expected = {shift: (slots + shift).clamp(0, len(slots) - 1).tolist() for shift in range(-2, 3)}
    seen = {shift for shift, order in expected.items() for window in found.tolist() if window == order}
    assert seen == set(expected)
    assert all(window in expected.values() for window in found.tolist())


def test_a_move_never_takes_a_picture_from_a_step_without_a_face():
    mask = torch.tensor([[True, False, True]]).expand(64, LENGTH)
    found = slots_of(changed(numbered(64), mask, jitter=3)).view(64, LENGTH, FRAMES)
    assert found[:, 0].max() == 3
    assert found[:, 2].min() == 8
    assert (found[:, [0, 2]].diff(dim=-1) >= 0).all(), "in order"
    assert len({tuple(window) for window in found[:, 0].tolist()}) > 3


def test_a_dropped_picture_shows_the_one_before_it_within_its_sub_sequence():
    found = slots_of(changed(numbered(), frame_drop=0.4)).view(SIZE, LENGTH, FRAMES)
    slots = torch.arange(LENGTH * FRAMES).view(LENGTH, FRAMES)
    assert torch.equal(found[..., 0], slots[:, 0].expand(SIZE, LENGTH))
    repeated = found != slots
    assert torch.equal(found[..., 1:][repeated[..., 1:]], found[..., :-1][repeated[..., 1:]])
    share = repeated[..., 1:].float().mean()
    assert abs(share - 0.4) < 0.1, "288 draws have a standard deviation of .03"
    both = slots_of(changed(numbered(), frame_drop=0.4, jitter=2))
    assert (both.diff(dim=1) >= 0).all()


def test_a_cut_out_square_is_of_the_size_asked_and_holds_the_mean():
    given = FramesInput(frames=4, height=SIDE, width=2 * SIDE)
    x = torch.ones(64, LENGTH, 3, FRAMES, SIDE, 2 * SIDE)
    found = changed(x, given=given, cutout=0.4)
    gone = found[:, 0, 0, 0] == 0
    assert torch.equal(found == 0, gone.view(64, 1, 1, 1, SIDE, 2 * SIDE).expand_as(found))
    sides = torch.stack([gone.any(dim=2).sum(1), gone.any(dim=1).sum(1)])
    assert torch.equal(gone.sum(dim=(1, 2)), sides.prod(dim=0)), "a rectangle"
    assert sides.max() == 8
    assert sides.min() >= 4, "its centre is in the picture"
    assert (sides == 8).all(dim=0).any()


def test_steps_of_any_batch_size_and_a_single_picture_are_taken():
    given = FramesInput(frames=1, height=SIDE, width=SIDE)
    x = torch.rand(1, 1, 3, 1, SIDE, SIDE)
    assert changed(x, given=given, flip=1, crop=0.2, brightness=0.2, cutout=0.2).shape == x.shape
    assert torch.equal(changed(x, given=given, flip=1), x.flip(-1))
