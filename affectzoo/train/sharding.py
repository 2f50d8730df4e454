"""Weights and optimiser state as one process would hold them, be they whole on each process (DDP) or sharded (FSDP2)."""

from __future__ import annotations

from typing import Any

from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def _own(optimizer: Any) -> Any:
    """torch's optimiser inside accelerate's."""
    return getattr(optimizer, "optimizer", optimizer)


def model_state(accelerator: Accelerator, learner: nn.Module) -> dict[str, Tensor]:
    """Every tensor of the learner's model; under FSDP2 on the first process only, and called on all."""
    state = (
        get_model_state_dict(learner, options=_WHOLE)
        if accelerator.is_fsdp2
        else accelerator.unwrap_model(learner).state_dict()
    )
    return {name.removeprefix("model."): tensor for name, tensor in state.items() if name.startswith("model.")}  # pyright: ignore[reportReturnType]


def run_state(accelerator: Accelerator, learner: nn.Module, optimizer: Any) -> dict[str, Any]:
    """What a checkpoint holds of both; called on every process, whole on the first."""
    if accelerator.is_fsdp2:
        return {
            "learner": get_model_state_dict(learner, options=_WHOLE),
            "optimizer": get_optimizer_state_dict(learner, _own(optimizer), options=_WHOLE),
        }
    return {"learner": accelerator.unwrap_model(learner).state_dict(), "optimizer": optimizer.state_dict()}


def load_run_state(accelerator: Accelerator, learner: nn.Module, optimizer: Any, state: dict[str, Any]) -> None:
    """Put back what `run_state` gave; called on every process with the same state."""
    if accelerator.is_fsdp2:
        set_model_state_dict(learner, state["learner"], options=_WHOLE)
        set_optimizer_state_dict(learner, _own(optimizer), state["optimizer"], options=_WHOLE)
        return
    accelerator.unwrap_model(learner).load_state_dict(state["learner"])
    optimizer.load_state_dict(state["optimizer"])
