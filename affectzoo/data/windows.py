"""Model windows over prepared rows: the torch datasets that training and evaluation read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from affectzoo.config import FramesInput, ModelConfig, StreamInput
from affectzoo.data.prepared import read_steps
from affectzoo.errors import DataError
from affectzoo.media.crops import frames_to_tensor
from affectzoo.media.windows import window_starts

#: What is not binary in a row.
STRING_COLUMNS = ("clip_id", "subject", "extra")

#: Shares of the classes of a step may miss a sum of one by this much: they were rounded when written.
_SHARES_REACH = 1e-3


class _Windows:
    """How a window is cut out of a row.

    Attributes:
        on_features: whether `inputs` are backbone features `[L, D]`.
        inputs: modality -> the form of its raw input.
        length: L.
        targets: the model's, and `columns`, the names of their K label columns.
    """

    on_features = False

    def __init__(self, config: ModelConfig) -> None:
        self.inputs = {name: stream.input for name, stream in config.streams.items()}
        self.length = config.sequence.length
        self.targets = config.targets
        self.columns = [column for target in config.targets for column in target.columns]

    def check_columns(self, held: Iterable[str]) -> None:
        """Refuse rows that lack a modality."""
        held = list(held)
        kind = "feature" if self.on_features else "input"
        missing = [name for name in self.inputs if not {f"{kind}.{name}", f"present.{name}"} <= set(held)]
        if missing:
            raise DataError(f"the dataset has no {missing[0]!r}; it holds {', '.join(held)}")

    def window(self, number: int, row: Mapping[str, Any], start: int, clip_id: str) -> dict[str, Any]:
        """The item of the window at step `start` of row `number`."""
        valid = np.frombuffer(row["valid"], dtype=bool)
        count = len(valid)
        length = min(self.length, count - start)
        stop = start + length
        labels = self.labels(row["targets"], count, clip_id)
        inputs, masks = {}, {}
        for name in self.inputs:
            inputs[name] = self._pad(self.steps(number, row, name, start, length))
            masks[name] = self._pad(torch.from_numpy(np.frombuffer(row[f"present.{name}"], dtype=bool)[start:stop].copy()))
        return {
            "inputs": inputs,
            "masks": masks,
            "targets": self._pad(torch.from_numpy(labels[start:stop].copy())),
            "valid": self._pad(torch.from_numpy(valid[start:stop].copy())),
            "row": torch.tensor(number),
            "step": torch.arange(start, start + self.length),
        }

    def labels(self, held: Any, count: int, clip_id: str) -> np.ndarray:
        """`[n, K]` labels from the bytes of a row of n = `count` sub-sequences."""
        labels = np.frombuffer(held, dtype=np.float32)
        if labels.size != count * len(self.columns):
            raise DataError(f"{clip_id}: {labels.size} labels for {count} sub-sequences and targets {', '.join(self.columns)}")
        return labels.reshape(count, len(self.columns))

    def steps(self, number: int, row: Mapping[str, Any], name: str, start: int, length: int) -> torch.Tensor:  # noqa: ARG002
        """One modality of row `number`: `[length, ...]` as the backbone takes it, or its features `[length, D]`."""
        return _features(row, name, start, length) if self.on_features else _raw(row, name, self.inputs[name], start, length)

    def _pad(self, steps: torch.Tensor) -> torch.Tensor:
        missing = self.length - steps.shape[0]
        return steps if missing == 0 else torch.cat([steps, steps.new_zeros(missing, *steps.shape[1:])])


class WindowDataset(_Windows, Dataset[dict[str, Any]]):
    """Windows of L sub-sequences over prepared rows (`affectzoo.data.prepared`).

    An item holds `inputs` (modality -> `[L, ...]` float), `masks` (modality -> `[L]` bool), `targets` `[L, K]`, `valid`
    `[L]` bool, and `row` and `step` (`[L]`), which place every prediction in its clip. A clip shorter than L is padded
    with masked, invalid steps.

    Args:
        rows: a `datasets.Dataset` of prepared rows.
        config: the model's; decides modalities, inputs, L and K.
        hop: steps between windows; None is L, so that no step is read twice.
    """

    def __init__(self, rows: Any, config: ModelConfig, *, hop: int | None = None) -> None:
        super().__init__(config)
        self.check_columns(rows.column_names)
        self.rows = rows.with_format("arrow")
        self.clip_ids: list[str] = list(rows["clip_id"])
        self.subjects: list[str] = list(rows["subject"])
        self.counts = [len(valid) for valid in rows["valid"]]
        self.places = [
            (row, start)
            for row, steps in enumerate(self.counts)
            for start in window_starts(steps, self.length, hop or self.length)
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        number, start = self.places[index]
        row, _ = self.read_row(number)
        return self.window(number, row, start, self.clip_ids[number])

    def read_row(self, number: int) -> tuple[dict[str, Any], int]:
        """The binary columns of a row, not copied, and its number of sub-sequences."""
        table = self.rows[number]
        row = {name: table[name][0].as_buffer() for name in table.column_names if name not in STRING_COLUMNS}
        return row, row["valid"].size


class FeatureWindows(WindowDataset):
    """The same windows over backbone features instead of raw inputs: `inputs` is modality -> `[L, D]`.

    Args:
        raw: the windows whose rows were encoded.
        features: for each row, modality -> `[n, D]`.
    """

    on_features = True

    def __init__(self, raw: WindowDataset, features: list[dict[str, torch.Tensor]]) -> None:
        self.__dict__.update(raw.__dict__)
        self.rows = raw.rows.remove_columns([f"input.{name}" for name in raw.inputs])
        self.features = features

    def steps(self, number: int, row: Mapping[str, Any], name: str, start: int, length: int) -> torch.Tensor:  # noqa: ARG002
        """One modality's features `[length, D]`."""
        return self.features[number][name][start : start + length]


