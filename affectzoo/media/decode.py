"""Decoding by timestamps: every video frame once, every audio sample once, on one time line in seconds.

Video and audio are read by two passes over the file, so that a badly interleaved file never makes one of them wait in
memory for the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
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
from affectzoo.media.resample import AudioChunk, Resampler, grid, silence_like
from affectzoo.media.timestamps import LocalSpacing, StreamClock

__all__ = ["AudioChunk", "AudioChunks", "AudioInfo", "Frame", "MediaInfo", "VideoFrames", "VideoInfo", "probe"]

#: Audio timestamps are rounded, in Matroska to 1 ms and in some cameras worse; only a larger step is a gap or an overlap.
_AUDIO_TOLERANCE_S = 0.03
#: Gaps are filled in pieces of this length, so that an hour of nothing takes no memory.
_FILL_S = 1.0
#: To read a part of a file, decoding begins this long before it, so that decoders and the resampler have settled when it
#: starts; further back where the file has no entry so near.
_LEAD_S = (0.5, 2.0, 10.0, 60.0)


class Frame:
    """One decoded video frame; converted to RGB when its pixels are first asked for.

    Attributes:
        time_s: seconds since the start of the file, or of the part of it that is read.
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

    Of a part, the frames are preceded by those that had to be decoded to reach it; their times are negative. The last of
    them is what the part begins with, if no frame lies on its start.

    Args:
        source: the file.
        start_s, end_s: the part to read, seconds since the start of the file; `end_s` None reads to its end.

    Attributes:
        end_s: seconds since the start (of the part) at which the last frame seen so far ends, not beyond the part.
        problem: a sentence, or None.
    """

    def __init__(self, source: str | Path | MediaInfo, start_s: float = 0.0, end_s: float | None = None) -> None:
        self.info = source if isinstance(source, MediaInfo) else probe(source)
        self.end_s = 0.0
        self.problem: str | None = None
        self._start_s = start_s
        self._length_s = math.inf if end_s is None else end_s - start_s

    def __iter__(self) -> Iterator[Frame]:
        info = self.info
        if info.video is None:
            return
        # One reformatter for the whole file: building its tables anew for each frame would halve the speed.
        reformatter = VideoReformatter()
        clock = StreamClock(info.zero_s, info.duration_s or None)
        spacing = LocalSpacing(1.0 / info.video.fps)
        last_s: float | None = None
        try:
            for source in _decoded(info, "video", self._start_s):
                expected_s = 0.0 if last_s is None else last_s + spacing.seconds
                time_s = clock.place(source.time, expected_s)
                if last_s is not None:
                    if time_s <= last_s:
                        continue
                    spacing.add(time_s - last_s)
                last_s = time_s
                inside_s = time_s - self._start_s
                if inside_s >= self._length_s:
                    self.end_s = self._length_s
                    return
                self.end_s = min(max(0.0, inside_s + spacing.seconds), self._length_s)
                yield Frame(source, inside_s, reformatter)
        except DECODE_ERRORS:
            damaged_s = self._start_s + self.end_s
            self.problem = f"the video is damaged at {damaged_s:.2f} s: the visual stream is masked from there on"


def _decoded(info: MediaInfo, kind: str, start_s: float) -> Iterator[Any]:
    """The decoded frames of a track, from a little before `start_s` seconds of the file on.

    Raises:
        FFmpegError: and the others of `DECODE_ERRORS`, where the track is damaged.
    """
    for lead_s in (lead_s for lead_s in _LEAD_S if lead_s < start_s):
        with opened(info.path) as container:
            stream = choose_stream(container, kind)
            if stream is None:
                return
            stream.thread_type = "AUTO"
            try:
                container.seek(round((start_s - lead_s + info.zero_s) / stream.time_base), stream=stream)
                frames = _placed(info, container.decode(stream), kind)
                # A frame without a time cannot be placed, unless the one before it could.
                first = next((frame for frame in frames if frame.time is not None), None)
            except DECODE_ERRORS:
                continue
            # Some formats find their place by guessing, and land behind it.
            if first is not None and first.time - info.zero_s <= start_s - _LEAD_S[0] / 2:
                yield first
                yield from frames
                return
    with opened(info.path) as container:
        stream = choose_stream(container, kind)
        if stream is not None:
            if kind == "video":
                stream.thread_type = "AUTO"
            yield from _placed(info, container.decode(stream), kind)


def _placed(info: MediaInfo, frames: Iterator[Any], kind: str) -> Iterator[Any]:
    """The same frames; those of AVI, which come in the order in which they are shown, with times in that order."""
    delay = info.video.delay if info.video is not None and kind == "video" else None
    if delay is None:
        yield from frames
        return
    last, step = None, 1
    for frame in frames:
        if frame.dts is not None:
            frame.pts = frame.dts - delay
        elif last is not None:
            frame.pts = last + step  # what the decoder still held at the end
        if last is not None and frame.pts is not None:
            step = frame.pts - last
        last = frame.pts
        yield frame


class AudioChunks:
    """Iterates a file's sound as mono at `sample_rate`, without a gap from second 0 of the file, or of the part, on.

    A part has the very samples that the whole file has there where timestamps count samples (MP4, WAV, FLAC); in Matroska,
    which rounds them, they may be shifted by up to 1 ms. Codecs that fill in noise (AAC) fill in another.

    Args:
        source: the file.
        sample_rate: Hz.
        start_s, end_s: the part to read, seconds since the start of the file; `end_s` None reads to its end.

    Attributes:
        end_s: seconds since the start (of the part) of the last sample yielded so far.
        problem: a sentence, or None.
    """

    def __init__(
        self, source: str | Path | MediaInfo, sample_rate: int, start_s: float = 0.0, end_s: float | None = None
    ) -> None:
        self.info = source if isinstance(source, MediaInfo) else probe(source)
        self.sample_rate = sample_rate
        self.problem: str | None = None
        self._start_s = start_s
        self._first = round(start_s * sample_rate)
        self._last = None if end_s is None else round(end_s * sample_rate)
        self._position = self._first  # in the file, in samples
        self._given = 0

    @property
    def end_s(self) -> float:
        """Seconds of sound yielded so far."""
        return self._given / self.sample_rate

    def __iter__(self) -> Iterator[AudioChunk]:
        self._position, self._given = self._first, 0
        if self.info.audio is None:
            return
        for chunk in self._chunks():
            begin, self._position = self._position, self._position + len(chunk.samples)
            after = len(chunk.samples) if self._last is None else max(0, self._last - begin)
            samples = chunk.samples[max(0, self._first - begin) : after]
            if len(samples):
                self._given += len(samples)
                yield AudioChunk(samples, chunk.decoded)
            if self._last is not None and self._position >= self._last:
                return

    def _chunks(self) -> Iterator[AudioChunk]:
        info, rate = self.info, self.sample_rate
        assert info.audio is not None
        clock = StreamClock(info.zero_s, info.duration_s or None)
        resampler: Resampler | None = None
        is_first = True
        try:
            for frame in _decoded(info, "audio", self._start_s):
                expected_s = self._position / rate if resampler is None else resampler.end_s
                time_s = clock.place(frame.time, 0.0 if is_first else expected_s)
                if is_first and time_s < self._start_s:
                    self._position, missing = grid(info.audio, frame.sample_rate, rate, time_s)
                    resampler = Resampler(frame, rate, self._position / rate)
                    if missing:
                        yield from resampler.feed(silence_like(frame, missing))
                    expected_s = resampler.end_s
                is_first = False
                # Overlap: these samples were heard already. Dropping whole frames brings the stream back in step.
                if time_s < expected_s - _AUDIO_TOLERANCE_S:
                    continue
                is_gap = time_s > expected_s + _AUDIO_TOLERANCE_S
                if resampler is not None and (is_gap or not resampler.fits(frame)):
                    yield from resampler.flush()
                    resampler = None
                if resampler is None:
                    yield from self._silence(round(time_s * rate) - self._position)
                    resampler = Resampler(frame, rate, self._position / rate)
                yield from resampler.feed(frame)
        except DECODE_ERRORS:
            damaged_s = self._position / rate
            self.problem = f"the audio is damaged at {damaged_s:.2f} s: the audio stream is masked from there on"
        if resampler is not None:
            yield from resampler.flush()

    def _silence(self, count: int) -> Iterator[AudioChunk]:
        piece = max(1, round(_FILL_S * self.sample_rate))
        while count > 0:
            yield AudioChunk(np.zeros(min(piece, count), np.float32), decoded=False)
            count -= piece
