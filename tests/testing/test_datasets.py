"""What loaders are checked with, and which cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from affectzoo.builtin import affectzoo_datasets
from affectzoo.testing import CheckFailed, checks
from tests.testing import wrong_datasets
from tests.testing.wrong_components import spec_of
from tests.testing.wrong_datasets import Sound


def test_options_reach_a_loader(tmp_path: Path) -> None:
    wrong_datasets.write(tmp_path)
    for check in checks(spec_of("dataset", Sound), config={"root": str(tmp_path), "most": 3}):
        check()


def test_without_a_folder_it_says_what_to_give() -> None:
    (check,) = checks(spec_of("dataset", Sound), only=["ids-unique"])
    with pytest.raises(CheckFailed, match=r"config=\{'root': \.\.\.\}"):
        check()


def test_a_function_that_prepares_rows_has_no_clips_to_check() -> None:
    for check in checks(spec_of("dataset", wrong_datasets.prepare), only=["card-complete", "ids-unique"]):
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
