"""The interval covers the truth as often as it says, and counts people, not steps."""

from __future__ import annotations

import math

import pytest
import torch

from affectzoo.errors import InputError
from affectzoo.objectives.bootstrap import confidence_interval
from affectzoo.objectives.metrics import ccc


def people(seed: int, count: int = 30, most: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Values whose expectation is 0, alike within a person, and the person of each."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, most + 1, (count,), generator=generator)
    groups = torch.arange(count).repeat_interleave(sizes)
    values = torch.randn(count, generator=generator, dtype=torch.float64)[groups]
    return values + 0.1 * torch.randn(len(groups), generator=generator, dtype=torch.float64), groups


def test_the_interval_of_a_mean_contains_the_truth_about_as_often_as_it_says():
    # 200 independent sets; the share has a standard deviation of 0.015, and 30 people cost a percent or two.
    inside = 0
    for seed in range(200):
        values, groups = people(seed)
        low, high = confidence_interval(lambda i, v=values: float(v[i].mean()), groups, draws=200, seed=seed)
        inside += low <= 0 <= high
    assert 0.88 <= inside / 200 <= 0.99


def test_steps_of_one_person_do_not_narrow_the_interval():
    values, groups = people(0, most=1)
    many = 50
    low, high = confidence_interval(lambda i: float(values[i].mean()), groups)
    repeated, names = values.repeat_interleave(many), groups.repeat_interleave(many)
    wide = confidence_interval(lambda i: float(repeated[i].mean()), names)
    assert wide == pytest.approx((low, high), abs=1e-9)
    single = confidence_interval(lambda i: float(repeated[i].mean()), range(len(names)), draws=200)
    assert high - low > 4 * (single[1] - single[0])


def test_the_width_is_that_of_the_normal_distribution_and_grows_with_the_level():
    values, groups = people(1, count=400, most=1)
    error = values.std().item() / math.sqrt(len(values))
    for level, quantile in ((0.5, 0.6745), (0.95, 1.96)):
        low, high = confidence_interval(lambda i: float(values[i].mean()), groups, level=level, draws=2000)
        # A quantile of 2000 draws is good to about 3 %.
        assert high - low == pytest.approx(2 * quantile * error, rel=0.1)


def test_every_draw_takes_all_examples_of_as_many_people_as_there_are():
    names = ["b", "a", "b", "c", "a", "b"]
    seen = []

    def statistic(indices: torch.Tensor) -> float:
        counts = torch.bincount(indices, minlength=6)
        assert indices.dtype == torch.int64
        assert counts[0] == counts[2] == counts[5]
        assert counts[1] == counts[4]
        assert counts[0] + counts[1] + counts[3] == 3
        seen.append(tuple(counts.tolist()))
        return float(len(indices))

    assert confidence_interval(statistic, names, draws=300) == (3.0, 9.0)
    assert len(set(seen)) == 10  # all multisets of three out of three


def test_the_seed_decides_and_the_order_of_examples_does_not():
    values, groups = people(2)
    shuffled = torch.randperm(len(values), generator=torch.Generator().manual_seed(0))
    moved, names = values[shuffled], groups[shuffled]
    first = confidence_interval(lambda i: float(values[i].mean()), groups, draws=100)
    assert confidence_interval(lambda i: float(values[i].mean()), groups, draws=100) == first
    assert confidence_interval(lambda i: float(moved[i].mean()), names, draws=100) == pytest.approx(first, abs=1e-12)
    assert confidence_interval(lambda i: float(values[i].mean()), groups, draws=100, seed=1) != first


def test_the_interval_of_a_concordance_holds_it():
    generator = torch.Generator().manual_seed(3)
    label = torch.rand(600, 1, generator=generator, dtype=torch.float64)
    prediction = label + 0.2 * torch.randn(600, 1, generator=generator, dtype=torch.float64)
    low, high = confidence_interval(lambda i: float(ccc(prediction[i], label[i])), torch.arange(600) // 20, draws=200)
    assert low < ccc(prediction, label).item() < high
    assert high - low < 0.2


def test_draws_that_are_not_numbers_are_left_out_until_they_are_over_half():
    def statistic(share: float):
        generator = torch.Generator().manual_seed(0)
        return lambda _: math.nan if torch.rand((), generator=generator) < share else 1.0

    assert confidence_interval(statistic(0.3), [0, 1, 2]) == (1.0, 1.0)
    assert all(map(math.isnan, confidence_interval(statistic(0.7), [0, 1, 2])))


@pytest.mark.parametrize("groups", [[], ["one"] * 5])
def test_fewer_than_two_people_have_no_interval(groups):
    assert all(map(math.isnan, confidence_interval(lambda i: float(i.sum()), groups)))


@pytest.mark.parametrize("given", [{"draws": 0}, {"level": 0.0}, {"level": 95}])
def test_no_draws_and_levels_in_percent_are_refused(given):
    with pytest.raises(InputError, match="at least 1 draw and a level between 0 and 1"):
        confidence_interval(lambda _: 0.0, [0, 1], **given)
