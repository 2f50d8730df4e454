"""Each check of a detector catches a component that breaks its promise, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from affectzoo import DetectorSpec, register_detector
from affectzoo.builtin import affectzoo_detectors
from affectzoo.registry import registry
from affectzoo.testing import Check, CheckFailed, Subject, checks, parametrize_with_checks
from affectzoo.testing.detectors import CHECKS
from tests.testing import wrong_detectors
from tests.testing.wrong_detectors import WRONG, Sound


def made(component: type[Sound]) -> list[Check]:
    spec = DetectorSpec(
        name=component.__name__.lower(),
        summary="for a test",
        licence="Apache-2.0",
        target=f"{wrong_detectors.__name__}:{component.__name__}",
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


@parametrize_with_checks([Subject("detector", spec) for spec in affectzoo_detectors() if spec.name != "yunet"])
def test_the_detectors_that_need_no_weights_keep_the_contract(check: Check) -> None:
    check()


def test_yunet_keeps_the_contract(shared: Path) -> None:
    (spec,) = [spec for spec in affectzoo_detectors() if spec.name == "yunet"]
    for check in checks(spec, config={"weights": str(shared / "models" / "face_detection_yunet.onnx")}):
        check()


def test_one_that_was_registered_here_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry()._entries, "detector", list(registry()._entries["detector"]))
    register_detector("here")(WRONG["scores-in-range"])
    spec = registry().find("detector", "here").spec
    assert isinstance(spec, DetectorSpec)
    (check,) = checks(spec, only=["scores-in-range"])
    with pytest.raises(CheckFailed, match=r"here: scores-in-range: a drawn face, .* the score 90\.0\d* is not in 0\.\.1"):
        check()
