"""The media of a clip, wherever they are, as prediction would see them; damage is a note and never lost."""

from __future__ import annotations

import json
import os
import shutil
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from datasets import Dataset

from affectzoo import __version__
from affectzoo.config import FramesInput, LogMelInput, ModelConfig, SignalInput, WaveformInput
from affectzoo.data import clip_media
from affectzoo.data.clip_media import SEVERAL_FACES, detector_called, generate, job_of, media_features, media_inputs, prepare
from affectzoo.data.schema import Clip
from affectzoo.errors import DataError, MediaError, UnknownNameError
from affectzoo.media import decode, pictures
from affectzoo.media.detectors.full_frame import FullFrameDetector
from affectzoo.media.pipeline import FaceCrops, MediaStream, SubSequence

FRAMES = FramesInput(frames=4, height=16, width=16, margin=0.0)
WAVE = WaveformInput(sample_rate=8000, samples=4000, normalise=False)
BOTH = {"visual": FRAMES, "audio": WAVE}
SECONDS = 0.5
RATE = 8000


def level(number: int) -> int:
    """The grey that frame `number` is painted in."""
    return 20 + 2 * number


def film(path: Path, times: list[float], sound_s: float = 0.0, codec: str = "libx264") -> Path:
    """Frame k at `times[k]` is as grey as its number; keyframes every 25 frames, frames that refer forwards."""
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = video.time_base = Fraction(1, 90_000)
        video.options = {"preset": "veryfast", "crf": "8", "g": "25", "bf": "3", "b-adapt": "0", "threads": "1"}
        audio: Any = out.add_stream("pcm_s16le", rate=RATE, layout="mono") if sound_s else None
        for number, time_s in enumerate(times):
            picture = np.full((48, 64, 3), level(number), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time_s * 90_000), Fraction(1, 90_000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if sound_s:
            frame = av.AudioFrame.from_ndarray(noise(sound_s)[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            out.mux(audio.encode(frame))
            out.mux(audio.encode(None))
    return path


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).integers(-9000, 9000, round(seconds * RATE)).astype("<i2")


def sound(path: Path, seconds: float) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(noise(seconds).tobytes())
    return path


def crops(folder: Path, numbers: Any, side: int = 20) -> Path:
    """Crop number n shows frame n - 1."""
    folder.mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"{number:05d}.png"), np.full((side, side, 3), level(number - 1), np.uint8))
    return folder


def clip(**given: Any) -> Clip:
    places: dict[str, Any] = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    return Clip(clip_id="one", subject="a", **places)


def shown(media: Any) -> list[list[int]]:
    """The number that each slot of each sub-sequence shows, where a face is present."""
    found = np.round((media.inputs["visual"].mean(axis=(2, 3, 4)) - 20) / 2).astype(int)
    return [row.tolist() if there else [] for row, there in zip(found, media.present["visual"], strict=True)]


def row_of(given: Clip, wanted: Any = None, detector: str | None = "full-frame") -> dict[str, Any]:
    inputs = {name: one.to_json() for name, one in (wanted or BOTH).items()}
    shared = {"affectzoo": __version__, "inputs": inputs, "seconds": SECONDS, "detector": detector}
    (row,) = generate([job_of(given)], json.dumps(shared, sort_keys=True))
    return row


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """4 s of 25 frames a second, with noise for sound."""
    return film(tmp_path_factory.mktemp("film") / "whole.mov", [k / 25 for k in range(100)], 4.0)


def test_a_row_is_what_prediction_sees(whole):
    media = prepare(clip(video=whole), BOTH, SECONDS, FullFrameDetector())
    steps = list(MediaStream(whole, seconds=SECONDS, frames=FRAMES, audio=WAVE, detector=FullFrameDetector()))
    assert len(steps) == 8
    np.testing.assert_array_equal(media.inputs["visual"], [step.faces[0].crops for step in steps])
    np.testing.assert_array_equal(media.inputs["audio"], [step.audio for step in steps])
    assert media.present["visual"].all()
    assert media.present["audio"].all()
    assert media.fps == pytest.approx(25)
    assert media.notes == []
    np.testing.assert_allclose(media.frame_times, np.arange(100) / 25, atol=1e-4)


