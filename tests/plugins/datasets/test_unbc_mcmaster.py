"""UNBC-McMaster: PSPI by frame, scores by sequence, gaps on either side, and everything that is not used named."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import affectzoo
from affectzoo.data.load import open_corpus
from affectzoo.data.schema import Clip
from affectzoo.data.table import read_clip
from affectzoo.errors import ConfigError, DataError
from tests.plugins.datasets.miniatures.unbc_mcmaster import (
    PSPI,
    WHOLE,
    image_path,
    pspi_path,
    whole_path,
    write_image,
    write_unbc,
)

PLAIN = "042-ll042/ll042t1aaaff"
NO_VAS = "042-ll042/ll042t2aaaff"
NO_LAST_PSPI = "043-jh043/jh043t1aeaff"
BOM = "047-jl047/jl047t1aaunaff"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_unbc(tmp_path / "Schmerz (Schulter) ü")


def read(root: Path, **options: Any) -> dict[str, Clip]:
    corpus = open_corpus("unbc-mcmaster", {"root": root, **options})
    return {clip.clip_id: read_clip(corpus, clip) for clip in corpus.clips()}


@pytest.mark.parametrize("sequence", [PLAIN, BOM])
def test_labels_are_those_of_the_files(root, sequence):
    clip = read(root)[sequence]
    assert clip.subject == sequence.split("/")[0]
    assert clip.frames == str(root / "Images" / sequence)
    assert clip.fps == 25
    assert clip.split == ""
    assert clip.track is not None
    assert clip.track.unit == "frame"
    np.testing.assert_array_equal(clip.track.times, np.arange(len(PSPI[sequence])))
    np.testing.assert_array_equal(clip.track.values["pspi"], np.float32(PSPI[sequence]))
    assert clip.track.valid.all()
    assert clip.scores == {"vas": WHOLE[sequence][0]}
    assert clip.extra == dict(zip(("opr", "aff", "sen"), WHOLE[sequence][1:], strict=True))
    assert clip.notes == ()


def test_gaps_are_noted_and_the_sequence_used(root):
    clips = read(root)
    assert clips[NO_VAS].scores == {}
    assert clips[NO_VAS].notes == ("frame 2 has PSPI but no image", "it has no VAS")
    assert len(clips[NO_VAS].track.times) == 4
    assert clips[NO_LAST_PSPI].notes == ("frame 5 has an image but no PSPI",)
    np.testing.assert_array_equal(clips[NO_LAST_PSPI].track.times, range(4))
    assert not any(clip.problem for clip in clips.values())


def test_a_gap_in_the_labels_keeps_the_numbers_of_the_frames(root):
    pspi_path(root, PLAIN, 2).unlink()
    track = read(root)[PLAIN].track
    np.testing.assert_array_equal(track.times, [0, 2, 3, 4, 5])
    np.testing.assert_array_equal(track.values["pspi"], np.float32([0, 2, 5, 15, 1]))


def test_rows_and_folds_come_from_load_dataset(root, tmp_path):
    rows = affectzoo.load_dataset("unbc-mcmaster", root=str(root), cache_dir=str(tmp_path / "cache"), fps=30)
    assert list(rows) == ["all"]
    assert rows["all"]["fps"] == [30] * 4
    folds = affectzoo.load_dataset(
        "unbc-mcmaster", root=str(root), cache_dir=str(tmp_path / "cache"), fold={"folds": "loso", "number": 0}
    )
    assert folds["test"]["clip_id"] == [PLAIN, NO_VAS]
    assert {*folds["train"]["subject"], *folds["val"]["subject"]} == {"043-jh043", "047-jl047"}


def test_a_changed_label_is_read_anew(root, tmp_path):
    def pspi() -> list[float]:
        return affectzoo.load_dataset("unbc-mcmaster", root=str(root), cache_dir=str(tmp_path / "cache"))["all"][0]["pspi"]

    assert pspi()[1] == 0
    path = pspi_path(root, PLAIN, 2)
    path.write_text("   9.0000000e+00\n")
    os.utime(path, (1, 1))
    assert pspi()[1] == 9


@pytest.mark.parametrize("content", [b"", b"none", b"1 2", b"16", b"-1", b"inf"])
def test_a_frame_whose_label_is_no_pspi_is_not_valid_and_counted(root, content):
    pspi_path(root, PLAIN, 3).write_bytes(content)
    pspi_path(root, PLAIN, 4).write_bytes(content)
    clip = read(root)[PLAIN]
    np.testing.assert_array_equal(clip.track.valid, [True, True, False, False, True, True])
    assert clip.notes == ("PSPI of frames 3, 4 is no number of 0 to 15 and not valid",)
    assert not clip.problem


@pytest.mark.parametrize(("content", "why"), [("", "is empty"), ("very", "not one number"), ("11", "VAS is 11, out")])
def test_a_vas_that_is_none_is_noted_and_the_frames_used(root, content, why):
    whole_path(root, PLAIN, "VAS").write_text(content)
    clip = read(root)[PLAIN]
    assert clip.scores == {}
    assert why in clip.notes[0]
    assert clip.track.valid.all()
    assert not clip.problem


def test_another_score_that_is_none_is_missing_and_noted(root):
    whole_path(root, PLAIN, "AFF").write_text("?")
    clip = read(root)[PLAIN]
    assert clip.extra == {"opr": 4, "aff": None, "sen": 9}
    assert "not one number" in clip.notes[0]


def test_a_sequence_without_pspi_is_used_for_its_vas(root):
    shutil.rmtree(root / "Frame_Labels/PSPI/042-ll042")
    clips = read(root)
    assert clips[PLAIN].track is None
    assert clips[PLAIN].scores == {"vas": 7.5}
    assert clips[PLAIN].notes == ("it has no PSPI",)
    assert "neither PSPI nor VAS" in clips[NO_VAS].problem


def test_a_sequence_without_any_valid_label_is_listed(root):
    for number in range(1, 5):
        pspi_path(root, NO_VAS, number).write_text("")
    clip = read(root)[NO_VAS]
    assert "neither a valid PSPI nor a VAS" in clip.problem
    assert "PSPI of frames 1, 2, 3, 4" in clip.notes[-1]


def test_labels_without_images_are_listed_once(root):
    shutil.rmtree(root / "Images/042-ll042")
    clips = read(root)
    assert "there is no folder" in clips[PLAIN].problem
    assert len(clips) == 4
    shutil.rmtree(root / "Images/043-jh043/jh043t1aeaff")
    (root / "Images/043-jh043/jh043t1aeaff").mkdir()
    assert "holds no image like jh043t1aeaff001.png" in read(root)[NO_LAST_PSPI].problem


def test_files_that_are_no_frame_and_frames_twice_are_noted(root):
    write_image(root / "Images" / PLAIN / "ll042t1aaaff3.png")
    write_image(root / "Images" / PLAIN / "jh043t1aeaff001.png")
    (root / "Frame_Labels/PSPI" / PLAIN / "ll042t1aaaff0001_facs.txt").write_text("4")
    (root / "Images/readme.txt").write_text("")
    (root / "Images/042-ll042/readme.txt").write_text("")
    clips = read(root)
    assert "2 images are no frame of it, or one that is there twice" in clips[PLAIN].notes[0]
    assert "1 PSPI files" in clips[PLAIN].notes[1]
    assert len(clips[PLAIN].track.times) == 6
    assert "no folder of a subject" in clips["Images/readme.txt"].problem
    assert "no folder of a sequence" in clips["Images/042-ll042/readme.txt"].problem


def test_archives_unpacked_into_folders_of_their_own_name_are_read(root):
    before = read(root)
    for name in ("Images", "Frame_Labels", "Sequence_Labels"):
        (root / name).rename(root / "moved")
        (root / name).mkdir()
        (root / "moved").rename(root / name / name)
    after = read(root)
    assert {name: clip.scores for name, clip in after.items()} == {name: clip.scores for name, clip in before.items()}
    assert all(clip.track is not None for clip in after.values())


def test_a_wrong_root_is_refused(root, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        open_corpus("unbc-mcmaster", {"root": tmp_path / "nothing"})
    with pytest.raises(DataError, match="has no folder Images"):
        open_corpus("unbc-mcmaster", {"root": root / "Images"}).clips()
    shutil.rmtree(root / "Frame_Labels")
    shutil.rmtree(root / "Sequence_Labels")
    with pytest.raises(DataError, match="neither PSPI nor VAS"):
        open_corpus("unbc-mcmaster", {"root": root}).clips()


@pytest.mark.parametrize("fps", [0, -25, float("inf"), float("nan")])
def test_an_impossible_frame_rate_is_refused(root, fps):
    with pytest.raises(ConfigError, match="fps must be a positive number"):
        open_corpus("unbc-mcmaster", {"root": root, "fps": fps})


def test_every_label_file_is_a_label_or_reported(root):
    pspi_path(root, PLAIN, 3).write_text("oops")
    whole_path(root, PLAIN, "SEN").write_text("oops")
    image_path(root, PLAIN, 6).unlink()
    frames = len(list((root / "Frame_Labels/PSPI").rglob("*.txt")))
    clips = read(root)
    assert sum(len(clip.track.times) for clip in clips.values()) == frames
    assert sum(int(clip.track.valid.sum()) for clip in clips.values()) == frames - 1
    whole = len(list((root / "Sequence_Labels").rglob("*.txt")))
    used = sum(len(clip.scores) + sum(v is not None for v in clip.extra.values()) for clip in clips.values())
    assert used == whole - 1
    assert clips[PLAIN].notes[0] == "frame 6 has PSPI but no image"
    assert len(clips[PLAIN].notes) == 3


def test_protocols_name_what_the_loader_has(root):
    corpus = open_corpus("unbc-mcmaster", {"root": root})
    assert [(p.name, p.folds, p.of) for p in corpus.protocols] == [
        ("unbc-loso", "loso", "annotations"),
        ("unbc-vas", 5, "clips"),
    ]
    for protocol in corpus.protocols:
        along = set(protocol.targets) <= set(corpus.along)
        assert along == (protocol.of == "annotations")
    assert "miniature" in corpus.card.checked


def test_a_frame_whose_label_was_not_fetched_costs_that_frame_alone(root):
    label = pspi_path(root, "042-ll042/ll042t1aaaff", 2)
    label.unlink()
    label.symlink_to("nowhere")
    corpus = open_corpus("unbc-mcmaster", {"root": root})
    clip = next(read_clip(corpus, clip) for clip in corpus.clips() if clip.clip_id == "042-ll042/ll042t1aaaff")
    assert clip.track is not None
    assert clip.track.valid.tolist() == [True, False, *[True] * (len(clip.track.valid) - 2)]
    assert any(note.startswith("PSPI of frame 2 is no number") for note in clip.notes)
