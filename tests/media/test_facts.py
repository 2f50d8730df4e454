import numpy as np
import pytest

from affectzoo.errors import MediaError
from affectzoo.media import facts
from affectzoo.media.decode import VideoFrames, probe
from affectzoo.media.facts import frame_times, media_facts


def test_headers_tell_the_facts(tmp_path, clips):
    path = clips.render_video(
        tmp_path / "clip.mp4", times=clips.even_times(2, 25), sound=clips.tone(2, 44_100), rate=44_100, layout="stereo"
    )
    found = media_facts(path)
    assert found.duration_s == pytest.approx(2.0, abs=0.1)
    assert found.fps == pytest.approx(25, rel=0.01)
    assert (found.frame_count, found.width, found.height) == (50, 160, 120)
    assert (found.sample_rate, found.channels) == (44_100, 2)


def test_what_a_file_lacks_is_none(tmp_path, clips):
    sound = media_facts(clips.render_video(tmp_path / "a.wav", sound=clips.tone(1, 8_000), rate=8_000, audio_codec="pcm_s16le"))
    assert (sound.fps, sound.frame_count, sound.width, sound.height) == (None, None, None, None)
    assert (sound.duration_s, sound.sample_rate, sound.channels) == (pytest.approx(1.0), 8_000, 1)
    mute = media_facts(clips.render_video(tmp_path / "a.mkv", times=clips.even_times(1, 30)))
    assert (mute.sample_rate, mute.channels, mute.frame_count) == (None, None, None)
    assert mute.fps == pytest.approx(30, rel=0.01)


@pytest.mark.parametrize(("name", "content", "words"), [("a.mp4", b"", "empty"), ("b.mp4", b"text " * 99, "not a media file")])
def test_what_is_no_medium_is_refused(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MediaError, match=words):
        media_facts(tmp_path / name)
    with pytest.raises(MediaError, match="no such file"):
        media_facts(tmp_path / "absent.mp4")


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
