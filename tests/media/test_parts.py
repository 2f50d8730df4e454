"""A part of a file is what the whole file has there, for about its share of the work."""

import numpy as np
import pytest

from affectzoo.config import FramesInput, WaveformInput
from affectzoo.errors import InputError
from affectzoo.media import decode
from affectzoo.media.decode import AudioChunks, VideoFrames
from affectzoo.media.detectors.full_frame import FullFrameDetector
from affectzoo.media.pipeline import MediaStream

#: Keyframes once a second with frames that refer forwards, as cameras and platforms write.
B_FRAMES = {"preset": "veryfast", "crf": "18", "g": "30", "bf": "3", "threads": "1"}


def heard(path, rate, start_s=0.0, end_s=None):
    stream = AudioChunks(path, rate, start_s, end_s)
    chunks = [chunk.samples for chunk in stream]
    samples = np.concatenate(chunks) if chunks else np.zeros(0, np.float32)
    assert stream.end_s == len(samples) / rate
    return samples


@pytest.fixture
def noise():
    return np.random.default_rng(0).uniform(-0.5, 0.5, 44_100 * 6).astype(np.float32)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "clip.avi"])
@pytest.mark.parametrize("part", [(0.2, 0.9), (3.0, 4.0), (4.31, None), (7.9, 20.0)])
def test_a_part_has_the_frames_that_the_whole_has_there(tmp_path, clips, name, part):
    path = clips.render_video(
        tmp_path / name, times=clips.even_times(8, 30), options=B_FRAMES, ticks=90_000 if name != "clip.avi" else 30
    )
    start_s, end_s = part
    whole = [(frame.time_s, clips.read_number(frame.rgb())) for frame in VideoFrames(path)]
    video = VideoFrames(path, start_s, end_s)
    frames = [(frame.time_s, clips.read_number(frame.rgb())) for frame in video]
    expected = [(time - start_s, number) for time, number in whole if start_s <= time < (end_s or 99)]
    inside = [(time, number) for time, number in frames if time >= 0]
    assert [number for _, number in inside] == [number for _, number in expected]
    np.testing.assert_allclose([time for time, _ in inside], [time for time, _ in expected], atol=1e-6)
    # The frame that is still shown when the part begins comes with it.
    before = [number for time, number in frames if time < 0]
    assert before[-1] == max(number for time, number in whole if time < start_s)
    assert video.end_s == pytest.approx(min(8.0, end_s or 8.0) - start_s, abs=0.04)


def test_few_frames_are_decoded_besides_those_of_the_part(tmp_path, clips, monkeypatch):
    path = clips.render_video(tmp_path / "clip.mp4", times=clips.even_times(20, 30), size=(80, 60), options=B_FRAMES)
    decoded = []
    monkeypatch.setattr(decode, "_decoded", lambda *given, _real=decode._decoded: counted(_real(*given), decoded))
    inside = [frame for frame in VideoFrames(path, 12.0, 14.0) if frame.time_s >= 0]
    assert len(inside) == 60
    # A second to the keyframe before, half a second of running in, and the first frame beyond the end.
    assert 60 < len(decoded) <= 60 + 45 + 1


def counted(frames, seen):
    for frame in frames:
        seen.append(frame)
        yield frame


@pytest.mark.parametrize("rate", [16_000, 44_100, 22_050])
@pytest.mark.parametrize("part", [(0.3, 1.1), (3.2, 4.7), (1.0001, None)])
@pytest.mark.parametrize(("name", "codec"), [("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.mov", "pcm_s16le")])
def test_a_part_has_the_samples_that_the_whole_has_there(tmp_path, clips, noise, name, codec, part, rate):
    path = clips.render_video(tmp_path / name, sound=noise, rate=44_100, audio_codec=codec)
    start_s, end_s = part
    expected = heard(path, rate)[round(start_s * rate) : round(end_s * rate) if end_s else None]
    # Noise: a shift by a fraction of a sample would show at once.
    np.testing.assert_allclose(heard(path, rate, start_s, end_s), expected, atol=1e-6)


