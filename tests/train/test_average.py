"""The moving average of weights: soon rid of the first ones, then slow."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from affectzoo.train.average import averaged, ramp


def test_the_decay_rises_to_the_one_that_is_asked_for():
    assert [ramp(0.999, n) for n in (0, 1, 8, 89)] == pytest.approx([0.1, 2 / 11, 0.5, 90 / 99])
    assert ramp(0.999, 10_000) == 0.999
    assert ramp(0.5, 100) == 0.5


def run(model: nn.Linear, average: torch.optim.swa_utils.AveragedModel, values: list[float]) -> float:
    for value in values:
        nn.init.constant_(model.weight, value)
        average.update_parameters(model)
    return average.module.state_dict()["weight"].item()


def test_the_first_weights_are_soon_forgotten():
    model = nn.Linear(1, 1, bias=False)
    # Only the first update, which copies, sees a 1: what is left of it after n updates is the product of their decays.
    found = run(model, averaged(model, 0.999), [1.0] + [0.0] * 99)
    expected = float(torch.tensor([(1 + n) / (10 + n) for n in range(1, 100)], dtype=torch.float64).prod())
    assert found == pytest.approx(expected, rel=1e-4)  # a hundred roundings of float32
    assert found < 1e-6  # without the ramp 0.999 ** 99, which is 0.9
    assert run(model, averaged(model, 0.5), [1.0, 0.0, 0.0]) == pytest.approx(2 / 11 * 3 / 12)


def test_an_average_goes_on_from_its_state_to_the_same_bits():
    torch.manual_seed(0)
    values = torch.randn(30).tolist()
    model = nn.Linear(1, 1, bias=False)
    whole = run(model, averaged(model, 0.9), values)
    first = averaged(model, 0.9)
    run(model, first, values[:7])
    second = averaged(model, 0.9)
    second.load_state_dict(first.state_dict())
    assert run(model, second, values[7:]) == whole
