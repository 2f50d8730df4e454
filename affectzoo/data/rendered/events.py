"""Expressive events: smiles, surprise and frowns that come and go every few seconds."""

from __future__ import annotations

import numpy as np

from affectzoo.data.rendered.expression import Expression
from affectzoo.data.rendered.identity import Display
from affectzoo.data.rendered.manner import Manner
from affectzoo.data.rendered.pulses import Pulses, pulse_times

_KINDS = ("smile", "surprise", "frown")
_SHARES = (0.5, 0.2, 0.3)
_GAP_SECONDS = (0.9, 2.9)
#: A muscle's greatest pull; what adds up beyond it would tear the drawing.
_LIMIT = 1.9


class ExpressiveEvents:
    """The expressive events of one clip, laid over what the face does anyway."""

    def __init__(self, generator: np.random.Generator, display: Display, manner: Manner, duration_s: float) -> None:
        """Draw times, kinds and sizes; `manner` slows and shrinks them and leaves some out."""
        self._display = display
        starts = pulse_times(generator, duration_s, _GAP_SECONDS)
        count = len(starts)
        kinds = generator.choice(len(_KINDS), size=count, p=_SHARES)
        onsets = manner.onset_s * np.exp(0.2 * generator.standard_normal(count))
        holds, falls = generator.uniform(0.2, 0.9, count), generator.uniform(0.5, 1.1, count)
        heights = manner.size * generator.uniform(0.5, 1.3, count)
        # Drawn for all and kept for some: the same clip at another severity has the same events, save those it loses.
        kept = generator.uniform(size=count) < manner.share
        self._kinds = kinds[kept]
        self._pulses = Pulses(*(column[kept] for column in (starts, onsets, holds, falls, heights)))

    def __call__(self, times_s: np.ndarray, face: Expression) -> Expression:
        """The face at `times_s` `[n]` with the events on it: a smile lifts the cheeks, a frown moves the brows alone."""
        amounts = self._pulses(times_s)
        smile, surprise, frown = (amounts[:, self._kinds == kind].sum(axis=1) for kind in range(len(_KINDS)))
        show = self._display
        return face._replace(
            smile=_limited(face.smile + show.smile_gain * smile),
            cheek=_limited(face.cheek + 0.8 * show.cheek_gain * smile),
            squint=_limited(face.squint + 0.3 * show.squint_gain * smile),
            brow_raise=_limited(face.brow_raise + show.brow_gain * (surprise - 0.3 * frown)),
            brow_furrow=_limited(face.brow_furrow + show.brow_gain * frown),
            eye_open=face.eye_open * (1 + 0.3 * np.tanh(surprise)),
            jaw=face.jaw + 0.15 * show.jaw_gain * surprise,
        )


def _limited(pull: np.ndarray) -> np.ndarray:
    return _LIMIT * np.tanh(pull / _LIMIT)
