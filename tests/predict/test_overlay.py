"""The overlay: every frame, its time, the sound, and boxes that glide."""

from __future__ import annotations

import re

import av
import numpy as np
import pytest

from affectzoo.config import TargetConfig
from affectzoo.errors import InputError, MediaError
from affectzoo.predict import Predictor, Timeline
from affectzoo.predict.drawing import Painter
from affectzoo.predict.windows import Row

VALENCE_AROUSAL = tuple(TargetConfig.parse(name) for name in ("valence", "arousal"))


def row(index, face=0, box=(40, 40, 80, 90), values=(0.5, -0.2)):
    seen = box is not None
    frames, box = (4, np.array(box)) if seen else (None, None)
    return Row(index, float(index), index + 1.0, face, np.array(values, float), seen, True, frames, box)


def times_of(path, kind):
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(**{kind: 0})]


def test_frames_times_and_sound_are_kept(make_model, make_clip, detector, tmp_path):
    clip = make_clip(duration_s=3.0, green=[(1, 2)], sound=[(1.0, 1.5)])
    timeline = Predictor(make_model(), detector=detector, device="cpu")(clip)
    out = timeline.overlay(clip, tmp_path / "out" / "overlay.mp4")
    np.testing.assert_allclose(times_of(out, "video"), times_of(clip, "video"), atol=2e-3)
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.audio[0].codec_context.name == "aac"
        assert container.duration / av.time_base == pytest.approx(3.0, abs=0.1)
        samples = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
        loud = np.flatnonzero(np.abs(samples) > 0.1) / container.streams.audio[0].rate
    assert loud[0] == pytest.approx(1.0, abs=0.05)
    assert loud[-1] == pytest.approx(1.5, abs=0.05)
    assert [p.name for p in out.parent.iterdir()] == ["overlay.mp4"]


def test_a_variable_frame_rate_stays_one(make_clip, tmp_path):
    times_s = np.cumsum([0.0, *np.tile([0.02, 0.1, 0.04, 0.25], 6)])
    clip = make_clip(times_s=times_s, sound=None)
    out = Timeline.from_rows([row(0)], targets=VALENCE_AROUSAL).overlay(clip, tmp_path / "overlay.mp4")
    np.testing.assert_allclose(times_of(out, "video"), times_s, atol=2e-3)
    with av.open(str(out)) as container:
        assert not container.streams.audio


