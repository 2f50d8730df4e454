"""CEAP-360VR: rows of arrays and lines of the table meet, gaps stay gaps, and the leak is left out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import affectzoo
from affectzoo.errors import ConfigError, DataError
from affectzoo_datasets.ceap_360vr import Ceap360VR
from tests.plugins.datasets.miniatures.ceap_360vr import COUNT, STEPS, arrays, lines, write_ceap


def listed(corpus: Ceap360VR) -> dict[str, str]:
    return {clip.clip_id: clip.problem for clip in corpus.clips() if clip.problem}


def test_a_clip_is_one_person_and_one_video(tmp_path: Path) -> None:
    write_ceap(tmp_path)
    given = arrays()
    clip = Ceap360VR(tmp_path).clips()[3]
    assert (clip.clip_id, clip.subject, clip.split) == ("P02_V2", "P02", "train")
    assert clip.extra == {"stimulus": "V2", "gender": "Female", "age": 30}
    assert clip.track is not None
    np.testing.assert_array_equal(clip.track.values["arousal"], given["valence_arousal"][3, :, 1])
    np.testing.assert_allclose(clip.track.times, 0.1 + 0.2 * np.arange(STEPS), rtol=0, atol=1e-9)
    assert clip.track.rate_hz == 5.0
    assert clip.track.valid.all()
    np.testing.assert_array_equal(clip.signals["gaze"].values, given["gaze_pitch_yaw_fix"][3])
    assert np.isnan(clip.signals["head"].values[0]).all()
    assert not clip.notes


def test_luminance_is_given_only_when_asked_for(tmp_path: Path) -> None:
    write_ceap(tmp_path)
    assert Ceap360VR(tmp_path).signals == {"head": 2, "gaze": 3}
    with_leak = Ceap360VR(tmp_path, luminance=True)
    assert with_leak.signals == {"head": 2, "gaze": 3, "luminance": 1}
    np.testing.assert_array_equal(with_leak.clips()[5].signals["luminance"].values[:, 0], arrays()["luminance"][5])
    with pytest.raises(ConfigError, match="luminance is 'no'; give true or false"):
        Ceap360VR(tmp_path, luminance="no")  # pyright: ignore[reportArgumentType]


def test_rows_through_the_library_by_the_published_split(tmp_path: Path) -> None:
    write_ceap(tmp_path / "c")
    loaded: Any = affectzoo.load_dataset("ceap-360vr", root=str(tmp_path / "c"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(table) for split, table in loaded.items()} == {"train": 6, "val": 2, "test": 4}
    assert np.isnan(loaded["train"][0]["signal.head"][0]).all()


def test_labels_that_are_out_of_range_or_missing_do_not_count(tmp_path: Path) -> None:
    given = arrays()
    given["valence_arousal"][0, 2, 0] = np.nan
    given["valence_arousal"][0, 4, 1] = 9.5
    given["valence_arousal"][1] = 0
    write_ceap(tmp_path, given)
    clips = Ceap360VR(tmp_path).clips()
    assert clips[0].track is not None
    assert np.flatnonzero(~clips[0].track.valid).tolist() == [2, 4]
    assert clips[0].notes == (f"2 of {STEPS} labels are no numbers from 1 to 9",)
    assert clips[1].problem == "line 3: it has no label from 1 to 9"


def test_a_signal_that_is_missing_throughout_is_remarked(tmp_path: Path) -> None:
    given = arrays()
    given["gaze_pitch_yaw_fix"][2] = np.nan
    write_ceap(tmp_path, given)
    assert Ceap360VR(tmp_path).clips()[2].notes == ("gaze is missing throughout",)


def test_lines_and_rows_without_a_partner_are_listed(tmp_path: Path) -> None:
    table = lines()
    table[0] = table[0].replace(",0,P01_V1,", ",999,P01_V1,")
    table[1] = table[1].replace(",1,P01_V2,", ",2,P01_V2,")
    table[3] = table[3].replace("P02_V2,P02", "P02_V9,P02")
    table[4] = table[4].replace(",train", ",dev")
    table[5] = table[5].replace("P03_V2,P03", "P03_V2,")
    write_ceap(tmp_path, table=table)
    assert listed(Ceap360VR(tmp_path)) == {
        "P01_V1": f"line 2: row is '999', but ceap_streams.npz has rows 0 to {COUNT - 1}",
        "P01_V2": "line 3: row 2 of ceap_streams.npz is P02_V1, not P01_V2",
        "P02_V1": "line 4: row 2 of ceap_streams.npz is already another line's",
        "P02_V9": "line 5: row 3 of ceap_streams.npz is P02_V2, not P02_V9",
        "P03_V1": "line 6: there is no split 'dev'; use train, val, test",
        "P03_V2": "line 7: subject is empty",
        "row 0": f"{tmp_path / 'metadata.csv'} has no line for row 0 of ceap_streams.npz",
        "row 1": f"{tmp_path / 'metadata.csv'} has no line for row 1 of ceap_streams.npz",
    }


def test_a_table_that_ends_early_lists_the_rest(tmp_path: Path) -> None:
    write_ceap(tmp_path, table=lines()[:-2])
    corpus = Ceap360VR(tmp_path)
    assert len(listed(corpus)) == 2
    assert len(corpus.clips()) == COUNT


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"valence_arousal": np.ones((COUNT, STEPS), np.float32)}, r"valence_arousal has shape \[12, 10\], not \[12, 10, 2\]"),
        ({"head_pitch_yaw_deg": np.ones((COUNT, 9, 2), np.float32)}, r"head_pitch_yaw_deg has shape \[12, 9, 2\]"),
        ({"luminance": np.ones((3, STEPS), np.float32)}, r"luminance has shape \[3, 10\]"),
        ({"keys": np.array(["P01_V1"])}, r"keys has shape \[1\], not \[12\]"),
        ({"time_s": np.zeros(STEPS)}, "no list of increasing times"),
        ({"time_s": np.float64(1)}, "no list of increasing times"),
        ({"valence_arousal": np.float64(1)}, "valence_arousal has shape"),
        ({"gaze_pitch_yaw_fix": np.full((COUNT, STEPS, 3), "x")}, "gaze_pitch_yaw_fix holds <U1, not numbers"),
        ({"luminance": np.full((COUNT, STEPS), None)}, "no archive of plain arrays"),
    ],
)
def test_arrays_of_other_shapes_are_refused(tmp_path: Path, change: dict[str, np.ndarray], why: str) -> None:
    write_ceap(tmp_path, {**arrays(), **change})
    with pytest.raises(DataError, match=why):
        Ceap360VR(tmp_path).clips()


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ceap_streams\.npz cannot be read"):
        Ceap360VR(tmp_path).clips()
    write_ceap(tmp_path)
    data = (tmp_path / "ceap_streams.npz").read_bytes()
    for damaged in (data[: len(data) // 2], b"", b"PK\x03\x04 nothing", data[:200] + bytes(100) + data[300:]):
        (tmp_path / "ceap_streams.npz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"ceap_streams\.npz is damaged"):
            Ceap360VR(tmp_path).clips()
    given = arrays()
    del given["luminance"]
    write_ceap(tmp_path, given)
    with pytest.raises(DataError, match="has no array luminance"):
        Ceap360VR(tmp_path).clips()
    write_ceap(tmp_path)
    (tmp_path / "metadata.csv").write_text("row,key\n0,P01_V1\n")
    with pytest.raises(DataError, match="has no column 'subject'"):
        Ceap360VR(tmp_path).clips()


def test_the_published_arrays_have_their_people_and_gaps(shared: Path) -> None:
    clips = Ceap360VR(shared / "data" / "two_stream", luminance=True).clips()
    assert len(clips) == 256
    assert not any(clip.problem or clip.notes for clip in clips)
    people = {split: {clip.subject for clip in clips if clip.split == split} for split in ("train", "val", "test")}
    assert {split: len(names) for split, names in people.items()} == {"train": 21, "val": 5, "test": 6}
    assert Counter(clip.split for clip in clips) == {"train": 168, "val": 40, "test": 48}
    missing = sum(int(np.isnan(clip.signals["gaze"].values).sum()) for clip in clips)
    assert missing == 5594
    assert all(clip.signals["luminance"].values.shape == (300, 1) for clip in clips)
    assert clips[0].track is not None
    assert (clips[0].track.times[0], clips[0].track.times[-1]) == (0.1, 59.9)
