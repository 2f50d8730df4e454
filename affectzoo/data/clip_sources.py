"""Which file a clip's pictures come from and which its sound, opened; what cannot be read stands as empty, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from affectzoo.data.schema import Clip
from affectzoo.errors import MediaError
from affectzoo.media.facts import frame_times
from affectzoo.media.pictures import Pictures
from affectzoo.media.probe import MediaInfo, probe


@dataclass(frozen=True)
class OpenMedia:
    """The media of a clip.

    Attributes:
        visual, sound: the files of the two streams, often one; of a file that cannot be read, one without tracks whose
            `problems` say why.
        pictures: the folder that `visual` is, or None.
        frame_times: `[F]` float64, seconds from the start of the media of every frame of the video.
        errors: why files cannot be read.
    """

    visual: MediaInfo
    sound: MediaInfo
    pictures: Pictures | None
    frame_times: np.ndarray
    errors: tuple[MediaError, ...]


def open_media(clip: Clip, *, hears: bool) -> OpenMedia:
    """Open what a clip names; a file of sound besides only where somebody listens, or there is nothing else.

    Raises:
        MediaError: the clip names no media.
    """
    film = _opened(clip.video)
    listens = clip.audio is not None and (hears or (clip.video is None and clip.frames is None))
    voice = _opened(clip.audio) if listens else film
    times = np.zeros(0)
    if isinstance(film, MediaInfo) and film.video is not None:
        times = _times_of(film, film.path.stat().st_mtime_ns)
    shown: Pictures | MediaInfo | MediaError | None = film
    if clip.frames is not None:
        try:
            shown = Pictures(clip.frames, clip.fps, times)
            times = shown.times
        except MediaError as error:
            shown = error
    pictures = shown if isinstance(shown, Pictures) else None
    visual, sound = _medium(shown, clip.frames or clip.video, "visual"), _medium(voice, clip.audio or clip.video, "audio")
    if visual is None and sound is None:
        raise MediaError(f"{clip.clip_id}: this clip names neither video nor pictures nor sound")
    if visual is None:
        assert sound is not None
        # Whatever a file of sound shows, it was not named as the video.
        visual = sound = replace(sound, video=None)
    errors = tuple(given for given in (shown, voice) if isinstance(given, MediaError))
    return OpenMedia(visual, sound or visual, pictures, times, errors)


def _opened(path: str | None) -> MediaInfo | MediaError | None:
    try:
        return None if path is None else probe(path)
    except MediaError as error:
        return error


def _medium(given: Pictures | MediaInfo | MediaError | None, path: str | None, stream: str) -> MediaInfo | None:
    if isinstance(given, Pictures):
        return given.info
    if isinstance(given, MediaError):
        return MediaInfo(Path(path or ""), 0.0, None, None, 0.0, (f"{given}; the {stream} stream is masked",))
    return given


@lru_cache(maxsize=2)  # the parts of one file follow each other
def _times_of(film: MediaInfo, mtime_ns: int) -> np.ndarray:  # noqa: ARG001 (a file that was replaced has other times)
    return frame_times(film)
