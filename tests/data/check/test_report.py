"""A check names everything that is wrong, counts all, and says nothing of a corpus that is in order."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import affectzoo
from affectzoo import Clip, TargetConfig
from affectzoo.data.check.report import check
from affectzoo.errors import DataError
from affectzoo.files import without_nan
from tests.data.check.toys import MOOD, VALENCE, Toys, along, crops, even, film, tone

WAVE = np.sin(np.arange(20)) * 0.9


def checked(root, clips, **declared):
    options = {key: declared.pop(key) for key in ("media", "workers") if key in declared}
    return check("toys", Toys(root, clips, **declared), **options)


def finding(report, kind):
    """The one finding of a kind."""
    (found,) = [found for found in report.findings if found.kind == kind]
    return found


def kinds(report):
    return {found.kind for found in report.findings}


def silent_clips(root, count=2, **more):
    """Clips of sound that nothing is wrong with, each of another person and length."""
    return [Clip(clip_id=f"c{k}", subject=f"s{k}", audio=tone(root / f"c{k}.wav", 2 + k / 10), **more) for k in range(count)]


def test_a_corpus_in_order_has_no_finding(tmp_path):
    clips = [
        Clip(
            clip_id=f"{split}{k}",
            subject=f"{split}{k}",
            split=split,
            video=film(tmp_path / f"{split}{k}.mp4", even(2), sound=8000, shade=round(40 * scale) + k),
            track=along(np.roll(WAVE, k) * scale, unit="frame"),
        )
        for split, scale in (("train", 1.0), ("val", 0.9), ("test", 0.8))
        for k in range(2)
    ]
    report = checked(tmp_path, clips, targets=(VALENCE,), along=("valence",))
    assert report.findings == []
    assert report.accounting == "6 found = 6 used + 0 left out"
    assert {split: len(part) for split, part in report.splits.items()} == {"train": 2, "val": 2, "test": 2}


def test_everything_found_is_used_or_left_out_with_its_reason(tmp_path):
    said = [
        ("d/a 1.mp4", "there is no label file for d/a 1.mp4"),
        ("b.mp4", "there is no label file for b.mp4"),
        ("c", "cut short"),
    ]
    clips = [*silent_clips(tmp_path), *(affectzoo.unusable(*pair) for pair in said)]
    report = checked(tmp_path, clips)
    assert report.accounting == "5 found = 2 used + 3 left out"
    assert report.left_out == said
    assert [len(cases) for _, cases in report.groups(report.left_out)] == [2, 1]
    found = finding(report, "left-out")
    assert found.is_problem
    assert found.sentence == "3 of 5 clips are left out"
    assert found.of[2] == "c: cut short"


def test_reasons_that_differ_in_names_and_numbers_are_one_group(tmp_path):
    sentences = [f"{tmp_path}/labels/{k}.csv: lines {k}, {k + 1} and {k + 7} more are no numbers" for k in range(3)]
    sentences += [f"{tmp_path}/labels/9.csv: line 4 are no numbers", "the file is empty"]
    clips = [Clip(clip_id=f"{k}", subject="s", audio="a.wav", notes=(said,)) for k, said in enumerate(sentences)]
    report = checked(tmp_path, clips, media=False)
    assert [len(cases) for _, cases in report.groups(report.notes)] == [4, 1]
    assert not finding(report, "notes").is_problem


def test_leaks_are_found(tmp_path):
    one, two = tone(tmp_path / "one.wav", 2), tone(tmp_path / "two.wav", 2.5)
    copy, alike = shutil.copy(one, tmp_path / "copy.wav"), tone(tmp_path / "alike.wav", 3)
    changed = bytearray((tmp_path / "two.wav").read_bytes())
    changed[-1] ^= 1
    (tmp_path / "changed.wav").write_bytes(changed)  # as long as two.wav, and no copy
    (tmp_path / "link.wav").symlink_to(alike)
    clips = [
        Clip(clip_id="a", subject="ann", split="train", audio=one),
        Clip(clip_id="b", subject="ann", split="test", audio=two),
        Clip(clip_id="c", subject="cy", split="val", audio=str(copy)),
        Clip(clip_id="d", subject="di", split="train", audio=alike),
        Clip(clip_id="e", subject="ed", split="test", audio=str(tmp_path / "link.wav")),
        Clip(clip_id="f", subject="flo", split="val", audio=str(tmp_path / "changed.wav")),
        Clip(clip_id="g", subject="gus", audio=tone(tmp_path / "g.wav", 4)),
    ]
    report = checked(tmp_path, clips)
    assert finding(report, "subject-in-two-splits").of == ("ann: train (a), test (b)",)
    assert finding(report, "file-in-two-splits").of == (f"{alike}: train (d), test (e)",)
    assert finding(report, "copy-in-two-splits").of == (f"{one}: train (a), val (c)",)
    assert finding(report, "no-split").of == ("g",)
    assert all(found.is_problem for found in report.findings)
    assert list(report.splits) == ["train", "val", "test", "none"]


def test_the_same_labels_in_two_splits_are_found_and_flat_ones_are_not(tmp_path):
    clips = [
        Clip(clip_id=f"{name}-{split}", subject=f"{name}-{split}", split=split, audio="a.wav", track=along(values))
        for split in ("train", "test")
        for name, values in (("moves", WAVE), ("rests", np.zeros(20)))
    ]
    report = checked(tmp_path, clips, media=False, targets=(VALENCE,), along=("valence",))
    assert finding(report, "labels-in-two-splits").of == ("train (moves-train), test (moves-test)",)


def test_people_who_are_the_target_may_be_in_every_split(tmp_path):
    clips = [
        Clip(clip_id=split, subject="ann", split=split, audio=f"{split}.wav", scores={"identity": "ann"})
        for split in ("train", "test")
    ]
    identity = TargetConfig(name="identity", kind="categorical", classes=("ann", "bo"))
    assert "subject-in-two-splits" not in kinds(checked(tmp_path, clips, media=False, targets=(identity,)))


def test_missing_media_are_found_without_opening_any(tmp_path):
    clips = [
        Clip(clip_id="a", subject="s", video=str(tmp_path / "gone.mp4")),
        Clip(clip_id="b", subject="s", frames=str(tmp_path / "gone")),
        Clip(clip_id="c", subject="s"),
    ]
    for media in (True, False):
        report = checked(tmp_path, clips, media=media)
        assert finding(report, "missing-media").of == (str(tmp_path / "gone.mp4"), str(tmp_path / "gone"))
        assert finding(report, "no-media").of == ("c",)
        assert kinds(report) == {"missing-media", "no-media"}


def test_unreadable_media_do_not_hide_the_others(tmp_path):
    (tmp_path / "text.mp4").write_text("no film\n" * 99)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "bad.png").write_bytes(b"no picture")
    (tmp_path / "no crops").mkdir()
    places = ({"video": "text.mp4"}, {"audio": "empty.wav"}, {"frames": "bad.png"}, {"frames": "no crops"})
    clips = [
        Clip(clip_id=str(k), subject="s", **{kind: str(tmp_path / name) for kind, name in place.items()})
        for k, place in enumerate(places)
    ]
    report = checked(tmp_path, [*clips, *silent_clips(tmp_path)])
    found = finding(report, "unreadable-media")
    assert len(found.of) == 4
    assert all(any(name in said for said in found.of) for name in ("text.mp4", "empty.wav", "bad.png", "no crops"))
    assert np.isfinite(report.clips[-1].seconds)


@pytest.mark.parametrize(("labels", "kind"), [(23, "more-labels"), (17, "fewer-labels"), (20, None)])
def test_labels_for_each_frame_are_counted_against_the_frames(tmp_path, labels, kind):
    rising, falling = (along(wave(np.arange(labels)), unit="frame") for wave in (np.sin, np.cos))
    clips = [
        Clip(clip_id="film", subject="a", video=film(tmp_path / "a.mkv", even(2)), track=rising),
        Clip(
            clip_id="crops", subject="b", frames=crops(tmp_path / "b", [*range(1, 9), *range(12, 21)]), fps=10.0,
            track=falling,
        ),
    ]  # fmt: skip
    report = checked(tmp_path, clips, targets=(VALENCE,), along=("valence",))
    # Missing crops are missing faces: at the end of a folder they are no sign of wrong labels.
    expected = {"more-labels": {"more-labels": "film", "labels-after-crops": "crops"}, "fewer-labels": {"fewer-labels": "film"}}
    found = {one.kind: one for one in report.findings if "labels" in one.kind}
    assert {name: one.of[0].split(":")[0] for name, one in found.items()} == expected.get(kind, {})
    assert [one.kind for one in found.values() if one.is_problem] == (["more-labels"] if kind == "more-labels" else [])
    said = {case for one in found.values() for case in one.of}
    assert said == ({f"{name}: labels up to frame {labels} of 20" for name in ("film", "crops")} if kind else set())
    assert finding(report, "gaps-in-crops").of == (f"{tmp_path / 'b'}: 3 of 20 are missing (15.0%)",)
    # The highest number says how long a folder of crops is.
    assert [clip.seconds for clip in report.clips] == pytest.approx([2.0, 2.0], abs=0.15)  # headers round to a frame


@pytest.mark.parametrize(("seconds", "kind"), [(3.0, "more-labels"), (0.5, "fewer-labels"), (2.0, None)])
def test_labels_in_seconds_are_held_against_the_length_of_the_media(tmp_path, seconds, kind):
    track = along(np.sin(np.arange(round(seconds * 10))))
    report = checked(tmp_path, [*silent_clips(tmp_path, 1, track=track)], targets=(VALENCE,), along=("valence",))
    assert {"more-labels", "fewer-labels"} & kinds(report) == ({kind} if kind else set())


def test_a_part_of_a_file_must_lie_in_it_and_has_its_own_length(tmp_path):
    path = tone(tmp_path / "a.wav", 4)
    clips = [
        Clip(clip_id=name, subject="s", audio=path, start_s=start, end_s=end)
        for name, start, end in (
            ("in", 1.0, 3.0),
            ("tail", 2.0, None),
            ("beyond", 5.0, None),
            ("over", 1.0, 9.0),
            ("short", 0.0, 0.5),
        )
    ]
    report = checked(tmp_path, clips)
    assert [round(clip.seconds, 3) for clip in report.clips] == [2.0, 2.0, 0.0, 3.0, 0.5]
    assert [said.split(":")[0] for said in finding(report, "part-outside").of] == ["beyond", "over"]
    assert finding(report, "part-outside").sentence == "2 clips lie beyond the end of their file"
    assert [said.split(":")[0] for said in finding(report, "short").of] == ["beyond", "short"]


def test_odd_rates_and_missing_sound_are_remarks(tmp_path):
    jumpy = [0.0, 0.1, 0.2, 0.6, 0.7, 0.8, 1.2, 1.3, 1.4, 1.8]
    films = [film(tmp_path / f"{k}.mp4", even(2), sound=8000) for k in range(2)]
    films += [film(tmp_path / "fast.mp4", even(2, 25), sound=16000), film(tmp_path / "jumpy.mp4", jumpy), films[0]]
    clips = [Clip(clip_id=str(k), subject="s", video=path) for k, path in enumerate(films)]
    clips.append(Clip(clip_id="stereo", subject="s", audio=tone(tmp_path / "stereo.wav", 2, channels=2)))
    report = checked(tmp_path, clips)
    assert not report.problems
    assert [said.split(":")[0] for said in finding(report, "variable-rate").of] == [films[3]]
    assert {said.split(":")[0] for said in finding(report, "other-rate").of} == {films[2], films[3]}
    assert finding(report, "no-sound").of == (films[3],)
    assert finding(report, "no-sound").sentence == "1 of 5 files has no sound"
    assert finding(report, "other-sample-rate").of == (f"{films[2]}: 16000",)
    assert [said.split(":")[0] for said in finding(report, "other-channels").of] == [str(tmp_path / "stereo.wav")]


def test_labels_that_cannot_be_are_problems(tmp_path):
    wild = np.array([0.0, 2.0, np.nan, -5.0, *WAVE])
    masked = along(wild, valid=[True, False, False, False, *([True] * 20)])
    clips = [
        Clip(clip_id="wild", subject="a", audio="a.wav", track=along(wild)),
        Clip(clip_id="masked", subject="b", audio="b.wav", track=masked),
        Clip(clip_id="edge", subject="c", audio="c.wav", track=along([-1.0, 1.0] * 6)),
    ]
    report = checked(tmp_path, clips, media=False, targets=(VALENCE,), along=("valence",))
    assert finding(report, "outside-the-range").of == ("wild: 2 of 24 labels, -5..2",)
    assert finding(report, "no-number").of == ("wild: 1 of 24 labels",)


def test_flat_absent_and_one_sided_labels_are_remarks(tmp_path):
    mood = ["calm"] * 25 + ["glad"] * 2 + [None]
    curves = [along(np.full(12, 0.5) if k == 0 else np.sin(np.arange(12) + k)) for k in range(len(mood))]
    clips = [
        Clip(
            clip_id=f"c{k}", subject=f"s{k // 2}", split="train" if k < 20 else "test", audio=f"{k}.wav",
            scores={} if word is None else {"mood": word}, track=curves[k],
        )
        for k, word in enumerate(mood)
    ]  # fmt: skip
    report = checked(tmp_path, clips, media=False, targets=(VALENCE, MOOD), along=("valence",))
    assert {found.kind for found in report.remarks} == {"constant", "absent-class", "unbalanced", "one-class"}
    assert finding(report, "constant").of == ("c0",)
    assert finding(report, "absent-class").of == ("glad: train", "sad: train, test")
    assert finding(report, "unbalanced").sentence == "mood: calm has 12 times the labels of glad"
    assert finding(report, "one-class").sentence == "mood: 12 of 13 subjects with several clips have one class only"


def test_the_json_holds_everything_as_plain_values(tmp_path):
    clips = [*silent_clips(tmp_path, scores={"mood": "sad"}, notes=("odd",)), affectzoo.unusable("x", "broken")]
    report = checked(tmp_path, clips, targets=(MOOD,))
    written = json.loads(json.dumps(without_nan(report.to_json()), allow_nan=False))
    assert (written["clips_found"], written["clips_used"], written["clips_left_out"]) == (3, 2, 1)
    assert written["targets"]["mood"]["total"]["counts"] == [0, 0, 2]
    assert written["left_out"] == [{"count": 1, "first": "broken", "clips": [{"clip_id": "x", "said": "broken"}]}]
    assert [clip["seconds"] for clip in written["clips"]] == [2.0, 2.1]
    assert written["media"][str(tmp_path / "c0.wav")]["sample_rate"] == 8000


def test_a_corpus_without_a_usable_clip_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="holds no clip of Toys"):
        checked(tmp_path, [affectzoo.unusable("x", "broken")])
