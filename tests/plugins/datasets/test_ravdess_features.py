"""The table of RAVDESS features: one step for each clip, and the columns that repeat another model are left out."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import affectzoo
from affectzoo.errors import ConfigError, DataError
from affectzoo_datasets.ravdess_features import RavdessFeatures
from tests.plugins.datasets.miniatures.ravdess_features import HEADER, ROWS, write_features

SOUND = ("01-01-08-01-01-01-05", "ravdess_05", "male", "surprised", "1", "train", "99", "1", "2", "3")


def changed(**cells: str) -> tuple[str, ...]:
    return tuple(cells.get(name, cell) for name, cell in zip(HEADER, SOUND, strict=True))


def test_the_answers_of_another_model_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    write_features(tmp_path)
    assert RavdessFeatures(tmp_path).columns == {"audio": ["f0_mean"], "visual": ["AU01_mean"]}
    everything = RavdessFeatures(tmp_path, drop=[])
    assert everything.columns == {"audio": ["f0_mean", "cpp_mean"], "visual": ["anger_mean", "AU01_mean"]}
    assert everything.signals == {"audio": 2, "visual": 2}


def test_a_row_is_one_step_and_empty_cells_are_nan(tmp_path: Path) -> None:
    write_features(tmp_path)
    first = RavdessFeatures(tmp_path, drop=[]).clips()[0]
    # The reader gives float32: 111.5 is exact in it.
    np.testing.assert_array_equal(first.signals["audio"].values, np.array([[111.5, np.nan]], np.float32))
    np.testing.assert_array_equal(first.signals["audio"].times_s, [0.0])
    assert first.signals["visual"].values.dtype == np.float32
    assert (first.subject, first.split, first.scores) == ("ravdess_01", "train", {"emotion": "neutral"})
    assert first.extra == {"gender": "male", "intensity": 1}
    assert not first.notes


def test_rows_through_the_library(tmp_path: Path) -> None:
    write_features(tmp_path / "töne und bilder")
    rows: Any = affectzoo.load_dataset(
        "ravdess-features", root=str(tmp_path / "töne und bilder"), cache_dir=str(tmp_path / "cache"), drop=["cpp_*"]
    )
    assert {split: len(table) for split, table in rows.items()} == {"train": 2, "val": 1, "test": 1}
    assert np.shape(rows["train"][0]["signal.visual"]) == (1, 2)


def test_a_byte_order_mark_and_crlf_change_nothing(tmp_path: Path) -> None:
    table = write_features(tmp_path, newline="\r\n")
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert [clip.clip_id for clip in RavdessFeatures(tmp_path).clips()] == [row[0] for row in ROWS]


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ({"emotion": "bored"}, "'bored' is none of neutral, calm"),
        ({"subject": ""}, "subject is empty"),
        ({"file": ""}, "file is empty"),
        ({"split": "dev"}, "there is no split 'dev'"),
        ({"intensity": "3"}, "intensity is '3'"),
    ],
)
def test_a_row_that_makes_no_sense_is_listed_with_its_line(tmp_path: Path, cells: dict[str, str], why: str) -> None:
    write_features(tmp_path, changed(**cells))
    clips = RavdessFeatures(tmp_path).clips()
    listed = [clip.problem for clip in clips if clip.problem]
    assert len(clips) == len(ROWS) + 1
    assert len(listed) == 1
    assert "line 6" in listed[0]
    assert why in listed[0]


def test_the_same_clip_twice_counts_once(tmp_path: Path) -> None:
    write_features(tmp_path, ROWS[0])
    clips = RavdessFeatures(tmp_path).clips()
    assert [clip.problem for clip in clips if clip.problem] == ["there is already a clip 01-01-01-01-01-01-01"]
    assert len(clips) == len(ROWS) + 1


@pytest.mark.parametrize("cell", ["n/a", "1,5e", "inf"])
def test_a_cell_that_is_no_number_is_missing_and_said(tmp_path: Path, cell: str) -> None:
    write_features(tmp_path, changed(f0_mean=f'"{cell}"'))
    last = RavdessFeatures(tmp_path).clips()[-1]
    assert np.isnan(last.signals["audio"].values).all()
    assert last.notes == (f"line 6: f0_mean is {cell!r}, which counts as missing",)


def test_columns_that_are_not_there_are_refused(tmp_path: Path) -> None:
    write_features(tmp_path)
    with pytest.raises(ConfigError, match=r"no column of .* is called 'AU1_\*'"):
        RavdessFeatures(tmp_path, drop=["AU1_*"])
    with pytest.raises(ConfigError, match="leaves no visual column"):
        RavdessFeatures(tmp_path, drop=["anger_*", "AU*"])
    write_features(tmp_path, header=(*HEADER[:-1], "AU02_mean"))
    with pytest.raises(DataError, match="has no column 'AU01_mean'"):
        RavdessFeatures(tmp_path).clips()


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"columns\.json cannot be read"):
        RavdessFeatures(tmp_path)
    write_features(tmp_path)
    (tmp_path / "columns.json").write_text('{"audio_columns": ["f0_mean"]}')
    with pytest.raises(DataError, match="no list of names called video_columns"):
        RavdessFeatures(tmp_path)
    (tmp_path / "columns.json").write_text('{"audio_')
    with pytest.raises(DataError, match="is no JSON"):
        RavdessFeatures(tmp_path)
    write_features(tmp_path).unlink()
    with pytest.raises(DataError, match=r"ravdess_av_features\.csv cannot be read"):
        RavdessFeatures(tmp_path).clips()
    with pytest.raises(DataError, match="is not a folder"):
        RavdessFeatures(tmp_path / "columns.json")


def test_the_published_table_has_its_360_rows(shared: Path) -> None:
    folder = shared / "data" / "two_stream"
    corpus = RavdessFeatures(folder)
    clips = corpus.clips()
    assert corpus.signals == {"audio": 67, "visual": 42}
    assert RavdessFeatures(folder, drop=[]).signals == {"audio": 69, "visual": 56}
    assert len(clips) == 360
    assert not any(clip.problem or clip.notes for clip in clips)
    with (folder / "ravdess_av_features.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [clip.clip_id for clip in clips] == [row["file"] for row in table]
    assert Counter(clip.split for clip in clips) == Counter(row["split"] for row in table)
    given = np.array([[float(row["f0_mean"]) for row in table]]).T
    # float32 keeps seven digits.
    np.testing.assert_allclose(np.concatenate([clip.signals["audio"].values[:, :1] for clip in clips]), given, rtol=1e-6)
