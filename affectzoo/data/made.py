"""Clips that a loader makes in memory, as prepared rows of a model; crops and audio inputs go through prediction's functions.

    def load(config, *, root, seed=0, workers=1, cache_dir=None):
        jobs = {"train": [json.dumps({"number": n, "seed": seed}) for n in range(100)]}
        return affectzoo.prepare_made(make, jobs, config, workers=workers, cache_dir=cache_dir)

`make` takes a job and gives a `MadeClip`. Neither torch nor datasets is imported before rows are asked for.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from affectzoo import __version__
from affectzoo.config import FramesInput, LogMelInput, ModelConfig, SignalInput, StreamInput, TargetConfig, WaveformInput
from affectzoo.data.prepared import ClipRow, arrow_features, step_layout
from affectzoo.data.say import say
from affectzoo.data.schema import Extra, Score
from affectzoo.errors import ConfigError, DataError

#: `[F]` seconds from the start of a clip -> for each an image `[H, W, 3]` uint8 RGB and the box `[4]` of the face in it.
Faces = Callable[[np.ndarray], Iterator[tuple[np.ndarray, np.ndarray]]]


@dataclass(frozen=True, kw_only=True)
class MadeClip:
    """A clip that is labelled as a whole and made when it is asked for.

    Attributes:
        clip_id: unique in the data set.
        subject: who is in it; a subject belongs to one split only.
        duration_s: covered by sub-sequences, of which the last may reach beyond it.
        labels: target -> a number in the target's range, or the name of a class.
        faces: what is seen, also beyond the end up to that of the last sub-sequence; called with all times at once.
        sound: sample rate in Hz -> mono `[S]` float32; silence follows.
        absent: modality -> from and to second; a sub-sequence that lies in there by half or more is masked.
        extra: further columns.
    """

    clip_id: str
    subject: str
    duration_s: float
    labels: Mapping[str, Score]
    faces: Faces
    sound: Callable[[int], np.ndarray]
    absent: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    extra: Mapping[str, Extra | None] = field(default_factory=dict)


Make = Callable[[str], MadeClip]


def prepare_made(
    make: Make,
    jobs: Mapping[str, Sequence[str]],
    config: ModelConfig,
    *,
    remarks: Mapping[str, str] | None = None,
    workers: int = 1,
    cache_dir: str | None = None,
) -> Mapping[str, Any]:
    """Split -> `datasets.Dataset` of prepared rows, prepared when first asked for and cached.

    Each stream has a cache of its own, so that models of one stream and of several share what was made.

    Args:
        make: job -> clip; a function of a module, whose result depends on the job alone.
        jobs: split -> a text for each clip. The cache knows clips by them: whatever decides a clip must stand there.
        config: decides streams, inputs, the time axis and which labels are taken.
        remarks: split -> a sentence about its clips, said on standard error when it is prepared.
        workers: processes that make clips.
        cache_dir: None is the `datasets` library's own.

    Raises:
        ConfigError: `workers` under 1.
        DataError: the model has a stream that is neither frames nor sound.
    """
    from affectzoo.data.clip_media import media_inputs
    from affectzoo.data.corpus_windows import PreparedSplits

    if workers < 1:
        raise ConfigError(f"workers must be at least 1, not {workers}")
    for name, stream in config.streams.items():
        if isinstance(stream.input, SignalInput):
            raise DataError(f"these clips are faces and voices; this model's {name} wants a signal")
    inputs = media_inputs(config)
    common = {"affectzoo": __version__, "seconds": config.sequence.seconds}
    targets = [target.to_json() for target in config.targets]
    parts = [{**common, "streams": {}, "targets": targets}]
    parts += [{**common, "streams": {name: given}, "targets": []} for name, given in inputs.items()]
    arguments = (make, parts, workers, cache_dir)
    said = remarks or {}
    return PreparedSplits(
        {
            split: functools.partial(_rows, list(given), said.get(split, ""), *arguments)
            for split, given in jobs.items()
            if given
        }
    )


def _rows(jobs: list[str], remark: str, make: Make, parts: list[dict[str, Any]], workers: int, cache_dir: str | None) -> Any:
    from datasets import Dataset, Features, Value, concatenate_datasets

    from affectzoo.data.corpus_labels import ANNOTATION_COLUMNS
    from affectzoo.data.rendered_windows import one_thread

    if remark:
        say(remark)
    beside = {**dict.fromkeys(ANNOTATION_COLUMNS, Value("large_binary")), "extra": Value("string")}
    with one_thread():  # a fork of a process whose OpenCV has threads would wait for them for ever
        columns = [
            Dataset.from_generator(
                generate,
                features=Features({**arrow_features(list(part["streams"])), **beside}),
                gen_kwargs={"jobs": jobs, "shared": json.dumps(part, sort_keys=True), "make": make},
                num_proc=min(workers, len(jobs)) if workers > 1 else None,
                cache_dir=cache_dir,  # pyright: ignore[reportArgumentType]
                writer_batch_size=8,
            )
            for part in parts
        ]
    media = [
        rows.select_columns([f"{what}.{name}" for name in part["streams"] for what in ("input", "present")])
        for part, rows in zip(parts[1:], columns[1:], strict=True)
    ]
    return concatenate_datasets([columns[0], *media], axis=1)


def generate(jobs: list[str], shared: str, make: Make) -> Iterator[dict[str, Any]]:
    """A row for each job; `shared` is JSON, by which the cache knows rows."""
    from affectzoo.data.corpus_labels import ANNOTATION_COLUMNS
    from affectzoo.data.rendered_windows import one_thread

    options = json.loads(shared)
    targets = [TargetConfig.parse(given, where="targets") for given in options["targets"]]
    inputs = {name: TypeAdapter(StreamInput).validate_python(given) for name, given in options["streams"].items()}
    with one_thread():
        for job in jobs:
            clip = make(job)
            row = prepare(clip, inputs, options["seconds"], targets).to_arrow()
            yield {**row, **dict.fromkeys(ANNOTATION_COLUMNS, b""), "extra": json.dumps(dict(clip.extra), ensure_ascii=False)}


def prepare(clip: MadeClip, wanted: Mapping[str, StreamInput], seconds: float, targets: Sequence[TargetConfig]) -> ClipRow:
    """One clip as a prepared row.

    Raises:
        DataError: the clip lacks a label, or has one that the model's target does not know.
    """
    from affectzoo.media.windows import subsequence_count

    count = subsequence_count(clip.duration_s, seconds)
    inputs, present = {}, {}
    for name, given in wanted.items():
        if isinstance(given, FramesInput):
            inputs[name], there = _crops(clip, given, count, seconds), np.ones(count, bool)
        else:
            assert isinstance(given, LogMelInput | WaveformInput)
            inputs[name], there = _sound(clip, given, count, seconds)
        present[name] = there & ~_inside(clip.absent.get(name), count, seconds)
        inputs[name][~present[name]] = 0
    labels = np.concatenate([np.zeros(0, np.float32), *(_label(clip, target) for target in targets)])
    return ClipRow(
        clip_id=clip.clip_id,
        subject=clip.subject,
        times_s=(np.arange(count) + 0.5) * seconds,
        targets=np.tile(labels, (count, 1)),
        valid=np.ones(count, bool),
        inputs=inputs,
        present=present,
    )


def _inside(part: tuple[float, float] | None, count: int, seconds: float) -> np.ndarray:
    """`[n]` bool: sub-sequences of which half or more lies in a part."""
    if part is None:
        return np.zeros(count, bool)
    starts = np.arange(count) * seconds
    return np.minimum(starts + seconds, part[1]) - np.maximum(starts, part[0]) >= seconds / 2


def _label(clip: MadeClip, target: TargetConfig) -> np.ndarray:
    """`[columns]` float32."""
    given = clip.labels.get(target.name)
    if given is None:
        raise DataError(f"{clip.clip_id} has no label of {target.name!r}; it has {', '.join(clip.labels) or 'none'}")
    if target.kind == "categorical":
        if given not in target.classes:
            raise DataError(f"{clip.clip_id}: {given!r} is none of the classes of {target.name}, {', '.join(target.classes)}")
        return np.array([given == name for name in target.classes], np.float32)
    value = math.nan if isinstance(given, str) else given
    if not target.low <= value <= target.high:
        raise DataError(f"{clip.clip_id}: {target.name} is {given!r}, outside {target.low:g} to {target.high:g}")
    return np.array([value], np.float32)


def _crops(clip: MadeClip, given: FramesInput, count: int, seconds: float) -> np.ndarray:
    """`[n, T, H, W, 3]` uint8."""
    from affectzoo.media.crops import crop_face
    from affectzoo.media.windows import slot_time

    times = np.array([slot_time(slot, seconds, given.frames) for slot in range(count * given.frames)])
    shape, dtype = step_layout(given)
    crops = np.empty((len(times), *shape[1:]), dtype)
    for index, (image, box) in zip(range(len(times)), clip.faces(times), strict=True):
        crops[index] = crop_face(image, box, given)
    return crops.reshape(count, *shape)


def _sound(clip: MadeClip, given: LogMelInput | WaveformInput, count: int, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """`[n, ...]` float32 audio input, and `[n]` whether the sub-sequence holds any sound."""
    import torch

    from affectzoo.media.audio import SILENCE_PEAK, sample_count
    from affectzoo.media.recording import SoundOfRecording

    samples = sample_count(seconds, given.sample_rate)
    waveform = clip.sound(given.sample_rate).astype(np.float32)
    starts = np.round(np.arange(count) * seconds * given.sample_rate).astype(int)
    padded = np.pad(waveform, (0, max(0, int(starts[-1]) + samples - len(waveform))))
    steps = np.stack([padded[start : start + samples] for start in starts])
    present = np.abs(steps).max(axis=1) >= SILENCE_PEAK
    shape, dtype = step_layout(given)
    inputs = np.zeros((count, *shape), dtype=dtype)
    if present.any():
        front = _log_mel(given.model_dump_json(), seconds) if isinstance(given, LogMelInput) else None
        inputs[present] = SoundOfRecording(given, seconds, front).whole(torch.from_numpy(steps[present])).numpy()
    return inputs, present


@functools.lru_cache(maxsize=2)
def _log_mel(given: str, seconds: float) -> Any:
    """The front end of an input as JSON: its filters cost more than the sound of a clip."""
    from affectzoo.media.audio import LogMel

    return LogMel(LogMelInput.model_validate_json(given), seconds)


def read_sound(path: str | Path, sample_rate: int) -> np.ndarray:
    """All sound of a file as mono `[S]` float32 at `sample_rate` Hz.

    Raises:
        MediaError: the file cannot be read.
        DataError: it has no sound, or is damaged on the way.
    """
    from affectzoo.media.decode import AudioChunks

    chunks = AudioChunks(path, sample_rate)
    samples = [chunk.samples for chunk in chunks]
    if chunks.problem or not samples:
        raise DataError(f"{path}: {chunks.problem or 'there is no sound in this file'}; use another copy of it")
    return np.concatenate(samples)
