"""A few pictures of a clip, and the outline of its sound; found by seeking, so that a long video is not read through."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from affectzoo.data.check.finding import ClipFacts
from affectzoo.data.check.media import crops_of, read_image
from affectzoo.errors import MediaError
from affectzoo.media.decode import AudioChunks, Frame
from affectzoo.media.probe import DECODE_ERRORS, choose_stream, opened, probe

#: Pixels of a picture's height.
_HEIGHT = 200
#: Frames decoded after the keyframe before a picture; a video with none in between shows an earlier moment, with its time.
_MOST_DECODED = 150
#: Seconds before the picture from which decoding is tried.
_STEPS_BACK_S = (0.0, 2.0, 10.0)
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
    """Pictures evenly spaced over a clip that has a video, a folder of crops or an image.

    Raises:
        MediaError: nothing can be shown; the sentence says why.
    """
    clip = facts.clip
    if facts.picture is not None and facts.picture.problem:
        raise MediaError(facts.picture.problem)
    if clip.video:
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
    chunks = AudioChunks(path, _AUDIO_RATE)
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
        if clip.end_s is not None and chunks.end_s > clip.end_s:
            break
    heights = np.concatenate(peaks) if peaks else np.zeros(0, np.float32)
    times = (np.arange(len(heights)) + 0.5) * _OUTLINE_S
    part = (times >= (clip.start_s or 0.0)) & (times <= (math.inf if clip.end_s is None else clip.end_s))
    return times[part], heights[part]


def _of_video(path: Path, times: Sequence[float]) -> list[Shot]:
    info = probe(path)
    if info.video is None:
        raise MediaError(f"{path}: this file has no picture that can be decoded")
    half_s = 0.5 / info.video.fps
    reformatter = VideoReformatter()
    found: list[Shot] = []
    with opened(info.path) as container:
        stream = choose_stream(container, "video")
        if stream is None:
            return found
        for time_s in times:
            try:
                frame = _frame_at(container, stream, info.zero_s + time_s, half_s)
                image = None if frame is None else Frame(frame, time_s, reformatter).rgb()
            except DECODE_ERRORS:
                frame = image = None
            if image is None or frame is None:
                found.append(Shot(None, time_s, f"nothing can be decoded at {time_s:.1f} s"))
                continue
            shown_s = time_s if frame.time is None else float(frame.time) - info.zero_s
            found.append(Shot(_small(image), shown_s, f"{shown_s:.1f} s"))
    return found


def _frame_at(container: Any, stream: Any, time_s: float, half_s: float) -> Any:
    """The frame at a time of the container, or one before it where there is no keyframe near; None at the end."""
    frame = None
    # Without an index, as in MPEG, seeking may land too late.
    for back_s in _STEPS_BACK_S:
        container.seek(int((time_s - back_s) / stream.time_base), stream=stream, backward=True)
        first = None
        for frame in islice(container.decode(stream), _MOST_DECODED):
            first = frame if first is None else first
            if frame.time is None or frame.time >= time_s - half_s:
                break
        if first is not None and (first.time is None or first.time <= time_s + half_s):
            break
    return frame


def _of_crops(facts: ClipFacts, crops: dict[int, Path], count: int) -> list[Shot]:
    fps, clip = facts.clip.fps, facts.clip
    first, last = 1, max(crops)
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
