"""The dataset `av-folder`: labels, the cache, agreement with what prediction sees, and every mistake in one sentence."""

from __future__ import annotations

import os
import re
import shutil
import wave
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from affectzoo.config import FramesInput, LogMelInput, ModelConfig, TargetConfig, WaveformInput
from affectzoo.data import clip_media
from affectzoo.data.annotations import read_annotations
from affectzoo.data.corpus_windows import builder_of
from affectzoo.data.folder import AvFolder
from affectzoo.data.rendered import RenderedClip, write_clip
from affectzoo.data.table import read_table
from affectzoo.data.windows import WindowDataset, check_labels
from affectzoo.errors import ConfigError, DataError, UnknownNameError
from affectzoo.media.audio import LogMel
from affectzoo.media.detectors.full_frame import FullFrameDetector
from affectzoo.media.pipeline import MediaStream
from affectzoo.registry import registry

FRAMES = FramesInput(frames=2, height=16, width=16)
MEL = LogMelInput(sample_rate=8000, n_fft=256, win_length=200, hop_length=80, n_mels=12, frames=60)
WAVE = WaveformInput(sample_rate=8000, samples=4000)
MOOD = {"name": "mood", "kind": "categorical", "classes": ["calm", "tense"]}


def model_config(targets=("valence", "arousal"), **inputs) -> ModelConfig:
    inputs = inputs or {"visual": FRAMES, "audio": MEL}
    return ModelConfig.parse(
        {
            "sequence": {"seconds": 0.5, "length": 2},
            "streams": {name: {"backbone": "any", "input": given.to_json()} for name, given in inputs.items()},
            "fusion": "any" if len(inputs) > 1 else None,
            "targets": list(targets),
        }
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """2 s of 12 frames a second."""
    return write_clip(RenderedClip(3, 1, 2.0), tmp_path_factory.mktemp("clip") / "clip.mp4", size=(160, 120), fps=12)


@pytest.fixture
def folder(clip, tmp_path) -> Path:
    """A file for each split; train has a path with a space and an umlaut, a mark of byte order and other line ends."""
    root = tmp_path / "my vidéos"
    for name in ("für eins.mp4", "two.mp4", "sub/three.mp4"):
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(clip, root / name)
        labels = "time_s,valence,arousal\n0,0.5,0.1\n0.3,0.7,0.3\n1.0,-0.5,0\n"
        (root / name).with_suffix(".csv").write_bytes(b"\xef\xbb\xbf" + labels.replace("\n", "\r\n").encode())
    metadata = "file_name,subject,split\nfür eins.mp4,a,train\ntwo.mp4,b,val\nsub/three.mp4,c,test\n\n"
    (root / "metadata.csv").write_bytes(b"\xef\xbb\xbf" + metadata.replace("\n", "\r\n").encode())
    return root


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8-sig")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def load(folder: Path, config: ModelConfig | None = None, **given: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"detector": "full-frame", "cache_dir": str(folder.parent / "cache"), **given}
    splits = builder_of(AvFolder)(config or model_config(), root=str(folder), **options)
    return dict(splits)  # all of them prepared


def table_of(folder: Path, targets: Any = None) -> list[dict[str, Any]]:
    corpus = AvFolder(folder, targets=targets)
    return [dict(row) for row in read_table(corpus, cache_dir=str(folder.parent / "tables"))]


def labels(rows, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    valid = np.frombuffer(rows["valid"][number], bool)
    return np.frombuffer(rows["targets"][number], np.float32).reshape(len(valid), -1), valid


def test_a_label_is_the_mean_of_the_annotations_inside(folder):
    rows = load(folder)
    assert {split: (part["clip_id"][0], part["subject"][0]) for split, part in rows.items()} == {
        "train": ("für eins.mp4", "a"),
        "val": ("two.mp4", "b"),
        "test": ("sub/three.mp4", "c"),
    }
    values, valid = labels(rows["train"])
    # 1.0 s is the start of the third sub-sequence, not the end of the second; nothing is interpolated.
    assert valid.tolist() == [True, False, True, False]
    np.testing.assert_allclose(values[valid], [[0.6, 0.2], [-0.5, 0.0]], rtol=1e-6)
    windows = WindowDataset(rows["train"], model_config())
    check_labels(windows)
    assert windows[1]["inputs"]["visual"].shape == (2, 3, 2, 16, 16)
    assert windows[1]["masks"]["audio"].all()


def test_rows_are_what_prediction_sees(folder, clip):
    row = load(folder)["train"][0]
    stream = MediaStream(clip, seconds=0.5, frames=FRAMES, audio=MEL, detector=FullFrameDetector())
    seen = list(stream)
    assert len(seen) == 4
    np.testing.assert_array_equal(
        np.frombuffer(row["input.visual"], np.uint8).reshape(4, 2, 16, 16, 3), [step.faces[0].crops for step in seen]
    )
    heard = LogMel(MEL, 0.5)(torch.from_numpy(np.stack([step.audio for step in seen if step.audio is not None]))).numpy()
    # One sub-sequence at a time or all at once: the transform may round differently.
    np.testing.assert_allclose(np.frombuffer(row["input.audio"], np.float32).reshape(heard.shape), heard, atol=1e-4)
    np.testing.assert_allclose(np.frombuffer(row["times_s"], np.float64), [(s.start_s + s.end_s) / 2 for s in seen])


def test_values_that_cannot_be_are_not_valid_and_are_counted(folder, capsys):
    text = "time_s,valence,arousal\n0,-5,0.1\n0.1,0.25,0.5\n0.6,,0\n1.2,0.1,nan\n1.6,0.1,1\n9,0,0\n"
    (folder / "two.csv").write_text(text)
    values, valid = labels(load(folder)["val"])
    assert valid.tolist() == [True, False, False, True]
    # -5 marks a frame that was not annotated; it must not pull the mean.
    np.testing.assert_allclose(values[[0, 3]], [[0.25, 0.5], [0.1, 1.0]], rtol=1e-6)
    said = capsys.readouterr().err
    assert (
        f"  two.mp4: {folder / 'two.csv'}: 3 annotations are missing or out of range, and not valid (lines 2, 4, 5)\n" in said
    )
    assert f"{folder}, val: 3 annotations are missing, marked or out of range, and not valid\n" in said
    assert f"{folder}, val: 1 annotations lie before the start or after the end of their media\n" in said
    assert f"{folder}, val: 2 sub-sequences have no valid annotation\n" in said


def test_frames_are_counted_from_nought_at_the_rate_of_the_video(folder):
    (folder / "two.csv").write_text("frame,valence,arousal\n5,0.1,0\n6,0.2,0\n17,0.4,0\n18,0.8,0\n")
    values, valid = labels(load(folder)["val"])
    assert valid.all()
    np.testing.assert_allclose(values[:, 0], [0.1, 0.2, 0.4, 0.8], rtol=1e-6)


def test_one_label_for_a_whole_file_and_an_annotation_file_by_name(folder, capsys):
    (folder / "labels").mkdir()
    (folder / "labels" / "ö 1.csv").write_text("time_s,mood\n0,calm\n0.1,tense\n0.2,none\n1.7,tense\n")
    text = "file_name,subject,split,severity,annotations\n"
    for name, severity in (("für eins.mp4", 4), ("two.mp4", 11), ("sub/three.mp4", "")):
        text += f"{name},{name},{'train' if severity == 4 else 'val'},{severity},labels/ö 1.csv\n"
    (folder / "metadata.csv").write_text(text, encoding="utf-8")
    rows = load(folder, model_config([{"name": "severity", "low": 0, "high": 10}, MOOD]))
    assert "line 3: severity is '11', and not valid\n" in capsys.readouterr().err
    values, valid = labels(rows["train"])
    assert valid.tolist() == [True, False, False, True]
    np.testing.assert_allclose(values[[0, 3]], [[4, 0.5, 0.5], [4, 0, 1]])
    check_labels(WindowDataset(rows["train"], model_config([{"name": "severity", "low": 0, "high": 10}, MOOD])))
    for number in range(2):  # out of range, and missing
        values, valid = labels(rows["val"], number)
        assert not valid.any()
        assert np.isfinite(values).all()  # a NaN would spoil a loss even where it is masked
    assert "test" not in rows


def test_new_labels_cost_no_decoding_and_a_new_file_does(folder, monkeypatch):
    first = load(folder)
    edit(folder / "two.csv", "0.5,0.1", "0.9,0.1")
    prepared = []
    real = clip_media.prepare
    monkeypatch.setattr(clip_media, "prepare", lambda clip, *rest: (prepared.append(clip.clip_id), real(clip, *rest))[1])
    again = load(folder)
    assert prepared == []
    assert labels(again["val"])[0][0, 0] == pytest.approx(0.8)
    assert again["val"]["input.visual"][0] == first["val"]["input.visual"][0]
    os.utime(folder / "two.mp4", ns=(1, 1))
    load(folder)
    assert prepared == ["two.mp4"]
    load(folder, model_config(visual=FRAMES, audio=WAVE))
    assert len(prepared) == 4
    rows = load(folder, model_config(audio=WAVE), detector="nonsense")  # which a model without eyes does not ask for
    assert [name for name in rows["val"].column_names if "input" in name] == ["input.audio"]


def test_two_workers_prepare_the_same(folder):
    # Starts OpenCV's threads, as another command in this process may have: workers must not wait for them.
    cv2.setNumThreads(2)
    cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (31, 31), 0)
    edit(folder / "metadata.csv", "two.mp4,b,val", "two.mp4,b,train")
    one, two = (load(folder, workers=n, cache_dir=str(folder.parent / f"cache{n}"))["train"] for n in (1, 2))
    assert one["clip_id"] == two["clip_id"] == ["für eins.mp4", "two.mp4"]
    assert one.to_dict() == two.to_dict()


def test_damaged_files_are_skipped_and_told_each_time(folder, capsys):
    (folder / "bad.mp4").write_bytes((folder / "two.mp4").read_bytes()[:2000])
    shutil.copy(folder / "two.csv", folder / "bad.csv")
    edit(folder / "metadata.csv", "two.mp4,b,val", "bad.mp4,d,val\ntwo.mp4,b,val")
    for _ in range(2):  # decoded, and from the cache
        rows = load(folder)
        assert rows["val"]["clip_id"] == ["two.mp4"]
        assert len(WindowDataset(rows["val"], model_config())) == 2
        said = capsys.readouterr().err
        assert f"skipped: bad.mp4: {folder / 'bad.mp4'}" in said
        assert "1 of 2 clips of val are skipped\n" in said
        assert "after the end" not in said  # the skipped file's own
    edit(folder / "metadata.csv", "\ntwo.mp4,b,val", "")
    with pytest.raises(DataError, match="none of the 1 clips of the split val can be used"):
        load(folder)


def test_only_the_first_process_speaks(folder, capsys, monkeypatch):
    (folder / "two.csv").write_text("time_s,valence,arousal\n0,-5,0.1\n")
    monkeypatch.setenv("RANK", "1")
    load(folder)
    assert "out of range" not in capsys.readouterr().err


def test_a_file_without_the_track_that_a_model_needs_is_skipped(folder, capsys):
    with wave.open(str(folder / "sound.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes((8000 * np.sin(np.arange(8000))).astype("<i2").tobytes())
    (folder / "sound.csv").write_text("frame,valence,arousal\n0,0,0\n")
    edit(folder / "metadata.csv", "two.mp4,b,val", "sound.wav,d,val\ntwo.mp4,b,val")
    assert load(folder, model_config(visual=FRAMES))["val"]["clip_id"] == ["two.mp4"]
    assert "sound.wav: there is no video track, and this model takes nothing else" in capsys.readouterr().err
    assert load(folder)["val"]["clip_id"] == ["two.mp4"]
    assert "skipped: sound.wav: its labels count frames, and no video" in capsys.readouterr().err
    edit(folder / "sound.csv", "frame", "time_s")
    rows = load(folder)["val"]
    assert np.frombuffer(rows["present.visual"][0], bool).tolist() == [False, False]
    assert np.frombuffer(rows["present.audio"][0], bool).all()
    assert "sound.wav: no video track: the visual stream is masked" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("metadata.csv", "file_name,", "filename,", "has no column file_name; did you mean 'filename'?"),
        (
            "metadata.csv",
            "two.mp4,b,val",
            "two.mp4,b,validation",
            "line 3: there is no split 'validation'; use train, val",
        ),
        ("metadata.csv", "two.mp4,b,val", "two.mp4,,val", "line 3: subject is empty"),
        ("metadata.csv", "two.mp4,b,val", "two.mp4,b", "line 3: 2 cells for 3 columns"),
        ("metadata.csv", "two.mp4,b", "./sub/../für eins.mp4,b", "line 3: für eins.mp4 is already in .*line 2"),
        ("metadata.csv", "two.mp4,b", "two.mp4,a", "subject 'a' is in both train and val; give it one split"),
        ("metadata.csv", "subject,split", "subject,subject", "has a column twice: 'subject'"),
        ("metadata.csv", "two.mp4,b,val", "two.mp4,b,", "some clips have a split and some have none"),
    ],
)
def test_what_contradicts_itself_is_one_sentence(folder, name, old, new, words):
    edit(folder / name, old, new)
    with pytest.raises(DataError, match=words) as refused:
        load(folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("metadata.csv", "two.mp4,b", "tow.mp4,b", "line 3: .*tow.mp4 does not exist; correct file_name"),
        ("two.csv", "time_s", "seconds", "two.csv has no column time_s or frame; it has seconds, valence, arousal"),
        ("two.csv", "valence", "valance", "two.csv has no column valence; did you mean 'valance'?"),
        ("two.csv", "\n0.3,", "\nsoon,", "two.csv, line 3: time_s is 'soon', which is not a number"),
        ("two.csv", None, None, "line 3: .*two.csv does not exist, and metadata.csv has no column valence"),
        ("two.csv", "", b"time_s,valence\n\xff\xfe,1\n", "two.csv cannot be read as CSV in UTF-8"),
        ("two.csv", "", b"", "two.csv cannot be read as CSV in UTF-8"),
        ("metadata.csv", "split\n", "split,start\n", "line 3: start is 'x', which is no number of seconds"),
    ],
)
def test_a_clip_that_cannot_be_used_is_left_out_and_told(folder, capsys, name, old, new, words):
    if old is None:
        (folder / name).unlink()
    elif isinstance(new, bytes):
        (folder / name).write_bytes(new)
    elif "start" in new:
        text = "file_name,subject,split,start\nfür eins.mp4,a,train,\ntwo.mp4,b,val,x\nsub/three.mp4,c,test,\n"
        (folder / name).write_text(text, encoding="utf-8")
    else:
        edit(folder / name, old, new)
    assert list(load(folder)) == ["train", "test"]
    said = capsys.readouterr().err
    assert f"{folder}: 1 of 3 clips is left out; `affectzoo data check` lists all\n" in said
    assert re.search(words, said)
    table = table_of(folder, ["valence", "arousal"])
    assert len(table) == 3  # rows in = rows used + rows told
    assert sum(bool(row["problem"]) for row in table) == 1


