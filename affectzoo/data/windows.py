"""Model windows over prepared rows: the torch dataset that training and evaluation read."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from affectzoo.config import FramesInput, ModelConfig
from affectzoo.data.schema import read_steps
from affectzoo.errors import DataError
from affectzoo.media.crops import frames_to_tensor
from affectzoo.media.windows import window_starts


class WindowDataset(Dataset[dict[str, Any]]):
    """Windows of L sub-sequences over prepared rows (`affectzoo.data.schema`).

    An item holds `inputs` (modality -> `[L, ...]` float), `masks` (modality -> `[L]` bool), `targets` `[L, K]`, `valid`
    `[L]` bool, and `row` and `step` (`[L]`), which place every prediction in its clip. A clip shorter than L is padded
    with masked, invalid steps.

    Args:
        rows: a `datasets.Dataset` of prepared rows.
        config: the model's; decides modalities, inputs, L and K.
        hop: steps between windows; None is L, so that no step is read twice.
    """

    def __init__(self, rows: Any, config: ModelConfig, *, hop: int | None = None) -> None:
        self.rows = rows.with_format("arrow")
        self.inputs = {name: stream.input for name, stream in config.streams.items()}
        self.length = config.sequence.length
        self.columns = [column for target in config.targets for column in target.columns]
        missing = [n for n in self.inputs if not {f"input.{n}", f"present.{n}"} <= set(rows.column_names)]
        if missing:
            raise DataError(f"the dataset has no {missing[0]!r}; it holds {', '.join(rows.column_names)}")
        self.clip_ids: list[str] = list(rows["clip_id"])
        self.subjects: list[str] = list(rows["subject"])
        self.places = [
            (row, start)
            for row, steps in enumerate(len(valid) for valid in rows["valid"])
            for start in window_starts(steps, self.length, hop or self.length)
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        number, start = self.places[index]
        row, count = self.read_row(number)
        valid = np.frombuffer(row["valid"], dtype=bool)
        length = min(self.length, count - start)
        labels = np.frombuffer(row["targets"], dtype=np.float32)
        if labels.size != count * len(self.columns):
            raise DataError(
                f"{self.clip_ids[number]}: {labels.size} labels for {count} sub-sequences and targets {', '.join(self.columns)}"
            )
        labels = labels.reshape(count, -1)
        stop = start + length
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

    def read_row(self, number: int) -> tuple[dict[str, Any], int]:
        """The binary columns of a row, not copied, and its number of sub-sequences."""
        table = self.rows[number]
        row = {name: table[name][0].as_buffer() for name in table.column_names if name not in ("clip_id", "subject")}
        return row, row["valid"].size

    def steps(self, number: int, row: dict[str, Any], name: str, start: int, length: int) -> torch.Tensor:  # noqa: ARG002
        """One modality's sub-sequences `[length, ...]` of row `number`, as the backbone takes them."""
        given = self.inputs[name]
        assert given is not None
        steps = torch.from_numpy(read_steps(row, name, given, start, length).copy())
        return frames_to_tensor(steps, given) if isinstance(given, FramesInput) else steps

    def _pad(self, steps: torch.Tensor) -> torch.Tensor:
        missing = self.length - steps.shape[0]
        return steps if missing == 0 else torch.cat([steps, steps.new_zeros(missing, *steps.shape[1:])])


class FeatureWindows(WindowDataset):
    """The same windows over backbone features instead of raw inputs: `inputs` is modality -> `[L, D]`.

    Args:
        raw: the windows whose rows were encoded.
        features: for each row, modality -> `[n, D]`.
    """

    def __init__(self, raw: WindowDataset, features: list[dict[str, torch.Tensor]]) -> None:
        self.__dict__.update(raw.__dict__)
        self.rows = raw.rows.remove_columns([f"input.{name}" for name in raw.inputs])
        self.features = features

    def steps(self, number: int, row: dict[str, Any], name: str, start: int, length: int) -> torch.Tensor:  # noqa: ARG002
        """One modality's features `[length, D]`."""
        return self.features[number][name][start : start + length]
