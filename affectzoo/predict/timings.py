"""Where the time of a prediction goes, stage by stage.

Decoding, detection and cropping run in a thread of their own, so that stages of the two threads overlap: seconds of a stage
are those that its thread was in it, waiting for a core included, and their sum may exceed the time on the clock.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from affectzoo.media.pipeline import MediaStream

ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class Timings:
    """Seconds that one file took. On a GPU, which computes while others go on, work counts where it is waited for.

    Attributes:
        length_s: of the file.
        wall_s: on the clock.
        decode_s: of picture and sound; detect_s: finding and following faces; crop_s: cutting them out; align_s: the rest
            of the reading thread's work. Colours are converted where a picture is first looked at.
        mel_s: log-mel spectrograms; backbones_s: the backbones, what they are fed made ready; fusion_s: temporal encoders,
            fusion and head; waiting_s: for the reading thread; other_s: the rest of the thread that computes.
    """

    length_s: float
    wall_s: float
    decode_s: float = 0.0
    detect_s: float = 0.0
    crop_s: float = 0.0
    align_s: float = 0.0
    mel_s: float = 0.0
    backbones_s: float = 0.0
    fusion_s: float = 0.0
    waiting_s: float = 0.0
    other_s: float = 0.0

    @property
    def stages(self) -> dict[str, float]:
        """Stage -> busy seconds, in the order of the work, without waiting."""
        names = ("decode", "detect", "crop", "align", "mel", "backbones", "fusion", "other")
        return {name: getattr(self, f"{name}_s") for name in names}

    @property
    def busy_s(self) -> float:
        """The sum of the stages, over both threads."""
        return sum(self.stages.values())


class Watch:
    """Adds up the seconds of the stages of one thread. A stage within another stops the outer one's clock."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        self._turn()
        self._open.append(stage)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def each(self, stage: str, items: Iterable[ItemT]) -> Iterator[ItemT]:
        """`items`; the time to make each of them is the stage's."""
        iterator: Any = iter(items)
        try:
            while True:
                with self(stage):
                    try:
                        item = next(iterator)
                    except StopIteration:
                        return
                yield item
        finally:
            if hasattr(iterator, "close"):
                iterator.close()

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now


class TimedStream(MediaStream):
    """A `MediaStream` that tells what its thread does."""

    watch: Watch

    def __iter__(self) -> Iterator[Any]:
        self.watch = Watch()
        return self.watch.each("align", super().__iter__())

    def _visuals(self, video: Any) -> Iterator[Any]:
        return self.watch.each("crop", super()._visuals(video))

    def _followed(self, video: Any, frames: Any) -> Iterator[Any]:
        return self.watch.each("detect", super()._followed(self.watch.each("decode", video), frames))  # pyright: ignore[reportArgumentType]

    def _sounds(self, sound: Any, found: Any) -> Iterator[Any]:
        return self.watch.each("decode", super()._sounds(sound, found))


def timings_of(reading: Watch, computing: Watch, length_s: float, wall_s: float) -> Timings:
    """What both threads' watches say, once they have stopped."""
    return Timings(length_s, wall_s, **{f"{stage}_s": s for stage, s in {**reading.seconds, **computing.seconds}.items()})
