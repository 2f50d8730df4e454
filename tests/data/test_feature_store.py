"""A folder of features: read as it was written, complete or refused, and only for the backbones that made it."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from affectzoo.config import ModelConfig
from affectzoo.data.feature_store import (
    StoreConfig,
    build,
    check_weights,
    feature_file,
    is_whole,
    open_store,
    read_store,
    weights_digest,
    write_rows,
    write_store,
)
from affectzoo.data.windows import windows_over
from affectzoo.errors import CheckpointError, ConfigError, DataError
from affectzoo.model.affect_model import AffectModel
from affectzoo.registry import registry
from tests.model.toys import audio_visual_model, register_toys

COUNTS = [5, 3, 4]
DIMS = {"visual": 6, "audio": 5}


@pytest.fixture(scope="module")
def model() -> AffectModel:
    register_toys()
    torch.manual_seed(0)
    return audio_visual_model()


@pytest.fixture(scope="module")
def store(model) -> StoreConfig:
    """Three clips for training, two in a file, and one to validate on."""
    config = model.config.to_json()
    streams = {
        name: {
            "backbone": stream["backbone"],
            "input": stream["input"],
            "feature_dim": DIMS[name],
            "weights": weights_digest(model.backbones[name]),
        }
        for name, stream in config["streams"].items()
    }
    splits = {"train": {"clips": 3, "fingerprint": "a"}, "val": {"clips": 1, "fingerprint": "b"}}
    return StoreConfig.parse(
        {
            "streams": streams,
            "seconds": config["sequence"]["seconds"],
            "targets": config["targets"],
            "provider": "mine 1.0",
            "data": {"name": "mine", "config": {"seed": 3}},
            "splits": splits,
            "clips_per_file": 2,
        }
    )


def make_row(number: int, steps: int) -> dict[str, Any]:
    generator = np.random.default_rng(number)
    return {
        "clip_id": f"clip{number}",
        "subject": f"person{number}",
        "times_s": np.arange(steps).astype(np.float64).tobytes(),
        "targets": generator.uniform(-1, 1, (steps, 2)).astype(np.float32).tobytes(),
        "valid": np.ones(steps, bool).tobytes(),
        **{f"present.{name}": np.ones(steps, bool).tobytes() for name in DIMS},
        **{f"feature.{name}": generator.normal(size=(steps, dim)).astype(np.float32) for name, dim in DIMS.items()},
    }


ROWS = [make_row(number, steps) for number, steps in enumerate(COUNTS)]


@pytest.fixture
def folder(store, tmp_path) -> Path:
    write_store(tmp_path, store)
    for split in store.splits:
        for number, clips in enumerate(store.files(split)):
            write_rows(feature_file(tmp_path, split, number), [ROWS[clip] for clip in clips], store)
    return tmp_path


def changed(config: ModelConfig, path: str, value: Any) -> ModelConfig:
    data = copy.deepcopy(config.to_json())
    node: Any = data
    *above, last = path.split(".")
    for part in above:
        node = node[int(part) if part.isdigit() else part]
    node[last] = value
    return ModelConfig.parse(data)


def test_features_are_read_as_they_were_written(folder, model):
    rows = build(model.config, folder=str(folder))
    assert list(rows) == ["train", "val"]
    windows = windows_over(rows["train"], model.config)
    assert windows.clip_ids == ["clip0", "clip1", "clip2"]
    assert windows.counts == COUNTS
    for number, count in enumerate(COUNTS):
        row, _ = windows.read_row(number)
        assert row["targets"].to_pybytes() == ROWS[number]["targets"]
        for name in DIMS:
            features = windows.steps(number, row, name, 0, count).numpy()
            np.testing.assert_array_equal(features, ROWS[number][f"feature.{name}"])


def test_the_files_are_mapped_and_not_copied(folder, model):
    rows = build(model.config, folder=str(folder))["train"]
    assert {Path(file["filename"]).name for file in rows.cache_files} == {"00000.arrow", "00001.arrow"}


def test_the_dataset_is_in_the_registry():
    assert registry().find("dataset", "features").resolve() is build


def test_a_model_may_use_some_of_the_modalities(folder, model):
    alone = model.config.model_copy(update={"streams": {"audio": model.config.streams["audio"]}, "fusion": None})
    item = windows_over(build(alone, folder=str(folder))["val"], alone)[0]
    assert list(item["inputs"]) == ["audio"]
    stranger = model.config.model_copy(update={"streams": {"thermal": model.config.streams["visual"]}, "fusion": None})
    with pytest.raises(DataError, match="holds features of visual, audio; this model wants 'thermal' too"):
        build(stranger, folder=str(folder))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("streams.visual.backbone.config.width", 7, "streams.visual.backbone.config.width is 6 there and 7 in this model"),
        ("streams.audio.backbone.name", "toy-tied", 'streams.audio.backbone.name is "toy-audio" there and "toy-tied"'),
        ("streams.visual.input.margin", 0.5, "streams.visual.input.margin is 0.2 there and 0.5"),
        ("sequence.seconds", 2.0, "seconds is 1.06.* there and 2.0"),
        ("targets", ["arousal", "valence"], r'targets is \["valence", "arousal"\] there and \["arousal", "valence"\]'),
        ("targets", ["valence"], "targets is"),
        ("targets.0.high", 5.0, "target.valence.high is 1.0 there and 5.0"),
    ],
)
def test_the_first_difference_to_the_model_is_named(folder, model, path, value, words):
    with pytest.raises(DataError, match=words):
        build(changed(model.config, path, value), folder=str(folder))


def test_what_a_model_may_differ_in(folder, model):
    newer = changed(model.config, "streams.visual.backbone.version", "9.9")
    for config in (newer, changed(model.config, "sequence.length", 2), changed(model.config, "head.hidden", 3)):
        assert build(config, folder=str(folder))


def test_other_weights_are_refused_and_the_modality_named(folder, model):
    check_weights(folder, model)
    for name in DIMS:
        other = copy.deepcopy(model)
        with torch.no_grad():
            next(iter(other.backbones[name].parameters())).view(-1)[0] += 1e-6
        with pytest.raises(CheckpointError, match=f"its features of {name} come from other weights"):
            check_weights(folder, other)
    other = copy.deepcopy(model)
    other.head.load_state_dict({name: weight + 1 for name, weight in other.head.state_dict().items()})
    check_weights(folder, other)


@pytest.mark.parametrize("part", ["buffer", "dtype", "name"])
def test_the_digest_covers_buffers_dtypes_and_names(model, part):
    backbone = copy.deepcopy(model.backbones["audio"])
    before = weights_digest(backbone)
    if part == "buffer":
        backbone.norm.running_mean += 1
    elif part == "dtype":
        backbone.linear.weight.data = torch.zeros_like(backbone.linear.weight)
        before = weights_digest(backbone)
        backbone.linear.weight.data = torch.zeros(10, 8, dtype=torch.float16).view(5, 16)  # the same bytes
    else:
        backbone.other = backbone.linear
        del backbone.linear
    assert weights_digest(backbone) != before


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "text", "other clips", "other store"])
def test_a_store_that_is_not_complete_names_the_file(folder, model, store, damage):
    path = feature_file(folder, "train", 1)
    whole = path.read_bytes()
    assert is_whole(path, ["clip2"], [4], store)
    if damage == "missing":
        path.unlink()
    elif damage == "other clips":
        path.write_bytes(feature_file(folder, "train", 0).read_bytes())
    elif damage == "other store":
        write_rows(path, [ROWS[2]], store.model_copy(update={"seconds": 9.0}))
    else:
        path.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"not Arrow, but a sentence"}[damage])
    assert not is_whole(path, ["clip2"], [4], store)
    with pytest.raises(DataError, match=r"train/00001.arrow is missing or not whole; run `affectzoo features`"):
        build(model.config, folder=str(folder))


def test_a_file_cut_anywhere_is_not_whole(folder, store):
    path = feature_file(folder, "train", 0)
    whole = path.read_bytes()
    for size in range(0, len(whole) - 8, 97):  # the last 8 bytes only say that no more follows
        path.write_bytes(whole[:size])
        assert not is_whole(path, ["clip0", "clip1"], COUNTS[:2], store)
    path.write_bytes(whole)
    assert is_whole(path, ["clip0", "clip1"], COUNTS[:2], store)
    assert not is_whole(path, ["clip0", "clip2"], COUNTS[:2], store)
    assert not is_whole(path, ["clip0", "clip1"], [5, 4], store)


def test_a_store_goes_on_only_with_what_it_was_begun_with(folder, store):
    assert open_store(folder / "new", store) == store
    assert open_store(folder, store) == store
    newer = store.model_dump(mode="json")
    newer["streams"]["visual"]["backbone"]["version"] = "9.9"
    assert open_store(folder, StoreConfig.parse(newer)) == store
    assert open_store(folder, store.model_copy(update={"splits": {}})) == store
    for path, value, words in (
        (("streams", "audio", "weights"), "x", "streams.audio.weights is"),
        (("data", "config", "seed"), 4, "data.config.seed is 3 there and 4 now"),
        (("data", "config", "more"), 1, "data.config.more is set now but not there"),
        (("splits", "train", "fingerprint"), "c", 'splits.train.fingerprint is "a" there and "c" now'),
        (("provider",), "mine 2.0", 'provider is "mine 1.0" there and "mine 2.0" now'),
    ):
        data = store.to_json()
        node: Any = data
        for part in path[:-1]:
            node = node[part]
        node[path[-1]] = value
        with pytest.raises(CheckpointError, match=f"holds other features: {words}.*; choose another --out"):
            open_store(folder, StoreConfig.parse(data))


def test_a_folder_that_is_no_store_is_named(folder, tmp_path_factory):
    with pytest.raises(DataError, match=r"holds no store\.json, so it is no folder of features"):
        read_store(tmp_path_factory.mktemp("empty"))
    path = folder / "store.json"
    data = json.loads(path.read_text())
    path.write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        read_store(folder)
    path.write_text(json.dumps({**data, "schema_version": 2}))
    with pytest.raises(DataError, match="schema version 2, this affectzoo reads 1"):
        read_store(folder)
    path.write_text(json.dumps([]))
    with pytest.raises(DataError, match="schema version None"):
        read_store(folder)
    path.write_text(json.dumps({**data, "secnods": 1}))
    with pytest.raises(ConfigError, match="unknown key 'secnods'"):
        read_store(folder)


def test_a_calibrated_model_reads_and_extends_the_features_of_the_uncalibrated(store, tmp_path):
    mood = {"name": "mood", "kind": "categorical", "classes": ["calm", "cross"]}
    plain, calibrated = (
        StoreConfig.parse({**store.to_json(), "targets": [{**mood, "temperature": value}]}) for value in (1.0, 1.7)
    )
    assert plain.digest == calibrated.digest
    write_store(tmp_path, plain)
    assert open_store(tmp_path, calibrated) == plain
    assert store.digest != plain.digest


def test_the_digest_is_that_of_a_store_from_before_targets_had_a_temperature(store):
    before = store.to_json()
    for target in before["targets"]:
        del target["temperature"]
    assert store.digest == hashlib.sha256(json.dumps(before, sort_keys=True).encode()).hexdigest()
