"""The dataset `rendered`: shapes, splits, the cache, and agreement with what prediction sees of the same clip."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from affectzoo.config import FramesInput, LogMelInput, ModelConfig, SignalInput, WaveformInput
from affectzoo.data import rendered_windows
from affectzoo.data.rendered import RenderedClip, make_clips, write_clip
from affectzoo.data.rendered_windows import build, prepare
from affectzoo.data.windows import WindowDataset
from affectzoo.errors import ConfigError, DataError
from affectzoo.media.audio import LogMel
from affectzoo.media.pipeline import MediaStream
from affectzoo.media.windows import slot_time

FRAMES = FramesInput(frames=2, height=24, width=24)
MEL = LogMelInput(sample_rate=8000, n_fft=256, win_length=200, hop_length=80, n_mels=12, frames=60)
OPTIONS = {"identities": {"train": 1, "val": 1, "test": 1}, "clips_per_identity": 1, "duration_s": 1.6}


def model_config(streams: tuple[str, ...] = ("visual", "audio"), targets=("valence", "arousal")) -> ModelConfig:
    inputs = {"visual": FRAMES, "audio": MEL, "gaze": SignalInput(channels=2)}
    return ModelConfig.parse(
        {
            "sequence": {"seconds": 0.5, "length": 2},
            "streams": {name: {"backbone": "any", "input": inputs[name].to_json()} for name in streams},
            "fusion": "any" if len(streams) > 1 else None,
            "targets": list(targets),
        }
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("rendered")


@pytest.fixture(scope="module")
def rows(cache):
    return build(model_config(), cache_dir=str(cache), **OPTIONS)


def test_every_split_has_its_own_people(rows):
    assert set(rows) == {"train", "val", "test"}
    people = [set(split["subject"]) for split in rows.values()]
    assert all(len(one) == 1 for one in people)
    assert len(set.union(*people)) == 3


def test_rows_fit_the_model(rows):
    windows = WindowDataset(rows["train"], model_config())
    # 1.6 s are three whole sub-sequences of 0.5 s; the rest is left out.
    assert len(windows) == 2
    item = windows[0]
    assert item["inputs"]["visual"].shape == (2, 3, 2, 24, 24)
    assert item["inputs"]["audio"].shape == (2, 1, 12, 60)
    assert item["masks"]["visual"].dtype == torch.bool
    assert item["valid"].all()
    assert item["targets"].abs().max() <= 1


def test_a_second_call_reads_the_cache(rows, cache, monkeypatch):
    monkeypatch.setattr(rendered_windows, "prepare", None)
    files = sorted(str(path) for path in cache.rglob("*.arrow"))
    again = build(model_config(), cache_dir=str(cache), **OPTIONS)
    assert sorted(str(path) for path in cache.rglob("*.arrow")) == files
    for split, first in rows.items():
        assert again[split][0] == first[0]


@pytest.mark.parametrize("stream", ["visual", "audio"])
def test_a_model_of_one_stream_shares_what_was_rendered_for_both(rows, cache, stream, monkeypatch):
    monkeypatch.setattr(rendered_windows, "prepare", None)
    alone = build(model_config((stream,)), cache_dir=str(cache), **OPTIONS)
    for split, both in rows.items():
        assert {name for name in alone[split].column_names if "." in name} == {f"input.{stream}", f"present.{stream}"}
        assert all(alone[split][0][name] == both[0][name] for name in alone[split].column_names)


def test_a_stream_alone_is_rendered_to_the_same_bytes(rows, tmp_path):
    alone = build(model_config(("visual",)), cache_dir=str(tmp_path), **OPTIONS)
    for name in ("input.visual", "present.visual", "targets", "times_s", "clip_id"):
        assert alone["train"][0][name] == rows["train"][0][name]


def test_rendering_leaves_the_process_its_threads(tmp_path):
    before = torch.get_num_threads(), cv2.getNumThreads()
    try:
        torch.set_num_threads(2)
        cv2.setNumThreads(2)
        build(model_config(("audio",)), cache_dir=str(tmp_path), **OPTIONS)
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (2, 2)
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def test_targets_stand_in_the_order_of_the_model():
    clip = RenderedClip(3, 1, 1.5)
    forwards = prepare(clip, {}, 0.5, ["valence", "arousal"], 0.0).targets
    np.testing.assert_array_equal(prepare(clip, {}, 0.5, ["arousal", "valence"], 0.0).targets, forwards[:, ::-1])
    np.testing.assert_array_equal(prepare(clip, {}, 0.5, ["arousal"], 0.0).targets, forwards[:, 1:])


def test_a_label_is_the_mean_of_the_curve_over_its_sub_sequence():
    clip = RenderedClip(3, 1, 2.0)
    row = prepare(clip, {}, 0.5, ["valence", "arousal"], 0.0)
    fine = clip.affect((np.arange(4000) + 0.5) / 2000).reshape(4, 1000, 2).mean(axis=1)
    np.testing.assert_allclose(row.targets, fine, atol=2e-3)
    np.testing.assert_allclose(row.times_s, [0.25, 0.75, 1.25, 1.75])


def test_a_waveform_model_gets_prepared_samples():
    row = prepare(RenderedClip(3, 1, 1.0), {"audio": WaveformInput(sample_rate=8000, samples=4100)}, 0.5, ["valence"], 0.0)
    assert row.inputs["audio"].shape == (2, 4100)
    assert np.abs(row.inputs["audio"][:, :4000].mean(axis=1)).max() < 1e-5
    assert (row.inputs["audio"][:, 4000:] == 0).all()


@pytest.mark.parametrize(
    ("config", "options", "error", "words"),
    [
        (model_config(targets=("valence", "dominance")), {}, DataError, "valence and arousal"),
        (model_config(("visual", "gaze")), {}, DataError, "gaze wants a signal"),
        (model_config(), {"identities": {"train": 1}}, ConfigError, "exactly the splits train, val, test"),
        (model_config(), {"duration_s": 0.4}, ConfigError, "raise duration_s"),
    ],
)
def test_what_cannot_be_rendered_is_said_before_rendering(config, options, error, words, tmp_path):
    with pytest.raises(error, match=words):
        build(config, cache_dir=str(tmp_path), **{**OPTIONS, **options})
    assert not list(tmp_path.rglob("*.arrow"))


def person_target(people: int) -> dict[str, object]:
    return {"name": "identity", "kind": "categorical", "classes": [f"person{k}" for k in range(people)]}


def level_target(name: str, high: float = 10.0) -> dict[str, object]:
    return {"name": name, "low": 0.0, "high": high}


def labels(rows, split: str) -> np.ndarray:
    return np.stack([np.frombuffer(held, np.float32) for held in rows[split]["targets"]])


@pytest.mark.parametrize("task", ["severity", "pain"])
def test_a_level_is_the_label_of_every_sub_sequence(task, tmp_path):
    config = model_config(("visual",), [level_target(task)])
    rows = build(config, task=task, cache_dir=str(tmp_path), **OPTIONS)
    clip = make_clips("val", identities=1, duration_s=1.6, task=task)[0]
    expected = clip.peak_pain(np.arange(3) * 0.5, 0.5) if task == "pain" else np.full(3, clip.severity)
    np.testing.assert_allclose(labels(rows, "val")[0], expected, rtol=1e-6)
    assert len({split[0]["subject"] for split in rows.values()}) == 3
    assert WindowDataset(rows["train"], config)[0]["targets"].shape == (2, 1)


def test_the_people_of_identity_are_the_same_in_every_split_and_their_clips_are_not(tmp_path):
    config = model_config(("visual",), [person_target(3)])
    rows = build(config, task="identity", cache_dir=str(tmp_path), **{**OPTIONS, "identities": {"train": 3}})
    for split in rows:
        found = labels(rows, split).reshape(3, 3, 3)
        np.testing.assert_array_equal(found, np.repeat(np.eye(3)[:, None], 3, axis=1))
        assert list(rows[split]["subject"]) == list(rows["train"]["subject"])
    assert len({clip_id for split in rows.values() for clip_id in split["clip_id"]}) == 9
    assert WindowDataset(rows["test"], config)[0]["targets"].shape == (2, 3)


def test_the_cache_tells_tasks_and_counts_of_people_apart(tmp_path):
    options = {**OPTIONS, "cache_dir": str(tmp_path)}
    severe = build(model_config(("visual",), [level_target("severity")]), task="severity", **options)
    hurting = build(model_config(("visual",), [level_target("pain")]), task="pain", **options)
    assert severe["test"][0]["input.visual"] != hurting["test"][0]["input.visual"]
    options["identities"] = {"train": 2}
    two = build(model_config(("visual",), [person_target(2)]), task="identity", **options)
    options["identities"] = {"train": 3}
    three = build(model_config(("visual",), [person_target(3)]), task="identity", **options)
    assert (labels(two, "val").shape, labels(three, "val").shape) == ((2, 6), (3, 9))


@pytest.mark.parametrize(
    ("task", "targets", "identities", "error", "words"),
    [
        ("mood", ["valence"], None, ConfigError, "no task 'mood'; use one of affect, severity, pain, identity"),
        ("severity", ["valence"], None, DataError, "task severity know severity; this model wants valence"),
        ("pain", [level_target("severity")], None, DataError, "task pain know pain; this model wants severity"),
        ("affect", [level_target("pain")], None, DataError, "task affect know valence and arousal; this model wants pain"),
        ("identity", ["arousal"], {"train": 2}, DataError, "task identity know identity; this model wants arousal"),
        ("pain", [level_target("pain", 15)], None, DataError, "pain of rendered clips goes from 0 to 10; .* 0 to 15"),
        ("severity", [{**person_target(2), "name": "severity"}], None, DataError, "from 0 to 10; this model's is categorical"),
        ("identity", [person_target(2)], {"train": 3}, DataError, "categorical with 3 classes, .* not categorical with 2"),
        ("identity", [level_target("identity")], {"train": 2}, DataError, "not continuous with 0"),
        ("identity", [person_target(2)], {"train": 2, "val": 2, "test": 2}, ConfigError, "gives train alone"),
        ("severity", [level_target("severity")], {"train": 2}, ConfigError, "exactly the splits train, val, test"),
    ],
)
def test_what_does_not_fit_the_task_is_refused(task, targets, identities, error, words, tmp_path):
    options = {**OPTIONS, "identities": identities, "cache_dir": str(tmp_path)}
    with pytest.raises(error, match=words):
        build(model_config(("visual",), targets), task=task, **options)
    assert not list(tmp_path.rglob("*.arrow"))


class TrueFace:
    """A detector that knows where the face is: call n is the frame of slot n."""

    def __init__(self, clip: RenderedClip, times_s: list[float]) -> None:
        self.clip, self.times_s, self.calls = clip, times_s, 0

    def detect(self, image: np.ndarray) -> np.ndarray:
        box = self.clip.face_box(self.times_s[self.calls], (image.shape[1], image.shape[0]))
        self.calls += 1
        return np.array([[*box, 0.9]], np.float32)


@pytest.mark.parametrize(("identity", "seed"), [(5, 3), (11, 4)])
def test_training_rows_agree_with_what_prediction_sees_of_the_written_clip(identity, seed, tmp_path):
    # Slots of a quarter of a second, centred on frames of 24 fps.
    seconds, count = 1.0, 6
    frames = FramesInput(frames=4, height=64, width=64, colour="grey")
    mel = LogMelInput(
        sample_rate=16000,
        n_fft=512,
        win_length=400,
        hop_length=160,
        n_mels=64,
        frames=107,
        f_min=50,
        floor_db=-80,
        mean=-13,
        std=19,
    )
    clip = RenderedClip(identity, seed, count * seconds)
    row = prepare(clip, {"visual": frames, "audio": mel}, seconds, ["valence", "arousal"], 0.0)
    video = write_clip(clip, tmp_path / "clip.mp4", size=(320, 240), fps=24)
    detector = TrueFace(clip, [slot_time(slot, seconds, frames.frames) for slot in range(count * frames.frames)])
    steps = list(MediaStream(video, seconds=seconds, frames=frames, audio=mel, detector=detector, detect_every=1))[:count]
    heard = LogMel(mel, seconds)(torch.from_numpy(np.stack([step.audio for step in steps if step.audio is not None]))).numpy()
    seen = np.stack([step.faces[min(step.faces)].crops for step in steps])

    def sound_apart(shift: int) -> np.ndarray:
        return np.abs(heard - np.roll(row.inputs["audio"], shift, axis=0)).mean(axis=(1, 2, 3))

    def crops_apart(shift: int) -> np.ndarray:
        return np.abs(seen.astype(float) - np.roll(row.inputs["visual"], shift, axis=0)).mean(axis=(1, 2, 3, 4))

    # In standard deviations of the training set and in grey levels of 256. Noise is drawn per sample, so a stretch of it
    # sounds alike at two sample rates but not the same.
    assert sound_apart(0).max() < 0.3
    assert np.median(sound_apart(0)) < 0.2
    assert crops_apart(0).max() < 10
    for apart in (sound_apart, crops_apart):
        assert (apart(0) < 0.5 * apart(3)).all()
