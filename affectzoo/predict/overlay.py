"""A video with its timeline drawn into it: decoded, drawn and encoded frame by frame, so that length costs no memory.

Every frame keeps its own time, so a variable frame rate stays one. The sound is that which the models hear (mono, gaps
filled), and therefore as much in step with the picture as the predictions are.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np

from affectzoo.errors import InputError, MediaError
from affectzoo.files import replacing
from affectzoo.media.decode import AudioChunks, MediaInfo, VideoFrames, probe
from affectzoo.predict.drawing import Painter

if TYPE_CHECKING:
    from affectzoo.predict.timeline import Timeline

#: Ticks per second of the written video: every usual frame rate divides it, and milliseconds do.
_CLOCK = 90_000
#: AAC takes blocks of this many samples.
_BLOCK = 1024
_AUDIO_RATE = 48_000


def write_overlay(timeline: Timeline, video: str | PathLike[str], path: str | PathLike[str]) -> Path:
    """Write `video` with the timeline's boxes and predictions, as H.264 and AAC in an MP4.

    Args:
        timeline: predicted from `video`.
        video: any file with a video track.
        path: where to write, ending in `.mp4`; parent folders are made.

    Raises:
        MediaError: `video` cannot be read or has no video track.
        InputError: `path` has another suffix, is `video` itself, or cannot be written.
    """
    if Path(path).suffix.lower() != ".mp4":
        raise InputError(f"{path}: an overlay is written as .mp4; give this suffix")
    info = probe(video if isinstance(video, str) else Path(video))
    if info.video is None:
        raise MediaError(f"{info.path}: it has no video track to draw into; `--plot` shows the timeline of a sound recording")
    if Path(path).exists() and Path(path).samefile(info.path):
        raise InputError(f"{path} is the video itself, which an overlay must not replace; choose another name")
    with replacing(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        _encode(container, info, Painter(timeline, info.video.width, info.video.height))
    return Path(path)


def _encode(container: Any, info: MediaInfo, painter: Painter) -> None:
    assert info.video is not None
    # H.264 with halved chroma needs even sides.
    width, height = info.video.width + info.video.width % 2, info.video.height + info.video.height % 2
    video = container.add_stream("libx264", rate=Fraction(info.video.fps).limit_denominator(1001))
    video.width, video.height, video.pix_fmt = width, height, "yuv420p"
    video.options = {"crf": "22", "preset": "superfast"}
    video.codec_context.time_base = Fraction(1, _CLOCK)
    sound: _Sound | None = None
    if info.audio is not None:
        sound = _Sound(container, info)
    last = -1
    for frame in VideoFrames(info):
        if sound is not None:
            sound.write_until(frame.time_s)
        picture = av.VideoFrame.from_ndarray(_sized(painter.paint(frame.rgb(), frame.time_s), width, height), format="rgb24")
        last = max(last + 1, round(frame.time_s * _CLOCK))
        picture.pts, picture.time_base = last, Fraction(1, _CLOCK)
        container.mux(video.encode(picture))
    container.mux(video.encode(None))
    if sound is not None:
        sound.write_until(float("inf"))


def _sized(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """The picture at the size of the output: an odd side gets its last row or column twice, another size is scaled."""
    below, behind = height - image.shape[0], width - image.shape[1]
    if below == behind == 0:
        return image
    if 0 <= below <= 1 and 0 <= behind <= 1:
        return cv2.copyMakeBorder(image, 0, below, 0, behind, cv2.BORDER_REPLICATE)
    # Some files change their size on the way.
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


class _Sound:
    """The sound of a file as AAC, written piece by piece beside the video."""

    def __init__(self, container: Any, info: MediaInfo) -> None:
        self._container = container
        self._stream = container.add_stream("aac", rate=_AUDIO_RATE, layout="mono")
        self._stream.bit_rate = 128_000
        self._blocks = self._cut(AudioChunks(info, _AUDIO_RATE))
        self._position = 0  # samples written
        self._over = False

    def write_until(self, time_s: float) -> None:
        """Write the sound that begins before `time_s`; at infinity, the rest, and close the stream."""
        while not self._over and self._position / _AUDIO_RATE < time_s:
            block = next(self._blocks, None)
            if block is None:
                self._over = True
                self._container.mux(self._stream.encode(None))
                return
            frame = av.AudioFrame.from_ndarray(block[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = _AUDIO_RATE, self._position, Fraction(1, _AUDIO_RATE)
            self._position += len(block)
            self._container.mux(self._stream.encode(frame))

    @staticmethod
    def _cut(chunks: AudioChunks) -> Iterator[np.ndarray]:
        waiting = np.zeros(0, np.float32)
        for chunk in chunks:
            waiting = np.concatenate([waiting, chunk.samples])
            whole = len(waiting) // _BLOCK * _BLOCK
            for start in range(0, whole, _BLOCK):
                yield np.ascontiguousarray(waiting[start : start + _BLOCK])
            waiting = waiting[whole:]
        if len(waiting):
            yield waiting
