"""The plugin module is light, and what it declares is there."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

from affectzoo.model.contracts import Fusion
from affectzoo.registry import FusionSpec
from affectzoo_fusion import affectzoo_fusions

NAMES = {
    "concat",
    "self-attention",
    "leader-follower",
    "cross-attention",
    "joint-cross-attention",
    "recursive-joint-cross-attention",
}


def test_the_hook_module_imports_no_torch() -> None:
    code = "import sys, affectzoo_fusion; affectzoo_fusion.affectzoo_fusions(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_all_six_fusions_are_declared() -> None:
    assert {spec.name for spec in affectzoo_fusions()} == NAMES


@pytest.mark.parametrize("spec", affectzoo_fusions(), ids=lambda spec: spec.name)
def test_a_spec_is_valid_and_its_target_follows_the_constructor_contract(spec: FusionSpec) -> None:
    spec.validate()
    module, attribute = spec.target.split(":")
    fusion = getattr(importlib.import_module(module), attribute)
    assert issubclass(fusion, Fusion)
    first, second, *config = inspect.signature(fusion).parameters.values()
    assert (first.name, second.name) == ("dims", "seq_len")
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in config)
