"""The concordance of a split against sums written out in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from affectzoo.objectives.metrics import (
    ccc,
    mean_absolute_error,
    pcc,
    root_mean_squared_error,
    unweighted_average_recall,
)


def looped_ccc(x: list[float], y: list[float]) -> float:
    """Lin 1989, one sum at a time, population moments."""
    n = len(x)
    mean_x, mean_y = math.fsum(x) / n, math.fsum(y) / n
    covariance = math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / n
    var_x = math.fsum((a - mean_x) ** 2 for a in x) / n
    var_y = math.fsum((b - mean_y) ** 2 for b in y) / n
    return 2 * covariance / (var_x + var_y + (mean_x - mean_y) ** 2)


def random_split(seed: int, shape: tuple[int, ...] = (7, 5, 2)) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    label = torch.rand(shape, generator=generator) * 2 - 1
    prediction = 0.6 * label + 0.3 * torch.randn(shape, generator=generator) + 0.1
    return prediction, label, torch.rand(shape[:-1], generator=generator) < 0.7


@pytest.mark.parametrize("seed", range(5))
def test_ccc_is_the_sum_of_lin_over_the_valid_steps_of_all_windows(seed):
    prediction, label, valid = random_split(seed)
    found = ccc(prediction, label, valid)
    assert found.dtype == torch.float64
    for k in range(2):
        wanted = looped_ccc(prediction[valid][:, k].double().tolist(), label[valid][:, k].double().tolist())
        assert found[k].item() == pytest.approx(wanted, abs=1e-12)


def test_ccc_is_pearson_times_the_bias_correction():
    # The other way to write it: rho * 2 s_x s_y / (s_x^2 + s_y^2 + (m_x - m_y)^2), as torchmetrics does.
    prediction, label, _ = random_split(9)
    x, y = prediction.flatten(0, 1)[:, 0].double().numpy(), label.flatten(0, 1)[:, 0].double().numpy()
    correction = 2 * x.std() * y.std() / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert ccc(prediction, label)[0].item() == pytest.approx(np.corrcoef(x, y)[0, 1] * correction, abs=1e-12)


def test_ccc_of_the_whole_is_not_the_mean_over_batches():
    prediction, label, _ = random_split(3)
    batches = torch.stack([ccc(prediction[i : i + 1], label[i : i + 1]) for i in range(7)]).mean(0)
    assert (ccc(prediction, label) - batches).abs().max() > 1e-3


@pytest.mark.parametrize(("change", "wanted"), [(lambda y: y, 1.0), (lambda y: -y, -1.0)])
def test_ccc_ends_at_one_and_minus_one(change, wanted):
    label = torch.tensor([-1.0, -0.5, 0.5, 1.0]).unsqueeze(-1)
    assert ccc(change(label), label).item() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_a_far_offset_costs_no_precision(offset):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(200, 1, generator=generator, dtype=torch.float64)
    y = x + 0.1 * torch.rand(200, 1, generator=generator, dtype=torch.float64)
    assert ccc(x + offset, y + offset).item() == pytest.approx(ccc(x, y).item(), abs=1e-7)


@pytest.mark.parametrize("value", [0.0, 0.1, 0.3, 1 / 3, -0.7])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 59])
def test_equal_constants_have_no_concordance_whatever_rounding_says(value, count):
    same = torch.full((count, 1), value, dtype=torch.float64)
    assert ccc(same, same).isnan().all()


def test_a_constant_prediction_has_concordance_zero():
    label = torch.rand(50, 1, generator=torch.Generator().manual_seed(1))
    assert ccc(torch.full_like(label, 0.3), label).item() == pytest.approx(0.0, abs=1e-12)
    assert ccc(torch.full_like(label, 0.3), torch.full_like(label, 0.2)).item() == pytest.approx(0.0, abs=1e-12)


def test_a_prediction_that_is_not_a_number_is_never_dropped():
    prediction, label, valid = random_split(2)
    valid[:] = True
    prediction[3, 2, 0] = float("nan")
    found = ccc(prediction, label, valid)
    assert found[0].isnan()
    assert found[1].isfinite()
    prediction[3, 2, 0] = float("inf")
    assert ccc(prediction, label, valid)[0].isnan()


@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), -5.0])
def test_steps_that_do_not_count_may_hold_anything(rubbish):
    prediction, label, valid = random_split(4)
    spoilt_prediction, spoilt_label = prediction.clone(), label.clone()
    spoilt_prediction[~valid], spoilt_label[~valid] = rubbish, rubbish
    for metric in (ccc, mean_absolute_error):
        assert torch.equal(metric(spoilt_prediction, spoilt_label, valid), metric(prediction, label, valid))


def test_nothing_valid_is_no_number():
    prediction, label, valid = random_split(5)
    for metric in (ccc, mean_absolute_error):
        found = metric(prediction, label, torch.zeros_like(valid))
        assert found.shape == (2,)
        assert found.dtype == torch.float64
        assert found.isnan().all()


def test_mean_absolute_error_is_in_the_unit_of_the_label():
    prediction, label, valid = random_split(6)
    wanted = (prediction[valid].double() - label[valid].double()).abs().mean(0)
    torch.testing.assert_close(mean_absolute_error(10 * prediction, 10 * label, valid), 10 * wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_pcc_and_rmse_are_those_of_numpy_over_the_valid_steps(seed):
    prediction, label, valid = random_split(seed)
    for k in range(2):
        x, y = prediction[valid][:, k].double().numpy(), label[valid][:, k].double().numpy()
        assert pcc(prediction, label, valid)[k].item() == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)
        assert root_mean_squared_error(prediction, label, valid)[k].item() == pytest.approx(
            np.sqrt(np.mean((x - y) ** 2)), abs=1e-12
        )


def test_pcc_of_a_constant_series_and_every_metric_of_none_is_not_a_number():
    series = torch.tensor([[0.1], [0.7], [0.3]])
    assert pcc(torch.full((3, 1), 0.1), series).isnan().all()
    assert pcc(series, torch.full((3, 1), 0.1)).isnan().all()
    none = torch.zeros(3, dtype=torch.bool)
    for metric in (pcc, root_mean_squared_error, unweighted_average_recall):
        assert metric(series, series, none).isnan().all()


def test_pcc_is_one_for_any_rising_line():
    series = torch.tensor([[1e6], [1e6 + 1], [1e6 + 3]])
    assert pcc(3 * series - 7, series).item() == pytest.approx(1.0, abs=1e-9)


def test_unweighted_average_recall_counts_classes_not_steps():
    # Nine of class 0, one of class 1, none of class 2; always guessing class 0 is right in half of the classes.
    label = torch.nn.functional.one_hot(torch.tensor([0] * 9 + [1]), 3).float()
    guess = torch.tensor([[1.0, 0.0, 0.5]]).expand(10, 3)
    assert unweighted_average_recall(guess, label).item() == 0.5
    assert unweighted_average_recall(label, label).item() == 1.0
    assert unweighted_average_recall(guess * float("nan"), label).isnan()
    valid = torch.tensor([True] * 9 + [False])
    assert unweighted_average_recall(guess, label, valid).item() == 1.0
