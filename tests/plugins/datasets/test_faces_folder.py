"""Folders of labelled images: with a table or with a folder for each class, nothing lost and nobody in two splits unseen."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import affectzoo
from affectzoo.data.table import RESERVED
from affectzoo.errors import ConfigError, DataError
from affectzoo_datasets.faces_folder import TAKEN, FacesFolder
from tests.plugins.datasets.miniatures.faces_folder import rows, write_classes, write_image, write_table


def listed(corpus: FacesFolder) -> dict[str, str]:
    return {clip.clip_id: clip.problem for clip in corpus.clips() if clip.problem}


def test_the_table_says_labels_people_and_splits(tmp_path: Path) -> None:
    write_table(tmp_path, rows(), newline="\r\n", bom=True)
    corpus = FacesFolder(tmp_path)
    clips = corpus.clips()
    assert corpus.targets[0].classes == ("angry", "happy", "sad")
    assert len(clips) == len(rows())
    assert not listed(corpus)
    assert Counter(clip.split for clip in clips) == {"train": 7, "val": 1, "test": 1}
    odd = next(clip for clip in clips if clip.clip_id == "images/grün/ein bild.JPG")
    assert (odd.subject, odd.scores, odd.frames) == ("p1", {"emotion": "sad"}, str(tmp_path / "images/grün/ein bild.JPG"))


def test_rows_through_the_library(tmp_path: Path) -> None:
    write_table(tmp_path / "faces", rows())
    loaded: Any = affectzoo.load_dataset("faces-folder", root=str(tmp_path / "faces"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(table) for split, table in loaded.items()} == {"train": 7, "val": 1, "test": 1}
    assert loaded["test"].features["emotion"].names == ["angry", "happy", "sad"]


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    count = write_classes(tmp_path)
    clips = FacesFolder(tmp_path).clips()
    assert len(clips) == count
    assert {(clip.scores["emotion"], clip.split) for clip in clips} == {("happy", ""), ("sad", ""), ("angry", "")}
    assert len({clip.subject for clip in clips}) == count
    assert [len(clip.notes) for clip in clips] == [1] + [0] * (count - 1)
    assert clips[0].notes[0].endswith("each image counts as a person of its own, and no split is by person")


def test_classes_may_lie_below_splits(tmp_path: Path) -> None:
    count = write_classes(tmp_path, splits=("train", "test"))
    corpus = FacesFolder(tmp_path)
    assert corpus.targets[0].classes == ("angry", "happy", "sad")
    assert Counter(clip.split for clip in corpus.clips()) == {"train": count // 2, "test": count // 2}


def test_all_images_may_be_put_into_one_split(tmp_path: Path) -> None:
    write_table(tmp_path / "table", rows())
    count = write_classes(tmp_path / "folders", splits=("train", "test"))
    assert Counter(clip.split for clip in FacesFolder(tmp_path / "table", split="test").clips()) == {"test": len(rows())}
    assert Counter(clip.split for clip in FacesFolder(tmp_path / "folders", split="val").clips()) == {"val": count}
    with pytest.raises(ConfigError, match="split is 'all'; it takes train, val, test"):
        FacesFolder(tmp_path / "table", split="all")


def test_images_outside_of_a_class_are_listed(tmp_path: Path) -> None:
    count = write_classes(tmp_path)
    write_image(tmp_path / "stray.png")
    write_image(tmp_path / "happy" / ".hidden.png")
    (tmp_path / "happy" / "Thumbs.db").write_bytes(b"x")
    corpus = FacesFolder(tmp_path)
    assert listed(corpus) == {"stray.png": "the image is in no folder of a class"}
    assert len(corpus.clips()) == count + 1


def test_images_of_classes_that_are_not_asked_for_are_listed(tmp_path: Path) -> None:
    write_table(tmp_path, rows())
    corpus = FacesFolder(tmp_path, classes=["sad", "happy"])
    assert corpus.targets[0].classes == ("sad", "happy")
    assert set(listed(corpus).values()) == {
        "line 4: 'angry' is left out by classes",
        "line 7: 'angry' is left out by classes",
    }
    assert [clip.notes for clip in corpus.clips() if clip.notes] == [("classes leaves out angry (2 images)",)]
    assert len(corpus.clips()) == len(rows())


def test_a_mapping_renames_joins_and_drops_classes_and_counts_what_it_drops(tmp_path: Path) -> None:
    write_table(tmp_path, rows())
    corpus = FacesFolder(tmp_path, classes={"happy": "pleased", "sad": "low", "angry": None, "neutral": "neutral"})
    # A class that no image has is there for models that have it.
    assert corpus.targets[0].classes == ("pleased", "low", "neutral")
    used = Counter(clip.scores["emotion"] for clip in corpus.clips() if not clip.problem)
    assert used == {"pleased": 4, "low": 3}
    assert len(listed(corpus)) == 2
    assert [clip.notes for clip in corpus.clips() if clip.notes] == [("classes leaves out angry (2 images)",)]
    joined = FacesFolder(tmp_path, classes={"happy": "pleased", "sad": "low", "angry": "low"})
    assert joined.targets[0].classes == ("pleased", "low")
    assert Counter(clip.scores["emotion"] for clip in joined.clips()) == {"pleased": 4, "low": 5}


def test_a_remark_is_made_of_the_first_image_that_is_used(tmp_path: Path) -> None:
    write_table(tmp_path, ["a.png,joy", "b.png,sad", "c.png,happy"], header="file_name,emotion")
    clips = FacesFolder(tmp_path, classes=["sad", "happy"]).clips()
    assert [len(clip.notes) for clip in clips if not clip.problem] == [2, 0]


def test_further_columns_of_the_table_are_extra_columns_under_names_that_are_free(tmp_path: Path) -> None:
    header = "file_name,subject,emotion,split,sequence,video,a.b"
    write_table(
        tmp_path / "faces", [f"{n}.png,p{n},{'sad' if n else 'happy'},train,s{n},{n or ''},x" for n in range(3)], header=header
    )
    clips = FacesFolder(tmp_path / "faces").clips()
    assert clips[0].extra == {"sequence": "s0", "video_": None, "a_b": "x"}
    assert clips[2].extra == {"sequence": "s2", "video_": "2", "a_b": "x"}
    loaded: Any = affectzoo.load_dataset("faces-folder", root=str(tmp_path / "faces"), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"]["sequence"] == ["s0", "s1", "s2"]
    assert TAKEN == RESERVED


def test_another_column_can_be_the_label(tmp_path: Path) -> None:
    write_table(tmp_path, ["a.png,smile", "b.png,none", "c.png,smile"], header="file_name,mouth")
    corpus = FacesFolder(tmp_path, label="mouth")
    assert corpus.targets[0].name == "mouth"
    assert [clip.scores for clip in corpus.clips()] == [{"mouth": "smile"}, {"mouth": "none"}, {"mouth": "smile"}]
    with pytest.raises(DataError, match="has no column 'emotion'; it has file_name, mouth"):
        FacesFolder(tmp_path)


def test_without_a_column_of_people_it_is_said_once_that_splits_are_not_by_person(tmp_path: Path) -> None:
    write_table(tmp_path, ["a.png,sad", "b.png,happy", "c.png,sad"], header="file_name,emotion")
    clips = FacesFolder(tmp_path).clips()
    assert [clip.subject for clip in clips] == ["a.png", "b.png", "c.png"]
    assert clips[0].notes == (
        "metadata.csv has no column subject: each image counts as a person of its own, and no split is by person",
    )
    assert not clips[1].notes


def test_lines_that_cannot_be_used_are_listed_and_counted(tmp_path: Path) -> None:
    lines = rows()
    spoilt = ["images/0.png,p0,happy,train", ",p1,happy,train", "images/gone.png,p1,happy,train"]
    spoilt += ["images/x.png,p1,,train", "images/y.png,p1,happy,dev", "images/z.png,,happy,train"]
    write_table(tmp_path, lines + spoilt)
    (tmp_path / "images" / "gone.png").unlink()
    write_image(tmp_path / "images" / "unnamed.png")
    (tmp_path / "images" / "half.gif").write_bytes(b"GIF89a")
    corpus = FacesFolder(tmp_path)
    clips = corpus.clips()
    assert len(clips) == len(lines) + len(spoilt) + 1
    assert listed(corpus) == {
        "images/0.png (2)": "there is already a clip images/0.png",
        "line 12": "line 12: file_name is empty",
        "images/gone.png": f"line 13: there is no image {tmp_path / 'images' / 'gone.png'}",
        "images/x.png": "line 14: emotion is empty",
        "images/y.png": "line 15: there is no split 'dev'; use train, val, test",
        "images/unnamed.png": "metadata.csv has no line for this image",
    }
    alone = next(clip for clip in clips if clip.clip_id == "images/z.png")
    assert (alone.subject, alone.notes) == ("images/z.png", ("subject is empty: the image counts as a person of its own",))


def test_a_person_in_two_splits_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "faces", [*rows(), "images/9.png,p5,sad,train"])
    with pytest.raises(DataError, match="subject 'p5' is in both test and train"):
        affectzoo.load_dataset("faces-folder", root=str(tmp_path / "faces"), cache_dir=str(tmp_path / "cache"))


def test_fewer_than_two_classes_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"at least two classes, and .*a folder for each, has 0"):
        FacesFolder(tmp_path)
    write_image(tmp_path / "happy" / "1.png")
    with pytest.raises(DataError, match="has 1: happy"):
        FacesFolder(tmp_path)
    write_table(tmp_path, [], header="file_name,emotion")
    with pytest.raises(DataError, match=r"metadata\.csv, column emotion, has 0"):
        FacesFolder(tmp_path)


@pytest.mark.parametrize("classes", ["happy", 3, [["happy"], "sad"], {"happy": 1}, {1: "happy"}, ["", "sad"]])
def test_classes_that_are_no_names_are_refused(tmp_path: Path, classes: object) -> None:
    write_classes(tmp_path)
    with pytest.raises(ConfigError, match=r"classes is .*; give a list of names, or a mapping such as"):
        FacesFolder(tmp_path, classes=classes)  # pyright: ignore[reportArgumentType]


def test_a_class_named_twice_and_a_label_that_is_no_name_are_refused(tmp_path: Path) -> None:
    write_classes(tmp_path)
    with pytest.raises(ConfigError, match="each named once"):
        FacesFolder(tmp_path, classes=["sad", "sad"])
    with pytest.raises(ConfigError, match="label 'the mood!'"):
        FacesFolder(tmp_path, label="the mood!")


@pytest.mark.parametrize(
    ("folder", "counts"),
    [
        ("faces_muxspace", {"train": 10802, "val": 1471, "test": 1353}),
        ("faces_ckplus48", {"train": 678, "val": 138, "test": 165}),
    ],
)
def test_real_folders_have_their_counts_and_are_listed_quickly(shared: Path, folder: str, counts: dict[str, int]) -> None:
    start = time.perf_counter()
    clips = FacesFolder(shared / "data" / folder).clips()
    # Half a second alone on one core; five is what may be spent on a busy one.
    assert time.perf_counter() - start < 5
    assert Counter(clip.split for clip in clips) == counts
    assert not any(clip.problem or clip.notes for clip in clips)
