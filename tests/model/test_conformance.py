"""The core's own temporal encoders keep the contract that plugins are held to."""

from __future__ import annotations

from affectzoo.builtin import affectzoo_temporals
from affectzoo.testing import Check, parametrize_with_checks


@parametrize_with_checks(affectzoo_temporals())
def test_contract(check: Check) -> None:
    check()
