"""Clips made in memory become rows: on the time axis of prediction, with its inputs, masks and labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from affectzoo.config import FramesInput, LogMelInput, ModelConfig, SignalInput, WaveformInput
from affectzoo.data.made import MadeClip, prepare_made, read_sound
from affectzoo.data.windows import WindowDataset, check_labels
from affectzoo.errors import ConfigError, DataError
from affectzoo.media.audio import LogMel
from tests.plugins.datasets.miniatures.ravdess import write_tone, write_video

FRAMES = FramesInput(frames=2, height=8, width=8, margin=0)
MEL = LogMelInput(sample_rate=8000, n_fft=256, win_length=200, hop_length=80, n_mels=12, frames=40)
MOOD = {"name": "emotion", "kind": "categorical", "classes": ["sad", "happy"]}


def model_config(streams: tuple[str, ...] = ("visual", "audio"), targets: Any = (MOOD, "valence"), audio=MEL) -> ModelConfig:
    inputs = {"visual": FRAMES, "audio": audio, "gaze": SignalInput(channels=2)}
    return ModelConfig.parse(
        {
            "sequence": {"seconds": 0.5, "length": 2},
            "streams": {name: {"backbone": "any", "input": inputs[name].to_json()} for name in streams},
            "fusion": "any" if len(streams) > 1 else None,
            "targets": list(targets),
        }
    )


def make(job: str) -> MadeClip:
    """A face that is as bright as hundredths of seconds have passed, left of the middle; a tone that stops at the end."""
    given = json.loads(job)

    def faces(times: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for time_s in times:
            image = np.zeros((20, 40, 3), np.uint8)
            image[:, :20] = round(100 * time_s)
            yield image, np.array([0, 0, 20, 20])

    def tone(rate: int) -> np.ndarray:
        return (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(given["duration_s"] * rate)) / rate)).astype(np.float32)

    return MadeClip(
        clip_id=given["clip_id"],
        subject="somebody",
        duration_s=given["duration_s"],
        labels=given.get("labels", {"emotion": "happy", "valence": 0.25}),
        faces=faces,
        sound=tone,
        absent=given.get("absent", {}),
        extra={"speaker": "x"},
    )


def rows_of(tmp_path: Path, config: ModelConfig | None = None, **job: Any) -> Any:
    jobs = {"train": [json.dumps({"clip_id": "a", "duration_s": 1.2, **job})]}
    return prepare_made(make, jobs, config or model_config(), cache_dir=str(tmp_path))["train"]


def test_sub_sequences_cover_the_clip_and_crops_are_taken_at_their_slots(tmp_path: Path) -> None:
    window = WindowDataset(rows_of(tmp_path), model_config())
    assert window.counts == [3]
    row = rows_of(tmp_path)[0]
    crops = np.frombuffer(row["input.visual"], np.uint8).reshape(6, 8, 8, 3)
    # 0.25 s between slots, the first at half of that: brightness is the time, and the box leaves the black half out.
    assert crops.min(axis=(1, 2, 3)).tolist() == crops.max(axis=(1, 2, 3)).tolist() == [12, 38, 62, 88, 112, 138]
    assert np.frombuffer(row["times_s"]).tolist() == [0.25, 0.75, 1.25]
    assert json.loads(row["extra"]) == {"speaker": "x"}
    check_labels(window)


def test_sound_goes_through_the_front_end_of_prediction_and_silence_follows_it(tmp_path: Path) -> None:
    row = rows_of(tmp_path)[0]
    held = torch.from_numpy(np.frombuffer(row["input.audio"], np.float32).reshape(3, 1, 12, 40).copy())
    wave = make(json.dumps({"clip_id": "a", "duration_s": 1.2})).sound(8000)
    wave = torch.from_numpy(np.pad(wave, (0, 12_000 - len(wave)))).reshape(3, 4000)
    torch.testing.assert_close(held, LogMel(MEL, 0.5)(wave))
    waveform = WaveformInput(sample_rate=8000, samples=4000, normalise=False)
    row = rows_of(tmp_path, model_config(audio=waveform))[0]
    np.testing.assert_array_equal(np.frombuffer(row["input.audio"], np.float32).reshape(3, 4000), wave.numpy())


def test_labels_stand_in_the_order_of_the_models_columns(tmp_path: Path) -> None:
    targets = np.frombuffer(rows_of(tmp_path)[0]["targets"], np.float32).reshape(3, 3)
    assert targets.tolist() == [[0, 1, 0.25]] * 3


def test_what_is_absent_is_masked_and_leaves_nothing_in_the_input(tmp_path: Path) -> None:
    row = rows_of(tmp_path, absent={"audio": [0.2, 0.76], "visual": [0.3, 0.7]})[0]
    assert np.frombuffer(row["present.audio"], bool).tolist() == [False, False, True]
    assert np.frombuffer(row["present.visual"], bool).tolist() == [True, True, True]
    assert not np.frombuffer(row["input.audio"], np.float32).reshape(3, -1)[:2].any()


def test_models_of_one_stream_share_the_cache_of_models_of_both(tmp_path: Path) -> None:
    rows_of(tmp_path)
    before = len(list(tmp_path.rglob("*.arrow")))
    rows_of(tmp_path, model_config(("audio",)))
    assert len(list(tmp_path.rglob("*.arrow"))) == before
    rows_of(tmp_path, clip_id="b")
    assert len(list(tmp_path.rglob("*.arrow"))) == 2 * before


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ({"valence": 0}, "a has no label of 'emotion'; it has valence"),
        ({"emotion": "calm", "valence": 0}, "'calm' is none of the classes of emotion, sad, happy"),
        ({"emotion": "sad", "valence": 2}, "valence is 2, outside -1 to 1"),
    ],
)
def test_labels_that_the_model_does_not_know_are_refused(tmp_path: Path, labels: dict[str, Any], why: str) -> None:
    with pytest.raises(Exception, match="generating the dataset") as caught:
        rows_of(tmp_path, labels=labels)
    # The datasets library wraps what a generator raises.
    assert isinstance(caught.value.__cause__, DataError)
    assert why in str(caught.value.__cause__)


def test_signals_and_no_workers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gaze wants a signal"):
        rows_of(tmp_path, model_config(("visual", "gaze")))
    with pytest.raises(ConfigError, match="workers must be at least 1, not 0"):
        prepare_made(make, {"train": ["{}"]}, model_config(), workers=0)


def test_a_split_is_prepared_when_it_is_asked_for_and_its_remark_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = json.dumps({"clip_id": "a", "duration_s": 1.2})
    jobs = {"train": ["no job"], "val": [job], "test": []}
    remarks = {"train": "many", "val": "few faces"}
    splits = prepare_made(make, jobs, model_config(), remarks=remarks, cache_dir=str(tmp_path))
    assert list(splits) == ["train", "val"]
    assert len(splits["val"]) == 1
    said = capsys.readouterr().err
    assert "few faces\n" in said
    assert "many" not in said


def test_sound_is_read_at_the_asked_rate_and_a_file_without_is_refused(tmp_path: Path) -> None:
    assert len(read_sound(write_tone(tmp_path / "tone.wav"), 8000)) == 800
    with pytest.raises(DataError, match=r"silent\.mp4: there is no sound in this file"):
        read_sound(write_video(tmp_path / "silent.mp4"), 8000)
