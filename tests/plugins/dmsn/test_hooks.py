"""The plugin module itself: light, valid, and pointing at classes that exist."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import affectzoo
import affectzoo_dmsn

BLOCKS = affectzoo_dmsn.affectzoo_blocks()
BACKBONES = affectzoo_dmsn.affectzoo_backbones()


def test_listing_imports_no_heavy_library():
    code = (
        "import sys, affectzoo_dmsn as p; p.affectzoo_blocks(); p.affectzoo_backbones();"
        "print([m for m in ('torch', 'timm', 'safetensors', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names():
    assert {spec.name for spec in BLOCKS} == {"dmsn-a", "dmsn-b", "dmsn-c", "basic3d", "r2plus1d", "msn"}
    sized = {f"dmsn-{letter}-{depth}" for letter in "abc" for depth in (18, 50)}
    assert {spec.name for spec in BACKBONES} == {"dmsn", "msn-69", *sized}
    assert {spec.name for spec in BLOCKS} <= set(affectzoo.list_blocks())
    assert {spec.name for spec in BACKBONES} <= set(affectzoo.list_backbones())


@pytest.mark.parametrize("spec", [*BLOCKS, *BACKBONES], ids=lambda spec: spec.name)
def test_every_spec_leads_to_a_documented_class_that_follows_the_contract(spec):
    spec.validate()
    assert spec.paper
    module, attribute = spec.target.split(":")
    target = getattr(importlib.import_module(module), attribute)
    assert inspect.getdoc(target)
    parameters = list(inspect.signature(target).parameters.values())
    if spec in BLOCKS:
        assert issubclass(target, affectzoo.Block)
        assert [p.name for p in parameters[:3]] == ["in_channels", "width", "stride"]
        parameters = parameters[3:]
    else:
        assert issubclass(target, affectzoo.Backbone)
        assert spec.modality == "visual"
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in parameters)


@pytest.mark.parametrize("spec", [*BLOCKS, *BACKBONES], ids=lambda spec: spec.name)
def test_what_rests_on_no_released_code_says_so(spec):
    if spec.name.startswith("dmsn-"):
        module, attribute = spec.target.split(":")
        described = f"{spec.summary} {inspect.getdoc(getattr(importlib.import_module(module), attribute))}".lower()
        assert "reconstruction" in described or "is ours" in described
