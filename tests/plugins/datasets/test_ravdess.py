"""RAVDESS: labels come from names, splits from actors, and what cannot be used is listed."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import affectzoo
from affectzoo.errors import ConfigError, DataError
from affectzoo_datasets.ravdess import Ravdess
from tests.plugins.datasets.miniatures.ravdess import put, write_ravdess, write_tone


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "RAVDESS données"
    write_ravdess(folder)
    return folder


def problems(corpus: Ravdess) -> dict[str, str]:
    return {clip.clip_id: clip.problem for clip in corpus.clips() if clip.problem}


def test_a_name_is_its_labels(root: Path) -> None:
    write_tone(root / "Actor_02" / "03-01-06-02-02-02-02.wav")
    clip = next(clip for clip in Ravdess(root).clips() if clip.clip_id == "03-01-06-02-02-02-02")
    assert clip.scores == {"emotion": "fearful"}
    assert clip.extra == {
        "intensity": "strong",
        "statement": "dogs",
        "repetition": 2,
        "gender": "female",
        "channel": "speech",
    }
    assert (clip.subject, clip.split, clip.video) == ("02", "train", None)
    assert clip.audio == str(root / "Actor_02" / "03-01-06-02-02-02-02.wav")


def test_rows_by_name_and_splits_by_actor(root: Path, tmp_path: Path) -> None:
    rows: Any = affectzoo.load_dataset("ravdess", root=str(root), cache_dir=str(tmp_path / "cache"))
    assert {split: len(table) for split, table in rows.items()} == {"train": 16, "val": 8, "test": 8}
    assert set(rows["val"]["subject"]) == {"17"}
    assert rows["test"].features["emotion"].int2str(rows["test"][0]["emotion"]) == "neutral"


def test_folds_are_of_whole_actors(root: Path, tmp_path: Path) -> None:
    fold = {"folds": 4, "number": 1}
    rows: Any = affectzoo.load_dataset("ravdess", root=str(root), fold=fold, cache_dir=str(tmp_path / "cache"))
    people = [set(table["subject"]) for table in rows.values()]
    assert sum(map(len, people)) == len(set.union(*people)) == 4


def test_the_richest_version_is_taken_and_each_can_be_asked_for(tmp_path: Path) -> None:
    count = write_ravdess(tmp_path, actors=(1, 2), modalities=(1, 2, 3))
    richest = Ravdess(tmp_path).clips()
    assert {clip.clip_id[:2] for clip in richest} == {"01"}
    assert all(clip.video and clip.audio is None for clip in richest)
    assert len(richest) == count // 3
    assert {clip.clip_id[:2] for clip in Ravdess(tmp_path, modality="video").clips()} == {"02"}
    assert all(clip.audio and clip.video is None for clip in Ravdess(tmp_path, modality="audio").clips())


def test_an_utterance_without_the_chosen_version_is_listed(root: Path) -> None:
    write_ravdess(root, actors=(1,), modalities=(1,))
    listed = problems(Ravdess(root))
    assert len(listed) == 3 * 8
    assert set(listed.values()) == {"this utterance is there as audio, not as audio-video"}


def test_song_is_taken_only_when_asked_for(root: Path) -> None:
    write_tone(root / "Actor_01" / "03-02-06-01-01-01-01.wav")
    assert len(Ravdess(root).clips()) == 32
    sung = Ravdess(root, channel="song").clips()
    assert [clip.extra["channel"] for clip in sung] == ["song"]
    assert len(Ravdess(root, channel="both").clips()) == 33


def test_only_songs_says_which_channel_to_give(tmp_path: Path) -> None:
    write_tone(tmp_path / "03-02-06-01-01-01-01.wav")
    with pytest.raises(DataError, match="holds no speech, but song; give channel='song'"):
        Ravdess(tmp_path).clips()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("03-01-01-02-01-01-01", "strong intensity, which neutral does not have"),
        ("03-02-07-01-01-01-01", "disgust song"),
        ("03-01-09-01-01-01-01", "emotion 09; there are 01 to 08"),
        ("03-01-05-01-01-01-25", "actor 25"),
        ("03-01-05-01-01-01-00", "actor 00"),
        ("04-01-05-01-01-01-01", "modality 04"),
        ("03-01-05-01-01-01", "seven numbers"),
        ("03-01-05-01-01-01-01 (1)", "seven numbers"),
        ("notes", "seven numbers"),
    ],
)
def test_a_name_that_the_corpus_does_not_have_is_listed(root: Path, name: str, why: str) -> None:
    write_tone(root / "Actor_01" / f"{name}.wav")
    listed = problems(Ravdess(root))
    assert list(listed) == [f"Actor_01/{name}.wav"]
    assert why in listed[f"Actor_01/{name}.wav"]


def test_the_same_utterance_in_two_folders_counts_once_and_nothing_is_lost(root: Path) -> None:
    first = root / "Actor_01" / "03-01-05-01-01-01-01.wav"
    put(first, root / "audio_speech_actors_01-24" / "Actor_01" / first.name)
    put(first, first.with_suffix(".flac"))
    clips = Ravdess(root).clips()
    listed = {clip.clip_id: clip.problem for clip in clips if clip.problem}
    assert len(clips) == 32 + 2
    assert set(listed) == {
        "Actor_01/03-01-05-01-01-01-01.wav",
        "audio_speech_actors_01-24/Actor_01/03-01-05-01-01-01-01.wav",
    }
    assert all(why == "the same utterance as Actor_01/03-01-05-01-01-01-01.flac" for why in listed.values())


def test_twins_that_macos_leaves_are_no_clips(root: Path) -> None:
    write_tone(root / "__MACOSX" / "._03-01-05-01-01-01-01.wav")
    assert not problems(Ravdess(root))


def test_an_actor_in_no_split_is_listed(root: Path) -> None:
    corpus = Ravdess(root, train="1", val="17", test="21-24")
    assert set(problems(corpus).values()) == {"actor 2 is in none of train, val and test"}
    assert len(corpus.clips()) == 32


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"train": "1-20"}, "actor 17 is in train and in val"),
        ({"test": "21-25"}, "test is '21-25'; give actors from 1 to 24"),
        ({"test": "5-3"}, "give actors from 1 to 24"),
        ({"val": "all"}, "give actors from 1 to 24"),
        ({"modality": "av"}, "modality is 'av'; it takes audio-video, video, audio"),
        ({"channel": "sung"}, "channel is 'sung'; it takes speech, song, both"),
    ],
)
def test_options_that_cannot_be_are_refused(root: Path, options: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Ravdess(root, **options)  # pyright: ignore[reportArgumentType]


def test_actors_are_ranges_and_numbers(root: Path) -> None:
    corpus = Ravdess(root, train="1-2, 5", val="17", test="21")
    assert Counter(clip.split for clip in corpus.clips()) == {"train": 16, "val": 8, "test": 8}
    assert corpus.split_of[5] == "train"


def test_a_folder_of_something_else_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no clip of RAVDESS.*Actor_01/03-01-06"):
        Ravdess(tmp_path).clips()
    with pytest.raises(DataError, match="does not exist"):
        Ravdess(tmp_path / "absent")


def test_the_published_speech_has_its_1424_clips_in_their_splits(shared: Path) -> None:
    folder = shared / "data" / "ravdess_speech"
    with (folder / "metadata.csv").open(encoding="utf-8") as file:
        table = {Path(row["file_name"]).stem: row for row in csv.DictReader(file)}
    clips = Ravdess(folder).clips()
    assert len(clips) == len(table) == 1424
    assert not any(clip.problem for clip in clips)
    for clip in clips:
        row = table[clip.clip_id]
        assert (clip.scores["emotion"], clip.split) == (row["emotion"], row["split"])
        assert row["subject"] == f"ravdess_{clip.subject}"
        assert str(clip.extra["gender"])[0] == row["gender"]
