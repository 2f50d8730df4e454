"""Splits by subject for corpora without official ones: k folds, or leave one subject out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from affectzoo.config import StrictConfig
from affectzoo.errors import ConfigError, DataError


class FoldConfig(StrictConfig):
    """One fold.

    Attributes:
        folds: how many, or `loso`: as many as there are subjects.
        number: which one's subjects are the test split, from 0.
        val: share of the other subjects that are the validation split, at least one subject.
        seed: decides who goes where.
    """

    folds: Annotated[int, Field(ge=2)] | Literal["loso"]
    number: Annotated[int, Field(ge=0)] = 0
    val: Annotated[float, Field(gt=0, lt=1)] = 0.2
    seed: Annotated[int, Field(ge=0)] = 0


def fold_of(given: FoldConfig | dict[str, Any] | None) -> FoldConfig | None:
    """`{folds: 5, number: 0}` as it stands in a recipe."""
    return given if given is None or isinstance(given, FoldConfig) else FoldConfig.parse(given, where="fold")


def fold_count(subjects: Sequence[str], folds: int | Literal["loso"]) -> int:
    """How many folds these subjects make.

    Raises:
        DataError: fewer subjects than folds, or than the three that train, validate and test.
    """
    people = len(set(subjects))
    count = people if folds == "loso" else folds
    if people < max(count, 3):
        hint = f"give at most {people} folds" if people >= 3 else "at least 3 subjects are needed"
        raise DataError(f"{people} subjects cannot be divided into {count} folds with a validation split each; {hint}")
    return count


def assign(subjects: Sequence[str], fold: FoldConfig) -> list[str]:
    """The split of each clip, given its subject.

    Folds are made of whole subjects and hold about equally many clips: the subjects, shuffled and then by falling number
    of clips, each go to the fold that has the fewest. `loso` takes them in the order of their names.

    Raises:
        DataError: too few subjects.
        ConfigError: there is no fold of that number.
    """
    count = fold_count(subjects, fold.folds)
    if fold.number >= count:
        raise ConfigError(f"fold.number is {fold.number}, but the folds are 0 to {count - 1}")
    sizes = Counter(subjects)
    shuffled = np.random.default_rng(fold.seed).permutation(sorted(sizes)).tolist()
    if fold.folds == "loso":
        test = {sorted(sizes)[fold.number]}
    else:
        held, places = [0] * count, {}
        for subject in sorted(shuffled, key=lambda name: -sizes[name]):
            places[subject] = held.index(min(held))
            held[places[subject]] += sizes[subject]
        test = {subject for subject, place in places.items() if place == fold.number}
    others = [subject for subject in shuffled if subject not in test]
    if len(others) < 2:
        raise DataError(f"fold {fold.number} leaves one subject to train and validate on; give more folds")
    # Another draw for each fold, or the same few people would choose the epoch of all of them.
    order = np.random.default_rng([fold.seed, fold.number]).permutation(others).tolist()
    val = set(order[: min(max(1, math.floor(fold.val * len(others) + 0.5)), len(others) - 1)])
    return ["test" if subject in test else "val" if subject in val else "train" for subject in subjects]
