"""A source-filter voice: a pulse train and breath noise, shaped by moving formants frame by frame."""

from __future__ import annotations

import numpy as np

from affectzoo.data.rendered.curves import AffectCurves, SmoothCurves, Stretches
from affectzoo.data.rendered.identity import Identity
from affectzoo.data.rendered.syllables import Syllables

VOICE_TROUBLES = ("babble", "hiss", "hum", "silence")

_CONTROL_HZ = 200.0
_LEVEL = 0.055  # root mean square of a calm, average voice within its syllables
_FLOOR = 0.0012  # of the room's noise, always there
_BANDWIDTHS_HZ = (80.0, 110.0, 160.0, 220.0, 300.0)


def render_voice(
    generator: np.random.Generator,
    identity: Identity,
    affect: AffectCurves,
    wander: SmoothCurves,
    syllables: Syllables,
    troubles: Stretches,
    duration_s: float,
    sample_rate: int,
) -> np.ndarray:
    """`[round(duration_s * sample_rate)]` float32 in -1..1.

    `wander` gives three curves of standard deviation 1 that move pitch, loudness and tilt for no reason, as they do in speech.
    Arousal raises pitch, loudness, rate (in `syllables`) and jitter and flattens the spectrum; valence lifts the formants
    (spread lips) and lets pitch rise within a phrase.
    """
    count = round(duration_s * sample_rate)
    control_s = np.arange(0, duration_s + 0.1, 1 / _CONTROL_HZ)
    valence, arousal = affect(control_s).T
    pitch_wander, loudness_wander, tilt_wander = wander(control_s).T
    voice, display = identity.voice, identity.display
    index, progress = syllables.progress(control_s)
    inside = np.clip(progress, 0, 1)

    # Jitter: the pitch of neighbouring cycles differs, the more so in an aroused voice.
    jitter = (0.008 * np.exp(0.7 * arousal)) * generator.standard_normal(len(control_s))
    slope = (0.10 * display.slope_gain * valence - 0.08) * syllables.phrase[index]
    accent = voice.accent * (1 + 0.5 * arousal) * (syllables.stress[index] - 1) / 0.15 * np.sin(np.pi * inside)
    f0 = voice.f0_hz * np.exp(0.24 * display.pitch_gain * arousal + 0.05 * pitch_wander + slope + accent + jitter)
    f0 = np.clip(f0, 60, 480)

    loudness_db = voice.loudness_db + 5.5 * display.loudness_gain * arousal + 1.6 * loudness_wander
    voiced = np.where(progress < 1, np.sin(np.pi * inside) ** 0.6, 0.0)
    level = 10 ** (loudness_db / 20) * syllables.stress[index]
    consonant = np.where(inside < 0.22, np.sin(np.pi * np.clip(inside / 0.22, 0, 1)), 0.0) * syllables.noise[index]

    times = np.arange(count) / sample_rate
    phase = np.cumsum(np.interp(times, control_s, f0)) / sample_rate
    source = _pulses(phase, harmonics=max(1, int(0.5 * sample_rate / f0.max())))
    noise = generator.standard_normal((2, count), dtype=np.float32)
    source += voice.breath * noise[0]
    source *= np.interp(times, control_s, voiced * level).astype(np.float32)
    fricative = noise[1] * np.interp(times, control_s, 0.10 * consonant * level).astype(np.float32)

    # Spread lips lift the second and third formants most.
    lift = 1 + np.outer(valence, [0.02, 0.06, 0.05])
    formants = syllables.formants_hz[index] / voice.tract * lift
    formants = np.concatenate([formants, np.tile([[3500 / voice.tract, 4500 / voice.tract]], (len(formants), 1))], axis=1)
    tilt_db = -6.0 + voice.tilt + 3.0 * display.tilt_gain * arousal + 0.7 * tilt_wander
    clean = _filter_frames(source, fricative, control_s, formants, tilt_db, sample_rate)
    clean *= _LEVEL
    noisy = _trouble(generator, clean, troubles, times, sample_rate)
    # A soft limit, as a microphone's, rather than clipping.
    return np.tanh(noisy).astype(np.float32)


def _pulses(phase: np.ndarray, harmonics: int) -> np.ndarray:
    """A train of glottal pulses, one per unit of `phase` `[n]`, with a falling spectrum and no harmonic above the last one."""
    number = np.arange(1, harmonics + 1)
    grid = np.arange(2048) / 2048
    table = (np.cos(2 * np.pi * np.outer(grid, number) + 0.4 * number**0.5) * number**-1.0).sum(axis=1)
    table = (table / table.std()).astype(np.float32)
    position = (phase % 1.0).astype(np.float32) * 2048
    whole = position.astype(np.int32)
    part = position - whole
    return table[whole % 2048] * (1 - part) + table[(whole + 1) % 2048] * part


