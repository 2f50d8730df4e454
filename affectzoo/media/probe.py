"""What a media file holds, found by decoding the first frame of each stream; headers alone are not believed."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
import av.logging
from av.stream import Disposition

from affectzoo.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Iterator

# FFmpeg writes its complaints about damaged files straight to the terminal; what matters of them becomes a warning or an error.
av.logging.set_libav_level(av.logging.PANIC)

#: What decoding a damaged stream may raise. PyAV's errors derive from FFmpegError; the rest comes from odd headers.
DECODE_ERRORS = (av.error.FFmpegError, EOFError, ValueError, OverflowError, ZeroDivisionError)

#: "Media" formats with which FFmpeg answers to any text file.
_TEXT_FORMATS = {"tty", "bin", "xbin", "adf", "idf"}
#: Formats whose header says when the file ends, counted from timestamp 0; those of others say how long it lasts.
_TIMED_FROM_ZERO = {"matroska,webm", "ogg", "nut"}
#: Formats that have no place for the time at which a frame is shown; FFmpeg guesses it, for H.264 wrongly.
_DECODE_TIMES_ONLY = {"avi"}
_SLOWEST_FPS, _FASTEST_FPS, _USUAL_FPS = 0.1, 1000.0, 25.0


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """A video track.

    Attributes:
        width, height: pixels, as displayed (after rotation).
        fps: average frames per second by the headers; a usual value where they do not say.
        rotation: degrees counter-clockwise by which stored frames are turned for display: 0, 90, 180 or 270.
        start_s: time of its first frame, in seconds since the start of the file.
        codec: FFmpeg's name.
        delay: ticks from the time of a frame to that of the packet with which the decoder gives it, where packets say only
            when they are decoded (AVI); None where they say when they are shown.
    """

    width: int
    height: int
    fps: float
    rotation: int
    start_s: float
    codec: str
    delay: int | None = None


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """An audio track: Hz, number of channels, seconds since the start of the file at which it begins, codec."""

    sample_rate: int
    channels: int
    start_s: float
    codec: str


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """A media file.

    Attributes:
        path: the file.
        duration_s: seconds from `zero_s` to the end by the headers, 0 where they do not say; what is decoded may be
            shorter or longer.
        video, audio: None where there is no such track or nothing of it decodes.
        zero_s: the container's timestamp that is second 0: the earlier of the first frames of the two tracks.
        problems: sentences about tracks that exist but do not decode.
    """

    path: Path
    duration_s: float
    video: VideoInfo | None
    audio: AudioInfo | None
    zero_s: float
    problems: tuple[str, ...] = ()


def probe(path: str | Path) -> MediaInfo:
    """Open a file, decode the first frame of its video and of its audio.

    Raises:
        MediaError: no such file, a folder, empty, not media, or nothing of it decodes.
    """
    file = existing(Path(path))
    video = _first_frame(file, "video")
    audio = _first_frame(file, "audio")
    problems = [
        f"the {kind} track cannot be decoded: {consequence}"
        for kind, first, consequence in (
            ("video", video, "the visual stream is masked"),
            ("audio", audio, "the audio stream is masked"),
        )
        if first is _UNDECODABLE
    ]
    if video is _UNDECODABLE or audio is _UNDECODABLE:
        video = None if video is _UNDECODABLE else video
        audio = None if audio is _UNDECODABLE else audio
        if video is None and audio is None:
            raise MediaError(f"{file}: nothing in this file can be decoded, it is damaged or cut short; use another copy of it")
    if video is None and audio is None:
        raise MediaError(f"{file}: this file has neither a video nor an audio track; give a recording of a person")
    starts = [first.time_s for first in (video, audio) if first is not None]
    zero_s = min(starts)
    return MediaInfo(
        path=file,
        duration_s=_declared_duration(file, zero_s),
        video=None if video is None else _video_info(video, zero_s),
        audio=None if audio is None else _audio_info(audio, zero_s),
        zero_s=zero_s,
        problems=tuple(problems),
    )


@contextmanager
def opened(file: Path) -> Iterator[Any]:
    """The FFmpeg container of a local file; raises `MediaError` where it is not media."""
    try:
        # `file:` keeps FFmpeg from reading a colon in a name as a protocol; the whitelist keeps playlists off the network.
        container = av.open(f"file:{file}", mode="r", options={"protocol_whitelist": "file"}, metadata_errors="ignore")
    except DECODE_ERRORS as error:
        raise MediaError(f"{file}: this is not a media file, or its beginning is damaged; use another copy of it") from error
    except OSError as error:
        raise MediaError(f"{file}: this file cannot be read ({error.strerror or error}); check its permissions") from error
    try:
        if container.format.name in _TEXT_FORMATS:
            raise MediaError(f"{file}: this is not a media file; give a video or audio recording")
        yield container
    finally:
        with suppress(*DECODE_ERRORS):
            container.close()


def choose_stream(container: Any, kind: str) -> Any | None:
    """The first track of a kind that FFmpeg can decode, cover pictures left out; None where there is none."""
    for stream in container.streams:
        # A cover picture (MP3, M4A) is a "video" of one frame that shows nobody speaking.
        is_cover = bool(int(getattr(stream, "disposition", 0)) & int(Disposition.attached_pic))
        if stream.type == kind and not is_cover and stream.codec_context is not None:
            return stream
    return None


@dataclass(frozen=True, slots=True)
class _First:
    """The first decoded frame of a track, the facts of its header, and its time by the container."""

    frame: Any
    time_s: float
    fps: float
    codec: str
    delay: int | None = None


_UNDECODABLE = _First(None, 0.0, 0.0, "")


def existing(file: Path) -> Path:
    """The file, where it is one that can be opened; raises `MediaError` where it is not."""
    if file.is_dir():
        raise MediaError(f"{file}: this is a folder; give the media files in it")
    if not file.exists():
        raise MediaError(f"{file}: there is no such file; check the path")
    if not file.is_file():
        raise MediaError(f"{file}: this is not a regular file; give a video or audio recording")
    try:
        size = file.stat().st_size
    except OSError as error:
        raise MediaError(f"{file}: this file cannot be read ({error.strerror}); check its permissions") from error
    if size == 0:
        raise MediaError(f"{file}: this file is empty (0 bytes); use another copy of it")
    return file


def _first_frame(file: Path, kind: str) -> _First | None:
    with opened(file) as container:
        stream = choose_stream(container, kind)
        if stream is None:
            return None
        try:
            frame = next(container.decode(stream), None)
        except DECODE_ERRORS:
            frame = None
        if frame is None:
            return _UNDECODABLE
        start = stream.start_time * stream.time_base if stream.start_time is not None and stream.time_base else 0.0
        time_s = float(frame.time) if frame.time is not None else float(start)
        codec = stream.codec_context.name
        if kind == "audio":
            return _First(frame, time_s, 0.0, codec)
        delay = None
        if container.format.name in _DECODE_TIMES_ONLY and frame.dts is not None and frame.pts is not None:
            delay = frame.dts - frame.pts
        return _First(frame, time_s, frames_per_second(stream), codec, delay)


def frames_per_second(stream: Any) -> float:
    """The average rate by the header of a video track; a usual value where it does not say."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and _SLOWEST_FPS <= float(rate) <= _FASTEST_FPS:
            return float(rate)
    return _USUAL_FPS


