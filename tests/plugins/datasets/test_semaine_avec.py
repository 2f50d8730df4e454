"""SEMAINE features: four files become one clip for each dialogue, with the delivered split and val taken from train."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import affectzoo
from affectzoo.errors import ConfigError, DataError
from affectzoo_datasets.semaine_avec import SemaineAvec
from tests.plugins.datasets.miniatures.semaine_avec import (
    SCALES,
    TEST,
    TRAIN,
    WIDTHS,
    content,
    labels,
    utterances,
    write_part,
    write_semaine,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "AVEC features é"
    write_semaine(folder)
    return folder


def spoil(root: Path, part: int, vid: str, value: Any, *, number: int = 1) -> None:
    """One dialogue of one part (0 videoIDs ... 8 testVid) of one file is something else."""
    parts = content(SCALES[number - 1])
    parts[part][vid] = value
    write_part(root, number, parts)


def listed(root: Path) -> dict[str, str]:
    return {clip.clip_id: clip.problem for clip in SemaineAvec(root).clips() if clip.problem}


def test_a_clip_is_a_dialogue_with_the_labels_of_four_files(root: Path) -> None:
    corpus = SemaineAvec(root)
    clip = next(clip for clip in corpus.clips() if clip.clip_id == "test_01")
    count = utterances("test_01")
    assert corpus.signals == {**WIDTHS, "speaker": 2}
    assert clip.track is not None
    for target, scale in zip(corpus.along, SCALES, strict=True):
        # Labels are handed on as float32, which keeps seven digits.
        np.testing.assert_allclose(clip.track.values[target], labels("test_01", scale), rtol=1e-6)
    np.testing.assert_array_equal(clip.track.times, np.arange(count) + 0.5)
    assert clip.track.valid.all()
    np.testing.assert_array_equal(clip.signals["audio"].values[:, 0], np.arange(count) + 0.5)
    np.testing.assert_array_equal(clip.signals["speaker"].values[:2], [[0, 1], [1, 0]])


def test_val_is_whole_dialogues_from_the_end_of_train(root: Path) -> None:
    splits = {clip.clip_id: clip.split for clip in SemaineAvec(root, val=0.2).clips()}
    assert [vid for vid, split in splits.items() if split == "val"] == list(TRAIN[-2:])
    assert {splits[vid] for vid in TEST} == {"test"}
    assert splits == {clip.clip_id: clip.split for clip in SemaineAvec(root, val=0.2).clips()}
    assert Counter(clip.split for clip in SemaineAvec(root, val=0).clips()) == {"train": len(TRAIN), "test": len(TEST)}
    assert Counter(clip.split for clip in SemaineAvec(root, val=0.99).clips())["train"] == 1


def test_rows_through_the_library(root: Path, tmp_path: Path) -> None:
    loaded: Any = affectzoo.load_dataset("semaine-avec", root=str(root), cache_dir=str(tmp_path / "cache"))
    assert {split: len(table) for split, table in loaded.items()} == {"train": 9, "val": 1, "test": 2}
    row = loaded["test"][0]
    assert np.shape(row["signal.visual"]) == (utterances("test_01"), WIDTHS["visual"])
    assert row["label_rate_hz"] == 1.0


@pytest.mark.parametrize(
    ("part", "value", "why"),
    [
        (1, ["user"], "speaker has 1 utterances, valence has 5"),
        (1, ["user", "nurse", "user", "user", "user"], "videoSpeakers names 'nurse'; there are user and operator"),
        (2, [0.1, 0.2], "text has 5 utterances, valence has 2"),
        (2, ["a", "b"], "videoLabels of AVEC_features_1.pkl are no numbers"),
        (3, [[1.0, 2.0]], r"text features have shape \[1, 2\], not \[utterances, 4\]"),
        (4, [[1.0], [2.0, 3.0]], "audio features are no table of numbers"),
        (5, None, "visual features are no table of numbers"),
        (5, [["a"] * 5], "visual features are no table of numbers"),
    ],
)
def test_a_dialogue_whose_parts_do_not_meet_is_listed(root: Path, part: int, value: Any, why: str) -> None:
    vid = TRAIN[1]
    assert utterances(vid) == 5
    spoil(root, part, vid, value)
    found = listed(root)
    assert list(found) == [vid]
    assert re.search(why, found[vid])
    assert len(SemaineAvec(root).clips()) == len(TRAIN) + len(TEST)


def test_values_that_are_missing_or_out_of_range_do_not_count(root: Path) -> None:
    spoil(root, 2, TRAIN[0], [0.1, np.nan, 0.3, 1.5])
    spoil(root, 2, TRAIN[0], [1.0, 2.0, 3.0, 200.0], number=4)
    clip = SemaineAvec(root).clips()[2]
    assert clip.clip_id == TRAIN[0]
    assert clip.track is not None
    assert clip.track.valid.tolist() == [True, False, True, False]
    assert clip.notes == (
        "valence is no number from -1 to 1 at 2 utterances",
        "power is no number from 0 to 100 at 1 utterances",
    )


def test_features_that_are_not_finite_are_missing(root: Path) -> None:
    vid = TRAIN[3]
    matrix = np.full((utterances(vid), WIDTHS["audio"]), 2.0)
    matrix[1] = np.inf
    spoil(root, 4, vid, matrix)
    clip = next(clip for clip in SemaineAvec(root).clips() if clip.clip_id == vid)
    assert np.isnan(clip.signals["audio"].values[1]).all()
    assert not clip.problem


def test_a_dialogue_in_no_split_or_in_both_is_listed(root: Path) -> None:
    for number, scale in enumerate(SCALES, start=1):
        parts = content(scale)
        write_part(root, number, [*parts[:7], [*TRAIN[1:], TEST[0], "train_99"], parts[8]])
    found = listed(root)
    assert found == {
        TEST[0]: "the dialogue is in both trainVid and testVid",
        TRAIN[0]: "the dialogue is in neither trainVid nor testVid",
        "train_99": "videoLabels of AVEC_features_1.pkl has no such dialogue",
    }
    assert len(SemaineAvec(root).clips()) == len(TRAIN) + len(TEST) + 1


def test_files_that_do_not_belong_together_are_refused(root: Path) -> None:
    parts = content(0.5)
    del parts[2][TRAIN[0]]
    write_part(root, 2, parts)
    with pytest.raises(DataError, match=r"AVEC_features_2\.pkl has other dialogues than AVEC_features_1\.pkl"):
        SemaineAvec(root)
    (root / "AVEC_features_3.pkl").unlink()
    with pytest.raises(DataError, match=r"AVEC_features_3\.pkl does not exist; the four files"):
        SemaineAvec(root)


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([1, 2, 3], "does not hold the 9 parts"),
        ([*content(1.0)[:2], [1, 2], *content(1.0)[3:]], "videoLabels is list, not a dictionary"),
        ([*content(1.0)[:8], 7], "testVid is no list of dialogues"),
        ([*content(1.0)[:8], [(1, 2)]], "testVid is no list of dialogues"),
        ([*content(1.0)[:3], {}, *content(1.0)[4:]], "no dialogue has text features"),
    ],
)
def test_a_pickle_of_something_else_is_refused(root: Path, parts: list[Any], why: str) -> None:
    write_part(root, 1, parts)
    with pytest.raises(DataError, match=why):
        SemaineAvec(root)


class _Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('ran')",)


def test_a_pickle_that_calls_something_is_refused_by_its_name(root: Path) -> None:
    parts = content(1.0)
    parts[6][TEST[0]] = [_Attack()]
    write_part(root, 1, parts)
    with pytest.raises(DataError, match="exec, which is not admitted"):
        SemaineAvec(root)


@pytest.mark.parametrize("val", [-0.1, 1, 1.5, "0.1", True, float("nan")])
def test_a_share_that_cannot_be_is_refused(root: Path, val: Any) -> None:
    with pytest.raises(ConfigError, match="give a share of the training dialogues"):
        SemaineAvec(root, val=val)


def test_a_wrong_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"AVEC_features_1\.pkl does not exist"):
        SemaineAvec(tmp_path)
    with pytest.raises(DataError, match="does not exist; give the folder"):
        SemaineAvec(tmp_path / "absent")