class StoredFeatures(WindowDataset):
    """Windows over the rows of a feature store (`affectzoo.data.feature_store`): `inputs` is modality -> `[L, D]`."""

    on_features = True


class StreamedWindows(_Windows, IterableDataset[dict[str, Any]]):
    """The items of `WindowDataset`, in order, over rows that are read one after the other.

    Windows are numbered from 0 in the order of the stream. Several processes that take different numbers share one stream.

    Args:
        rows: a `datasets.IterableDataset` of prepared rows or of rows of features.
        config, hop: as for `WindowDataset`.
        take: number -> whether the window is wanted; the others are not built.
    """

    def __init__(
        self,
        rows: Any,
        config: ModelConfig,
        *,
        hop: int | None = None,
        take: Callable[[int], bool] = lambda number: True,  # noqa: ARG005
    ) -> None:
        super().__init__(config)
        # A stream may learn its columns only from its first row.
        held = rows.column_names or list(next(iter(rows), {}))
        self.on_features = _holds_features(held, config)
        self.check_columns(held)
        window_starts(0, self.length, hop or self.length)  # refuses a hop that leaves steps out
        self.rows, self.hop, self.take = rows, hop or self.length, take

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        # The datasets library gives each worker another part of a stream: the numbers would mean nothing.
        if worker is not None and worker.num_workers > 1:
            raise DataError(f"a streamed split is read by one worker, not {worker.num_workers}; set train.workers to 1 or 0")
        number = 0
        for row_number, row in enumerate(self.rows):
            for first in window_starts(len(row["valid"]), self.length, self.hop):
                if self.take(number):
                    yield self.window(row_number, row, first, row["clip_id"])
                number += 1


def windows_over(rows: Any, config: ModelConfig, hop: int | None = None) -> WindowDataset:
    """Windows over raw inputs or over stored features, whichever `rows` holds."""
    kind = StoredFeatures if _holds_features(rows.column_names, config) else WindowDataset
    return kind(rows, config, hop=hop)


