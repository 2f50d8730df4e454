"""Speed and pitch of log-mel: a peak goes where the factor says, and silence, not padding, comes in from outside."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from affectzoo.config import LogMelInput
from affectzoo.config.augment import AugmentConfig
from affectzoo.train.augment.sound import augment_log_mel
from affectzoo.train.augment.warp import warp

BANDS, FRAMES, LENGTH, SIZE = 30, 20, 4, 32
MEL = LogMelInput(n_mels=BANDS, frames=FRAMES, mean=-10.0, std=20.0, floor_db=-80.0)
FLOOR = (-80.0 + 10.0) / 20.0


def silence(size: int = SIZE) -> tuple[Tensor, Tensor]:
    return torch.full((size, LENGTH, 1, BANDS, FRAMES), FLOOR), torch.ones(size, LENGTH, dtype=torch.bool)


def put(x: Tensor, band: int, frame: int) -> None:
    """A peak at a frame of the whole window."""
    x[:, frame // FRAMES, 0, band, frame % FRAMES] = 5.0


def axis(x: Tensor) -> Tensor:
    """`[B, M, L * F]`, over the floor."""
    return (x[:, :, 0].permute(0, 2, 1, 3).flatten(2) - FLOOR).clamp_min(0)


def centre(weights: Tensor) -> Tensor:
    """Mean place of what stands along the last dim: a linear interpolation keeps it, but for a shift under half a place."""
    return (weights * torch.arange(weights.shape[-1])).sum(-1) / weights.sum(-1)


def changed(x: Tensor, mask: Tensor, seed: int = 0, **changes: float) -> Tensor:
    return warp(x, mask, MEL, AugmentConfig.parse(changes), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("present", [LENGTH, 2])
def test_a_peak_moves_from_or_to_the_middle_of_what_is_present(present):
    x, mask = silence()
    mask[:, present:] = False
    middle = (present * FRAMES - 1) / 2
    for away in (-10, 12):
        put(x, 7, round(middle) + away)
    found = axis(changed(x, mask, stretch=0.2))
    places = [centre(found[:, 7, : round(middle)]), centre(found[:, 7, round(middle) :]) + round(middle)]
    given = [round(middle) - 10, round(middle) + 12]
    factors = [(at - middle) / (place - middle) for at, place in zip(given, places, strict=True)]
    # A peak of one frame may be seen by one frame or by two: half a frame of ten.
    torch.testing.assert_close(factors[0], factors[1], atol=0.08, rtol=0)
    assert 0.77 < factors[1].min() < 0.9
    assert 1.1 < factors[1].max() < 1.23
    assert found[:, torch.arange(BANDS) != 7].abs().max() < 1e-5, "no band moves"


def test_everything_moves_along_time_by_a_share_of_the_window():
    x, mask = silence()
    for frame in (30, 50):
        put(x, 7, frame)
    found = axis(changed(x, mask, shift=0.25))
    both = centre(found[:, 7])  # of two peaks that move alike, at first around 40
    assert -0.25 * LENGTH * FRAMES <= (both - 40).min() < -0.2 * LENGTH * FRAMES
    assert 0.2 * LENGTH * FRAMES < (both - 40).max() <= 0.25 * LENGTH * FRAMES
    spread = (found[:, 7] * (torch.arange(LENGTH * FRAMES) - both.unsqueeze(1)).abs()).sum(-1) / found[:, 7].sum(-1)
    torch.testing.assert_close(spread, torch.full((SIZE,), 10.0), atol=0.05, rtol=0)  # they keep their distance
    assert found[:, torch.arange(BANDS) != 7].abs().max() < 1e-5


def test_a_peak_moves_along_the_mel_axis_by_its_factor_and_the_lowest_band_stays():
    x, mask = silence()
    put(x, 0, 30)
    put(x, 20, 50)
    found = axis(changed(x, mask, pitch=0.2))
    # The next band may see a share of the lowest one where bands come nearer, and no other does.
    assert (found[:, 0, 30] > 0.99 * (5.0 - FLOOR)).all()
    scale = centre(found[:, :, 50]) / 20
    assert 0.78 < scale.min() < 0.9
    assert 1.1 < scale.max() < 1.22
    assert found[:, :, [0, 29, 31, 49, 51, 79]].abs().max() < 1e-4, "no frame moves"


def test_what_enters_is_the_floor():
    x, mask = silence()
    x[:] = 1.0
    found = changed(x, mask, stretch=0.3, pitch=0.3)
    # The coordinates of the resampling are good to a thousandth of a frame.
    assert found.min() >= FLOOR - 1e-4
    assert found.max() <= 1 + 1e-4
    faster = found[:, 0, 0, 5, 0] < FLOOR + 1e-3
    assert 0.2 * SIZE < faster.sum() < 0.8 * SIZE
    lower = found[:, 1, 0, -1, 10] < FLOOR + 1e-3
    assert 0.2 * SIZE < lower.sum() < 0.8 * SIZE
    assert (found[:, 1:3, 0, 5] == 1).float().mean() > 0.9, "within, ones stay ones"


def test_padding_stays_padding_and_enters_nothing():
    x, mask = silence()
    x[:] = 1.0
    mask[:, 0] = mask[:, 3] = False
    x[:, 0] = x[:, 3] = float("nan")
    found = changed(x, mask, stretch=0.3, pitch=0.1)
    assert found[:, [0, 3]].isnan().all()
    assert found[:, 1:3].isfinite().all()
    x[:, 0] = x[:, 3] = 9.0
    assert changed(x, mask, stretch=0.3, pitch=0.1)[:, 1:3].max() <= 1 + 1e-4
    nothing = torch.zeros_like(mask)
    assert torch.equal(changed(x, nothing, stretch=0.3, pitch=0.1), x)


def test_each_window_has_its_own_draw_and_the_factors_have_their_range():
    x, mask = silence(400)
    put(x, 20, 40)
    places = centre(axis(changed(x, mask, pitch=0.25))[:, :, 40])
    assert places.unique().numel() > 300
    # 400 uniform draws: within a hundredth of both ends and of the middle, but once in a thousand; then the seed says so.
    assert places.min() / 20 == pytest.approx(0.75, abs=0.03)
    assert places.max() / 20 == pytest.approx(1.25, abs=0.03)
    assert places.mean() / 20 == pytest.approx(1.0, abs=0.03)


def test_the_input_is_not_written_to_and_what_is_off_draws_nothing():
    x, mask = silence()
    put(x, 20, 40)
    kept, generator = x.clone(), torch.Generator().manual_seed(0)
    before = generator.get_state()
    assert warp(x, mask, MEL, AugmentConfig(time_masks=1, time_width=0.1), generator) is x
    assert torch.equal(generator.get_state(), before)
    changed(x, mask, stretch=0.3, pitch=0.1)
    assert torch.equal(x, kept)


def test_masks_are_not_stretched():
    x, mask = silence()
    x[:] = 1.0
    changes = AugmentConfig(stretch=0.3, pitch=0.3, frequency_masks=1, frequency_width=0.3)
    found = augment_log_mel(x, mask, MEL, changes, torch.Generator().manual_seed(0))
    inner = found[:, 1:3, 0, :10, 5:15]
    assert ((inner == 0).all(dim=(1, 3)) | (inner != 0).all(dim=(1, 3))).all(), "whole bands, filled after the resampling"
    assert (inner == 0).any()


def test_a_window_of_one_frame_or_band_is_taken():
    given = LogMelInput(n_mels=1, frames=1)
    x, mask = torch.randn(3, 1, 1, 1, 1), torch.ones(3, 1, dtype=torch.bool)
    found = warp(x, mask, given, AugmentConfig(stretch=0.3, shift=0.3, pitch=0.3), torch.Generator())
    torch.testing.assert_close(found, x)
