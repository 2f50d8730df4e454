"""What the plugin declares as importers is there and follows the contract."""

from __future__ import annotations

import importlib
import inspect

import pytest

from affectzoo.registry import ImporterSpec
from affectzoo_backbones import affectzoo_importers


def test_every_kind_is_declared() -> None:
    names = {spec.name for spec in affectzoo_importers()}
    assert names == {"hsemotion", "audeering-w2v2-dim", "tsav-abaw2020", "i3d-kinetics", "timm"}


@pytest.mark.parametrize("spec", affectzoo_importers(), ids=lambda spec: spec.name)
def test_a_spec_leads_to_a_documented_converter(spec: ImporterSpec) -> None:
    spec.validate()
    assert spec.reads
    assert spec.paper
    module, attribute = spec.target.split(":")
    convert = getattr(importlib.import_module(module), attribute)
    assert next(iter(inspect.signature(convert).parameters)) == "source"
    assert convert.__doc__
