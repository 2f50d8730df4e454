"""A folder of numbered pictures, read as the frames of a video."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from copy import copy
from pathlib import Path

import cv2
import numpy as np

from affectzoo.errors import MediaError
from affectzoo.media.probe import MediaInfo, VideoInfo

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
#: Four days at 30 frames per second; a larger number in a name is a date, and would ask for memory without end.
_MOST_FRAMES = 10_000_000
_NUMBER = re.compile(r"\d+$")


def read_picture(path: str | Path) -> np.ndarray | None:
    """`[H, W, 3]` uint8 RGB, upright by its Exif; None where it cannot be read."""
    try:
        # Not cv2.imread, which on Windows knows no name beyond its code page.
        content = np.fromfile(path, dtype=np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    except (OSError, cv2.error):
        return None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


class Picture:
    """One picture of a folder; opened when its pixels are first asked for.

    Attributes:
        time_s: seconds since the start of the recording, or of the part of it that is read.
    """

    __slots__ = ("_image", "path", "time_s")

    def __init__(self, path: Path, time_s: float) -> None:
        self.path, self.time_s = path, time_s
        self._image: np.ndarray | None = None

    def read(self) -> bool:
        """Open it; false where it cannot be read."""
        if self._image is None:
            self._image = read_picture(self.path)
        return self._image is not None

    def rgb(self) -> np.ndarray:
        """The picture, `[H, W, 3]` uint8 RGB; raises `MediaError` where it cannot be read."""
        if not self.read() or self._image is None:
            raise MediaError(f"{self.path}: this is not a picture, or it is damaged; use another copy of it")
        return self._image


class Pictures:
    """Iterates the pictures of a folder by time, as `VideoFrames` does the frames of a file.

    A name ends in the number of its frame, from 1; a number that is absent is a frame that is missing.

    Args:
        folder: holds the pictures; other files in it are left alone.
        fps: frames per second.
        times: `[F]`, seconds of every frame, instead of `fps`.

    Attributes:
        info: the folder as a medium; its width and height are not known before a picture is opened.
        times: `[F]` float64, seconds of every frame from the first to the last, missing ones too.
        spacing_s: seconds from one frame to the next.
        end_s: seconds since the start (of the part) at which the last frame ends, not beyond the part.
        problem: a sentence about pictures that cannot be read, or None.
        notes: sentences about pictures whose name or number cannot be.

    Raises:
        MediaError: no such folder, no numbered picture in it, a number that is no frame's, or neither `fps` nor `times`.
    """

    def __init__(self, folder: str | Path, fps: float | None = None, times: np.ndarray | None = None) -> None:
        self.folder = Path(folder)
        numbered, self.notes = _numbered(self.folder)
        if fps is not None:
            if not (math.isfinite(fps) and fps > 0):
                raise MediaError(f"{folder}: {fps} frames per second cannot be; correct fps")
            last = max(numbered)
            if last > _MOST_FRAMES:
                raise MediaError(f"{numbered[last]}: {last} is no number of a frame; number the pictures from 1")
            times = np.arange(last) / fps
        elif times is None or len(times) == 0:
            raise MediaError(f"{folder}: pictures have no times of their own; give fps, or the video they were taken from")
        beyond = [number for number in numbered if number > len(times)]
        if beyond:
            self.notes.append(f"{len(beyond)} pictures, from number {min(beyond)} on, lie beyond the {len(times)} frames")
        self.times = times
        self.spacing_s = 1.0 / fps if fps is not None else float(np.median(np.diff(times))) if len(times) > 1 else 0.04
        self._numbered = [(numbered[number], float(times[number - 1])) for number in sorted(numbered) if number <= len(times)]
        self._last_s = float(times[-1]) + self.spacing_s
        track = VideoInfo(width=0, height=0, fps=1.0 / self.spacing_s, rotation=0, start_s=0.0, codec="pictures")
        self.info = MediaInfo(path=self.folder, duration_s=self._last_s, video=track, audio=None, zero_s=0.0)
        self.problem: str | None = None
        self._choose(0.0, math.inf)

    def part(self, start_s: float, end_s: float | None) -> Pictures:
        """The pictures from `start_s` to `end_s` seconds, None to the end; none of them is taken for unreadable yet."""
        chosen = copy(self)
        chosen.problem = None
        chosen._choose(start_s, math.inf if end_s is None else end_s)
        return chosen

    def _choose(self, start_s: float, end_s: float) -> None:
        self._start_s, self._end_s = start_s, end_s
        self.end_s = max(0.0, min(self._last_s, end_s) - start_s)
        self._unread: list[str] = []

    def __iter__(self) -> Iterator[Picture]:
        for path, time_s in self._numbered:
            if time_s >= self._end_s:
                return
            # As of a video, the frame before the part is what the part begins with.
            if time_s > self._start_s - 2 * self.spacing_s:
                yield Picture(path, time_s - self._start_s)

    def can_read(self, picture: Picture) -> bool:
        """Whether a picture can be opened; `problem` counts those that cannot."""
        if picture.read():
            return True
        self._unread.append(picture.path.name)
        number = len(self._unread)
        more = f" and {number - 1} more" if number > 1 else ""
        self.problem = f"{self.folder / self._unread[0]}{more} cannot be read as pictures: they are taken for missing"
        return False


def _numbered(folder: Path) -> tuple[dict[int, Path], list[str]]:
    """Number -> picture of a folder, and sentences about those that have none or an impossible one."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError as error:
        raise MediaError(f"{folder}: this folder cannot be read ({error.strerror or error}); check the path") from error
    found: dict[int, Path] = {}
    odd: list[str] = []
    for name in names:
        path = folder / name
        if path.suffix.lower() not in PICTURE_SUFFIXES or name.startswith("."):
            continue
        digits = _NUMBER.search(path.stem)
        number = int(digits.group()) if digits else 0
        if number < 1 or number in found:
            odd.append(name)
        else:
            found[number] = path
    if not found:
        raise MediaError(f"{folder}: there is no picture in this folder whose name ends in the number of its frame, from 1")
    if not odd:
        return found, []
    more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
    return found, [f"{odd[0]}{more}: no frame number from 1, or one that was already there; left out"]
