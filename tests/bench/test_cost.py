"""The time of a step is the step's own, whoever went before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from affectzoo.bench import cost
from affectzoo.errors import DataError


def test_nobody_pays_for_the_interruption_after_a_long_step(monkeypatch):
    clock = {"s": 0.0, "owed": 0.0}

    def step_of(model: nn.Module, _: int) -> Callable[[], None]:
        long = isinstance(model, nn.Linear)

        def step() -> None:
            clock["s"] += (0.1 if long else 0.001) + clock["owed"]
            clock["owed"] = 0.01 if long else 0.0  # the process is put aside once, in the next step

        return step

    monkeypatch.setattr(cost, "_step", step_of)
    monkeypatch.setattr(cost.time, "perf_counter", lambda: clock["s"])
    models: dict[str, Any] = {"long": nn.Linear(1, 1), "short": nn.Identity(), "shorter": nn.Identity()}
    found = cost.milliseconds_per_step(models, 4, torch.device("cpu"))
    assert found == pytest.approx({"long": 100, "short": 1, "shorter": 1})


def test_a_step_that_fails_leaves_the_others_their_times(monkeypatch):
    def step_of(model: nn.Module, _: int) -> Callable[[], None]:
        def step() -> None:
            if isinstance(model, nn.Linear):
                raise DataError("it rained")

        return step

    monkeypatch.setattr(cost, "_step", step_of)
    models: dict[str, Any] = {"wet": nn.Linear(1, 1), "dry": nn.Identity()}
    found = cost.milliseconds_per_step(models, 4, torch.device("cpu"))
    assert isinstance(found["wet"], DataError)
    assert isinstance(found["dry"], float)
