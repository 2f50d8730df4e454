"""Decoding by timestamps: every video frame once, every audio sample once, on one time line in seconds.

Video and audio are read by two passes over the file, so that a badly interleaved file never makes one of them wait in
memory for the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from affectzoo.media.probe import (
    DECODE_ERRORS,
    AudioInfo,
    MediaInfo,
    VideoInfo,
    choose_stream,
    frame_rotation,
    opened,
    probe,
)
from affectzoo.media.timestamps import LocalSpacing, StreamClock

__all__ = ["AudioChunk", "AudioChunks", "AudioInfo", "Frame", "MediaInfo", "VideoFrames", "VideoInfo", "probe"]

#: Audio timestamps are rounded, in Matroska to 1 ms and in some cameras worse; only a larger step is a gap or an overlap.
_AUDIO_TOLERANCE_S = 0.03
#: Gaps are filled in pieces of this length, so that an hour of nothing takes no memory.
_FILL_S = 1.0


class Frame:
    """One decoded video frame; converted to RGB when its pixels are first asked for.

    Attributes:
        time_s: seconds since the start of the file.
    """

    __slots__ = ("_image", "_reformatter", "_source", "time_s")

    def __init__(self, source: av.VideoFrame, time_s: float, reformatter: VideoReformatter) -> None:
        self.time_s = time_s
        self._source: av.VideoFrame | None = source
        self._reformatter = reformatter
        self._image = np.zeros((0, 0, 3), np.uint8)

    def rgb(self) -> np.ndarray:
        """The picture as displayed, `[H, W, 3]` uint8 RGB."""
        if self._source is not None:
            image = self._reformatter.reformat(self._source, format="rgb24", threads=1).to_ndarray()
            turns = frame_rotation(self._source) // 90
            self._image = np.ascontiguousarray(np.rot90(image, turns)) if turns else image
            # The decoded picture is not needed twice; a waiting frame holds one of the two.
            self._source = None
        return self._image


class VideoFrames:
    """Iterates every frame of a file's video once, by strictly increasing time.

    Frames with a time that was already there are left out; a missing timestamp is replaced by the local frame spacing.
    A decoding error after the first frame ends the iteration and is noted in `problem`.

    Attributes:
        end_s: seconds since the start of the file at which the last frame seen so far ends.
        problem: a sentence, or None.
    """

    def __init__(self, source: str | Path | MediaInfo) -> None:
        self.info = source if isinstance(source, MediaInfo) else probe(source)
        self.end_s = 0.0
        self.problem: str | None = None

    def __iter__(self) -> Iterator[Frame]:
        info = self.info
        if info.video is None:
            return
        # One reformatter for the whole file: building its tables anew for each frame would halve the speed.
        reformatter = VideoReformatter()
        clock = StreamClock(info.zero_s, info.duration_s or None)
        spacing = LocalSpacing(1.0 / info.video.fps)
        last_s: float | None = None
        with opened(info.path) as container:
            stream = choose_stream(container, "video")
            if stream is None:
                return
            stream.thread_type = "AUTO"
            try:
                for source in container.decode(stream):
                    expected_s = 0.0 if last_s is None else last_s + spacing.seconds
                    time_s = clock.place(source.time, expected_s)
                    if last_s is not None:
                        if time_s <= last_s:
                            continue
                        spacing.add(time_s - last_s)
                    last_s = time_s
                    self.end_s = time_s + spacing.seconds
                    yield Frame(source, time_s, reformatter)
            except DECODE_ERRORS:
                self.problem = f"the video is damaged at {self.end_s:.2f} s: the visual stream is masked from there on"


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A stretch of mono sound.

    Attributes:
        samples: `[n]` float32 in -1..1.
        decoded: false where it is silence put in for a gap.
    """

    samples: np.ndarray
    decoded: bool


