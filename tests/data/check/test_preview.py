"""The sheet shows the right moments of the right clips, and a placeholder where nothing can be shown."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from affectzoo import Clip, Signal
from affectzoo.data.check import pictures, preview as module
from affectzoo.data.check.media import facts_of
from affectzoo.data.check.pictures import outline, shots
from affectzoo.data.check.preview import preview
from affectzoo.data.check.report import clip_facts
from affectzoo.errors import DataError, InputError, MediaError
from tests.data.check.toys import MOOD, VALENCE, Toys, along, crops, even, film, tone


def known(clip):
    """The clip with what its media say of themselves."""
    return clip_facts(clip, "all", facts_of(path for path in (clip.video, clip.frames, clip.audio) if path))


def brightness(shot):
    assert shot.image is not None
    return float(shot.image.mean())


def words(figure: Figure) -> str:
    """All text of a figure."""
    return "\n".join([*(t.get_text() for t in figure.texts), *(t.get_text() for axes in figure.axes for t in axes.texts)])


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """The figures that are saved."""
    figures: list[Figure] = []
    save = module.save
    monkeypatch.setattr(module, "save", lambda figure, *a, **k: (figures.append(figure), save(figure, *a, **k)))
    return figures


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "ü 你 a.mov"])
def test_pictures_of_a_video_are_of_their_times(tmp_path, name):
    count = 100
    facts = known(Clip(clip_id="a", subject="s", video=film(tmp_path / name, even(4, 25), shade=20)))
    taken = shots(facts, 8)
    assert [shot.time_s for shot in taken] == pytest.approx([facts.seconds * (k + 0.5) / 8 for k in range(8)], abs=0.03)
    expected = [20 + 200 * round(shot.time_s * 25) // count for shot in taken]
    assert [brightness(shot) for shot in taken] == pytest.approx(expected, abs=4)  # of 255, lost in coding


def test_pictures_of_a_part_are_of_that_part(tmp_path):
    facts = known(Clip(clip_id="a", subject="s", video=film(tmp_path / "a.mp4", even(4, 25)), start_s=2.0, end_s=3.0))
    times = [shot.time_s for shot in shots(facts, 4)]
    assert times == pytest.approx([2.125, 2.375, 2.625, 2.875], abs=0.03)


def test_a_long_video_is_not_read_through(tmp_path, monkeypatch):
    facts = known(Clip(clip_id="a", subject="s", video=film(tmp_path / "a.mp4", even(40, 25))))
    decoded = []

    class Counted(pictures.VideoFrames):
        def __iter__(self):
            for frame in super().__iter__():
                decoded.append(frame.time_s)
                yield frame

    monkeypatch.setattr(pictures, "VideoFrames", Counted)
    assert len(shots(facts, 6)) == 6
    assert len(decoded) <= 6 * 40  # of 1,000: from a keyframe a second or so before each


def test_gaps_in_crops_are_shown_as_gaps(tmp_path):
    facts = known(Clip(clip_id="a", subject="s", frames=crops(tmp_path / "a", [*range(1, 20), *range(41, 81)]), fps=20.0))
    taken = shots(facts, 4)
    assert [shot.image is None for shot in taken] == [False, True, False, False]
    assert [shot.time_s for shot in taken if shot.image is not None] == pytest.approx([0.5, 2.45, 3.4], abs=0.1)
    assert "no crop" in taken[1].said


def test_the_outline_of_a_part_of_a_sound(tmp_path):
    times, peaks = outline(known(Clip(clip_id="a", subject="s", audio=tone(tmp_path / "a.wav", 3), start_s=1.0, end_s=2.0)))
    assert (times[0], times[-1]) == pytest.approx((1.0, 2.0), abs=0.02)
    assert np.median(peaks) == pytest.approx(8000 / 32768, rel=0.05)
    with pytest.raises(MediaError, match="no sound"):
        outline(known(Clip(clip_id="b", subject="s", video=film(tmp_path / "b.mp4", even(1)))))


def test_every_kind_of_clip_has_a_row(tmp_path, drawn):
    (tmp_path / "bad.mp4").write_text("no film")
    (tmp_path / "bad.jpg").write_text("no picture")
    curve = along(np.sin(np.arange(20)), valid=np.arange(20) > 5)
    head = {"head": Signal(values=np.ones((9, 3), np.float32), times_s=np.arange(9.0))}
    row = {"head": Signal(values=np.ones((1, 3), np.float32), times_s=np.zeros(1))}
    place = {"subject": "s", "split": "train"}
    clips = [
        Clip(clip_id="film", video=film(tmp_path / "ü 你.mp4", even(2), sound=8000), track=curve, **place),
        Clip(clip_id="frames", video=film(tmp_path / "b.mp4", even(2)), track=along(np.zeros(20), unit="frame"), **place),
        Clip(clip_id="crops", frames=crops(tmp_path / "c", range(1, 9)), track=along(np.zeros(8), unit="frame"), **place),
        Clip(clip_id="image", frames=str(next((tmp_path / "c").iterdir())), scores={"mood": "glad"}, **place),
        Clip(clip_id="sound", audio=tone(tmp_path / "d.wav", 2), scores={"mood": "sad"}, **place),
        Clip(clip_id="as video", video=tone(tmp_path / "e.wav", 2), **place),
        Clip(clip_id="signal", signals=head, track=curve, **place),
        Clip(clip_id="one row", signals=row, **place),
        Clip(clip_id="gone", video=str(tmp_path / "gone.mp4"), **place),
        Clip(clip_id="gone crops", frames=str(tmp_path / "gone"), **place),
        Clip(clip_id="bad", video=str(tmp_path / "bad.mp4"), track=curve, **place),
        Clip(clip_id="bad image", frames=str(tmp_path / "bad.jpg"), **place),
        Clip(clip_id="nothing", **place),
    ]
    corpus = Toys(tmp_path, clips, targets=(VALENCE, MOOD), along=("valence",), signals={"head": 3})
    assert preview(corpus, tmp_path / "new" / "sheet.png", clips=20) == len(clips)
    image = cv2.imread(str(tmp_path / "new" / "sheet.png"))
    assert image.shape[0] > 13 * 100
    said = words(drawn[0]).replace("\n", " ")
    assert all(clip.clip_id in said for clip in clips)
    for part in (
        "glad",
        "sad",
        "gone.mp4: there is no such file",
        "not a media file",
        "is not an image",
        "neither media nor signals",
    ):
        assert part in said


def test_each_subject_comes_before_the_second_clip_of_any(tmp_path, drawn):
    clips = [Clip(clip_id=f"{who}{k}", subject=who, split="train" if who != "c" else "val") for who in "abc" for k in range(3)]
    corpus = Toys(tmp_path, clips)
    assert preview(corpus, tmp_path / "a.png", clips=4) == 4
    assert [name for name in words(drawn[0]).split("\n") if len(name) == 2] == ["a0", "b0", "c0", "a1"]
    assert preview(corpus, tmp_path / "a.png", split="val") == 3


def test_a_clip_whose_labels_cannot_be_read_makes_room_for_another(tmp_path):
    class Broken(Toys):
        def read(self, clip):
            if clip.clip_id == "a":
                raise DataError("labels: cut short")
            return clip

    clips = [Clip(clip_id=name, subject=name) for name in "abc"]
    assert preview(Broken(tmp_path, clips), tmp_path / "a.png", clips=2) == 2
    with pytest.raises(DataError, match="not one clip"):
        preview(Broken(tmp_path, clips[:1]), tmp_path / "a.png")


def test_mistakes_are_sentences(tmp_path):
    corpus = Toys(tmp_path, [Clip(clip_id="a", subject="s")])
    with pytest.raises(InputError, match=r"must end in \.png"):
        preview(corpus, tmp_path / "a.txt")
    with pytest.raises(InputError, match="no split 'dev'"):
        preview(corpus, tmp_path / "a.png", split="dev")
    with pytest.raises(DataError, match="no official splits"):
        preview(corpus, tmp_path / "a.png", split="test")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        preview(corpus, tmp_path / "file" / "a.png")
    assert not list(tmp_path.glob("*.png"))
    assert math.isnan(known(Clip(clip_id="a", subject="s")).seconds)


def test_crops_are_shown_and_not_the_video_beside_them(tmp_path, drawn):
    video = film(tmp_path / "two.mp4", even(2.0), size=(96, 48))
    clip = Clip(clip_id="left", subject="a", video=video, frames=crops(tmp_path / "left", [1, 2, 3, 4, 12]))
    taken = shots(known(clip), 5)
    # 20 frames at 10 per second, of which the crops end at the 12th.
    assert [shot.said for shot in taken] == ["0.2 s", "no crop 7", "no crop 10", "no crop 14", "no crop 18"]
    assert taken[0].image is not None
    assert taken[0].image.shape == (24, 24, 3)
    preview(Toys(tmp_path, [clip]), tmp_path / "sheet.png")
    assert "no crop" in words(drawn[-1])
