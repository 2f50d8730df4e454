"""The checks of a fusion let a right one pass, and each alone catches what it is there for."""

from __future__ import annotations

import re

import pytest

from affectzoo.registry import FusionSpec
from affectzoo.testing import CheckFailed, checks
from tests.testing.wrong_fusions import WRONG, Right, RightAttention


def spec_of(fusion: type) -> FusionSpec:
    target = f"tests.testing.wrong_fusions:{fusion.__name__}"
    return FusionSpec(name=fusion.__name__.lower(), summary="for these tests", licence="Apache-2.0", target=target)


def failures(spec: FusionSpec) -> dict[str, str]:
    """Check -> message, of those that fail."""
    found = {}
    for check in checks(spec):
        try:
            check()
        except CheckFailed as error:
            found[check.name] = str(error)
    return found


@pytest.mark.parametrize("fusion", [Right, RightAttention])
def test_a_fusion_that_keeps_its_contract_passes(fusion: type) -> None:
    assert failures(spec_of(fusion)) == {}


def test_every_check_has_a_fusion_that_it_catches() -> None:
    assert [check.name for check in checks(spec_of(Right))] == list(dict.fromkeys(name for name, _, _ in WRONG))


@pytest.mark.parametrize(("name", "fusion", "message"), WRONG, ids=[fusion.__name__ for _, fusion, _ in WRONG])
def test_a_wrong_fusion_is_caught_by_one_check_alone(name: str, fusion: type, message: str) -> None:
    failed = failures(spec_of(fusion))
    assert list(failed) == [name], failed
    assert failed[name].startswith(f"{fusion.__name__.lower()}: {name}: ")
    assert re.search(message, failed[name]), failed[name]
