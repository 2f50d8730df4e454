"""The loader `recola`: gold standard and raters, official splits, label delay, and every row accounted for."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import affectzoo
from affectzoo import Clip, Track
from affectzoo.data.table import read_clip
from affectzoo.errors import ConfigError, DataError
from affectzoo_datasets.recola import Recola
from tests.plugins.datasets.miniatures.recola import (
    STEPS,
    TARGETS,
    labels_of,
    ratings_of,
    write_arff,
    write_avec,
    write_first_release,
    write_raters,
)

GOLD = Path("ratings_gold_standard")


@pytest.fixture(scope="module")
def delivered(tmp_path_factory) -> Path:
    return write_avec(tmp_path_factory.mktemp("avec"))


@pytest.fixture(scope="module")
def first_release(tmp_path_factory) -> Path:
    return write_first_release(tmp_path_factory.mktemp("recola"))


@pytest.fixture
def root(delivered, tmp_path) -> Path:
    """A copy to spoil, in a folder with a space and letters beyond ASCII."""
    return Path(shutil.copytree(delivered, tmp_path / "données à lire"))


def read(root: Path, **options) -> dict[str, Clip]:
    corpus = Recola(root, **options)
    return {clip.clip_id: read_clip(corpus, clip) for clip in corpus.clips()}


def problems(clips: dict[str, Clip]) -> dict[str, str]:
    return {name: clip.problem for name, clip in clips.items() if clip.problem}


def track_of(clip: Clip) -> Track:
    assert clip.track is not None, clip.problem
    return clip.track


def reported(clip: Clip, target: str) -> int:
    """Rows of one target's file that notes count."""
    said = [note for note in clip.notes if note.startswith(target)]
    return sum(int(number) for note in said for number in re.findall(r"(\d+) (?:of \d+ rows|labels)", note))


def test_the_registry_gives_rows_in_the_official_splits(delivered, tmp_path) -> None:
    rows: Any = affectzoo.load_dataset("recola", str(delivered), cache_dir=str(tmp_path))
    assert {split: list(part["clip_id"]) for split, part in rows.items()} == {
        "train": ["train_1", "train_2", "train_3"],
        "val": ["dev_1", "dev_2", "dev_3"],
        "test": ["test_1", "test_2", "test_3"],
    }
    row = rows["val"][0]
    assert row["label_rate_hz"] == 25
    assert row["video"].endswith("recordings_video/dev_1.mp4")
    assert row["audio"].endswith("recordings_audio/dev_1.wav")
    # Six decimals are written and held in float32.
    assert np.allclose(row["valence"], labels_of("dev_1", "valence"), atol=1e-6)
    assert np.allclose(row["times"], np.arange(STEPS) * 0.04, atol=1e-9)
    assert rows["test"][0]["time_unit"] is None


def test_features_and_individual_ratings_beside_a_gold_standard_are_passed_over(delivered) -> None:
    clips = read(delivered)
    assert len(clips) == 9
    assert not problems(clips)
    assert not any(clip.notes for clip in clips.values())


def test_the_spelling_of_2015_and_csv_are_read_alike(root) -> None:
    expected = track_of(read(root)["dev_1"])
    for target in TARGETS:
        values = labels_of("dev_1", target)
        (root / GOLD / target / "dev_1.arff").unlink()
        rows = "".join(f"dev_1;{step * 0.04:.2f};{value:.6f}\r\n" for step, value in enumerate(values))
        content = b"\xef\xbb\xbf" + f"Instance_name;frameTime;GoldStandard\r\n{rows}".encode()
        (root / GOLD / target / "dev_1.csv").write_bytes(content)
        write_arff(root / GOLD / target / "dev_2.arff", values, old=True)
    clips = read(root)
    for name in ("dev_1", "dev_2"):
        assert np.array_equal(track_of(clips[name]).values["arousal"], expected.values["arousal"])
        assert track_of(clips[name]).times.tolist() == expected.times.tolist()


