"""The dataset `rendered`: prepared rows of drawn talking faces, split by identity.

Frames are rendered at the instants that the model samples, and only there; crops and log-mel go through the same
functions as in prediction. Boxes get the jitter of a detector, and a face that is hidden is lost half of the time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import torch
from pydantic import TypeAdapter

from affectzoo import __version__
from affectzoo.config import FramesInput, LogMelInput, ModelConfig, StreamInput, WaveformInput
from affectzoo.data.rendered import RenderedClip, make_clips
from affectzoo.data.schema import SPLITS, ClipRow, arrow_features
from affectzoo.errors import ConfigError, DataError
from affectzoo.media.audio import SILENCE_PEAK, LogMel, prepare_waveform, sample_count
from affectzoo.media.crops import crop_face
from affectzoo.media.windows import slot_time

TARGETS = ("valence", "arousal")

#: Frames are rendered so that a crop is resized by about this factor, as a detector's crop of a real file would be.
_OVERSIZE = 1.3
_ASPECT = 4 / 3


def build(
    config: ModelConfig,
    *,
    identities: dict[str, int] | None = None,
    clips_per_identity: int = 4,
    duration_s: float = 34.1333,
    box_jitter: float = 0.06,
    seed: int = 0,
    workers: int = 1,
    cache_dir: str | None = None,
) -> dict[str, Any]:
    """Render all splits for a model's inputs; a second call with equal arguments reads the cache.

    Args:
        config: decides modalities, inputs and the time axis; its targets must be among valence and arousal.
        identities: split -> number of identities, disjoint between splits.
        clips_per_identity, duration_s: how much of each.
        box_jitter: standard deviation of a detector's box, as a share of the box's side.
        seed: decides every identity, curve and disturbance.
        workers: rendering processes.
        cache_dir: None is the `datasets` library's own.

    Returns:
        Split (`train`, `val`, `test`) -> `datasets.Dataset` of prepared rows.
    """
    from datasets import Dataset, concatenate_datasets

    names = [target.name for target in config.targets]
    if not set(names) <= set(TARGETS):
        raise DataError(f"rendered clips know valence and arousal; this model wants {', '.join(names)}")
    counts = identities or {"train": 60, "val": 12, "test": 24}
    if set(counts) != set(SPLITS):
        raise ConfigError(f"identities needs exactly the splits {', '.join(SPLITS)}, not {', '.join(counts)}")
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, not {workers}")
    if duration_s < config.sequence.seconds:
        raise ConfigError(f"clips of {duration_s} s hold no sub-sequence of {config.sequence.seconds} s; raise duration_s")
    # The cache knows rows by these arguments: without the version, another renderer's rows would be taken for this one's.
    common = {"affectzoo": __version__, "seconds": config.sequence.seconds, "targets": names, "box_jitter": box_jitter}
    # A part for each stream, so that models with one and with several share what was rendered.
    parts = [{**common, "streams": {}}]
    parts += [{**common, "streams": {name: stream.input.to_json()}} for name, stream in config.streams.items() if stream.input]
    rows = {}
    for split in SPLITS:
        clips = make_clips(
            split, identities=counts[split], clips_per_identity=clips_per_identity, duration_s=duration_s, seed=seed
        )
        jobs = [json.dumps({"identity": c.identity, "seed": c.seed, "duration_s": c.duration_s}) for c in clips]
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


def generate(jobs: list[str], shared: str) -> Iterator[dict[str, Any]]:
    """Prepared rows of some clips; arguments are JSON so that the cache recognises them."""
    options = json.loads(shared)
    inputs = {name: TypeAdapter(StreamInput).validate_python(given) for name, given in options["streams"].items()}
    with _one_thread():
        for job in jobs:
            clip = RenderedClip(**json.loads(job))
            yield prepare(clip, inputs, options["seconds"], options["targets"], options["box_jitter"]).to_arrow()


@contextmanager
def _one_thread() -> Iterator[None]:
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
    clip: RenderedClip, wanted: dict[str, StreamInput], seconds: float, targets: list[str], box_jitter: float
) -> ClipRow:
    """One rendered clip as a prepared row."""
    count = int(clip.duration_s / seconds + 1e-6)
    starts = np.arange(count) * seconds
    curves = clip.mean_affect(starts, seconds)
    inputs, present = {}, {}
    for name, given in wanted.items():
        if isinstance(given, FramesInput):
            inputs[name], present[name] = _crops(clip, given, count, seconds, box_jitter)
        else:
            inputs[name], present[name] = _sound(clip, given, count, seconds)
    return ClipRow(
        clip_id=f"identity{clip.identity:04d}-seed{clip.seed}",
        subject=f"identity{clip.identity:04d}",
        times_s=starts + seconds / 2,
        targets=curves[:, [TARGETS.index(name) for name in targets]],
        valid=np.ones(count, dtype=bool),
        inputs=inputs,
        present=present,
    )


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
    for index, (time_s, image) in enumerate(zip(times, clip.frames(times, size), strict=True)):
        place = index / given.frames
        error = bias + (1 - place % 1) * wander[int(place)] + (place % 1) * wander[int(place) + 1]
        crops[index] = crop_face(image, _moved(clip.face_box(time_s, size), error), given)
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
    tensor = torch.from_numpy(steps)
    prepared = LogMel(given, seconds)(tensor) if isinstance(given, LogMelInput) else prepare_waveform(tensor, given)
    return prepared.numpy(), sound


def _padded(samples: np.ndarray, length: int) -> np.ndarray:
    return np.pad(samples, (0, length - len(samples)))
