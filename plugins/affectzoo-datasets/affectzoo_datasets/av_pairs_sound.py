"""What is done to a stretch of an utterance: noise at a signal-to-noise ratio, or a wall in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Noise = Literal["white", "pink", "babble"]
NOISES: tuple[Noise, ...] = ("white", "pink", "babble")

_FRAME_S = 0.02
#: Frames this far under the loudest are pauses, which tell nothing of how loud somebody speaks.
_SPEECH_DB = 30.0
_RAMP_S = 0.01
#: A wall: second-order low-pass at this frequency, and this much softer.
_WALL_HZ, _WALL_DB = 400.0, 12.0


def speech_level(samples: np.ndarray, rate: int) -> float:
    """Root mean square over the 20 ms frames within 30 dB of the loudest; 0 of silence."""
    size = max(1, round(_FRAME_S * rate))
    frames = np.pad(samples, (0, -len(samples) % size)).reshape(-1, size)
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    loud = power[power >= power.max() * 10 ** (-_SPEECH_DB / 10)]
    return float(np.sqrt(loud.mean()))


def noise_of(kind: Noise, count: int, voices: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """`[count]` samples of unit root mean square: white, 1/f, or voices that speak at once."""
    if kind == "babble":
        noise = np.zeros(count)
        for voice in voices:
            start = int(rng.integers(max(1, len(voice))))
            spoken = np.resize(np.roll(voice, -start), count).astype(np.float64)
            noise += spoken / max(float(np.sqrt(np.square(spoken).mean())), 1e-9)
    else:
        noise = rng.normal(0, 1, count)
    if kind == "pink":
        spectrum = np.fft.rfft(noise)
        spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
        spectrum[0] = 0
        noise = np.fft.irfft(spectrum, count)
    return noise / max(float(np.sqrt(np.square(noise).mean())), 1e-9)


def muffled(samples: np.ndarray, rate: int) -> np.ndarray:
    """`[S]` as heard through a wall."""
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
    gain = 10 ** (-_WALL_DB / 20) / (1 + np.square(frequencies / _WALL_HZ))
    return np.fft.irfft(np.fft.rfft(samples) * gain, len(samples))


def within(clean: np.ndarray, changed: np.ndarray, rate: int, from_s: float, to_s: float) -> np.ndarray:
    """`[S]` float32: `changed` from one second to another, else `clean`, with short ramps and not beyond -1..1."""
    times = np.arange(len(clean)) / rate
    share = np.clip(np.minimum(times - from_s, to_s - times) / _RAMP_S, 0, 1)
    return np.clip(clean + share * (changed - clean), -1, 1).astype(np.float32)
