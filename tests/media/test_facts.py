import numpy as np
import pytest

from affectzoo.media import facts
from affectzoo.media.decode import VideoFrames, probe
from affectzoo.media.facts import frame_times


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "clip.mov"])
@pytest.mark.parametrize("frames", ["even", "variable", "late"])
def test_packets_tell_the_times_that_decoding_finds(tmp_path, clips, name, frames):
    times = {
        "even": clips.even_times(3, 30),
        "variable": [0.0, 0.04, 0.12, 0.16, 0.52, 0.56, 0.6, 2.0, 2.04, 2.2, 2.6],
        "late": clips.even_times(2, 25, 1.5),
    }[frames]
    path = clips.render_video(
        tmp_path / name,
        times=times,
        sound=clips.tone(3, 16_000),
        audio_codec="libmp3lame",
        options={"preset": "veryfast", "bf": "3", "b-adapt": "0", "threads": "1"},
    )
    info = probe(path)
    found = frame_times(info)
    assert len(found) == len(times)
    np.testing.assert_allclose(found, [frame.time_s for frame in VideoFrames(info)], atol=1e-9)


def test_times_need_no_decoding(tmp_path, clips, monkeypatch):
    info = probe(clips.render_video(tmp_path / "clip.mp4", times=clips.even_times(1, 30)))
    monkeypatch.setattr(facts, "VideoFrames", lambda *_: pytest.fail("the video was decoded"))
    np.testing.assert_allclose(frame_times(info), np.arange(30) / 30, atol=1e-4)


def test_packets_without_timestamps_are_decoded(tmp_path, clips, monkeypatch):
    info = probe(clips.render_video(tmp_path / "clip.mp4", times=clips.even_times(1, 30)))
    monkeypatch.setattr(facts, "_packet_times", lambda *_: None)
    np.testing.assert_allclose(frame_times(info), np.arange(30) / 30, atol=1e-4)


def test_sound_alone_has_no_frames(tmp_path, clips):
    path = clips.render_video(tmp_path / "a.wav", sound=clips.tone(1, 8_000), rate=8_000, audio_codec="pcm_s16le")
    assert frame_times(probe(path)).shape == (0,)


def test_the_real_clips(shared):
    for path in sorted((shared / "media").glob("[dg]*.m*")):
        info = probe(path)
        decoded = [frame.time_s for frame in VideoFrames(info)]
        np.testing.assert_allclose(frame_times(info), decoded, atol=1e-9, err_msg=str(path))
