"""Sharded weights (FSDP2): what is saved is whole, and a sharded run goes on from it to the same numbers.

accelerate shards on GPUs only, so torch's own `fully_shard` stands in for its `prepare` here, on two CPU processes.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import debug_launcher
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from affectzoo.errors import ConfigError
from affectzoo.model.affect_model import AffectModel
from affectzoo.objectives.losses import Objective
from affectzoo.train.fit import Fit
from affectzoo.train.learner import Learner
from affectzoo.train.sharding import load_run_state, model_state, run_state
from tests.train.toys import toy_experiment

pytestmark = pytest.mark.forks


def make(folder: Path) -> tuple[Learner, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = AffectModel(toy_experiment(folder, streams=("audio", "visual")).model)
    learner = Learner(model, Objective(model.config.targets, weighting="uncertainty"), on_features=False)
    return learner, torch.optim.AdamW(learner.parameters(), lr=0.01)


def steps(learner: Any, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
    for step in range(first, last):
        draws = torch.Generator().manual_seed(step)
        inputs = {name: torch.randn(4, 2, 8, generator=draws) for name in ("audio", "visual")}
        labels = torch.rand(4, 2, 2, generator=draws)
        masks = {name: torch.ones(4, 2, dtype=torch.bool) for name in inputs}
        counted = torch.ones(4, 2, dtype=torch.bool)
        total: Any = type("Alone", (), {"processes": 1, "__call__": lambda _, x: x})()
        learner(inputs, masks, labels=labels, counted=counted, total=total).backward()
        optimizer.step()
        optimizer.zero_grad()


def sharded(folder: Path) -> None:
    """Both processes see the same batches, so that the mean of their gradients is that of one."""
    torch.set_num_threads(1)
    mesh = init_device_mesh("cpu", (2,))
    accelerator: Any = SimpleNamespace(is_fsdp2=True)
    learner, _ = make(folder)
    fully_shard(learner, mesh=mesh)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=0.01)
    steps(learner, optimizer, 0, 3)
    state = run_state(accelerator, learner, optimizer)
    whole = model_state(accelerator, learner)
    if torch.distributed.get_rank() == 0:
        torch.save({"run": state, "model": whole}, folder / "state.pt")
    torch.distributed.barrier()
    saved = torch.load(folder / "state.pt", weights_only=True)["run"]
    again, _ = make(folder)
    fully_shard(again, mesh=mesh)
    other = torch.optim.AdamW(again.parameters(), lr=0.01)
    load_run_state(accelerator, again, other, saved)
    steps(learner, optimizer, 3, 6)
    steps(again, other, 3, 6)
    one, two = model_state(accelerator, learner), model_state(accelerator, again)
    if torch.distributed.get_rank() == 0:
        assert all(torch.equal(one[name], two[name]) for name in one), "the state that was put back is not what was saved"
        torch.save(one, folder / "end.pt")
    torch.distributed.barrier()


def test_a_sharded_run_is_saved_whole_and_goes_on(tmp_path):
    debug_launcher(sharded, args=(tmp_path,), num_processes=2)
    learner, optimizer = make(tmp_path)
    names = learner.model.state_dict().keys()
    steps(learner, optimizer, 0, 3)
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    assert saved["model"].keys() == names
    for name, tensor in learner.model.state_dict().items():
        torch.testing.assert_close(saved["model"][name], tensor, atol=1e-6, rtol=0)
    steps(learner, optimizer, 3, 6)
    for name, tensor in torch.load(tmp_path / "end.pt", weights_only=True).items():
        torch.testing.assert_close(tensor, learner.model.state_dict()[name], atol=1e-6, rtol=0)


def test_an_average_of_sharded_weights_is_refused(tmp_path, monkeypatch):
    experiment = toy_experiment(tmp_path, train={"ema": 0.9})
    learner, _ = make(tmp_path)
    accelerator: Any = SimpleNamespace(
        is_fsdp2=True, scaler=None, num_processes=1, process_index=0, prepare=lambda *parts: parts, reduce=lambda x, _: x
    )
    batches: Any = [None]
    from affectzoo.train import fit

    monkeypatch.setattr(fit, "evaluation_loader", lambda *_: None)
    with pytest.raises(ConfigError, match=r"train.ema averages whole weights"):
        Fit(experiment, learner, batches, None, {}, tmp_path, accelerator, {}, print)  # pyright: ignore[reportArgumentType]
