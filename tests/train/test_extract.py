"""Extraction: the store holds what the model would compute; nothing is done twice, nothing of something else is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from affectzoo.config import DataConfig
from affectzoo.data.feature_store import build, check_weights
from affectzoo.data.rendered_windows import build as render
from affectzoo.data.windows import WindowDataset, windows_over
from affectzoo.errors import CheckpointError, ConfigError, DataError
from affectzoo.model.affect_model import AffectModel
from affectzoo.train import extract as extraction
from affectzoo.train.extract import Encoders, Extracted, encoders_of_backbones, encoders_of_model, extract


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The order of sums depends on the number of threads; so exact equality can be asked for."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model_path(make_experiment, tmp_path_factory) -> Path:
    torch.manual_seed(1)
    return AffectModel(make_experiment().model).save_pretrained(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def encoders(model_path) -> Encoders:
    return encoders_of_model(str(model_path))


@pytest.fixture(scope="module")
def data(experiment_data) -> DataConfig:
    return DataConfig.parse(experiment_data()["data"])


@pytest.fixture(scope="module")
def folder(data, encoders, tmp_path_factory) -> Path:
    """A store of a clip in each file."""
    folder = tmp_path_factory.mktemp("features")
    done = extract(data, encoders, folder, clips_per_file=1, batch_size=3)
    assert done is not None
    assert (done.steps, done.written, done.files) == (20, 4, 4)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def written(data: Any, encoders: Any, folder: Path, **options: Any) -> tuple[Extracted | None, list[str]]:
    told: list[str] = []
    return extract(data, encoders, folder, clips_per_file=1, batch_size=3, say=told.append, **options), told


def test_features_are_what_the_model_encodes(folder, data, model_path):
    model = AffectModel.from_folder(model_path)
    check_weights(folder, model)
    raw = render(model.config, **data.config)  # pyright: ignore[reportArgumentType]
    for split, rows in build(model.config, folder=str(folder)).items():
        plain = WindowDataset(raw[split], model.config)
        stored = windows_over(rows, model.config)
        assert stored.clip_ids == plain.clip_ids
        for number, count in enumerate(plain.counts):
            row, _ = plain.read_row(number)
            kept, _ = stored.read_row(number)
            for name in model.backbones:
                mask = torch.from_numpy(np.frombuffer(row[f"present.{name}"], dtype=bool).copy())
                steps = plain.steps(number, row, name, 0, count)
                parts = [
                    model.encode(name, steps[None, start : start + 3], mask[None, start : start + 3])[0]
                    for start in range(0, count, 3)
                ]
                assert torch.equal(stored.steps(number, kept, name, 0, count), torch.cat(parts).detach())
                assert kept[f"present.{name}"].to_pybytes() == row[f"present.{name}"].to_pybytes()
            for name in ("targets", "valid", "times_s"):
                assert kept[name].to_pybytes() == row[name].to_pybytes()


def test_masked_steps_are_zero_and_never_reach_a_backbone(data, model_path, tmp_path, monkeypatch):
    encoders, seen = encoders_of_model(str(model_path)), []
    rows = render(encoders.config, **data.config)  # pyright: ignore[reportArgumentType]
    hidden = np.array([True, False, False, True, False])
    masked = {k: rows[k].map(lambda row: {**row, "present.visual": hidden.tobytes()}) for k in rows}
    monkeypatch.setattr(extraction, "load_rows", lambda *_: masked)
    encoders.backbones["visual"].register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    extract(data, encoders, tmp_path)
    assert seen == [2, 2, 2, 2]
    stored = windows_over(build(encoders.config, folder=str(tmp_path))["train"], encoders.config)
    features = stored.steps(0, stored.read_row(0)[0], "visual", 0, 5)
    assert (features != 0).any(dim=1).tolist() == hidden.tolist()


def test_another_batch_size_and_workers_give_the_same_features(folder, data, encoders, tmp_path):
    extract(data, encoders, tmp_path, batch_size=64, workers=1)
    one, other = (build(encoders.config, folder=str(path)) for path in (folder, tmp_path))
    for split in one:
        for first, second in zip(one[split], other[split], strict=True):
            for name in encoders.backbones:
                x, y = (np.frombuffer(row[f"feature.{name}"], np.float32) for row in (first, second))
                # A convolution may sum in another order for another batch: float32 rounding of sums of a few hundred terms.
                np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def test_what_is_whole_is_kept_and_the_rest_written_again(folder, data, encoders, tmp_path):
    written(data, encoders, tmp_path)
    before = contents(tmp_path)
    assert before == contents(folder)
    times = {name: (tmp_path / name).stat().st_mtime_ns for name in before}
    (tmp_path / "train/00001.arrow").unlink()
    (tmp_path / "val/00000.arrow").write_bytes(before["val/00000.arrow"][:-100])
    (tmp_path / "test/00000.arrow").write_bytes(before["val/00000.arrow"])
    done, told = written(data, encoders, tmp_path)
    assert done is not None
    assert (done.steps, done.written, done.files) == (15, 3, 4)
    assert told == [
        f"{tmp_path / name} is not whole or not of these features; it is written again"
        for name in ("val/00000.arrow", "test/00000.arrow")
    ]
    assert contents(tmp_path) == before
    assert (tmp_path / "train/00000.arrow").stat().st_mtime_ns == times["train/00000.arrow"]
    done, told = written(data, encoders, tmp_path)
    assert done is not None
    assert (done.steps, done.written, told) == (0, 0, [])


def test_an_interruption_leaves_whole_files_only(data, encoders, tmp_path, monkeypatch):
    real, calls = extraction.write_rows, []

    def failing(*given: Any) -> None:
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(*given)

    monkeypatch.setattr(extraction, "write_rows", failing)
    with pytest.raises(KeyboardInterrupt):
        written(data, encoders, tmp_path)
    monkeypatch.setattr(extraction, "write_rows", real)
    assert sorted(contents(tmp_path)) == ["store.json", "train/00000.arrow", "train/00001.arrow"]
    with pytest.raises(DataError, match=r"val/00000.arrow is missing or not whole"):
        build(encoders.config, folder=str(tmp_path))
    done, told = written(data, encoders, tmp_path)
    assert done is not None
    assert (done.written, told) == (2, [])


@pytest.mark.parametrize("what", ["weights", "data", "labels", "seconds", "streams"])
def test_other_features_are_refused_and_nothing_is_touched(folder, data, encoders, model_path, monkeypatch, what):
    before = contents(folder)
    other, source = encoders_of_model(str(model_path)), data
    if what == "weights":
        with torch.no_grad():
            next(other.backbones["audio"].parameters()).view(-1)[0] += 1e-3
    elif what == "data":
        source = data.model_copy(update={"config": {**data.config, "box_jitter": 0.1}})
    elif what == "seconds":
        other = encoders_of_model(str(model_path), seconds=0.25)
    elif what == "streams":
        streams = {"visual": encoders.config.streams["visual"]}
        other = Encoders({"visual": other.backbones["visual"]}, encoders.config.model_copy(update={"streams": streams}))
    else:
        rows = render(encoders.config, **data.config)  # pyright: ignore[reportArgumentType]
        flipped = {split: part.map(lambda row: {**row, "valid": bytes(5)}) for split, part in rows.items()}
        monkeypatch.setattr(extraction, "load_rows", lambda *_: flipped)
    words = {
        "weights": "streams.audio.weights is",
        "data": "data.config.box_jitter is 0.06 there and 0.1 now",
        "labels": "splits.train.fingerprint is",
        "seconds": "seconds is 0.5 there and 0.25 now",
        "streams": "streams.audio is set there but not now",
    }[what]
    with pytest.raises(CheckpointError, match=f"{words}.*choose another --out"):
        written(source, other, folder)
    assert contents(folder) == before


def test_the_difference_is_found_before_the_data_are_prepared(folder, data, model_path, monkeypatch):
    monkeypatch.setattr(extraction, "load_rows", lambda *_: pytest.fail("prepared the data"))
    with pytest.raises(CheckpointError, match="seconds"):
        written(data, encoders_of_model(str(model_path), seconds=0.25), folder)


def test_a_label_that_cannot_be_and_a_streamed_split_are_refused_before_encoding(data, encoders, tmp_path, monkeypatch):
    rows = render(encoders.config, **data.config)  # pyright: ignore[reportArgumentType]
    wrong = rows["train"].map(lambda row: {**row, "targets": np.full((5, 2), 3, np.float32).tobytes()})
    monkeypatch.setattr(extraction, "load_rows", lambda *_: {**rows, "train": wrong})
    with pytest.raises(DataError, match="valence is 3, outside -1 to 1"):
        written(data, encoders, tmp_path)
    monkeypatch.setattr(extraction, "load_rows", lambda *_: {**rows, "train": rows["train"].to_iterable_dataset()})
    with pytest.raises(DataError, match="the split train is streamed"):
        written(data, encoders, tmp_path)
    monkeypatch.setattr(extraction, "load_rows", lambda *_: {"train": rows["train"].select([])})
    with pytest.raises(DataError, match="dataset 'rendered' has no clips"):
        written(data, encoders, tmp_path)
    assert not contents(tmp_path)


def test_features_are_not_encoded_again(folder, encoders, tmp_path):
    with pytest.raises(DataError, match="the split train holds features already"):
        written(DataConfig(name="features", config={"folder": str(folder)}), encoders, tmp_path)


def test_backbones_by_name_find_their_modality(experiment_data):
    streams = experiment_data()["model"]["streams"]
    given = [streams["audio"]["backbone"], streams["visual"]["backbone"]]
    encoders = encoders_of_backbones(given, seconds=0.5, targets=["arousal"])
    assert list(encoders.config.streams) == ["audio", "visual"]
    assert encoders.config.streams["visual"].input == encoders.backbones["visual"].input
    assert (encoders.config.sequence.seconds, [t.name for t in encoders.config.targets]) == (0.5, ["arousal"])
    again = encoders_of_backbones(given)
    for name in ("audio", "visual"):
        for one, other in zip(encoders.backbones[name].parameters(), again.backbones[name].parameters(), strict=True):
            assert torch.equal(one, other)
    assert [t.name for t in again.config.targets] == ["valence", "arousal"]


def test_backbones_that_make_no_set_are_refused(experiment_data):
    visual = experiment_data()["model"]["streams"]["visual"]["backbone"]
    with pytest.raises(ConfigError, match="timm/resnet10t and timm/resnet10t are both visual"):
        encoders_of_backbones([visual, visual])
    with pytest.raises(ConfigError, match="give a backbone or a model"):
        encoders_of_backbones([])
    with pytest.raises(ConfigError, match="unknown key 'nmae'"):
        encoders_of_backbones([{**visual, "nmae": 1}])
    with pytest.raises(ConfigError, match="target 'joy' has no standard range"):
        encoders_of_backbones([visual], targets=["joy"])
    with pytest.raises(ConfigError, match="greater than 0"):
        encoders_of_backbones([visual], seconds=0)


def test_a_run_folder_is_a_model(model_path, encoders, tmp_path):
    (tmp_path / "model").symlink_to(model_path)
    found = encoders_of_model(str(tmp_path), targets=["valence"])
    assert found.config.streams == encoders.config.streams
    assert [target.name for target in found.config.targets] == ["valence"]


@pytest.mark.skipif(torch.accelerator.is_available(), reason="each process would need an accelerator of its own")
def test_two_processes_write_the_same_files_as_one(folder, data, model_path, tmp_path):
    script = tmp_path / "two.py"
    script.write_text(
        "import json, os, sys\n"
        "from pathlib import Path\n"
        "from affectzoo.config import DataConfig\n"
        "from affectzoo.train.extract import encoders_of_model, extract\n"
        "done = extract(DataConfig(**json.loads(sys.argv[1])), encoders_of_model(sys.argv[2]), Path(sys.argv[3]), "
        "clips_per_file=1, batch_size=3)\n"
        # To a file of its own: lines that two processes print may mix.
        "Path(sys.argv[4] + os.environ['RANK']).write_text(json.dumps(done and [done.steps, done.written, done.files]))\n"
        # Else the group's threads outlive the interpreter now and then, which aborts the process.
        "__import__('torch').distributed.destroy_process_group()\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    arguments = [json.dumps(data.to_json()), str(model_path), str(tmp_path / "out"), str(tmp_path / "rank")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert [json.loads((tmp_path / f"rank{rank}").read_text()) for rank in (0, 1)] == [[20, 4, 4], None]
    assert contents(tmp_path / "out") == contents(folder)
