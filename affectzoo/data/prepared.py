"""What training reads: prepared rows, one per clip, in a `datasets.Dataset`.

A row holds every sub-sequence of a clip, already in the form that the model's inputs ask for (crops in uint8, log-mel in
float32), so that training never touches media and prediction shares the very code that made the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from affectzoo.config import FramesInput, LogMelInput, SignalInput, StreamInput, WaveformInput
from affectzoo.errors import DataError


@dataclass(frozen=True)
class ClipRow:
    """One clip. n is its number of sub-sequences, K of targets.

    Attributes:
        clip_id: unique in the dataset.
        subject: who is in it; a subject belongs to one split only (but for the target `identity`).
        times_s: `[n]` centres of the sub-sequences, seconds from the start of the clip.
        targets: `[n, K]` in the order of the model's columns.
        valid: `[n]` bool; labels that count.
        inputs: modality -> `[n, ...]`, uint8 `[n, T, H, W, 3]` for frames, float32 else.
        present: modality -> `[n]` bool; what prediction would find present.
    """

    clip_id: str
    subject: str
    times_s: np.ndarray
    targets: np.ndarray
    valid: np.ndarray
    inputs: Mapping[str, np.ndarray]
    present: Mapping[str, np.ndarray]

    def to_arrow(self) -> dict[str, Any]:
        """The row as plain columns; arrays as bytes, which Arrow maps without copying."""
        row: dict[str, Any] = {
            "clip_id": self.clip_id,
            "subject": self.subject,
            "times_s": self.times_s.astype(np.float64).tobytes(),
            "targets": self.targets.astype(np.float32).tobytes(),
            "valid": self.valid.astype(bool).tobytes(),
        }
        for name, array in self.inputs.items():
            row[f"input.{name}"] = np.ascontiguousarray(array).tobytes()
            row[f"present.{name}"] = self.present[name].astype(bool).tobytes()
        return row


def step_layout(given: StreamInput) -> tuple[tuple[int, ...], type[np.generic]]:
    """Shape and dtype of one prepared sub-sequence of an input."""
    if isinstance(given, FramesInput):
        return (given.frames, given.height, given.width, 3), np.uint8
    if isinstance(given, LogMelInput):
        return (1, given.n_mels, given.frames), np.float32
    if isinstance(given, WaveformInput):
        return (given.samples,), np.float32
    if isinstance(given, SignalInput):
        return (given.samples, given.channels), np.float32
    raise DataError(f"no prepared form is known for {type(given).__name__}")


def read_steps(row: Mapping[str, Any], name: str, given: StreamInput, start: int, length: int) -> np.ndarray:
    """Sub-sequences `start` to `start + length` of one modality, straight from the row's bytes.

    Raises:
        DataError: the row holds another number of bytes than its sub-sequences take in this form.
    """
    shape, dtype = step_layout(given)
    size = int(np.prod(shape))
    # Pixels of another size would be read without complaint, as noise.
    count, held = (memoryview(row[column]).nbytes for column in ("valid", f"input.{name}"))
    if held != count * size * np.dtype(dtype).itemsize:
        raise DataError(
            f"{name}: {held} bytes are not {count} sub-sequences of {list(shape)} {np.dtype(dtype).name}; "
            "these rows were prepared for another input"
        )
    array = np.frombuffer(
        row[f"input.{name}"], dtype=dtype, count=size * length, offset=size * start * np.dtype(dtype).itemsize
    )
    return array.reshape(length, *shape)


def arrow_features(modalities: list[str]) -> Any:
    """The `datasets.Features` of `ClipRow.to_arrow`."""
    from datasets import Features, Value

    columns = {"clip_id": Value("string"), "subject": Value("string")}
    binary = ["times_s", "targets", "valid"] + [f"{part}.{name}" for name in modalities for part in ("input", "present")]
    return Features({**columns, **{name: Value("large_binary") for name in binary}})
