import numpy as np
import pytest

from affectzoo.errors import MediaError
from affectzoo.media.decode import AudioChunks, VideoFrames, probe
from affectzoo.media.facts import frame_times


def heard(path, rate=16_000):
    stream = AudioChunks(path, rate)
    chunks = list(stream)
    samples = np.concatenate([c.samples for c in chunks]) if chunks else np.zeros(0, np.float32)
    decoded = np.concatenate([np.full(len(c.samples), c.decoded) for c in chunks]) if chunks else np.zeros(0, bool)
    assert stream.end_s == len(samples) / rate
    return samples, decoded


def frequency(samples, rate):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return spectrum.argmax() * rate / len(samples)


def level(samples):
    return float(np.sqrt(np.mean(samples.astype(float) ** 2)) * np.sqrt(2))


@pytest.mark.parametrize("fps", [5, 10, 23.976, 30, 60, 120])
def test_every_frame_comes_once_with_its_time(tmp_path, clips, fps):
    times = clips.even_times(1.0, fps)
    path = clips.render_video(tmp_path / "clip.mp4", times=times)
    frames = [(f.time_s, clips.read_number(f.rgb())) for f in VideoFrames(path)]
    assert [n for _, n in frames] == list(range(len(times)))
    np.testing.assert_allclose([t for t, _ in frames], times, atol=2e-3)


@pytest.mark.parametrize("options", [{"bf": "2"}, {"bf": "3", "g": "15", "x264-params": "open-gop=1"}, {"bf": "0"}])
@pytest.mark.parametrize("count", [2, 3, 5, 60])
def test_an_avi_file_which_does_not_say_when_its_frames_are_shown_gives_all_of_them(tmp_path, clips, options, count):
    options = {"preset": "veryfast", "crf": "18", "b-adapt": "0", "threads": "1", **options}
    path = clips.render_video(tmp_path / "clip.avi", times=clips.even_times(count / 30, 30), options=options, ticks=30)
    video = VideoFrames(path)
    frames = [(f.time_s, clips.read_number(f.rgb())) for f in video]
    assert [n for _, n in frames] == list(range(count))
    np.testing.assert_allclose([t for t, _ in frames], clips.even_times(count / 30, 30), atol=1e-6)
    np.testing.assert_allclose(frame_times(video.info), [t for t, _ in frames], atol=1e-6)


def test_variable_frame_rate_and_gaps_keep_their_times(tmp_path, clips):
    times = [0.0, 0.03, 0.1, 0.11, 0.5, 2.5, 2.52, 2.6, 3.0]
    path = clips.render_video(tmp_path / "clip.mkv", times=times)
    video = VideoFrames(path)
    np.testing.assert_allclose([f.time_s for f in video], times, atol=2e-3)
    assert 3.0 < video.end_s < 3.5


def test_the_zero_is_the_earlier_start_of_video_and_audio(tmp_path, clips):
    late = clips.render_video(
        tmp_path / "late.mkv",
        times=clips.even_times(2, 25),
        sound=clips.tone(1.0, 16_000, 1.0),
        sound_start_s=1.0,
        audio_codec="flac",
    )
    samples, decoded = heard(late)
    assert abs(decoded.argmax() / 16_000 - 1.0) < 0.002
    assert frequency(samples[17_000:31_000], 16_000) == pytest.approx(clips.frequency_at(1), abs=5)
    early = clips.render_video(
        tmp_path / "early.mkv", times=clips.even_times(1, 25, 1.0), sound=clips.tone(2.0, 16_000), audio_codec="flac"
    )
    assert next(iter(VideoFrames(early))).time_s == pytest.approx(1.0, abs=0.002)
    assert heard(early)[1].all()


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        ("a.mp4", "aac", 44_100, "stereo"),
        ("a.wav", "pcm_s16le", 8_000, "mono"),
        ("a.wav", "pcm_u8", 11_025, "stereo"),
        ("a.flac", "flac", 48_000, "mono"),
        ("a.mp3", "libmp3lame", 44_100, "stereo"),
    ],
)
def test_sound_of_any_format_keeps_time_pitch_and_level(tmp_path, clips, name, codec, rate, layout):
    path = clips.render_video(tmp_path / name, sound=clips.tone(3.0, rate), rate=rate, audio_codec=codec, layout=layout)
    samples, decoded = heard(path, 22_050)
    assert decoded.all()
    assert len(samples) / 22_050 == pytest.approx(3.0, abs=0.06)
    assert samples.dtype == np.float32
    for second in range(3):
        piece = samples[second * 22_050 + 2_000 : (second + 1) * 22_050 - 2_000]
        assert frequency(piece, 22_050) == pytest.approx(clips.frequency_at(second), abs=5)
        # A stereo track of twice the same sound is as loud as the sound: channels are averaged.
        assert level(piece) == pytest.approx(0.4, rel=0.1)


