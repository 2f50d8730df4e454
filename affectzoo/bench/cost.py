"""What a fusion costs: its parameters, and the time of a training step on features beside that of its rivals."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

import torch

from affectzoo.model.affect_model import AffectModel

_WARM_UP, _ROUNDS = 3, 20


def parameters_of(model: AffectModel) -> dict[str, int]:
    """`fusion`, and `trained`: fusion, temporal encoders and head; a backbone is the same in every row."""
    parts = {"fusion": model.fusion, "temporals": model.temporals, "head": model.head}
    counts = {name: 0 if part is None else sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    return {"fusion": counts["fusion"], "trained": sum(counts.values())}


def milliseconds_per_step(
    models: Mapping[str, AffectModel], batch_size: int, device: torch.device
) -> dict[str, float | Exception]:
    """Name -> least time of forward, backward and AdamW on `batch_size` windows of random features, in float32, in ms.

    The models take turns step by step, in a new order each round: a process is mostly interrupted after a long step, at the
    cost of whoever comes next. What else the machine does only adds time, so the least is the nearest to the step's own.
    Their weights change. A model that fails has its exception instead.
    """
    steps: dict[str, Callable[[], None]] = {name: _step(model.to(device), batch_size) for name, model in models.items()}
    times: dict[str, list[float]] = {name: [] for name in models}
    failed: dict[str, Exception] = {}
    turns = random.Random(0)
    for _ in range(_WARM_UP + _ROUNDS):
        for name in turns.sample(list(steps), len(steps)):
            if name in failed:
                continue
            _wait(device)
            started = time.perf_counter()
            try:
                steps[name]()
            except Exception as error:
                failed[name] = error
                continue
            _wait(device)
            times[name].append(1000 * (time.perf_counter() - started))
    return {name: failed.get(name) or min(own[_WARM_UP:]) for name, own in times.items()}


def _step(model: AffectModel, batch_size: int) -> Callable[[], None]:
    """One training step of all but the backbones."""
    device, length = next(model.parameters()).device, model.config.sequence.length
    draws = torch.Generator().manual_seed(0)
    features = {
        name: torch.randn(batch_size, length, dim, generator=draws).to(device) for name, dim in model.feature_dims.items()
    }
    model.train()
    model.backbones.requires_grad_(False)
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        model.forward_features(features).square().mean().backward()
        optimizer.step()

    return step


def _wait(device: torch.device) -> None:
    """A GPU works on after its call has returned."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
