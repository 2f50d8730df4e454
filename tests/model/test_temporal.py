"""Temporal encoders: shapes, gradients, and that masked steps neither matter nor poison."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import affectzoo
from affectzoo.errors import ConfigError

NAMES = ["tcn", "bilstm", "gru"]


def build(name, **config):
    return affectzoo.create_temporal(name, 5, **{"hidden": 6, **config}).eval()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [1, 2, 9])
def test_shape_is_what_out_dim_says(name, length):
    encoder = build(name)
    assert encoder(torch.randn(3, length, 5)).shape == (3, length, encoder.out_dim)


def test_recurrent_widths_count_their_directions():
    assert build("bilstm").out_dim == 12
    assert build("gru").out_dim == 12
    assert build("gru", bidirectional=False).out_dim == 6


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_weight_and_present_steps_only(name):
    encoder = build(name)
    x = torch.randn(2, 7, 5, requires_grad=True)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[:, 3] = False
    encoder(x, mask)[mask].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())
    assert x.grad[:, 3].abs().sum() == 0
    assert (x.grad[mask].abs().sum(dim=-1) > 0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("poison", [1e9, float("nan"), float("-inf")])
def test_content_of_masked_steps_never_matters(name, poison):
    encoder = build(name)
    x, mask = torch.randn(4, 7, 5), torch.rand(4, 7) > 0.5
    mask[0] = False
    expected = encoder(x, mask)
    assert torch.equal(encoder(x.masked_fill(~mask.unsqueeze(-1), poison), mask), expected)
    assert expected.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_an_all_true_mask_is_no_mask(name):
    encoder, x = build(name), torch.randn(2, 7, 5)
    assert torch.equal(encoder(x), encoder(x, torch.ones(2, 7)))


@pytest.mark.parametrize(("before", "after"), [(0, 5), (4, 0), (3, 2)])
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_tcn_padded_at_the_ends_equals_no_padding(before, after, levels):
    encoder, x = build("tcn", levels=levels), torch.randn(2, 6, 5)
    padded = nn.functional.pad(x, (0, 0, before, after), value=float("nan"))
    mask = torch.zeros(2, before + 6 + after, dtype=torch.bool)
    mask[:, before : before + 6] = True
    torch.testing.assert_close(encoder(padded, mask)[:, before : before + 6], encoder(x))


def test_tcn_receptive_field_is_as_documented():
    encoder = build("tcn", levels=3, kernel=3)
    x = torch.randn(1, 64, 5, requires_grad=True)
    encoder(x)[0, 32].sum().backward()
    reached = x.grad[0].abs().sum(dim=-1).nonzero().flatten()
    assert reached.max() - reached.min() + 1 <= 1 + 2 * (3 - 1) * (2**3 - 1)


def test_one_directional_gru_never_looks_ahead():
    encoder, x = build("gru", bidirectional=False), torch.randn(1, 7, 5)
    later = x.clone()
    later[:, 4:] = 0
    assert torch.equal(encoder(x)[:, :4], encoder(later)[:, :4])


@pytest.mark.parametrize("config", [{"kernel": 4}, {"kernel": -1}, {"levels": 0}, {"hidden": -1}, {"dropout": 2}])
def test_impossible_tcn_is_a_config_error(config):
    with pytest.raises(ConfigError, match="tcn"):
        build("tcn", **config)