class AudioChunks:
    """Iterates a file's sound as mono at `sample_rate`, without a gap from second 0 of the file.

    Attributes:
        end_s: seconds since the start of the file of the last sample yielded so far.
        problem: a sentence, or None.
    """

    def __init__(self, source: str | Path | MediaInfo, sample_rate: int) -> None:
        self.info = source if isinstance(source, MediaInfo) else probe(source)
        self.sample_rate = sample_rate
        self.problem: str | None = None
        self._position = 0  # samples yielded so far

    @property
    def end_s(self) -> float:
        """Seconds of sound yielded so far."""
        return self._position / self.sample_rate

    def __iter__(self) -> Iterator[AudioChunk]:
        self._position = 0
        if self.info.audio is None:
            return
        for chunk in self._chunks():
            self._position += len(chunk.samples)
            yield chunk

    def _chunks(self) -> Iterator[AudioChunk]:
        info, rate = self.info, self.sample_rate
        clock = StreamClock(info.zero_s, info.duration_s or None)
        resampler: _Resampler | None = None
        with opened(info.path) as container:
            stream = choose_stream(container, "audio")
            if stream is None:
                return
            try:
                for frame in container.decode(stream):
                    expected_s = self.end_s if resampler is None else resampler.end_s
                    time_s = clock.place(frame.time, expected_s)
                    # Overlap: these samples were heard already. Dropping whole frames brings the stream back in step.
                    if time_s < expected_s - _AUDIO_TOLERANCE_S:
                        continue
                    is_gap = time_s > expected_s + _AUDIO_TOLERANCE_S
                    if resampler is not None and (is_gap or not resampler.fits(frame)):
                        yield from resampler.flush()
                        resampler = None
                    if resampler is None:
                        yield from self._silence(round(time_s * rate) - self._position)
                        resampler = _Resampler(frame, rate, self.end_s)
                    yield from resampler.feed(frame)
            except DECODE_ERRORS:
                self.problem = f"the audio is damaged at {self.end_s:.2f} s: the audio stream is masked from there on"
            if resampler is not None:
                yield from resampler.flush()

    def _silence(self, count: int) -> Iterator[AudioChunk]:
        piece = max(1, round(_FILL_S * self.sample_rate))
        while count > 0:
            yield AudioChunk(np.zeros(min(piece, count), np.float32), decoded=False)
            count -= piece


class _Resampler:
    """Resamples one unbroken stretch of frames that share a format, and counts how far it has come."""

    def __init__(self, frame: Any, rate: int, start_s: float) -> None:
        # 32-bit integers, because to floating point FFmpeg adds channels up to 3 dB louder than their mean.
        self._resampler = av.AudioResampler(format="s32", layout="mono", rate=rate)
        self._format = _signature(frame)
        self._rate = rate
        self._fed = 0  # input samples
        self._start_s = start_s
        self._given = 0  # output samples

    @property
    def end_s(self) -> float:
        """Where the next frame belongs, in seconds since the start of the file."""
        return self._start_s + self._fed / self._format[2]

    def fits(self, frame: Any) -> bool:
        return _signature(frame) == self._format

    def feed(self, frame: Any) -> Iterator[AudioChunk]:
        # Timestamps were dealt with by the caller; the resampler must not act on them as well.
        frame.pts = self._fed
        frame.time_base = Fraction(1, self._format[2])
        self._fed += frame.samples
        yield from self._taken(self._resampler.resample(frame))

    def flush(self) -> Iterator[AudioChunk]:
        if self._fed:
            yield from self._taken(self._resampler.resample(None))

    def _taken(self, frames: list[Any]) -> Iterator[AudioChunk]:
        for frame in frames:
            samples = frame.to_ndarray()[0]
            # The resampler's tail must not push what follows out of its place.
            samples = samples[: max(0, round(self._fed * self._rate / self._format[2]) - self._given)]
            self._given += len(samples)
            if len(samples):
                yield AudioChunk((samples / 2.0**31).astype(np.float32), decoded=True)


def _signature(frame: Any) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
