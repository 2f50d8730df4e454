import cv2
import numpy as np
import pytest

from affectzoo.config import FramesInput, WaveformInput
from affectzoo.errors import MediaError
from affectzoo.media import pictures
from affectzoo.media.pictures import Pictures, read_picture
from affectzoo.media.pipeline import MediaStream

FRAMES = FramesInput(frames=8, height=24, width=24, margin=0.5)


def write(folder, numbers, name="{:05d}.png", side=24):
    folder.mkdir(exist_ok=True, parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / name.format(number)), np.full((side, side, 3), number % 256, np.uint8))
    return folder


def shown(step):
    """The number each slot shows, negative where it repeats another."""
    face = step.faces[0]
    return [int(crop[12, 12, 0]) * (1 if there else -1) for crop, there in zip(face.crops, face.present, strict=True)]


def steps(given, seconds=1.0, **part):
    stream = MediaStream(given, seconds=seconds, frames=FRAMES, **part)
    return list(stream), stream


def test_a_slot_shows_the_picture_nearest_in_time_and_others_are_not_opened(tmp_path, monkeypatch):
    opened = []
    real = pictures.read_picture
    monkeypatch.setattr(pictures, "read_picture", lambda path: (opened.append(path.name), real(path))[1])
    found = Pictures(write(tmp_path / "vidéo 1", range(1, 65)), fps=32)
    np.testing.assert_allclose(found.times, np.arange(64) / 32)
    rows, stream = steps(found)
    # Slots lie at 2 / 32 s and every 4 / 32 s after it; number 3 is shown at 2 / 32 s.
    assert [shown(row) for row in rows] == [list(range(3, 33, 4)), list(range(35, 65, 4))]
    assert opened == [f"{number:05d}.png" for number in range(3, 65, 4)]
    assert stream.warnings == []
    # The margin is for boxes around faces; a crop is taken whole.
    assert (rows[0].faces[0].crops[0] == 3).all()


def test_missing_pictures_are_missing_faces(tmp_path):
    rows, _ = steps(Pictures(write(tmp_path, [*range(1, 10), 16, 70, *range(96, 129)]), fps=32))
    assert len(rows) == 4
    # 11 is missing and 10 as well: 9 is two frames away and no more.
    assert shown(rows[0]) == [3, 7, -7, 16, -16, -16, -16, -16]
    assert not rows[1].faces
    assert shown(rows[2]) == [-70, 70, -70, -70, -70, -96, -96, 96]
    assert rows[3].faces[0].present.all()
    # However long the gap, it is one face: whoever cut the pictures out has said so.
    assert {number for row in rows for number in row.faces} == {0}


def test_times_may_come_from_a_video(tmp_path):
    times = np.concatenate([np.arange(10) / 10, 2 + np.arange(20) / 10])
    found = Pictures(write(tmp_path, [1, 2, 3, 4, 15, 16, 17, 40]), times=times)
    assert found.notes == ["1 pictures, from number 40 on, lie beyond the 30 frames"]
    rows, _ = steps(found)
    assert len(rows) == 4
    assert [sorted(row.faces) for row in rows] == [[0], [], [0], []]
    assert shown(rows[2]) == [-15, -15, 15, 15, 17, 17, -17, -17]


def test_a_part_is_what_the_whole_has_there(tmp_path):
    found = Pictures(write(tmp_path, range(1, 129)), fps=32)
    whole, _ = steps(found)
    part, stream = steps(found, start_s=1.0, end_s=3.0)
    assert [shown(row) for row in part] == [shown(row) for row in whole[1:3]]
    assert stream.duration_s == pytest.approx(2.0)
    assert steps(found, start_s=9.0)[0] == []


