"""The wrong components of every kind, and what the kit says of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from affectzoo.registry import (
    BackboneSpec,
    BlockSpec,
    ComponentSpec,
    DatasetSpec,
    DetectorSpec,
    FusionSpec,
    TemporalSpec,
)
from affectzoo.testing import CheckFailed, checks
from tests.testing import wrong_backbones, wrong_blocks, wrong_datasets, wrong_detectors, wrong_fusions, wrong_temporals


@dataclass(frozen=True)
class Kind:
    """What the tests of one kind are made of.

    Attributes:
        spec: its type.
        sound: components that keep every promise.
        wrong: a check, a component that only it catches, and what its message must say.
        fields: of the spec, besides those that every kind has.
        config: keywords of the constructor, given an empty folder.
    """

    spec: type[ComponentSpec]
    sound: tuple[type, ...]
    wrong: tuple[tuple[str, type, str], ...]
    fields: Mapping[str, Any] = field(default_factory=dict)
    config: Callable[[Path], dict[str, Any]] = lambda _: {}


def _rows(wrong: Mapping[str, type]) -> tuple[tuple[str, type, str], ...]:
    return tuple((check, component, "") for check, component in wrong.items())


def _corpus(folder: Path) -> dict[str, Any]:
    wrong_datasets.write(folder)
    return {"root": str(folder)}


KINDS: dict[str, Kind] = {
    "backbone": Kind(
        BackboneSpec,
        (wrong_backbones.Sound,),
        _rows(wrong_backbones.WRONG),
        fields={"modality": "visual"},
        config=lambda _: {"frames": 3},
    ),
    "block": Kind(BlockSpec, (wrong_blocks.Sound,), _rows(wrong_blocks.WRONG)),
    "dataset": Kind(DatasetSpec, (wrong_datasets.Sound,), _rows(wrong_datasets.WRONG), config=_corpus),
    "detector": Kind(DetectorSpec, (wrong_detectors.Sound,), _rows(wrong_detectors.WRONG)),
    "fusion": Kind(FusionSpec, wrong_fusions.RIGHT, wrong_fusions.WRONG),
    "temporal": Kind(TemporalSpec, (wrong_temporals.Sound,), _rows(wrong_temporals.WRONG)),
}


def spec_of(kind: str, component: Any) -> Any:
    """The spec that a plugin with this component would give."""
    name = component.__name__
    target = f"{component.__module__}:{name}"
    made = KINDS[kind]
    return made.spec(name=name.lower(), summary="for a test", licence="Apache-2.0", target=target, **made.fields)


def failures(kind: str, component: type, config: Mapping[str, Any], *, only: Iterable[str] | None = None) -> dict[str, str]:
    """Check -> message, of those that fail."""
    found = {}
    for check in checks(spec_of(kind, component), config=config, only=only):
        try:
            check()
        except CheckFailed as error:
            found[check.name] = str(error)
    return found