def test_metadata_that_are_absent_or_empty_are_named(folder):
    (folder / "metadata.csv").write_text("file_name,subject,split\n")
    with pytest.raises(DataError, match="has no rows"):
        load(folder)
    (folder / "metadata.csv").unlink()
    with pytest.raises(DataError, match=r"metadata.csv does not exist; `affectzoo demo --dataset` writes"):
        load(folder)


def test_parts_of_a_file_are_clips_of_their_own(folder):
    (folder / "metadata.csv").write_text("file_name,subject,split,start,end\ntwo.mp4,b,train,0,1\ntwo.mp4,b,train,1.0,\n")
    rows = load(folder)["train"]
    assert rows["clip_id"] == ["two.mp4#0-1", "two.mp4#1.0-"]
    first, second = labels(rows, 0), labels(rows, 1)
    assert first[1].tolist() == [True, False]
    assert second[1].tolist() == [True, False]  # times count from the start of the file, and the label at 1.0 s is the second's
    np.testing.assert_allclose(second[0][0], [-0.5, 0.0])
    assert np.frombuffer(rows["annotation.times_s"][1], np.float64).tolist() == [0.0]
    assert np.frombuffer(rows["annotation.times_s"][0], np.float64).tolist() == [0.0, 0.3]


def test_a_part_that_cannot_be_hides_no_other_row_of_its_file(folder):
    rows = "two.mp4,b,train,1,nan\ntwo.mp4,b,train,,\ntwo.mp4,b,train,0,1\ntwo.mp4,b,train,1,0.5\n"
    (folder / "metadata.csv").write_text(f"file_name,subject,split,start,end\n{rows}")
    found = {row["clip_id"]: row["problem"] for row in table_of(folder)}
    assert list(found) == ["two.mp4#1-nan", "two.mp4", "two.mp4#0-1", "two.mp4#1-0.5"]
    assert [bool(problem) for problem in found.values()] == [True, False, False, True]