def check_labels(dataset: WindowDataset) -> None:
    """Refuse valid labels that cannot be: not finite, out of a target's range, shares of classes that are no shares.

    Reads the columns of labels alone.

    Raises:
        DataError: names the first such clip, the target, the value and the range.
    """
    rows = list(_label_rows(dataset))
    if not rows:
        return
    labels = np.concatenate([dataset.labels(row["targets"], row["valid"].size, row["clip_id"]) for row in rows])
    clips = np.repeat(np.arange(len(rows)), dataset.counts)
    valid = np.concatenate([np.frombuffer(row["valid"], dtype=bool) for row in rows])
    labels, clips = labels[valid], clips[valid]
    start = 0
    for target in dataset.targets:
        values = labels[:, start : start + len(target.columns)]
        start += len(target.columns)
        # A bound such as 0.1 must admit its own float32.
        low, high = map(np.float32, (0, 1) if target.kind == "categorical" else (target.low, target.high))
        outside = ~((values >= low) & (values <= high))
        if outside.any():
            step, column = np.argwhere(outside)[0]
            what = f"{target.columns[column]} is {values[step, column]:g}"
            raise DataError(f"{dataset.clip_ids[clips[step]]}: {what}, outside {low:g} to {high:g}; mark the step as not valid")
        if target.kind == "categorical":
            sums = values.sum(axis=1, dtype=np.float64)
            odd = np.flatnonzero(np.abs(sums - 1) > _SHARES_REACH)
            if len(odd):
                clip, found = dataset.clip_ids[clips[odd[0]]], sums[odd[0]]
                raise DataError(f"{clip}: the shares of the classes of {target.name} sum to {found:g}, not to 1")


def unlabelled(dataset: WindowDataset) -> list[str]:
    """Ids of the clips without any valid label."""
    return [row["clip_id"] for row in _label_rows(dataset) if not np.frombuffer(row["valid"], dtype=bool).any()]


def class_counts(dataset: WindowDataset) -> torch.Tensor:
    """`[K]` sums of each label column over the valid steps: of classes, how many steps each has."""
    total = np.zeros(len(dataset.columns))
    for row in _label_rows(dataset):
        valid = np.frombuffer(row["valid"], dtype=bool)
        total += dataset.labels(row["targets"], len(valid), row["clip_id"])[valid].sum(axis=0, dtype=np.float64)
    return torch.from_numpy(total)


def fingerprint(dataset: WindowDataset) -> str:
    """SHA-256 over clips, subjects, times, labels and their validity, in order; inputs are not read."""
    digest = hashlib.sha256()
    for row in _label_rows(dataset):
        for name, part in row.items():
            data = part.encode() if isinstance(part, str) else memoryview(part)
            # Without its length, bytes could move from one part to the next unseen.
            digest.update(f"{name}:{len(data)}:".encode())
            digest.update(data)
    return digest.hexdigest()


def _label_rows(dataset: WindowDataset) -> Iterator[dict[str, Any]]:
    """Clip, subject and the bytes of times, targets and valid of each row."""
    names = ["clip_id", "subject", "times_s", "targets", "valid"]
    table = dataset.rows.select_columns(names)[:]
    for values in zip(*(table[name] for name in names), strict=True):
        yield {name: v.as_py() if name in names[:2] else v.as_buffer() for name, v in zip(names, values, strict=True)}


def _holds_features(held: Iterable[str], config: ModelConfig) -> bool:
    return {f"feature.{name}" for name in config.streams} <= set(held)


def _raw(row: Mapping[str, Any], name: str, given: StreamInput | None, start: int, length: int) -> torch.Tensor:
    assert given is not None
    steps = torch.from_numpy(read_steps(row, name, given, start, length).copy())
    return frames_to_tensor(steps, given) if isinstance(given, FramesInput) else steps


def _features(row: Mapping[str, Any], name: str, start: int, length: int) -> torch.Tensor:
    features, count = np.frombuffer(row[f"feature.{name}"], dtype=np.float32), memoryview(row["valid"]).nbytes
    if features.size % count:
        raise DataError(f"{name}: {features.size} numbers are not features of {count} sub-sequences")
    return torch.from_numpy(features.reshape(count, -1)[start : start + length].copy())
