"""The loader `aff-wild2`: labels frame by frame, who is meant in a video of two, every mistake listed, the submission."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import affectzoo
from affectzoo import Clip
from affectzoo.data.table import read_clip
from affectzoo.errors import ConfigError, DataError, InputError
from affectzoo_datasets.aff_wild2 import AffWild2
from tests.plugins.datasets.miniatures.aff_wild2 import (
    FRAMES,
    INVALID,
    TEST,
    labels_of,
    write_aff_wild2,
    write_labels,
    write_sample,
)

TRAIN = Path("annotations/VA_Estimation_Challenge/Train_Set")
VAL = Path("annotations/VA_Estimation_Challenge/Validation_Set")
LIST = Path("names_of_videos_in_each_test_set/Valence_Arousal_Estimation_Challenge_test_set_release.txt")


@pytest.fixture(scope="module")
def delivered(tmp_path_factory) -> Path:
    return write_aff_wild2(tmp_path_factory.mktemp("aff-wild2"))


@pytest.fixture
def root(delivered, tmp_path) -> Path:
    """A copy to spoil, in a folder with a space and letters beyond ASCII."""
    return Path(shutil.copytree(delivered, tmp_path / "données à lire"))


def read(root: Path, **options) -> dict[str, Clip]:
    corpus = AffWild2(root, **options)
    return {clip.clip_id: read_clip(corpus, clip) for clip in corpus.clips()}


def problems(clips: dict[str, Clip]) -> dict[str, str]:
    return {name: clip.problem for name, clip in clips.items() if clip.problem}


def test_the_registry_gives_rows_in_the_official_splits(delivered, tmp_path) -> None:
    rows: Any = affectzoo.load_dataset("aff-wild2", str(delivered), cache_dir=str(tmp_path))
    assert {split: list(part["clip_id"]) for split, part in rows.items()} == {
        "train": ["1-30-1280x720", "video59", "video59_right", "video88"],
        "val": ["10-60-1280x720_left", "10-60-1280x720_right", "video5"],
        "test": list(TEST),
    }
    row = rows["val"][1]
    assert row["subject"] == "10-60-1280x720_right"
    assert row["time_unit"] == "frame"
    # Labels are written with three decimals and held in float32.
    valid = np.array(row["valid"])
    assert np.allclose(np.array(row["valence"])[valid], labels_of("10-60-1280x720_right")[valid, 0], atol=1e-6)


def test_line_k_labels_frame_k_and_a_frame_marked_invalid_does_not_count(delivered) -> None:
    track = read(delivered)["1-30-1280x720"].track
    assert track is not None
    assert track.unit == "frame"
    assert track.times.tolist() == list(range(FRAMES))
    assert np.flatnonzero(~track.valid).tolist() == list(INVALID)
    expected = labels_of("1-30-1280x720")
    assert np.allclose(track.values["arousal"][track.valid], expected[track.valid, 1], atol=1e-6)
    assert np.isnan(track.values["valence"][list(INVALID)]).all()


def test_one_invalid_value_makes_its_frame_invalid(root) -> None:
    (root / TRAIN / "video88.txt").write_text("valence,arousal\n-5,0.5\n0.5,-5\n0.5,0.5\n", encoding="utf-8")
    clip = read(root)["video88"]
    assert clip.track is not None
    assert clip.track.valid.tolist() == [False, False, True]
    assert clip.notes == ()


def test_columns_are_taken_by_their_names(root) -> None:
    (root / TRAIN / "video88.txt").write_text("arousal,valence\n0.25,0.5\n", encoding="utf-8")
    track = read(root)["video88"].track
    assert track is not None
    assert (track.values["valence"][0], track.values["arousal"][0]) == (0.5, 0.25)


def test_crops_are_taken_with_the_raw_video_for_sound_and_time(delivered) -> None:
    clips = read(delivered)
    left = clips["10-60-1280x720_left"]
    assert left.frames == str(delivered / "cropped_aligned/10-60-1280x720_left")
    assert left.video == str(delivered / "batch1/10-60-1280x720.mp4")
    assert left.fps is None
    assert clips["video88"].frames is None
    assert clips["video5"].fps == 30
    assert "30 frames per second are assumed" in clips["video5"].notes[0]
    assert read(delivered, fps=7.5)["video5"].fps == 7.5


def test_raw_video_alone_does_not_show_which_of_two_people_is_meant(delivered) -> None:
    clips = read(delivered, media="video")
    sided = {"video59_right", "10-60-1280x720_left", "10-60-1280x720_right"}
    assert {name for name, problem in problems(clips).items() if "shows two people" in problem} == sided
    assert problems(clips).keys() - sided == {"video5", "6-30-1920x1080_left"}
    assert all(clip.frames is None for clip in clips.values())
    assert "another person" in clips["video59"].notes[0]


def test_media_cropped_wants_crops(delivered) -> None:
    assert problems(read(delivered, media="cropped")) == {"video88": "there is no folder of crops called video88"}


def test_aligned_crops_go_before_others_and_links_back_up_end(root) -> None:
    shutil.copytree(root / "cropped_aligned/video59", root / "cropped/video59")
    (root / "batch1/up").symlink_to(root)
    assert read(root)["video59"].frames == str(root / "cropped_aligned/video59")
    assert not problems(read(root))


def test_labels_of_other_tracks_and_shadows_of_a_mac_are_passed_over(root) -> None:
    (root / TRAIN / "._video88.txt").write_bytes(b"\0\5\x16\7")
    assert "video2" not in read(root)
    assert "video3" not in read(root)
    assert not problems(read(root))


def test_the_older_folders_are_read(root) -> None:
    (root / "annotations/VA_Estimation_Challenge").rename(root / "annotations/VA_Set")
    assert len(read(root)) == 9


def test_every_row_of_a_label_file_is_a_label_or_reported(root) -> None:
    lines = (root / TRAIN / "video88.txt").read_text(encoding="utf-8").splitlines()
    lines[5] = "n/a,0.1"
    lines[7] = ""
    lines[9] = "0.1,0.2,0.3"
    lines[11] = "0.1,1.5"
    lines[12] = "nan,nan"
    text = "\r\n".join(lines) + "\r\n\r\n"
    (root / TRAIN / "video88.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    clip = read(root)["video88"]
    assert clip.track is not None
    reported = sum(int(number) for note in clip.notes for number in re.findall(r"(\d+) of 18 rows", note))
    assert len(clip.track.times) == FRAMES
    assert clip.track.valid.sum() + len(INVALID) + reported == FRAMES
    assert reported == 5
    assert "(lines 6, 8, 10, 13)" in clip.notes[0].replace(" and ", ", ")
    assert "line 12" in clip.notes[1]


def test_byte_order_mark_and_line_ends_change_nothing(root) -> None:
    plain = read(root)["video5"].track
    path = root / VAL / "video5.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    marked = read(root)["video5"].track
    assert plain is not None
    assert marked is not None
    assert np.array_equal(plain.values["valence"], marked.values["valence"], equal_nan=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"valence,arousal\r\n", "has a header, but no labels"),
        (b"0.1,0.2\n0.1,0.2\n", "first line must be valence,arousal"),
        (b"valence,arousal\n0.1,0.2\n\xff\xfe", "UTF-8"),
    ],
)
def test_a_label_file_that_cannot_be_read_makes_its_clip_unusable(root, content, said) -> None:
    (root / TRAIN / "video88.txt").write_bytes(content)
    found = problems(read(root))
    assert found.keys() == {"video88"}
    assert said in found["video88"]
    assert "video88.txt" in found["video88"]


def test_crops_beyond_the_labels_are_noted(root) -> None:
    write_labels(root / VAL / "10-60-1280x720_left.txt", labels_of("10-60-1280x720_left")[:15])
    clip = read(root)["10-60-1280x720_left"]
    assert clip.notes == ("3 crops, up to frame 18, lie beyond the last of 15 labels",)
    write_labels(root / VAL / "10-60-1280x720_left.txt", labels_of("10-60-1280x720_left", 40))
    assert read(root)["10-60-1280x720_left"].notes == ()


def test_a_half_extracted_archive_is_listed(root) -> None:
    (root / "batch1/video88.mp4").unlink()
    shutil.rmtree(root / "cropped_aligned/6-30-1920x1080_left")
    (root / TRAIN / "video59_right.txt").unlink()
    (root / TRAIN / "1-30-1280x720.txt").unlink()
    found = problems(read(root))
    assert found.keys() == {"video88", "6-30-1920x1080_left", "video59_right", "1-30-1280x720"}
    assert found["video88"] == "there is no folder of crops or video called video88"
    assert "no label file" in found["1-30-1280x720"]


def test_a_name_in_both_sets_counts_once_and_is_listed(root) -> None:
    shutil.copy(root / TRAIN / "video88.txt", root / VAL / "video88.txt")
    (root / LIST).write_text("video7\nvideo5\n", encoding="utf-8")
    clips = read(root)
    assert clips["video88"].split == "train"
    assert clips["video5"].split == "val"
    twins = [name for name, problem in problems(clips).items() if "already" in problem]
    assert twins == [f"video88 ({VAL.as_posix()}/video88.txt)", f"video5 ({LIST.as_posix()})"]


def test_a_wrong_root_says_what_was_looked_for(tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("valence,arousal\n0,0\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"VA_Estimation_Challenge/Train_Set"):
        AffWild2(tmp_path).clips()
    with pytest.raises(DataError, match="does not exist"):
        AffWild2(tmp_path / "nowhere")


@pytest.mark.parametrize(("options", "said"), [({"media": "crops"}, "auto, cropped, video"), ({"fps": 0}, "positive")])
def test_options_are_checked(delivered, options, said) -> None:
    with pytest.raises(ConfigError, match=said):
        AffWild2(delivered, **options)


def predictions(frames: int = FRAMES) -> dict[str, np.ndarray]:
    return {name: np.linspace(-1, 1, 2 * frames).reshape(frames, 2) for name in TEST}


def test_a_submission_has_every_frame_of_every_test_video_in_the_order_of_the_list(delivered, tmp_path) -> None:
    given = predictions()
    lines = AffWild2(delivered).write_submission(given, tmp_path / "out/va.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "image_location,valence,arousal"
    assert [line.split(",")[0] for line in lines[1:]] == [f"{name}/{n:05d}.jpg" for name in TEST for n in range(1, FRAMES + 1)]
    values = np.array([[float(cell) for cell in line.split(",")[1:]] for line in lines[1:]])
    # Six decimals are written.
    assert np.allclose(values, np.concatenate([given[name] for name in TEST]), atol=5e-7)


def test_a_sample_submission_says_which_frames_are_asked_for(root, tmp_path) -> None:
    write_sample(root, {TEST[1]: FRAMES, TEST[0]: FRAMES + 1})
    corpus = AffWild2(root)
    assert [clip.clip_id for clip in corpus.clips() if clip.split == "test"] == list(TEST)
    asked: Any = corpus.test_frames()
    assert list(asked) == list(TEST)
    assert asked[TEST[0]].tolist() == list(range(1, FRAMES + 2))
    with pytest.raises(InputError, match=f"video7: {FRAMES} frames are predicted, but there are {FRAMES + 1}"):
        corpus.write_submission(predictions(), tmp_path / "va.txt")
    assert not (tmp_path / "va.txt").exists()
    given = {**predictions(), TEST[0]: np.zeros((FRAMES + 1, 2))}
    lines = corpus.write_submission(given, tmp_path / "va.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 2 * FRAMES + 1


def test_samples_that_contradict_each_other_are_refused(root) -> None:
    path = write_sample(root, dict.fromkeys(TEST, FRAMES))
    path.rename(path.with_name("CVPR_5th_ABAW_VA_test_set_sample.txt"))
    write_sample(root, dict.fromkeys(TEST, FRAMES + 1))
    with pytest.raises(DataError, match="keep one of them"):
        AffWild2(root).test_frames()


def test_a_list_that_makes_no_sense_is_listed(root) -> None:
    path = write_sample(root, {})
    path.write_text("image_location,valence,arousal\nvideo7.jpg,0,0\n", encoding="utf-8")
    found = problems(read(root))
    assert list(found) == ["prediction_files_format/CVPR_6th_ABAW_VA_test_set_sample.txt"]
    assert "line 2" in found.popitem()[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"video7": np.full((FRAMES, 2), np.nan)}, "frame 1 is no number"),
        ({"video7": np.full((FRAMES, 2), 1.01)}, "clip predictions"),
        ({"video7": np.zeros((FRAMES - 1, 2))}, "17 frames are predicted, but there are at least 18"),
        ({"video7": np.zeros(FRAMES)}, r"must be \[frames, 2\]"),
        ({"video8": np.zeros((FRAMES, 2))}, "'video8' is not in the test set"),
    ],
)
def test_a_submission_that_the_challenge_would_refuse_is_not_written(delivered, tmp_path, change, said) -> None:
    with pytest.raises(InputError, match=said):
        AffWild2(delivered).write_submission(predictions() | change, tmp_path / "va.txt")
    assert not list(tmp_path.iterdir())


def test_a_submission_needs_every_video_and_a_list_of_them(root, tmp_path) -> None:
    with pytest.raises(InputError, match="1 of 2 test videos are missing, 'video7'"):
        AffWild2(root).write_submission({TEST[1]: np.zeros((FRAMES, 2))}, tmp_path / "va.txt")
    (root / LIST).unlink()
    with pytest.raises(DataError, match="no list of test videos"):
        AffWild2(root).write_submission(predictions(), tmp_path / "va.txt")


def test_hundreds_of_label_files_are_read_in_seconds(tmp_path) -> None:
    """50 files of 5000 rows; ten times as many are promised in 5 s, and a Python loop over rows would take longer."""
    for number in range(50):
        write_labels(tmp_path / "VA_Set/Train_Set" / f"video{number}.txt", labels_of(f"video{number}", 5000))
        (tmp_path / f"video{number}.mp4").touch()
    corpus = AffWild2(tmp_path)
    start = time.process_time()
    clips = [corpus.read(clip) for clip in corpus.clips()]
    # Twice the promise: the machine may be slow.
    assert time.process_time() - start < 1.0
    assert sum(len(clip.track.times) for clip in clips if clip.track is not None) == 50 * 5000
