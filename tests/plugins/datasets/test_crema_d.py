"""CREMA-D: sound and picture of one name are one clip; known oddities of the corpus are met, not swallowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import affectzoo
from affectzoo.errors import DataError
from affectzoo_datasets.crema_d import CremaD
from tests.plugins.datasets.miniatures.crema_d import POINTER, write_crema_d, write_demographics
from tests.plugins.datasets.miniatures.ravdess import put, write_tone

#: 1076_MTI_SAD_XX is not in the miniature: its utterances are all ITH.
VOID = "1076_MTI_SAD_XX"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "CREMA-D kopie é"
    write_crema_d(folder)
    return folder


def test_a_clip_has_sound_picture_labels_and_who_speaks(root: Path) -> None:
    clip = next(clip for clip in CremaD(root).clips() if clip.clip_id == "1002_ITH_HAP_XX")
    assert clip.video == str(root / "VideoFlash" / "1002_ITH_HAP_XX.flv")
    assert clip.audio == str(root / "AudioWAV" / "1002_ITH_HAP_XX.wav")
    assert (clip.subject, clip.split, clip.scores) == ("1002", "", {"emotion": "happy"})
    assert clip.extra == {
        "level": "unspecified",
        "sentence": "ITH",
        "age": 21,
        "sex": "Female",
        "race": "African American",
        "ethnicity": "Not Hispanic",
    }


def test_every_file_is_in_a_clip_or_listed(root: Path) -> None:
    write_tone(root / "AudioWAV" / "readme.wav")
    clips = CremaD(root).clips()
    used = [path for clip in clips if not clip.problem for path in (clip.video, clip.audio) if path]
    listed = [clip for clip in clips if clip.problem]
    media = [path for path in root.rglob("*") if path.suffix in (".wav", ".flv") and not path.name.startswith(".")]
    assert len(used) + len(listed) == len(media) == 2 * 24 + 1
    assert listed[0].problem.startswith("its name is not actor_sentence_emotion_level")


def test_folds_are_of_whole_actors(root: Path, tmp_path: Path) -> None:
    fold = {"folds": 4, "number": 0}
    rows: Any = affectzoo.load_dataset("crema-d", root=str(root), fold=fold, cache_dir=str(tmp_path / "cache"))
    people = [set(table["subject"]) for table in rows.values()]
    assert sum(map(len, people)) == len(set.union(*people)) == 4
    assert sum(map(len, rows.values())) == 24


def test_the_misnamed_clip_meets_its_picture(root: Path) -> None:
    clip = next(clip for clip in CremaD(root).clips() if clip.clip_id == "1040_ITH_SAD_XX")
    assert clip.audio == str(root / "AudioWAV" / "1040_ITH_SAD_X.wav")
    assert clip.video == str(root / "VideoFlash" / "1040_ITH_SAD_XX.flv")
    assert clip.notes == ("AudioWAV/1040_ITH_SAD_X.wav is named without the second X",)


def test_the_clip_without_voice_and_face_is_left_out_and_doubtful_ones_are_remarked(root: Path) -> None:
    for name in (VOID, "1076_MTI_NEU_XX"):
        write_tone(root / "AudioWAV" / f"{name}.wav")
    clips = {clip.clip_id: clip for clip in CremaD(root).clips()}
    assert clips[VOID].problem == "it is known to hold neither a voice nor a face"
    assert not clips["1076_MTI_NEU_XX"].problem
    assert "its sound is reported to be missing or unreadable" in clips["1076_MTI_NEU_XX"].notes


def test_pointers_of_git_lfs_are_no_media(root: Path) -> None:
    for path in root.rglob("100?_*"):
        path.write_text(POINTER)
    clips = CremaD(root).clips()
    assert sum(not clip.problem for clip in clips) == 12
    assert sum("a pointer of Git LFS; run `git lfs pull`" in clip.problem for clip in clips) == 24
    for path in root.rglob("10??_*"):
        path.write_text(POINTER)
    with pytest.raises(DataError, match="git lfs pull"):
        CremaD(root).clips()


def test_a_half_extracted_corpus_says_what_is_missing(root: Path) -> None:
    (root / "VideoFlash" / "1001_ITH_ANG_XX.flv").unlink()
    (root / "AudioWAV" / "1001_ITH_DIS_XX.wav").unlink()
    clips = {clip.clip_id: clip for clip in CremaD(root).clips()}
    assert clips["1001_ITH_ANG_XX"].notes == ("there is no video file of it",)
    assert clips["1001_ITH_DIS_XX"].notes == ("there is no audio file of it",)


def test_sound_alone_is_a_corpus_too(tmp_path: Path) -> None:
    count = write_crema_d(tmp_path, video=False)
    (tmp_path / "VideoDemographics.csv").unlink()
    clips = CremaD(tmp_path).clips()
    assert len(clips) == count
    assert all(clip.audio and clip.video is None for clip in clips)
    assert clips[0].notes == ("VideoDemographics.csv is absent, so age, sex, race and ethnicity of no actor are known",)
    assert all(not clip.notes for clip in clips[1:] if clip.clip_id != "1040_ITH_SAD_XX")


def test_the_same_utterance_twice_counts_once(root: Path) -> None:
    put(root / "AudioWAV" / "1001_ITH_ANG_XX.wav", root / "Copy" / "1001_ITH_ANG_XX.wav")
    listed = [clip for clip in CremaD(root).clips() if clip.problem]
    assert [(clip.clip_id, clip.problem) for clip in listed] == [
        ("Copy/1001_ITH_ANG_XX.wav", "the same utterance as AudioWAV/1001_ITH_ANG_XX.wav")
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("1001_ABC_ANG_XX", "sentence ABC"),
        ("1001_ITH_SUR_XX", "emotion SUR; there are ANG, DIS"),
        ("1001_ITH_ANG_ZZ", "level ZZ; there are LO, MD, HI, XX"),
        ("01_ITH_ANG_XX", "actor_sentence_emotion_level"),
    ],
)
def test_a_name_that_the_corpus_does_not_have_is_listed(root: Path, name: str, why: str) -> None:
    write_tone(root / "AudioWAV" / f"{name}.wav")
    listed = [clip for clip in CremaD(root).clips() if clip.problem]
    assert len(listed) == 1
    assert why in listed[0].problem


def test_actors_that_the_table_lacks_or_spoils_are_remarked(root: Path) -> None:
    write_demographics(root, (1001, 51, "Male"), (1002, "old", "Female"), (1040, 42, "Male"), newline="\r\n")
    clips = {clip.clip_id: clip for clip in CremaD(root).clips()}
    assert clips["1001_ITH_ANG_XX"].extra["age"] == 51
    assert clips["1002_ITH_ANG_XX"].extra["age"] is None
    assert clips["1002_ITH_ANG_XX"].notes == ("VideoDemographics.csv gives actor 1002 the age 'old'",)
    assert clips["1076_ITH_ANG_XX"].notes == ("VideoDemographics.csv has no actor 1076",)
    assert clips["1076_ITH_ANG_XX"].extra["sex"] is None


def test_a_table_of_something_else_and_a_wrong_root_are_refused(root: Path, tmp_path: Path) -> None:
    (root / "VideoDemographics.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="has no column 'ActorID'"):
        CremaD(root).clips()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="it should look so: AudioWAV"):
        CremaD(tmp_path / "empty").clips()
