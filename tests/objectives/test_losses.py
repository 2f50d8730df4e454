"""Losses agree with the metrics, ignore what does not count, and never give a gradient that is not a number."""

from __future__ import annotations

import pytest
import torch

from affectzoo.config import TargetConfig
from affectzoo.objectives.losses import LOSSES, ccc_loss, cross_entropy_loss, mse_loss, objective
from affectzoo.objectives.metrics import ccc


def batch(seed: int = 0, shape: tuple[int, int, int] = (4, 6, 2)) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    label = torch.rand(shape, generator=generator) * 2 - 1
    prediction = 0.5 * label + 0.4 * torch.randn(shape, generator=generator)
    return prediction, label, torch.rand(shape[:2], generator=generator) < 0.7


@pytest.mark.parametrize("seed", range(3))
def test_ccc_loss_is_one_minus_the_metric_over_the_whole_batch(seed):
    prediction, label, valid = batch(seed)
    assert ccc_loss(prediction, label, valid).item() == pytest.approx(1 - ccc(prediction, label, valid).mean().item(), abs=1e-5)


def test_mse_loss_is_the_mean_over_valid_steps_and_targets():
    prediction, label, valid = batch()
    wanted = (prediction[valid] - label[valid]).square().mean().item()
    assert mse_loss(prediction, label, valid).item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), 1e30])
def test_steps_that_do_not_count_change_neither_loss_nor_gradient(name, rubbish):
    prediction, label, valid = batch(1)
    found = []
    for content in (0.0, rubbish):
        x = prediction.masked_fill(~valid.unsqueeze(-1), content).requires_grad_()
        loss = LOSSES[name](x, label.masked_fill(~valid.unsqueeze(-1), content), valid)
        loss.backward()
        found.append((loss.detach(), x.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert (found[1][1][~valid] == 0).all()
    assert (found[1][1][valid] != 0).any()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    ("prediction", "label", "valid"),
    [
        (torch.full((2, 3, 1), 0.4), torch.full((2, 3, 1), 0.4), torch.ones(2, 3, dtype=torch.bool)),
        (torch.full((2, 3, 1), 0.4), torch.full((2, 3, 1), -0.4), torch.ones(2, 3, dtype=torch.bool)),
        (torch.zeros(2, 3, 1), torch.rand(2, 3, 1), torch.ones(2, 3, dtype=torch.bool)),
        (torch.rand(1, 1, 2), torch.rand(1, 1, 2), torch.ones(1, 1, dtype=torch.bool)),
        (torch.rand(2, 3, 1), torch.rand(2, 3, 1), torch.zeros(2, 3, dtype=torch.bool)),
    ],
    ids=["equal constants", "two constants", "constant prediction", "one step", "no valid step"],
)
def test_degenerate_batches_give_finite_losses_and_gradients(name, prediction, label, valid):
    x = prediction.clone().requires_grad_()
    loss = LOSSES[name](x, label, valid)
    loss.backward()
    assert loss.isfinite()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_the_gradient_of_the_ccc_loss_is_its_slope():
    prediction, label, valid = batch(2, (2, 4, 1))
    x = prediction.clone().requires_grad_()
    ccc_loss(x, label, valid).backward()
    assert x.grad is not None
    for place in valid.nonzero().tolist():
        step = torch.zeros_like(prediction).double()
        step[place[0], place[1], 0] = 1e-4
        up, down = (ccc(prediction.double() + sign * step, label, valid).mean() for sign in (1, -1))
        assert x.grad[place[0], place[1], 0].item() == pytest.approx(-(up - down).item() / 2e-4, abs=1e-4)


def test_a_prediction_that_is_not_a_number_shows_in_the_loss():
    prediction, label, valid = batch(3)
    valid[0, 0] = True
    prediction[0, 0, 0] = float("nan")
    assert all(loss(prediction, label, valid).isnan() for loss in LOSSES.values())


def test_half_precision_predictions_are_summed_in_single_precision():
    prediction, label, valid = batch(4, (64, 16, 2))
    rounded = prediction.bfloat16()
    assert ccc_loss(rounded, label, valid).dtype == torch.float32
    torch.testing.assert_close(ccc_loss(rounded, label, valid), ccc_loss(rounded.float(), label, valid))


def test_cross_entropy_is_the_mean_of_minus_log_of_the_true_class_over_valid_steps():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 5, generator=generator)
    classes = torch.randint(5, (3, 4), generator=generator)
    valid = torch.rand(3, 4, generator=generator) < 0.6
    wanted = -logits.log_softmax(-1).gather(-1, classes.unsqueeze(-1))[valid].mean()
    label = torch.nn.functional.one_hot(classes, 5).float()
    assert cross_entropy_loss(logits, label, valid).item() == pytest.approx(wanted.item(), rel=1e-5)
    assert cross_entropy_loss(logits, label, torch.zeros(3, 4, dtype=torch.bool)).item() == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_the_objective_of_valence_and_arousal_is_the_loss_itself(loss):
    # The bundled model's recipe must train as it did: bit for bit, gradient included.
    prediction, label, valid = batch()
    pairs = []
    for function in (LOSSES[loss], lambda *given: objective(*given, _targets("valence", "arousal"), loss)):
        x = prediction.clone().requires_grad_()
        value = function(x, label, valid)
        value.backward()
        pairs.append((value.detach(), x.grad))
    assert torch.equal(pairs[0][0], pairs[1][0])
    assert torch.equal(pairs[0][1], pairs[1][1])


def test_a_wide_range_does_not_outweigh_a_narrow_one():
    # Half a range off counts the same on 0..63 and on -1..1.
    prediction = torch.tensor([31.5, 0.0]).expand(2, 3, 2)
    label = torch.tensor([63.0, 1.0]).expand(2, 3, 2)
    both = objective(prediction, label, torch.ones(2, 3, dtype=torch.bool), _targets("bdi-ii", "valence"), "mse")
    assert both.item() == pytest.approx(1.0)


def test_targets_of_several_kinds_are_averaged_each_over_its_own_columns():
    targets = _targets("valence", {"name": "emotion", "kind": "categorical", "classes": 3}, "arousal")
    generator = torch.Generator().manual_seed(1)
    prediction, label = torch.randn(2, 3, 5, generator=generator), torch.rand(2, 3, 5, generator=generator)
    valid = torch.ones(2, 3, dtype=torch.bool)
    found = objective(prediction, label, valid, targets, "mse")
    regressed = mse_loss(prediction[..., [0, 4]], label[..., [0, 4]], valid)
    wanted = (2 * regressed + cross_entropy_loss(prediction[..., 1:4], label[..., 1:4], valid)) / 3
    assert found.item() == pytest.approx(wanted.item(), rel=1e-6)


def _targets(*given: object) -> list[TargetConfig]:
    return [TargetConfig.parse(target) for target in given]
