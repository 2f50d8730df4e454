"""A corpus whose clips are given, and little media of known length, rate and number of frames."""

from __future__ import annotations

import wave
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import affectzoo
from affectzoo import Clip, Corpus, TargetConfig, Track

CARD = affectzoo.DatasetCard(
    title="Toys & <faces>",
    licence="CC0-1.0",
    source="these tests",
    how_to_obtain="run them",
    layout="clips.csv",
    citation="none",
    protocol="none",
    metric="ccc",
    checked="the files themselves",
)
VALENCE = TargetConfig.model_validate("valence")
MOOD = TargetConfig(name="mood", kind="categorical", classes=("calm", "glad", "sad"))


class Toys(Corpus):
    """Clips as they are given."""

    card = CARD

    def __init__(self, root: str | Path, clips: Sequence[Clip] = (), **declared: Any) -> None:
        super().__init__(root)
        self._clips = clips
        for name, value in declared.items():
            setattr(self, name, value)

    def scan(self) -> Iterator[Clip]:
        yield from self._clips


def along(values: Sequence[float], *, valid: Sequence[bool] | None = None, rate_hz: float = 10.0, unit: Any = "s") -> Track:
    """Valence along time: from second 0 at `rate_hz`, or one label for each frame."""
    count = len(values)
    times = np.arange(count) / rate_hz if unit == "s" else np.arange(count, dtype=np.float64)
    return Track(
        times=times,
        unit=unit,
        values={"valence": np.asarray(values, np.float32)},
        valid=np.ones(count, bool) if valid is None else np.asarray(valid, bool),
        rate_hz=rate_hz if unit == "s" else np.nan,
    )


def film(path: Path, times: Sequence[float], *, size: tuple[int, int] = (64, 48), sound: int = 0, shade: int = 20) -> str:
    """A video whose k-th frame, at `times[k]` seconds, is the brighter the later, from `shade` on.

    `sound` is the rate of a tone; 0 is none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.codec_context.time_base = video.time_base = Fraction(1, 90_000)
        video.options = {"preset": "ultrafast", "g": "12"}
        audio: Any = out.add_stream("aac", rate=sound, layout="mono") if sound else None
        for number, time_s in enumerate(times):
            grey = np.full((size[1], size[0], 3), shade + 200 * number // len(times), np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = round(time_s * 90_000), Fraction(1, 90_000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if audio is not None:
            samples = 0.4 * np.sin(np.arange(round(times[-1] * sound)) / 7)
            for start in range(0, len(samples) - 1023, 1024):
                piece = av.AudioFrame.from_ndarray(samples[None, start : start + 1024].astype(np.float32), "fltp", "mono")
                piece.sample_rate, piece.pts, piece.time_base = sound, start, Fraction(1, sound)
                out.mux(audio.encode(piece))
            out.mux(audio.encode(None))
    return str(path)


def even(seconds: float, fps: float = 10.0) -> list[float]:
    """Frame times of a constant rate."""
    return [k / fps for k in range(round(seconds * fps))]


def tone(path: Path, seconds: float, rate: int = 8000, channels: int = 1) -> str:
    """A WAV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (8000 * np.sin(np.arange(round(seconds * rate)) / 9)).astype("<i2")
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.repeat(samples, channels).tobytes())
    return str(path)


def crops(folder: Path, numbers: Sequence[int]) -> str:
    """A folder of face crops with these numbers."""
    folder.mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), np.full((24, 24, 3), number % 256, np.uint8))
    return str(folder)
