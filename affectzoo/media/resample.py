"""From decoded audio frames to mono samples at one rate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

from affectzoo.media.probe import AudioInfo


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A stretch of mono sound.

    Attributes:
        samples: `[n]` float32 in -1..1.
        decoded: false where it is silence put in for a gap.
    """

    samples: np.ndarray
    decoded: bool


class Resampler:
    """Resamples one unbroken stretch of frames that share a format, and counts how far it has come."""

    def __init__(self, frame: Any, rate: int, start_s: float) -> None:
        # 32-bit integers, because to floating point FFmpeg adds channels up to 3 dB louder than their mean.
        self._resampler = av.AudioResampler(format="s32", layout="mono", rate=rate)
        self._format = _signature(frame)
        self._rate = rate
        self._fed = 0  # input samples
        self._start_s = start_s
        self._given = 0  # output samples

    @property
    def end_s(self) -> float:
        """Where the next frame belongs, in seconds since the start of the file."""
        return self._start_s + self._fed / self._format[2]

    def fits(self, frame: Any) -> bool:
        """Whether a frame has the format of the first."""
        return _signature(frame) == self._format

    def feed(self, frame: Any) -> Iterator[AudioChunk]:
        """Take the next frame."""
        # Timestamps were dealt with by the caller; the resampler must not act on them as well.
        frame.pts = self._fed
        frame.time_base = Fraction(1, self._format[2])
        self._fed += frame.samples
        yield from self._taken(self._resampler.resample(frame))

    def flush(self) -> Iterator[AudioChunk]:
        """The rest, at the end of the stretch."""
        if self._fed:
            yield from self._taken(self._resampler.resample(None))

    def _taken(self, frames: list[Any]) -> Iterator[AudioChunk]:
        for frame in frames:
            samples = frame.to_ndarray()[0]
            # The resampler's tail must not push what follows out of its place.
            samples = samples[: max(0, round(self._fed * self._rate / self._format[2]) - self._given)]
            self._given += len(samples)
            if len(samples):
                yield AudioChunk((samples / 2.0**31).astype(np.float32), decoded=True)


def _signature(frame: Any) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def grid(info: AudioInfo, taken: int, rate: int, time_s: float) -> tuple[int, int]:
    """Where to begin resampling so that the samples are those of the whole track.

    Args:
        info: the track.
        taken, rate: Hz before and after.
        time_s: of the first frame, in seconds since the start of the file.

    Returns:
        The position to begin at, in samples at `rate`, and the number of samples at `taken` from there to the frame.
    """
    index = round((time_s - info.start_s) * taken)
    # Only at multiples of this do samples taken and samples given fall together.
    missing = index % (taken // math.gcd(taken, rate))
    return round(info.start_s * rate) + (index - missing) * rate // taken, missing


def silence_like(frame: Any, count: int) -> Any:
    """`count` samples of silence in the format of `frame`."""
    like = frame.to_ndarray()
    zeros = np.zeros((len(like), count * (like.shape[1] // frame.samples)), like.dtype)
    silence = av.AudioFrame.from_ndarray(zeros, format=frame.format.name, layout=frame.layout.name)
    silence.sample_rate = frame.sample_rate
    return silence
