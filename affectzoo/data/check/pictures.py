"""A few pictures of a clip, and the outline of its sound; found by seeking, so that a long video is not read through."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from affectzoo.data.check.finding import ClipFacts
from affectzoo.data.check.media import crops_of, read_image
from affectzoo.errors import MediaError
from affectzoo.media.decode import AudioChunks, VideoFrames, probe

#: Pixels of a picture's height.
_HEIGHT = 200
_AUDIO_RATE, _OUTLINE_S = 8000, 0.02


@dataclass(frozen=True)
class Shot:
    """One picture.

    Attributes:
        image: `[H, W, 3]` uint8 RGB; None where there is none.
        time_s: seconds since the start of the file; NaN where unknown.
        said: its caption; without a picture, why there is none.
    """

    image: np.ndarray | None
    time_s: float
    said: str


def shots(facts: ClipFacts, count: int) -> list[Shot]:
    """Pictures evenly spaced over a clip that has a folder of crops, an image or else a video, as a model sees them.

    Raises:
        MediaError: nothing can be shown; the sentence says why.
    """
    clip = facts.clip
    if facts.picture is not None and facts.picture.problem:
        raise MediaError(facts.picture.problem)
    if clip.video and not clip.frames:
        start_s = clip.start_s or 0.0
        length_s = facts.seconds if math.isfinite(facts.seconds) else 0.0
        return _of_video(Path(clip.video), [start_s + length_s * (k + 0.5) / count for k in range(count)])
    path = Path(clip.frames or "")
    if path.is_file():
        return [Shot(_small(read_image(path)), math.nan, "")]
    return _of_crops(facts, crops_of(path), count)


def outline(facts: ClipFacts) -> tuple[np.ndarray, np.ndarray]:
    """`[n]` seconds since the start of the file and `[n]` peak amplitudes of a clip's sound, every 20 ms.

    Raises:
        MediaError: the file holds no sound that decodes.
    """
    clip = facts.clip
    if facts.sound is not None and facts.sound.problem:
        raise MediaError(facts.sound.problem)
    path = clip.audio or clip.video or ""
    start_s = clip.start_s or 0.0
    chunks = AudioChunks(path, _AUDIO_RATE, start_s, clip.end_s)
    if chunks.info.audio is None:
        raise MediaError(f"{path}: this file has no sound")
    step = round(_OUTLINE_S * _AUDIO_RATE)
    peaks: list[np.ndarray] = []
    rest = np.zeros(0, np.float32)
    for chunk in chunks:
        rest = np.concatenate([rest, np.abs(chunk.samples)])
        whole = len(rest) // step * step
        peaks.append(rest[:whole].reshape(-1, step).max(axis=1))
        rest = rest[whole:]
    heights = np.concatenate(peaks) if peaks else np.zeros(0, np.float32)
    return start_s + (np.arange(len(heights)) + 0.5) * _OUTLINE_S, heights


def _of_video(path: Path, times: Sequence[float]) -> list[Shot]:
    info = probe(path)
    if info.video is None:
        raise MediaError(f"{path}: this file has no picture that can be decoded")
    found: list[Shot] = []
    for time_s in times:
        # Times of a part count from its start, and are negative on the way there from a keyframe.
        frame = next((frame for frame in VideoFrames(info, time_s) if frame.time_s >= -0.5 / info.video.fps), None)
        if frame is None:
            found.append(Shot(None, time_s, f"nothing can be decoded at {time_s:.1f} s"))
            continue
        shown_s = time_s + frame.time_s
        found.append(Shot(_small(frame.rgb()), shown_s, f"{shown_s:.1f} s"))
    return found


def _of_crops(facts: ClipFacts, crops: dict[int, Path], count: int) -> list[Shot]:
    fps, clip = facts.fps if math.isfinite(facts.fps) else 0.0, facts.clip
    # The video beside them may go on where there is no face any more.
    last = max([*crops, (facts.picture and facts.picture.frames) or 0])
    if not crops:
        raise MediaError(f"{clip.frames} holds no numbered image")
    first = 1
    if fps:
        first = max(first, round((clip.start_s or 0.0) * fps) + 1)
        last = last if clip.end_s is None else min(last, round(clip.end_s * fps))
    numbers = dict.fromkeys(round(n) for n in first + (last - first) * (np.arange(count) + 0.5) / count)
    found: list[Shot] = []
    for number in numbers:
        time_s = (number - 1) / fps if fps else math.nan
        said = f"{time_s:.1f} s" if fps else f"{number}"
        if number not in crops:
            found.append(Shot(None, time_s, f"no crop {number}"))
            continue
        try:
            found.append(Shot(_small(read_image(crops[number])), time_s, said))
        except MediaError:
            found.append(Shot(None, time_s, f"{crops[number].name} is damaged"))
    return found


def _small(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    if height <= _HEIGHT:
        return image
    return cv2.resize(image, (max(1, round(width * _HEIGHT / height)), _HEIGHT), interpolation=cv2.INTER_AREA)
