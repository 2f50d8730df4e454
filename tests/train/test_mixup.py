"""Mixup: inputs and labels by one share a window; what only one of the two has is never halved."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from accelerate import debug_launcher

from affectzoo.config import TrainConfig
from affectzoo.errors import ConfigError
from affectzoo.train.augment import augment
from affectzoo.train.augment.mixup import mixup
from affectzoo.train.loop import train
from affectzoo.train.runs import run_folder
from tests.train.test_processes import child, curve
from tests.train.toys import toy_dataset, toy_experiment, use_dataset

SIZE, LENGTH = 64, 3


def batch() -> dict[str, Any]:
    """Every value says which window it is of: the mixture is seen by its value."""
    numbers = torch.arange(SIZE, dtype=torch.float32)
    everywhere = numbers.view(-1, 1, 1).expand(SIZE, LENGTH, 2).clone()
    return {
        "inputs": {"audio": everywhere.unsqueeze(-1).expand(-1, -1, -1, 4).clone(), "visual": everywhere.clone()},
        "masks": {name: torch.ones(SIZE, LENGTH, dtype=torch.bool) for name in ("audio", "visual")},
        "targets": everywhere.clone(),
        "valid": torch.ones(SIZE, LENGTH, dtype=torch.bool),
        "row": numbers.long(),
    }


def mixed(given: dict[str, Any], alpha: float = 1.0, seed: int = 0) -> tuple[dict[str, Any], torch.Tensor]:
    """The mixture and who the partner of each window is, which the draws begin with."""
    partner = torch.randperm(SIZE, generator=torch.Generator().manual_seed(seed))
    return mixup(given, alpha, torch.Generator().manual_seed(seed)), partner


def test_inputs_of_all_modalities_and_labels_are_mixed_by_the_share_of_their_window():
    given = batch()
    found, partner = mixed(given)
    value = found["targets"][:, 0, 0]
    own = torch.arange(SIZE)
    low, high = torch.minimum(own, partner), torch.maximum(own, partner)
    # Sums of numbers up to 64 in float32.
    assert ((value >= low - 1e-4) & (value <= high + 1e-4)).all()
    for tensor in (*found["inputs"].values(), found["targets"]):
        torch.testing.assert_close(tensor, value.view(-1, *(1,) * (tensor.ndim - 1)).expand_as(tensor), atol=1e-5, rtol=0)
    share = ((value - partner) / (own - partner))[own != partner]
    assert share.unique().numel() > 50, "each window its own"
    assert abs(share.mean() - 0.5) < 0.12, "three standard errors of 64 uniform draws"
    assert all(torch.equal(given["inputs"][name], batch()["inputs"][name]) for name in given["inputs"])


@pytest.mark.parametrize(("alpha", "spread"), [(0.2, 0.42), (8.0, 0.121)])
def test_alpha_is_that_of_the_beta_distribution(alpha, spread):
    shares = []
    for seed in range(20):
        found, partner = mixed(batch(), alpha, seed)
        own = torch.arange(SIZE)
        shares.append(((found["targets"][:, 0, 0] - partner) / (own - partner))[own != partner])
    # Of Beta(a, a): 1 / (2 sqrt(2 a + 1)); of 1260 draws within 5 %.
    assert torch.cat(shares).std() == pytest.approx(spread, rel=0.05)


def test_a_step_that_one_of_the_two_has_is_taken_whole_and_counts_only_with_both_labels():
    given = batch()
    draws = torch.Generator().manual_seed(5)
    for mask in (*given["masks"].values(), given["valid"]):
        mask &= torch.rand(SIZE, LENGTH, generator=draws) < 0.5
    for name, x in given["inputs"].items():
        x[~given["masks"][name]] = float("nan")
    given["targets"][~given["valid"]] = float("nan")
    found, partner = mixed(given)
    own = torch.arange(SIZE).view(-1, 1).expand(SIZE, LENGTH)
    other = partner.view(-1, 1).expand(SIZE, LENGTH)
    for name, mask in given["masks"].items():
        theirs = mask[partner]
        assert torch.equal(found["masks"][name], mask | theirs)
        value = found["inputs"][name].flatten(2)[..., 0]
        assert value[mask | theirs].isfinite().all()
        assert torch.equal(value[mask & ~theirs], own[mask & ~theirs].float())
        assert torch.equal(value[~mask & theirs], other[~mask & theirs].float())
    assert torch.equal(found["valid"], given["valid"] & given["valid"][partner])
    seen = given["masks"]["audio"] | given["masks"]["visual"]
    label, counted = found["targets"][..., 0], found["valid"]
    assert label[counted].isfinite().all()
    for whose, alone in ((own, seen & ~seen[partner]), (other, ~seen & seen[partner])):
        assert (alone & counted).any()
        assert torch.equal(label[alone & counted], whose[alone & counted].float())


def test_dropped_modalities_stay_dropped_and_what_is_off_draws_nothing():
    settings = TrainConfig(mixup=1.0, modality_dropout=1.0)
    found = augment(batch(), {}, settings, torch.Generator().manual_seed(0))
    present = torch.stack([mask.any(dim=1) for mask in found["masks"].values()])
    assert (present.sum(0) == 1).all()
    assert not torch.equal(found["targets"], batch()["targets"])
    generator = torch.Generator().manual_seed(0)
    before, given = generator.get_state(), batch()
    assert augment(given, {}, TrainConfig(), generator)["targets"] is given["targets"]
    assert torch.equal(generator.get_state(), before)


def test_a_seed_decides_and_a_saved_generator_goes_on():
    generator = torch.Generator().manual_seed(0)
    first = mixup(batch(), 1.0, generator)
    state = generator.get_state()
    second = mixup(batch(), 1.0, generator)
    generator.set_state(state)
    assert torch.equal(mixup(batch(), 1.0, generator)["targets"], second["targets"])
    assert not torch.equal(first["targets"], second["targets"])
    torch.rand(3)  # the global generator has no say
    again = mixup(batch(), 1.0, torch.Generator().manual_seed(0))
    assert torch.equal(again["targets"], first["targets"])


def test_batches_of_one_window_are_refused(tmp_path, monkeypatch):
    use_dataset(monkeypatch, toy_dataset())
    with pytest.raises(ConfigError, match=r"train\.mixup has no effect with train\.batch_size 1: there is no other window"):
        train(toy_experiment(tmp_path, train={"mixup": 0.2, "batch_size": 1}))


@pytest.mark.forks
def test_two_processes_mix_windows_of_their_own(tmp_path, monkeypatch):
    use_dataset(monkeypatch, toy_dataset({"train": 3, "val": 4, "test": 3}))
    # 12 windows in batches of 2 * 5: the last has one for each process, its own partner.
    experiment = toy_experiment(tmp_path, streams=("audio", "visual"), train={"mixup": 1.0, "batch_size": 5})
    debug_launcher(child, args=(experiment,), num_processes=2)
    assert all(0 < line["loss"] < 3 for line in curve(run_folder(experiment)))
