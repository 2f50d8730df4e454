import numpy as np
import pytest
import torch

from affectzoo.config import LogMelInput, WaveformInput
from affectzoo.errors import InputError
from affectzoo.media.audio import LogMel, prepare_waveform

SECONDS = 32 / 30


def test_the_default_spectrogram_is_64_by_107():
    logmel = LogMel(LogMelInput(), SECONDS)
    assert logmel.samples == 47040
    assert logmel(torch.randn(2, 3, 47040) * 0.1).shape == (2, 3, 1, 64, 107)
    assert logmel(torch.zeros(47040)).shape == (1, 64, 107)
    assert not logmel.state_dict()


def test_a_tone_lights_the_filter_of_its_frequency_at_its_level():
    config = LogMelInput(mean=0.0, std=1.0)
    logmel = LogMel(config, SECONDS)
    time = torch.arange(logmel.samples) / config.sample_rate
    spectrum = logmel(0.5 * torch.sin(2 * torch.pi * 3000 * time))[0, :, 50]
    mel = 2595 * np.log10(1 + 3000 / 700)
    centres = np.linspace(0, 2595 * np.log10(1 + 22050 / 700), 66)[1:-1]
    assert abs(int(spectrum.argmax()) - int(np.abs(centres - mel).argmin())) <= 1
    # The peak of a windowed sine: (amplitude / 2 * sum of the window) squared.
    assert float(spectrum.max()) == pytest.approx(20 * np.log10(0.25 * 441), abs=4.0)


def test_silence_is_the_floor_and_finite():
    config = LogMelInput()
    floor = (config.floor_db - config.mean) / config.std
    out = LogMel(config, SECONDS)(torch.zeros(47040))
    torch.testing.assert_close(out, torch.full_like(out, floor))


def test_missing_frames_are_padded_on_the_left_with_the_floor_and_surplus_cut_there():
    config = LogMelInput(mean=0.0, std=1.0)
    sound = torch.randn(47040)
    whole = LogMel(config, SECONDS)(sound)
    longer = LogMel(config.model_copy(update={"frames": 110}), SECONDS)(sound)
    shorter = LogMel(config.model_copy(update={"frames": 100}), SECONDS)(sound)
    assert (longer[..., :3] == config.floor_db).all()
    torch.testing.assert_close(longer[..., 3:], whole)
    torch.testing.assert_close(shorter, whole[..., 7:])


def test_each_subsequence_depends_on_its_own_samples_alone():
    logmel = LogMel(LogMelInput(), SECONDS)
    a, b = torch.randn(47040), torch.randn(47040)
    torch.testing.assert_close(logmel(torch.stack([a, b]))[0], logmel(torch.stack([a, 0 * b]))[0])


def test_a_waveform_of_another_length_is_refused():
    with pytest.raises(InputError, match="47040"):
        LogMel(LogMelInput(), SECONDS)(torch.zeros(100))


def test_a_subsequence_shorter_than_the_fourier_transform_works():
    config = LogMelInput(frames=4)
    assert LogMel(config, 0.01)(torch.randn(441)).isfinite().all()


@pytest.mark.parametrize("given_samples", [100, 160, 300])
def test_waveforms_are_cut_or_padded_and_normalised(given_samples):
    out = prepare_waveform(torch.randn(2, given_samples) * 3 + 5, WaveformInput(samples=160))
    assert out.shape == (2, 160)
    used = out[:, : min(160, given_samples)]
    assert used.mean(dim=-1).abs().max() < 1e-5
    assert (used.std(dim=-1, unbiased=False) - 1).abs().max() < 1e-4


def test_a_silent_waveform_stays_silent():
    assert (prepare_waveform(torch.zeros(3, 160), WaveformInput(samples=160)) == 0).all()
    assert (prepare_waveform(torch.full((160,), 0.25), WaveformInput(samples=160)) == 0).all()
