"""BioVid part A: names decoded, the list of samples compared with the videos, two classes, and everything else named."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import affectzoo
from affectzoo.data.load import open_corpus
from affectzoo.data.schema import Clip
from affectzoo.data.table import read_clip
from affectzoo.errors import ConfigError, DataError
from tests.plugins.datasets.miniatures.biovid import (
    CLASSES,
    SUBJECTS,
    rows,
    samples,
    video_path,
    write_biovid,
    write_samples,
)


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_biovid(tmp_path_factory.mktemp("biovid") / "BioVid")


@pytest.fixture
def root(delivered: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(delivered, tmp_path / "Hitze und Schmerz ä"))


def read(root: Path, **options: Any) -> dict[str, Clip]:
    corpus = open_corpus("biovid", {"root": root, **options})
    return {clip.clip_id: read_clip(corpus, clip) for clip in corpus.clips()}


def usable(clips: dict[str, Clip]) -> list[str]:
    return sorted(name for name, clip in clips.items() if not clip.problem)


def table(root: Path) -> Path:
    return root / "PartA" / "starting_point" / "samples.csv"


def test_names_say_subject_sex_age_and_level(root):
    clips = read(root)
    assert usable(clips) == sorted(samples())
    clip = clips["071313_m_41-PA3-081"]
    assert clip.subject == "071313_m_41"
    assert clip.extra == {"class_name": "PA3", "sex": "m", "age": 41}
    assert clip.scores == {"biovid": 3.0, "biovid-class": "PA3"}
    assert clip.video == str(video_path(root, "071313_m_41-PA3-081"))
    assert clip.split == ""
    assert not clip.notes


def test_rows_and_folds_come_from_load_dataset(root, tmp_path):
    folds = affectzoo.load_dataset("biovid", root=str(root), cache_dir=str(tmp_path), fold={"folds": "loso", "number": 2})
    assert {split: len(part) for split, part in folds.items()} == {"train": 10, "val": 10, "test": 10}
    assert set(folds["test"]["subject"]) == {"082315_w_60"}
    assert sorted(folds["test"]["biovid"]) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert folds["test"].features["biovid-class"].names == list(CLASSES)


def test_two_classes_keep_their_levels(root, tmp_path):
    found = affectzoo.load_dataset("biovid", root=str(root), cache_dir=str(tmp_path), classes=["PA4", "BL1"])["all"]
    assert len(found) == len(SUBJECTS) * 2 * 2
    assert set(found["biovid"]) == {0, 4}
    assert found.features["biovid-class"].names == ["BL1", "PA4"]
    assert [found.features["biovid-class"].int2str(n) for n in found["biovid-class"]] == found["class_name"]


@pytest.mark.parametrize("classes", [["BL1", "PA5"], ["BL1"], ["BL1", "BL1"], [], "BL1"])
def test_classes_that_make_no_task_are_refused(root, classes):
    with pytest.raises(ConfigError, match="at least two of BL1, PA1"):
        open_corpus("biovid", {"root": root, "classes": classes})


def test_videos_alone_are_enough(root):
    table(root).unlink()
    assert usable(read(root)) == sorted(samples())


@pytest.mark.parametrize("inner", ["PartA", "PartA/video"])
def test_the_root_may_be_part_a_or_its_videos(root, inner):
    assert usable(read(root / inner)) == sorted(samples())


@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
def test_the_list_may_be_divided_by_other_marks_with_a_byte_order_mark_and_crlf(root, delimiter):
    write_samples(table(root), rows()[1:], delimiter=delimiter, end="\r\n")
    table(root).write_bytes(b"\xef\xbb\xbf" + table(root).read_bytes())
    clips = read(root)
    assert usable(clips) == sorted(samples()[1:])
    assert "does not list it" in clips[samples()[0]].problem


def test_a_row_without_a_video_is_listed(root):
    video_path(root, samples()[4]).unlink()
    clips = read(root)
    assert len(usable(clips)) == 29
    assert f"there is no {samples()[4]}.mp4" in clips[samples()[4]].problem


def test_a_half_extracted_archive_lists_every_absent_video(root):
    shutil.rmtree(root / "PartA/video" / SUBJECTS[1])
    clips = read(root, classes=["BL1", "PA4"])
    assert len(usable(clips)) == 8
    assert len(clips) == 12


def test_a_row_of_another_class_than_the_name_is_listed(root):
    wrong = [(*row[:3], "PA2", *row[4:]) if row[-1] == samples()[0] else row for row in rows()]
    write_samples(table(root), wrong)
    assert "says that its class is 'PA2', its name BL1" in read(root)[samples()[0]].problem


def test_rows_twice_and_rows_that_name_no_sample_are_listed_by_line(root):
    write_samples(table(root), [*rows(), rows()[0], ("9", "x", "0", "BL1", "1", "x-BL1-1")])
    clips = read(root)
    assert len(usable(clips)) == 30
    assert "already in an earlier row" in clips["samples.csv, line 32"].problem
    assert "sample_name is 'x-BL1-1'" in clips["samples.csv, line 33"].problem


@pytest.mark.parametrize(
    ("content", "why"), [("", "no column class_name; it has none"), ("sample_name\tx\n", "no column class_name")]
)
def test_a_list_that_is_no_table_of_samples_is_refused(root, content, why):
    table(root).write_text(content)
    with pytest.raises(DataError, match=why):
        read(root)


def test_videos_with_other_names_twice_or_in_a_wrong_folder_are_told(root):
    first = video_path(root, samples()[0])
    shutil.copy(first, first.with_name("intro.mp4"))
    shutil.copy(first, first.with_name(f"{SUBJECTS[0]}-PA5-001.mp4"))
    shutil.copy(first, first.with_suffix(".avi"))
    stranger = video_path(root, samples()[-1])
    stranger.rename(first.parent / stranger.name)
    clips = read(root)
    listed = {name: clip.problem for name, clip in clips.items() if clip.problem}
    assert len(listed) == 3
    assert sum("its name is not like" in problem for problem in listed.values()) == 2
    assert sum("there is already a video" in problem for problem in listed.values()) == 1
    assert clips[samples()[-1]].notes == (f"it is in the folder of another subject, {SUBJECTS[0]}",)


def test_a_wrong_root_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        open_corpus("biovid", {"root": tmp_path / "nothing"})
    with pytest.raises(DataError, match="holds no videos"):
        open_corpus("biovid", {"root": tmp_path}).clips()


def test_every_video_and_row_is_used_or_listed(root):
    video_path(root, samples()[3]).unlink()
    shutil.copy(video_path(root, samples()[0]), root / "PartA/video/other.mp4")
    write_samples(table(root), [*rows()[1:], rows()[5]])
    clips = read(root)
    videos = len(list(root.rglob("*.mp4")))
    with_video = [clip for name, clip in clips.items() if clip.video or name.endswith(".mp4")]
    assert len(with_video) == videos == 30
    assert len(usable(clips)) == 28
    assert len(clips) == 28 + 4


def test_protocols_name_what_the_loader_has(root):
    corpus = open_corpus("biovid", {"root": root})
    assert [(p.name, p.folds) for p in corpus.protocols] == [
        ("biovid-loso", "loso"),
        ("biovid-5fold", 5),
        ("biovid-bl1-pa4", "loso"),
    ]
    for protocol in corpus.protocols:
        given = open_corpus("biovid", {"root": root, **protocol.options})
        assert set(protocol.targets) <= {target.name for target in given.targets}
    assert "miniature" in corpus.card.checked
