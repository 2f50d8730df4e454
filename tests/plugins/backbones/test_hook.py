"""The plugin module itself: light, valid, and pointing at classes that exist."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import affectzoo_backbones
from affectzoo.model.contracts import Backbone

SPECS = {spec.name: spec for spec in affectzoo_backbones.affectzoo_backbones()}


def test_listing_imports_no_heavy_library():
    code = (
        "import sys, affectzoo_backbones as p; p.affectzoo_backbones();"
        "print([m for m in ('torch', 'timm', 'torchvision', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names():
    assert set(SPECS) == {
        *("timm/", "spectrogram-resnet18", "spectrogram/", "r2plus1d_18", "r3d_18", "mc3_18", "i3d", "transformers/"),
        *("signal-mlp", "features"),
    }


@pytest.mark.parametrize("name", list(SPECS))
def test_every_spec_leads_to_a_documented_backbone(name):
    spec = SPECS[name]
    spec.validate()
    module, attribute = spec.target.split(":")
    target = getattr(importlib.import_module(module), attribute)
    assert issubclass(target, Backbone)
    assert target.__doc__
    assert spec.paper or name == "features"  # there is nothing in it to cite