def test_odd_sizes_are_made_even(tmp_path):
    path = tmp_path / "odd.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 97, 65, "bgr0"
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((65, 97, 3), 120, np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    out = Timeline.from_rows([row(0)], targets=VALENCE_AROUSAL).overlay(path, tmp_path / "overlay.mp4")
    with av.open(str(out)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (98, 66)
        assert len(list(container.decode(video=0))) == 4


def test_without_video_or_room_to_write_one_sentence(make_clip, tmp_path):
    timeline = Timeline.from_rows([row(0)], targets=VALENCE_AROUSAL)
    with pytest.raises(MediaError, match="no video track"):
        timeline.overlay(make_clip(video=False), tmp_path / "overlay.mp4")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        timeline.overlay(make_clip("seen.mkv"), tmp_path / "file" / "overlay.mp4")
    assert not list(tmp_path.glob(".*"))


def test_another_suffix_and_the_video_itself_are_refused(make_clip, tmp_path):
    timeline = Timeline.from_rows([row(0)], targets=VALENCE_AROUSAL)
    clip = make_clip("clip.mp4.mkv").rename(tmp_path / "clip.mp4")
    (tmp_path / "link.mp4").symlink_to(clip)
    before = clip.read_bytes()
    with pytest.raises(InputError, match=r"\.mp4"):
        timeline.overlay(clip, tmp_path / "overlay.txt")
    for same in (clip, tmp_path / "link.mp4"):
        with pytest.raises(InputError, match="the video itself"):
            timeline.overlay(clip, same)
    assert clip.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4", "link.mp4"]


def test_an_interrupted_overlay_leaves_nothing(make_clip, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Painter, "paint", interrupted)
    clip = make_clip()
    with pytest.raises(KeyboardInterrupt):
        Timeline.from_rows([row(0)], targets=VALENCE_AROUSAL).overlay(clip, tmp_path / "overlay.mp4")
    assert [p.name for p in tmp_path.iterdir()] == [clip.name]


def test_boxes_and_values_glide_between_neighbours_only():
    rows = [row(0), row(1, box=(60, 40, 100, 90), values=(0.7, -0.2)), row(2, box=None), row(5)]
    painter = Painter(Timeline.from_rows(rows, targets=VALENCE_AROUSAL), 320, 240)
    (path,) = painter._paths
    assert path.box_at(0.0).tolist() == [40, 40, 80, 90]
    assert path.box_at(1.0).tolist() == [50, 40, 90, 90]
    assert path.values_at(1.0).tolist() == pytest.approx([0.6, -0.2])
    assert path.box_at(1.9).tolist() == [60, 40, 100, 90]
    assert path.box_at(2.5) is None
    assert path.values_at(2.5) is not None
    assert path.values_at(4.0) is None
    assert path.box_at(5.1).tolist() == [40, 40, 80, 90]


def test_what_is_drawn_is_drawn_where_it_belongs():
    image = np.full((240, 320, 3), 128, np.uint8)
    painter = Painter(Timeline.from_rows([row(0)], targets=VALENCE_AROUSAL), 320, 240)
    drawn = painter.paint(image, 0.5)
    assert (image == 128).all()
    assert (drawn[60, 36:44] != 128).any()  # the left side of the box
    assert (drawn[200:, 260:] != 128).any()  # the circumplex
    assert (drawn[150:, :100] == 128).all()
    other = painter.paint(image, 3.0)
    assert (other[:150] == 128).all()  # no row, no face


@pytest.mark.parametrize("box", [(-30, -20, 15, 20), (300, 200, 400, 300), (0, 0, 320, 240)])
@pytest.mark.parametrize("size", [(320, 240), (32, 24)])
def test_boxes_over_the_edge_do_no_harm(box, size):
    emotion = TargetConfig(name="emotion", kind="categorical", classes=tuple("abcdefg"))
    values = tuple(np.linspace(0, 1, 7))
    for targets, given in ((VALENCE_AROUSAL, (2.0, -3.0)), ((emotion,), values)):
        timeline = Timeline.from_rows([row(0, box=box, values=given), row(1, None, None, given)], targets=targets)
        painter = Painter(timeline, *size)
        for time_s in (0.5, 1.5):
            assert painter.paint(np.zeros((size[1], size[0], 3), np.uint8), time_s).shape == (size[1], size[0], 3)


@pytest.mark.parametrize(("values", "bars", "dots"), [((0.5, -0.2, np.nan), 2, True), ((np.nan, -0.2, 0.1), 2, False)])
def test_what_one_model_alone_lacks_hides_nothing_else(monkeypatch, values, bars, dots):
    # A combined timeline: at the second row the third target's model was given nothing.
    targets = (*VALENCE_AROUSAL, TargetConfig.parse("dominance"))
    timeline = Timeline.from_rows([row(0, values=(0.5, -0.2, 0.1)), row(1, values=values)], targets=targets)
    painter = Painter(timeline, 320, 240)
    written = []
    monkeypatch.setattr(painter, "_text", lambda *given: written.append(given[1]))
    painter.paint(np.zeros((240, 320, 3), np.uint8), 1.5)
    assert len([text for text in written if re.fullmatch(r"[+-]\d\.\d\d", text)]) == bars
    spots = [path.values_at(1.5) for path in painter._paths]
    assert (painter._spot(spots[0], (100, 100), 40) is not None) == dots
    # Towards the row before, which has all, only what both have glides.
    assert np.isnan(painter._paths[0].values_at(1.2)).sum() == 1


def written_by(painter, monkeypatch, time_s=0.5):
    """Text -> where it begins, in the order of writing."""
    places: dict[str, tuple[int, int]] = {}
    monkeypatch.setattr(painter, "_text", lambda *given: places.setdefault(given[1], given[2]))
    painter.paint(np.zeros((288, 360, 3), np.uint8), time_s)
    return places


def test_no_name_runs_into_its_number(monkeypatch):
    # Under the end of a long name the minus of its number would not be seen.
    timeline = Timeline.from_rows([row(0, values=(-0.26,))], targets=[TargetConfig.parse("dominance")])
    painter = Painter(timeline, 360, 288)
    places = written_by(painter, monkeypatch)
    (name,) = (text for text in places if text.startswith("domin"))
    assert places[name][0] + painter._wide(name, 0.33) < places["-0.26"][0]


def test_of_many_values_the_continuous_ones_are_shown_and_then_the_likeliest_class(monkeypatch):
    emotion = TargetConfig(name="emotion", kind="categorical", classes=("anger", "joy", "fear"))
    values = (0.1, 0.7, 0.2, -0.9, -0.8)  # low valence and arousal are as telling as high ones
    timeline = Timeline.from_rows([row(0, values=values)], targets=[emotion, *VALENCE_AROUSAL])
    places = written_by(Painter(timeline, 360, 288), monkeypatch)
    assert [text for text in places if text in ("valence", "arousal", "anger", "joy", "fear")] == ["valence", "arousal", "joy"]
