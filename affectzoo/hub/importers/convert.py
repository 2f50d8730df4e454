"""One importer at work: called with checked options, its model proved by saving and loading it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affectzoo.config import ModelConfig
from affectzoo.errors import AffectzooError, CheckpointError, PluginError
from affectzoo.hub.importers.contract import Imported
from affectzoo.model.affect_model import AffectModel
from affectzoo.model.checkpoint import DTYPES
from affectzoo.model.optimize import example_input
from affectzoo.registry import Entry, check_arguments

#: The same weights in the same operations differ only by the order in which a library sums.
_RTOL, _ATOL = 1e-5, 1e-6


def run_importer(entry: Entry, source: Path, options: Mapping[str, Any]) -> Imported:
    """Convert `source` and check what came back.

    Raises:
        ConfigError: an option that the importer does not have, or a missing one.
        CheckpointError: the file is not of the importer's kind, or the importer failed on it.
        PluginError: the importer did not return a finished model.
    """
    function = entry.resolve()
    where = f"importer {entry.name!r} of {entry.provider}"
    chosen = check_arguments(function, {"source": source}, options, where)
    try:
        imported = function(source, **chosen)
    except AffectzooError:
        raise
    except Exception as error:
        reason = (str(error).strip() or "no message").splitlines()[0]
        raise CheckpointError(f"{where} failed on {source}: {type(error).__name__}: {reason}") from error
    returned = imported.model if isinstance(imported, Imported) else imported
    if returned is imported or not isinstance(returned, AffectModel):
        raise PluginError(f"{where} must return an affectzoo.Imported with an AffectModel, not {type(returned).__name__}")
    if any(module.training for module in imported.model.modules()):
        raise PluginError(f"{where} returned a model in training mode; its author has to call eval() on it")
    return imported


def save_proved(model: AffectModel, folder: Path, *, card: str, dtype: str | None, where: str) -> None:
    """Write the model into `folder` and load it again: the config and what it predicts must have stayed the same.

    Args:
        model: its weights are rounded to `dtype` and are float32 afterwards, in which the proof is computed.
        dtype: of the weights on disk, one of `DTYPES`; None keeps the model's.
        where: how a message names the importer.

    Raises:
        CheckpointError: the model cannot be saved or cannot predict, or is another one afterwards: for the importer's author
            to look at.
    """
    if ModelConfig.parse(model.config.to_json(), where=where) != model.config:
        raise CheckpointError(f"{where} returned a model whose config is another one after it was written as JSON")
    if dtype is not None:
        model.to(DTYPES[dtype])
    model.save_pretrained(folder, card=card)
    try:
        expected = _example_output(model.float())
    except Exception as error:
        reason = (str(error).strip() or "no message").splitlines()[0]
        raise CheckpointError(f"{where} returned a model that cannot predict: {type(error).__name__}: {reason}") from error
    if not bool(expected.isfinite().all()):
        raise CheckpointError(f"{where} returned a model that predicts values which are not numbers; the file may be damaged")
    found = _example_output(AffectModel.from_folder(folder, dtype="float32"))
    if not torch.allclose(found, expected, rtol=_RTOL, atol=_ATOL):
        worst = float((found - expected).abs().max())
        raise CheckpointError(
            f"{where} returned a model that predicts other values once it is saved and loaded (they differ by {worst:.3g}): "
            "something that decides them is neither in its config nor in its weights"
        )


@torch.no_grad()
def _example_output(model: AffectModel) -> Tensor:
    """`[1, L, K]` for noise of the declared shapes; each backbone sees one sub-sequence, which stands for all L."""
    length = model.config.sequence.length
    features = {}
    for name, stream in model.config.streams.items():
        encoded = model.encode(name, example_input(stream.input, 1, "cpu").unsqueeze(0))
        features[name] = encoded.expand(1, length, -1)
    return model.forward_features(features, pool=False)
