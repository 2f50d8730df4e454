"""A pair as a clip, clean or with one modality degraded for part of the time."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from affectzoo import MadeClip, read_picture, read_sound
from affectzoo.errors import DataError
from affectzoo_datasets.av_pairs_faces import HALVES, Track, blurred, covered, grained
from affectzoo_datasets.av_pairs_plan import Pair
from affectzoo_datasets.av_pairs_sound import NOISES, muffled, noise_of, speech_level, within

Degraded = Literal["none", "train", "audio", "visual"]
Kind = Literal["masked", "noised", "occluded"]
KINDS: tuple[Kind, ...] = ("masked", "noised", "occluded")

#: Sound is opened at this rate to learn how long it lasts, whatever rate a model wants.
_RATE = 16_000
_SHARE = (0.3, 0.7)
_SNR_DB = (-10.0, 0.0)
_BLUR = (0.06, 0.1)
_GRAIN = (50.0, 90.0)
#: Separates the draws of a pair from each other: what is degraded changes nothing of the rest.
_PLAN, _TRACK, _SOUND, _FACES = range(1, 5)


@dataclass(frozen=True)
class Spoilt:
    """What is degraded: the modality, how, and from when to when."""

    modality: Literal["audio", "visual"]
    kind: Kind
    from_s: float
    to_s: float


def job_of(pair: Pair, shared: Mapping[str, Any]) -> str:
    """What `make` is given, as JSON.

    Args:
        pair: which files.
        shared: `degraded`, `degraded_share`, `seconds` of a sub-sequence, `crop_margin` and `coordinates` (target -> class ->
            value); further keys only tell caches apart.
    """
    files = {*pair.images, pair.onset, pair.offset, pair.utterance, *pair.babble}
    stats = {path: Path(path).stat() for path in sorted(files)}
    return json.dumps(
        {
            "pair": asdict(pair),
            "shared": dict(shared),
            "files": {path: [stat.st_size, stat.st_mtime_ns] for path, stat in stats.items()},
        },
        sort_keys=True,
    )


def make(job: str) -> MadeClip:
    """The clip of a job of `job_of`; files are opened when it is looked at or listened to.

    Raises:
        DataError: a file cannot be read.
    """
    given = json.loads(job)
    shared = given["shared"]
    pair = Pair(**given["pair"])
    duration_s = len(_heard(pair.utterance, _RATE)) / _RATE
    spoilt = plan_of(pair, duration_s, shared["seconds"], shared["degraded"], shared["degraded_share"])
    coordinates = {target: values[pair.emotion] for target, values in shared["coordinates"].items()}
    return MadeClip(
        clip_id=pair.pair_id,
        subject=f"{pair.speaker}+{pair.person}",
        duration_s=duration_s,
        labels={"emotion": pair.emotion, **coordinates},
        faces=lambda times: _faces(pair, duration_s, shared["crop_margin"], spoilt, times),
        sound=lambda rate: _sound(pair, spoilt, rate),
        absent={spoilt.modality: (spoilt.from_s, spoilt.to_s)} if spoilt and spoilt.kind == "masked" else {},
        extra={
            "emotion": pair.emotion,
            "speaker": pair.speaker,
            "gender": pair.gender,
            "intensity": pair.intensity,
            "persons": "+".join(dict.fromkeys(pair.persons)),
            "one_person": pair.one_person,
            "own_neutral": pair.own_neutral,
            "degraded": spoilt.modality if spoilt else "none",
            "degradation": spoilt.kind if spoilt else "none",
            "degraded_from_s": round(spoilt.from_s, 3) if spoilt else None,
            "degraded_to_s": round(spoilt.to_s, 3) if spoilt else None,
        },
    )


def plan_of(pair: Pair, duration_s: float, seconds: float, degraded: Degraded, degraded_share: float) -> Spoilt | None:
    """What is degraded of a pair; None where nothing is.

    `train` degrades a share of the pairs, either modality for 30 to 70 % of the time; `audio` and `visual` that modality in
    every pair for half of it. What is masked begins and ends with a sub-sequence, and one at least is left.
    """
    rng = np.random.default_rng((*pair.seed, _PLAN))
    chosen, which, kind = rng.random(), int(rng.integers(2)), KINDS[rng.integers(len(KINDS))]
    share, start = rng.uniform(*_SHARE), rng.random()
    if degraded == "none" or (degraded == "train" and chosen >= degraded_share):
        return None
    modality = ("audio", "visual")[which] if degraded == "train" else degraded
    share = share if degraded == "train" else 0.5
    if kind != "masked":
        from_s = start * (1 - share) * duration_s
        return Spoilt(modality, kind, from_s, from_s + share * duration_s)
    count = max(1, math.ceil(duration_s / seconds))
    masked = min(max(1, round(share * count)), max(1, count - 1))
    first = min(int(start * (count - masked + 1)), count - masked)
    return Spoilt(modality, "masked", first * seconds, (first + masked) * seconds)


def _sound(pair: Pair, spoilt: Spoilt | None, rate: int) -> np.ndarray:
    """`[S]` float32; what is masked is left to the mask."""
    clean = _heard(pair.utterance, rate)
    if spoilt is None or spoilt.modality != "audio" or spoilt.kind == "masked":
        return clean
    rng = np.random.default_rng((*pair.seed, _SOUND))
    kind, snr_db = NOISES[rng.integers(len(NOISES))], rng.uniform(*_SNR_DB)
    if spoilt.kind == "occluded":
        return within(clean, muffled(clean, rate), rate, spoilt.from_s, spoilt.to_s)
    voices = [_heard(path, rate) for path in pair.babble] if kind == "babble" else []
    level = speech_level(clean, rate) * 10 ** (-snr_db / 20)
    return within(clean, clean + level * noise_of(kind, len(clean), voices, rng), rate, spoilt.from_s, spoilt.to_s)


def _faces(
    pair: Pair, duration_s: float, margin: float, spoilt: Spoilt | None, times: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    images = [_seen(path) for path in (pair.onset, *pair.images, pair.offset)]
    track = Track(images, duration_s, margin, (*pair.seed, _TRACK))
    rng = np.random.default_rng((*pair.seed, _FACES))
    grainy, blur, grain = rng.random() < 0.5, rng.uniform(*_BLUR), rng.uniform(*_GRAIN)
    half, level = HALVES[rng.integers(len(HALVES))], int(rng.integers(256))
    for number, (time_s, (image, box)) in enumerate(zip(times, track.frames(times), strict=True)):
        if spoilt is None or spoilt.modality != "visual" or not spoilt.from_s <= time_s < spoilt.to_s:
            yield image, box
        elif spoilt.kind == "occluded":
            yield covered(image, box, half, level), box
        elif spoilt.kind == "noised":
            yield grained(image, grain, (*pair.seed, _FACES, number)) if grainy else blurred(image, blur), box
        else:
            yield image, box


@lru_cache(maxsize=256)
def _heard(path: str, rate: int) -> np.ndarray:
    samples = read_sound(path, rate)
    samples.setflags(write=False)  # it is shared
    return samples


@lru_cache(maxsize=256)
def _seen(path: str) -> np.ndarray:
    image = read_picture(path)
    if image is None:
        raise DataError(f"{path}: this is not a picture, or it is damaged; use another copy of it")
    return image
