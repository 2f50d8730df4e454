"""How a person moves: lively, or flat and slow as in a depressed display."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Onset of an expressive event in seconds, at severity 0 and at severity 10.
ONSET_SECONDS = (0.25, 1.3)

_TEMPER = 0.2


@dataclass(frozen=True)
class Manner:
    """What changes in every movement of a clip; the defaults change nothing.

    Attributes:
        size: of everything that the face shows.
        pace: how fast its own small movements run.
        lag_s: how far it stays behind the affect that drives it, seconds.
        onset_s: how long an expressive event takes to rise, seconds.
        share: of the expressive events that happen at all.
        head, jaw: size of the head's movements, and of the jaw's.
        gaze_down: how far the gaze rests below straight ahead, -1..1.
    """

    size: float = 1.0
    pace: float = 1.0
    lag_s: float = 0.0
    onset_s: float = ONSET_SECONDS[0]
    share: float = 1.0
    head: float = 1.0
    jaw: float = 1.0
    gaze_down: float = 0.0


#: Of people in recordings of pain, who hardly speak or move.
ENDURING = Manner(size=0.5, share=0.4, head=0.4, jaw=0.3)


def manner_of(severity: float, identity: int) -> Manner:
    """The manner of person number `identity` at `severity` 0..10: 0 is lively; 10 is small, slow, rare and late.

    People differ in how much they show whatever their severity, so that the size of a movement alone does not tell it.
    """
    level = severity / 10
    temper = float(np.exp(np.clip(np.random.default_rng([15485867, identity]).normal(0, _TEMPER), -0.5, 0.5)))
    return Manner(
        size=temper * (1 - 0.75 * level),
        pace=1 - 0.5 * level,
        lag_s=0.8 * level,
        onset_s=ONSET_SECONDS[0] * (ONSET_SECONDS[1] / ONSET_SECONDS[0]) ** level,
        share=1 - 0.6 * level,
        head=1 - 0.75 * level,
        jaw=1 - 0.6 * level,
        gaze_down=0.1 * level,
    )
