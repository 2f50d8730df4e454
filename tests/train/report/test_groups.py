"""Groups of clips: who is in which, what is said of the largest gap, and columns that make no groups."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset

from affectzoo.config import TargetConfig
from affectzoo.errors import DataError
from affectzoo.objectives.metrics import unweighted_average_recall
from affectzoo.train.report.columns import MOST_VALUES, read_columns
from affectzoo.train.report.compare import Compared
from affectzoo.train.report.groups import by_column, sentence, to_frame

EMOTION = TargetConfig.parse({"name": "emotion", "kind": "categorical", "classes": ["calm", "happy", "sad"]})
VALENCE = TargetConfig.parse("valence")


def compared(true: list[int], chosen: list[int], subjects: str, rows: list[list[int]] | None = None) -> Compared:
    """Clips of these classes, predicted with a probability of 0.8, beside a valence."""
    shares = np.eye(3)[true]
    prediction = 0.7 * np.eye(3)[chosen] + 0.1
    valence = np.linspace(-0.5, 0.5, len(true))[:, None]
    return Compared(
        prediction=np.concatenate([prediction, 0.5 * valence], axis=1),
        label=np.concatenate([shares, valence], axis=1),
        names=[f"clip{n}" for n in range(len(true))],
        subjects=list(subjects),
        folds=[],
        rows=rows or [[n] for n in range(len(true))],
    )


#: Six clips of three people: anna and ben in `a`, cleo in `b`; the last one has no value.
GIVEN = compared([0, 1, 2, 0, 1, 1, 0], [0, 1, 2, 1, 0, 1, 0], "aabbccc")
VALUES = [{"site": value} for value in ("x", "x", "x", "x", "y", "y", "")]


def found(targets: tuple[TargetConfig, ...] = (EMOTION, VALENCE)) -> dict[str, Any]:
    return by_column(GIVEN, VALUES, "site", (EMOTION, VALENCE), targets)


def test_each_group_has_its_own_metrics_and_counts():
    x, y = found()["groups"]
    assert (x["value"], x["n"], x["clips"], x["subjects"]) == ("x", 4, 4, 2)
    assert (y["value"], y["n"], y["clips"], y["subjects"]) == ("y", 2, 2, 1)
    own = [torch.from_numpy(values[:4, :3]) for values in (GIVEN.prediction, GIVEN.label)]
    assert x["metrics"]["emotion"]["uar"]["value"] == pytest.approx(float(unweighted_average_recall(*own)))
    assert x["metrics"]["emotion"]["accuracy"] == {"value": 0.75, "low": 0.5, "high": 1.0}
    assert np.isnan(y["metrics"]["emotion"]["accuracy"]["low"])
    assert set(x["metrics"]["valence"]) == {"ccc", "mae", "rmse"}
    assert y["absent"]["emotion"] == ["calm", "sad"]
    assert found()["without"] == 1


def test_the_largest_gap_is_one_sentence_that_says_who_and_what_is_missing():
    gap = found()["gaps"]["emotion"]
    assert (gap["high"], gap["low"]) == ("x", "y")
    # x: calm 1 of 2, happy 1, sad 1; y: happy 1 of 2.
    assert gap["difference"] == pytest.approx((0.5 + 1 + 1) / 3 - 0.5)
    told = sentence("site", "emotion", gap)
    assert told.startswith(
        "largest gap by site: UAR of emotion 0.833 (x, of 2 people) against 0.500 (y, of 1 person), 0.333 apart"
    )
    assert told.endswith("; y has no calm, no sad")
    assert "\n" not in told


def test_the_interval_of_a_gap_draws_people_and_not_clips():
    # Both women are always right, of the men one is: the difference is 0, 0.5 or 1.
    given = compared([0, 1, 0, 1, 0, 1, 0, 1], [0, 1, 0, 1, 0, 1, 1, 0], "aabbccdd")
    columns = [{"sex": sex} for sex in "ffffmmmm"]
    gap = by_column(given, columns, "sex", (EMOTION, VALENCE), (EMOTION,))["gaps"]["emotion"]
    assert gap["difference"] == pytest.approx(0.5)
    assert gap["interval"] == pytest.approx([0, 1])
    assert ", interval 0.000 to 1.000" in sentence("sex", "emotion", gap)


def test_groups_that_are_all_alike_are_told_as_two():
    given = compared([0, 1, 0, 1, 0, 1], [0, 1, 0, 1, 0, 1], "aabbcc")
    columns = [{"site": site} for site in "xxyyzz"]
    gap = by_column(given, columns, "site", (EMOTION, VALENCE), (EMOTION,))["gaps"]["emotion"]
    assert gap["high"] != gap["low"]
    assert gap["values"] == {gap["high"]: 1.0, gap["low"]: 1.0}
    assert gap["difference"] == 0


def test_one_group_has_no_gap():
    told = by_column(GIVEN, [{"site": "x"}] * 7, "site", (EMOTION, VALENCE), (EMOTION,))
    assert len(told["groups"]) == 1
    assert told["gaps"] == {}


def test_groups_are_in_the_order_of_numbers_where_they_are_numbers():
    columns = [{"level": value} for value in ("10", "9", "2", "2", "9", "10", "2")]
    told = by_column(GIVEN, columns, "level", (EMOTION, VALENCE), (EMOTION,))
    assert [group["value"] for group in told["groups"]] == ["2", "9", "10"]


def test_clips_that_are_compared_as_one_have_one_value():
    given = compared([0, 1], [0, 1], "ab", rows=[[0, 1], [2]])
    columns = [{"site": value} for value in ("x", "x", "y")]
    told = by_column(given, columns, "site", (EMOTION, VALENCE), (EMOTION,))
    assert [(group["n"], group["clips"]) for group in told["groups"]] == [(1, 2), (1, 1)]
    columns[1] = {"site": "y"}
    with pytest.raises(DataError, match="--by site: the clips of 'clip0' are compared as one, and have 'x' and 'y'"):
        by_column(given, columns, "site", (EMOTION, VALENCE), (EMOTION,))


def test_the_table_has_a_row_for_each_number():
    frame = to_frame({"site": found()})
    assert len(frame) == 2 * (5 + 3)
    row = frame[(frame["group"] == "y") & (frame["metric"] == "accuracy")].iloc[0]
    assert (row["column"], row["target"], row["value"], row["subjects"]) == ("site", "emotion", 0.5, 1)


def read(extra: list[str] | None, wanted: list[str], count: int = 3) -> list[dict[str, str]]:
    """What is read of rows with these extra columns, as a corpus keeps them, or with none."""
    clips = [f"c{n}" for n in range(count)]
    rows = Dataset.from_dict({"clip_id": clips, **({} if extra is None else {"extra": extra})}).with_format("arrow")
    dataset: Any = SimpleNamespace(rows=rows, clip_ids=clips, subjects=[f"p{n}" for n in range(count)])
    return read_columns(dataset, "mine", wanted)


def test_values_of_columns_are_words():
    extra = ['{"sex": "f", "age": 30, "loud": true}', '{"sex": "", "age": 31.5, "loud": false}', '{"sex": null, "age": null}']
    assert read(extra, ["sex", "age", "loud", "subject"]) == [
        {"sex": "f", "age": "30", "loud": "true", "subject": "p0"},
        {"sex": "", "age": "31.5", "loud": "false", "subject": "p1"},
        {"sex": "", "age": "", "loud": "", "subject": "p2"},
    ]
    assert read(None, ["subject"])[2] == {"subject": "p2"}
    assert read(extra, []) == []


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("sexx", "--by sexx: the clips of dataset 'mine' have no such column; did you mean 'sex'"),
        ("colour", "there are empty, frame, sex, subject"),
        ("empty", "no clip has a value in this column"),
        ("frame", f"the column has 40 values, and at most {MOST_VALUES} make groups"),
        ("subject", "has 40 values, and at most 30 make groups: report.json has each under per_subject"),
    ],
)
def test_columns_that_make_no_groups_are_one_sentence(column, words):
    extra = [f'{{"sex": "f", "frame": {n}.5, "empty": null}}' for n in range(40)]
    with pytest.raises(DataError) as caught:
        read(extra, [column], 40)
    assert words in str(caught.value)


def test_clips_without_a_value_are_no_group_too_many():
    extra = [f'{{"age": {n}}}' for n in range(MOST_VALUES)] + ['{"age": null}']
    assert read(extra, ["age"], MOST_VALUES + 1)[-1] == {"age": ""}
