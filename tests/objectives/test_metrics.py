"""The concordance of a split against sums written out in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from affectzoo.errors import InputError
from affectzoo.objectives.metrics import (
    CLASS_METRICS,
    REGRESSION_METRICS,
    ccc,
    expected_calibration_error,
    f1_macro,
    icc11,
    icc31,
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
    for metric in (REGRESSION_METRICS | CLASS_METRICS).values():
        assert torch.equal(metric(spoilt_prediction, spoilt_label, valid), metric(prediction, label, valid))


def test_nothing_valid_is_no_number():
    prediction, label, valid = random_split(5)
    for metric in REGRESSION_METRICS.values():
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
    for metric in (REGRESSION_METRICS | CLASS_METRICS).values():
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


def anova_icc(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """ICC(1,1) and ICC(3,1) from the table of Shrout and Fleiss 1979: n targets, k = 2 judges, sums of squares."""
    table = np.stack((x, y), axis=1)
    n, k = table.shape
    rows, judges = table.mean(1, keepdims=True), table.mean(0, keepdims=True)
    bms = k * ((rows - table.mean()) ** 2).sum() / (n - 1)
    wms = ((table - rows) ** 2).sum() / (n * (k - 1))
    ems = ((table - rows - judges + table.mean()) ** 2).sum() / ((n - 1) * (k - 1))
    return (bms - wms) / (bms + (k - 1) * wms), (bms - ems) / (bms + (k - 1) * ems)


@pytest.mark.parametrize("seed", range(3))
def test_intraclass_correlations_are_those_of_the_analysis_of_variance(seed):
    prediction, label, valid = random_split(seed)
    for k in range(2):
        x, y = prediction[valid][:, k].double().numpy(), label[valid][:, k].double().numpy()
        one_way, consistency = anova_icc(x, y)
        assert icc11(prediction, label, valid)[k].item() == pytest.approx(one_way, abs=1e-12)
        assert icc31(prediction, label, valid)[k].item() == pytest.approx(consistency, abs=1e-12)


def test_intraclass_correlations_of_the_published_example():
    # Shrout and Fleiss 1979, table 2, judges 1 and 2 of six targets; the mean squares were worked out by hand.
    first, second = torch.tensor([[9.0], [6], [8], [7], [10], [6]]), torch.tensor([[2.0], [1], [4], [1], [5], [2]])
    # Row means 5.5 3.5 6 4 7.5 4 about 61/12: BMS = 2 * 11.7083.. / 5; differences 7 5 4 6 5 4: WMS = 167 / 12.
    bms, wms = 2 * (sum(m * m for m in (5.5, 3.5, 6, 4, 7.5, 4)) - 30.5**2 / 6) / 5, 167 / 12
    ems = (167 - 31**2 / 6) / 2 / 5
    assert icc11(first, second).item() == pytest.approx((bms - wms) / (bms + wms), abs=1e-12)
    assert icc31(first, second).item() == pytest.approx((bms - ems) / (bms + ems), abs=1e-12)


def test_an_offset_costs_agreement_but_not_consistency():
    label = torch.tensor([[0.0], [1.0], [2.0], [5.0]])
    assert icc31(label + 3, label).item() == pytest.approx(1.0, abs=1e-12)
    assert icc11(label + 3, label).item() < 0.6
    for metric in (icc11, icc31):
        assert metric(label, label).item() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("value", [0.1, 1 / 3])
def test_intraclass_correlations_without_variance_are_not_numbers(value):
    same, other = torch.full((7, 1), value, dtype=torch.float64), torch.full((7, 1), -0.7, dtype=torch.float64)
    assert icc31(same, same).isnan().all()
    assert icc11(same, same).isnan().all()
    assert icc31(same, other).isnan().all()
    assert icc11(same, other).item() == pytest.approx(-1.0, abs=1e-12)
    series = torch.arange(7.0).unsqueeze(-1)
    assert icc31(same, series).item() == pytest.approx(0.0, abs=1e-12)


def test_of_one_step_only_errors_and_the_concordance_of_two_numbers_are_left():
    one, other = torch.tensor([[0.5]]), torch.tensor([[0.25]])
    found = {name: metric(one, other, None).item() for name, metric in REGRESSION_METRICS.items()}
    assert {name for name, value in found.items() if math.isnan(value)} == {"pcc", "icc31", "icc11"}
    assert (found["ccc"], found["mae"], found["rmse"]) == (0.0, 0.25, 0.25)


@pytest.mark.parametrize("name", REGRESSION_METRICS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_no_regression_metric_drops_a_prediction_that_is_not_finite(name, bad):
    prediction, label, valid = random_split(2)
    valid[:] = True
    prediction[3, 2, 0] = bad
    found = REGRESSION_METRICS[name](prediction, label, valid)
    assert not found[0].isfinite()
    assert found[1].isfinite()


def looped_f1(chosen: list[int], true: list[int]) -> float:
    """One class at a time."""
    scores = []
    for k in set(chosen) | set(true):
        hits = sum(c == t == k for c, t in zip(chosen, true, strict=True))
        scores.append(2 * hits / (chosen.count(k) + true.count(k)))
    return sum(scores) / len(scores)


@pytest.mark.parametrize("seed", range(3))
def test_f1_is_the_mean_over_classes_one_at_a_time(seed):
    generator = torch.Generator().manual_seed(seed)
    label = torch.nn.functional.one_hot(torch.randint(3, (8, 4), generator=generator), 5).float()
    scores = label + torch.randn(8, 4, 5, generator=generator)
    valid = torch.rand(8, 4, generator=generator) < 0.7
    found = f1_macro(scores, label, valid)
    assert found.dtype == torch.float64
    wanted = looped_f1(scores[valid].argmax(-1).tolist(), label[valid].argmax(-1).tolist())
    assert found.item() == pytest.approx(wanted, abs=1e-12)


def test_f1_counts_a_class_that_is_only_predicted_and_none_that_never_occurs():
    label = torch.nn.functional.one_hot(torch.tensor([0, 0, 0, 1]), 4).float()
    guess = torch.nn.functional.one_hot(torch.tensor([0, 0, 2, 1]), 4).float()
    # Class 0: 4 / 5, class 1: 1, class 2: 0, class 3 is nowhere.
    assert f1_macro(guess, label).item() == pytest.approx((0.8 + 1 + 0) / 3)
    assert f1_macro(guess * float("nan"), label).isnan()


def looped_calibration_error(probable: list[list[float]], true: list[int], bins: int) -> float:
    """Guo et al. 2017, equation 3, a bin at a time."""
    error = 0.0
    for m in range(1, bins + 1):
        held = [i for i, row in enumerate(probable) if (m - 1) / bins < max(row) <= m / bins]
        if held:
            accuracy = sum(probable[i].index(max(probable[i])) == true[i] for i in held) / len(held)
            confidence = math.fsum(max(probable[i]) for i in held) / len(held)
            error += len(held) / len(probable) * abs(accuracy - confidence)
    return error


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_calibration_error_is_the_gap_of_each_bin_weighted_by_its_steps(bins):
    generator = torch.Generator().manual_seed(bins)
    probable = (2 * torch.randn(6, 9, 4, generator=generator)).softmax(-1)
    true = torch.randint(4, (6, 9), generator=generator)
    valid = torch.rand(6, 9, generator=generator) < 0.7
    label = torch.nn.functional.one_hot(true, 4).float()
    found = expected_calibration_error(probable, label, valid, bins)
    wanted = looped_calibration_error(probable[valid].double().tolist(), true[valid].tolist(), bins)
    assert found.dtype == torch.float64
    assert found.item() == pytest.approx(wanted, abs=1e-12)


def test_calibration_error_of_known_cases():
    sure, even = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]])
    yes, no = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert expected_calibration_error(sure, yes) == 0
    assert expected_calibration_error(sure, no) == 1
    assert expected_calibration_error(torch.cat([even, even]), torch.cat([yes, no])) == 0
    # Too sure in one bin and not sure enough in another do not cancel.
    mixed = torch.tensor([[0.9, 0.1], [0.6, 0.4]])
    assert expected_calibration_error(mixed, torch.cat([no, yes]), bins=10).item() == pytest.approx((0.9 + 0.4) / 2)


def test_a_probability_on_an_edge_lies_in_the_bin_under_it():
    probable = torch.tensor([[0.5, 0.3, 0.2], [0.4, 0.3, 0.3]], dtype=torch.float64)
    label = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    assert expected_calibration_error(probable, label, bins=2).item() == pytest.approx(abs(0.5 - 0.45))


def test_calibration_error_without_steps_is_not_a_number_and_logits_are_refused():
    probable, label = torch.full((2, 3), 1 / 3), torch.eye(3)[:2]
    assert expected_calibration_error(probable, label, torch.zeros(2, dtype=torch.bool)).isnan()
    assert expected_calibration_error(torch.full((2, 3), float("nan")), label).isnan()
    with pytest.raises(InputError, match="take the softmax"):
        expected_calibration_error(3 * label, label)
    with pytest.raises(InputError, match="at least 1 bin, not 0"):
        expected_calibration_error(probable, label, bins=0)
