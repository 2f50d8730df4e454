"""Names, specs and plugins. No torch anywhere in this folder."""

from affectzoo.registry.hooks import hookimpl, hookspec
from affectzoo.registry.specs import (
    KINDS,
    BackboneSpec,
    BlockSpec,
    ComponentSpec,
    DatasetSpec,
    DetectorSpec,
    FusionSpec,
    ImporterSpec,
    ModelSpec,
    Spec,
    TemporalSpec,
)

__all__ = [
    "KINDS",
    "BackboneSpec",
    "BlockSpec",
    "ComponentSpec",
    "DatasetSpec",
    "DetectorSpec",
    "FusionSpec",
    "ImporterSpec",
    "ModelSpec",
    "Spec",
    "TemporalSpec",
    "hookimpl",
    "hookspec",
]
