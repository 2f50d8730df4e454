"""RAVDESS in small: the archives' folders, with one utterance for each emotion and actor."""

from __future__ import annotations

import math
import wave
from pathlib import Path

import av
import numpy as np

#: Modality of the names -> folder of the archive, ending of its files.
ARCHIVES = {1: ("Video_Speech_Actor_{:02d}", ".mp4"), 2: ("Video_Speech_Actor_{:02d}", ".mp4"), 3: ("Actor_{:02d}", ".wav")}


def write_ravdess(root: Path, *, actors: tuple[int, ...] = (1, 2, 17, 21), modalities: tuple[int, ...] = (3,)) -> int:
    """One utterance of each emotion for each actor in each modality; how many files there are."""
    sources = {".wav": root / ".source.wav", ".mp4": root / ".source.mp4"}
    root.mkdir(parents=True, exist_ok=True)
    write_tone(sources[".wav"])
    if {1, 2} & set(modalities):
        write_video(sources[".mp4"])
    count = 0
    for modality in modalities:
        for actor in actors:
            folder, ending = ARCHIVES[modality]
            for emotion in range(1, 9):
                name = f"{modality:02d}-01-{emotion:02d}-01-01-01-{actor:02d}{ending}"
                put(sources[ending], root / folder.format(actor) / name)
                count += 1
    return count


def put(source: Path, path: Path) -> Path:
    """A copy of a rendered file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(source.read_bytes())
    return path


def write_tone(path: Path) -> Path:
    """A tenth of a second of 220 Hz, 16 bit, 16 kHz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (8000 * np.sin(2 * math.pi * 220 * np.arange(1600) / 16_000)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.tobytes())
    return path


def write_video(path: Path) -> Path:
    """Four grey frames at 25 fps; the container follows the ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flv" if path.suffix == ".flv" else "mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for number in range(4):
            picture = np.full((32, 32, 3), 60 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path
