"""Checks that a component keeps its contract: the very ones that affectzoo's own components pass.

`checks(spec)` gives named checks, to be called one by one, without pytest; `parametrize_with_checks` makes a pytest test of
each.
"""

from affectzoo.testing.check import Check, CheckFailed, Subject
from affectzoo.testing.suites import checks, parametrize_with_checks

__all__ = ["Check", "CheckFailed", "Subject", "checks", "parametrize_with_checks"]