@pytest.mark.parametrize("parts", ["0,1 and 0.0,1.00", ", and 0,", ",1 and 0,1"])
def test_a_part_that_is_there_twice_is_refused_however_it_is_written(folder, parts):
    rows = "".join(f"two.mp4,b,train,{part}\n" for part in parts.split(" and "))
    (folder / "metadata.csv").write_text(f"file_name,subject,split,start,end\n{rows}")
    with pytest.raises(DataError, match=r"line 3: two.mp4 is already in .*line 2"):
        AvFolder(folder)


def test_a_misspelt_column_of_the_first_annotation_file_takes_the_labels_of_no_other(folder):
    edit(folder / "für eins.csv", "arousal", "arousel")
    corpus = AvFolder(folder)
    assert [target.name for target in corpus.targets] == ["valence", "arousal"]
    problems = {row["clip_id"]: row["problem"] for row in table_of(folder)}
    assert "has no column arousal; did you mean 'arousel'?" in problems.pop("für eins.mp4")
    assert not any(problems.values())


def test_without_a_split_column_a_fold_is_needed(folder):
    text = "file_name,subject\n" + "".join(f"{name},{name}\n" for name in ("für eins.mp4", "two.mp4", "sub/three.mp4"))
    (folder / "metadata.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"has no official splits; give data\.config\.fold=\{folds: 5, number: 0\}"):
        load(folder)
    rows = load(folder, fold={"folds": 3, "number": 1})
    assert sorted(clip for part in rows.values() for clip in part["clip_id"]) == ["für eins.mp4", "sub/three.mp4", "two.mp4"]
    assert list(rows) == ["train", "val", "test"]


def test_rows_of_the_folder_itself_hold_known_targets_and_every_other_column(folder):
    text = "file_name,subject,split,pspi,notes,site.name\nfür eins.mp4,a,train,3,ok,x\ntwo.mp4,b,val,17,,y\n"
    (folder / "metadata.csv").write_text(text, encoding="utf-8")
    corpus = AvFolder(folder)
    assert [target.name for target in corpus.targets] == ["pspi", "valence", "arousal"]
    assert corpus.along == ("valence", "arousal")
    one, two = table_of(folder)
    assert (one["pspi"], one["notes_"], one["site_name"]) == (3.0, "ok", "x")
    assert one["times"] == [0.0, 0.3, 1.0]
    assert one["valence"] == pytest.approx([0.5, 0.7, -0.5])
    assert two["pspi"] is None
    assert two["notes"] == [f"{folder / 'metadata.csv'}, line 3: pspi is '17', and not valid"]


def test_blanks_around_names_and_classes_are_no_part_of_them(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(" frame , mood \n0, calm \n1,tense\n2,\n")
    targets = model_config([MOOD]).targets
    track, notes = read_annotations(path, targets)
    assert (track.unit, track.values["mood"].tolist(), track.valid.tolist()) == ("frame", [0, 1, -1], [True, True, False])
    assert notes == [f"{path}: 1 annotations are missing or out of range, and not valid (line 4)"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # A decimal comma: cells move to the right, and a time of 0.1 s would be a valence.
        ("time_s,valence\n0,0,0,7\n0,1,0,5\n", "line 2: 4 cells for 2 columns"),
        ("time_s,valence\n0,0.7\n\n1,0.5,0.3\n", "line 4: 3 cells for 2 columns"),
        ("time_s,valence, valence\n0,0.7,0.5\n", "it has a column twice: 'valence'"),
    ],
)
def test_cells_that_no_column_names_are_refused(tmp_path, text, words):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_annotations(path, model_config(["valence"]).targets)


def test_empty_cells_and_lines_of_a_spreadsheet_are_no_annotations(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("time_s,valence,,\n0,0.7,,\n\n1,9,,,\n2\n,,,\n")
    track, notes = read_annotations(path, model_config(["valence"]).targets)
    assert (track.times.tolist(), track.valid.tolist()) == ([0, 1, 2], [True, False, False])
    assert notes == [f"{path}: 2 annotations are missing or out of range, and not valid (lines 4, 5)"]


def test_models_that_no_file_can_feed_and_options_that_cannot_be(folder):
    with pytest.raises(DataError, match="this model has thermal with frames"):
        load(folder, model_config(thermal=FRAMES))
    with pytest.raises(ConfigError, match="workers must be at least 1, not 0"):
        load(folder, workers=0)
    with pytest.raises(UnknownNameError, match="nonsense"):
        load(folder, detector="nonsense")


def test_it_is_in_the_registry():
    assert registry().find("dataset", "av-folder").resolve() is AvFolder


@pytest.mark.parametrize(
    ("rows", "times", "values"),
    [
        (["0,0.5", "1,-1e-1"], [0, 1], [0.5, -0.1]),
        (["0,0.5", "1, -0.1 "], [0, 1], [0.5, -0.1]),  # blanks: cell by cell
        (["0,0.5", "", "2,-0.1"], [0, 2], [0.5, -0.1]),
        (["0,0.5", "1,"], [0, 1], [0.5, np.nan]),
        (["0,0.5", "1,-"], [0, 1], [0.5, np.nan]),
        (["0,0.5", "1"], [0, 1], [0.5, np.nan]),
        (["0,0.5", "1,1e400"], [0, 1], [0.5, np.nan]),
    ],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_plain_tables_and_others_are_read_alike(tmp_path, rows, times, values, ending):
    path = tmp_path / "a.csv"
    for last in ("", ending):
        path.write_bytes(("\ufeff" + ending.join(["time_s,valence", *rows]) + last).encode())
        track, notes = read_annotations(path, [TargetConfig.parse("valence")])
        np.testing.assert_array_equal(track.times, times)
        np.testing.assert_array_equal(track.values["valence"], np.array(values, np.float32))
        assert track.valid.tolist() == np.isfinite(values).tolist()
        line = 1 + len(rows)
        assert [f"(line {line})" in note for note in notes] == ([] if np.isfinite(values).all() else [True])


@pytest.mark.parametrize("row", ["0,1,0,5", "0,1,0.5"])
def test_a_row_with_more_cells_than_columns_is_refused_however_plain(tmp_path, row):
    (tmp_path / "a.csv").write_text(f"time_s,valence\n0,0.5\n{row}\n")
    with pytest.raises(DataError, match=r"line 3: \d cells for 2 columns"):
        read_annotations(tmp_path / "a.csv", [TargetConfig.parse("valence")])