def test_a_part_is_the_same_stretch_of_the_whole_for_its_share_of_the_work(whole, monkeypatch):
    everything = prepare(clip(video=whole), BOTH, SECONDS, FullFrameDetector())
    frames = []
    real = decode.Frame
    monkeypatch.setattr(decode, "Frame", lambda *given: (frames.append(given[1]), real(*given))[1])
    media = prepare(clip(video=whole, start_s=2.5, end_s=3.5), BOTH, SECONDS, FullFrameDetector())
    np.testing.assert_array_equal(media.inputs["visual"], everything.inputs["visual"][5:7])
    # The samples themselves: the timestamps of this format count them, and no codec changed them.
    np.testing.assert_allclose(media.inputs["audio"], everything.inputs["audio"][5:7], atol=1e-6)
    # From the keyframe half a second and up to one second before.
    assert 25 <= len(frames) <= 25 + 13 + 25
    # Labels that count frames count those of the whole file.
    np.testing.assert_array_equal(media.frame_times, everything.frame_times)
    assert media.notes == []


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"start_s": 10.0}, "begins after the end of"),
        ({"start_s": 10.0, "end_s": 12.0}, "begins after the end of"),
        ({"start_s": 2.0, "end_s": 1.0}, "a part from 2.0 to 1.0 s cannot be"),
        ({"start_s": -2.0}, "a part from -2.0 to None s cannot be"),
        ({"start_s": float("nan")}, "a part from nan to None s cannot be"),
        ({"end_s": float("nan")}, "a part from 0.0 to nan s cannot be"),
    ],
)
def test_a_part_that_is_not_there_is_an_empty_row(whole, part, words):
    row = row_of(clip(video=whole, **part))
    assert (row["steps"], row["input.visual"], row["present.audio"]) == (0, b"", b"")
    assert words in json.loads(row["notes"])[0]


def test_a_part_that_ends_after_the_file_says_so(whole):
    media = prepare(clip(video=whole, start_s=3.0, end_s=8.0), BOTH, SECONDS, FullFrameDetector())
    assert len(shown(media)) == 2
    assert media.notes == ["the part should last 5.0 s but the file ends 1.0 s into it"]


def test_sound_of_another_file_takes_the_place_of_the_video_s(whole, tmp_path):
    other = sound(tmp_path / "other.wav", 3.0)
    media = prepare(clip(video=whole, audio=other, start_s=1.0), BOTH, SECONDS, FullFrameDetector())
    assert media.present["audio"].tolist() == [True] * 4 + [False] * 2
    heard = media.inputs["audio"][:4].reshape(-1)
    np.testing.assert_allclose(heard, noise(3.0)[RATE:] / 2**15, atol=1e-6)
    assert media.present["visual"].all()


@pytest.mark.parametrize("missing", ["video", "audio"])
def test_of_two_files_one_may_be_missing_and_is_noted(whole, tmp_path, missing):
    files = {"video": whole, "audio": sound(tmp_path / "a.wav", 2.0)} | {missing: tmp_path / "absent.mp4"}
    row = row_of(clip(**files))
    lost, kept = ("visual", "audio") if missing == "video" else ("audio", "visual")
    assert not np.frombuffer(row[f"present.{lost}"], bool).any()
    assert np.frombuffer(row[f"present.{kept}"], bool).all()
    (note,) = json.loads(row["notes"])
    assert "absent.mp4: there is no such file" in note
    assert f"the {lost} stream is masked" in note


@pytest.mark.parametrize(
    ("given", "wanted", "words"),
    [
        ({"video": "absent.mp4"}, BOTH, "there is no such file"),
        ({"video": "absent.mp4", "audio": "absent.wav"}, BOTH, "absent.mp4: there is no such file"),
        ({"frames": "absent", "fps": 25.0}, BOTH, "absent: there is no such file"),
        ({"audio": "sound.wav"}, {"visual": FRAMES}, "there is no video track, and this model takes nothing else"),
        ({"frames": "crops"}, {"visual": FRAMES}, "pictures have no times of their own; give fps"),
        ({"frames": "crops", "fps": 25.0}, {"audio": WAVE}, "there is no audio track, and this model takes nothing else"),
        ({}, BOTH, "names neither video nor pictures nor sound"),
    ],
)
def test_what_cannot_be_used_is_an_empty_row_that_says_why(tmp_path, given, wanted, words):
    sound(tmp_path / "sound.wav", 1.0)
    crops(tmp_path / "crops", range(1, 5))
    paths = {name: value if isinstance(value, float) else tmp_path / value for name, value in given.items()}
    row = row_of(clip(**paths), wanted)
    assert row["steps"] == 0
    assert words in json.loads(row["notes"])[0]


def test_sound_alone_and_its_part(tmp_path):
    given = clip(audio=sound(tmp_path / "a.wav", 3.0), start_s=1.0, end_s=2.0)
    media = prepare(given, BOTH, SECONDS, FullFrameDetector())
    np.testing.assert_allclose(media.inputs["audio"].reshape(-1), noise(3.0)[RATE : 2 * RATE] / 2**15, atol=1e-6)
    assert media.notes == ["no video track: the visual stream is masked"]
    assert (np.isnan(media.fps), media.frame_times.size) == (True, 0)


