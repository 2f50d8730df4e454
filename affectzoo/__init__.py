"""affectzoo: a plugin-based model zoo for audio-visual affect.

Importing this package loads neither torch nor timm, transformers, datasets or accelerate: every public name is fetched
on first use (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from affectzoo.config import (
        ComponentConfig as ComponentConfig,
        DerivedTargetConfig as DerivedTargetConfig,
        FramesInput as FramesInput,
        LogMelInput as LogMelInput,
        ModelConfig as ModelConfig,
        SignalInput as SignalInput,
        SmoothingConfig as SmoothingConfig,
        StrictConfig as StrictConfig,
        TargetConfig as TargetConfig,
        WaveformInput as WaveformInput,
    )
    from affectzoo.data.corpus import (
        Corpus as Corpus,
        DatasetCard as DatasetCard,
    )
    from affectzoo.data.load import (
        load_dataset as load_dataset,
    )
    from affectzoo.data.made import (
        MadeClip as MadeClip,
        prepare_made as prepare_made,
        read_sound as read_sound,
    )
    from affectzoo.data.protocols import (
        Protocol as Protocol,
    )
    from affectzoo.data.schema import (
        Clip as Clip,
        Signal as Signal,
        Track as Track,
        unusable as unusable,
    )
    from affectzoo.data.tables import (
        lines_of as lines_of,
        read_lines as read_lines,
        read_rows as read_rows,
        to_numbers as to_numbers,
    )
    from affectzoo.errors import (
        AffectzooError as AffectzooError,
    )
    from affectzoo.files import (
        replacing as replacing,
    )
    from affectzoo.hub.describe import (
        info as info,
        list_models as list_models,
    )
    from affectzoo.hub.importers.contract import (
        Imported as Imported,
    )
    from affectzoo.hub.importers.run import (
        import_checkpoint as import_checkpoint,
    )
    from affectzoo.hub.pull import (
        load as load,
    )
    from affectzoo.media.pictures import (
        read_picture as read_picture,
    )
    from affectzoo.model.affect_model import (
        AffectModel as AffectModel,
        create_model as create_model,
    )
    from affectzoo.model.build import (
        create_backbone as create_backbone,
        create_block as create_block,
        create_detector as create_detector,
        create_fusion as create_fusion,
        create_temporal as create_temporal,
    )
    from affectzoo.model.contracts import (
        Backbone as Backbone,
        Block as Block,
        Component as Component,
        Fusion as Fusion,
        Temporal as Temporal,
        complete as complete,
        zero_masked as zero_masked,
    )
    from affectzoo.model.recompute import (
        count_batches_once as count_batches_once,
    )
    from affectzoo.pickles.plain import (
        read_pickle as read_pickle,
    )
    from affectzoo.pickles.state import (
        load_state as load_state,
        read_module_classes as read_module_classes,
        read_state_dict as read_state_dict,
    )
    from affectzoo.predict import (
        CombinedPredictor as CombinedPredictor,
        Predictor as Predictor,
        Timeline as Timeline,
        predict as predict,
    )
    from affectzoo.registry import (
        BackboneSpec as BackboneSpec,
        BlockSpec as BlockSpec,
        DatasetSpec as DatasetSpec,
        DetectorSpec as DetectorSpec,
        FusionSpec as FusionSpec,
        ImporterSpec as ImporterSpec,
        ModelSpec as ModelSpec,
        TemporalSpec as TemporalSpec,
        hookimpl as hookimpl,
        list_backbones as list_backbones,
        list_blocks as list_blocks,
        list_datasets as list_datasets,
        list_detectors as list_detectors,
        list_fusions as list_fusions,
        list_temporals as list_temporals,
        register_backbone as register_backbone,
        register_block as register_block,
        register_dataset as register_dataset,
        register_detector as register_detector,
        register_fusion as register_fusion,
        register_temporal as register_temporal,
    )
    from affectzoo.remote.refusals import (
        hub_errors as hub_errors,
    )

#: Public name -> the module that holds it.
_PUBLIC = {
    "AffectModel": "affectzoo.model.affect_model",
    "AffectzooError": "affectzoo.errors",
    "Backbone": "affectzoo.model.contracts",
    "BackboneSpec": "affectzoo.registry",
    "Block": "affectzoo.model.contracts",
    "BlockSpec": "affectzoo.registry",
    "Clip": "affectzoo.data.schema",
    "Component": "affectzoo.model.contracts",
    "CombinedPredictor": "affectzoo.predict",
    "ComponentConfig": "affectzoo.config",
    "Corpus": "affectzoo.data.corpus",
    "DatasetCard": "affectzoo.data.corpus",
    "DatasetSpec": "affectzoo.registry",
    "DerivedTargetConfig": "affectzoo.config",
    "DetectorSpec": "affectzoo.registry",
    "FramesInput": "affectzoo.config",
    "Fusion": "affectzoo.model.contracts",
    "FusionSpec": "affectzoo.registry",
    "Imported": "affectzoo.hub.importers.contract",
    "ImporterSpec": "affectzoo.registry",
    "LogMelInput": "affectzoo.config",
    "MadeClip": "affectzoo.data.made",
    "ModelConfig": "affectzoo.config",
    "ModelSpec": "affectzoo.registry",
    "Predictor": "affectzoo.predict",
    "Protocol": "affectzoo.data.protocols",
    "Signal": "affectzoo.data.schema",
    "SignalInput": "affectzoo.config",
    "SmoothingConfig": "affectzoo.config",
    "StrictConfig": "affectzoo.config",
    "TargetConfig": "affectzoo.config",
    "Temporal": "affectzoo.model.contracts",
    "TemporalSpec": "affectzoo.registry",
    "Timeline": "affectzoo.predict",
    "Track": "affectzoo.data.schema",
    "WaveformInput": "affectzoo.config",
    "complete": "affectzoo.model.contracts",
    "count_batches_once": "affectzoo.model.recompute",
    "create_backbone": "affectzoo.model.build",
    "create_block": "affectzoo.model.build",
    "create_detector": "affectzoo.model.build",
    "create_fusion": "affectzoo.model.build",
    "create_model": "affectzoo.model.affect_model",
    "create_temporal": "affectzoo.model.build",
    "hookimpl": "affectzoo.registry",
    "hub_errors": "affectzoo.remote.refusals",
    "import_checkpoint": "affectzoo.hub.importers.run",
    "info": "affectzoo.hub.describe",
    "lines_of": "affectzoo.data.tables",
    "list_backbones": "affectzoo.registry",
    "list_blocks": "affectzoo.registry",
    "list_datasets": "affectzoo.registry",
    "list_detectors": "affectzoo.registry",
    "list_fusions": "affectzoo.registry",
    "list_models": "affectzoo.hub.describe",
    "list_temporals": "affectzoo.registry",
    "load": "affectzoo.hub.pull",
    "load_dataset": "affectzoo.data.load",
    "load_state": "affectzoo.pickles.state",
    "predict": "affectzoo.predict",
    "prepare_made": "affectzoo.data.made",
    "read_lines": "affectzoo.data.tables",
    "read_pickle": "affectzoo.pickles.plain",
    "read_module_classes": "affectzoo.pickles.state",
    "read_picture": "affectzoo.media.pictures",
    "read_rows": "affectzoo.data.tables",
    "read_sound": "affectzoo.data.made",
    "read_state_dict": "affectzoo.pickles.state",
    "register_backbone": "affectzoo.registry",
    "register_block": "affectzoo.registry",
    "register_dataset": "affectzoo.registry",
    "register_detector": "affectzoo.registry",
    "register_fusion": "affectzoo.registry",
    "register_temporal": "affectzoo.registry",
    "replacing": "affectzoo.files",
    "to_numbers": "affectzoo.data.tables",
    "unusable": "affectzoo.data.schema",
    "zero_masked": "affectzoo.model.contracts",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'affectzoo' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
