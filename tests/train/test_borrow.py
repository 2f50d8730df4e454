"""A model over the backbones of two others: `init` by modality."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from affectzoo.config import ExperimentConfig
from affectzoo.errors import AffectzooError, ConfigError
from affectzoo.hub.run_folder import find_run
from affectzoo.model.affect_model import AffectModel
from affectzoo.train.experiment import read_experiment
from affectzoo.train.extract import encoders_of_experiment
from affectzoo.train.loop import train
from affectzoo.train.runs import run_folder
from affectzoo.train.start import start_from
from tests.train.toys import toy_dataset, toy_experiment, use_dataset


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, str]:
    """Modality -> the run that trained it alone, each with another dropout."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        use_dataset(patch, toy_dataset())
        for seed, name in enumerate(("audio", "visual")):
            experiment = toy_experiment(
                tmp_path_factory.mktemp(name), streams=(name,), dropout=0.1 * seed, seed=seed, train={"epochs": 1}
            )
            train(experiment)
            found[name] = str(run_folder(experiment))
    return found


@pytest.fixture(autouse=True)
def dataset(monkeypatch):
    use_dataset(monkeypatch, toy_dataset())


@pytest.fixture
def read(tmp_path, sources):
    """Reads a recipe on both models, with keys of `model` replaced, and with overrides."""

    def read(streams: Any = None, *overrides: str, **changes: Any) -> ExperimentConfig:
        model = {
            "sequence": {"seconds": 1.0, "length": 2},
            "fusion": "concat",
            "head": {"hidden": None},
            "targets": ["valence", "arousal"],
        }
        if streams is not None:
            model["streams"] = streams
        train = {"epochs": 1, "batch_size": 4, "freeze": ["backbones"]}
        whole = {"name": "both", "output": str(tmp_path), "init": sources, "model": model, "data": {"name": "toy"}}
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump({**whole, "train": train, **changes}), encoding="utf-8")
        return read_experiment(path, list(overrides))

    return read


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "model" / "model.safetensors")


def test_each_backbone_comes_from_its_own_model_and_the_rest_starts_anew(read, sources):
    experiment = read()
    assert [stream.backbone.config["dropout"] for stream in experiment.model.streams.values()] == [0.0, 0.1]
    assert all(stream.input is not None for stream in experiment.model.streams.values())
    train(experiment)
    found = weights(run_folder(experiment))
    for folder in sources.values():
        own = {key: tensor for key, tensor in weights(folder).items() if key.startswith("backbones.")}
        assert len(own) == 2
        assert all(torch.equal(found[key], tensor) for key, tensor in own.items())


def test_what_is_taken_is_said(read, sources):
    experiment, said = read(), []
    start_from(AffectModel(experiment.model), experiment, said.append)
    assert said == [f"backbones.{name} starts from {folder}: 2 tensors" for name, folder in sources.items()] + [
        "4 of 8 tensors start anew"
    ]


def test_sub_sequences_of_another_length_are_said(read):
    experiment, said = read(None, "model.sequence.seconds=0.5"), []
    start_from(AffectModel(experiment.model), experiment, said.append)
    warned = [line for line in said if line.startswith("warning: the audio backbone of ")]
    assert len(warned) == 1
    assert warned[0].endswith("was trained on 1 s at a time, here it reads 0.5 s")


def test_a_stream_may_add_a_temporal_and_name_what_is_equal(read):
    experiment = read({"audio": {"temporal": {"name": "gru", "config": {"hidden": 3}}}, "visual": "toy-wave"})
    audio, visual = (experiment.model.streams[name] for name in ("audio", "visual"))
    assert audio.temporal is not None
    assert visual.temporal is None
    assert visual.backbone.config["dropout"] == 0.1
    named = {"visual": {"backbone": {"name": "toy-wave", "config": {"width": 6}}, "input": {"samples": 8}}}
    assert read(named).model.streams == read().model.streams
    assert read(None, "model.streams.audio.temporal.name=gru").model.streams["audio"].temporal is not None


