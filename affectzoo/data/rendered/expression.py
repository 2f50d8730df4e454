"""From affect to what shows in the face: the parameters that the renderer draws."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from affectzoo.data.rendered.curves import AffectCurves, SmoothCurves, smooth_curves
from affectzoo.data.rendered.identity import Identity
from affectzoo.data.rendered.manner import Manner
from affectzoo.data.rendered.syllables import Syllables

_NOISES = 13


class Expression(NamedTuple):
    """The state of a face: floats at one time, or arrays `[n]` at n times.

    Muscles are around 0 at rest and around 1 when strong; `eye_open` is 1 for a normally open eye and 0 in a blink.
    Angles in radians; `x` and `y` in frame heights, away from where the person sits; `scale` multiplies the size.
    """

    smile: np.ndarray
    cheek: np.ndarray
    brow_raise: np.ndarray
    brow_furrow: np.ndarray
    jaw: np.ndarray
    pucker: np.ndarray
    eye_open: np.ndarray
    squint: np.ndarray
    gaze_x: np.ndarray
    gaze_y: np.ndarray
    yaw: np.ndarray
    pitch: np.ndarray
    roll: np.ndarray
    x: np.ndarray
    y: np.ndarray
    scale: np.ndarray


class FaceMotion:
    """What one person's face does during one clip, as a function of time."""

    def __init__(
        self,
        generator: np.random.Generator,
        identity: Identity,
        affect: AffectCurves,
        syllables: Syllables,
        duration_s: float,
        manner: Manner,
    ) -> None:
        """Draw the clip's chance movements: noise on every muscle, head motion, and blinks every few seconds."""
        self._identity = identity
        self._manner = manner
        self._affect = affect
        self._syllables = syllables
        self._noise: SmoothCurves = smooth_curves(generator, _NOISES, periods_s=(1.6, 12.0), sinusoids=6)
        gaps = generator.gamma(4.0, 0.9, size=int(duration_s) + 8)
        self._blinks_s = np.cumsum(gaps) - 2.0

    def __call__(self, times_s: np.ndarray) -> Expression:
        """The face at `times_s` `[n]`.

        Valence moves the mouth's corners, cheeks, lower lids and brows; arousal, weakly, opens eyes and jaw further, lifts
        the brows and makes the head move more.
        """
        times_s = np.asarray(times_s, float)
        manner = self._manner
        valence, arousal = manner.size * self._affect(times_s - manner.lag_s).T
        noise = self._noise(times_s * manner.pace).T
        muscle = manner.size * noise[:6]
        show = self._identity.display
        movement = show.motion_gain * np.exp(0.4 * arousal) * manner.head
        index, progress = self._syllables.progress(times_s)
        nod = np.where(progress < 1, (self._syllables.stress[index] - 1) * np.sin(np.pi * np.clip(progress, 0, 1)), 0.0)
        since_blink = times_s[:, None] - self._blinks_s
        blink = np.exp(-np.square(since_blink / 0.07)).max(axis=1)
        opening = 1.0 + show.eye_offset + 0.15 * arousal + 0.05 * muscle[5]
        return Expression(
            smile=show.smile_offset + 0.75 * show.smile_gain * valence + 0.24 * muscle[0],
            cheek=0.6 * show.cheek_gain * valence + 0.25 * muscle[1],
            brow_raise=show.brow_offset + 0.3 * arousal + 0.2 * show.brow_gain * valence + 0.25 * muscle[2],
            brow_furrow=-0.45 * show.brow_gain * valence + 0.1 * arousal + 0.25 * muscle[3],
            jaw=self._syllables.jaw(times_s) * 0.55 * show.jaw_gain * (1 + 0.25 * arousal) * manner.jaw,
            pucker=0.15 * noise[12] - 0.1 * valence,
            eye_open=np.clip(opening, 0.5, 1.5) * (1 - 0.95 * blink),
            squint=show.squint_offset + 0.35 * show.squint_gain * valence + 0.15 * muscle[4],
            gaze_x=0.5 * np.tanh(noise[6]),
            gaze_y=0.25 * np.tanh(noise[7]) + manner.gaze_down,
            yaw=np.radians(6.0) * movement * noise[8],
            pitch=np.radians(3.5) * movement * (noise[9] + 1.5 * nod),
            roll=np.radians(3.0) * movement * noise[10],
            x=0.025 * movement * noise[11] + 0.02 * noise[8],
            y=0.012 * movement * (noise[9] + nod),
            scale=1 + 0.03 * noise[12],
        )
