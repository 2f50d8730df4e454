import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from affectzoo.config import FramesInput, LogMelInput, WaveformInput
from affectzoo.data.rendered import RenderedClip, write_clip
from affectzoo.errors import InputError, MediaError
from affectzoo.media.decode import AudioChunks
from affectzoo.media.detectors.full_frame import FullFrameDetector
from affectzoo.media.pipeline import MediaStream, prefetch
from affectzoo.media.windows import slot_time

SECONDS = 32 / 30
FRAMES = FramesInput(frames=8, height=120, width=160, margin=0.0)
SOUND = WaveformInput(sample_rate=16_000, samples=17_067)


def stream(path, *, frames=FRAMES, audio=SOUND, seconds=SECONDS, **options):
    return MediaStream(path, seconds=seconds, frames=frames, audio=audio, detector=FullFrameDetector(), **options)


def check_rows(rows, seconds=SECONDS):
    assert [r.index for r in rows] == list(range(len(rows)))
    assert rows[0].start_s == 0
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(rows))
    for row in rows:
        assert row.end_s - row.start_s == pytest.approx(seconds)
        for face in row.faces.values():
            assert face.crops.shape == (8, 120, 160, 3)
            assert face.crops.dtype == np.uint8
            assert face.present.shape == (8,)
            assert face.present.any()
            assert face.box.shape == (4,)
            assert face.box.dtype == np.float32


@pytest.mark.parametrize("fps", [5, 10, 30, 60])
def test_each_slot_shows_the_frame_nearest_in_time(tmp_path, clips, fps):
    times = clips.even_times(4, fps)
    path = clips.render_video(tmp_path / "clip.mp4", times=times, sound=clips.tone(4, 16_000))
    media = stream(path)
    rows = list(media)
    check_rows(rows)
    assert len(rows) == 4
    assert media.warnings == []
    for row in rows:
        assert list(row.faces) == [0]
        face = row.faces[0]
        for slot in np.flatnonzero(face.present):
            time = slot_time(row.index * 8 + int(slot), SECONDS, 8)
            shown = times[clips.read_number(face.crops[slot])]
            assert abs(shown - time) <= min(abs(t - time) for t in times) + 2e-3
    # 4 s are 3.75 sub-sequences: six slots of the last lie in the file, the other two repeat the sixth.
    assert rows[-1].faces[0].present.tolist() == [True] * 6 + [False] * 2
    assert (rows[-1].faces[0].crops[6:] == rows[-1].faces[0].crops[5]).all()


def test_sound_and_picture_of_a_subsequence_are_of_the_same_time(tmp_path, clips):
    path = clips.render_video(tmp_path / "clip.mp4", times=clips.even_times(5, 20), sound=clips.tone(5, 44_100), rate=44_100)
    # AAC pads the end of the sound by up to a frame of its own, which makes a sixth row of some milliseconds.
    for row in list(stream(path, seconds=1.0))[:5]:
        assert row.audio.shape == (16_000,)
        assert row.audio.dtype == np.float32
        spectrum = np.abs(np.fft.rfft(row.audio[1_000:15_000] * np.hanning(14_000)))
        assert spectrum.argmax() * 16_000 / 14_000 == pytest.approx(clips.frequency_at(row.index), abs=5)
        assert clips.read_number(row.faces[0].crops[0]) // 20 == row.index
        assert row.audio_present


def present(rows):
    return [r.audio_present for r in rows], [r.frame_decoded for r in rows]


@pytest.mark.parametrize(
    ("video_s", "sound_s", "video_from", "sound_from", "audio", "video"),
    [
        (4.0, 2.0, 0.0, 0.0, "1100", "1111"),
        (2.0, 4.0, 0.0, 0.0, "1111", "1100"),
        (4.0, 2.0, 0.0, 2.0, "0011", "1111"),
        (2.0, 4.0, 2.0, 0.0, "1111", "0011"),
        (2.2, 2.2, 0.0, 0.0, "110", "111"),
        (4.0, 1.4, 0.0, 0.0, "1000", "1111"),
        (4.0, 1.6, 0.0, 0.0, "1100", "1111"),
    ],
)
def test_masks_say_where_each_stream_is(tmp_path, clips, video_s, sound_s, video_from, sound_from, audio, video):
    path = clips.render_video(
        tmp_path / "clip.mkv",
        times=clips.even_times(video_s, 30, video_from),
        sound=clips.tone(sound_s, 16_000, sound_from),
        sound_start_s=sound_from,
        audio_codec="pcm_s16le",
    )
    rows = list(stream(path, seconds=1.0))
    check_rows(rows, 1.0)
    assert ["".join("01"[p] for p in side) for side in present(rows)] == [audio, video]


