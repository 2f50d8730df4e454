"""What a backbone wants to be fed. Saved with the weights, so that preprocessing is never guessed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from affectzoo.config.base import StrictConfig

Positive = Annotated[int, Field(gt=0)]


class FramesInput(StrictConfig):
    """Face crops of one sub-sequence: `[3, frames, height, width]`.

    Attributes:
        frames: T, sampled evenly in time over the sub-sequence.
        height, width: crop size in pixels.
        mean, std: per channel, on values in 0..1.
        colour: `rgb`, or `grey` (luminance repeated over three channels).
        margin: the square crop's side is the face box's longer side times `1 + margin`.
    """

    kind: Literal["frames"] = "frames"
    frames: Positive = 8
    height: Positive = 112
    width: Positive = 112
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    colour: Literal["rgb", "grey"] = "rgb"
    margin: Annotated[float, Field(ge=0, le=2)] = 0.2


class LogMelInput(StrictConfig):
    """Log-mel spectrogram of one sub-sequence: `[1, n_mels, frames]`, in dB, then `(x - mean) / std`.

    Attributes:
        sample_rate: Hz.
        n_fft, win_length, hop_length: samples.
        n_mels: M; frames: F, time steps (the sub-sequence is left-padded or cut on the left to fit).
        f_min, f_max: Hz; `f_max` None is half the sample rate.
        mean, std: of the dB values, over the training set.
        floor_db: values under this many dB are raised to it.
        cmn_seconds: None: dB are re 1.0. Else each band has its dB over its own mean (mean normalisation over a sliding
            window), so that neither the level nor the average spectrum of a recording counts: over those frames of the
            sub-sequences within so many seconds before and after that are at most 40 dB under the loudest of them.
    """

    kind: Literal["log-mel"] = "log-mel"
    sample_rate: Positive = 44100
    n_fft: Positive = 1024
    win_length: Positive = 882
    hop_length: Positive = 441
    n_mels: Positive = 64
    frames: Positive = 107
    f_min: Annotated[float, Field(ge=0)] = 0.0
    f_max: float | None = None
    mean: float = -14.8
    std: Annotated[float, Field(gt=0)] = 19.895
    floor_db: float = -100.0
    cmn_seconds: Annotated[float, Field(gt=0, le=60)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> LogMelInput:
        if self.win_length > self.n_fft:
            raise ValueError(f"win_length {self.win_length} is longer than n_fft {self.n_fft}")
        if self.f_max is not None and not self.f_min < self.f_max <= self.sample_rate / 2:
            raise ValueError(f"f_max {self.f_max} must lie between f_min and half the sample rate")
        return self


class WaveformInput(StrictConfig):
    """Mono waveform of one sub-sequence: `[samples]`, in -1..1; `normalise` gives zero mean and unit variance."""

    kind: Literal["waveform"] = "waveform"
    sample_rate: Positive = 16000
    samples: Positive = 17067
    normalise: bool = True


class SignalInput(StrictConfig):
    """What a sensor or a feature extractor gave over one sub-sequence: `[samples, channels]`.

    Attributes:
        channels: C.
        samples: T, interpolated linearly at instants evenly spaced over the sub-sequence; 1 takes one row of features of the
            whole clip as it is.
    """

    kind: Literal["signal"] = "signal"
    channels: Positive
    samples: Positive = 1


AudioInput = Annotated[LogMelInput | WaveformInput, Field(discriminator="kind")]
StreamInput = Annotated[FramesInput | LogMelInput | WaveformInput | SignalInput, Field(discriminator="kind")]
