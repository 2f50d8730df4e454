"""Writes a rendered clip as a video file with sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from affectzoo.data.rendered.clip import RenderedClip
from affectzoo.errors import InputError
from affectzoo.files import replacing

_VIDEO_CLOCK = 90000


def write_clip(
    clip: RenderedClip, path: str | Path, *, size: tuple[int, int] = (640, 480), fps: float = 30, sample_rate: int = 44100
) -> Path:
    """Write `clip` to `path` as mp4 (H.264 and AAC); the file appears only when it is complete.

    Args:
        clip: what to render.
        path: where; parent folders are made.
        size: (W, H) in pixels, both even.
        fps: frames per second; frame n shows the time n / fps.
        sample_rate: of the sound, Hz.

    Returns:
        `path`.

    Raises:
        InputError: an odd width or height, an fps that is not positive, or a path that cannot be written.
    """
    import av

    path = Path(path)
    width, height = size
    if width % 2 or height % 2 or min(size) <= 0:
        raise InputError(f"H.264 needs an even width and height, got {width}x{height}")
    if not fps > 0:
        raise InputError(f"fps must be positive, got {fps}")
    rate = Fraction(fps).limit_denominator(1001)
    times = np.arange(max(1, round(clip.duration_s * float(rate)))) / float(rate)
    with replacing(path) as partial, av.open(str(partial), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "20", "threads": "1"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.time_base = Fraction(1, _VIDEO_CLOCK)
        audio = container.add_stream("aac", rate=sample_rate, layout="mono")
        sound = clip.waveform(sample_rate)
        sent = 0

        def send_sound(until: int) -> None:
            nonlocal sent
            while sent < min(until, len(sound)):
                piece = sound[sent : sent + 1024]
                frame = av.AudioFrame.from_ndarray(piece[None], format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = sample_rate, sent, Fraction(1, sample_rate)
                container.mux(audio.encode(frame))
                sent += len(piece)

        for number, picture in enumerate(clip.frames(times, size)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(number * _VIDEO_CLOCK / rate), Fraction(1, _VIDEO_CLOCK)
            container.mux(video.encode(frame))
            # Sound and picture go in side by side, so that players need not seek.
            send_sound(round((number + 1) / float(rate) * sample_rate))
        send_sound(len(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path