def test_missing_tracks_are_masked_and_said(tmp_path, clips):
    mute = stream(clips.render_video(tmp_path / "mute.mp4", times=clips.even_times(2, 30)))
    rows = list(mute)
    assert not any(r.audio_present for r in rows)
    assert all((r.audio == 0).all() and r.audio.shape == (17_067,) for r in rows)
    assert mute.warnings == ["no audio track: the audio stream is masked"]
    blind = stream(clips.render_video(tmp_path / "blind.wav", sound=clips.tone(2, 16_000), audio_codec="pcm_s16le"))
    rows = list(blind)
    assert [(r.frame_decoded, r.faces, r.audio_present) for r in rows] == [(False, {}, True)] * 2
    assert blind.warnings == ["no video track: the visual stream is masked"]


def test_a_model_of_the_missing_stream_alone_gets_masked_rows(tmp_path, clips):
    path = clips.render_video(tmp_path / "mute.mp4", times=clips.even_times(2, 30))
    rows = list(stream(path, frames=None))
    assert [(r.frame_decoded, r.audio_present) for r in rows] == [(False, False)] * 2


def test_silence_is_masked_and_said(tmp_path, clips):
    path = clips.render_video(tmp_path / "silent.mp4", times=clips.even_times(2, 30), sound=np.zeros(32_000, np.float32))
    media = stream(path)
    assert not any(r.audio_present for r in media)
    assert media.warnings == ["the audio track is silent: the audio stream is masked"]


def test_sound_too_short_for_any_row_is_not_called_silent(tmp_path, clips):
    path = clips.render_video(
        tmp_path / "click.mkv", times=clips.even_times(6, 30), sound=clips.tone(0.3, 16_000), audio_codec="pcm_s16le"
    )
    media = stream(path)
    assert not any(r.audio_present for r in media)
    assert media.warnings == ["the sound is too short to be heard: the audio stream is masked"]


def test_damaged_sound_is_complained_of_once(tmp_path, clips, monkeypatch):
    def damaged(self):
        self.problem = "the audio is damaged"
        yield from ()

    monkeypatch.setattr(AudioChunks, "_chunks", damaged)
    media = stream(clips.render_video(tmp_path / "clip.mp4", times=clips.even_times(2, 30), sound=clips.tone(2, 16_000)))
    list(media)
    assert media.warnings == ["the audio is damaged"]


@pytest.mark.parametrize("name", ["late.mkv", "late.mp4", "late.ts"])
def test_a_late_start_is_not_a_cut(tmp_path, clips, name):
    path = clips.render_video(
        tmp_path / name, times=clips.even_times(4, 25, 3.0), sound=clips.tone(4, 16_000), sound_start_s=3.0
    )
    media = stream(path)
    assert media.info.duration_s == pytest.approx(4.0, abs=0.2)
    list(media)
    assert media.warnings == []


def test_a_late_file_that_is_cut_is_still_said_to_be(tmp_path, clips):
    path = clips.render_video(
        tmp_path / "late.mkv", times=clips.even_times(6, 25, 3.0), codec="mjpeg", sound=clips.tone(6, 16_000), sound_start_s=3.0
    )
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    media = stream(path)
    list(media)
    assert len(media.warnings) == 1
    assert "should last 6.1 s but ends at 3.0 s" in media.warnings[0]


@pytest.mark.parametrize(("frames", "audio", "expected"), [(FRAMES, SOUND, 3.0), (FRAMES, None, 2.0), (None, SOUND, 3.0)])
def test_the_duration_is_that_of_the_streams_asked_for(tmp_path, clips, frames, audio, expected):
    path = clips.render_video(
        tmp_path / "clip.mkv", times=clips.even_times(2, 30), sound=clips.tone(3, 16_000), audio_codec="pcm_s16le"
    )
    media = stream(path, frames=frames, audio=audio)
    assert media.duration_s == pytest.approx(3.0, abs=0.05)
    rows = list(media)
    assert media.duration_s == pytest.approx(expected, abs=0.05)
    assert rows[-1].end_s >= media.duration_s


def test_a_gap_in_the_video_is_masked_slot_by_slot(tmp_path, clips):
    times = [t for t in clips.even_times(4, 30) if not 1.0 <= t < 2.5]
    path = clips.render_video(tmp_path / "gap.mkv", times=times)
    rows = list(stream(path, seconds=1.0, audio=None))
    assert [r.frame_decoded for r in rows] == [True, False, True, True]
    assert rows[2].faces[0].present.tolist() == [False] * 4 + [True] * 4
    assert rows[0].audio is None