@pytest.mark.parametrize(
    ("streams", "words"),
    [
        ({"audio": {"backbone": {"name": "toy-wave", "config": {"width": 9}}}}, r"backbone.config.width is 6 there and 9"),
        ({"audio": {"backbone": {"name": "toy-wave", "config": {"depth": 9}}}}, r"backbone.config.depth is set in this exp"),
        ({"audio": "signal-mlp"}, r"streams.audio is not that of .*: backbone.name is \"toy-wave\" there and \"signal-mlp\""),
        ({"audio": {"input": {"samples": 9}}}, r"input.samples is 8 there and 9 in this experiment; leave both out"),
        ({"audio": 3}, r"streams.audio is not that of .*3 in this experiment"),
        ({"audio": None}, r"init.audio has no effect: model.streams.audio is null; set init.audio=null too"),
        ({"audio": {"temporl": "gru"}}, r"unknown key 'model.streams.audio.temporl'; did you mean 'temporal'"),
    ],
)
def test_a_stream_that_is_not_the_other_models_is_one_sentence(read, streams, words):
    with pytest.raises(ConfigError, match=words):
        read(streams)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"init": {"audio": "nowhere-to-be-found"}}, "nowhere-to-be-found"),
        ({"init": {}}, "init: a model is meant"),
        ({"init": {"audio": 3}}, "init: a model is meant"),
        ({"init": 3}, "init: a model is meant"),
    ],
)
def test_an_init_that_names_no_model_is_one_sentence(read, changes, words):
    with pytest.raises(AffectzooError, match=words):
        read(None, **changes)


def test_a_stream_that_the_other_model_lacks_names_what_it_has(read, sources):
    with pytest.raises(ConfigError, match=r"init.gaze: .* has no stream 'gaze', it has audio$"):
        read(None, f"init.gaze={sources['audio']}")


def test_a_modality_can_be_taken_out_and_replaced_on_the_command_line(read, sources):
    alone = read(None, "init.visual=null", "model.fusion=null")
    assert list(alone.model.streams) == ["audio"]
    assert alone.init == {"audio": sources["audio"]}
    other = read(None, f"init.audio={sources['audio']}/model")
    assert other.init_models == (f"{sources['audio']}/model", sources["visual"])


def test_a_modality_without_a_model_starts_anew(read):
    experiment = read({"gaze": "toy-wave"}, train={"epochs": 1, "batch_size": 4})
    assert list(experiment.model.streams) == ["gaze", "audio", "visual"]
    train(experiment)
    with pytest.raises(ConfigError, match="the gaze backbone of both starts anew, so its features would be random"):
        encoders_of_experiment(experiment)


def test_what_has_no_effect_or_does_not_fit_is_refused_before_training(read, sources):
    refused = {
        r"new_parts has no effect with init by modality": {"new_parts": ("head",)},
        r"init and pretrain both say where the backbones come from": {"pretrain": read().train},
        r"init names 'gaze', and this model's streams are audio, visual": {"init": {"gaze": sources["audio"]}},
        r"the audio stream of .* is not this model's: backbone.config.dropout": {
            "model": toy_experiment("x", streams=("audio", "visual"), dropout=0.3).model
        },
        r"init.visual: .* has no stream 'visual', it has audio": {"init": {"visual": sources["audio"]}},
    }
    for words, changes in refused.items():
        with pytest.raises(ConfigError, match=words):
            train(read().model_copy(update=changes))


def test_whom_both_models_were_trained_on_is_kept_and_met(read, sources, tmp_path, capsys):
    copies = {}
    for name, folder in sources.items():
        copies[name] = tmp_path / name
        (copies[name] / "model").mkdir(parents=True)
        for file in ("config.json", "model.safetensors"):
            (copies[name] / "model" / file).write_bytes((Path(folder) / "model" / file).read_bytes())
    (copies["audio"] / "trained_on.json").write_text(json.dumps({"toy": ["ann", "test-subject0"], "web": ["bo"]}))
    (copies["visual"] / "trained_on.json").write_text(json.dumps({"toy": ["cy"], "web": None}))
    experiment = read(None, *(f"init.{name}={folder}" for name, folder in copies.items()))
    train(experiment)
    out = capsys.readouterr().out
    assert f"warning: {copies['audio']} was trained on 1 of the 3 subjects, test-subject0 among them, of the test split" in out
    assert f"warning: {copies['visual']}" not in out
    held = json.loads((run_folder(experiment) / "trained_on.json").read_text())
    assert held["web"] is None
    assert set(held["toy"]) == {"ann", "cy", "test-subject0", *(f"train-subject{i}" for i in range(11))}


def test_an_ended_run_is_read_again_with_its_models(read):
    experiment = read()
    train(experiment)
    run = find_run(run_folder(experiment))
    assert run is not None
    assert run.experiment == experiment
