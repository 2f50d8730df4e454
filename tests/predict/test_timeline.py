"""Columns, types, files and words of a timeline; its plot."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from affectzoo.config import TargetConfig
from affectzoo.errors import DataError, InputError
from affectzoo.predict import Timeline
from affectzoo.predict.windows import Row

VALENCE_AROUSAL = tuple(TargetConfig.parse(name) for name in ("valence", "arousal"))
EMOTION = TargetConfig(name="emotion", kind="categorical", classes=("happy", "sad"))


def row(index, face=0, values=(0.1, -0.2), seen=True, heard=True):
    box = np.array([10, 20, 30.5, 40], np.float32) if seen else None
    return Row(index, float(index), index + 1.0, face, np.array(values, float), seen, heard, 4 if seen else None, box)


@pytest.fixture
def timeline():
    nan = (np.nan, np.nan)
    rows = [
        *[row(i, values=(0.5 * np.sin(i), 0.3 * np.cos(i))) for i in range(8)],
        row(8, None, seen=False),
        row(9, None, nan, seen=False, heard=False),
        *[row(i, face) for i in range(10, 14) for face in (0, 1)],
    ]
    return Timeline.from_rows(rows, source="/some/interview.mp4", model="toy", targets=VALENCE_AROUSAL, warnings=["dark"])


def test_columns_and_types(timeline):
    frame = timeline.frame
    assert list(frame.columns) == [
        *("time_s", "start_s", "end_s", "face_id", "valence", "arousal", "face_present", "audio_present"),
        *("face_frames", "box_x0", "box_y0", "box_x1", "box_y1"),
    ]
    assert str(frame["face_id"].dtype) == str(frame["face_frames"].dtype) == "Int64"
    assert (frame["face_frames"].isna() == ~frame["face_present"]).all()
    assert frame["face_present"].dtype == frame["audio_present"].dtype == bool
    assert {str(frame[name].dtype) for name in frame.columns if name.startswith(("box", "time", "val"))} == {"float64"}
    assert frame["time_s"].tolist()[:2] == [0.5, 1.5]
    assert frame["face_id"].isna().sum() == 2


def test_csv_and_parquet_come_back_the_same(timeline, tmp_path):
    path = timeline.to_csv(tmp_path / "new" / "folder" / "va.csv")
    back = Timeline.read_csv(path)
    pd.testing.assert_frame_equal(back.frame, timeline.frame, atol=1e-6)
    assert back.targets == timeline.targets
    timeline.to_parquet(tmp_path / "va.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "va.parquet"), timeline.frame)


def test_what_is_not_a_timeline_is_not_read(timeline, tmp_path):
    with pytest.raises(DataError, match=r"missing\.csv"):
        Timeline.read_csv(tmp_path / "missing.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="'time_s'"):
        Timeline.read_csv(tmp_path / "other.csv")
    Timeline(timeline.frame.rename(columns={"valence": "joy"}), targets=[TargetConfig(name="joy")]).to_csv(tmp_path / "joy.csv")
    with pytest.raises(DataError, match="'joy'"):
        Timeline.read_csv(tmp_path / "joy.csv")
    with pytest.raises(DataError) as caught:
        Timeline.read_csv(tmp_path / "missing.csv")
    assert str(caught.value) == f"{tmp_path / 'missing.csv'}: there is no such file; check the path"
    assert Timeline.read_csv(tmp_path / "joy.csv", targets=[TargetConfig(name="joy")]).columns == ("joy",)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("time_s", value) for value in ("soon", "")),
        *(("face_id", value) for value in ("Ann", "0.5")),
        *(("face_present", value) for value in ("maybe", "", "2")),
        ("audio_present", "yes"),
        *(("face_frames", value) for value in ("some", "1.5")),
        ("valence", "high"),
        ("box_x0", "left"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_its_column(timeline, tmp_path, column, value):
    table = pd.read_csv(timeline.to_csv(tmp_path / "va.csv"), dtype="str")
    table.loc[3, column] = value
    table.to_csv(tmp_path / "va.csv", index=False)
    with pytest.raises(DataError, match=f"'{column}'") as caught:
        Timeline.read_csv(tmp_path / "va.csv")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("yes", "no"), [("True", "False"), ("TRUE", "false"), ("1", "0")])
def test_true_and_false_may_be_written_in_several_ways(timeline, tmp_path, yes, no):
    table = pd.read_csv(timeline.to_csv(tmp_path / "va.csv"), dtype="str").replace({"True": yes, "False": no})
    table.to_csv(tmp_path / "va.csv", index=False)
    back = Timeline.read_csv(tmp_path / "va.csv")
    pd.testing.assert_frame_equal(back.frame, timeline.frame, atol=1e-6)


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(timeline, tmp_path, monkeypatch):
    path = timeline.to_csv(tmp_path / "va.csv")
    before = path.read_bytes()

    def interrupted(_, target, **__):
        target.write_text("half a fi")
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", interrupted)
    with pytest.raises(KeyboardInterrupt):
        timeline.to_csv(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["va.csv"]


def test_where_nothing_can_be_written_one_sentence_says_so(timeline, tmp_path):
    (tmp_path / "file").write_text("")
    for write in (timeline.to_csv, timeline.to_parquet):
        with pytest.raises(InputError, match="cannot be written"):
            write(tmp_path / "file" / "va.out")
        with pytest.raises(InputError, match="is a folder"):
            write(tmp_path)


def test_words(timeline):
    assert timeline.faces == [0, 1]
    assert timeline.duration_s == 14.0
    assert len(timeline) == 18
    assert repr(timeline) == "Timeline('interview.mp4', 18 rows, 14.0 s, valence, arousal)"
    first, second = timeline.summary().split("\n")
    assert first == "interview.mp4: 14.0 s, 2 faces; a face in 86% of the time, sound in 93%"
    assert second.startswith("mean valence +0.")
    assert "interview.mp4" in timeline._repr_html_()
    assert "dark" in timeline._repr_html_()


def test_the_length_is_that_of_the_file_where_it_is_known():
    short = Timeline.from_rows([row(0)], source="a.mp4", targets=VALENCE_AROUSAL, duration_s=0.03)
    assert short.duration_s == 0.03
    assert short.summary().startswith("a.mp4: 0.03 s, 1 face;")
    assert "0.03 s" in repr(short)
    # The point at half a second is drawn all the same.
    assert short.plot().axes[0].get_xlim() == (0.0, 1.0)


def test_words_about_little():
    assert "nothing predicted" in Timeline.from_rows([], targets=VALENCE_AROUSAL).summary()
    blank = Timeline.from_rows([row(0, None, (np.nan, np.nan), seen=False, heard=False)], targets=VALENCE_AROUSAL)
    assert "no faces" in blank.summary()
    assert "nothing to predict from" in blank.summary()


def picture_size(path):
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def test_plot_is_a_png_and_pyplot_stays_out_of_it(timeline, tmp_path):
    truth = pd.DataFrame({"time_s": np.arange(14.0), "valence": np.zeros(14), "arousal": np.zeros(14)})
    figure = timeline.plot(tmp_path / "plots" / "va.png", truth=truth)
    width, height = picture_size(tmp_path / "plots" / "va.png")
    assert width > 1.5 * height > 600
    assert len(figure.axes) == 3  # valence, arousal, the circumplex
    assert figure.canvas.manager is None
    assert [p.name for p in (tmp_path / "plots").iterdir()] == ["va.png"]


@pytest.mark.parametrize(
    ("rows", "targets"),
    [
        ([], VALENCE_AROUSAL),
        ([row(0)], VALENCE_AROUSAL),
        ([row(0, None, (np.nan, np.nan), seen=False, heard=False)], VALENCE_AROUSAL),
        ([row(i, None, seen=False) for i in range(5)], VALENCE_AROUSAL),
        ([row(i, values=(0.3, 0.7)) for i in range(5)], (EMOTION,)),
        ([row(i, values=(0.3, 0.7, 9.0)) for i in range(5)], (EMOTION, TargetConfig.parse("pspi"))),
        ([row(i, face, values=(1.7, 5.0)) for i in range(5) for face in range(9)], VALENCE_AROUSAL),
    ],
)
def test_every_kind_of_timeline_can_be_plotted(rows, targets, tmp_path):
    Timeline.from_rows(rows, targets=targets).plot(tmp_path / "any.png")
    picture_size(tmp_path / "any.png")


def test_plot_refuses_what_it_cannot_write_or_compare(timeline, tmp_path):
    with pytest.raises(InputError, match=r"\.png"):
        timeline.plot(tmp_path / "plot.txt")
    with pytest.raises(InputError, match="time_s"):
        timeline.plot(truth=pd.DataFrame({"valence": [1.0]}))
    with pytest.raises(InputError, match="valence, arousal"):
        timeline.plot(truth=pd.DataFrame({"time_s": [1.0], "Valence": [1.0]}))
    timeline.plot(truth=pd.DataFrame({"time_s": [1.0], "arousal": [1.0]}))


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
@pytest.mark.parametrize("name", ["面接.mp4", r"$\x$.mp4"])
def test_a_plot_is_titled_by_any_file_name_in_silence(tmp_path, recwarn, name, suffix):
    timeline = Timeline.from_rows([row(0)], source=name, targets=VALENCE_AROUSAL)
    timeline.plot(tmp_path / f"plot{suffix}")
    assert not recwarn.list
