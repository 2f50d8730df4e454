"""The detectors of the core keep the contract; how detectors are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from affectzoo import DetectorSpec, register_detector
from affectzoo.builtin import affectzoo_detectors
from affectzoo.registry import registry
from affectzoo.testing import Check, CheckFailed, Subject, checks, parametrize_with_checks
from tests.testing.wrong_detectors import WRONG


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
