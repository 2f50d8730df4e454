"""Small clips that say where and when they are: the picture encodes the frame number, the sound the second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from affectzoo.media.detectors.full_frame import FullFrameDetector

#: Ticks per second of the video's timestamps in rendered clips.
TICKS = 90_000
_BITS = 10


def numbered_picture(number: int, width: int, height: int) -> np.ndarray:
    """`[H, W, 3]` uint8: `_BITS` black or white columns, the lowest bit on the left; red marks the top left corner."""
    bits = np.array([(number >> k) & 1 for k in range(_BITS)], dtype=np.uint8) * 200 + 25
    columns = np.repeat(bits, width // _BITS)
    row = np.full(width, 25, np.uint8)
    row[: len(columns)] = columns
    picture = np.repeat(np.repeat(row[None, :, None], height, axis=0), 3, axis=2)
    picture[: height // 4, : width // 2] = (220, 20, 20)
    return picture


def read_number(picture: np.ndarray) -> int:
    """The number of a picture `[H, W, 3]` of any size, as `numbered_picture` wrote it."""
    height, width = picture.shape[:2]
    row = picture[height // 2 : height - height // 8].mean(axis=(0, 2))
    cell = width // _BITS if width % _BITS == 0 else width / _BITS
    return sum(int(row[int((k + 0.5) * cell)] > 125) << k for k in range(_BITS))


def frequency_at(second: int) -> float:
    """Hz of the tone that rendered clips sound during a second of the file."""
    return 300.0 + 100.0 * second


def tone(seconds: float, rate: int, start_s: float = 0.0) -> np.ndarray:
    """`[n]` float32: a sine whose frequency says which second of the file it is."""
    times = start_s + np.arange(round(seconds * rate)) / rate
    frequencies = np.array([frequency_at(int(t)) for t in times])
    return (0.4 * np.sin(2 * np.pi * np.cumsum(frequencies) / rate)).astype(np.float32)


def render_video(
    path: Path,
    *,
    times: Sequence[float] = (),
    size: tuple[int, int] = (160, 120),
    picture: Callable[[int], np.ndarray] | None = None,
    codec: str = "libx264",
    sound: np.ndarray | None = None,
    sound_start_s: float = 0.0,
    sound_holes: Sequence[tuple[float, float]] = (),
    rate: int = 16_000,
    audio_codec: str = "aac",
    layout: str = "mono",
    rotation: int | None = None,
    options: dict[str, str] | None = None,
    ticks: int = TICKS,
) -> Path:
    """Write a clip: frame k at `times[k]` seconds shows the number k, the sound `[n]` starts at `sound_start_s`.

    `ticks` per second count the video's time; in AVI it is the frame rate, or empty frames are written between the others.
    """
    width, height = size
    with av.open(str(path), "w") as out:
        video: Any = None
        audio: Any = None
        if len(times):
            video = out.add_stream(codec, rate=30)
            video.width, video.height = width, height
            video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            video.codec_context.time_base = Fraction(1, ticks)
            video.time_base = Fraction(1, ticks)
            if codec == "libx264":
                video.options = options or {"preset": "ultrafast", "crf": "18", "tune": "zerolatency"}
            if rotation is not None:
                video.set_display_rotation(rotation)
        if sound is not None:
            audio = out.add_stream(audio_codec, rate=rate, layout=layout)
        for number, time_s in enumerate(times):
            image = picture(number) if picture is not None else numbered_picture(number, width, height)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=video.pix_fmt)
            frame.pts, frame.time_base = round(time_s * ticks), Fraction(1, ticks)
            out.mux(video.encode(frame))
        if video is not None:
            out.mux(video.encode(None))
        if sound is not None:
            _write_sound(out, audio, sound, sound_start_s, sound_holes, rate, layout)
    return path


def _write_sound(out, audio, sound, start_s, holes, rate, layout) -> None:
    step = audio.codec_context.frame_size or 1024
    channels = {"mono": 1, "stereo": 2}[layout]
    for first in range(0, len(sound), step):
        time_s = start_s + first / rate
        if any(a <= time_s < b for a, b in holes):
            continue
        piece = sound[first : first + step]
        planar = np.repeat(piece[None], channels, axis=0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planar, dtype=np.float32), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, round(start_s * rate) + first, Fraction(1, rate)
        for ready in av.AudioResampler(format=audio.codec_context.format, layout=layout, rate=rate).resample(frame):
            ready.pts, ready.time_base = frame.pts, frame.time_base
            out.mux(audio.encode(ready))
    out.mux(audio.encode(None))


def even_times(seconds: float, fps: float, start_s: float = 0.0) -> list[float]:
    """Frame times of a constant frame rate."""
    return [start_s + k / fps for k in range(round(seconds * fps))]


@pytest.fixture(scope="session")
def clips() -> SimpleNamespace:
    """The helpers of this file, by name."""
    return SimpleNamespace(
        render_video=render_video,
        numbered_picture=numbered_picture,
        read_number=read_number,
        frequency_at=frequency_at,
        tone=tone,
        even_times=even_times,
    )


@pytest.fixture(scope="session")
def yunet_weights(shared: Path) -> str:
    weights = shared / "models" / "face_detection_yunet.onnx"
    if not weights.is_file():
        pytest.skip("shared data absent")
    return str(weights)


@pytest.fixture
def whole_picture() -> FullFrameDetector:
    return FullFrameDetector()
