"""Bursts of pain: brows lower, eyes close, cheeks rise, lids tighten and lips part together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from affectzoo.data.rendered.expression import Expression
from affectzoo.data.rendered.pulses import Pulses, pulse_times

_LENGTH_SECONDS = (0.5, 1.5)
_GAP_SECONDS = (2.0, 4.0)  # from start to start, so that no two bursts overlap


@dataclass(frozen=True)
class PainDisplay:
    """How strongly each part of one person's face shows pain, gains near 1."""

    brow: float
    cheek: float
    lids: float
    eyes: float
    lips: float


def pain_display(identity: int) -> PainDisplay:
    """The display of person number `identity`."""
    gains = 1 + np.clip(0.12 * np.random.default_rng([32452843, identity]).standard_normal(5), -0.25, 0.25)
    return PainDisplay(*gains.tolist())


class PainBursts:
    """The bursts of one clip, on a scale of the drawing's own: 0 is none, 10 shuts the eyes.

    The pattern is that of Prkachin and Solomon's PSPI (brow lowering, orbital tightening, levators, eye closure), the scale is
    not: these numbers are no PSPI scores.
    """

    def __init__(self, generator: np.random.Generator, pain: float, display: PainDisplay, duration_s: float) -> None:
        """Draw times, lengths and intensities; no burst hurts more than `pain`."""
        self._display = display
        starts = pulse_times(generator, duration_s, _GAP_SECONDS)
        count = len(starts)
        lengths = generator.uniform(*_LENGTH_SECONDS, size=count)
        rises, falls = lengths * generator.uniform(0.15, 0.3, count), lengths * generator.uniform(0.25, 0.45, count)
        heights = pain * generator.uniform(0.4, 1.0, count)
        self._pulses = Pulses(starts, rises, lengths - rises - falls, falls, heights)

    def intensity(self, times_s: np.ndarray) -> np.ndarray:
        """`[n]` 0..10 at `times_s` `[n]`."""
        return self._pulses(times_s).max(axis=1)

    def peak(self, starts_s: np.ndarray, seconds: float | np.ndarray) -> np.ndarray:
        """`[n]` the highest intensity over stretches from `starts_s` `[n]` that last `seconds` (one, or `[n]`)."""
        return self._pulses.peaks(starts_s, seconds).max(axis=1)

    def __call__(self, times_s: np.ndarray, face: Expression) -> Expression:
        """The face at `times_s` `[n]` with the bursts on it."""
        level = self.intensity(times_s) / 10
        show = self._display
        return face._replace(
            brow_furrow=face.brow_furrow + 2.2 * show.brow * level,
            brow_raise=face.brow_raise - 0.9 * show.brow * level,
            cheek=face.cheek + 1.8 * show.cheek * level,
            squint=face.squint + 1.2 * show.lids * level,
            jaw=face.jaw + 0.7 * show.lips * level,
            pucker=face.pucker - 0.9 * show.lips * level,
            eye_open=face.eye_open * np.maximum(0.0, 1 - show.eyes * level),
        )
