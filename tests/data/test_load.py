"""`affectzoo.load_dataset`: splits, folds, streams, options, and what is left out said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import affectzoo
from affectzoo.data.load import open_corpus
from affectzoo.errors import ConfigError, DataError, UnknownNameError
from affectzoo.registry import registry
from tests.data.toy_corpus import ToyCorpus, write_toys

SPLITS = ("train", "val", "test")


@pytest.fixture(autouse=True)
def toy() -> None:
    affectzoo.register_dataset("toy-corpus")(ToyCorpus)


@pytest.fixture
def root(tmp_path) -> Path:
    return write_toys(tmp_path / "toys", 6, 2, splits=SPLITS)


def load(root: Path, **given: Any) -> Any:
    return affectzoo.load_dataset("toy-corpus", str(root), cache_dir=str(root.parent / "cache"), **given)


def test_official_splits(root):
    found = load(root)
    assert {split: part["clip_id"] for split, part in found.items()} == {
        "train": ["p0_0", "p0_1", "p3_0", "p3_1"],
        "val": ["p1_0", "p1_1", "p4_0", "p4_1"],
        "test": ["p2_0", "p2_1", "p5_0", "p5_1"],
    }


def test_a_corpus_without_splits_is_whole_until_a_fold_is_given(tmp_path):
    root = write_toys(tmp_path / "toys", 5, 2)
    assert {split: len(part) for split, part in load(root).items()} == {"all": 10}
    found = load(root, fold={"folds": 5, "number": 2})
    assert {split: len(part) for split, part in found.items()} == {"train": 6, "val": 2, "test": 2}
    assert len({subject for part in found.values() for subject in set(part["subject"])}) == 5


@pytest.mark.parametrize("fold", ["loso", 5])
def test_a_fold_that_is_no_mapping_is_refused(root, fold):
    with pytest.raises(ConfigError, match=r"fold: .*should be a valid dictionary"):
        load(root, fold=fold)


def test_a_fold_goes_before_the_official_splits(root):
    found = load(root, fold={"folds": "loso", "number": 4})
    assert set(found["test"]["subject"]) == {"p4"}


@pytest.mark.parametrize("fold", [None, {"folds": 3, "number": 1}])
def test_a_stream_holds_the_same_rows(root, fold, capsys):
    (root / "val" / "p1_0.csv").write_text("seconds\n")
    rows = {split: list(part) for split, part in load(root, fold=fold).items()}
    capsys.readouterr()
    streamed = {split: list(part) for split, part in load(root, fold=fold, streaming=True).items()}
    assert streamed == rows
    assert sum(map(len, rows.values())) == 11
    assert "left out: p1_0: " in capsys.readouterr().err


def test_a_stream_of_a_split_goes_on_where_it_was(root):
    rows = list(load(root)["val"])
    stream = load(root, streaming=True)["val"]
    taken = iter(stream)
    first = [next(taken) for _ in range(3)]
    state = stream.state_dict()
    again = load(root, streaming=True)["val"]
    again.load_state_dict(state)
    assert first + list(again) == rows


def test_what_is_left_out_is_said_and_the_rest_used(root, capsys):
    (root / "val" / "p1_0.csv").write_text("seconds\n")
    (root / "train" / "p1_1.csv").write_text("time_s,valence\n")
    found = load(root)
    assert sum(map(len, found.values())) == 11
    said = capsys.readouterr().err.splitlines()
    assert f"{root}: 2 of 13 clips are left out; `affectzoo data check` lists all" in said
    assert "  p1_1 (2): there is already a clip p1_1" in said
    assert any(line.startswith("  p1_0: ") for line in said)


def test_contradictions_are_refused(root):
    (root / "test" / "p0_7.csv").write_text("time_s,valence\n0,5\n")
    with pytest.raises(DataError, match="subject 'p0' is in both test and train; give it one split"):
        load(root)
    (root / "test" / "p0_7.csv").rename(root / "p9_7.csv")
    with pytest.raises(DataError, match="some clips have a split and some have none"):
        load(root)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"root": "x", "shift": 1}, "unknown key 'shift'; did you mean 'shift_s'"),
        ({"root": "x", "zzz": 1}, "unknown key 'zzz'; it takes root, shift_s"),
        ({}, "key 'root' is missing"),
    ],
)
def test_options_that_cannot_be_are_named(options, words):
    with pytest.raises(ConfigError, match=words):
        open_corpus("toy-corpus", options)


def test_names_that_are_no_corpus_are_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="toy-corpus"):
        affectzoo.load_dataset("toy-corpse", str(tmp_path))
    with pytest.raises(ConfigError, match="'rendered' prepares inputs of a given model and has no rows of its own"):
        affectzoo.load_dataset("rendered")
    assert registry().find("dataset", "toy-corpus").resolve() is ToyCorpus
