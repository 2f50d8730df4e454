"""Prepared rows through Arrow into windows and back: nothing lost, nothing moved, wrong rows named."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset, IterableDataset

from affectzoo.config import FramesInput, LogMelInput, ModelConfig, WaveformInput
from affectzoo.data.prepared import ClipRow, arrow_features, read_steps, step_layout
from affectzoo.data.windows import (
    FeatureWindows,
    StoredFeatures,
    StreamedWindows,
    WindowDataset,
    check_labels,
    fingerprint,
    unlabelled,
    windows_over,
)
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


FEATURES = [{"visual": torch.randn(len(row.valid), 7).numpy(), "audio": torch.randn(len(row.valid), 3).numpy()} for row in ROWS]


def to_features(rows: list[ClipRow]) -> Dataset:
    """The rows with features in the place of inputs."""
    given = []
    for row, features in zip(rows, FEATURES, strict=True):
        kept = {name: value for name, value in row.to_arrow().items() if not name.startswith("input.")}
        given.append({**kept, **{f"feature.{name}": value.tobytes() for name, value in features.items()}})
    return Dataset.from_list(given)


def assert_same_item(one: dict, other: dict) -> None:
    for name in ("targets", "valid", "row", "step"):
        assert torch.equal(one[name], other[name])
    for part in ("inputs", "masks"):
        assert one[part].keys() == other[part].keys()
        assert all(torch.equal(one[part][name], other[part][name]) for name in one[part])


def test_stored_features_are_the_same_windows_as_features_in_memory():
    stored = windows_over(to_features(ROWS), model_config(), hop=3)
    assert isinstance(stored, StoredFeatures)
    assert stored.on_features
    features = [{name: torch.from_numpy(value) for name, value in row.items()} for row in FEATURES]
    memory = FeatureWindows(WindowDataset(to_dataset(ROWS), model_config(), hop=3), features)
    assert len(stored) == len(memory)
    for index in range(len(stored)):
        assert_same_item(stored[index], memory[index])


def test_windows_over_raw_rows_are_raw_and_a_missing_modality_is_named():
    raw = windows_over(to_dataset(ROWS), model_config())
    assert (type(raw), raw.on_features) == (WindowDataset, False)
    with pytest.raises(DataError, match="no 'audio'"):
        windows_over(to_features(ROWS).remove_columns(["present.audio"]), model_config())
    with pytest.raises(DataError, match="no 'visual'"):
        windows_over(to_features(ROWS).remove_columns(["feature.visual"]), model_config())


def test_features_that_do_not_divide_into_steps_are_named():
    rows = [{**dict(row), "feature.audio": bytes(4 * 31)} for row in to_features(ROWS)]
    with pytest.raises(DataError, match="audio: 31 numbers are not features of 10 sub-sequences"):
        windows_over(Dataset.from_list(rows), model_config())[0]


@pytest.mark.parametrize("make", [to_dataset, to_features])
@pytest.mark.parametrize("hop", [None, 2])
def test_streamed_windows_are_those_of_the_dataset_in_its_order(make, hop):
    held = windows_over(make(ROWS), model_config(), hop=hop)
    streamed = StreamedWindows(make(ROWS).to_iterable_dataset(), model_config(), hop=hop)
    assert streamed.on_features == held.on_features
    items = list(streamed)
    assert len(items) == len(held)
    for index, item in enumerate(items):
        assert_same_item(item, held[index])


def test_a_stream_goes_on_at_any_window_and_processes_share_it(monkeypatch):
    rows = to_dataset(ROWS).to_iterable_dataset()
    whole = list(StreamedWindows(rows, model_config(), hop=2))
    built = []
    real = StreamedWindows.window
    monkeypatch.setattr(StreamedWindows, "window", lambda self, *given: built.append(given) or real(self, *given))
    for process in range(2):
        mine = list(StreamedWindows(rows, model_config(), hop=2, take=lambda n, p=process: n >= 3 and n % 2 == p))
        wanted = [item for number, item in enumerate(whole) if number >= 3 and number % 2 == process]
        assert len(mine) == len(wanted) > 1
        for one, other in zip(mine, wanted, strict=True):
            assert_same_item(one, other)
    assert len(built) == len(whole) - 3


def test_a_stream_that_learns_its_columns_from_its_rows_is_checked_too():
    rows = IterableDataset.from_generator(lambda: (row.to_arrow() for row in ROWS))
    assert len(list(StreamedWindows(rows, model_config()))) == 6
    bare = IterableDataset.from_generator(lambda: ({**row.to_arrow(), "present.audio": None} for row in ROWS))
    with pytest.raises(DataError, match="no 'audio'"):
        StreamedWindows(bare.remove_columns(["present.audio"]), model_config())
    with pytest.raises(InputError, match="5 steps apart"):
        StreamedWindows(rows, model_config(), hop=5)


def test_a_stream_is_read_by_one_worker_only(monkeypatch):
    streamed = StreamedWindows(to_dataset(ROWS).to_iterable_dataset(), model_config())
    numbers = [int(item["row"]) for item in torch.utils.data.DataLoader(streamed, batch_size=None, num_workers=1)]
    assert numbers == [int(item["row"]) for item in streamed]
    # Not with real workers: torch waits ten seconds for two that failed.
    monkeypatch.setattr("affectzoo.data.windows.get_worker_info", lambda: SimpleNamespace(num_workers=2))
    with pytest.raises(DataError, match="read by one worker, not 2"):
        list(streamed)


def labelled(targets: np.ndarray, valid: list[bool], names: tuple = ("valence", "arousal")) -> WindowDataset:
    """A good clip and one with these labels `[n, K]`."""
    steps = len(targets)
    row = dataclasses.replace(make_row(1, steps), targets=targets.astype(np.float32), valid=np.array(valid))
    good = dataclasses.replace(make_row(0, 2), targets=np.tile(targets[-1:], (2, 1)), valid=np.array([True, False]))
    return WindowDataset(to_dataset([good, row]), model_config(targets=names))


FEAR = {"name": "fear", "low": 0.0, "high": 0.1}
MOOD = {"name": "mood", "kind": "categorical", "classes": ["low", "high"]}


@pytest.mark.parametrize(
    ("values", "names", "words"),
    [
        ([np.nan, 0], ("valence", "arousal"), "clip1: valence is nan, outside -1 to 1"),
        ([0, np.inf], ("valence", "arousal"), "clip1: arousal is inf, outside -1 to 1"),
        ([0, -1.25], ("valence", "arousal"), "clip1: arousal is -1.25, outside -1 to 1"),
        ([0, 0.11], ("valence", FEAR), "clip1: fear is 0.11, outside 0 to 0.1"),
        ([-0.5, 1.5], (MOOD,), "clip1: mood.low is -0.5, outside 0 to 1"),
        ([0.5, 0.25], (MOOD,), "clip1: the shares of the classes of mood sum to 0.75, not to 1"),
    ],
)
def test_labels_that_cannot_be_are_named_where_they_count(values, names, words):
    good = [0.5, 0.5] if names == (MOOD,) else [0.0, 0.1]  # 0.1 is the end of its range, which float32 rounds up
    targets = np.array([good, values, good])
    with pytest.raises(DataError, match=words):
        check_labels(labelled(targets, [True, True, True], names))
    check_labels(labelled(targets, [True, False, True], names))


def test_labels_for_another_number_of_targets_are_named_by_the_check_too():
    with pytest.raises(DataError, match=r"clip0: 20 labels for 10 sub-sequences and targets valence"):
        check_labels(WindowDataset(to_dataset(ROWS), model_config(targets=("valence",))))
    check_labels(WindowDataset(to_dataset(ROWS).select([]), model_config()))


def test_clips_without_a_valid_label_are_listed():
    blank = dataclasses.replace(ROWS[1], valid=np.zeros(3, bool))
    assert unlabelled(WindowDataset(to_dataset([ROWS[0], blank, ROWS[2]]), model_config())) == ["clip1"]
    assert unlabelled(WindowDataset(to_dataset(ROWS).select([2, 0]), model_config())) == []


@pytest.mark.parametrize("changed", ["clip_id", "subject", "times_s", "targets", "valid", "order", "fewer"])
def test_a_fingerprint_tells_changed_labels_and_order(changed):
    def of(rows: list[ClipRow]) -> str:
        return fingerprint(WindowDataset(to_dataset(rows), model_config()))

    row = ROWS[1]
    other = {
        "clip_id": [ROWS[0], dataclasses.replace(row, clip_id="clip"), ROWS[2]],
        "subject": [ROWS[0], dataclasses.replace(row, subject="person"), ROWS[2]],
        "times_s": [ROWS[0], dataclasses.replace(row, times_s=row.times_s + 1), ROWS[2]],
        "targets": [ROWS[0], dataclasses.replace(row, targets=row.targets + np.float32(1e-6)), ROWS[2]],
        "valid": [ROWS[0], dataclasses.replace(row, valid=~row.valid), ROWS[2]],
        "order": [ROWS[0], ROWS[2], ROWS[1]],
        "fewer": ROWS[:2],
    }[changed]
    assert of(other) != of(ROWS)


def test_a_fingerprint_does_not_depend_on_how_rows_are_kept():
    rows, config = to_dataset(ROWS), model_config()
    kept = rows.select([2, 1, 0]).select([2, 1, 0])
    assert fingerprint(WindowDataset(kept, config)) == fingerprint(WindowDataset(rows, config))
    assert fingerprint(windows_over(to_features(ROWS), config)) == fingerprint(WindowDataset(rows, config))
