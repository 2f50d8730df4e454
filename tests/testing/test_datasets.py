"""Each check of a loader catches one that breaks its promise, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from affectzoo import DatasetSpec
from affectzoo.builtin import affectzoo_datasets
from affectzoo.testing import CheckFailed, checks
from affectzoo.testing.datasets import CHECKS
from tests.testing import wrong_datasets
from tests.testing.wrong_datasets import WRONG, Sound


def spec_of(component: object) -> DatasetSpec:
    name = getattr(component, "__name__", "")
    return DatasetSpec(
        name=name.lower(), summary="for a test", licence="Apache-2.0", target=f"{wrong_datasets.__name__}:{name}"
    )


def caught(component: type[Sound], root: Path) -> list[str]:
    found = []
    for check in checks(spec_of(component), config={"root": str(root)}):
        try:
            check()
        except CheckFailed:
            found.append(check.name)
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    wrong_datasets.write(tmp_path)
    return tmp_path


def test_a_sound_one_keeps_every_promise(root: Path) -> None:
    for check in checks(spec_of(Sound), config={"root": str(root), "most": 3}):
        check()


def test_every_check_has_something_to_catch() -> None:
    assert list(WRONG) == [name for name, _, _ in CHECKS]


@pytest.mark.parametrize("check", WRONG)
def test_what_is_wrong_is_caught_by_its_check_alone(check: str, root: Path) -> None:
    assert caught(WRONG[check], root) == [check]


def test_without_a_folder_it_says_what_to_give() -> None:
    (check,) = checks(spec_of(Sound), only=["ids-unique"])
    with pytest.raises(CheckFailed, match=r"config=\{'root': \.\.\.\}"):
        check()


def test_a_function_that_prepares_rows_has_no_clips_to_check() -> None:
    for check in checks(spec_of(wrong_datasets.prepare), only=["card-complete", "ids-unique"]):
        with pytest.raises(CheckFailed, match=r"is no affectzoo\.Corpus"):
            check()


def test_the_folder_of_ones_own_keeps_the_contract(tmp_path: Path) -> None:
    (spec,) = [spec for spec in affectzoo_datasets() if spec.name == "av-folder"]
    (tmp_path / "one.wav").touch()
    (tmp_path / "two.wav").touch()
    lines = ("file_name,subject,split,valence", "one.wav,a,train,0.5", "two.wav,b,test,-1")
    (tmp_path / "metadata.csv").write_text("\n".join(lines) + "\n")
    for check in checks(spec, config={"root": str(tmp_path)}):
        check()
