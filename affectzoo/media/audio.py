"""From the samples of one sub-sequence to what an audio backbone is fed; used alike for prediction and for training.

What comes out depends on the samples of that sub-sequence alone, so a model sees in a long recording what it was trained on.
(Where the means of bands are taken away, its neighbours count too: `media.recording`.)
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from affectzoo.config import LogMelInput, WaveformInput
from affectzoo.errors import InputError

#: Sound that stays under this peak (-80 dBFS) tells nothing: a muted track, not a quiet speaker.
SILENCE_PEAK = 1e-4
#: Frames that are further under the loudest tell no mean of a band; quieter than this (dB re 1.0) is digital silence.
LOUD_DB, QUIETEST_DB = 40.0, -100.0
#: Under this standard deviation a waveform is not blown up to unit variance; it is silence.
_FLAT = 1e-7


def sample_count(seconds: float, sample_rate: int) -> int:
    """Samples in a sub-sequence."""
    return round(seconds * sample_rate)


class LogMel(nn.Module):
    """Waveform `[..., S]` in -1..1 to log-mel `[..., 1, n_mels, frames]`, normalised as the config says.

    Power spectrogram with a Hann window, HTK mel filters of unit height, `10 * log10` (re 1.0, or to the mean of the band
    where the config asks for it) not under `floor_db`, padded on the left with the floor or cut on the left to `frames`, then
    `(x - mean) / std`. Every sub-sequence is a recording of its own here; `media.recording` is for those that belong together.

    Args:
        config: see `LogMelInput`.
        seconds: length of a sub-sequence; S is `seconds * config.sample_rate`, rounded.
    """

    def __init__(self, config: LogMelInput, seconds: float) -> None:
        super().__init__()
        # Imported on use: transformers costs half a second that a silent or visual model need not pay.
        from transformers.audio_utils import mel_filter_bank

        self.config = config
        self.samples = sample_count(seconds, config.sample_rate)
        with warnings.catch_warnings():
            # The lowest filters may fall between two bins; published front ends have the same empty rows.
            warnings.simplefilter("ignore")
            filters = mel_filter_bank(
                num_frequency_bins=config.n_fft // 2 + 1,
                num_mel_filters=config.n_mels,
                min_frequency=config.f_min,
                max_frequency=config.f_max if config.f_max is not None else config.sample_rate / 2,
                sampling_rate=config.sample_rate,
                norm=None,
                mel_scale="htk",
            )
        self.filters: Tensor
        self.window: Tensor
        self.register_buffer("filters", torch.as_tensor(filters, dtype=torch.float32).T.contiguous(), persistent=False)
        self.register_buffer("window", torch.hann_window(config.win_length), persistent=False)

    @torch.no_grad()
    def forward(self, waveform: Tensor) -> Tensor:
        """Raises `InputError` where the last dimension is not `self.samples`."""
        decibels = self.decibels(waveform)
        means = None if self.config.cmn_seconds is None else torch.stack([loud_mean(step.unsqueeze(0)) for step in decibels])
        return self.normalise(decibels, means).reshape(*waveform.shape[:-1], 1, self.config.n_mels, self.config.frames)

    @torch.no_grad()
    def decibels(self, waveform: Tensor) -> Tensor:
        """`[..., S]` to dB re 1.0 `[N, n_mels, frames of the sub-sequence]`, the leading dimensions as one.

        Raises:
            InputError: the last dimension is not `self.samples`.
        """
        config = self.config
        if waveform.shape[-1] != self.samples:
            raise InputError(f"the waveform must be [..., {self.samples}] samples, not {list(waveform.shape)}")
        flat = waveform.reshape(-1, self.samples).to(self.window.dtype)
        spectrum = torch.stft(
            flat,
            config.n_fft,
            hop_length=config.hop_length,
            win_length=config.win_length,
            window=self.window,
            center=True,
            # Mirroring needs more samples than it mirrors.
            pad_mode="reflect" if self.samples > config.n_fft // 2 else "constant",
            return_complex=True,
        )
        power = self.filters @ (spectrum.real.square() + spectrum.imag.square())
        quietest = config.floor_db if config.cmn_seconds is None else QUIETEST_DB
        return 10.0 * torch.log10(power.clamp_min(10.0 ** (quietest / 10.0)))

    def normalise(self, decibels: Tensor, means: Tensor | None = None) -> Tensor:
        """`[N, n_mels, any]` dB to `[N, n_mels, frames]` as the config says; means: `[N, n_mels]` of the bands."""
        config = self.config
        if means is not None:
            decibels = (decibels - means.unsqueeze(-1)).clamp_min(config.floor_db)
        missing = config.frames - decibels.shape[-1]
        if missing > 0:
            decibels = nn.functional.pad(decibels, (missing, 0), value=config.floor_db)
        return (decibels[..., -config.frames :] - config.mean) / config.std


def loud_mean(decibels: Tensor) -> Tensor:
    """Mean of each band, `[n, M, F]` to `[M]`, over the frames that are at most 40 dB under the loudest."""
    loudness = decibels.amax(dim=1)
    loud = loudness >= loudness.max() - LOUD_DB
    return decibels.transpose(1, 2)[loud].mean(dim=0)


def prepare_waveform(waveform: Tensor, config: WaveformInput) -> Tensor:
    """Waveform `[..., S]` to `[..., config.samples]`: cut at the end or padded with zeros, normalised where asked.

    `normalise` gives the given samples zero mean and unit variance; silence stays zero.
    """
    samples = waveform[..., : config.samples].to(torch.float32)
    if config.normalise:
        samples = samples - samples.mean(dim=-1, keepdim=True)
        deviation = samples.std(dim=-1, keepdim=True, unbiased=False)
        samples = torch.where(deviation > _FLAT, samples / deviation.clamp_min(_FLAT), torch.zeros_like(samples))
    return nn.functional.pad(samples, (0, config.samples - samples.shape[-1]))
