"""Each check of a temporal catches a component that breaks its promise, and nothing else does."""

from __future__ import annotations

import pytest

from affectzoo import TemporalSpec
from affectzoo.testing import Check, CheckFailed, checks
from affectzoo.testing.temporals import CHECKS
from tests.testing import wrong_temporals
from tests.testing.wrong_temporals import WRONG, Sound


def made(component: type[Sound]) -> list[Check]:
    spec = TemporalSpec(
        name=component.__name__.lower(),
        summary="for a test",
        licence="Apache-2.0",
        target=f"{wrong_temporals.__name__}:{component.__name__}",
    )
    return checks(spec)


def caught(component: type[Sound]) -> list[str]:
    found = []
    for check in made(component):
        try:
            check()
        except CheckFailed:
            found.append(check.name)
    return found


def test_a_sound_one_keeps_every_promise() -> None:
    for check in made(Sound):
        check()


def test_every_check_has_something_to_catch() -> None:
    assert list(WRONG) == [name for name, _, _ in CHECKS]


@pytest.mark.parametrize("check", WRONG)
def test_what_is_wrong_is_caught_by_its_check_alone(check: str) -> None:
    assert caught(WRONG[check]) == [check]
