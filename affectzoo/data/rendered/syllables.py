"""What is said: syllables in phrases with pauses between. The voice sounds them and the jaw follows them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from affectzoo.data.rendered.curves import AffectCurves
from affectzoo.data.rendered.identity import Identity

# First three formants (Hz, for an average vocal tract) and how far the jaw opens for it.
_VOWELS = np.array(
    [
        [300, 2250, 2950, 0.25],
        [400, 1950, 2600, 0.4],
        [560, 1800, 2500, 0.6],
        [720, 1250, 2500, 1.0],
        [600, 950, 2450, 0.75],
        [430, 850, 2400, 0.45],
        [330, 850, 2300, 0.3],
        [500, 1450, 2500, 0.5],
    ]
)


@dataclass(frozen=True)
class Syllables:
    """All syllables of a clip, one row each, in order of time.

    Attributes:
        starts_s, lengths_s: `[n]` seconds.
        formants_hz: `[n, 3]` for an average vocal tract.
        opening: `[n]` 0..1, how far the jaw opens.
        stress: `[n]` around 1.
        noise: `[n]` 0..1, strength of the consonant at the start.
        phrase: `[n]` -0.5..0.5, the place within its phrase.
    """

    starts_s: np.ndarray
    lengths_s: np.ndarray
    formants_hz: np.ndarray
    opening: np.ndarray
    stress: np.ndarray
    noise: np.ndarray
    phrase: np.ndarray

    def progress(self, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For `times_s` `[n]`: the last syllable begun `[n]`, and how much of it is over `[n]` (beyond 1 in a pause)."""
        times_s = np.asarray(times_s, float)
        index = np.maximum(np.searchsorted(self.starts_s, times_s, side="right") - 1, 0)
        return index, (times_s - self.starts_s[index]) / self.lengths_s[index]

    def jaw(self, times_s: np.ndarray) -> np.ndarray:
        """How far the jaw is open at `times_s`, `[n]` 0..1."""
        index, progress = self.progress(times_s)
        return self.opening[index] * self.stress[index] * np.sin(np.pi * np.clip(progress, 0, 1)) ** 1.5


def speak(generator: np.random.Generator, identity: Identity, affect: AffectCurves, duration_s: float) -> Syllables:
    """The syllables of one clip: faster and with shorter pauses when aroused."""
    times = np.arange(0, duration_s + 0.25, 0.25)
    arousal = affect(times)[:, 1]
    rows: list[tuple[float, ...]] = []
    time = -generator.uniform(0, 1.5)
    while time < duration_s:
        count = int(generator.integers(4, 11))
        for number in range(count):
            here = float(np.interp(time, times, arousal))
            rate = identity.voice.rate_hz * np.exp(0.28 * identity.display.rate_gain * here)
            length = float(generator.uniform(0.75, 1.3) / rate)
            noise = generator.uniform(0.3, 1.0) if generator.uniform() < 0.45 else 0.0
            vowel = int(generator.integers(len(_VOWELS)))
            place = number / (count - 1) - 0.5
            rows.append((time, length * 0.94, vowel, float(generator.normal(1, 0.15)), noise, place))
            time += length
        here = float(np.interp(time, times, arousal))
        time += float(generator.uniform(0.2, 0.55) * np.exp(-0.4 * here))
    starts, lengths, vowels, stress, noise, place = (np.array(column) for column in zip(*rows, strict=True))
    chosen = _VOWELS[vowels.astype(int)]
    formants = chosen[:, :3] * generator.normal(1, 0.03, size=(len(rows), 3))
    return Syllables(starts, lengths, formants, chosen[:, 3], np.clip(stress, 0.6, 1.4), noise, place)
