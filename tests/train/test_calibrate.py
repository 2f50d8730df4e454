"""A temperature is what makes the reported probabilities likeliest, is saved with the model, and is fitted anew each time."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import debug_launcher

import affectzoo
from affectzoo.config import ModelConfig, TargetConfig
from affectzoo.errors import ConfigError
from affectzoo.train import loop
from affectzoo.train.calibrate import fit_temperature, minimise, negative_log_likelihood
from affectzoo.train.evaluate import SplitPredictions, by_recording, by_step
from affectzoo.train.loop import train
from affectzoo.train.runs import run_folder
from tests.train.test_processes import child
from tests.train.toys import toy_experiment, toy_rows, use_dataset

MOOD = TargetConfig(name="mood", kind="categorical", classes=("calm", "tense", "glad"))


def split(logits: torch.Tensor, true: torch.Tensor, valid: torch.Tensor | None = None) -> SplitPredictions:
    """`[W, L, C]` logits and `[W, L]` classes, a recording each."""
    row = torch.arange(len(logits))
    return SplitPredictions(
        prediction=logits,
        label=torch.nn.functional.one_hot(true, 3).float(),
        valid=torch.ones(true.shape, dtype=torch.bool) if valid is None else valid,
        present=torch.ones(true.shape, dtype=torch.bool),
        row=row,
        step=torch.arange(true.shape[1]).expand(true.shape),
    )


def honest(windows: int, length: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and classes drawn from their own probabilities."""
    generator = torch.Generator().manual_seed(0)
    logits = 1.5 * torch.randn(windows, length, 3, generator=generator)
    true = torch.multinomial(logits.softmax(-1).flatten(0, 1), 1, generator=generator).view(windows, length)
    return logits, true


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_logits_that_are_too_large_by_a_factor_get_it_as_temperature(factor):
    logits, true = honest(5000)
    found = fit_temperature(split(factor * logits, true), MOOD, slice(0, 3), None)
    # 10,000 draws say it to about 2 %.
    assert found["temperature"] == pytest.approx(factor, rel=0.06)
    assert found["ece_after"] < 0.02
    assert found["nll_after"] <= found["nll_before"]
    if factor != 1:
        assert found["ece_before"] > 0.05


def test_the_temperature_is_relative_to_the_one_in_the_logits():
    logits, true = honest(2000)
    plain = fit_temperature(split(3 * logits, true), MOOD, slice(0, 3), None)
    divided = fit_temperature(split(3 * logits / 2, true), MOOD.model_copy(update={"temperature": 2.0}), slice(0, 3), None)
    assert divided["temperature"] == pytest.approx(plain["temperature"], rel=1e-3)
    assert divided["nll_after"] == pytest.approx(plain["nll_after"], abs=1e-6)


@pytest.mark.parametrize("pool", [None, "mean", "median", "last"])
def test_what_is_reported_is_likeliest_there(pool):
    base, true = honest(120, length=1)
    logits = base + 0.5 * torch.randn(120, 5, 3, generator=torch.Generator().manual_seed(2))
    true = true.expand(-1, 5)
    valid = torch.rand(true.shape, generator=torch.Generator().manual_seed(1)) < 0.8
    given = split(2 * logits, true, valid)
    found = fit_temperature(given, MOOD, slice(0, 3), pool)

    def cost(temperature: float) -> float:
        steps = by_step(split(2 * logits.double() / temperature, true, valid), [MOOD])
        reported = steps if pool is None else by_recording(steps, pool)
        return negative_log_likelihood(reported)

    assert found["nll_after"] == pytest.approx(cost(found["temperature"]), abs=1e-6)
    assert all(found["nll_after"] <= cost(found["temperature"] * factor) + 1e-7 for factor in (0.5, 0.9, 0.98, 1.02, 1.1, 2))


def test_steps_that_do_not_count_have_no_say():
    logits, true = honest(300)
    valid = torch.rand(true.shape, generator=torch.Generator().manual_seed(1)) < 0.6
    spoiled = logits.masked_fill(~valid.unsqueeze(-1), 50.0)
    one, other = (fit_temperature(split(x, true, valid), MOOD, slice(0, 3), None) for x in (logits, spoiled))
    assert one == pytest.approx(other, abs=1e-6)


def test_without_a_mistake_the_temperature_ends_at_its_bound():
    logits, _ = honest(50)
    found = fit_temperature(split(logits, logits.argmax(-1)), MOOD, slice(0, 3), None)
    assert found["temperature"] == pytest.approx(1 / 20, rel=1e-3)
    assert found["nll_after"] < found["nll_before"]


@pytest.mark.parametrize("least", [-2.99, -1.234, 0.0, 0.07, 2.9])
def test_the_least_of_one_valley_or_the_lower_of_two_is_found(least):
    assert minimise(lambda x: (x - least) ** 2, -3.0, 3.0) == pytest.approx(least, abs=1e-3)
    assert minimise(lambda x: min((x - least) ** 2, (x + 1.5 + least) ** 2 + 0.05), -3.0, 3.0) == pytest.approx(least, abs=1e-3)


