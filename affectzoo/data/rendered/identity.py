"""Who speaks: the looks, the voice, and how strongly each shows affect. Everything follows from one number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Colour = tuple[int, int, int]

# From light to dark, RGB.
_SKIN = np.array([[244, 208, 184], [228, 184, 150], [206, 158, 122], [176, 126, 92], [138, 94, 68], [106, 70, 50]], float)
_HAIR = np.array([[28, 22, 20], [58, 38, 26], [96, 62, 38], [150, 108, 62], [196, 160, 100], [140, 60, 30], [150, 150, 150]])
_IRIS = np.array([[60, 38, 24], [84, 56, 32], [70, 96, 120], [80, 104, 70], [48, 32, 24]])

HAIR_STYLES = ("bald", "short", "fringe", "long", "bun")


@dataclass(frozen=True)
class Looks:
    """What a face looks like when nothing moves. Lengths in head units (the chin lies about 1 below the head's middle)."""

    half_width: float
    jaw_taper: float
    chin: float
    eye_distance: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    eye_y: float
    brow_thickness: float
    brow_height: float
    brow_tilt: float
    nose_length: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    lip_thickness: float
    hairline: float
    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    hair_style: str
    beard: float
    glasses: bool


@dataclass(frozen=True)
class Voice:
    """What a voice sounds like when calm: pitch in Hz, loudness in dB, syllables per second."""

    f0_hz: float
    tract: float
    loudness_db: float
    rate_hz: float
    tilt: float
    breath: float
    accent: float


@dataclass(frozen=True)
class Display:
    """How affect shows in this person: gains near 1 and resting offsets, so that a neutral face may seem to smile."""

    smile_gain: float
    smile_offset: float
    cheek_gain: float
    squint_gain: float
    squint_offset: float
    brow_gain: float
    brow_offset: float
    eye_offset: float
    jaw_gain: float
    motion_gain: float
    pitch_gain: float
    loudness_gain: float
    rate_gain: float
    tilt_gain: float
    slope_gain: float


@dataclass(frozen=True)
class Identity:
    """One person: looks, voice, and display of affect."""

    looks: Looks
    voice: Voice
    display: Display


@lru_cache(maxsize=4096)
def make_identity(number: int) -> Identity:
    """The person called `number`, a non-negative integer; the same number is always the same person."""
    generator = np.random.default_rng([7919, number])
    return Identity(_looks(generator), _voice(generator), _display(generator))


def _looks(generator: np.random.Generator) -> Looks:
    uniform = generator.uniform
    tone = uniform(0, len(_SKIN) - 1)
    whole = min(int(tone), len(_SKIN) - 2)
    skin = _SKIN[whole] + (tone - whole) * (_SKIN[whole + 1] - _SKIN[whole]) + generator.normal(0, 4, 3)
    # Dark skin goes with dark hair and brown eyes more often than not.
    hair = _HAIR[generator.integers(len(_HAIR))] if tone < 2.5 else _HAIR[generator.integers(2)]
    iris = _IRIS[generator.integers(len(_IRIS))] if tone < 2.5 else _IRIS[generator.integers(2)]
    style = HAIR_STYLES[generator.choice(len(HAIR_STYLES), p=[0.12, 0.28, 0.2, 0.25, 0.15])]
    beard = uniform(0.3, 1.0) if style in ("bald", "short") and uniform() < 0.4 else 0.0
    redness = uniform(0.1, 0.5)
    lips = skin * np.array([0.92, 0.68, 0.66]) * (1 - redness) + np.array([176, 70, 76]) * redness
    return Looks(
        half_width=uniform(0.74, 0.86),
        jaw_taper=uniform(0.12, 0.32),
        chin=uniform(1.0, 1.12),
        eye_distance=uniform(0.31, 0.37),
        eye_width=uniform(0.155, 0.19),
        eye_height=uniform(0.085, 0.115),
        eye_tilt=uniform(-0.02, 0.03),
        eye_y=uniform(-0.16, -0.1),
        brow_thickness=uniform(0.04, 0.075),
        brow_height=uniform(0.2, 0.25),
        brow_tilt=uniform(-0.02, 0.04),
        nose_length=uniform(0.38, 0.46),
        nose_width=uniform(0.11, 0.16),
        mouth_y=uniform(0.56, 0.63),
        mouth_width=uniform(0.24, 0.31),
        lip_thickness=uniform(0.05, 0.085),
        hairline=uniform(-0.78, -0.64),
        skin=_colour(skin),
        hair=_colour(hair + generator.normal(0, 6, 3)),
        iris=_colour(iris + generator.normal(0, 6, 3)),
        lips=_colour(lips),
        hair_style=style,
        beard=float(beard),
        glasses=bool(uniform() < 0.12),
    )


def _voice(generator: np.random.Generator) -> Voice:
    low = generator.uniform() < 0.5
    f0 = generator.normal(118, 14) if low else generator.normal(200, 20)
    return Voice(
        f0_hz=float(np.clip(f0, 85, 250)),
        tract=float((1.06 if low else 0.92) + generator.normal(0, 0.03)),
        loudness_db=float(np.clip(generator.normal(0, 2.2), -4.5, 4.5)),
        rate_hz=float(np.clip(generator.normal(4.2, 0.35), 3.4, 5.0)),
        tilt=float(generator.normal(0, 1.0)),
        breath=float(generator.uniform(0.02, 0.09)),
        accent=float(generator.uniform(0.03, 0.09)),
    )


def _display(generator: np.random.Generator) -> Display:
    gains = np.clip(generator.normal(1.0, 0.2, 10), 0.6, 1.4).tolist()
    offsets = np.clip(generator.normal(0, 1, 5), -2, 2).tolist()
    return Display(
        smile_gain=gains[0],
        smile_offset=0.22 * offsets[0],
        cheek_gain=gains[1],
        squint_gain=gains[2],
        squint_offset=0.15 * offsets[1],
        brow_gain=gains[3],
        brow_offset=0.22 * offsets[2],
        eye_offset=0.08 * offsets[3],
        jaw_gain=gains[4],
        motion_gain=gains[5],
        pitch_gain=gains[6],
        loudness_gain=gains[7],
        rate_gain=gains[8],
        tilt_gain=gains[9],
        slope_gain=1.0 + 0.2 * offsets[4],
    )


def _colour(value: np.ndarray) -> Colour:
    red, green, blue = np.clip(np.round(value), 0, 255).astype(int).tolist()
    return red, green, blue
