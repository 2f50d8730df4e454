"""Every clip, subject or class has its equal share of an epoch, and its windows come round in turn."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets

from affectzoo.config import ModelConfig, TargetConfig
from affectzoo.data.windows import WindowDataset
from affectzoo.errors import ConfigError
from affectzoo.model.affect_model import AffectModel
from affectzoo.train.sampling import check_sampling, draw, groups_of
from tests.train.toys import toy_experiment, toy_rows

MOOD = {"name": "mood", "kind": "categorical", "classes": ["calm", "tense", "sad"]}


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> ModelConfig:
    return AffectModel(toy_experiment(tmp_path_factory.mktemp("runs")).model).config


def windows(config: ModelConfig, lengths: dict[str, int], change: Any = None) -> WindowDataset:
    """A clip of so many steps of each subject; windows of 2 steps at every step."""
    parts = [toy_rows(config, name, 1, steps=steps, change=change) for name, steps in lengths.items()]
    rows = concatenate_datasets(parts)
    assert isinstance(rows, Dataset)
    return WindowDataset(rows, config, hop=1)


def test_clips_of_unequal_length_are_drawn_equally_often(config):
    dataset = windows(config, {"long": 61, "middle": 11, "short": 2})  # 60, 10 and 1 windows
    groups = groups_of(dataset, "clips")
    assert groups is not None
    assert [len(members) for members in groups] == [60, 10, 1]
    for epoch in range(4):
        drawn = draw(groups, 0, epoch)
        assert len(drawn) == 71
        counts = Counter(dataset.places[number][0] for number in drawn)
        assert set(counts.values()) == {23, 24}
    whole = Counter(number for epoch in range(3) for number in draw(groups, 0, epoch))
    assert sum(whole.values()) == 3 * 71
    assert [sum(whole[number] for number in members) for members in groups] == [71, 71, 71], "no group is ahead for long"


def test_no_window_comes_again_before_the_others_of_its_group_had_their_turn(config):
    dataset = windows(config, {"long": 61, "middle": 11, "short": 2})
    groups = groups_of(dataset, "clips")
    assert groups is not None
    sequence = [number for epoch in range(30) for number in draw(groups, 3, epoch)]
    for members in groups:
        own = [number for number in sequence if number in set(members.tolist())]
        rounds = [own[start : start + len(members)] for start in range(0, len(own) - len(members) + 1, len(members))]
        assert len(rounds) >= 11
        assert all(sorted(part) == members.tolist() for part in rounds)
        if len(members) > 1:
            assert len({tuple(part) for part in rounds}) == len(rounds), "each time in another order"


def test_an_epoch_follows_from_its_seed_and_number_alone(config):
    groups = groups_of(windows(config, {"long": 61, "short": 11}), "clips")
    assert groups is not None
    late = draw(groups, 5, 7)
    for epoch in range(7):
        draw(groups, 5, epoch)
    assert draw(groups, 5, 7) == late
    assert len({str(draw(groups, seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_subjects_count_once_however_many_clips_they_have(config):
    dataset = windows(config, {"a": 11, "b": 11, "c": 11, "d": 11})
    dataset.subjects = ["ann", "ann", "ann", "bob"]
    groups = groups_of(dataset, "subjects")
    assert groups is not None
    counts = Counter(dataset.subjects[dataset.places[number][0]] for number in draw(groups, 0, 0))
    assert counts == {"ann": 20, "bob": 20}


def with_classes(config: ModelConfig, targets: list[Any]) -> ModelConfig:
    return config.model_copy(update={"targets": tuple(TargetConfig.parse(target) for target in targets)})


def class_windows(config: ModelConfig, steps: dict[str, list[int]], valid: dict[str, list[bool]] | None = None) -> Any:
    """Clips whose steps have these classes, behind a column of valence; -1 is shared between the first two."""
    shares = np.array([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0.5, 0.5, 0]], np.float32)
    four = with_classes(config, ["valence", MOOD])
    parts = []
    for name, classes in steps.items():

        def label(_: int, arrays: dict[str, Any], classes: list[int] = classes, name: str = name) -> None:
            arrays["targets"] = shares[classes]
            if valid and name in valid:
                arrays["valid"] = np.array(valid[name])

        parts.append(toy_rows(config, name, 1, steps=len(classes), change=label))
    return WindowDataset(concatenate_datasets(parts), four, hop=1)


def test_the_class_of_a_window_is_the_most_frequent_of_its_valid_steps(config):
    long = config.model_copy(update={"sequence": config.sequence.model_copy(update={"length": 3})})
    dataset = class_windows(
        long,
        {"a": [0, 0, 1, 1, 1], "b": [2, 2, 1], "c": [-1, 1, -1], "d": [2, 0, 0]},
        {"b": [False, False, True], "d": [False, False, False]},
    )
    groups = groups_of(dataset, "classes")
    assert groups is not None
    found = {tuple(dataset.places[number] for number in members) for members in groups}
    # Of b two of three steps are sad but not valid; the shares of c make 1 calm and 2 tense; d is never drawn.
    assert found == {((0, 0),), ((0, 1), (0, 2), (1, 0), (2, 0))}


def test_rare_classes_are_drawn_as_often_as_frequent_ones(config):
    dataset = class_windows(config, {"a": [0] * 40, "b": [2] * 5, "c": [1] * 3})
    groups = groups_of(dataset, "classes")
    assert groups is not None
    counts = [len(set(members.tolist()) & set(draw(groups, 0, 0))) for members in groups]
    assert [len(members) for members in groups] == [39, 4, 2]
    assert counts == [15, 4, 2]
    assert Counter(number >= 39 for number in draw(groups, 0, 0)) == {True: 30, False: 15}


@pytest.mark.parametrize(("exponent", "shares"), [(0.5, (29, 10, 6)), (0.9, (37, 5, 3)), (0.01, (15, 15, 15))])
def test_larger_groups_may_come_more_often_by_a_power_of_their_size(exponent, shares):
    groups = [np.arange(38), np.arange(38, 43), np.arange(43, 45)]
    epochs = [draw(groups, 0, epoch, exponent) for epoch in range(40)]
    for drawn in epochs:
        assert len(drawn) == 45
        counts = [sum(number in members for number in drawn) for members in groups]
        assert all(abs(count - share) <= 1 for count, share in zip(counts, shares, strict=True)), counts
    assert epochs[3] == draw(groups, 0, 3, exponent) != epochs[4]
    # All of a group had their turn before any comes again.
    whole = Counter(number for drawn in epochs for number in drawn)
    for members in groups:
        assert max(whole[n] for n in members) - min(whole[n] for n in members) <= 1


def test_no_group_is_forgotten_however_small_its_share():
    groups = [np.arange(10_000), np.array([10_000]), np.array([10_001])]
    drawn = Counter(draw(groups, 0, 0, 0.99))
    assert drawn[10_000] >= 1
    assert drawn[10_001] >= 1
    assert sum(drawn.values()) == 10_002


@pytest.mark.parametrize("sampling", ["clips", "subjects"])
def test_windows_without_a_valid_label_are_left_out(config, sampling):
    def blank(_: int, arrays: dict[str, Any]) -> None:
        arrays["valid"][:-1] = False

    dataset = windows(config, {"a": 6, "b": 9}, blank)
    groups = groups_of(dataset, sampling)
    assert groups is not None
    assert [[dataset.places[number] for number in members] for members in groups] == [[(0, 4)], [(1, 7)]]
    assert len(draw(groups, 0, 0)) == 2
    assert groups_of(dataset, "windows") is None


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (["valence"], "pretrain.sampling: classes needs one categorical target, and this model has none"),
        ([MOOD, {**MOOD, "name": "pose"}], "this model has mood, pose"),
    ],
)
def test_classes_need_one_categorical_target(targets, words):
    given = [TargetConfig.parse(target) for target in targets]
    with pytest.raises(ConfigError, match=words):
        check_sampling("classes", given, "pretrain")
    for sampling in ("windows", "clips", "subjects"):
        check_sampling(sampling, given, "train")
    check_sampling("classes", [TargetConfig.parse("valence"), TargetConfig.parse(MOOD)], "train")