def test_crops_are_sampled_like_frames_and_only_those_are_opened(tmp_path, whole, monkeypatch):
    folder = crops(tmp_path / "crops", [number for number in range(1, 101) if not 30 <= number <= 60])
    opened = []
    real = pictures.read_picture
    monkeypatch.setattr(pictures, "read_picture", lambda path: (opened.append(path), real(path))[1])
    media = prepare(clip(frames=folder, fps=25.0, video=whole), BOTH, SECONDS, FullFrameDetector())
    filmed = prepare(clip(video=whole), BOTH, SECONDS, FullFrameDetector()).inputs["visual"].astype(int)
    # The next frame would be two greys lighter; the codec rounds by one.
    assert np.abs(media.inputs["visual"][:2] - filmed[:2]).max() <= 1
    assert [bool(row) for row in shown(media)] == [True, True, True, False, True, True, True, True]
    assert len(opened) <= 8 * 4
    assert media.present["audio"].all()
    np.testing.assert_allclose(media.frame_times, np.arange(100) / 25)
    assert media.fps == pytest.approx(25)


def test_crops_without_a_rate_have_the_times_of_their_video(tmp_path):
    times = [0.0, 0.04, 0.12, 0.2, 0.24, 1.0, 1.04, 1.08, 1.2, 1.28]
    video = film(tmp_path / "variable.mp4", times)
    given = clip(video=video, frames=crops(tmp_path / "crops", [1, 2, 7, 8, 12]))
    media = prepare(given, {"visual": FRAMES}, SECONDS, FullFrameDetector())
    np.testing.assert_allclose(media.frame_times, times, atol=1e-4)
    assert [sorted(set(row)) for row in shown(media)] == [[1], [6], [7]]
    assert media.notes == ["1 pictures, from number 12 on, lie beyond the 10 frames"]


def test_who_chose_no_detector_gets_crops_as_they_are(tmp_path):
    given = clip(frames=crops(tmp_path / "crops", range(1, 26)), fps=25.0)
    wanted = {"visual": FRAMES}
    for name, found in (("auto:haar", True), ("full-frame", True), ("haar", False)):
        row = row_of(given, wanted, name)
        assert (row["steps"], np.frombuffer(row["present.visual"], bool).all()) == (2, found), name
        assert json.loads(row["notes"]) == ([] if found else ["no face was found: the visual stream is masked"])


@pytest.mark.parametrize("detector", [None, FullFrameDetector()])
def test_an_image_is_one_sub_sequence_of_the_same_crop(tmp_path, detector):
    path = tmp_path / "größe 1.png"
    picture = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    wide = FramesInput(frames=4, height=16, width=16, margin=0.5)
    media = prepare(clip(frames=path), {"visual": wide, "audio": WAVE}, SECONDS, detector)
    np.testing.assert_array_equal(media.inputs["visual"], np.repeat(picture[None, None, :, :, ::-1], 4, axis=1))
    assert (media.present["visual"].tolist(), media.present["audio"].tolist()) == ([True], [False])
    assert media.notes == ["a picture has no sound: the audio stream is masked"]


def test_in_an_image_the_largest_face_is_taken(tmp_path):
    class Two:
        boxes: Any = ([[0, 0, 4, 4, 0.9], [8, 8, 16, 16, 0.5]], [])

        def detect(self, image: np.ndarray) -> np.ndarray:
            return np.array(self.boxes[int(image[0, 0, 0] > 100)], np.float32).reshape(-1, 5)

    picture = np.zeros((16, 16, 3), np.uint8)
    picture[8:, 8:] = 50
    cv2.imwrite(str(tmp_path / "two.png"), picture)
    cv2.imwrite(str(tmp_path / "none.png"), picture + 150)
    media = prepare(clip(frames=tmp_path / "two.png"), {"visual": FRAMES}, SECONDS, Two())
    assert (media.inputs["visual"] == 50).all()
    assert media.notes == ["several faces were seen: the largest is taken"]
    media = prepare(clip(frames=tmp_path / "none.png"), {"visual": FRAMES}, SECONDS, Two())
    assert (media.present["visual"].tolist(), media.notes) == ([False], ["no face was found: the visual stream is masked"])
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(MediaError, match=r"bad\.png: this is not a picture"):
        prepare(clip(frames=tmp_path / "bad.png"), {"visual": FRAMES}, SECONDS, None)


