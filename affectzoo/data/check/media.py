"""What the media of a corpus are by their headers, the first frames and the first packets; nothing is decoded as a whole."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from affectzoo.errors import MediaError
from affectzoo.media.probe import DECODE_ERRORS, choose_stream, opened, probe

IMAGES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
#: Packets that tell whether the frame rate varies: ten seconds of video.
_PACKETS = 300
#: Distances between frames, the slowest and the fastest twentieth left out, differ by more than this where the rate varies.
_UNEVEN = 1.2


@dataclass(frozen=True, kw_only=True)
class MediaFacts:
    """A media file, a folder of crops, or one image.

    Attributes:
        duration_s: seconds by the headers; NaN where they do not say, and of images.
        width, height: pixels as displayed; 0 without a picture.
        fps: frames per second by the headers; NaN without video.
        frames: number of frames; of crops the highest number; None where the headers do not say.
        images: of a folder, images that have a number.
        is_variable: the frame rate changes within the first packets.
        sample_rate, channels: of the sound, 0 without.
        size: bytes; 0 of a folder.
        problem: why it cannot be used; empty where it can.
        remarks: tracks that are there and do not decode.
    """

    duration_s: float = math.nan
    width: int = 0
    height: int = 0
    fps: float = math.nan
    frames: int | None = None
    images: int = 0
    is_variable: bool = False
    sample_rate: int = 0
    channels: int = 0
    size: int = 0
    problem: str = ""
    remarks: tuple[str, ...] = ()


def facts_of(
    paths: Iterable[str], workers: int | None = None, advance: Callable[[int, int], None] | None = None
) -> dict[str, MediaFacts]:
    """Path -> what it is, each path once.

    Args:
        paths: media files, folders of crops, images.
        workers: threads; None is twice the processors, at most 8.
        advance: told how many are done, of how many.
    """
    asked = list(dict.fromkeys(paths))
    seen: dict[str, MediaFacts] = {}
    with ThreadPoolExecutor(workers or min(8, 2 * (os.cpu_count() or 1))) as pool:
        for path, facts in zip(asked, pool.map(facts_of_one, asked), strict=True):
            seen[path] = facts
            if advance is not None:
                advance(len(seen), len(asked))
    return seen


def facts_of_one(path: str) -> MediaFacts:
    """One path; what is wrong with it becomes its `problem`."""
    file = Path(path)
    try:
        if file.is_dir():
            return _of_folder(file)
        if file.suffix.lower() in IMAGES:
            height, width = read_image(file).shape[:2]
            return MediaFacts(width=width, height=height, frames=1, images=1, size=file.stat().st_size)
        return _of_file(file)
    except MediaError as error:
        return MediaFacts(problem=str(error))
    except OSError as error:
        return MediaFacts(problem=f"{path} cannot be read: {error.strerror or error}")


def crops_of(folder: Path) -> dict[int, Path]:
    """Number -> image, of those whose name ends in digits; ascending."""
    found = {}
    for file in sorted(folder.iterdir()):
        number = re.search(r"(\d+)$", file.stem)
        if number and file.suffix.lower() in IMAGES:
            found[int(number[1])] = file
    return dict(sorted(found.items()))


def read_image(path: Path) -> np.ndarray:
    """`[H, W, 3]` uint8 RGB.

    Raises:
        MediaError: the file is absent or no image.
    """
    try:
        # OpenCV's own reader knows no file names beyond ASCII on some systems.
        pixels = np.fromfile(path, np.uint8)
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {error.strerror or error}") from error
    image = cv2.imdecode(pixels, cv2.IMREAD_COLOR) if len(pixels) else None
    if image is None:
        raise MediaError(f"{path} is not an image, or damaged; use another copy of it")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _of_folder(folder: Path) -> MediaFacts:
    crops = crops_of(folder)
    if not crops:
        return MediaFacts(problem=f"{folder} holds no numbered image")
    height, width = read_image(next(iter(crops.values()))).shape[:2]
    return MediaFacts(width=width, height=height, frames=max(crops), images=len(crops))


def _of_file(file: Path) -> MediaFacts:
    info = probe(file)
    frames, is_variable = (None, False) if info.video is None else _frames(file)
    return MediaFacts(
        duration_s=info.duration_s or math.nan,
        width=info.video.width if info.video else 0,
        height=info.video.height if info.video else 0,
        fps=info.video.fps if info.video else math.nan,
        frames=frames,
        is_variable=is_variable,
        sample_rate=info.audio.sample_rate if info.audio else 0,
        channels=info.audio.channels if info.audio else 0,
        size=file.stat().st_size,
        remarks=info.problems,
    )


def _frames(file: Path) -> tuple[int | None, bool]:
    """Number of frames, None where unknown; whether the rate varies."""
    times: list[float] = []
    with opened(file) as container:
        stream = choose_stream(container, "video")
        if stream is None:
            return None, False
        is_whole = True
        try:
            for packet in container.demux(stream):
                if packet.pts is not None and not packet.is_discard:
                    times.append(float(packet.pts * packet.time_base))
                if len(times) > _PACKETS:
                    is_whole = False
                    break
        except DECODE_ERRORS:
            is_whole = False
        # Packets that were counted to the end are believed before the header.
        frames = len(times) if is_whole and times else stream.frames or None
    distances = np.diff(np.unique(times))
    if len(distances) < 3:
        return frames, False
    slow, fast = np.quantile(distances, [0.95, 0.05])
    return frames, bool(slow > _UNEVEN * fast)
