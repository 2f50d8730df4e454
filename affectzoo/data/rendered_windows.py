"""The dataset `rendered`: prepared rows of drawn talking faces, for one of four tasks.

People are split by identity, save for the task `identity`: that knows the same people in every split by other recordings.
Frames are rendered at the instants that the model samples, and only there; crops and log-mel go through the same
functions as in prediction. Boxes get the jitter of a detector, and a face that is hidden is lost half of the time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
import torch
from pydantic import TypeAdapter

from affectzoo import __version__
from affectzoo.config import FramesInput, LogMelInput, ModelConfig, SignalInput, StreamInput, WaveformInput
from affectzoo.data.prepared import ClipRow, arrow_features
from affectzoo.data.rendered import RenderedClip, Task, make_clips
from affectzoo.data.schema import SPLITS
from affectzoo.errors import ConfigError, DataError
from affectzoo.media.audio import SILENCE_PEAK, sample_count
from affectzoo.media.crops import crop_face
from affectzoo.media.recording import SoundOfRecording
from affectzoo.media.windows import slot_time

#: What the clips of a task can be asked for.
TASK_TARGETS: dict[Task, tuple[str, ...]] = {
    "affect": ("valence", "arousal"),
    "severity": ("severity",),
    "pain": ("pain",),
    "identity": ("identity",),
}
_RANGES = {"valence": (-1.0, 1.0), "arousal": (-1.0, 1.0), "severity": (0.0, 10.0), "pain": (0.0, 10.0)}
_IDENTITIES = {"train": 60, "val": 12, "test": 24}

#: Frames are rendered so that a crop is resized by about this factor, as a detector's crop of a real file would be.
_OVERSIZE = 1.3
_ASPECT = 4 / 3


def build(
    config: ModelConfig,
    *,
    task: Task = "affect",
    identities: dict[str, int] | None = None,
    clips_per_identity: int = 4,
    duration_s: float | dict[str, float] = 34.1333,
    box_jitter: float = 0.06,
    seed: int = 0,
    workers: int = 1,
    cache_dir: str | None = None,
) -> dict[str, Any]:
    """Render all splits for a model's inputs; a second call with equal arguments reads the cache.

    Args:
        config: decides modalities, inputs and the time axis; its targets must be among the task's.
        task: `affect` (valence, arousal); `severity` or `pain` (one target of that name, 0 to 10); `identity` (one
            categorical target of that name, whose class k is the k-th person).
        identities: split -> number of identities, disjoint between splits; for the task `identity` only `train`, since
            the same people are in every split.
        clips_per_identity: how many of each.
        duration_s: of a clip, one for all splits or split -> seconds.
        box_jitter: standard deviation of a detector's box, as a share of the box's side.
        seed: decides every identity, curve and disturbance.
        workers: rendering processes.
        cache_dir: None is the `datasets` library's own.

    Returns:
        Split (`train`, `val`, `test`) -> `datasets.Dataset` of prepared rows.
    """
    from datasets import Dataset, concatenate_datasets

    if task not in TASK_TARGETS:
        raise ConfigError(f"rendered clips know no task {task!r}; use one of {', '.join(TASK_TARGETS)}")
    counts = _counts(task, identities)
    _check_targets(config, task, counts)
    names = [target.name for target in config.targets]
    for name, stream in config.streams.items():
        if isinstance(stream.input, SignalInput):
            raise DataError(f"rendered clips are faces and voices; this model's {name} wants a signal")
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, not {workers}")
    seconds = _durations(duration_s, config.sequence.seconds)
    # The cache knows rows by these arguments: without the version, another renderer's rows would be taken for this one's.
    common = {
        "affectzoo": __version__,
        "seconds": config.sequence.seconds,
        "targets": names,
        "people": counts["train"] if task == "identity" else 0,
        "box_jitter": box_jitter,
    }
    # A part for each stream, so that models with one and with several share what was rendered.
    parts = [{**common, "streams": {}}]
    parts += [{**common, "streams": {name: stream.input.to_json()}} for name, stream in config.streams.items() if stream.input]
    rows = {}
    for split in SPLITS:
        clips = make_clips(
            split,
            identities=counts[split],
            clips_per_identity=clips_per_identity,
            duration_s=seconds[split],
            seed=seed,
            task=task,
        )
        jobs = [json.dumps(asdict(clip)) for clip in clips]
        with one_thread():  # a fork of a process whose OpenCV has threads would wait for them for ever
            columns = [
                Dataset.from_generator(
                    generate,
                    features=arrow_features(list(part["streams"])),
                    gen_kwargs={"jobs": jobs, "shared": json.dumps(part, sort_keys=True)},
                    num_proc=min(workers, len(jobs)) if workers > 1 else None,
                    cache_dir=cache_dir,  # pyright: ignore[reportArgumentType]
                    writer_batch_size=8,
                )
                for part in parts
            ]
        kept = [columns[0], *(c.select_columns([n for n in c.column_names if "." in n]) for c in columns[1:])]
        rows[split] = concatenate_datasets(kept, axis=1)
    return rows


def _counts(task: Task, given: dict[str, int] | None) -> dict[str, int]:
    """Identities of each split."""
    if task != "identity":
        if given is not None and set(given) != set(SPLITS):
            raise ConfigError(f"identities needs exactly the splits {', '.join(SPLITS)}, not {', '.join(given)}")
        return given or _IDENTITIES
    if given is not None and set(given) != {"train"}:
        raise ConfigError(
            f"identities of the task identity gives train alone, whose people are in every split, not {', '.join(given)}"
        )
    return dict.fromkeys(SPLITS, (given or _IDENTITIES)["train"])


def _durations(given: float | dict[str, float], least_s: float) -> Mapping[str, float]:
    """Seconds of a clip in each split."""
    seconds = given if isinstance(given, dict) else {"train": given, "val": given, "test": given}
    if set(seconds) != set(SPLITS):
        raise ConfigError(f"duration_s needs exactly the splits {', '.join(SPLITS)}, not {', '.join(seconds)}")
    for duration_s in seconds.values():
        if duration_s < least_s:
            raise ConfigError(f"clips of {duration_s} s hold no sub-sequence of {least_s} s; raise duration_s")
    return seconds


def _check_targets(config: ModelConfig, task: Task, counts: dict[str, int]) -> None:
    """Refuse a model whose columns the task's labels would not fit."""
    names, known = [target.name for target in config.targets], TASK_TARGETS[task]
    if not set(names) <= set(known):
        raise DataError(f"rendered clips of the task {task} know {' and '.join(known)}; this model wants {', '.join(names)}")
    for target in config.targets:
        if target.name == "identity":
            people = counts["train"]
            if len(target.classes) != people:
                raise DataError(
                    f"target identity of rendered clips must be categorical with {people} classes, one for each person, "
                    f"not {target.kind} with {len(target.classes)}"
                )
            continue
        low, high = _RANGES[target.name]
        if target.kind == "categorical" or (target.low, target.high) != (low, high):
            held = "is categorical" if target.kind == "categorical" else f"goes from {target.low:g} to {target.high:g}"
            raise DataError(f"target {target.name} of rendered clips goes from {low:g} to {high:g}; this model's {held}")