def test_the_first_release_has_the_mean_of_its_raters_and_no_split(first_release, tmp_path) -> None:
    clips = read(first_release)
    clip = clips["P16"]
    # Two decimals are averaged in float64 and held in float32.
    assert np.allclose(track_of(clip).values["arousal"], ratings_of("P16", "arousal").mean(axis=1), atol=1e-6)
    assert "mean over FM1, FM2, FM3, FF1, FF2, FF3" in clip.notes[0]
    assert problems(clips).keys() == {"P18"}
    assert {clip.split for clip in clips.values()} == {""}
    assert list(affectzoo.load_dataset("recola", str(first_release), cache_dir=str(tmp_path))) == ["all"]


def test_a_row_that_lacks_a_rater_is_not_valid(first_release, tmp_path) -> None:
    root = Path(shutil.copytree(first_release, tmp_path / "copy"))
    path = root / "RECOLA-Annotation/emotional_behaviour/valence/P16.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[3] = lines[3].rpartition(";")[0] + ";"
    path.write_text("\n".join(lines), encoding="utf-8")
    clip = read(root)["P16"]
    assert np.flatnonzero(~track_of(clip).valid).tolist() == [2]
    assert "line 4" in clip.notes[0]


def test_each_target_is_moved_earlier_by_its_own_delay(delivered) -> None:
    clip = read(delivered, label_delay_s={"valence": 0.08, "arousal": 0.2})["train_1"]
    track = track_of(clip)
    assert np.allclose(track.values["valence"][:-2], labels_of("train_1", "valence")[2:], atol=1e-6)
    assert np.allclose(track.values["arousal"][:-5], labels_of("train_1", "arousal")[5:], atol=1e-6)
    assert np.flatnonzero(~track.valid).tolist() == list(range(STEPS - 5, STEPS))
    assert len(track.times) == STEPS
    assert track.times[0] == 0
    for target, steps in (("valence", 2), ("arousal", 5)):
        assert reported(clip, target) == steps
        assert np.isfinite(track.values[target]).sum() + steps == STEPS


def test_another_delay_is_not_read_from_the_cache(delivered, tmp_path) -> None:
    for steps in (0, 3):
        given = {"valence": steps * 0.04}
        rows: Any = affectzoo.load_dataset("recola", str(delivered), cache_dir=str(tmp_path), label_delay_s=given)
        row = rows["train"][0]
        assert (row["valence_delay_s"], row["arousal_delay_s"]) == (steps / 25, 0)
        assert sum(row["valid"]) == STEPS - steps


def test_the_delays_of_published_work_are_whole_steps(delivered) -> None:
    assert Recola(delivered, label_delay_s={"valence": 58 * 0.04, "arousal": 2.72}).delay == {"valence": 58, "arousal": 68}


@pytest.mark.parametrize(
    ("delay", "said"),
    [
        ({"dominance": 0.04}, "no target 'dominance'"),
        ({"valence": 0.05}, "multiple of 40 ms; give 0.04"),
        ({"valence": -0.04}, "from 0 on"),
        ({"valence": "2 s"}, "from 0 on"),
    ],
)
def test_a_delay_that_makes_no_sense_is_refused(delivered, delay, said) -> None:
    with pytest.raises(ConfigError, match=said):
        Recola(delivered, label_delay_s=delay)


def test_every_row_is_a_label_or_reported(root) -> None:
    path = root / GOLD / "valence/train_1.arff"
    lines = path.read_text(encoding="utf-8").splitlines()
    first = lines.index("@data") + 2
    lines[first + 3] = "train_1,0.12,?"
    lines[first + 5] = "train_1,0.20,1.7"
    lines[first + 7] = "train_1,soon,0.1"
    lines[first + 9] = "train_1,0.375,0.1"
    lines[first + 11] = lines[first + 10]
    lines[first + 13] = "train_1,0.52"
    lines += ["", "train_1,2.04,0.1", "train_1,2.08,0.2", ""]
    path.write_text("\r\n".join(lines), encoding="utf-8")
    rows = STEPS + 2
    clip = read(root, label_delay_s={"valence": 0.08})["train_1"]
    track = track_of(clip)
    assert clip.notes[0].startswith("valence/train_1.arff: 4 of 53 rows have no time")
    assert f"(lines {first + 8}, {first + 10}, {first + 12}, {first + 14})" in clip.notes[0]
    assert "valence: 2 labels after 2 s" in "\n".join(clip.notes)
    assert np.isfinite(track.values["valence"]).sum() + reported(clip, "valence") == rows
    assert np.isfinite(track.values["arousal"]).sum() + reported(clip, "arousal") == STEPS
    assert (np.diff(track.times) > 0).all()