def test_frames_have_their_times_also_where_nobody_looks(tmp_path):
    times = [0.0, 0.04, 0.12, 0.16, 0.52, 0.56, 1.2, 1.24]
    video = film(tmp_path / "variable.mkv", times, 1.5)
    media = prepare(clip(video=video), {"audio": WAVE}, SECONDS, None)
    np.testing.assert_allclose(media.frame_times, times, atol=2e-3)  # Matroska rounds to milliseconds
    np.testing.assert_array_equal(media.frame_times, np.frombuffer(row_of(clip(video=video))["frame_times"]))


def test_a_face_that_comes_back_is_the_same_and_another_is_not(whole, monkeypatch):
    def face(value: int, x: float) -> FaceCrops:
        return FaceCrops(np.full((4, 16, 16, 3), value, np.uint8), np.ones(4, bool), 4, np.array([x, 0, x + 9, 9], np.float32))

    class Stream:
        steps: Any = ({0: face(1, 0)}, {}, {1: face(2, 1)}, {}, {2: face(3, 50)})
        warnings = ()

        def __iter__(self):
            for index, faces in enumerate(self.steps):
                yield SubSequence(index, index * 0.5, index * 0.5 + 0.5, faces, None, False, True)

    monkeypatch.setattr(clip_media, "MediaStream", lambda *_, **__: Stream())
    media = prepare(clip(video=whole), {"visual": FRAMES}, SECONDS, FullFrameDetector())
    assert media.inputs["visual"].max(axis=(1, 2, 3, 4)).tolist() == [1, 0, 2, 0, 0]
    assert media.notes == [SEVERAL_FACES]


def test_a_job_changes_with_whatever_preparation_depends_on(tmp_path, monkeypatch):
    folder, audio = crops(tmp_path / "crops", [1, 2]), sound(tmp_path / "a.wav", 1.0)
    given = clip(frames=folder, audio=audio, fps=25.0, start_s=0.0, end_s=1.0)
    for module in (pictures.cv2, av):
        monkeypatch.setattr(module, "imdecode" if module is pictures.cv2 else "open", lambda *_, **__: pytest.fail("opened"))
    seen = {job_of(given)}
    assert job_of(given) in seen
    os.utime(audio, ns=(1, 1))
    seen.add(job_of(given))
    shutil.copy(folder / "00001.png", folder / "00003.png")
    seen.add(job_of(given))
    os.utime(folder / "00003.png", (4e9, 4e9))
    seen.add(job_of(given))
    audio.unlink()
    seen.add(job_of(given))
    seen.add(job_of(clip(frames=folder, fps=30.0)))
    seen.add(job_of(clip(frames=folder, fps=30.0, start_s=0.5)))
    assert len(seen) == 7
    assert json.loads(job_of(given))["state"]["audio"] is None
    other = Clip(clip_id="one", subject="b", frames=str(folder), fps=30.0, scores={"valence": 1.0}, notes=("labels",))
    assert job_of(other) in seen  # labels cost no decoding


def test_rows_are_stored_as_features_say(whole, tmp_path):
    inputs = {"visual": FRAMES.to_json(), "audio": WAVE.to_json()}
    shared = json.dumps({"affectzoo": __version__, "inputs": inputs, "seconds": SECONDS, "detector": "full-frame"})
    jobs = [job_of(clip(video=whole)), job_of(Clip(clip_id="two", subject="b", video=str(tmp_path / "absent.mp4")))]
    rows = Dataset.from_generator(
        generate,
        features=media_features(["visual", "audio"]),
        gen_kwargs={"jobs": jobs, "shared": shared},
        cache_dir=str(tmp_path / "cache"),
    )
    assert rows["clip_id"] == ["one", "two"]
    assert rows["steps"] == [8, 0]
    assert [len(np.frombuffer(times)) for times in rows["frame_times"]] == [100, 0]
    assert np.isnan(rows["fps"][1])


def test_media_feed_frames_and_sound_and_leave_signals_to_others():
    def config(**inputs: Any) -> ModelConfig:
        return ModelConfig.parse(
            {
                "sequence": {"seconds": 0.5, "length": 2},
                "streams": {name: {"backbone": "any", "input": given.to_json()} for name, given in inputs.items()},
                "fusion": "any" if len(inputs) > 1 else None,
                "targets": ["valence"],
            }
        )

    head = SignalInput(channels=2)
    mel = LogMelInput()
    assert list(media_inputs(config(visual=FRAMES, head=head, audio=mel))) == ["visual", "audio"]
    assert media_inputs(config(head=head)) == {}
    with pytest.raises(DataError, match="this model has thermal with frames"):
        media_inputs(config(thermal=FRAMES))
    with pytest.raises(UnknownNameError, match="nonsense"):
        detector_called("nonsense", print)
    assert detector_called("full-frame", print) == "full-frame"
    assert detector_called("auto", lambda _: None) in ("auto:yunet", "auto:haar")
