"""Where training begins: other weights, parts that start anew, parts that stay as they are."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from torch import nn

from affectzoo.config import ExperimentConfig, ModelConfig
from affectzoo.errors import ConfigError
from affectzoo.hub.resolve import resolve
from affectzoo.model.affect_model import AffectModel
from affectzoo.model.checkpoint import read_config
from affectzoo.model.contracts import Backbone
from affectzoo.train.borrow import take_backbones

#: Names of dropped tensors that are told one by one; a whole backbone has hundreds.
_SHOWN = 12


def config_of(name: str) -> ModelConfig:
    """The configuration of the model called `name`, to train in float32."""
    return read_config(resolve(name).folder).model_copy(update={"dtype": "float32"})


def start_from(model: AffectModel, experiment: ExperimentConfig, say: Callable[[str], None]) -> None:
    """Copy the weights of `experiment.init`, but for `new_parts`, and say which tensors were dropped; or backbones by modality.

    Raises:
        ConfigError: a tensor that is neither taken nor named in `new_parts`, or targets that differ under a head that is
            kept; what `take_backbones` refuses.
    """
    parts = experiment.new_parts
    if not isinstance(experiment.init, str):
        if parts:
            what = "without init" if experiment.init is None else "with init by modality, which takes backbones alone"
            raise ConfigError(f"new_parts has no effect {what}: all {'other ' if experiment.init else ''}parts start anew")
        if experiment.init is not None:
            take_backbones(model, experiment.init, say)
        return
    found = resolve(experiment.init)
    source = AffectModel.from_folder(found.folder, dtype="float32")
    given, own = source.state_dict(), model.state_dict()
    check_parts("new_parts", parts, [*given, *own])
    if not same_targets(source.config, model.config) and not any(begins(name, parts) for name in own if name[:5] == "head."):
        theirs, ours = (", ".join(target.name for target in m.config.targets) for m in (source, model))
        raise ConfigError(f"{experiment.init} predicts {theirs}, this model {ours}: a new head is needed, new_parts: [head]")
    for name, tensor in own.items():
        if begins(name, parts):
            continue
        if name not in given or given[name].shape != tensor.shape:
            instead = f"has shape {list(given[name].shape)}" if name in given else "is not there"
            raise ConfigError(
                f"{name} {list(tensor.shape)} {instead} in {experiment.init}; make the model like that one, or let the part "
                f"start anew: new_parts: [{_part(name)}]"
            )
    lost = [name for name in given if name not in own and not begins(name, parts)]
    if lost:
        raise ConfigError(
            f"{experiment.init} holds {lost[0]}, which this model does not have; make the model like that one, or name the "
            f"part: new_parts: [{_part(lost[0])}]"
        )
    kept = {name: tensor for name, tensor in given.items() if not begins(name, parts)}
    model.load_state_dict(kept, strict=False)
    commit = f" (commit {found.revision})" if found.revision else ""
    say(f"starts from {experiment.init}{commit}: {len(kept)} of {len(own)} tensors")
    for part in parts:
        dropped = [name for name in given if begins(name, [part])]
        shown = ", ".join(f"{name} {list(given[name].shape)}" for name in dropped[:_SHOWN])
        more = f" and {len(dropped) - _SHOWN} more" if len(dropped) > _SHOWN else ""
        say(f"{part} starts anew; dropped: {shown or 'nothing'}{more}")


def backbones_anew(experiment: ExperimentConfig) -> list[str]:
    """The modalities whose backbones do not come from `experiment.init`."""
    init, names = experiment.init, list(experiment.model.streams)
    if init is None:
        return names
    if isinstance(init, str):
        return [name for name in names if begins(f"backbones.{name}", experiment.new_parts)]
    return [name for name in names if name not in init]


def same_targets(one: ModelConfig, other: ModelConfig) -> bool:
    """Whether two models predict the same, in the same order; a temperature only scales logits."""
    plain = [[t.model_copy(update={"temperature": 1.0}) for t in config.targets] for config in (one, other)]
    return plain[0] == plain[1]


def freeze(model: AffectModel, parts: Sequence[str]) -> None:
    """Keep the weights of the named parts.

    Raises:
        ConfigError: a name that no weight begins with, or nothing left to train.
    """
    check_parts("train.freeze", parts, [name for name, _ in model.named_parameters()])
    for name, weight in model.named_parameters():
        if begins(name, parts):
            weight.requires_grad_(False)
    if not any(weight.requires_grad for weight in model.parameters()):
        raise ConfigError("train.freeze leaves nothing to train")


def checkpoint_activations(model: AffectModel) -> None:
    """Let every backbone that is trained compute its activations again in the backward pass.

    Raises:
        ConfigError: none is trained, or one cannot.
    """
    trained = [part for part in model.backbones.values() if any(weight.requires_grad for weight in part.parameters())]
    if not trained:
        raise ConfigError("train.activation_checkpointing has no effect: every backbone is frozen")
    for backbone in trained:
        cast(Backbone, backbone).checkpoint_activations()


def begins(name: str, parts: Iterable[str]) -> bool:
    """Whether a tensor's dotted name lies in one of the parts."""
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def check_parts(key: str, parts: Sequence[str], names: Iterable[str]) -> None:
    """Refuse a part that no tensor lies in, with the nearest."""
    names = list(names)
    for part in parts:
        if not any(begins(name, [part]) for name in names):
            known = sorted({_part(name) for name in names})
            near = difflib.get_close_matches(part, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"parts here: {', '.join(known)}"
            raise ConfigError(f"{key}: no tensor begins with {part!r}; {hint}")


def _part(name: str) -> str:
    """`backbones.visual`, `temporals.audio`, `fusion` or `head`."""
    pieces = name.split(".")
    return ".".join(pieces[: 2 if pieces[0] in ("backbones", "temporals") else 1])


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay for matrices and kernels only: not for biases and norms."""
    trained = [p for p in network.parameters() if p.requires_grad]
    decayed, free = ([p for p in trained if (p.ndim > 1) == matrix] for matrix in (True, False))
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
