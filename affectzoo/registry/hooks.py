"""The hooks a plugin may implement. None takes an argument; each returns specs.

A plugin is a module that imports no torch, named by an entry point in the group `affectzoo.plugins`:

    from affectzoo import FusionSpec, hookimpl

    @hookimpl
    def affectzoo_fusions():
        return [FusionSpec(name="mine", summary="...", licence="MIT", target="my_package.fusion:Mine")]
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from affectzoo.registry.specs import (
    BackboneSpec,
    BlockSpec,
    DatasetSpec,
    DetectorSpec,
    FusionSpec,
    ImporterSpec,
    ModelSpec,
    TemporalSpec,
)

PROJECT = "affectzoo"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class HookSpecs:
    """The whole surface between affectzoo and its plugins."""

    @hookspec
    def affectzoo_backbones(self) -> Iterable[BackboneSpec]:  # pyright: ignore[reportReturnType]
        """Encoders of one modality.

        Example: `[BackboneSpec(name="timm/", modality="visual", summary="...", licence="Apache-2.0", target="p.timm:Timm")]`
        """

    @hookspec
    def affectzoo_fusions(self) -> Iterable[FusionSpec]:  # pyright: ignore[reportReturnType]
        """Fusion heads. Example: `[FusionSpec(name="mine", summary="...", licence="MIT", target="p.fusion:Mine")]`"""

    @hookspec
    def affectzoo_blocks(self) -> Iterable[BlockSpec]:  # pyright: ignore[reportReturnType]
        """Spatiotemporal blocks. Example: `[BlockSpec(name="mine", summary="...", licence="MIT", target="p.blocks:Mine")]`"""

    @hookspec
    def affectzoo_temporals(self) -> Iterable[TemporalSpec]:  # pyright: ignore[reportReturnType]
        """Temporal encoders. Example: `[TemporalSpec(name="gru", summary="...", licence="MIT", target="p.temporal:Gru")]`"""

    @hookspec
    def affectzoo_detectors(self) -> Iterable[DetectorSpec]:  # pyright: ignore[reportReturnType]
        """Face detectors. Example: `[DetectorSpec(name="mine", summary="...", licence="MIT", target="p.faces:Mine")]`"""

    @hookspec
    def affectzoo_datasets(self) -> Iterable[DatasetSpec]:  # pyright: ignore[reportReturnType]
        """Datasets. Example: `[DatasetSpec(name="mine", summary="...", licence="MIT", target="p.data:Mine")]`"""

    @hookspec
    def affectzoo_models(self) -> Iterable[ModelSpec]:  # pyright: ignore[reportReturnType]
        """Zoo models. Example: `[ModelSpec(name="m", summary="...", licence="MIT", location="package://p/weights/m")]`"""

    @hookspec
    def affectzoo_importers(self) -> Iterable[ImporterSpec]:  # pyright: ignore[reportReturnType]
        """Importers. Example: `[ImporterSpec(name="kind", summary="...", licence="MIT", target="p.imports:convert")]`"""
