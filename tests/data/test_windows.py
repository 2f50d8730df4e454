"""Prepared rows through Arrow into windows and back: nothing lost, nothing moved, wrong rows named."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from datasets import Dataset

from affectzoo.config import FramesInput, LogMelInput, ModelConfig, WaveformInput
from affectzoo.data.schema import ClipRow, arrow_features, read_steps, step_layout
from affectzoo.data.windows import FeatureWindows, WindowDataset
from affectzoo.errors import DataError, InputError

FRAMES = FramesInput(frames=2, height=6, width=5, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
MEL = LogMelInput(sample_rate=8000, n_fft=256, win_length=200, hop_length=80, n_mels=4, frames=9)


def model_config(
    length: int = 4, streams: tuple[str, ...] = ("visual", "audio"), targets=("valence", "arousal")
) -> ModelConfig:
    inputs = {"visual": FRAMES, "audio": MEL}
    return ModelConfig.parse(
        {
            "sequence": {"seconds": 0.5, "length": length},
            "streams": {name: {"backbone": "any", "input": inputs[name].to_json()} for name in streams},
            "fusion": "any" if len(streams) > 1 else None,
            "targets": list(targets),
        }
    )


def make_row(number: int, steps: int) -> ClipRow:
    generator = np.random.default_rng(number)
    return ClipRow(
        clip_id=f"clip{number}",
        subject=f"person{number}",
        times_s=(np.arange(steps) + 0.5) * 0.5,
        targets=generator.uniform(-1, 1, (steps, 2)).astype(np.float32),
        valid=generator.random(steps) < 0.8,
        inputs={
            "visual": generator.integers(0, 256, (steps, 2, 6, 5, 3), dtype=np.uint8),
            "audio": generator.normal(size=(steps, 1, 4, 9)).astype(np.float32),
        },
        present={"visual": generator.random(steps) < 0.7, "audio": generator.random(steps) < 0.7},
    )


def to_dataset(rows: list[ClipRow]) -> Dataset:
    return Dataset.from_list([row.to_arrow() for row in rows], features=arrow_features(["visual", "audio"]))


ROWS = [make_row(0, 10), make_row(1, 3), make_row(2, 8)]


def pixels(tensor: torch.Tensor) -> np.ndarray:
    """`[L, 3, T, H, W]` back to uint8 `[L, T, H, W, 3]`."""
    values = tensor.movedim(1, -1) * torch.tensor(FRAMES.std) + torch.tensor(FRAMES.mean)
    return (values * 255).round().to(torch.uint8).numpy()


@pytest.mark.parametrize("hop", [None, 1, 3, 4])
def test_every_window_holds_exactly_its_part_of_its_row(hop):
    windows = WindowDataset(to_dataset(ROWS), model_config(), hop=hop)
    for item in (windows[i] for i in range(len(windows))):
        row = ROWS[int(item["row"])]
        start = int(item["step"][0])
        assert item["step"].tolist() == list(range(start, start + 4))
        count = min(4, len(row.valid) - start)
        part = slice(start, start + count)
        np.testing.assert_array_equal(pixels(item["inputs"]["visual"])[:count], row.inputs["visual"][part])
        np.testing.assert_array_equal(item["inputs"]["audio"][:count].numpy(), row.inputs["audio"][part])
        np.testing.assert_array_equal(item["targets"][:count].numpy(), row.targets[part])
        np.testing.assert_array_equal(item["valid"][:count].numpy(), row.valid[part])
        for name in ("visual", "audio"):
            np.testing.assert_array_equal(item["masks"][name][:count].numpy(), row.present[name][part])


def test_a_clip_shorter_than_a_window_is_padded_with_masked_invalid_steps():
    windows = WindowDataset(to_dataset([ROWS[1]]), model_config())
    assert len(windows) == 1
    item = windows[0]
    assert item["inputs"]["visual"].shape == (4, 3, 2, 6, 5)
    assert item["inputs"]["audio"].shape == (4, 1, 4, 9)
    assert item["targets"].shape == (4, 2)
    assert not item["valid"][3]
    assert not item["masks"]["visual"][3]
    assert not item["masks"]["audio"][3]
    assert (item["inputs"]["audio"][3] == 0).all()


@pytest.mark.parametrize("steps", [1, 3, 4, 5, 8, 9, 11])
def test_every_step_is_in_a_window_and_whole_multiples_only_once(steps):
    windows = WindowDataset(to_dataset([make_row(5, steps)]), model_config())
    seen = [step for i in range(len(windows)) for step in windows[i]["step"].tolist() if step < steps]
    assert sorted(set(seen)) == list(range(steps))
    # The last window is aligned to the end, so that it is a whole one; steps before it come twice then.
    assert len(seen) == (len(windows) * 4 if steps >= 4 else steps)
    if steps % 4 == 0:
        assert sorted(seen) == list(range(steps))


def test_a_hop_longer_than_a_window_is_refused():
    with pytest.raises(InputError, match="5 steps apart"):
        WindowDataset(to_dataset(ROWS), model_config(), hop=5)


def test_a_modality_that_the_rows_lack_is_named():
    with pytest.raises(DataError, match="no 'audio'"):
        WindowDataset(to_dataset(ROWS).remove_columns(["input.audio"]), model_config())
    with pytest.raises(DataError, match="no 'audio'"):
        WindowDataset(to_dataset(ROWS).remove_columns(["present.audio"]), model_config())
    assert len(WindowDataset(to_dataset(ROWS).remove_columns(["input.audio"]), model_config(streams=("visual",)))) == 6


def test_labels_for_another_number_of_targets_are_named():
    windows = WindowDataset(to_dataset(ROWS), model_config(targets=("valence",)))
    with pytest.raises(DataError, match=r"clip0: 20 labels for 10 sub-sequences and targets valence"):
        windows[0]
    odd = dataclasses.replace(ROWS[1], targets=np.zeros(5, np.float32))
    with pytest.raises(DataError, match="clip1: 5 labels for 3"):
        WindowDataset(to_dataset([odd]), model_config())[0]


def test_rows_prepared_for_another_input_are_refused_and_not_read_as_noise():
    larger = dataclasses.replace(ROWS[0], inputs={**ROWS[0].inputs, "visual": np.zeros((10, 2, 12, 10, 3), np.uint8)})
    with pytest.raises(DataError, match="prepared for another input"):
        WindowDataset(to_dataset([larger]), model_config())[0]
    shorter = dataclasses.replace(ROWS[0], inputs={**ROWS[0].inputs, "audio": np.zeros((10, 1, 4, 8), np.float32)})
    with pytest.raises(DataError, match="audio: 1280 bytes are not 10 sub-sequences"):
        WindowDataset(to_dataset([shorter]), model_config())[0]


def test_arrays_that_are_not_contiguous_or_of_another_float_survive_arrow():
    row = dataclasses.replace(
        ROWS[0],
        targets=ROWS[0].targets.astype(np.float64)[:, ::-1],
        inputs={**ROWS[0].inputs, "audio": np.asfortranarray(ROWS[0].inputs["audio"])},
    )
    item = WindowDataset(to_dataset([row]), model_config())[0]
    np.testing.assert_array_equal(item["targets"].numpy(), ROWS[0].targets[:4, ::-1])
    np.testing.assert_array_equal(item["inputs"]["audio"].numpy(), ROWS[0].inputs["audio"][:4])


def test_one_waveform_step_is_its_samples():
    given = WaveformInput(sample_rate=10, samples=4)
    assert step_layout(given) == ((4,), np.float32)
    samples = np.arange(12, dtype=np.float32)
    row = {"valid": np.ones(3, bool).tobytes(), "input.audio": samples.tobytes()}
    np.testing.assert_array_equal(read_steps(row, "audio", given, 1, 2), samples[4:].reshape(2, 4))


def test_feature_windows_are_the_same_windows_over_features():
    raw = WindowDataset(to_dataset(ROWS), model_config(), hop=2)
    features = [{"visual": torch.randn(len(row.valid), 7), "audio": torch.randn(len(row.valid), 3)} for row in ROWS]
    windows = FeatureWindows(raw, features)
    assert len(windows) == len(raw)
    assert not any(name.startswith("input.") for name in windows.rows.column_names)
    for one, other in ((windows[i], raw[i]) for i in range(len(raw))):
        for name in ("targets", "valid", "row", "step"):
            assert torch.equal(one[name], other[name])
        for name, dim in (("visual", 7), ("audio", 3)):
            assert torch.equal(one["masks"][name], other["masks"][name])
            assert one["inputs"][name].shape == (4, dim)
            start, count = int(one["step"][0]), min(4, len(ROWS[int(one["row"])].valid) - int(one["step"][0]))
            wanted = features[int(one["row"])][name][start : start + count]
            assert torch.equal(one["inputs"][name][:count], wanted)
            assert (one["inputs"][name][count:] == 0).all()


def test_windows_can_be_read_by_worker_processes():
    windows = WindowDataset(to_dataset(ROWS), model_config())
    loader = torch.utils.data.DataLoader(windows, batch_size=2, num_workers=1)
    rows = torch.cat([batch["row"] for batch in loader]).tolist()
    assert rows == [row for row, _ in windows.places]