def generate(jobs: list[str], shared: str) -> Iterator[dict[str, Any]]:
    """Prepared rows of some clips; arguments are JSON so that the cache recognises them."""
    options = json.loads(shared)
    inputs = {name: TypeAdapter(StreamInput).validate_python(given) for name, given in options["streams"].items()}
    with one_thread():
        for job in jobs:
            clip = RenderedClip(**json.loads(job))
            yield prepare(
                clip, inputs, options["seconds"], options["targets"], options["box_jitter"], options["people"]
            ).to_arrow()


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for a rendering process; where that is the process that will train, it gets its threads back."""
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])


def prepare(
    clip: RenderedClip,
    wanted: dict[str, StreamInput],
    seconds: float,
    targets: list[str],
    box_jitter: float,
    people: int = 0,
) -> ClipRow:
    """One rendered clip as a prepared row; `people` is the number of classes of a target `identity`."""
    count = int(clip.duration_s / seconds + 1e-6)
    starts = np.arange(count) * seconds
    inputs, present = {}, {}
    for name, given in wanted.items():
        if isinstance(given, FramesInput):
            inputs[name], present[name] = _crops(clip, given, count, seconds, box_jitter)
        elif not isinstance(given, SignalInput):
            inputs[name], present[name] = _sound(clip, given, count, seconds)
    return ClipRow(
        clip_id=f"identity{clip.identity:04d}-seed{clip.seed}",
        subject=f"identity{clip.identity:04d}",
        times_s=starts + seconds / 2,
        targets=np.concatenate([_labels(clip, name, starts, seconds, people) for name in targets], axis=1),
        valid=np.ones(count, dtype=bool),
        inputs=inputs,
        present=present,
    )


def _labels(clip: RenderedClip, target: str, starts: np.ndarray, seconds: float, people: int) -> np.ndarray:
    """`[n, columns]` what is true of the sub-sequences that begin at `starts` `[n]`."""
    if target == "severity":
        return np.full((len(starts), 1), clip.severity)
    if target == "pain":
        return clip.peak_pain(starts, seconds)[:, None]
    if target == "identity":
        return np.tile(np.arange(people) == clip.identity, (len(starts), 1)).astype(float)
    return clip.mean_affect(starts, seconds)[:, [TASK_TARGETS["affect"].index(target)]]


def _crops(clip: RenderedClip, given: FramesInput, count: int, seconds: float, jitter: float) -> tuple[np.ndarray, np.ndarray]:
    """`[n, T, H, W, 3]` uint8 crops with detector-like boxes, and `[n]` whether the face would be found."""
    generator = np.random.default_rng([clip.seed, clip.identity, 7])
    times = np.array([slot_time(slot, seconds, given.frames) for slot in range(count * given.frames)])
    reference = clip.face_box(0.0, (640, 480))
    scale = _OVERSIZE * max(given.height, given.width) / (max(reference[2] - reference[0], reference[3] - reference[1]) or 1)
    height = int(np.clip(480 * scale / (1 + given.margin), 96, 960)) // 2 * 2
    size = (int(height * _ASPECT) // 2 * 2, height)
    # A detector's error: one bias for the clip, and a slow wander around it.
    bias, wander = generator.normal(0, jitter, 3), generator.normal(0, jitter / 2, (count + 1, 3))
    crops = np.empty((len(times), given.height, given.width, 3), dtype=np.uint8)
    for index, (box, image) in enumerate(zip(clip.face_boxes(times, size), clip.frames(times, size), strict=True)):
        place = index / given.frames
        error = bias + (1 - place % 1) * wander[int(place)] + (place % 1) * wander[int(place) + 1]
        crops[index] = crop_face(image, _moved(box, error), given)
    visible = clip.face_visible(times).reshape(count, given.frames).mean(axis=1) > 0.5
    lost = generator.random(count) < 0.5
    return crops.reshape(count, given.frames, given.height, given.width, 3), visible | ~lost


def _moved(box: np.ndarray, error: np.ndarray) -> np.ndarray:
    centre, side = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    centre, side = centre + error[:2] * side, side * np.exp(error[2])
    return np.concatenate([centre - side / 2, centre + side / 2])


def _sound(clip: RenderedClip, given: LogMelInput | WaveformInput, count: int, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """`[n, ...]` float32 audio input, and `[n]` whether the sub-sequence holds any sound."""
    samples = sample_count(seconds, given.sample_rate)
    waveform = clip.waveform(given.sample_rate)
    starts = np.round(np.arange(count) * seconds * given.sample_rate).astype(int)
    steps = np.stack([_padded(waveform[start : start + samples], samples) for start in starts])
    sound = np.abs(steps).max(axis=1) >= SILENCE_PEAK
    return SoundOfRecording(given, seconds).whole(torch.from_numpy(steps)).numpy(), sound


def _padded(samples: np.ndarray, length: int) -> np.ndarray:
    return np.pad(samples, (0, length - len(samples)))
