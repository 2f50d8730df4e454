"""The training batches of one process, all cut from one order: any number of processes sees the same global batches."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch.utils.data import DataLoader, IterableDataset

from affectzoo.config import TrainConfig
from affectzoo.data.windows import StreamedWindows, WindowDataset
from affectzoo.errors import DataError
from affectzoo.train.sampling import Groups, draw

#: Seconds that a process that reads lives on after SIGTERM, if nobody ends it before.
_REPRIEVE_S = 20


class Batches:
    """Epochs of shuffled batches over a dataset of windows, from any batch on.

    A global batch is `batch_size` windows for each process, the last of an epoch what is left; process i takes the i-th part
    of it. A process for which nothing is left gets one window whose labels do not count, because all must go on together.

    Args:
        dataset: windows; the same on every process.
        batch_size: windows per process.
        workers: processes that read.
        seed: decides the order of every epoch.
        accelerator: which process this is.
        groups: windows that take equal shares of an epoch (`affectzoo.train.sampling`); None reads every window once.
        exponent: of the sizes of the groups, for shares that are not equal.
    """

    def __init__(
        self,
        dataset: WindowDataset,
        *,
        batch_size: int,
        workers: int,
        seed: int,
        accelerator: Accelerator,
        groups: Groups | None = None,
        exponent: float = 0.0,
    ) -> None:
        self.dataset, self.batch_size, self.seed, self.device = dataset, batch_size, seed, accelerator.device
        self.exponent = exponent
        self.groups, self.count = groups, len(dataset) if groups is None else sum(map(len, groups))
        self.process, self.processes = accelerator.process_index, accelerator.num_processes
        self._planned = _Planned()
        self._loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_sampler=self._planned,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=accelerator.device.type == "cuda",
            # Of its own, or each epoch would draw from the generator that a resumed run must find as it was.
            generator=torch.Generator().manual_seed(seed),
            worker_init_fn=outlive_sigterm,
        )

    def name_of(self, row: int) -> str:
        """The id of a clip."""
        return self.dataset.clip_ids[row]

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(self.count / (self.batch_size * self.processes))

    def epoch(self, number: int, start: int = 0) -> Iterator[dict[str, Any]]:
        """The batches of epoch `number` from `start` on; what stands before is never read."""
        order = torch.randperm(self.count, generator=torch.Generator().manual_seed(self._epoch_seed(number))).tolist()
        if self.groups is not None:
            drawn = draw(self.groups, self.seed, number, self.exponent)
            order = [drawn[place] for place in order]
        size = self.batch_size * self.processes
        mine = [order[i + self.process * self.batch_size : i + size][: self.batch_size] for i in range(0, len(order), size)]
        self._planned.plan = [part or order[:1] for part in mine[start:]]
        for part, batch in zip(mine[start:], self._loader, strict=True):
            if not part:
                batch["valid"] = torch.zeros_like(batch["valid"])
            yield cast(dict[str, Any], send_to_device(batch, self.device, non_blocking=True))

    def _epoch_seed(self, number: int) -> int:
        return (self.seed * 1_000_003 + number) % 2**63


class StreamedBatches:
    """Batches of a split that is streamed, in its order and without end: after the last window comes the first again.

    Global batches are cut as those of `Batches`, and always full. A run that goes on reads the stream again up to its place,
    without building what it skips.

    Args:
        windows: builds the windows of one pass; takes `take` (`StreamedWindows`).
        per_epoch: batches that count as an epoch.
        batch_size, workers, accelerator: as for `Batches`; one worker at most, because a stream has one reader.
    """

    def __init__(
        self,
        windows: Callable[..., StreamedWindows],
        *,
        per_epoch: int,
        batch_size: int,
        workers: int,
        accelerator: Accelerator,
    ) -> None:
        self.windows, self.per_epoch, self.batch_size, self.workers = windows, per_epoch, batch_size, workers
        self.process, self.processes, self.device = accelerator.process_index, accelerator.num_processes, accelerator.device
        self._open: Iterator[Any] | None = None
        self._place = 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self.per_epoch

    def name_of(self, row: int) -> str:
        """Rows of a stream have numbers only."""
        return f"row {row}"

    def epoch(self, number: int, start: int = 0) -> Iterator[dict[str, Any]]:
        """The batches of epoch `number` from `start` on."""
        first = (number * self.per_epoch + start) * self.batch_size * self.processes
        if self._open is None or self._place != first:  # else the stream is where it should be
            loader: DataLoader[Any] = DataLoader(
                _Endless(self.windows, first, self._is_mine),
                batch_size=self.batch_size,
                num_workers=self.workers,
                generator=torch.Generator().manual_seed(0),
                worker_init_fn=outlive_sigterm,
            )
            self._open, self._place = iter(loader), first
        for batch in islice(self._open, self.per_epoch - start):
            self._place += self.batch_size * self.processes
            yield cast(dict[str, Any], send_to_device(batch, self.device, non_blocking=True))

    def _is_mine(self, number: int) -> bool:
        return number // self.batch_size % self.processes == self.process


class _Endless(IterableDataset[dict[str, Any]]):
    """Pass after pass over a stream; windows are numbered on from one to the next."""

    def __init__(self, windows: Callable[..., StreamedWindows], first: int, is_mine: Callable[[int], bool]) -> None:
        self.windows, self.first, self.is_mine = windows, first, is_mine

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.before = self.seen = 0
        while True:
            yield from self.windows(take=self._take)
            if self.seen == 0:
                raise DataError("the streamed training split holds no window")
            self.before, self.seen = self.before + self.seen, 0

    def _take(self, number: int) -> bool:
        self.seen = number + 1
        return self.before + number >= self.first and self.is_mine(self.before + number)


class _Planned:
    """The lists of indices that the current epoch reads; `DataLoader` iterates it anew for each."""

    def __init__(self) -> None:
        self.plan: list[list[int]] = []

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.plan)

    def __len__(self) -> int:
        return len(self.plan)


def evaluation_loader(dataset: WindowDataset, settings: TrainConfig) -> DataLoader[Any]:
    """Every window once, in order."""
    return DataLoader(dataset, batch_size=settings.batch_size, num_workers=settings.workers, worker_init_fn=outlive_sigterm)


def outlive_sigterm(_: int) -> None:
    """In a process that reads: a request to stop goes to the whole group, and the one that trains still needs a batch."""

    def soon(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.alarm(_REPRIEVE_S)

    signal.signal(signal.SIGTERM, soon)
