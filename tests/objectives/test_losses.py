"""Losses agree with the metrics, ignore what does not count, and never give a gradient that is not a number."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from affectzoo.config import TargetConfig
from affectzoo.errors import ConfigError
from affectzoo.objectives.losses import Objective, balanced_weights, log_frequencies
from affectzoo.objectives.metrics import ccc

LOSSES = ("ccc", "mse", "l1", "smooth-l1")
EMOTION = {"name": "emotion", "kind": "categorical", "classes": 3}
PAIN = {"name": "pain", "kind": "ordinal", "low": 0, "high": 5}
#: Every kind of loss at once, by the name of the regressed targets' loss.
ALL_KINDS = ("valence", EMOTION, PAIN, "bdi-ii")


def targets_of(*given: object) -> list[TargetConfig]:
    return [TargetConfig.parse(target) for target in given]


def affect(loss: str = "ccc") -> Objective:
    return Objective(targets_of("valence", "arousal"), loss=loss)


def all_kinds(loss: str, weighting: str = "fixed") -> Objective:
    return Objective(
        targets_of(*ALL_KINDS),
        loss=loss,
        ordinal_loss="thresholds",
        weights={"valence": 2.0, "bdi-ii": 0.5},
        weighting=weighting,
        class_weights={"emotion": torch.tensor([0.5, 2.0, 3.0])},
    )


def batch(seed: int = 0, shape: tuple[int, int, int] = (4, 6, 2)) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    label = torch.rand(shape, generator=generator) * 2 - 1
    prediction = 0.5 * label + 0.4 * torch.randn(shape, generator=generator)
    return prediction, label, torch.rand(shape[:2], generator=generator) < 0.7


def batch_of_all_kinds(seed: int = 0, size: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    """Predictions and labels of `ALL_KINDS`, `[B, 5, 6]` float64, in the units of the labels."""
    generator = torch.Generator().manual_seed(seed)
    valence, bdi = (torch.rand(size, 5, 1, generator=generator, dtype=torch.float64) for _ in range(2))
    emotion = functional.one_hot(torch.randint(3, (size, 5), generator=generator), 3).double()
    pain = torch.randint(6, (size, 5, 1), generator=generator).double()
    label = torch.cat((2 * valence - 1, emotion, pain, 63 * bdi), dim=-1)
    noise = torch.randn(label.shape, generator=generator, dtype=torch.float64)
    prediction = 0.6 * label + noise * torch.tensor([0.4, 1, 1, 1, 1.5, 12], dtype=torch.float64) + 0.1
    return prediction, label, torch.rand(size, 5, generator=generator) < 0.7


@pytest.mark.parametrize("seed", range(3))
def test_ccc_loss_is_one_minus_the_metric_over_the_whole_batch(seed):
    prediction, label, valid = batch(seed)
    wanted = 1 - ccc(prediction, label, valid).mean().item()
    assert affect()(prediction, label, valid).item() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("offset", [0.0, 100.0, 1000.0])
def test_a_far_offset_cancels_no_digits_of_the_ccc_loss(offset):
    # Raw second moments of float32 would be off by 0.1 and more at 1000: 1e6 * 6e-8 against a variance of 0.3.
    prediction, label, valid = batch(1)
    found = affect()(prediction + offset, label + offset, valid)
    wanted = 1 - ccc(prediction + offset, label + offset, valid).mean().item()
    assert found.item() == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(
    ("loss", "step"),
    [
        ("mse", lambda d: d**2),
        ("l1", abs),
        ("smooth-l1", lambda d: d**2 / 0.2 if abs(d) < 0.1 else abs(d) - 0.05),
    ],
)
def test_the_other_losses_are_means_over_valid_steps_and_targets(loss, step):
    prediction, label, valid = batch()
    differences = (prediction - label)[valid].flatten().tolist()
    wanted = sum(step(d) for d in differences) / len(differences)
    assert affect(loss)(prediction, label, valid).item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), 1e30])
def test_steps_that_do_not_count_change_neither_loss_nor_gradient(loss, rubbish):
    prediction, label, valid = batch_of_all_kinds(1)
    found = []
    for content in (0.0, rubbish):
        x = prediction.float().masked_fill(~valid.unsqueeze(-1), content).requires_grad_()
        value = all_kinds(loss)(x, label.masked_fill(~valid.unsqueeze(-1), content), valid)
        value.backward()
        found.append((value.detach(), x.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert (found[1][1][~valid] == 0).all()
    assert (found[1][1][valid] != 0).any(dim=0).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("prediction", "label", "valid"),
    [
        (torch.full((2, 3, 6), 0.4), torch.full((2, 3, 6), 0.4), torch.ones(2, 3, dtype=torch.bool)),
        (torch.full((2, 3, 6), 0.4), torch.full((2, 3, 6), -0.4), torch.ones(2, 3, dtype=torch.bool)),
        (torch.zeros(2, 3, 6), torch.rand(2, 3, 6), torch.ones(2, 3, dtype=torch.bool)),
        (torch.rand(1, 1, 6), torch.rand(1, 1, 6), torch.ones(1, 1, dtype=torch.bool)),
        (torch.rand(2, 3, 6), torch.rand(2, 3, 6), torch.zeros(2, 3, dtype=torch.bool)),
        (torch.rand(0, 3, 6), torch.rand(0, 3, 6), torch.zeros(0, 3, dtype=torch.bool)),
    ],
    ids=["equal constants", "two constants", "constant prediction", "one step", "no valid step", "no window"],
)
def test_degenerate_batches_give_finite_losses_and_gradients(loss, prediction, label, valid):
    x = prediction.clone().requires_grad_()
    value = all_kinds(loss)(x, label, valid)
    value.backward()
    assert value.isfinite()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("weighting", ["fixed", "uncertainty"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_is_the_slope(loss, weighting):
    prediction, label, valid = batch_of_all_kinds(2, size=2)
    objective = all_kinds(loss, weighting)
    if objective.log_variance is not None:
        torch.nn.init.normal_(objective.log_variance)
    torch.autograd.gradcheck(lambda x: objective(x, label, valid), prediction.requires_grad_())


@pytest.mark.parametrize("loss", LOSSES)
def test_a_prediction_that_is_not_a_number_shows_in_the_loss(loss):
    prediction, label, valid = batch_of_all_kinds(3)
    valid[0, 0] = True
    for column in range(prediction.shape[-1]):
        spoilt = prediction.clone()
        spoilt[0, 0, column] = float("nan")
        assert all_kinds(loss)(spoilt, label, valid).isnan()


@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_predictions_are_summed_in_single_precision(loss):
    prediction, label, valid = batch_of_all_kinds(4, size=64)
    rounded = prediction.bfloat16()
    objective = all_kinds(loss, "uncertainty")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = objective(rounded, label, valid)
    assert found.dtype == torch.float32
    assert torch.equal(found, objective(rounded.float(), label, valid))


def test_cross_entropy_is_that_of_torch_over_valid_steps_with_and_without_class_weights():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 3, generator=generator)
    classes = torch.randint(3, (3, 4), generator=generator)
    valid = torch.rand(3, 4, generator=generator) < 0.6
    label = functional.one_hot(classes, 3).float()
    for weights in (None, torch.tensor([0.3, 1.0, 4.0])):
        given = None if weights is None else {"emotion": weights}
        found = Objective(targets_of(EMOTION), class_weights=given)(logits, label, valid)
        wanted = functional.cross_entropy(logits[valid], classes[valid], weight=weights)
        assert found.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_cross_entropy_takes_the_share_of_each_class():
    logits, share = torch.tensor([[[1.0, 0.0, -1.0]]]), torch.tensor([[[0.25, 0.75, 0.0]]])
    found = Objective(targets_of(EMOTION))(logits, share, torch.ones(1, 1, dtype=torch.bool))
    assert found.item() == pytest.approx(-(share * logits.log_softmax(-1)).sum().item(), rel=1e-6)


def test_thresholds_lie_between_levels_and_each_pays_its_own_side():
    levels = TargetConfig.parse({"name": "stars", "kind": "ordinal", "low": 1, "high": 4})
    objective = Objective([levels], ordinal_loss="thresholds")
    # Level 2 of 1..4 predicted as 3.2: right of 1.5 as it should, right of 2.5 as it should not, left of 3.5.
    distances = [1.5 - 3.2, 3.2 - 2.5, 3.2 - 3.5]
    wanted = sum(math.log1p(math.exp(d)) for d in distances) / 3
    found = objective(torch.tensor([[[3.2]]]), torch.tensor([[[2.0]]]), torch.ones(1, 1, dtype=torch.bool))
    assert found.item() == pytest.approx(wanted, rel=1e-6)


def test_thresholds_grow_with_the_distance_between_levels():
    objective = Objective(targets_of(PAIN), ordinal_loss="thresholds")
    valid = torch.ones(1, 1, dtype=torch.bool)
    found = [objective(torch.tensor([[[2.0]]]), torch.tensor([[[float(y)]]]), valid).item() for y in range(6)]
    assert found.index(min(found)) == 2
    assert found == sorted(found[:3], reverse=True) + sorted(found[3:])


def test_a_wide_range_does_not_outweigh_a_narrow_one():
    # Half a range off counts the same on 0..63 and on -1..1.
    prediction = torch.tensor([31.5, 0.0]).expand(2, 3, 2)
    label = torch.tensor([63.0, 1.0]).expand(2, 3, 2)
    objective = Objective(targets_of("bdi-ii", "valence"), loss="mse")
    assert objective(prediction, label, torch.ones(2, 3, dtype=torch.bool)).item() == pytest.approx(1.0)


@pytest.mark.parametrize("loss", LOSSES)
def test_targets_of_several_kinds_are_averaged_each_over_its_own_columns_and_by_its_weight(loss):
    prediction, label, valid = batch_of_all_kinds(5)
    class_weights = {"emotion": torch.tensor([0.5, 2.0, 3.0])}
    columns = {"valence": [0], "emotion": [1, 2, 3], "pain": [4], "bdi-ii": [5]}
    weights = {"valence": 2.0, "emotion": 1.0, "pain": 1.0, "bdi-ii": 0.5}
    alone = {}
    for target in targets_of(*ALL_KINDS):
        objective = Objective(
            [target],
            loss=loss,
            ordinal_loss="thresholds" if target.kind == "ordinal" else "regress",
            class_weights=class_weights if target.kind == "categorical" else None,
        )
        alone[target.name] = objective(prediction[..., columns[target.name]], label[..., columns[target.name]], valid)
    wanted = sum(weights[name] * value for name, value in alone.items()) / sum(weights.values())
    torch.testing.assert_close(all_kinds(loss)(prediction, label, valid), wanted)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_target_of_weight_zero_is_left_out_whatever_it_holds(loss):
    prediction, label, valid = batch()
    label[..., 1] = float("nan")
    x = prediction.clone().requires_grad_()
    value = Objective(targets_of("valence", "arousal"), loss=loss, weights={"arousal": 0.0})(x, label, valid)
    value.backward()
    wanted = Objective(targets_of("valence"), loss=loss)(prediction[..., :1], label[..., :1], valid)
    assert torch.equal(value.detach(), wanted)
    assert x.grad is not None
    assert (x.grad[..., 1] == 0).all()


def test_uncertainty_is_the_formula_of_kendall_gal_and_cipolla():
    prediction, label, valid = batch_of_all_kinds(6)
    objective = all_kinds("mse", "uncertainty")
    s = [0.3, -0.7, 0.2, 1.1]
    assert objective.log_variance is not None
    assert objective.log_variance.tolist() == [0.0] * 4
    with torch.no_grad():
        objective.log_variance.copy_(torch.tensor(s))
    weights = {"valence": 2.0, "emotion": 1.0, "pain": 1.0, "bdi-ii": 0.5}
    wanted = 0.0
    for place, (name, weight) in enumerate(weights.items()):
        others = dict.fromkeys(weights, 0.0) | {name: 1.0}
        class_weights = {"emotion": torch.tensor([0.5, 2.0, 3.0])}
        alone = Objective(objective.targets, loss="mse", ordinal_loss="thresholds", weights=others, class_weights=class_weights)
        factor = 1.0 if name in ("emotion", "pain") else 0.5
        wanted += weight * (factor * math.exp(-s[place]) * alone(prediction, label, valid).item() + s[place] / 2)
    # The parameter is float32.
    assert objective(prediction, label, valid).item() == pytest.approx(wanted / 4.5, rel=1e-6)


def test_a_learnt_variance_settles_where_it_equals_the_loss():
    # d/ds of exp(-s) / 2 * loss + s / 2 is zero at exp(s) = loss.
    objective = Objective(targets_of("valence"), loss="mse", weighting="uncertainty")
    optimizer = torch.optim.SGD(objective.parameters(), lr=1.0)
    prediction, label, valid = torch.full((2, 3, 1), 0.4), torch.zeros(2, 3, 1), torch.ones(2, 3, dtype=torch.bool)
    for _ in range(200):
        optimizer.zero_grad()
        objective(prediction, label, valid).backward()
        optimizer.step()
    assert objective.log_variance is not None
    assert objective.log_variance.item() == pytest.approx(math.log(0.16), abs=1e-4)


def in_lockstep(
    run: Callable[[Callable[[Tensor], Tensor], int], Tensor], parts: int
) -> tuple[list[Tensor], list[list[torch.Size]]]:
    """Run every part in a thread of its own; `total` meets the others at each call, gradients flow through the own part."""
    barrier = threading.Barrier(parts, timeout=30)
    slots: list[Tensor] = [torch.empty(0)] * parts
    shapes: list[list[torch.Size]] = [[] for _ in range(parts)]

    def one(rank: int) -> Tensor:
        def total(own: Tensor) -> Tensor:
            shapes[rank].append(own.shape)
            slots[rank] = own.detach()
            barrier.wait()
            others = [slot for place, slot in enumerate(slots) if place != rank]
            barrier.wait()
            return own + torch.stack(others).sum(0)

        return run(total, rank)

    with ThreadPoolExecutor(parts) as pool:
        return list(pool.map(one, range(parts))), shapes


@pytest.mark.parametrize("weighting", ["fixed", "uncertainty"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sizes", [(5, 2), (7, 0), (3, 1, 3)], ids=str)
@pytest.mark.parametrize("blank", [False, True], ids=["", "the last part has no valid step"])
def test_parts_on_several_processes_have_the_loss_and_gradient_of_the_whole(sizes, loss, weighting, blank):
    prediction, label, valid = batch_of_all_kinds(7)
    if blank:
        valid[sum(sizes[:-1]) :] = False
    start = torch.tensor([0.3, -0.7, 0.2, 1.1])

    def objective() -> Objective:
        made = all_kinds(loss, weighting).double()
        if made.log_variance is not None:
            made.log_variance.data.copy_(start)
        return made

    whole, x = objective(), prediction.clone().requires_grad_()
    wanted = whole(x, label, valid)
    wanted.backward()

    xs = [part.clone().requires_grad_() for part in prediction.split(sizes)]
    labels, valids, objectives = label.split(sizes), valid.split(sizes), [objective() for _ in sizes]
    values, shapes = in_lockstep(lambda total, i: objectives[i](xs[i], labels[i], valids[i], total=total), len(sizes))
    for value in values:
        value.backward()
        # Double precision, sums in another order.
        torch.testing.assert_close(value, wanted, rtol=1e-12, atol=1e-14)
    found = [part.grad if part.grad is not None else torch.zeros_like(part) for part in xs]
    torch.testing.assert_close(torch.cat(found), x.grad, rtol=1e-10, atol=1e-13)
    if whole.log_variance is not None:
        gradients = [made.log_variance.grad for made in objectives if made.log_variance is not None]
        summed = torch.stack([gradient for gradient in gradients if gradient is not None]).sum(0)
        torch.testing.assert_close(summed, whole.log_variance.grad, rtol=1e-10, atol=1e-13)
    assert all(shape == shapes[0] for shape in shapes)
    assert len(shapes[0]) <= 4


def test_an_objective_keeps_only_what_it_learns():
    assert list(all_kinds("ccc").state_dict()) == []
    assert list(all_kinds("ccc", "uncertainty").state_dict()) == ["log_variance"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"loss": "msee"}, "loss: unknown 'msee'; choose one of ccc, mse, l1, smooth-l1"),
        ({"ordinal_loss": "steps"}, "ordinal_loss: unknown 'steps'"),
        ({"weighting": "learnt"}, "weighting: unknown 'learnt'"),
        ({"weights": {"joy": 1.0}}, "no target 'joy'; the targets are valence, emotion, pain, bdi-ii"),
        ({"weights": {"valence": -1.0}}, "-1.0 of target 'valence'"),
        ({"weights": {"valence": float("nan")}}, "nan of target 'valence'"),
        ({"weights": dict.fromkeys(("valence", "emotion", "pain", "bdi-ii"), 0.0)}, "all are 0"),
        ({"class_weights": {"valence": torch.ones(1)}}, "no categorical target 'valence'; the categorical targets are emotion"),
        ({"class_weights": {"emotion": torch.ones(4)}}, r"'emotion' has 3 classes, but what is given is \[4\]"),
        ({"class_weights": {"emotion": torch.zeros(3)}}, "'emotion' must be numbers from 0 up, and not all 0"),
        ({"class_weights": {"emotion": torch.tensor([1.0, -1.0, 1.0])}}, "'emotion' must be numbers from 0 up"),
        ({"offsets": {"valence": torch.ones(1)}}, "offsets: no categorical target 'valence'; the categorical"),
        ({"offsets": {"joy": torch.ones(3)}}, "offsets: no categorical target 'joy'"),
        ({"offsets": {"emotion": torch.ones(1)}}, r"offsets: 'emotion' has 3 classes, but what is given is \[1\]"),
        ({"offsets": {"emotion": torch.zeros(3).log()}}, "offsets: those of 'emotion' must be finite numbers"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(given, said):
    with pytest.raises(ConfigError, match=said):
        Objective(targets_of(*ALL_KINDS), **given)


def test_thresholds_need_whole_levels_of_an_ordinal_target():
    half = {"name": "pain", "kind": "ordinal", "low": 0, "high": 2.5}
    with pytest.raises(ConfigError, match=r"'pain' has the range 0\.\.2\.5; use 'regress'"):
        Objective(targets_of("valence", half), ordinal_loss="thresholds")
    Objective(targets_of("valence", half))
    with pytest.raises(ConfigError, match=r"none of the targets \(valence\) is ordinal"):
        Objective(targets_of("valence"), ordinal_loss="thresholds")


def test_balanced_weights_give_every_present_class_the_same_say():
    counts = torch.tensor([6, 0, 3, 1])
    weights = balanced_weights(counts)
    assert weights.dtype == torch.float32
    assert weights.tolist() == pytest.approx([10 / 18, 0.0, 10 / 9, 10 / 3])
    assert (weights * counts).sum().item() == pytest.approx(10.0)
    assert balanced_weights(torch.zeros(3)).tolist() == [0.0, 0.0, 0.0]


def test_smoothed_labels_are_the_cross_entropy_with_a_share_for_every_class():
    prediction, label, valid = batch_of_all_kinds(3)
    weights = torch.tensor([0.5, 2.0, 3.0])
    target = targets_of(EMOTION)
    objective = Objective(target, class_weights={"emotion": weights}, label_smoothing=0.3)
    x, y = prediction[..., 1:4], label[..., 1:4]
    smooth = 0.7 * y[valid] + 0.1
    wanted = -(weights * smooth * x[valid].log_softmax(-1)).sum() / (weights * smooth).sum()
    assert objective(x, y, valid).item() == pytest.approx(wanted.item(), rel=1e-6)
    plain = Objective(target, class_weights={"emotion": weights})(x, y, valid)
    assert abs(plain.item() - wanted.item()) > 1e-3


def test_adjusted_logits_learn_to_predict_without_the_frequencies_of_classes():
    # Of logits that hold the frequencies already (a classifier that knows nothing else), the adjusted ones are all equal.
    counts = torch.tensor([60.0, 30.0, 10.0])
    offsets = log_frequencies(counts)
    torch.testing.assert_close(offsets, (counts / 100).log())
    logits = torch.zeros(1, 100, 3, requires_grad=True)
    labels = torch.eye(3).repeat_interleave(counts.int(), 0).unsqueeze(0)
    objective = Objective(targets_of(EMOTION), offsets={"emotion": offsets})
    loss = objective(logits, labels, torch.ones(1, 100, dtype=torch.bool))
    loss.backward()
    assert loss.item() == pytest.approx(-(counts / 100 * offsets).sum().item(), rel=1e-6)
    assert logits.grad is not None
    assert logits.grad.sum((0, 1)).abs().max() < 1e-6  # equal logits are where the loss is least


def test_an_absent_class_has_a_finite_frequency():
    assert bool(log_frequencies(torch.tensor([5.0, 0.0])).isfinite().all())


def test_smoothing_leaves_other_targets_alone():
    prediction, label, valid = batch_of_all_kinds(3)
    others = {"emotion": 0.0}
    found = [
        Objective(targets_of(*ALL_KINDS), weights=others, label_smoothing=share)(prediction, label, valid) for share in (0, 0.5)
    ]
    assert torch.equal(*found)


@pytest.mark.parametrize(
    ("given", "share", "words"),
    [
        (("valence",), 0.1, "label_smoothing has no effect: no target is categorical"),
        ((EMOTION,), 1.0, "a share from 0 up and under 1"),
        ((EMOTION,), -0.1, "a share from 0 up and under 1"),
    ],
)
def test_a_smoothing_that_cannot_be_is_refused(given, share, words):
    with pytest.raises(ConfigError, match=words):
        Objective(targets_of(*given), label_smoothing=share)
