"""The distance from teachers: divergences and squared differences, exact over processes, blind to what does not count."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from affectzoo.config import TargetConfig
from affectzoo.objectives.distillation import Distillation

TARGETS = [
    TargetConfig.parse(target)
    for target in ("valence", {"name": "mood", "kind": "categorical", "classes": 3}, "bdi-ii", {"name": "p", "kind": "ordinal"})
]
COLUMNS = 6


def distance(weights: tuple[float, ...] = (1, 1, 1, 1), temperature: float = 1.0) -> Distillation:
    return Distillation(TARGETS, torch.tensor(weights).float(), temperature=temperature, share=0.5)


def values(seed: int, size: int = 5) -> Tensor:
    return 2 * torch.randn(size, 4, COLUMNS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def taught(seed: int, temperature: float = 1.0) -> Tensor:
    return distance(temperature=temperature).mean_of([values(seed), values(seed + 1)]).double()


VALID = torch.rand(5, 4, generator=torch.Generator().manual_seed(9)) < 0.6


def looped_softmax(logits: list[float], temperature: float) -> list[float]:
    powers = [math.exp(z / temperature) for z in logits]
    return [power / math.fsum(powers) for power in powers]


def test_teachers_are_averaged_as_probabilities_at_the_temperature():
    found = distance(temperature=3.0).mean_of([values(0), values(1)])
    torch.testing.assert_close(found[..., [0, 4, 5]], ((values(0) + values(1)) / 2)[..., [0, 4, 5]].float())
    one, other = (looped_softmax(values(seed)[2, 1, 1:4].tolist(), 3.0) for seed in (0, 1))
    assert found[2, 1, 1:4].tolist() == pytest.approx([(a + b) / 2 for a, b in zip(one, other, strict=True)], abs=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_classes_take_the_divergence_times_the_squared_temperature(temperature):
    x, y = values(5), taught(0, temperature)
    found = distance((0, 1, 0, 0), temperature)(x, y, VALID)
    steps = []
    for logits, shares in zip(x[VALID][:, 1:4].tolist(), y[VALID][:, 1:4].tolist(), strict=True):
        own = looped_softmax(logits, temperature)
        steps.append(temperature**2 * math.fsum(p * math.log(p / q) for p, q in zip(shares, own, strict=True)))
    assert found.item() == pytest.approx(math.fsum(steps) / len(steps), rel=1e-9)


@pytest.mark.parametrize(("place", "column", "half"), [(0, 0, 1.0), (2, 4, 31.5), (3, 5, 1.0)])
def test_numbers_take_the_squared_distance_where_the_range_is_two_wide(place, column, half):
    x, y = values(5), taught(0)
    weights = tuple(float(i == place) for i in range(4))
    wanted = (((x - y)[VALID][:, column] / half) ** 2).mean()
    assert distance(weights)(x, y, VALID).item() == pytest.approx(wanted.item(), rel=1e-9)


def test_targets_are_weighed_and_a_model_that_says_the_same_has_no_distance():
    x, y = values(5), taught(0)
    parts = [distance(tuple(float(i == k) for i in range(4)))(x, y, VALID) for k in range(4)]
    whole = distance((1, 2, 0, 5))(x, y, VALID)
    assert whole.item() == pytest.approx(((parts[0] + 2 * parts[1] + 5 * parts[3]) / 8).item(), rel=1e-9)
    same = distance(temperature=2.0).mean_of([x]).double()
    # The mean of teachers is kept in float32.
    assert distance(temperature=2.0)(x, same, VALID).item() == pytest.approx(0, abs=1e-6)


def test_a_target_of_weight_zero_is_left_out_whatever_it_holds():
    columns = torch.tensor([False, True, True, True, True, False])
    found = []
    for rubbish in (0.0, float("nan")):
        x, y = (part.masked_fill(columns, rubbish) for part in (values(5), taught(0)))
        x.requires_grad_()
        value = distance((1, 0, 0, 2))(x, y, VALID)
        value.backward()
        found.append((value.detach(), x.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_steps_that_do_not_count_reach_neither_loss_nor_gradient():
    found = []
    for rubbish in (0.0, float("nan")):
        blank = ~VALID.unsqueeze(-1)
        x = values(5).masked_fill(blank, rubbish).requires_grad_()
        value = distance(temperature=2.0)(x, taught(0, 2.0).masked_fill(blank, rubbish), VALID)
        value.backward()
        assert x.grad is not None
        found.append((value.detach(), x.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    nothing = distance()(values(5), taught(0), torch.zeros_like(VALID))
    assert nothing.item() == 0


def test_the_parts_of_two_processes_are_the_whole():
    x, y = values(5), taught(0)
    whole = distance()(x, y, VALID)
    # What a sum over processes gives each of them: the other part's sums, recorded before, are added.
    sums: list[Tensor] = []

    def record(own: Tensor) -> Tensor:
        sums.append(own)
        return own

    distance()(x[:2], y[:2], VALID[:2], total=record)
    found = distance()(x[2:], y[2:], VALID[2:], total=lambda own: own + sums[0])
    assert found.item() == pytest.approx(whole.item(), rel=1e-12)
