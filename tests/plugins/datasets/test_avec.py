"""AVEC 2013 and 2014: splits, scores, people in several splits, and everything that is not used named."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import affectzoo
from affectzoo.data.load import open_corpus
from affectzoo.data.schema import Clip
from affectzoo.data.table import read_clip
from affectzoo.errors import ConfigError, DataError
from tests.plugins.datasets.miniatures.avec import SCORES, SPLITS, write_avec2013, write_avec2014

SPLIT_NAMES = {"Training": "train", "Development": "val", "Testing": "test"}


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("avec")
    return {"avec2013": write_avec2013(place / "2013"), "avec2014": write_avec2014(place / "2014")}


@pytest.fixture
def root2013(delivered: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(delivered["avec2013"], tmp_path / "Dépression, 2013"))


@pytest.fixture
def root2014(delivered: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(delivered["avec2014"], tmp_path / "Dépression, 2014"))


def read(name: str, root: Path, **options: Any) -> dict[str, Clip]:
    corpus = open_corpus(name, {"root": root, **options})
    return {clip.clip_id: read_clip(corpus, clip) for clip in corpus.clips()}


def usable(clips: dict[str, Clip]) -> dict[str, Clip]:
    return {name: clip for name, clip in clips.items() if not clip.problem}


def label(root: Path, recording: str) -> Path:
    (path,) = root.rglob(f"{recording}_Depression.csv")
    return path


@pytest.mark.parametrize(("name", "tasks"), [("avec2013", ("",)), ("avec2014", ("Freeform", "Northwind"))])
def test_every_recording_has_its_split_score_and_media(delivered, name, tasks):
    clips = read(name, delivered[name])
    assert len(clips) == len(SCORES) * len(tasks)
    for folder, recordings in SPLITS.items():
        for recording in recordings:
            for task in tasks:
                clip = clips[f"{recording}_{task}" if task else recording]
                assert not clip.problem
                assert clip.split == SPLIT_NAMES[folder]
                assert clip.scores == {"bdi-ii": SCORES[recording]}
                assert clip.extra["recording"] == recording
                assert clip.extra.get("task", "") == task.lower()
                for media in (clip.video, clip.audio):
                    assert media is not None
                    assert Path(media).is_file()
                    assert recording in Path(media).name
                    assert task in Path(media).name
                assert clip.video != clip.audio


def test_rows_of_the_official_splits_come_from_load_dataset(delivered, tmp_path, capsys):
    rows = affectzoo.load_dataset("avec2014", root=str(delivered["avec2014"]), cache_dir=str(tmp_path))
    assert {split: len(part) for split, part in rows.items()} == {"train": 6, "val": 4, "test": 4}
    assert rows["test"]["bdi-ii"][0] == 8
    assert "203_1_Freeform: person 203 is also in test" in capsys.readouterr().err


def test_a_person_in_two_splits_is_a_subject_in_each_and_said(delivered):
    clips = read("avec2013", delivered["avec2013"])
    assert clips["203_1"].subject == "203 (train)"
    assert clips["203_2"].subject == "203 (test)"
    assert clips["203_1"].extra["person"] == clips["203_2"].extra["person"] == "203"
    assert any("person 203 is also in test" in note for note in clips["203_1"].notes)
    assert clips["204_1"].subject == "204"
    assert not clips["204_1"].notes


def test_without_official_splits_the_person_is_the_subject(delivered, tmp_path):
    clips = read("avec2014", delivered["avec2014"], official=False)
    assert {clip.split for clip in clips.values()} == {""}
    assert Counter(clip.subject for clip in clips.values())["203"] == 4
    fold = {"folds": "loso", "number": 0}
    given = {"root": str(delivered["avec2014"]), "cache_dir": str(tmp_path), "official": False, "fold": fold}
    rows = affectzoo.load_dataset("avec2014", **given)
    assert set(rows["test"]["recording"]) == {"203_1", "203_2"}


def test_one_task_can_be_chosen(delivered):
    clips = read("avec2014", delivered["avec2014"], tasks=["northwind"])
    assert sorted(clips) == sorted(f"{recording}_Northwind" for recording in SCORES)


@pytest.mark.parametrize("tasks", [["freeform", "reading"], [], "freeform"])
def test_unknown_tasks_are_refused(delivered, tasks):
    with pytest.raises(ConfigError, match="freeform and northwind"):
        open_corpus("avec2014", {"root": delivered["avec2014"], "tasks": tasks})


@pytest.mark.parametrize("names", [("train", "dev", "test"), ("TRAINING", "Development_Set", "Testset")])
def test_splits_may_be_spelt_otherwise(root2013, names):
    for old, new in zip(("Training", "Development", "Testing"), names, strict=True):
        (root2013 / old).rename(root2013 / "moved")
        (root2013 / "moved").rename(root2013 / new)
    assert Counter(clip.split for clip in usable(read("avec2013", root2013)).values()) == {"train": 3, "val": 2, "test": 2}


def test_labels_may_lie_in_one_folder_for_all_splits(root2014):
    for path in sorted(root2014.rglob("*_Depression.csv")):
        path.rename(root2014 / path.name)
    assert len(usable(read("avec2014", root2014))) == 14


def test_a_root_that_is_something_else_is_refused(tmp_path, delivered):
    with pytest.raises(DataError, match="does not exist"):
        open_corpus("avec2013", {"root": tmp_path / "nothing"})
    with pytest.raises(DataError, match=r"holds no file like 203_1_cut_combined\.mp4"):
        open_corpus("avec2013", {"root": tmp_path}).clips()
    with pytest.raises(DataError, match=r"can be used: .*203_1_cut_combined\.mp4"):
        open_corpus("avec2013", {"root": delivered["avec2014"]}).clips()


def test_media_outside_every_split_are_listed(root2013):
    shutil.copy(root2013 / "Training/video/203_1_cut_combined.mp4", root2013 / "299_1_cut_combined.mp4")
    assert "no folder called Training" in read("avec2013", root2013)["299_1"].problem


def test_a_label_without_media_is_listed(root2014):
    shutil.rmtree(root2014 / "Development" / "Northwind")
    clips = read("avec2014", root2014)
    assert len(usable(clips)) == 12
    for recording in SPLITS["Development"]:
        assert f"{recording}_Depression.csv is there, but no video" in clips[f"{recording}_Northwind"].problem


def test_media_without_a_label_are_listed(root2014):
    label(root2014, "205_2").unlink()
    label(root2014, "210_1").unlink()
    clips = read("avec2014", root2014)
    assert len(usable(clips)) == 10
    for recording in ("205_2", "210_1"):
        assert f"there is no {recording}_Depression.csv" in clips[f"{recording}_Freeform"].problem


def test_withheld_labels_of_the_test_split_leave_its_clips_unlabelled(root2013):
    for recording in SPLITS["Testing"]:
        label(root2013, recording).unlink()
    clips = read("avec2013", root2013)
    assert len(usable(clips)) == 7
    assert clips["210_1"].scores == {}
    assert "those of the test split are not there" in clips["210_1"].notes[0]
    folds = read("avec2013", root2013, official=False)
    assert "there is no 210_1_Depression.csv" in folds["210_1"].problem


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\r\n", "is empty"),
        (b"n/a\n", "'n/a', which is not one number"),
        (b"12\n13\n", "not one number"),
        (b"nan", "not one number"),
        (b"\xff\xfe\x00", "not one number"),
        (b"64\n", "holds 64, which is no BDI-II score"),
        (b"-1\n", "holds -1, which is no BDI-II score"),
    ],
)
def test_a_label_that_is_no_score_is_a_listed_problem(root2013, content, why):
    path = label(root2013, "206_1")
    path.write_bytes(content)
    clips = read("avec2013", root2013)
    assert why in clips["206_1"].problem
    assert str(path) in clips["206_1"].problem
    assert len(usable(clips)) == 6


def test_labels_that_contradict_each_other_are_refused(root2013):
    other = root2013 / "labels" / "206_1_Depression.csv"
    other.parent.mkdir()
    other.write_text("0")
    clip = read("avec2013", root2013)["206_1"]
    assert clip.scores == {"bdi-ii": 0}
    assert clip.notes == ("it has 2 label files",)
    other.write_text("9")
    assert "remove the wrong one" in read("avec2013", root2013)["206_1"].problem


def test_duplicate_media_are_listed_or_refused(root2013):
    shutil.copy(root2013 / "Training/video/206_1_cut_combined.mp4", root2013 / "Training/206_1.mp4")
    shutil.copy(root2013 / "Training/video/205_2_cut_combined.mp4", root2013 / "Testing/video/205_2_cut_combined.mp4")
    clips = read("avec2013", root2013)
    twins = [clip for clip in clips.values() if "already a file of 206_1" in clip.problem]
    assert len(twins) == 1
    assert not clips["206_1"].problem
    assert "in different splits" in clips["205_2"].problem


def test_sound_alone_is_used_and_noted(root2013):
    (root2013 / "Training/video/206_1_cut_combined.mp4").unlink()
    clip = read("avec2013", root2013)["206_1"]
    assert not clip.problem
    assert clip.video is None
    assert clip.notes == ("it has sound, but no video",)


def test_every_media_file_and_label_is_used_or_listed(root2014):
    shutil.copy(root2014 / "Training/Freeform/video/203_1_Freeform_video.mp4", root2014 / "Training/intro.mp4")
    shutil.copy(root2014 / "Training/Freeform/video/203_1_Freeform_video.mp4", root2014 / "Training/203_1_Freeform.mp4")
    label(root2014, "206_1").unlink()
    (root2014 / "Training/DepressionLabels/299_1_Depression.csv").write_text("3")
    media = list(root2014.rglob("*.mp4"))
    clips = read("avec2014", root2014)
    listed = [clip for clip in clips.values() if clip.problem]
    paths = {path for clip in clips.values() for path in (clip.video, clip.audio) if path}
    strays = [clip for clip in listed if clip.clip_id.endswith(".mp4")]
    assert len(paths) + len(strays) == len(media)
    labels = {path for clip in clips.values() for path in clip.label_files}
    alone = [clip for clip in listed if "is there, but no video" in clip.problem]
    assert len(labels) + len(alone) / 2 == len(list(root2014.rglob("*_Depression.csv")))
    assert len(usable(clips)) == 12
    assert len(listed) == 2 + 2 + 2


@pytest.mark.parametrize("name", ["avec2013", "avec2014"])
def test_protocols_name_what_the_loader_has(delivered, name):
    corpus = open_corpus(name, {"root": delivered[name]})
    assert [protocol.name for protocol in corpus.protocols] == [name, f"{name}-dev"]
    for protocol in corpus.protocols:
        assert set(protocol.targets) <= {target.name for target in corpus.targets}
        assert not protocol.group or protocol.group in corpus.extra
    assert "miniature" in corpus.card.checked
