"""When the frames of a media file are shown, by its packets: nothing is decoded as long as these tell."""

from __future__ import annotations

import numpy as np

from affectzoo.media.decode import VideoFrames
from affectzoo.media.probe import DECODE_ERRORS, MediaInfo, choose_stream, opened
from affectzoo.media.timestamps import SPLICE_S, LocalSpacing, StreamClock


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
