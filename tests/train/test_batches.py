"""Every process count cuts the same global batches; a run goes on in the middle of an epoch, or of a stream."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import concatenate_datasets

from affectzoo.data.windows import StreamedWindows, WindowDataset
from affectzoo.errors import DataError
from affectzoo.model.affect_model import AffectModel
from affectzoo.train.batches import Batches, StreamedBatches
from affectzoo.train.sampling import draw, groups_of
from tests.train.toys import toy_experiment, toy_rows


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Any:
    return AffectModel(toy_experiment(tmp_path_factory.mktemp("runs")).model).config


@pytest.fixture(scope="module")
def dataset(config) -> WindowDataset:
    return WindowDataset(toy_rows(config, "train", 7), config, hop=1)  # 28 windows


def process(index: int = 0, count: int = 1) -> Any:
    return SimpleNamespace(process_index=index, num_processes=count, device=torch.device("cpu"))


def batches(dataset: WindowDataset, size: int, index: int = 0, count: int = 1, **more: Any) -> Batches:
    return Batches(dataset, batch_size=size, accelerator=process(index, count), **{"workers": 0, "seed": 0, **more})


def places(batch: dict[str, Any]) -> list[tuple[int, int]]:
    """Row and first step of the windows that count."""
    counted = batch["valid"].any(dim=1)
    return [(int(row), int(step)) for row, step, seen in zip(batch["row"], batch["step"][:, 0], counted, strict=True) if seen]


@pytest.mark.parametrize(("size", "count"), [(4, 1), (2, 2), (5, 2), (3, 3), (9, 3), (1, 5), (28, 4)])
def test_processes_share_out_what_one_process_would_read(dataset, size, count):
    alone = [places(batch) for batch in batches(dataset, size * count).epoch(2)]
    parts = [[places(batch) for batch in batches(dataset, size, index, count).epoch(2)] for index in range(count)]
    assert {len(part) for part in parts} == {len(alone)} == {len(batches(dataset, size, 0, count))}
    for number, whole in enumerate(alone):
        assert [place for part in parts for place in part[number]] == whole
    assert sorted(place for whole in alone for place in whole) == sorted(dataset.places), "every window, once"


def test_the_order_of_an_epoch_of_every_window_is_that_of_earlier_versions(dataset):
    found = [place for batch in batches(dataset, 7, seed=3).epoch(2) for place in places(batch)]
    order = torch.randperm(28, generator=torch.Generator().manual_seed(3 * 1_000_003 + 2)).tolist()
    assert found == [dataset.places[number] for number in order]


@pytest.fixture(scope="module")
def uneven(config) -> WindowDataset:
    """Clips of 1, 4, 7 and 10 windows."""
    parts = [toy_rows(config, f"clip{steps}", 1, steps=steps) for steps in (2, 5, 8, 11)]
    return WindowDataset(concatenate_datasets(parts), config, hop=1)


@pytest.mark.parametrize(("size", "count"), [(4, 1), (2, 2), (5, 3)])
def test_equal_shares_are_drawn_alike_by_any_number_of_processes_and_workers(uneven, size, count):
    groups = groups_of(uneven, "clips")
    assert groups is not None
    alone = [places(batch) for batch in batches(uneven, size * count, groups=groups).epoch(2)]
    parts = [
        [places(batch) for batch in batches(uneven, size, index, count, groups=groups, workers=index % 2).epoch(2)]
        for index in range(count)
    ]
    assert {len(part) for part in parts} == {len(alone)} == {len(batches(uneven, size, 0, count, groups=groups))}
    for number, whole in enumerate(alone):
        assert [place for part in parts for place in part[number]] == whole
    drawn = [uneven.places[number] for number in draw(groups, 0, 2)]
    found = [place for whole in alone for place in whole]
    assert sorted(found) == sorted(drawn)
    assert found != drawn, "shuffled: else a batch would hold one clip"
    cut = batches(uneven, size, groups=groups)
    assert [places(b) for b in cut.epoch(1, 2)] == [places(b) for b in cut.epoch(1)][2:]


def test_an_order_belongs_to_its_seed_and_epoch(dataset):
    def order(seed: int, epoch: int) -> list[Any]:
        return [places(batch) for batch in batches(dataset, 4, seed=seed).epoch(epoch)]

    assert order(0, 0) == order(0, 0)
    assert len({str(order(seed, epoch)) for seed in (0, 1, 2) for epoch in (0, 1, 2)}) == 9


@pytest.mark.parametrize("workers", [0, 1])
def test_an_epoch_goes_on_where_it_was_left(dataset, workers):
    cut = batches(dataset, 3, workers=workers)
    whole = list(cut.epoch(1))
    torch.manual_seed(5)
    for start in (0, 4, len(cut) - 1, len(cut)):
        rest = list(cut.epoch(1, start))
        assert [places(batch) for batch in rest] == [places(batch) for batch in whole[start:]]
        assert all(torch.equal(a["inputs"]["audio"], b["inputs"]["audio"]) for a, b in zip(rest, whole[start:], strict=True))
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(1)), "reading draws nothing from the global generator"


@pytest.mark.parametrize(("size", "count"), [(4, 1), (2, 2), (5, 3)])
def test_a_stream_is_read_in_order_and_again_from_its_start(config, dataset, size, count):
    rows = toy_rows(config, "train", 7).to_iterable_dataset()
    windows = functools.partial(StreamedWindows, rows, config, hop=1)

    def epoch(index: int, number: int, start: int = 0) -> list[list[tuple[int, int]]]:
        stream = StreamedBatches(windows, per_epoch=4, batch_size=size, workers=0, accelerator=process(index, count))
        assert len(stream) == 4
        return [places(batch) for batch in stream.epoch(number, start)]

    endless = [place for _ in range(9) for place in dataset.places]
    for number in (0, 2):
        parts = [epoch(index, number) for index in range(count)]
        found = [place for batch in zip(*parts, strict=True) for part in batch for place in part]
        first = number * 4 * size * count
        assert found == endless[first : first + 4 * size * count]
    assert epoch(0, 1, 3) == epoch(0, 1)[3:]


def test_a_stream_is_not_opened_anew_for_every_epoch(config):
    opened = []

    def windows(**take: Any) -> StreamedWindows:
        opened.append(None)
        return StreamedWindows(toy_rows(config, "train", 7).to_iterable_dataset(), config, hop=1, **take)

    stream = StreamedBatches(windows, per_epoch=3, batch_size=2, workers=0, accelerator=process())
    for number in range(4):
        list(stream.epoch(number))
    assert len(opened) == 1, "24 of 28 windows"
    list(stream.epoch(4))
    assert len(opened) == 2


def test_an_empty_stream_is_an_error(config):
    some = toy_rows(config, "train", 1)
    rows = some.to_iterable_dataset().skip(1)
    windows = functools.partial(StreamedWindows, rows, config)
    stream = StreamedBatches(windows, per_epoch=1, batch_size=2, workers=0, accelerator=process())
    with pytest.raises(DataError, match="holds no window"):
        list(stream.epoch(0))