def test_targets_of_different_length_are_cut_to_the_shorter(root) -> None:
    write_arff(root / GOLD / "arousal/dev_1.arff", labels_of("dev_1", "arousal")[:40])
    clip = read(root)["dev_1"]
    assert len(track_of(clip).times) == 40
    assert track_of(clip).valid.all()
    assert clip.notes == ("valence: 11 labels after 1.56 s, the end of the other target, are left out",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"train_1,0.00,0.1\n", "no line @data"),
        (b"@attribute name string\n@data\ntrain_1\n", "needs columns frameTime"),
        (b"@attribute frameTime numeric\n@attribute GoldStandard numeric\n@data\n", "no labels"),
        (b"@attribute frameTime numeric\n@attribute GoldStandard numeric\n@data\nx,y\n", "no label at a time"),
        (b"@relation \xff", "UTF-8"),
    ],
)
def test_a_rating_file_that_cannot_be_read_makes_its_clip_unusable(root, content, said) -> None:
    (root / GOLD / "valence/train_1.arff").write_bytes(content)
    found = problems(read(root))
    assert found.keys() == {"train_1"}
    assert said in found["train_1"]


def test_a_csv_without_header_is_not_guessed_at(root) -> None:
    (root / GOLD / "valence/train_1.arff").unlink()
    (root / GOLD / "valence/train_1.csv").write_text("train_1,0.00,0.1\ntrain_1,0.04,0.1\n", encoding="utf-8")
    assert "it has train_1, 0.00, 0.1" in problems(read(root))["train_1"]


def test_a_half_extracted_archive_is_listed(root) -> None:
    for target in TARGETS:
        (root / GOLD / target / "train_2.arff").unlink()
        (root / "ratings_individual" / target / "train_2.csv").unlink()
    (root / GOLD / "arousal/dev_1.arff").unlink()
    (root / "recordings_video/dev_2.mp4").unlink()
    (root / "recordings_video/dev_3.mp4").unlink()
    (root / "recordings_audio/dev_3.wav").unlink()
    write_arff(root / GOLD / "arousal/train_all.arff", labels_of("all", "arousal"))
    clips = read(root)
    found = problems(clips)
    assert found.keys() == {"train_2", "dev_1", "dev_3", "train_all"}
    assert "has no label file" in found["train_2"]
    assert "no file of arousal" in found["dev_1"]
    assert found["dev_3"] == "there is neither a video nor a sound file called dev_3"
    assert clips["dev_2"].video is None
    assert clips["dev_2"].audio is not None


def test_two_files_of_one_name_are_noted(root) -> None:
    shutil.copytree(root / "recordings_video", root / "backup")
    notes = read(root)["train_1"].notes
    assert notes == (
        f"there are 2 videos of this name; {root}/backup/train_1.mp4 is used, not {root}/recordings_video/train_1.mp4",
    )


def test_the_two_releases_do_not_mix(root) -> None:
    for target in TARGETS:
        write_raters(root / "RECOLA-Annotation" / target / "P16.csv", ratings_of("P16", target))
    shutil.copy(root / "recordings_video/train_1.mp4", root / "recordings_video/P16.mp4")
    assert problems(read(root)) == {
        "P16": "it has no official split, but others here have; keep the two releases in separate folders"
    }


def test_a_wrong_root_says_what_was_looked_for(tmp_path) -> None:
    (tmp_path / "holiday.mp4").touch()
    with pytest.raises(DataError, match="train_N, dev_N, test_N"):
        Recola(tmp_path).clips()
