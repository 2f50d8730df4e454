"""Folds keep people apart, hold about equally many clips, and are the same each time."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from affectzoo.data.folds import FoldConfig, assign, fold_count, fold_of
from affectzoo.errors import ConfigError, DataError

PEOPLE = [f"p{number}" for number in range(11) for _ in range(1 + number % 4)]


def held_out(subjects: list[str], fold: FoldConfig) -> set[str]:
    splits = assign(subjects, fold)
    assert len(splits) == len(subjects)
    people = {split: {s for s, own in zip(subjects, splits, strict=True) if own == split} for split in ("train", "val", "test")}
    assert all(people.values())
    assert sum(map(len, people.values())) == len(set(subjects))  # nobody in two splits
    return people["test"]


@given(
    st.lists(st.integers(1, 9), min_size=4, max_size=20),
    st.integers(2, 4),
    st.integers(0, 5),
)
def test_everybody_is_tested_once_and_in_one_split_only(sizes, folds, seed):
    subjects = [f"s{number}" for number, size in enumerate(sizes) for _ in range(size)]
    try:
        tests = [held_out(subjects, FoldConfig(folds=folds, number=number, seed=seed)) for number in range(folds)]
    except DataError:
        # Two folds, one of which is a single person with most of the clips.
        assert folds == 2
        assert max(sizes) >= sum(sizes) / 2 - max(sizes) or len(sizes) < 5
        return
    assert sorted(name for fold in tests for name in fold) == sorted(set(subjects))


def test_folds_hold_about_equally_many_clips():
    counts = [assign(PEOPLE, FoldConfig(folds=4, number=number)).count("test") for number in range(4)]
    assert sum(counts) == len(PEOPLE)
    # Whole people of at most four clips: the fullest fold got its last one while it was the emptiest.
    assert max(counts) - min(counts) <= 4


def test_leaving_one_out_goes_by_name():
    names = sorted(set(PEOPLE))
    found = [held_out(PEOPLE, FoldConfig(folds="loso", number=number)) for number in range(len(names))]
    assert found == [{name} for name in names]
    assert fold_count(PEOPLE, "loso") == 11


def test_the_same_seed_gives_the_same_folds_whatever_the_order_of_clips():
    fold = FoldConfig(folds=3, number=1, seed=4)
    forward = dict(zip(PEOPLE, assign(PEOPLE, fold), strict=True))
    backward = dict(zip(PEOPLE[::-1], assign(PEOPLE[::-1], fold), strict=True))
    assert forward == backward
    assert forward != dict(zip(PEOPLE, assign(PEOPLE, fold.model_copy(update={"seed": 5})), strict=True))


@pytest.mark.parametrize(
    ("subjects", "fold", "error", "words"),
    [
        (["a", "b"], {"folds": 2}, DataError, "2 subjects cannot be divided into 2 folds .*; at least 3 subjects are needed"),
        (["a", "b", "c"], {"folds": 4}, DataError, "3 subjects cannot be divided into 4 folds .*; give at most 3 folds"),
        (["a"] * 9 + ["b", "c"], {"folds": 2, "number": 1}, DataError, "fold 1 leaves one subject to train and validate on"),
        (["a", "b", "c"], {"folds": 3, "number": 3}, ConfigError, "fold.number is 3, but the folds are 0 to 2"),
        (["a", "b", "c"], {"folds": 1}, ConfigError, "folds"),
        (["a", "b", "c"], {"folds": "logo"}, ConfigError, "folds"),
        (["a", "b", "c"], {"fold": 3}, ConfigError, "did you mean 'folds'"),
        (["a", "b", "c"], {"folds": 3, "val": 1.0}, ConfigError, "val"),
    ],
)
def test_folds_that_cannot_be_are_refused(subjects, fold, error, words):
    with pytest.raises(error, match=words):
        assign(subjects, fold_of(fold))  # pyright: ignore[reportArgumentType]
