"""What a media file says of itself: headers and packets, nothing decoded. For listings; `probe` is for reading a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from affectzoo.errors import MediaError
from affectzoo.media.decode import VideoFrames
from affectzoo.media.probe import DECODE_ERRORS, MediaInfo, choose_stream, existing, frames_per_second, opened
from affectzoo.media.timestamps import SPLICE_S, LocalSpacing, StreamClock


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """The headers of a file, as they stand; a damaged file may hold less.

    Attributes:
        duration_s: seconds; 0 where they do not say.
        fps: average frames per second; None without video, as all of the video's.
        frame_count: None where the headers do not say (Matroska, MPEG).
        width, height: pixels as stored, before rotation.
        sample_rate: Hz; None without audio, as `channels`.
    """

    duration_s: float
    fps: float | None
    frame_count: int | None
    width: int | None
    height: int | None
    sample_rate: int | None
    channels: int | None


def media_facts(path: str | Path) -> MediaFacts:
    """Read the headers of a file.

    Raises:
        MediaError: no such file, a folder, empty, not media, or no track in it.
    """
    with opened(existing(Path(path))) as container:
        video, audio = choose_stream(container, "video"), choose_stream(container, "audio")
        if video is None and audio is None:
            raise MediaError(f"{path}: this file has neither a video nor an audio track; give a recording of a person")
        lengths = [float(s.duration * s.time_base) for s in (video, audio) if s is not None and s.duration and s.time_base]
        return MediaFacts(
            duration_s=container.duration / av.time_base if container.duration else max(lengths, default=0.0),
            fps=frames_per_second(video) if video is not None else None,
            frame_count=(video.frames or None) if video is not None else None,
            width=video.codec_context.width if video is not None else None,
            height=video.codec_context.height if video is not None else None,
            sample_rate=audio.codec_context.sample_rate if audio is not None else None,
            channels=audio.codec_context.channels if audio is not None else None,
        )


def frame_times(info: MediaInfo) -> np.ndarray:
    """When each frame of a file's video is shown: `[F]` float64, seconds since the start of the file, rising.

    The times are those of `VideoFrames`. They come from the packets, and from decoding only where these do not tell: no
    timestamps, or some that step back. Of a damaged file they go on to its end.
    """
    if info.video is None:
        return np.zeros(0)
    raw = _packet_times(info, info.video.start_s)
    if raw is None:
        return np.array([frame.time_s for frame in VideoFrames(info)])
    clock = StreamClock(info.zero_s, info.duration_s or None)
    spacing = LocalSpacing(1.0 / info.video.fps)
    times: list[float] = []
    for raw_s in sorted(raw):
        time_s = clock.place(raw_s, times[-1] + spacing.seconds if times else 0.0)
        if times and time_s <= times[-1]:
            continue
        if times:
            spacing.add(time_s - times[-1])
        times.append(time_s)
    return np.array(times)


def _packet_times(info: MediaInfo, first_s: float) -> list[float] | None:
    """Timestamps in seconds by the container, from that of the first frame that decodes on; None where they do not tell."""
    times: list[float] = []
    last: int | None = None
    try:
        with opened(info.path) as container:
            stream = choose_stream(container, "video")
            for packet in container.demux(stream):
                if packet.size == 0 or packet.is_discard:
                    continue
                if packet.pts is None or packet.time_base is None:
                    return None
                order = packet.pts if packet.dts is None else packet.dts
                if last is not None and (order - last) * packet.time_base < -SPLICE_S:
                    return None
                last = order
                times.append(float(packet.pts * packet.time_base))
    except DECODE_ERRORS:
        return None
    return [time_s for time_s in times if time_s - info.zero_s >= first_s - 1e-6]
