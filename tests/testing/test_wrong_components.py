"""The checks of every kind let a sound component pass, and each alone catches what it is there for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from affectzoo.testing import checks
from tests.testing import wrong_detectors, wrong_fusions, wrong_temporals
from tests.testing.wrong_components import KINDS, failures, spec_of

SOUND = [(kind, component) for kind, made in KINDS.items() for component in made.sound]
WRONG = [(kind, *row) for kind, made in KINDS.items() for row in made.wrong]


@pytest.mark.parametrize(("kind", "component"), SOUND, ids=[f"{kind}-{component.__name__}" for kind, component in SOUND])
def test_a_sound_one_keeps_every_promise(kind: str, component: type, tmp_path: Path) -> None:
    assert failures(kind, component, KINDS[kind].config(tmp_path)) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_every_check_has_something_to_catch(kind: str) -> None:
    made = KINDS[kind]
    assert {check.name for check in checks(spec_of(kind, made.sound[0]))} == {check for check, _, _ in made.wrong}


@pytest.mark.parametrize(
    ("kind", "check", "component", "message"), WRONG, ids=[f"{kind}-{check}-{c.__name__}" for kind, check, c, _ in WRONG]
)
def test_what_is_wrong_is_caught_by_its_check_alone(
    kind: str, check: str, component: type, message: str, tmp_path: Path
) -> None:
    failed = failures(kind, component, KINDS[kind].config(tmp_path))
    assert list(failed) == [check], failed
    assert failed[check].startswith(f"{component.__name__.lower()}: {check}: ")
    assert re.search(message, failed[check]), failed[check]


def test_gradients_of_a_temporal_are_spared_from_masked_steps_too() -> None:
    failed = failures("temporal", wrong_temporals.ZeroesAfterALayer, {})
    assert list(failed) == ["masked-steps"]
    assert "gradients with NaN in the masked steps" in failed["masked-steps"]


def test_what_was_given_before_must_not_matter() -> None:
    failed = failures("fusion", wrong_fusions.RemembersTheFirst, {}, only=["deterministic"])
    assert "given other inputs before" in failed["deterministic"]


def test_boxes_that_a_later_picture_overwrites_are_caught() -> None:
    failed = failures("detector", wrong_detectors.OneArray, {})
    assert list(failed) == ["no-memory"]
    assert "give a new array each time" in failed["no-memory"]


def test_a_layer_without_a_shape_is_named() -> None:
    failed = failures("fusion", wrong_fusions.WidthsFromInputs, {}, only=["save-and-load"])
    assert "late.weight has no shape before the first forward pass; give its layer all its widths" in failed["save-and-load"]


def test_a_component_that_calls_exit_does_not_end_the_checks() -> None:
    failed = failures("fusion", wrong_fusions.EndsTheProcess, {}, only=["output-shape", "permutation"])
    assert failed["permutation"] == "endstheprocess: permutation: SystemExit: 3"