def _declared_duration(file: Path, zero_s: float) -> float:
    """Seconds from `zero_s` to the end by the headers, 0 where they do not say."""
    with opened(file) as container:
        if container.duration:
            duration_s = container.duration / av.time_base
        else:
            duration_s = max(
                (float(s.duration * s.time_base) for s in container.streams if s.duration and s.time_base), default=0
            )
        if container.format.name in _TIMED_FROM_ZERO:
            return max(0.0, duration_s - zero_s)
        if not duration_s or container.start_time is None:
            return max(0.0, duration_s)
        # The length counts from the first packet of any track, which may lie before the first frame that decodes.
        return max(0.0, container.start_time / av.time_base + duration_s - zero_s)


def frame_rotation(frame: Any) -> int:
    """Degrees counter-clockwise by which a decoded frame is to be turned for display: 0, 90, 180 or 270."""
    return round(getattr(frame, "rotation", 0) / 90) * 90 % 360


def _video_info(first: _First, zero_s: float) -> VideoInfo:
    rotation = frame_rotation(first.frame)
    width, height = first.frame.width, first.frame.height
    if rotation in (90, 270):
        width, height = height, width
    return VideoInfo(width, height, first.fps, rotation, first.time_s - zero_s, first.codec, first.delay)


def _audio_info(first: _First, zero_s: float) -> AudioInfo:
    frame = first.frame
    return AudioInfo(frame.sample_rate, len(frame.layout.channels), first.time_s - zero_s, first.codec)
