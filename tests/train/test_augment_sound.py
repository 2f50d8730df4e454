"""Log-mel and waveforms: gain in decibels, masks over the window's whole time axis, noise of the size asked."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from affectzoo.config import LogMelInput, WaveformInput
from affectzoo.config.augment import AugmentConfig
from affectzoo.train.augment.sound import add_noise, augment_log_mel, augment_waveform

MEL = LogMelInput(n_mels=20, frames=10, mean=-10.0, std=20.0, floor_db=-80.0)
FLOOR = (-80.0 + 10.0) / 20.0
SIZE, LENGTH = 64, 4
PRESENT = torch.ones(SIZE, LENGTH, dtype=torch.bool)


def mel(**changes: float) -> tuple[Tensor, Tensor]:
    """Log-mel of ones, before and after."""
    x = torch.ones(SIZE, LENGTH, 1, 20, 10)
    return x, augment_log_mel(x, PRESENT, MEL, AugmentConfig.parse(changes), torch.Generator().manual_seed(0))


def runs(hidden: Tensor) -> list[tuple[int, int]]:
    """Start and width of each stretch of true."""
    edges = torch.diff(hidden.int(), prepend=torch.zeros(1), append=torch.zeros(1))
    starts, stops = (edges == 1).nonzero().flatten().tolist(), (edges == -1).nonzero().flatten().tolist()
    return [(start, stop - start) for start, stop in zip(starts, stops, strict=True)]


def test_a_gain_moves_a_window_by_its_decibels_and_never_under_the_floor():
    x, found = mel(gain_db=6.0)
    shift = (found - x).flatten(1)
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift), atol=1e-6, rtol=0)
    assert -6 / 20 <= shift.min() < -5 / 20
    assert 5 / 20 < shift.max() <= 6 / 20
    quiet = torch.full_like(x, FLOOR)
    found = augment_log_mel(quiet, PRESENT, MEL, AugmentConfig(gain_db=6.0), torch.Generator().manual_seed(0))
    assert found.min() >= FLOOR


def test_time_masks_hide_whole_columns_across_sub_sequences():
    _, found = mel(time_masks=1, time_width=0.3)
    hidden = found[:, :, 0, 0] == 0  # [B, L, F]
    assert torch.equal(found == 0, hidden.view(SIZE, LENGTH, 1, 1, 10).expand_as(found))
    stretches = [runs(window) for window in hidden.flatten(1)]
    assert all(len(found) <= 1 for found in stretches)
    widths = [found[0][1] for found in stretches if found]
    assert max(widths) == 12, "of 40 frames"
    assert len(stretches) - len(widths) < 16, "a width of 0 is one of 13"
    assert any(start // 10 != (start + width - 1) // 10 for found in stretches for start, width in found)
    starts = [found[0][0] for found in stretches if found]
    assert min(starts) < 5
    assert max(starts) > 28


def test_frequency_masks_hide_whole_bands_as_often_as_asked():
    _, found = mel(frequency_masks=2, frequency_width=0.2)
    hidden = found[:, 0, 0, :, 0] == 0  # [B, M]
    assert torch.equal(found == 0, hidden.view(SIZE, 1, 1, 20, 1).expand_as(found))
    counts = [len(runs(window)) for window in hidden]
    assert max(counts) == 2
    assert hidden.sum(dim=1).max() <= 8
    assert hidden.sum(dim=1).max() > 4
    assert hidden.any(dim=0).all(), "any band"


def test_a_waveform_gets_louder_or_softer_and_is_cut_where_a_recorder_would():
    given = WaveformInput(samples=50, normalise=False)
    x = torch.rand(SIZE, LENGTH, 50, generator=torch.Generator().manual_seed(2)) - 0.5
    x[:, :, 0] = 0.9
    found = augment_waveform(x, given, AugmentConfig(gain_db=6.0), torch.Generator().manual_seed(0))
    assert found.abs().max() == 1
    ratio = (found / x)[:, :, 1:].flatten(1)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), atol=1e-5, rtol=0)
    decibels = 20 * ratio[:, 0].log10()
    assert -6 <= decibels.min() < -5
    assert 5 < decibels.max() <= 6
    normalised = augment_waveform(x, WaveformInput(samples=50), AugmentConfig(gain_db=6.0), torch.Generator())
    assert normalised is x


@pytest.mark.parametrize("shape", [(16, 4, 1, 20, 10), (16, 4, 200), (16, 4, 50, 4)])
def test_noise_has_the_deviation_asked_and_no_mean(shape):
    x = torch.ones(shape)
    added = add_noise(x, 0.3, torch.Generator().manual_seed(0)) - x
    # 12,800 draws: the mean is within .003 and the deviation within .002 of theirs, one standard error each.
    assert abs(added.mean()) < 0.012
    assert abs(added.std() - 0.3) < 0.008
    assert torch.unique(added[0, 0]).numel() > 100, "another draw for every value"
