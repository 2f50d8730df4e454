"""The media of a corpus, decoded in chunks of a few clips with a cache each."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from typing import Any

from affectzoo import __version__
from affectzoo.config import ModelConfig, SignalInput
from affectzoo.data.rendered_windows import one_thread
from affectzoo.data.say import say
from affectzoo.data.schema import Clip

#: Clips that are prepared, and lost by an interruption, together.
CLIPS_PER_CHUNK = 32
#: Of clips that are single images; a cache takes longer to open than many of them to read.
IMAGES_PER_CHUNK = 1024
_COLUMNS = ("clip_id", "subject", "split", "video", "audio", "frames", "cropped", "fps", "start_s", "end_s")


class CorpusMedia:
    """Prepared media of the clips of a table.

    A chunk holds clips of one official split, in the table's order, so that folds share chunks and a split that is asked for
    alone needs no other.

    Args:
        table: of `affectzoo.data.table`.
        config: the model's; streams of signals are left out.
        detector: `auto`, or a detector's name.
        workers: processes that decode.
        cache_dir: None is the `datasets` library's own.

    Attributes:
        inputs: stream -> its input as JSON; empty for a model of signals alone.

    Raises:
        DataError: a stream that no media file holds.
        UnknownNameError: no such detector.
    """

    def __init__(self, table: Any, config: ModelConfig, *, detector: str, workers: int, cache_dir: str | None) -> None:
        streams = {name: stream for name, stream in config.streams.items() if not isinstance(stream.input, SignalInput)}
        self.inputs: dict[str, Any] = {}
        self._workers, self._cache_dir = workers, cache_dir
        if streams:
            from affectzoo.data.clip_media import detector_called, media_inputs

            self.inputs = media_inputs(config.model_copy(update={"streams": streams}))
            self._shared = json.dumps(
                {
                    "affectzoo": __version__,
                    "inputs": self.inputs,
                    "seconds": config.sequence.seconds,
                    "detector": detector_called(detector, say) if "visual" in self.inputs else None,
                },
                sort_keys=True,
            )
        self._clips: dict[int, Clip] = {}
        self._chunks: list[list[int]] = []
        self._places: dict[int, tuple[int, int]] = {}
        self._ready: dict[int, Any] = {}
        open_chunks: dict[tuple[str, bool], int] = {}
        columns = table.select_columns([*_COLUMNS, "problem"])[:]
        for number, problem in enumerate(columns["problem"]):
            clip = Clip(**{name: columns[name][number] for name in _COLUMNS})
            if problem or not self.inputs or not (clip.video or clip.audio or clip.frames):
                continue
            self._clips[number] = clip
            kind = clip.split, clip.is_image
            chunk = open_chunks.get(kind)
            if chunk is None or len(self._chunks[chunk]) == (IMAGES_PER_CHUNK if kind[1] else CLIPS_PER_CHUNK):
                chunk = open_chunks[kind] = len(self._chunks)
                self._chunks.append([])
            self._places[number] = chunk, len(self._chunks[chunk])
            self._chunks[chunk].append(number)

    def rows(self, numbers: Sequence[int]) -> tuple[Any, list[int]]:
        """Media of whole chunks, and where among them each of these rows of the table is.

        A clip without media, and every clip where the model takes none, has a row of no sub-sequences.

        Raises:
            DataError: the cache cannot be written.
        """
        from datasets import Dataset, concatenate_datasets

        needed = sorted({self._places[number][0] for number in numbers if number in self._places})
        # One chunk at a time, in order: what is whole stays, whenever the rest is interrupted.
        parts = [self._chunk(chunk) for chunk in needed]
        starts = dict(zip(needed, itertools.accumulate(map(len, parts), initial=0), strict=False))
        bare = {number for number in numbers if number not in self._places}
        if bare:
            nothing: dict[str, Any] = {"clip_id": "", "steps": 0, "fps": math.nan, "notes": "[]", "frame_times": b""}
            nothing |= {f"{part}.{name}": b"" for name in self.inputs for part in ("input", "present")}
            features = parts[0].features if parts else None
            parts.append(Dataset.from_list([nothing] * len(bare), features=features))
        free = iter(range(sum(map(len, parts)) - len(bare), sum(map(len, parts))))
        places = [
            next(free) if number in bare else starts[self._places[number][0]] + self._places[number][1] for number in numbers
        ]
        return concatenate_datasets(parts), places

    def _chunk(self, chunk: int) -> Any:
        from datasets import Dataset, NamedSplit

        from affectzoo.data.clip_media import generate, job_of, media_features
        from affectzoo.data.table import cache_refusals

        if chunk not in self._ready:
            numbers = self._chunks[chunk]
            # A fork of a process whose OpenCV has threads would wait for them for ever.
            with one_thread(), cache_refusals(self._cache_dir):
                self._ready[chunk] = Dataset.from_generator(
                    generate,
                    features=media_features(list(self.inputs)),
                    gen_kwargs={"jobs": [job_of(self._clips[number]) for number in numbers], "shared": self._shared},
                    num_proc=min(self._workers, len(numbers)) if self._workers > 1 else None,
                    split=NamedSplit("media"),  # only a name, which its progress bar shows
                    cache_dir=self._cache_dir,  # pyright: ignore[reportArgumentType]
                    # Few rows of minutes of video fit into memory, and many of a picture each.
                    writer_batch_size=64 if self._clips[numbers[0]].is_image else 1,
                )
        return self._ready[chunk]
