"""What transformers' model types want to be fed: `FramesInput`, `LogMelInput` or `WaveformInput`, and whether it fits."""

from __future__ import annotations

import math
from typing import Any

from affectzoo import FramesInput, LogMelInput, WaveformInput
from affectzoo.errors import ConfigError
from affectzoo_backbones.pretrained_files import Source

WAVEFORM_TYPES = ("wav2vec2", "hubert", "wavlm")
SPECTROGRAM_TYPE = "audio-spectrogram-transformer"
VIDEO_TYPE = "videomae"
MODEL_TYPES = (*WAVEFORM_TYPES, SPECTROGRAM_TYPE, VIDEO_TYPE)

#: Decibels per unit of natural logarithm: AST's statistics are of ln(power), `LogMelInput`'s are of dB.
DECIBELS = 10 / math.log(10)


def declaration(config: Any, source: Source | None) -> FramesInput | LogMelInput | WaveformInput:
    """What the model type wants to be fed, corrected by the checkpoint's own preprocessing file."""
    stated = (source.read_json("preprocessor_config.json") if source else None) or {}
    if config.model_type in WAVEFORM_TYPES:
        rate = stated.get("sampling_rate", 16000)
        return WaveformInput.parse(
            {"sample_rate": rate, "samples": round(rate * 32 / 30), "normalise": stated.get("do_normalize", True)},
            where="preprocessor_config.json",
        )
    if config.model_type == SPECTROGRAM_TYPE:
        # Defaults are AudioSet's; the extractor divides by twice the deviation. 1.19e-7 is Kaldi's floor of the power.
        return LogMelInput.parse(
            {
                "sample_rate": stated.get("sampling_rate", 16000),
                "n_fft": 512,
                "win_length": 400,
                "hop_length": 160,
                "n_mels": config.num_mel_bins,
                "frames": config.max_length,
                "f_min": 20.0,
                "mean": stated.get("mean", -4.2677393) * DECIBELS,
                "std": stated.get("std", 4.5689974) * 2 * DECIBELS,
                "floor_db": math.log(1.192092955078125e-07) * DECIBELS,
            },
            where="preprocessor_config.json",
        )
    height, width = _pair(config.image_size)
    default = FramesInput()
    return FramesInput.parse(
        {
            "frames": config.num_frames,
            "height": height,
            "width": width,
            "mean": tuple(stated.get("image_mean", default.mean)),
            "std": tuple(stated.get("image_std", default.std)),
        },
        where="preprocessor_config.json",
    )


def check_agreement(wanted: FramesInput | LogMelInput | WaveformInput, config: Any) -> None:
    """Raise `ConfigError` where the declared input is not what the network was built for."""
    if isinstance(wanted, FramesInput):
        declared, built = (wanted.frames, wanted.height, wanted.width), (config.num_frames, *_pair(config.image_size))
        names = "frames, height, width"
        if config.num_channels != 3:
            raise ConfigError(f"{config.model_type} must be built with num_channels 3, not {config.num_channels}")
    elif isinstance(wanted, LogMelInput):
        declared, built = (wanted.n_mels, wanted.frames), (config.num_mel_bins, config.max_length)
        names = "n_mels, frames"
    else:
        declared, built, names = (), (), ""
        shortest = shortest_waveform(config)
        if wanted.samples < shortest:
            raise ConfigError(f"{config.model_type} needs at least {shortest} samples, input_config has {wanted.samples}")
    if declared != built:
        raise ConfigError(
            f"input_config has {names} = {declared}, but the network is built for {built}: change model_config too"
        )


def shortest_waveform(config: Any) -> int:
    """Samples that the convolutional front end needs for a single output step."""
    samples = 1
    for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])
