"""Names, specs and plugins. No torch anywhere in this folder."""

from affectzoo.registry.arguments import check_arguments
from affectzoo.registry.hooks import hookimpl, hookspec
from affectzoo.registry.manager import PluginRecord, PluginWarning, Refusal, load_plugins
from affectzoo.registry.registry import SESSION, Entry, Registry, lister, register, registrar, registry, suggestion
from affectzoo.registry.specs import (
    API_VERSION,
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

list_backbones = lister("backbone")
list_blocks = lister("block")
list_datasets = lister("dataset")
list_detectors = lister("detector")
list_fusions = lister("fusion")
list_temporals = lister("temporal")

register_backbone = registrar("backbone", modality="any")
register_block = registrar("block")
register_dataset = registrar("dataset")
register_detector = registrar("detector")
register_fusion = registrar("fusion")
register_temporal = registrar("temporal")

__all__ = [
    "API_VERSION",
    "KINDS",
    "SESSION",
    "BackboneSpec",
    "BlockSpec",
    "ComponentSpec",
    "DatasetSpec",
    "DetectorSpec",
    "Entry",
    "FusionSpec",
    "ImporterSpec",
    "ModelSpec",
    "PluginRecord",
    "PluginWarning",
    "Refusal",
    "Registry",
    "Spec",
    "TemporalSpec",
    "check_arguments",
    "hookimpl",
    "hookspec",
    "list_backbones",
    "list_blocks",
    "list_datasets",
    "list_detectors",
    "list_fusions",
    "list_temporals",
    "load_plugins",
    "register",
    "register_backbone",
    "register_block",
    "register_dataset",
    "register_detector",
    "register_fusion",
    "register_temporal",
    "registry",
    "suggestion",
]
