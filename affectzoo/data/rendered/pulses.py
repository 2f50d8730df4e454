"""Rises and falls that come and go: the shape in time of a smile, a frown, a burst of pain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pulses:
    """E pulses, each a smooth rise, a hold and a smooth fall, known at any time.

    Attributes:
        starts_s, rises_s, holds_s, falls_s: `[E]` seconds; rises and falls are positive.
        heights: `[E]`, what each reaches while it holds.
    """

    starts_s: np.ndarray
    rises_s: np.ndarray
    holds_s: np.ndarray
    falls_s: np.ndarray
    heights: np.ndarray

    def __call__(self, times_s: np.ndarray) -> np.ndarray:
        """`[n, E]` every pulse at `times_s`: `[n]` for all pulses, or `[n, E]` with times of its own for each."""
        times_s = np.asarray(times_s, float)
        since = (times_s[:, None] if times_s.ndim == 1 else times_s) - self.starts_s
        left = self.rises_s + self.holds_s + self.falls_s - since
        ramp = np.clip(np.minimum(since / self.rises_s, left / self.falls_s), 0, 1)
        return self.heights * ramp * ramp * (3 - 2 * ramp)

    def peaks(self, starts_s: np.ndarray, seconds: float | np.ndarray) -> np.ndarray:
        """`[n, E]` each pulse's highest value over stretches from `starts_s` `[n]` that last `seconds` (one, or `[n]`)."""
        starts_s = np.asarray(starts_s, float)[:, None]
        # A pulse is highest where a stretch comes nearest to the middle of its hold.
        middles = self.starts_s + self.rises_s + 0.5 * self.holds_s
        return self(np.clip(middles, starts_s, starts_s + np.reshape(seconds, (-1, 1))))


def pulse_times(generator: np.random.Generator, duration_s: float, gaps_s: tuple[float, float]) -> np.ndarray:
    """`[E]` starts, with gaps drawn evenly between the two of `gaps_s`, from well before a clip to its end."""
    gaps = generator.uniform(*gaps_s, size=int((duration_s + 2 * gaps_s[1]) / gaps_s[0]) + 2)
    starts = np.cumsum(gaps) - 2 * gaps_s[1]
    return starts[starts < duration_s]