def test_pictures_that_cannot_be_read_are_missing_and_said(tmp_path):
    folder = write(tmp_path, range(1, 33))
    for number in (3, 7):
        (folder / f"{number:05d}.png").write_bytes(b"no picture")
    (rows, stream) = steps(Pictures(folder, fps=32))
    assert shown(rows[0])[:3] == [-11, -11, 11]
    assert stream.warnings == [f"{folder / '00003.png'} and 1 more cannot be read as pictures: they are taken for missing"]


def test_a_detector_looks_at_every_sampled_picture(tmp_path):
    seen = []

    class Corner:
        def detect(self, image):
            seen.append(int(image[0, 0, 0]))
            return np.array([[0, 0, 12, 12, 0.9]], np.float32)

    rows, _ = steps(Pictures(write(tmp_path, range(1, 33)), fps=32), detector=Corner())
    assert seen == list(range(3, 33, 4))
    np.testing.assert_allclose(rows[0].faces[0].box, [0, 0, 12, 12])


def test_sound_comes_from_another_file(tmp_path, clips):
    sound = clips.render_video(tmp_path / "a.wav", sound=clips.tone(3, 16_000), audio_codec="pcm_s16le")
    found = Pictures(write(tmp_path / "crops", range(1, 65)), fps=32)
    wave = WaveformInput(sample_rate=16_000, samples=16_000)
    rows = list(MediaStream(found, seconds=1.0, frames=FRAMES, audio=wave, sound=sound))
    assert [(bool(row.faces), row.audio_present) for row in rows] == [(True, True), (True, True), (False, True)]
    mute = MediaStream(found, seconds=1.0, frames=FRAMES, audio=wave)
    assert not any(row.audio_present for row in mute)
    assert mute.warnings == ["no audio track: the audio stream is masked"]


def test_names_end_in_the_number_of_the_frame(tmp_path):
    write(tmp_path, [1, 2, 3], "ll042t1aaaff{:03d}.png")
    write(tmp_path, [0], "{}.png")
    write(tmp_path, [2], "again{}.jpg")
    (tmp_path / "Thumbs.db").touch()
    (tmp_path / "._00004.png").touch()
    (tmp_path / "cover.png").touch()
    found = Pictures(tmp_path, fps=25)
    assert len(found.times) == 3
    assert found.notes == ["0.png and 2 more: no frame number from 1, or one that was already there; left out"]


@pytest.mark.parametrize(
    ("make", "given", "words"),
    [
        (lambda folder: folder / "absent", {"fps": 25}, "cannot be read"),
        (lambda folder: folder, {"fps": 25}, "no picture in this folder"),
        (lambda folder: write(folder, [1]), {}, "give fps, or the video"),
        (lambda folder: write(folder, [1]), {"times": np.zeros(0)}, "give fps, or the video"),
        (lambda folder: write(folder, [1]), {"fps": 0.0}, "0.0 frames per second cannot be"),
    ],
)
def test_folders_that_make_no_sense_are_refused(tmp_path, make, given, words):
    with pytest.raises(MediaError, match=words):
        Pictures(make(tmp_path), **given)


@pytest.mark.parametrize("number", [20_240_131, 20_240_131_120_001])
def test_a_date_is_no_frame_number(tmp_path, number):
    write(tmp_path, [number])
    with pytest.raises(MediaError, match=rf"{number}.png: {number} is no number of a frame; number the pictures from 1"):
        Pictures(tmp_path, 30.0)


def test_pictures_are_rgb_whatever_their_name_and_depth(tmp_path):
    path = tmp_path / "größe 1.png"
    path.write_bytes(cv2.imencode(".png", np.full((4, 6, 3), (0, 0, 200), np.uint8))[1].tobytes())
    assert read_picture(path)[0, 0].tolist() == [200, 0, 0]
    grey = tmp_path / "grey.png"
    cv2.imwrite(str(grey), np.full((4, 6), 9, np.uint8))
    assert read_picture(grey).shape == (4, 6, 3)
    (tmp_path / "empty.png").touch()
    assert read_picture(tmp_path / "empty.png") is None
    assert read_picture(tmp_path / "absent.png") is None
