"""One rendered clip: everything in it follows from who speaks, a seed and a duration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from affectzoo.data.rendered.curves import (
    NO_STRETCHES,
    AffectCurves,
    Stretches,
    affect_curves,
    smooth_curves,
    unreliable_stretches,
)
from affectzoo.data.rendered.events import ExpressiveEvents
from affectzoo.data.rendered.expression import Expression, FaceMotion
from affectzoo.data.rendered.face import FACE_TROUBLES, FaceRenderer, Trouble, make_scene
from affectzoo.data.rendered.geometry import geometry_of
from affectzoo.data.rendered.identity import Identity, make_identity
from affectzoo.data.rendered.manner import ENDURING, Manner, manner_of
from affectzoo.data.rendered.pain import PainBursts, pain_display
from affectzoo.data.rendered.syllables import Syllables, speak
from affectzoo.data.rendered.voice import VOICE_TROUBLES, render_voice
from affectzoo.errors import InputError

DEFAULT_DURATION_S = 32 * 32 / 30  # 32 sub-sequences of 32/30 s
#: Points of the curve that make the label of a sub-sequence.
_LABEL_SAMPLES = 16

# A detector's box in head units around the head's middle: x0, y0, x1, y1 (measured with YuNet).
_BOX = (-0.742, -0.80, 0.742, 1.03)


@dataclass(frozen=True)
class RenderedClip:
    """A talking face with its voice, and the valence and arousal behind both.

    Attributes:
        identity: who speaks, a non-negative integer.
        seed: which clip of that person.
        duration_s: seconds.
        severity: 0..10, how depressed the display is, from lively to flat, slow and still; the voice does not tell it.
        pain: 0..10, which no burst exceeds (each reaches 40 to 100 % of it); bursts cross a face that does little else.

    With a severity or a pain, smiles, surprise and frowns come and go as well, and nothing ever hides the face or drowns the
    voice; with neither, nothing but affect shows, and each of the two cannot be relied on for a quarter of the time.

    Raises:
        InputError: a negative identity or seed, a duration that is not positive, or a severity or pain outside 0..10.
    """

    identity: int
    seed: int
    duration_s: float = DEFAULT_DURATION_S
    severity: float | None = None
    pain: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.identity < 0 or self.seed < 0:
            raise InputError(f"identity and seed must not be negative, got {self.identity} and {self.seed}")
        if not self.duration_s > 0:
            raise InputError(f"duration_s must be positive, got {self.duration_s}")
        for name, level in (("severity", self.severity), ("pain", self.pain)):
            if level is not None and not 0 <= level <= 10:
                raise InputError(f"{name} must be in 0..10, got {level}")

    def affect(self, times_s: np.ndarray) -> np.ndarray:
        """Valence and arousal, `[n, 2]` in -1..1, at `times_s` `[n]`: the labels, also where nothing can be seen or heard."""
        return self._affect(np.asarray(times_s, float))

    def mean_affect(self, starts_s: np.ndarray, seconds: float | np.ndarray) -> np.ndarray:
        """Mean valence and arousal, `[n, 2]`, over stretches from `starts_s` `[n]` that last `seconds` (one, or `[n]`).

        This is the label of a sub-sequence, in training as in every comparison with the truth.
        """
        starts_s = np.asarray(starts_s, float)
        offsets = (np.arange(_LABEL_SAMPLES) + 0.5) / _LABEL_SAMPLES * np.reshape(seconds, (-1, 1))
        return self.affect((starts_s[:, None] + offsets).ravel()).reshape(len(starts_s), _LABEL_SAMPLES, 2).mean(axis=1)

    def expression(self, times_s: np.ndarray) -> Expression:
        """The parameters of the face at `times_s`, each `[n]`."""
        times_s = np.asarray(times_s, float)
        face = self._motion(times_s)
        for change in self._changes:
            face = change(times_s, face)
        return face

    def pain_at(self, times_s: np.ndarray) -> np.ndarray:
        """`[n]` intensity of pain, 0..10, at `times_s` `[n]`, also where the face cannot be seen.

        Raises:
            InputError: a clip without a pain level.
        """
        return self._bursts.intensity(np.asarray(times_s, float))

    def peak_pain(self, starts_s: np.ndarray, seconds: float | np.ndarray) -> np.ndarray:
        """`[n]` the highest intensity, 0..10, in stretches from `starts_s` `[n]` that last `seconds` (one, or `[n]`).

        This is the label of a sub-sequence.

        Raises:
            InputError: a clip without a pain level.
        """
        return self._bursts.peak(starts_s, seconds)

    def face_visible(self, times_s: np.ndarray) -> np.ndarray:
        """`[n]` bool: false while the face is hidden, blurred or in the dark."""
        return self._stretches[0].index(np.asarray(times_s, float)) < 0

    def voice_clear(self, times_s: np.ndarray) -> np.ndarray:
        """`[n]` bool: false while the voice is drowned in noise or cut off. Pauses between phrases are clear."""
        return self._stretches[1].index(np.asarray(times_s, float)) < 0

    def frame(self, time_s: float, size: tuple[int, int] = (640, 480)) -> np.ndarray:
        """The scene at `time_s` as `[H, W, 3]` uint8 RGB; `size` is (W, H) in pixels."""
        return next(self.frames(np.array([time_s]), size))

    def frames(self, times_s: np.ndarray | Iterable[float], size: tuple[int, int] = (640, 480)) -> Iterator[np.ndarray]:
        """The scene at each of `times_s`, one `[H, W, 3]` uint8 RGB at a time; `size` is (W, H) in pixels."""
        times_s = np.asarray(times_s if isinstance(times_s, np.ndarray) else list(times_s), float)
        rows = np.column_stack(self.expression(times_s)).tolist()
        stretches = self._stretches[0]
        index, amount = stretches.index(times_s), stretches.amount(times_s)
        for row, time, hit, how_far in zip(rows, times_s, index, amount, strict=True):
            trouble = None
            if hit >= 0:
                kind = FACE_TROUBLES[stretches.kinds[hit]]
                trouble = Trouble(kind, float(how_far), _COVERS[hit % len(_COVERS)])
            yield self._renderer.render(Expression(*row), size, trouble, noise=round(float(time) * 1000) + self.seed)

    def face_box(self, time_s: float, size: tuple[int, int] = (640, 480)) -> np.ndarray:
        """`[4]` x0, y0, x1, y1 in pixels: the box that a face detector would return at `time_s`."""
        return self.face_boxes(np.array([time_s], float), size)[0]

    def face_boxes(self, times_s: np.ndarray, size: tuple[int, int] = (640, 480)) -> np.ndarray:
        """`[n, 4]` the boxes at `times_s` `[n]`."""
        face = self.expression(times_s)
        scene = self._renderer.scene
        width, height = size
        unit = scene.scale * face.scale * height
        looks = self._identity.looks
        x = (scene.centre[0] + face.x) * height + 0.5 * width
        y = (scene.centre[1] + face.y) * height
        wide, (top, bottom) = looks.half_width / 0.8, (_BOX[1], _BOX[3] + (looks.chin - 1.06) + 0.17 * face.jaw)
        middle_x, middle_y = 0.5 * (_BOX[0] + _BOX[2]) + 0.35 * face.yaw - 0.22 * face.roll, 0.35 * face.pitch
        x = x + middle_x * unit
        y = y + middle_y * unit
        half = 0.5 * (_BOX[2] - _BOX[0]) * wide * unit
        return np.column_stack([x - half, y + top * unit, x + half, y + bottom * unit])

    def waveform(self, sample_rate: int = 16000) -> np.ndarray:
        """The sound, `[round(duration_s * sample_rate)]` float32 in -1..1."""
        wander = smooth_curves(self._generator(4), 3, periods_s=(1.5, 10.0), sinusoids=6)
        generator = self._generator(5)
        voice = self._stretches[1]
        return render_voice(
            generator, self._identity, self._affect, wander, self._syllables, voice, self.duration_s, sample_rate
        )

    def _generator(self, purpose: int) -> np.random.Generator:
        """Chance for one purpose, so that one part's draws never shift another's."""
        return np.random.default_rng([104729, self.identity, self.seed, purpose])

    @cached_property
    def _identity(self) -> Identity:
        return make_identity(self.identity)

    @cached_property
    def _affect(self) -> AffectCurves:
        return affect_curves(self._generator(0))

    @cached_property
    def _stretches(self) -> tuple[Stretches, Stretches]:
        if self.severity is not None or self.pain is not None:
            return NO_STRETCHES, NO_STRETCHES
        return unreliable_stretches(
            self._generator(1), self.duration_s, face_kinds=len(FACE_TROUBLES), voice_kinds=len(VOICE_TROUBLES)
        )

    @cached_property
    def _syllables(self) -> Syllables:
        return speak(self._generator(2), self._identity, self._affect, self.duration_s)

    @cached_property
    def _motion(self) -> FaceMotion:
        return FaceMotion(self._generator(3), self._identity, self._affect, self._syllables, self.duration_s, self._manner)

    @cached_property
    def _manner(self) -> Manner:
        if self.severity is not None:
            return manner_of(self.severity, self.identity)
        return Manner() if self.pain is None else ENDURING

    @cached_property
    def _bursts(self) -> PainBursts:
        if self.pain is None:
            raise InputError(f"this clip of identity {self.identity} has no pain level; give RenderedClip a pain in 0..10")
        return PainBursts(self._generator(8), self.pain, pain_display(self.identity), self.duration_s)

    @cached_property
    def _changes(self) -> tuple[Callable[[np.ndarray, Expression], Expression], ...]:
        """What is laid over the motion of affect, in this order."""
        if self.severity is None and self.pain is None:
            return ()
        events = ExpressiveEvents(self._generator(7), self._identity.display, self._manner, self.duration_s)
        return (events,) if self.pain is None else (events, self._bursts)

    @cached_property
    def _renderer(self) -> FaceRenderer:
        return FaceRenderer(geometry_of(self.identity), make_scene(self._generator(6)))


_COVERS = ((196, 222, 232), (40, 42, 48), (214, 208, 196), (120, 60, 66), (70, 96, 130))