def test_a_gap_in_the_sound_is_silence_of_the_same_length(tmp_path, clips):
    path = clips.render_video(
        tmp_path / "holes.mkv", sound=clips.tone(4.0, 16_000), sound_holes=[(1.0, 2.5)], audio_codec="pcm_s16le"
    )
    samples, decoded = heard(path)
    assert len(samples) / 16_000 == pytest.approx(4.0, abs=0.01)
    assert (~decoded).sum() / 16_000 == pytest.approx(1.5, abs=0.1)
    assert (samples[~decoded] == 0).all()
    assert frequency(samples[49_000:63_000], 16_000) == pytest.approx(clips.frequency_at(3), abs=5)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_is_honoured(tmp_path, clips, rotation):
    path = clips.render_video(tmp_path / "turned.mp4", times=clips.even_times(0.2, 30), rotation=rotation)
    info = probe(path)
    picture = next(iter(VideoFrames(info))).rgb()
    assert info.video.rotation == rotation
    assert picture.shape == (info.video.height, info.video.width, 3)
    assert picture.shape[:2] == ((160, 120) if rotation in (90, 270) else (120, 160))
    # The red mark is at the stored picture's top left; turned counter-clockwise it moves down the left side.
    corner = {0: (10, 10), 90: (-11, 10), 180: (-11, -11), 270: (10, -11)}[rotation]
    red, green, _ = picture[corner].astype(int)
    assert red > green + 100


def test_a_file_of_sound_alone_has_no_video(shared):
    info = probe(shared / "media" / "derived_grid_bbaf2n_audio_only.mp4")
    assert info.video is None
    assert list(VideoFrames(info)) == []


def bad_files(folder, clips):
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("this is no video " * 200)
    (folder / "notes.txt").write_text("valence,arousal\n0,1\n" * 50)
    (folder / "noise.avi").write_bytes(np.random.default_rng(0).bytes(20_000))
    whole = clips.render_video(folder / "whole.mp4", times=clips.even_times(1, 25), sound=clips.tone(1, 16_000)).read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    return {
        "missing.mp4": "no such file",
        ".": "folder",
        "empty.mp4": "empty",
        "text.mp4": "not a media file",
        "notes.txt": "not a media file",
        "noise.avi": "not a media file|decoded",
        "cut.mp4": "not a media file",
    }


def test_unusable_files_are_refused_in_one_sentence(tmp_path, clips, capfd):
    for name, reason in bad_files(tmp_path, clips).items():
        with pytest.raises(MediaError, match=reason) as caught:
            probe(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_damage_in_the_middle_ends_the_stream_with_a_sentence(tmp_path, clips):
    path = clips.render_video(tmp_path / "clip.mkv", times=clips.even_times(4, 25), codec="mjpeg", sound=clips.tone(4, 16_000))
    content = path.read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) * 2 // 3])
    video = VideoFrames(tmp_path / "cut.mkv")
    assert 20 < len(list(video)) < 100
    assert 1 < video.end_s < 4


def test_odd_file_names_are_files(tmp_path, clips):
    for name in ("concat:a|b.mp4", "100%d.mp4", "ünïcode ☺.mp4", "-i.mp4"):
        assert probe(
            clips.render_video(tmp_path / name, times=[0, 0.1]) if ":" not in name else _renamed(tmp_path, clips, name)
        ).video


def _renamed(folder, clips, name):
    return clips.render_video(folder / "plain.mp4", times=[0, 0.1]).rename(folder / name)
