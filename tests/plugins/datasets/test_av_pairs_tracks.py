"""Tracks of faces and spoilt sound of artificial pairs: neutral, expressive, neutral; noise of its level and colour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from affectzoo_datasets.av_pairs_faces import HALVES, Track, covered
from affectzoo_datasets.av_pairs_sound import NOISES, muffled, noise_of, speech_level, within


def test_a_track_is_neutral_then_expressive_then_neutral_again() -> None:
    images = [np.full((20, 20, 3), level, np.uint8) for level in (50, 100, 150, 200)]
    track = Track(images, 4.0, 0.3, (1, 2))
    times = np.linspace(0, 6, 601)
    weights = np.stack([track.weights(time_s) for time_s in times])
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert ((weights > 0).sum(axis=1) <= 2).all()
    assert weights[0].tolist() == [1, 0, 0, 0]
    assert (weights[times >= 4] == [0, 0, 0, 1]).all()
    expressive = weights[:, 1:3].sum(axis=1)[times <= 4].mean()
    # Onset and offset lie 10 to 25 % from the ends.
    assert 0.5 <= expressive <= 0.8
    assert (track.fades >= 0.2).all()
    assert (track.fades <= 0.5).all()
    fading = np.diff(times)[0] * (weights > 0).all(axis=1, where=[True, True, False, False]).sum()
    assert fading == pytest.approx(track.fades[0], abs=0.03)  # two steps of time


def test_a_face_moves_slowly_and_little() -> None:
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    track = Track([image] * 4, 4.0, 0.3, (5,))
    found = list(track.frames(np.linspace(0, 4, 121)))
    boxes = np.stack([box for _, box in found])
    side = 112 / 1.3
    assert np.abs(np.diff(boxes, axis=0)).max() < 0.02 * side
    assert boxes.std(axis=0).min() > 0
    # Six standard deviations of shift, and of scale on either side.
    assert np.abs(boxes - boxes.mean(axis=0)).max() < 0.3 * side


def test_images_of_several_sizes_and_very_short_clips_have_a_track() -> None:
    images = [np.full((size, size, 3), 90, np.uint8) for size in (20, 31, 12)]
    frames = list(Track(images, 0.05, 0.3, (0,)).frames(np.array([0.0, 0.02, 0.3])))
    assert {image.shape for image, _ in frames} == {(20, 20, 3)}


@pytest.mark.parametrize("half", HALVES)
def test_an_occluded_face_has_one_half_left(half: Any) -> None:
    image = np.full((20, 20, 3), 90, np.uint8)
    hidden = covered(image, np.array([4, 4, 16, 16]), half, 7) == 7
    assert hidden.mean() == 0.5
    rows = {"top": hidden[:10], "bottom": hidden[10:], "left": hidden[:, :10], "right": hidden[:, 10:]}
    assert rows[half].all()


@pytest.mark.parametrize("kind", NOISES)
def test_noise_has_unit_power_and_its_own_colour(kind: Any) -> None:
    rng = np.random.default_rng(0)
    voices = [np.sin(2 * np.pi * hertz * np.arange(3000) / 8000) for hertz in (200, 300)]
    noise = noise_of(kind, 16_000, voices, rng)
    assert np.square(noise).mean() == pytest.approx(1)
    power = np.square(np.abs(np.fft.rfft(noise)))
    low, high = power[10:100].mean(), power[4000:].mean()
    # 1/f: the mean of 10..100 against that of 4000..8000 is 0.026 to 0.00017, 150 to 1.
    expected = {"white": (0.7, 1.4), "pink": (100, 220), "babble": (0, 1e9)}[kind]
    assert expected[0] < low / high < expected[1]
    if kind == "babble":
        assert power[380:620].sum() > 0.9 * power.sum()


def test_speech_is_as_loud_as_its_loud_frames() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    padded = np.concatenate([np.zeros(24_000), tone])
    assert speech_level(padded, 8000) == pytest.approx(np.sqrt(0.5), rel=1e-3)
    assert speech_level(np.zeros(100), 8000) == 0


def test_a_wall_takes_more_of_high_tones() -> None:
    times = np.arange(8000) / 8000
    low, high = (np.sqrt(2 * np.square(muffled(np.sin(2 * np.pi * hertz * times), 8000)).mean()) for hertz in (100, 2000))
    # 12 dB, and 1 + (f / 400 Hz)^2.
    assert low == pytest.approx(10 ** (-12 / 20) / 1.0625, rel=0.01)
    assert high == pytest.approx(10 ** (-12 / 20) / 26, rel=0.01)


def test_a_change_stays_in_its_stretch_and_in_range() -> None:
    clean = np.zeros(8000, np.float32)
    found = within(clean, np.full(8000, 3.0), 8000, 0.25, 0.5)
    assert not found[:2000].any()
    assert not found[4001:].any()
    assert (found[2100:3900] == 1).all()
