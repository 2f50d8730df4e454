"""affectzoo: a plugin-based model zoo for audio-visual affect.

Importing this package loads neither torch nor timm, transformers, datasets or accelerate: every public name is fetched
on first use (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from affectzoo.config import ComponentConfig, FramesInput, LogMelInput, ModelConfig, TargetConfig, WaveformInput
    from affectzoo.errors import AffectzooError
    from affectzoo.model.affect_model import AffectModel
    from affectzoo.model.contracts import Backbone, Component, Fusion, Temporal, complete
    from affectzoo.registry import (
        BackboneSpec,
        BlockSpec,
        DatasetSpec,
        DetectorSpec,
        FusionSpec,
        ImporterSpec,
        ModelSpec,
        TemporalSpec,
        hookimpl,
    )

_PUBLIC = {
    "AffectModel": "affectzoo.model.affect_model",
    "AffectzooError": "affectzoo.errors",
    "Backbone": "affectzoo.model.contracts",
    "BackboneSpec": "affectzoo.registry",
    "BlockSpec": "affectzoo.registry",
    "Component": "affectzoo.model.contracts",
    "ComponentConfig": "affectzoo.config",
    "DatasetSpec": "affectzoo.registry",
    "DetectorSpec": "affectzoo.registry",
    "FramesInput": "affectzoo.config",
    "Fusion": "affectzoo.model.contracts",
    "FusionSpec": "affectzoo.registry",
    "ImporterSpec": "affectzoo.registry",
    "LogMelInput": "affectzoo.config",
    "ModelConfig": "affectzoo.config",
    "ModelSpec": "affectzoo.registry",
    "TargetConfig": "affectzoo.config",
    "Temporal": "affectzoo.model.contracts",
    "TemporalSpec": "affectzoo.registry",
    "WaveformInput": "affectzoo.config",
    "complete": "affectzoo.model.contracts",
    "hookimpl": "affectzoo.registry",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'affectzoo' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
