"""`affectzoo features`: what it writes, what it prints, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import affectzoo
from affectzoo.data.feature_store import check_weights

VISUAL = "{name: timm/resnet10t, config: {frames: 2, image_size: 32, model_args: {channels: [4, 4, 8, 8], stem_width: 4}}}"


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> list[str]:
    """A rendered dataset of three little clips, as arguments."""
    cache = tmp_path_factory.mktemp("cache")
    return ["rendered", "identities={train: 1, val: 1, test: 1}", "clips_per_identity=1", "duration_s=1", f"cache_dir={cache}"]


def test_features_of_a_model_are_written_once(affect, dataset, tiny_model, tmp_path):
    outcome = affect("features", *dataset, "--model", tiny_model, "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    first, second = outcome.out.splitlines()
    assert first.startswith("6 sub-sequences in ")
    assert first.endswith(" a second")
    assert second == f"{tmp_path}: 3 files; train with data.name=features data.config.folder={tmp_path}"
    store = json.loads((tmp_path / "store.json").read_text())
    assert list(store["streams"]) == ["visual", "audio"]
    assert (store["seconds"], store["data"]["config"]["duration_s"]) == (0.5, 1)
    again = affect("features", *dataset, "--model", tiny_model, "--out", tmp_path)
    assert again.out == f"{tmp_path}: 3 files, 3 of them kept; train with data.name=features data.config.folder={tmp_path}\n"


def test_features_of_a_backbone_for_chosen_labels(affect, dataset, tmp_path):
    outcome = affect(
        "features", *dataset, "--backbone", VISUAL, "--seconds", "0.5", "--targets", "arousal, valence", "--out", tmp_path
    )
    assert outcome.code == 0, outcome.err
    store = json.loads((tmp_path / "store.json").read_text())
    assert list(store["streams"]) == ["visual"]
    assert [target["name"] for target in store["targets"]] == ["arousal", "valence"]
    refused = affect("features", *dataset, "--backbone", VISUAL, "--seconds", "0.5", "--out", tmp_path)
    assert refused.code == 2
    assert refused.complaints == [
        f'affectzoo: {tmp_path} holds other features: targets is ["arousal", "valence"] there and ["valence", "arousal"] now; '
        "choose another --out"
    ]


@pytest.fixture
def recipe(dataset, tiny_model, tmp_path) -> Path:
    """An experiment on that dataset, with the backbones of two models."""
    options = dict(option.split("=", 1) for option in dataset[1:])
    options = {key: yaml.safe_load(value) for key, value in options.items()}
    whole = {
        "name": "both",
        "init": {"audio": str(tiny_model), "visual": str(tiny_model)},
        "model": {"sequence": {"seconds": 0.5, "length": 2}, "fusion": "concat", "targets": ["arousal"]},
        "data": {"name": "rendered", "config": options},
        "train": {"freeze": ["backbones"]},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(whole), encoding="utf-8")
    return path


def test_features_of_a_recipe_come_from_the_models_that_its_init_names(affect, recipe, tiny_model, tmp_path):
    folder = tmp_path / "features"
    outcome = affect("features", recipe, "clips_per_identity=2", f"init.audio={tiny_model}", "--out", folder)
    assert outcome.code == 0, outcome.err
    assert f"backbones.audio starts from {tiny_model}: " in outcome.err
    assert outcome.out.startswith("12 sub-sequences in ")
    store = json.loads((folder / "store.json").read_text())
    assert sorted(store["streams"]) == ["audio", "visual"]
    assert ([target["name"] for target in store["targets"]], store["seconds"]) == (["arousal"], 0.5)
    assert store["data"]["config"]["clips_per_identity"] == 2
    check_weights(folder, affectzoo.load(tiny_model))


def test_a_recipe_with_a_backbone_of_random_weights_gives_no_features(affect, recipe, tmp_path):
    model = "model.streams.gaze=signal-mlp"
    outcome = affect("features", recipe, model, "--out", tmp_path / "features")
    assert outcome.code == 2
    assert "the gaze backbone of both starts anew" in outcome.complaints[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rendered"], "give one of the two"),
        (["rendered", "--model", "jca-rendered", "--backbone", "timm/resnet18"], "give one of the two"),
        (["renderd", "--model", "jca-rendered"], "Did you mean 'rendered'?"),
        (["rendered", "durations=3", "--model", "jca-rendered"], "unknown key 'durations'"),
        (["rendered", "--model", "jca-renderd"], "Did you mean 'jca-rendered'"),
        (["rendered", "--backbone", "timm/resnet10"], "did you mean resnet10t"),
        (["rendered", "--backbone", "{name: ["], "--backbone '{name: [' is neither a name nor YAML"),
        (["rendered", "--backbone", "[1]"], "--backbone '[1]' is neither a name nor a mapping"),
        (["rendered", "--backbone", VISUAL, "--targets", "joy"], "target 'joy' has no standard range"),
        (["rendered", "--backbone", VISUAL, "--seconds", "0"], "sequence.seconds"),
    ],
)
def test_a_mistake_is_one_sentence(affect, arguments, words, tmp_path):
    outcome = affect("features", *arguments, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert len(outcome.complaints) == 1
    assert words in outcome.complaints[0]
    assert not list(tmp_path.rglob("*.*"))


def test_a_file_in_the_place_of_the_folder_is_named(affect, dataset, tmp_path):
    (tmp_path / "file").touch()
    outcome = affect("features", *dataset, "--backbone", VISUAL, "--out", tmp_path / "file")
    assert outcome.code == 2
    assert "cannot be a folder for results" in outcome.complaints[0]
