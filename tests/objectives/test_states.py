"""A metric state is the metric of everything, however it was cut into batches and processes."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed
from torch.nn import functional

from affectzoo.errors import InputError
from affectzoo.objectives.metrics import CLASS_METRICS, REGRESSION_METRICS
from affectzoo.objectives.states import SeriesMetric

METRICS = REGRESSION_METRICS | CLASS_METRICS
#: How 23 windows lie on two processes, and in what batches; the last gives all to one of them.
SHARES = ([[0, 5], [5, 6], [6, 13]], [[13, 20], [20, 23]]), ([[0, 4], [4, 4]], [[4, 23]]), ([], [[0, 9], [9, 23]])


def split() -> tuple[Tensor, Tensor, Tensor]:
    """23 windows of 4 steps, three columns: scores of classes too."""
    generator = torch.Generator().manual_seed(0)
    label = functional.one_hot(torch.randint(3, (23, 4), generator=generator), 3).float()
    prediction = label + torch.randn(23, 4, 3, generator=generator)
    valid = torch.rand(23, 4, generator=generator) < 0.7
    prediction[~valid], label[~valid] = float("nan"), -5.0
    return prediction, label, valid


def collect(name: str, batches: list[list[int]]) -> SeriesMetric:
    prediction, label, valid = split()
    metric = SeriesMetric(name, columns=3)
    for start, stop in batches:
        metric.update(prediction[start:stop], label[start:stop], valid[start:stop])
    return metric


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("size", [1, 5, 23])
def test_any_batch_size_gives_the_metric_of_the_whole(name, size):
    metric = collect(name, [[start, min(start + size, 23)] for start in range(0, 23, size)])
    found = metric.compute()
    assert found.dtype == torch.float64
    assert torch.equal(found, METRICS[name](*split()))
    metric.reset()
    metric.update(*(part[:7] for part in split()))
    assert torch.equal(metric.compute(), METRICS[name](*(part[:7] for part in split())))


def one_of_two(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = {(name, place): collect(name, share[rank]).compute() for place, share in enumerate(SHARES) for name in METRICS}
    nothing = SeriesMetric("ccc", columns=3).compute()
    torch.save((found, nothing), folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.forks
def test_two_processes_with_any_share_have_the_metric_of_the_whole(tmp_path: Path):
    # Forked, they need not import torchmetrics again, which takes longer than all the rest.
    processes = [multiprocessing.get_context("fork").Process(target=one_of_two, args=(rank, tmp_path)) for rank in range(2)]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(timeout=60)
        assert [process.exitcode for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    for rank in range(2):
        found, nothing = torch.load(tmp_path / f"{rank}.pt")
        assert len(found) == len(SHARES) * len(METRICS)
        for (name, place), value in found.items():
            # The same steps in the same order: not one bit differs.
            assert torch.equal(value, METRICS[name](*split())), (rank, name, place)
        assert nothing.isnan().tolist() == [True] * 3


def test_a_batch_as_a_step_of_training_is_scored_by_itself_and_kept():
    prediction, label, valid = split()
    metric = SeriesMetric("mae", columns=3)
    assert torch.equal(metric(prediction[:7], label[:7], valid[:7]), METRICS["mae"](prediction[:7], label[:7], valid[:7]))
    metric(prediction[7:], label[7:], valid[7:])
    assert torch.equal(metric.compute(), METRICS["mae"](prediction, label, valid))


def test_predictions_of_half_precision_are_scored_in_double():
    prediction, label, valid = split()
    metric = SeriesMetric("rmse", columns=3)
    rounded = prediction.bfloat16().requires_grad_()
    metric.update(rounded, label, valid)
    assert torch.equal(metric.compute(), METRICS["rmse"](rounded.detach(), label, valid))


def test_one_column_is_a_number_and_without_a_mask_every_step_counts():
    metric = SeriesMetric("ccc", columns=1)
    x, y = torch.rand(2, 3, 1), torch.rand(2, 3, 1)
    metric.update(x, y)
    assert metric.compute().shape == ()
    assert metric.compute() == METRICS["ccc"](x, y, None)[0]


def test_wrong_names_and_shapes_are_refused():
    with pytest.raises(InputError, match=r"unknown metric 'cccc'; choose one of ccc, pcc, icc31, icc11, mae, rmse, uar, f1"):
        SeriesMetric("cccc", columns=2)
    metric = SeriesMetric("ccc", columns=2)
    with pytest.raises(InputError, match=r"2 columns was given a prediction \[3, 4, 1\] and a label \[3, 4, 1\]"):
        metric.update(torch.rand(3, 4, 1), torch.rand(3, 4, 1))
    with pytest.raises(InputError, match=r"a label \[3, 2\]"):
        metric.update(torch.rand(3, 4, 2), torch.rand(3, 2))
    with pytest.raises(InputError, match=r"valid is \[4, 3\], the steps are \[3, 4\]"):
        metric.update(torch.rand(3, 4, 2), torch.rand(3, 4, 2), torch.ones(4, 3, dtype=torch.bool))