def moods(number: int, arrays: dict[str, Any]) -> None:
    """Three classes that the first inputs decide, some of them wrong."""
    whole = np.mean(list(arrays["inputs"].values()), axis=0)[:, :3]
    chosen = whole.argmax(axis=1)
    chosen[number % 5] = number % 3
    arrays["targets"] = np.concatenate([np.eye(3)[chosen], np.tanh(whole[:, :1])], axis=1).astype(np.float32)


def build(config: ModelConfig, **_: Any) -> dict[str, Any]:
    sizes = {"train": 12, "val": 8, "test": 6}
    four = config.model_copy(update={"targets": tuple(TargetConfig(name=n) for n in "abcd")})
    return {split: toy_rows(four, split, count, change=moods) for split, count in sizes.items()}


def experiment(folder: Path, *, temperature: float = 1.0, pool: str | None = None, **settings: Any) -> Any:
    toy = toy_experiment(folder, train={"lr": 0.1, "epochs": 4, "window_hop": 2, "calibrate": True, **settings})
    targets = [{**MOOD.to_json(), "temperature": temperature}, "valence"]
    model = ModelConfig.parse({**toy.model.to_json(), "targets": targets, "head": {"hidden": None, "pool": pool}})
    return toy.model_copy(update={"model": model})


@pytest.fixture(autouse=True)
def dataset(monkeypatch):
    use_dataset(monkeypatch, build)


@pytest.mark.parametrize("pool", [None, "mean"])
def test_the_saved_model_has_the_temperature_and_its_result_says_what_it_brought(tmp_path, pool):
    plain, fitted = experiment(tmp_path / "plain", calibrate=False, pool=pool), experiment(tmp_path / "fitted", pool=pool)
    before, result = train(plain), train(fitted)
    assert "calibration" not in before
    assert list(result["calibration"]) == ["mood"]
    found = result["calibration"]["mood"]
    assert set(found) == {"temperature", "ece_before", "ece_after", "nll_before", "nll_after"}
    assert found["nll_after"] < found["nll_before"] - 1e-4
    assert json.loads((run_folder(fitted) / "result.json").read_text())["calibration"] == result["calibration"]
    one, other = affectzoo.load(run_folder(plain)), affectzoo.load(run_folder(fitted))
    assert other.config.targets[0].temperature == found["temperature"] != 1
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    x = {"audio": torch.randn(3, 2, 8)}
    with torch.no_grad():
        a, b = one(x, pool=False), other(x, pool=False)
    torch.testing.assert_close(b[..., :3], a[..., :3] / found["temperature"])
    assert torch.equal(b[..., 3], a[..., 3])
    assert result["val"]["ccc.valence"] == before["val"]["ccc.valence"]


def test_a_run_that_is_killed_after_the_fit_ends_with_the_same(tmp_path, monkeypatch):
    whole = train(experiment(tmp_path / "whole"))
    cut = experiment(tmp_path / "cut")

    class KilledError(Exception):
        pass

    def dying(*_: Any) -> Any:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(loop, "evaluate", dying)
        with pytest.raises(KilledError):
            train(cut)
    assert affectzoo.load(run_folder(cut) / "model").config.targets[0].temperature != 1
    assert train(cut, resume=True)["calibration"] == whole["calibration"]


def test_a_calibrated_model_may_be_the_start_of_another(tmp_path):
    first = train(experiment(tmp_path / "first"))["calibration"]["mood"]["temperature"]
    source = run_folder(experiment(tmp_path / "first"))
    still = {"lr": 1e-12, "weight_decay": 0.0, "epochs": 1}
    for name, temperature in (("plain", 1.0), ("kept", first)):
        again = experiment(tmp_path / name, temperature=temperature, **still).model_copy(update={"init": str(source)})
        # The same logits: the same temperature, whatever it began with.
        assert train(again)["calibration"]["mood"]["temperature"] == pytest.approx(first, rel=1e-3)


def test_without_classes_it_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"train\.calibrate has no effect: no target is categorical; leave it out"):
        train(toy_experiment(tmp_path, train={"calibrate": True}))


@pytest.mark.forks
def test_two_processes_fit_what_one_does(tmp_path):
    one, two = experiment(tmp_path / "one", batch_size=8), experiment(tmp_path / "two", batch_size=4)
    wanted = train(one)["calibration"]["mood"]
    debug_launcher(child, args=(two,), num_processes=2)
    found = json.loads((run_folder(two) / "result.json").read_text())["calibration"]["mood"]
    assert math.isfinite(found["temperature"])
    # float32 sums of the training in another order.
    assert found == pytest.approx(wanted, rel=1e-3, abs=1e-4)
