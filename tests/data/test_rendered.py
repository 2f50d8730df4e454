"""Rendered clips: reproducible, labelled, visible to a detector, and well-formed as files."""

from __future__ import annotations

import pickle
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from affectzoo.data.rendered import RenderedClip, make_clips, write_clip
from affectzoo.errors import InputError


def test_the_same_seed_renders_the_same_bytes() -> None:
    first, second = RenderedClip(3, 7, 6.0), RenderedClip(3, 7, 6.0)
    times = np.linspace(0, 6, 9)
    for one, other in zip(first.frames(times, (160, 120)), second.frames(times, (160, 120)), strict=True):
        assert one.tobytes() == other.tobytes()
    assert first.waveform().tobytes() == second.waveform().tobytes()
    assert first.affect(times).tobytes() == second.affect(times).tobytes()


def test_a_frame_does_not_depend_on_what_was_rendered_before_it() -> None:
    clip = RenderedClip(4, 1, 6.0)
    in_order = list(clip.frames(np.array([1.0, 2.0, 3.0]), (160, 120)))
    assert np.array_equal(clip.frame(3.0, (160, 120)), in_order[2])
    assert np.array_equal(pickle.loads(pickle.dumps(clip)).frame(2.0, (160, 120)), in_order[1])


def test_other_seeds_and_other_persons_differ() -> None:
    times = np.linspace(0, 6, 9)
    base = RenderedClip(3, 7, 6.0)
    assert not np.allclose(base.affect(times), RenderedClip(3, 8, 6.0).affect(times))
    assert not np.array_equal(base.frame(1.0, (160, 120)), RenderedClip(4, 7, 6.0).frame(1.0, (160, 120)))


def test_no_person_appears_in_two_splits() -> None:
    people = [{clip.identity for clip in make_clips(split, identities=50)} for split in ("train", "val", "test")]
    assert [len(each) for each in people] == [50, 50, 50]
    assert len(set.union(*people)) == 150


def test_clips_of_one_split_are_all_different_and_seeds_give_new_ones() -> None:
    clips = make_clips("val", identities=3, clips_per_identity=2) + make_clips(
        "val", identities=3, clips_per_identity=2, seed=1
    )
    assert len(set(clips)) == 12


def test_affect_covers_its_range_slowly_and_without_correlation() -> None:
    times = np.arange(0, 34, 0.5)
    affect = np.concatenate([clip.affect(times) for clip in make_clips("train", identities=60)])
    assert affect.shape == (60 * len(times), 2)
    assert np.abs(affect).max() <= 1
    assert np.all((affect.std(axis=0) > 0.38) & (affect.std(axis=0) < 0.58))
    assert np.abs(affect).max(axis=0).min() > 0.85
    assert abs(np.corrcoef(affect.T)[0, 1]) < 0.15
    fine = RenderedClip(0, 0).affect(np.arange(0, 34, 1 / 30))
    assert np.abs(np.diff(fine, axis=0)).max() < 0.05


@pytest.mark.parametrize("size", [(160, 120), (320, 240), (640, 480), (200, 300)])
def test_frames_of_every_size_show_the_same_scene(size: tuple[int, int]) -> None:
    clip = RenderedClip(1, 0, 5.0)
    frame = clip.frame(2.0, size)
    assert frame.shape == (size[1], size[0], 3)
    assert frame.dtype == np.uint8
    if size[0] * 3 == size[1] * 4:
        small = cv2.resize(frame, (80, 60), interpolation=cv2.INTER_AREA).astype(float)
        reference = cv2.resize(clip.frame(2.0, (640, 480)), (80, 60), interpolation=cv2.INTER_AREA).astype(float)
        assert np.abs(small - reference).mean() < 3
        np.testing.assert_allclose(clip.face_box(2.0, size) / size[1], clip.face_box(2.0) / 480, atol=1e-9)


def test_the_face_stays_inside_the_frame() -> None:
    for clip in make_clips("test", identities=12):
        for time in np.linspace(0, clip.duration_s, 12):
            x0, y0, x1, y1 = clip.face_box(float(time))
            assert 0 <= x0 < x1 <= 640
            assert 0 <= y0 < y1 <= 480
            assert 150 < y1 - y0 < 400