@pytest.mark.parametrize("count", [1, 2])
def test_a_clip_of_a_frame_or_two_gives_one_row(tmp_path, clips, count):
    rows = list(stream(clips.render_video(tmp_path / "short.mp4", times=clips.even_times(count / 30, 30))))
    assert len(rows) == 1
    # The first slot lies at 67 ms, beyond the clip; its frame is shown all the same.
    assert rows[0].frame_decoded
    assert rows[0].faces[0].present.tolist() == [True] + [False] * 7


def test_large_and_portrait_pictures(tmp_path, clips):
    path = clips.render_video(tmp_path / "big.mp4", times=clips.even_times(0.5, 30), size=(1920, 1080), rotation=90)
    (row,) = stream(path)
    np.testing.assert_allclose(row.faces[0].box, [0, 0, 1080, 1920], atol=1)


def test_every_sample_is_covered_once_though_starts_are_rounded(tmp_path, clips):
    sound = np.random.default_rng(0).uniform(-0.9, 0.9, 16_000 * 9).astype(np.float32)
    path = clips.render_video(tmp_path / "noise.wav", sound=sound, audio_codec="pcm_s16le")
    for row in stream(path, frames=None):
        start = round(row.start_s * 16_000)
        expected = sound[start : start + 17_067]
        np.testing.assert_allclose(row.audio[: len(expected)], expected, atol=1e-4)
        assert (row.audio[len(expected) :] == 0).all()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fps=st.floats(5, 120),
    length=st.floats(0.05, 3),
    gap=st.tuples(st.floats(0, 3), st.floats(0, 1.5)),
    offset=st.sampled_from([0.0, 0.4, 1.3]),
    seconds=st.sampled_from([SECONDS, 0.5, 2.0]),
)
def test_rows_cover_the_file_whatever_its_times(tmp_path, clips, fps, length, gap, offset, seconds):
    times = [t for t in clips.even_times(length, fps, offset) if not gap[0] <= t < sum(gap)] or [offset]
    path = clips.render_video(
        tmp_path / "clip.mkv", times=times, size=(80, 60), sound=clips.tone(1.0, 16_000), audio_codec="pcm_s16le"
    )
    rows = list(stream(path, seconds=seconds))
    check_rows(rows, seconds)
    end = max(times[-1], 1.0)
    assert rows[-1].end_s >= end - 0.01
    assert rows[-1].start_s <= end + 1.5
    for row in rows:
        for face in row.faces.values():
            for slot in np.flatnonzero(face.present):
                time = slot_time(row.index * 8 + int(slot), seconds, 8)
                # Matroska rounds to milliseconds.
                shown = times[clips.read_number(face.crops[slot])]
                assert abs(shown - time) <= min(abs(t - time) for t in times) + 3e-3 or len(times) <= 2


def test_a_stream_can_be_left_early_and_read_again(tmp_path, clips):
    media = stream(clips.render_video(tmp_path / "clip.mp4", times=clips.even_times(6, 30)))
    for row in prefetch(media, 2):
        assert row.index == 0
        break
    assert len(list(media)) == len(list(media)) == 6


def test_requests_that_make_no_sense_are_refused(tmp_path, clips):
    path = clips.render_video(tmp_path / "clip.mp4", times=[0, 0.1])
    with pytest.raises(InputError, match="visual input, an audio input"):
        MediaStream(path, seconds=1.0)
    with pytest.raises(InputError, match="face detector"):
        MediaStream(path, seconds=1.0, frames=FRAMES)
    with pytest.raises(InputError, match="longer than 0"):
        stream(path, seconds=0.0)
    with pytest.raises(MediaError):
        stream(Path(tmp_path / "absent.mp4"))


def test_log_mel_models_get_samples_at_their_rate(tmp_path, clips):
    path = clips.render_video(tmp_path / "clip.wav", sound=clips.tone(2, 8_000), rate=8_000, audio_codec="pcm_s16le")
    assert {r.audio.shape for r in stream(path, frames=None, audio=LogMelInput())} == {(47_040,)}


def test_the_padding_of_the_last_audio_block_makes_no_row(tmp_path):
    video = write_clip(RenderedClip(3, 0, duration_s=4 * SECONDS), tmp_path / "clip.mp4", size=(160, 120), fps=30)
    sound = AudioChunks(video, 16_000)
    assert sum(len(chunk.samples) for chunk in sound) / 16_000 > 4 * SECONDS  # else there is nothing to leave out
    assert [step.index for step in stream(video)] == [0, 1, 2, 3]
