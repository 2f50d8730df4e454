"""Log-mel over the means of its bands: what a recording's level and colour were, and what came before, in `cmn_seconds`."""

from __future__ import annotations

import pytest
import torch

from affectzoo.config import LogMelInput, WaveformInput
from affectzoo.errors import ConfigError
from affectzoo.media.audio import LogMel
from affectzoo.media.recording import SoundOfRecording

SECONDS = 1.0
CONFIG = LogMelInput(
    sample_rate=16000, n_fft=512, win_length=400, hop_length=160, frames=101, mean=0.0, std=1.0, floor_db=-36.0, cmn_seconds=1.0
)


@pytest.fixture
def speech() -> torch.Tensor:
    """Five seconds of noise that swells and fades."""
    time = torch.arange(80000) / 16000
    noise = torch.randn(80000, generator=torch.Generator().manual_seed(0))
    return (0.1 * noise * (1.2 + torch.sin(5 * time))).view(5, 16000)


def whole(waveform: torch.Tensor, given: LogMelInput = CONFIG) -> torch.Tensor:
    return SoundOfRecording(given, SECONDS).whole(waveform)


def test_the_level_of_a_recording_does_not_count(speech):
    loud, quiet = (whole(level * speech) for level in (1.0, 0.01))
    torch.testing.assert_close(quiet, loud, atol=1e-3, rtol=0)
    assert loud.shape == (5, 1, 64, 101)
    assert whole(speech[:1]).mean(dim=-1).abs().max() < 1e-3  # every frame is loud, so each band's mean is taken away


def test_a_sub_sequence_waits_for_what_comes_after_it_and_no_longer(speech):
    recording = SoundOfRecording(CONFIG, SECONDS)
    pieces = [recording.push(speech[:1]), recording.push(speech[1:4]), recording.push(speech[4:]), recording.finish()]
    assert [len(piece) for piece in pieces] == [0, 3, 1, 1]
    torch.testing.assert_close(torch.cat(pieces), whole(speech), atol=0, rtol=0)
    assert len(SoundOfRecording(CONFIG, SECONDS).finish()) == 0


def test_what_is_further_away_than_asked_for_does_not_count(speech):
    third_louder = speech * torch.tensor([1.0, 1.0, 3.0, 1.0, 1.0]).unsqueeze(1)
    differs = (whole(speech) - whole(third_louder)).abs().amax(dim=(1, 2, 3)) > 0.1
    assert differs.tolist() == [False, True, True, True, False]
    wider = CONFIG.model_copy(update={"cmn_seconds": 2.0})
    assert (whole(speech, wider) - whole(third_louder, wider)).abs().amax(dim=(1, 2, 3)).gt(0.1).all()


def test_a_pause_is_measured_by_the_speech_beside_it(speech):
    pause = 1e-4 * speech[1:2]
    assert (whole(torch.cat([speech[:1], pause]))[1] == CONFIG.floor_db).all()
    assert (whole(torch.cat([pause, speech[:1]]))[0] == CONFIG.floor_db).all()
    assert whole(pause)[0].mean().abs() < 1e-3
    assert whole(torch.zeros(1, 16000)).isfinite().all()


def test_one_sub_sequence_alone_is_what_the_front_end_gives(speech):
    torch.testing.assert_close(LogMel(CONFIG, SECONDS)(speech)[2:3], whole(speech[2:3]), atol=0, rtol=0)


def test_without_it_nothing_waits(speech):
    plain = CONFIG.model_copy(update={"cmn_seconds": None})
    recording = SoundOfRecording(plain, SECONDS)
    torch.testing.assert_close(recording.push(speech), LogMel(plain, SECONDS)(speech), atol=0, rtol=0)
    wave = SoundOfRecording(WaveformInput(sample_rate=16000, samples=16000, normalise=False), SECONDS)
    torch.testing.assert_close(wave.push(speech), speech, atol=0, rtol=0)
    assert len(recording.finish()) == len(wave.finish()) == 0


def test_no_time_at_all_is_refused():
    with pytest.raises(ConfigError, match="cmn_seconds"):
        LogMelInput.parse({"cmn_seconds": 0}, where="log_mel")
