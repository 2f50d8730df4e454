"""Models with `head.pool`: a score per face from the rows of the whole file, in tables, words, files and pictures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from affectzoo.config import TargetConfig
from affectzoo.config.targets import TAKEN_COLUMNS
from affectzoo.errors import ConfigError, InputError
from affectzoo.predict import Predictor, Timeline
from affectzoo.predict.timeline import LEADING, TRAILING
from affectzoo.predict.windows import Row

BDI = TargetConfig.parse("bdi-ii")
EMOTION = TargetConfig(name="emotion", kind="categorical", classes=("happy", "sad", "calm"))
PLAIN = {"mean": np.mean, "median": np.median, "last": lambda values, axis: values.take(-1, axis)}


def row(index, face, *values):
    seen = face is not None
    box = np.array([40, 40, 80, 90]) if seen else None
    return Row(index, 2.0 * index, 2.0 * index + 2, face, np.array(values, float), seen, True, 16 if seen else None, box)


def bdi(rows, pool="median", **details):
    return Timeline.from_rows(rows, source="/some/interview.mp4", targets=[BDI], pool=pool, **details)


@pytest.fixture
def two_faces():
    """Face 0 in five rows, one of them blank; face 1 in two; two rows of nobody, one blank."""
    rows = [row(i, 0, value) for i, value in enumerate((10, 14, np.nan, 40, 15))]
    return bdi([*rows[:3], row(2, 1, 20), rows[3], row(3, 1, 30), rows[4], row(5, None, np.nan), row(6, None, 7)])


@pytest.mark.parametrize(("pool", "values"), [("median", [14.5, 25, 7]), ("mean", [19.75, 25, 7]), ("last", [15, 30, 7])])
def test_each_face_has_the_score_of_its_rows_with_values(two_faces, pool, values):
    scores = Timeline(two_faces.frame, targets=[BDI], pool=pool).scores
    assert list(scores.columns) == ["face_id", "start_s", "end_s", "clips", "bdi-ii"]
    assert str(scores["face_id"].dtype) == "Int64"
    assert [None if pd.isna(number) else number for number in scores["face_id"]] == [0, 1, None]
    assert scores["clips"].tolist() == [4, 2, 1]
    assert scores["start_s"].tolist() == [0, 4, 12]
    assert scores["end_s"].tolist() == [10, 8, 14]
    assert scores["bdi-ii"].tolist() == values


def test_nobody_has_a_score_only_where_the_sound_gave_values():
    assert bdi([row(0, 0, 10), row(1, None, np.nan)]).scores["face_id"].tolist() == [0]
    assert bdi([row(0, None, 10)]).scores["face_id"].isna().tolist() == [True]


def test_a_face_without_values_has_a_row_that_says_so():
    timeline = bdi([row(0, 0, 10), row(1, 4, np.nan), row(2, 4, np.nan)])
    silent = timeline.scores.iloc[1]
    assert (silent["face_id"], silent["clips"], silent["start_s"], silent["end_s"]) == (4, 0, 2, 6)
    assert timeline.scores["bdi-ii"].isna().tolist() == [False, True]
    assert timeline.summary().endswith("face 4: nothing to predict from")


def test_no_rows_make_no_scores(tmp_path):
    empty = bdi([])
    assert empty.scores.shape == (0, 5)
    assert empty.scores_to_csv(tmp_path / "empty.csv").read_text() == "file,face_id,start_s,end_s,clips,bdi-ii\n"
    blank = bdi([row(0, None, np.nan)])
    assert len(blank.scores) == 0
    assert blank.summary().endswith("nothing to predict from")


@pytest.mark.parametrize("pool", ["mean", "median", "last"])
def test_pooled_probabilities_sum_to_one(pool):
    values = np.random.default_rng(0).dirichlet([1, 1, 1], size=6)
    targets = (EMOTION, BDI)
    timeline = Timeline.from_rows([row(i, 0, *v, 10 * i) for i, v in enumerate(values)], targets=targets, pool=pool)
    pooled = timeline.scores.iloc[0, 4:].to_numpy(dtype=float)
    plain = PLAIN[pool](values, axis=0)
    np.testing.assert_allclose(pooled[:3], plain / plain.sum())
    assert pooled[3] == PLAIN[pool](10 * np.arange(6.0), axis=0)
    assert "emotion.happy" in timeline.summary()


def test_classes_that_share_the_clips_evenly_are_told_by_the_mean():
    timeline = Timeline.from_rows([row(i, 0, *np.eye(3)[i]) for i in range(3)], targets=[EMOTION], pool="median")
    np.testing.assert_allclose(timeline.scores.iloc[0, 4:].to_numpy(dtype=float), 1 / 3)


def test_no_target_may_have_the_name_of_another_column(two_faces, tmp_path):
    table = pd.read_csv(two_faces.scores_to_csv(tmp_path / "scores.csv"))
    assert {*LEADING, *TRAILING, *table.columns} - {"bdi-ii"} == TAKEN_COLUMNS
    for name in TAKEN_COLUMNS:
        with pytest.raises(ConfigError, match=f"has a column '{name}' that is no target; give another name"):
            TargetConfig.parse({"name": name})


def test_a_timeline_without_pool_has_no_scores_and_an_unknown_one_is_refused(tmp_path):
    plain = bdi([row(0, 0, 10)], pool=None)
    for ask in (lambda: plain.scores, lambda: plain.scores_to_csv(tmp_path / "scores.csv")):
        with pytest.raises(InputError, match=r"no head\.pool"):
            ask()
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="mean, median, last, or None; not 'max'"):
        bdi([], pool="max")


def test_scores_are_written_with_their_file_and_come_back_from_the_rows(two_faces, tmp_path):
    table = pd.read_csv(two_faces.scores_to_csv(tmp_path / "new" / "scores.csv"), dtype={"face_id": "Int64"})
    assert table["file"].tolist() == ["/some/interview.mp4"] * 3
    pd.testing.assert_frame_equal(table.drop(columns="file"), two_faces.scores)
    again = Timeline.read_csv(two_faces.to_csv(tmp_path / "rows.csv"), pool="median")
    pd.testing.assert_frame_equal(again.scores, two_faces.scores)


def test_words_about_scores(two_faces):
    first, *lines = two_faces.summary().split("\n")
    assert first == "interview.mp4: 14.0 s, 2 faces; a face in 71% of the time, sound in 100%"
    assert lines == [
        "face 0: bdi-ii 14.5 BDI-II points (median of 4 clips)",
        "face 1: bdi-ii 25.0 BDI-II points (median of 2 clips)",
        "sound only: bdi-ii 7.0 BDI-II points (median of 1 clip)",
    ]
    assert "face 1: bdi-ii 25.0" in two_faces._repr_html_()


def test_a_plot_shows_each_score_and_its_number(two_faces, tmp_path):
    figure = two_faces.plot(tmp_path / "scores.png")
    (axes,) = figure.axes
    assert axes.get_ylim()[1] > 63
    assert [text.get_text() for text in axes.texts] == ["7.0", "14.5", "25.0"]
    lines = [segment.tolist() for collection in axes.collections for segment in collection.get_segments()]
    assert lines == [[[0, 14.5], [10, 14.5]], [[4, 25], [8, 25]], [[12, 7], [14, 7]]]
    (legend,) = figure.legends
    assert "score (median of the clips)" in [text.get_text() for text in legend.get_texts()]
    assert not Timeline(two_faces.frame, targets=[BDI]).plot().axes[0].texts


@pytest.mark.parametrize("targets", [(BDI,), (EMOTION,), (EMOTION, BDI)])
@pytest.mark.parametrize("faces", [(), (None,), (0,), tuple(range(12))])
def test_every_timeline_with_scores_can_be_plotted(targets, faces, tmp_path):
    columns = sum(len(target.columns) for target in targets)
    rows = [row(i, face, *np.linspace(0.1, 0.4, columns)) for i in range(2) for face in faces]
    Timeline.from_rows(rows, targets=targets, pool="median").plot(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_numbers_of_close_scores_do_not_cover_each_other():
    timeline = bdi([row(0, face, 62.9 + 0.01 * face) for face in range(6)])
    axes = timeline.plot().axes[0]
    heights = [text.get_position()[1] for text in axes.texts]
    assert (np.diff(heights) > 1).all()
    assert axes.get_ylim()[0] < heights[0] < heights[-1] <= axes.get_ylim()[1]


@pytest.mark.parametrize("pool", ["mean", "median", "last"])
@pytest.mark.parametrize("length", [1, 4])
def test_a_file_is_scored_over_all_its_clips_and_not_by_window(make_model, make_clip, detector, pool, length):
    clip = make_clip(duration_s=4.0, red=[(0, 99)], green=[(1.6, 99)])
    plain, pooled = make_model(targets=["bdi-ii"], length=length), make_model(targets=["bdi-ii"], length=length, pool=pool)
    pooled.load_state_dict(plain.state_dict())
    expected = Predictor(plain, detector=detector, device="cpu")(clip)
    timeline = Predictor(pooled, detector=detector, device="cpu")(clip)
    assert (timeline.pool, expected.pool) == (pool, None)
    pd.testing.assert_frame_equal(timeline.frame, expected.frame)
    assert timeline.scores["clips"].tolist() == [10, 6]
    for face, score in zip(timeline.faces, timeline.scores["bdi-ii"], strict=True):
        rows = expected.frame.loc[expected.frame["face_id"] == face, "bdi-ii"].to_numpy()
        assert score == pytest.approx(PLAIN[pool](rows, axis=0))


def test_the_overlay_draws_a_model_with_scores(make_model, make_clip, detector, tmp_path):
    clip = make_clip(duration_s=1.0)
    timeline = Predictor(make_model(targets=["bdi-ii"], length=1, pool="median"), detector=detector, device="cpu")(clip)
    assert timeline.overlay(clip, tmp_path / "overlay.mp4").stat().st_size > 1000