def test_matroska_shifts_a_part_by_no_more_than_its_rounding(tmp_path, clips, noise):
    path = clips.render_video(tmp_path / "a.mkv", sound=noise, rate=44_100, audio_codec="flac")
    whole, part = heard(path, 44_100), heard(path, 44_100, 3.0, 4.0)
    assert len(part) == 44_100
    first = round(3.0 * 44_100)
    misfit = [np.abs(whole[first + k : first + k + 44_100] - part).max() for k in range(-45, 46)]
    assert min(misfit) < 1e-6


def test_sound_that_begins_or_ends_inside_a_part_is_in_its_place(tmp_path, clips):
    path = clips.render_video(
        tmp_path / "late.mkv",
        times=clips.even_times(6, 25),
        sound=clips.tone(2.0, 16_000),
        sound_start_s=3.0,
        audio_codec="pcm_s16le",
    )
    chunks = list(AudioChunks(path, 16_000, 2.0, 6.0))
    decoded = np.concatenate([np.full(len(c.samples), c.decoded) for c in chunks])
    assert len(decoded) == pytest.approx(3.0 * 16_000, abs=20)
    assert decoded.argmax() == pytest.approx(16_000, abs=20)
    assert heard(path, 16_000, 5.5, 6.0).size == 0


FRAMES = FramesInput(frames=8, height=60, width=80, margin=0.0)
SOUND = WaveformInput(sample_rate=16_000, samples=16_000)


def steps(path, **part):
    stream = MediaStream(path, seconds=1.0, frames=FRAMES, audio=SOUND, detector=FullFrameDetector(), **part)
    return list(stream), stream


@pytest.mark.parametrize("fps", [10, 30])
def test_the_sub_sequences_of_a_part_are_those_of_the_whole(tmp_path, clips, noise, fps):
    path = clips.render_video(
        tmp_path / "clip.mov",
        times=clips.even_times(6, fps),
        sound=noise,
        rate=44_100,
        audio_codec="pcm_s16le",
        options=B_FRAMES,
    )
    whole, _ = steps(path)
    part, stream = steps(path, start_s=2.0, end_s=5.0)
    assert [(step.start_s, step.end_s) for step in part] == [(0, 1), (1, 2), (2, 3)]
    assert stream.duration_s == pytest.approx(3.0, abs=1e-6)
    assert stream.warnings == []
    for own, other in zip(part, whole[2:5], strict=True):
        np.testing.assert_array_equal(own.faces[0].crops, other.faces[0].crops)
        np.testing.assert_allclose(own.audio, other.audio, atol=1e-6)
        assert own.audio_present


def test_a_part_of_a_video_shorter_than_a_frame_shows_that_frame(tmp_path, clips):
    path = clips.render_video(tmp_path / "slow.mp4", times=clips.even_times(6, 2))
    (row,), _ = steps(path, start_s=3.2, end_s=3.3)
    assert row.faces[0].present[0]
    assert row.faces[0].frames == 1
    assert clips.read_number(row.faces[0].crops[0]) == 6


def test_a_part_that_begins_after_the_end_has_no_rows_and_one_that_ends_after_it_says_so(tmp_path, clips):
    path = clips.render_video(tmp_path / "clip.mp4", times=clips.even_times(4, 30), sound=clips.tone(4, 16_000))
    assert steps(path, start_s=50.0)[0] == []
    assert steps(path, start_s=50.0, end_s=60.0)[0] == []
    rows, stream = steps(path, start_s=3.0, end_s=10.0)
    assert len(rows) == 1
    (said,) = stream.warnings
    assert said.startswith("the part should last 7.0 s but the file ends 1.")


@pytest.mark.parametrize("part", [{"start_s": -1.0}, {"start_s": 2.0, "end_s": 2.0}])
def test_a_part_that_cannot_be_is_refused(tmp_path, clips, part):
    path = clips.render_video(tmp_path / "clip.mp4", times=clips.even_times(1, 30))
    with pytest.raises(InputError, match="a part must start"):
        steps(path, **part)
