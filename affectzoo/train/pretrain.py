"""Each stream alone first: the experiments that train the backbones, and how a fused model takes them over."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from affectzoo.config import ExperimentConfig
from affectzoo.model.affect_model import AffectModel
from affectzoo.train.runs import that_matter


def stream_experiments(experiment: ExperimentConfig) -> dict[str, ExperimentConfig]:
    """One experiment for each stream's backbone, without temporal encoder and fusion; empty where all is trained together.

    The name holds a hash of all that matters, so that rivals which share data, backbones and seed share these runs.
    """
    if experiment.pretrain is None:
        return {}
    found = {}
    for name, stream in experiment.model.streams.items():
        backbone_only = stream.model_copy(update={"temporal": None})
        model = experiment.model.model_copy(update={"streams": {name: backbone_only}, "fusion": None})
        alone = experiment.model_copy(update={"model": model, "train": experiment.pretrain, "pretrain": None, "name": ""})
        text = json.dumps({**that_matter(alone.to_json()), "seed": 0}, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        found[name] = alone.model_copy(update={"name": f"{experiment.data.name}-{name}-{digest}"})
    return found


def load_backbones(model: AffectModel, folders: dict[str, Path]) -> None:
    """Copy each backbone from a single-stream model and freeze it."""
    for name, folder in folders.items():
        trained = AffectModel.from_folder(folder)
        model.backbones[name].load_state_dict(trained.backbones[name].state_dict(), strict=True)
        model.backbones[name].requires_grad_(False)