def _filter_frames(
    source: np.ndarray,
    fricative: np.ndarray,
    control_s: np.ndarray,
    formants: np.ndarray,
    tilt_db: np.ndarray,
    sample_rate: int,
) -> np.ndarray:
    """Shape `source` by `formants` `[c, 5]` (Hz) and `tilt_db` `[c]` (per octave above 500 Hz), given at `control_s` `[c]`.

    Frames of 20 to 40 ms overlap by half; each is multiplied by its own response in the frequency domain.
    """
    size = 1 << round(np.log2(0.028 * sample_rate))
    hop = size // 2
    padded = -(-len(source) // hop) * hop + size
    window = np.sin(np.pi * (np.arange(size) + 0.5) / size).astype(np.float32)
    frequency = np.fft.rfftfreq(size, 1 / sample_rate).astype(np.float32)
    starts = np.arange(0, padded - size + 1, hop)
    # The frame that starts at sample s of the padded signal is centred on sample s of the original.
    at = np.clip(np.searchsorted(control_s, starts / sample_rate), 0, len(control_s) - 1)

    response = np.ones((len(starts), len(frequency)), np.float32)
    for column, bandwidth in enumerate(_BANDWIDTHS_HZ):
        # |resonance| at f: F^2 / |F^2 - f^2 + i f B|, which is 1 at 0 Hz.
        square = np.square(formants[at, column].astype(np.float32))[:, None]
        response *= square / np.sqrt(np.square(square - frequency**2) + np.square(frequency * np.float32(bandwidth)) + 1)
    octaves = np.log2(np.maximum(frequency, 500) / 500).astype(np.float32)
    response *= np.exp(np.outer(tilt_db[at].astype(np.float32) + 6, octaves) * np.float32(np.log(10) / 20))
    hiss = (np.exp(-np.square((frequency - 4600) / 1800)) * 6).astype(np.float32)

    def frames(signal: np.ndarray) -> np.ndarray:
        buffer = np.zeros(padded, np.float32)
        buffer[hop : hop + len(signal)] = signal
        return np.fft.rfft(np.lib.stride_tricks.sliding_window_view(buffer, size)[::hop] * window, axis=1)

    shaped = frames(source) * response + frames(fricative) * hiss
    parts = np.fft.irfft(shaped, size, axis=1).astype(np.float32) * window
    result = np.zeros(padded, np.float32)
    halves = result.reshape(-1, hop)
    halves[: len(parts)] += parts[:, :hop]
    halves[1 : len(parts) + 1] += parts[:, hop:]
    return result[hop : hop + len(source)]


def _trouble(
    generator: np.random.Generator, clean: np.ndarray, troubles: Stretches, times_s: np.ndarray, sample_rate: int
) -> np.ndarray:
    """`clean` with the room's noise, and drowned or cut off during `troubles`. Labels do not change."""
    room = _coloured_noise(generator, len(clean), sample_rate, knee_hz=1200)
    result = clean + _FLOOR * room
    for start, end, kind in zip(troubles.starts_s, troubles.ends_s, troubles.kinds, strict=True):
        first, last = np.searchsorted(times_s, [start, end])
        if first == last:
            continue
        piece = times_s[first:last]
        amount = troubles.amount(piece).astype(np.float32)
        name = VOICE_TROUBLES[kind]
        if name == "silence":
            result[first:last] = clean[first:last] * (1 - amount) + _FLOOR * room[first:last]
            continue
        strength = _LEVEL * generator.uniform(2.5, 4.5)
        if name == "babble":
            masker = _babble(generator, piece, sample_rate)
        elif name == "hiss":
            masker = _coloured_noise(generator, len(piece), sample_rate, knee_hz=4000)
        else:
            mains = generator.choice([50.0, 60.0])
            strengths = generator.uniform(0.2, 1, 30) / np.sqrt(np.arange(1, 31))
            angles = 2 * np.pi * mains * piece
            hum = sum(weight * np.sin(number * angles + number**2) for number, weight in enumerate(strengths, 1))
            masker = hum / np.std(hum) + 0.5 * _coloured_noise(generator, len(piece), sample_rate, knee_hz=3000)
        # The voice is far from the microphone then, as well as masked.
        result[first:last] = clean[first:last] * (1 - 0.6 * amount) + (strength * amount) * masker + _FLOOR * room[first:last]
    return result


def _coloured_noise(generator: np.random.Generator, count: int, sample_rate: int, knee_hz: float) -> np.ndarray:
    """`[count]` noise of unit variance that falls by 6 dB per octave above `knee_hz`, so sample rates sound alike."""
    # A length with small factors keeps the transform fast.
    size = 1 << max(4, (count - 1).bit_length())
    half = size // 2 + 1
    spectrum = generator.standard_normal((half, 2), dtype=np.float32).view(np.complex64)[:, 0]
    frequency = np.linspace(0, sample_rate / 2, half, dtype=np.float32)
    spectrum /= np.sqrt(1 + np.square(frequency / np.float32(knee_hz)))
    noise = np.fft.irfft(spectrum, size)[:count].astype(np.float32)
    return noise / max(float(noise.std()), 1e-12)


def _babble(generator: np.random.Generator, times_s: np.ndarray, sample_rate: int) -> np.ndarray:
    """`[n]` the murmur of a few people of no known affect: pulse trains with syllable rhythm through a speech-like slope."""
    total = np.zeros(len(times_s), np.float32)
    for _ in range(4):
        rhythm, pitch = generator.uniform(3, 6), generator.uniform(90, 260)
        shift = generator.uniform(0, 2 * np.pi, 2)
        phase = pitch * times_s + 0.6 * np.sin(2 * np.pi * 0.7 * times_s + shift[0]) * pitch / 20
        envelope = 0.2 + np.square(np.sin(np.pi * rhythm * times_s + shift[1]))
        total += (_pulses(phase, harmonics=max(1, int(min(4000, 0.45 * sample_rate) / (1.3 * pitch)))) * envelope).astype(
            np.float32
        )
    total += total.std() * 0.6 * _coloured_noise(generator, len(times_s), sample_rate, knee_hz=800)
    return total / max(float(total.std()), 1e-12)