@pytest.mark.parametrize("sample_rate", [16000, 44100])
def test_the_waveform_is_finite_and_fills_its_duration(sample_rate: int) -> None:
    clip = RenderedClip(2, 5, 5.0)
    sound = clip.waveform(sample_rate)
    assert sound.shape == (5 * sample_rate,)
    assert sound.dtype == np.float32
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() <= 1
    assert sound.std() > 0.003


def test_each_modality_fails_about_a_quarter_of_the_time_and_rarely_both() -> None:
    times = np.arange(0, 34, 0.1)
    clips = make_clips("train", identities=80)
    hidden = np.concatenate([~clip.face_visible(times) for clip in clips])
    drowned = np.concatenate([~clip.voice_clear(times) for clip in clips])
    assert hidden.dtype == bool
    assert 0.2 < hidden.mean() < 0.32
    assert 0.2 < drowned.mean() < 0.32
    assert (hidden & drowned).mean() < 0.06


def test_the_mouth_smiles_with_valence_and_the_jaw_follows_the_voice() -> None:
    times = np.arange(0, 34, 0.2)
    valence, smile = (np.concatenate(parts) for parts in zip(*(
        (clip.affect(times)[:, 0], clip.expression(times).smile) for clip in make_clips("val", identities=30)
    ), strict=True))  # fmt: skip
    assert 0.6 < np.corrcoef(valence, smile)[0, 1] < 0.95
    clip = next(clip for clip in make_clips("val", identities=5) if clip.voice_clear(times).mean() > 0.6)
    fine = np.arange(0.1, 34, 0.05)
    sound = clip.waveform(16000)
    level = np.array([sound[int((time - 0.03) * 16000) : int((time + 0.03) * 16000)].std() for time in fine])
    clear = clip.voice_clear(fine)
    assert np.corrcoef(clip.expression(fine).jaw[clear], level[clear])[0, 1] > 0.2


@pytest.mark.skipif(not hasattr(cv2, "CascadeClassifier"), reason="this OpenCV has no Haar cascades")
def test_a_face_detector_finds_the_faces() -> None:
    folder = Path(cv2.__file__).parent / "data"
    cascade = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_default.xml"))
    found = []
    for clip in make_clips("train", identities=10):
        times = np.linspace(1, 30, 30)
        time = float(times[clip.face_visible(times)][0])
        x0, y0, x1, y1 = clip.face_box(time)
        grey = cv2.cvtColor(clip.frame(time), cv2.COLOR_RGB2GRAY)
        boxes = cascade.detectMultiScale(grey, 1.1, 4, minSize=(80, 80))
        found.append(any(x0 < x + w / 2 < x1 and y0 < y + h / 2 < y1 for x, y, w, h in boxes))
    assert np.mean(found) >= 0.9


def test_a_written_clip_has_every_frame_and_sound_of_the_same_length(tmp_path: Path) -> None:
    clip = RenderedClip(1, 2, 2.5)
    path = write_clip(clip, tmp_path / "clip.mp4", size=(160, 120), fps=25, sample_rate=44100)
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.mp4"]
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        seconds = [float(frame.time or 0) for frame in container.decode(video)]
        np.testing.assert_allclose(seconds, np.arange(62) / 25, atol=1e-3)
        container.seek(0)
        heard = [(float(frame.time or 0), frame.to_ndarray()[0]) for frame in container.decode(audio)]
    sound = np.concatenate([piece for _, piece in heard])
    assert abs(heard[0][0]) < 0.03
    assert abs(len(sound) / 44100 - 2.5) < 0.06
    # The decoded sound lies where it was put: the best shift between both is a few samples.
    original = clip.waveform(44100)
    count = min(len(sound), len(original))
    spectrum = np.fft.rfft(sound[:count], 2 * count) * np.conj(np.fft.rfft(original[:count], 2 * count))
    lag = int(np.argmax(np.fft.irfft(spectrum)))
    assert min(lag, 2 * count - lag) < 0.03 * 44100


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="duration_s"):
        RenderedClip(0, 0, 0.0)
    with pytest.raises(InputError, match="negative"):
        RenderedClip(-1, 0)
    with pytest.raises(InputError, match="train, val or test"):
        make_clips("dev")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="even"):
        write_clip(RenderedClip(0, 0, 1.0), tmp_path / "odd.mp4", size=(161, 120))
    assert not list(tmp_path.iterdir())
