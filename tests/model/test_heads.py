"""The head: ranges, columns and pooling against naive versions."""

from __future__ import annotations

import numpy
import pytest
import torch
from hypothesis import given, settings, strategies as st

from affectzoo.config import HeadConfig, TargetConfig
from affectzoo.model.heads import Head, pool_steps


def naive_pool(y, mask, how):
    rows = []
    for values, present in zip(y.numpy(), mask.numpy(), strict=True):
        chosen = values[present] if present.any() else values
        rows.append({"mean": chosen.mean(0), "median": numpy.median(chosen, axis=0), "last": chosen[-1]}[how])
    return torch.from_numpy(numpy.stack(rows)).to(y.dtype)


@settings(max_examples=60, deadline=None)
@given(
    how=st.sampled_from(["mean", "median", "last"]),
    batch=st.integers(1, 4),
    length=st.integers(1, 9),
    columns=st.integers(1, 3),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**31),
)
def test_pooling_takes_the_present_steps_only(how, batch, length, columns, share, seed):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(batch, length, columns, generator=generator)
    mask = torch.rand(batch, length, generator=generator) < share
    torch.testing.assert_close(pool_steps(y, mask, how), naive_pool(y, mask, how))


@pytest.mark.parametrize("how", ["mean", "median", "last"])
def test_without_a_mask_every_step_counts(how):
    y = torch.randn(2, 6, 2)
    torch.testing.assert_close(pool_steps(y, None, how), naive_pool(y, torch.ones(2, 6, dtype=torch.bool), how))


@pytest.mark.parametrize("how", ["mean", "median", "last"])
def test_pooling_ignores_nan_at_masked_steps_and_has_gradients(how):
    y = torch.randn(2, 6, 2)
    y[:, 2] = float("nan")
    y.requires_grad_()
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[:, 2] = False
    pooled = pool_steps(y, mask, how)
    pooled.sum().backward()
    assert pooled.isfinite().all()
    assert y.grad.isfinite().all()
    assert (y.grad[:, 2] == 0).all()
    assert torch.allclose(y.grad.sum(), torch.tensor(4.0))


@pytest.mark.parametrize("how", ["mean", "median", "last"])
def test_a_diverged_model_is_not_hidden_by_pooling(how):
    y = torch.full((1, 3, 1), float("nan"))
    assert pool_steps(y, torch.ones(1, 3, dtype=torch.bool), how).isnan().all()


@pytest.mark.parametrize("how", ["mean", "median", "last"])
@pytest.mark.parametrize("length", [1, 4])
def test_a_head_that_pools_gives_the_steps_on_request(how, length):
    targets = [TargetConfig.parse("bdi-ii"), TargetConfig(name="mood", kind="categorical", classes=("sad", "glad"))]
    head = Head(4, targets, HeadConfig(hidden=None, pool=how))
    plain = Head(4, targets, HeadConfig(hidden=None))
    plain.load_state_dict(head.state_dict())
    x, mask = torch.randn(2, length, 4), torch.ones(2, length, dtype=torch.bool)
    mask[1, :-1] = False
    steps = head(x, mask, pool=False)
    assert torch.equal(steps, plain(x, mask))
    assert torch.equal(plain(x, mask), plain(x, mask, pool=False))
    torch.testing.assert_close(head(x, mask), naive_pool(steps.detach(), mask, how))


def test_regressors_are_mapped_linearly_onto_the_range_and_not_squashed():
    targets = [TargetConfig(name="a"), TargetConfig(name="b", low=0, high=63), TargetConfig(name="c", kind="ordinal", high=15)]
    head = Head(4, targets, HeadConfig(hidden=None))
    x = torch.randn(2, 3, 4) * 5
    raw = torch.cat([head.regressors[name](x) for name in "abc"], dim=-1)
    expected = torch.stack([raw[..., 0], 63 * (raw[..., 1] + 1) / 2, -1 + 16 * (raw[..., 2] + 1) / 2], dim=-1)
    torch.testing.assert_close(head(x), expected)
    assert (head(x)[..., 0].abs() > 1).any()


def test_categorical_targets_give_one_logit_per_class_in_order():
    target = TargetConfig(name="mood", kind="categorical", classes=("sad", "calm", "glad"), low=0, high=5)
    head = Head(4, [TargetConfig(name="valence"), target], HeadConfig())
    assert head.columns == ("valence", "mood.sad", "mood.calm", "mood.glad")
    x = torch.randn(2, 3, 4)
    assert torch.equal(head(x)[..., 1:], head.regressors["mood"](x))


@pytest.mark.parametrize("pool", [None, "mean"])
def test_a_temperature_divides_the_logits_of_its_target_alone(pool):
    moods = {"kind": "categorical", "classes": ("sad", "calm", "glad")}
    cold = [TargetConfig(name="valence"), TargetConfig(name="mood", **moods), TargetConfig(name="other", **moods)]
    warm = [cold[0], TargetConfig(name="mood", temperature=2.5, **moods), cold[2]]
    plain, tempered = Head(4, cold, HeadConfig(pool=pool)), Head(4, warm, HeadConfig(pool=pool))
    tempered.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 4)
    expected = plain(x).detach()
    expected[..., 1:4] /= 2.5
    torch.testing.assert_close(tempered(x), expected)


@pytest.mark.parametrize(("activation", "layer"), [("none", "Identity"), ("relu", "ReLU"), ("gelu", "GELU")])
def test_hidden_width_activation_and_dropout_are_as_configured(activation, layer):
    head = Head(4, [TargetConfig(name="valence")], HeadConfig(hidden=9, activation=activation, dropout=0.25))
    first, between, dropout, last = head.regressors["valence"]
    assert (first.out_features, last.in_features, dropout.p) == (9, 9, 0.25)
    assert type(between).__name__ == layer
