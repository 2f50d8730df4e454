"""All fusions of this distribution keep the contract that everybody's plugin is checked against."""

from __future__ import annotations

import pytest
import torch

from affectzoo.testing import Check, Subject, parametrize_with_checks
from affectzoo_fusion import affectzoo_fusions

_SPECS = {spec.name: spec for spec in affectzoo_fusions()}
#: What changes the equations or their shapes, besides the defaults; small widths make quick checks.
_VARIED = [
    ("concat", {"dim": 8}),
    ("self-attention", {"dim": 8, "heads": 2, "dropout": 0.5}),
    ("leader-follower", {"leader": "audio"}),
    ("joint-cross-attention", {"output": "visual-residual", "residual": "audio", "dim": 8}),
    ("recursive-joint-cross-attention", {"iterations": 1, "dim": 8}),
]


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny matrices on many threads are slow on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@parametrize_with_checks([*_SPECS.values(), *(Subject("fusion", _SPECS[name], config) for name, config in _VARIED)])
def test_contract(check: Check) -> None:
    check()
