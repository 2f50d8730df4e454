"""Smooth random functions of time, and the stretches during which a modality cannot be relied on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_STRETCH_SECONDS = (1.5, 6.0)
_GAP_SECONDS = (1.6, 5.6)
_BOTH = 0.06  # share of the stretches that hit face and voice at once
_RAMP_SECONDS = 0.2


@dataclass(frozen=True)
class SmoothCurves:
    """C independent sums of K sinusoids: smooth, and known at any time, so that any frame rate can be rendered.

    Attributes:
        frequencies, phases, amplitudes: `[C, K]`, in Hz, radians, and units of the curve.
    """

    frequencies: np.ndarray
    phases: np.ndarray
    amplitudes: np.ndarray

    def __call__(self, times_s: np.ndarray) -> np.ndarray:
        """Values at `times_s` `[n]`, as `[n, C]`, mean 0."""
        angles = (2 * np.pi * np.asarray(times_s, float))[:, None, None] * self.frequencies + self.phases
        return np.einsum("nck,ck->nc", np.sin(angles), self.amplitudes)


def smooth_curves(
    generator: np.random.Generator, count: int, *, periods_s: tuple[float, float], sinusoids: int = 8, interleave: bool = False
) -> SmoothCurves:
    """`count` curves of standard deviation 1 whose sinusoids have periods between the two of `periods_s`.

    The frequencies are spread evenly on a logarithmic scale and jittered within their slot. With `interleave` the curves
    take turns in the slots, so that no two of them share a frequency: that keeps them nearly uncorrelated over a clip.
    """
    low, high = np.log(1 / periods_s[1]), np.log(1 / periods_s[0])
    if interleave:
        slots = np.arange(count * sinusoids).reshape(sinusoids, count).T
        position = (slots + generator.uniform(size=slots.shape)) / slots.size
    else:
        position = (np.arange(sinusoids) + generator.uniform(size=(count, sinusoids))) / sinusoids
    amplitudes = generator.uniform(0.5, 1.0, size=position.shape)
    amplitudes *= np.sqrt(2 / np.square(amplitudes).sum(axis=1, keepdims=True))
    phases = generator.uniform(0, 2 * np.pi, size=position.shape)
    return SmoothCurves(np.exp(low + (high - low) * position), phases, amplitudes)


@dataclass(frozen=True)
class AffectCurves:
    """Valence and arousal as functions of time."""

    curves: SmoothCurves

    def __call__(self, times_s: np.ndarray) -> np.ndarray:
        """`[n, 2]` valence and arousal in -1..1 at `times_s` `[n]`, standard deviation about 0.5."""
        return np.tanh(0.65 * self.curves(times_s))


def affect_curves(generator: np.random.Generator) -> AffectCurves:
    """One clip's valence and arousal: they vary over some 3 to 10 seconds and are nearly uncorrelated."""
    return AffectCurves(smooth_curves(generator, 2, periods_s=(8.0, 45.0), interleave=True))


@dataclass(frozen=True)
class Stretches:
    """Disjoint stretches of time, each of one kind.

    Attributes:
        starts_s, ends_s: `[n]` seconds, in order.
        kinds: `[n]` small integers, what happens in each; its meaning belongs to the reader.
    """

    starts_s: np.ndarray
    ends_s: np.ndarray
    kinds: np.ndarray

    def index(self, times_s: np.ndarray) -> np.ndarray:
        """`[n]` which stretch each time falls in, -1 for none."""
        times_s = np.asarray(times_s, float)
        if not len(self.starts_s):
            return np.full(times_s.shape, -1)
        last = np.searchsorted(self.starts_s, times_s, side="right") - 1
        return np.where((last >= 0) & (times_s < self.ends_s[last]), last, -1)

    def amount(self, times_s: np.ndarray) -> np.ndarray:
        """`[n]` 0..1: how far the stretch has set in; it ramps at both ends and is 0 outside."""
        times_s = np.asarray(times_s, float)
        index = self.index(times_s)
        if not len(self.starts_s):
            return np.zeros(times_s.shape)
        inside = np.minimum(times_s - self.starts_s[index], self.ends_s[index] - times_s)
        ramp = np.clip(inside / _RAMP_SECONDS, 0, 1)
        return np.where(index >= 0, ramp * ramp * (3 - 2 * ramp), 0.0)


def unreliable_stretches(
    generator: np.random.Generator, duration_s: float, *, face_kinds: int, voice_kinds: int
) -> tuple[Stretches, Stretches]:
    """Stretches of 1.5 to 6 s during which the face, and those during which the voice, tells nothing.

    Each takes about a quarter of the time. They come one after another with gaps between, so that mostly one modality
    remains when the other fails; a few hit both.

    Returns:
        The face's and the voice's stretches.
    """
    found: tuple[list[tuple[float, float, int]], list[tuple[float, float, int]]] = ([], [])
    # Starting well before the clip makes its first second as likely to be hit as any other.
    time = -generator.uniform(10, 20)
    side = int(generator.integers(2))
    while time < duration_s:
        length = generator.uniform(*_STRETCH_SECONDS)
        kinds = (int(generator.integers(face_kinds)), int(generator.integers(voice_kinds)))
        both = generator.uniform() < _BOTH
        side = 1 - side if generator.uniform() < 0.7 else side
        for which in (0, 1):
            if both or which == side:
                found[which].append((time, time + length, kinds[which]))
        time += length + generator.uniform(*_GAP_SECONDS)
    face, voice = (
        Stretches(*(np.array(column) for column in zip(*rows, strict=True))) if rows else NO_STRETCHES for rows in found
    )
    return face, voice


NO_STRETCHES = Stretches(np.zeros(0), np.zeros(0), np.zeros(0, int))
