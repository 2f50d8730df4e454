"""Teachers see what the model sees, share the loss as asked, are part of no checkpoint, and must fit."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import debug_launcher

import affectzoo
from affectzoo.config import DataConfig
from affectzoo.config.training import DistilConfig
from affectzoo.errors import ConfigError, UnknownNameError
from affectzoo.train.extract import encoders_of_model, extract
from affectzoo.train.loop import train
from affectzoo.train.runs import run_folder
from tests.train.test_options import class_dataset, classes
from tests.train.test_processes import child, compare, half_valid
from tests.train.test_resume import HARD, Killed, kill, same, weights
from tests.train.toys import toy_dataset, toy_experiment, use_dataset

STREAMS = ("audio", "visual")
#: Steps so short that the loss of the epoch is that of the first weights, to float32.
STILL: dict[str, Any] = {"lr": 1e-12, "epochs": 1, "weight_decay": 0.0}


@pytest.fixture(autouse=True)
def dataset(monkeypatch):
    use_dataset(monkeypatch, toy_dataset())


@pytest.fixture(scope="module")
def teachers(tmp_path_factory) -> list[str]:
    """The folders of two runs."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        use_dataset(patch, toy_dataset())
        for seed in (3, 4):
            experiment = toy_experiment(
                tmp_path_factory.mktemp("teachers"), streams=STREAMS, dropout=0.3, seed=seed, train={"epochs": 2}
            )
            train(experiment)
            found.append(str(run_folder(experiment)))
    return found


def copied(run: str, folder: Path) -> Path:
    """The model of a run, in a folder of its own."""
    return Path(shutil.copytree(Path(run) / "model", folder / "model"))


def loss_of(folder: Path) -> float:
    return json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])["loss"]


def taught(folder: Path, names: list[str], *, dropout: float = 0.0, weight: float = 0.5, **changes: Any) -> Any:
    settings = {"distil": {"teachers": names, "weight": weight}, **changes.pop("train", {})}
    return toy_experiment(folder, streams=STREAMS, dropout=dropout, train=settings, **changes)


@pytest.mark.parametrize(
    "changes", [{}, {"mixup": 1.0}, {"modality_dropout": 0.5, "time_masking": 0.3}, {"augment": {"noise": {"audio": 0.5}}}]
)
def test_a_model_that_its_own_weights_teach_on_the_very_same_inputs_stays_as_it_is(teachers, tmp_path, changes):
    settings = {**changes, "lr": 0.01, "weight_decay": 0.0}
    experiment = taught(tmp_path, teachers[:1], weight=1.0, init=teachers[0], train=settings)
    train(experiment)
    assert loss_of(run_folder(experiment)) == 0
    assert same(weights(run_folder(experiment)), weights(Path(teachers[0])))


def test_the_loss_is_shared_as_asked_between_labels_and_teachers(teachers, tmp_path):
    losses = {}
    for share in (0.0, 0.25, 1.0):
        experiment = (
            taught(tmp_path / str(share), teachers, weight=share, train=STILL)
            if share
            else toy_experiment(tmp_path / "alone", streams=STREAMS, train=STILL)
        )
        train(experiment)
        losses[share] = loss_of(run_folder(experiment))
    assert losses[0.25] == pytest.approx(0.75 * losses[0.0] + 0.25 * losses[1.0], rel=1e-5)
    assert losses[1.0] != pytest.approx(losses[0.0], rel=0.05)


def test_a_teacher_draws_a_model_towards_itself_and_another_elsewhere(teachers, tmp_path):
    found = {}
    for name, who in (("one", teachers[:1]), ("other", teachers[1:]), ("both", teachers)):
        experiment = taught(tmp_path / name, who, weight=1.0, train={"epochs": 6})
        train(experiment)
        lines = [json.loads(line)["loss"] for line in (run_folder(experiment) / "metrics.jsonl").read_text().splitlines()]
        assert lines[-1] < 0.5 * lines[0]
        found[name] = weights(run_folder(experiment))
    assert not same(found["one"], found["other"])
    assert not same(found["one"], found["both"])


def test_classes_are_taught_at_the_temperature(monkeypatch, tmp_path):
    class_dataset(monkeypatch)
    teacher = classes(tmp_path / "teacher", epochs=2)
    train(teacher)
    found = []
    for temperature in (1.0, 5.0):
        settings = DistilConfig(teachers=(str(run_folder(teacher)),), weight=1.0, temperature=temperature)
        experiment = classes(tmp_path / str(temperature), distil=settings)
        train(experiment)
        found.append(weights(run_folder(experiment)))
    assert not same(*found)


def test_a_killed_run_goes_on_to_the_same_bits_and_no_checkpoint_holds_a_teacher(teachers, tmp_path, monkeypatch):
    def experiment(name: str) -> Any:
        return taught(tmp_path / name, teachers, dropout=0.3, train=HARD)

    train(experiment("whole"))
    with monkeypatch.context() as patch:
        kill(patch, "_step", 4, True)
        with pytest.raises(Killed):
            train(experiment("killed"))
    last = max((run_folder(experiment("killed")) / "checkpoints").glob("step-*"))
    held = torch.load(last / "shared.pt", weights_only=True)["learner"]
    assert {name.split(".")[0] for name in held} == {"model", "objective"}
    train(experiment("killed"), resume=True)
    assert same(weights(run_folder(experiment("whole"))), weights(run_folder(experiment("killed"))))


def test_a_run_does_not_go_on_with_other_teachers(teachers, tmp_path, monkeypatch):
    changing = tmp_path / "changing"
    toy = toy_experiment(changing, streams=STREAMS, dropout=0.3, train={"epochs": 1})
    train(toy)
    mine = str(run_folder(toy))
    with monkeypatch.context() as patch:
        kill(patch, "_step", 4, True)
        with pytest.raises(Killed):
            train(taught(tmp_path, [mine], train=HARD))
    with pytest.raises(ConfigError, match=r"train\.distil\.teachers is "):
        train(taught(tmp_path, teachers, train=HARD), resume=True)
    affectzoo.load(teachers[0]).save_pretrained(run_folder(toy) / "model")
    with pytest.raises(ConfigError, match=rf"weights_of_teachers\.{re.escape(mine)} is '[0-9a-f]+', and was '[0-9a-f]+'"):
        train(taught(tmp_path, [mine], train=HARD), resume=True)


@pytest.fixture
def store(teachers, tmp_path) -> dict[str, Any]:
    """The features of the first teacher's backbones, as data."""
    folder = tmp_path / "store"
    extract(DataConfig(name="toy"), encoders_of_model(teachers[0], seconds=None, targets=None), folder, say=lambda _: None)
    return {"name": "features", "config": {"folder": str(folder)}}


def test_on_features_a_teacher_of_the_same_backbones_says_what_it_says_of_raw_input(teachers, store, tmp_path):
    def fused(name: str, data: dict[str, Any], **changes: Any) -> Any:
        settings = {"epochs": 2, **changes}
        return taught(
            tmp_path / name, teachers[:1], dropout=0.3, init=teachers[0], new_parts=["head"], data=data, train=settings
        )

    stored, raw = fused("stored", store), fused("raw", {"name": "toy"}, freeze=["backbones"])
    train(stored)
    train(raw)
    found, wanted = weights(run_folder(stored)), weights(run_folder(raw))
    for name, tensor in found.items():
        # The same rows in other batches: a last digit of a feature may differ.
        torch.testing.assert_close(tensor, wanted[name], atol=1e-5, rtol=0)


def test_on_features_a_teacher_of_other_backbones_is_refused(teachers, store, tmp_path):
    with pytest.raises(ConfigError, match=r"the training is on features, and .* its audio backbone has other weights"):
        train(taught(tmp_path, teachers, dropout=0.3, init=teachers[0], data=store))
    # The same weights in a backbone of another configuration, as one that pools otherwise would be.
    other = copied(teachers[0], tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    config["streams"]["visual"]["backbone"]["config"]["dropout"] = 0.2
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"of its visual stream backbone\.config\.dropout is 0\.2 there and 0\.3 in this"):
        train(taught(tmp_path, [str(other)], dropout=0.3, init=teachers[0], data=store))


def test_whom_a_teacher_was_trained_on_is_kept_and_met(teachers, tmp_path, capsys):
    model = copied(teachers[0], tmp_path / "other")
    (model.parent / "trained_on.json").write_text(json.dumps({"toy": ["ann", "test-subject0"], "web": None}))
    experiment = taught(tmp_path, [str(model)], train={"epochs": 1})
    train(experiment)
    assert f"warning: {model} was trained on 1 of the 3 subjects, test-subject0 among them" in capsys.readouterr().out
    held = json.loads((run_folder(experiment) / "trained_on.json").read_text())
    assert held["web"] is None
    assert {"ann", "test-subject0", "train-subject0"} <= set(held["toy"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"streams": ("audio",)}, r"train\.distil: .* cannot teach this model: streams is "),
        ({"sequence": {"seconds": 1.0, "length": 1}}, r"sequence\.length is 2 there and 1 in this model"),
        ({"sequence": {"seconds": 0.5, "length": 2}}, r"sequence\.seconds is 1.0 there and 0.5 in this model"),
        ({"targets": ["arousal", "valence"]}, "columns is "),
        ({"targets": ["valence", {"name": "arousal", "low": -2, "high": 2}]}, r"targets\.arousal\.low is -1.0 there and -2.0"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(teachers, tmp_path, changes, words):
    experiment = toy_experiment(tmp_path, streams=changes.pop("streams", STREAMS), train={"distil": {"teachers": teachers[:1]}})
    model = type(experiment.model).parse({**experiment.model.to_json(), **changes})
    with pytest.raises(ConfigError, match=words):
        train(experiment.model_copy(update={"model": model}))
    assert not (run_folder(experiment) / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"distil": {"teachers": []}}, r"train\.distil\.teachers"),
        ({"distil": {"teachers": ["x"], "weight": 0}}, r"train\.distil\.weight"),
        ({"distil": {"teachers": ["x"], "temperature": 0}}, r"train\.distil\.temperature"),
        ({"distil": {"teachers": ["x"], "temperature": 2}}, r"train\.distil\.temperature has no effect: no target is cat"),
        (
            {"distil": {"teachers": ["x"], "weight": 1}, "weighting": "uncertainty"},
            r"train\.weighting has no effect: .*labels",
        ),
        ({"distil": {"teachers": ["x"], "weight": 1}, "loss": "mse"}, r"train\.loss has no effect: .*labels"),
        ({"distil": {"teachers": ["x", "y", "x"]}}, r"distil\.teachers names x more than once, .*; name it once"),
    ],
)
def test_settings_that_cannot_be_or_would_be_ignored_are_refused(tmp_path, settings, words):
    with pytest.raises(ConfigError, match=words):
        train(toy_experiment(tmp_path, train=settings))


def test_an_unknown_teacher_and_one_for_every_stream_alone_are_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="'nobody'"):
        train(toy_experiment(tmp_path, train={"distil": {"teachers": ["nobody"]}}))
    with pytest.raises(ConfigError, match=r"pretrain\.distil would teach every stream alone .* set it under train"):
        train(toy_experiment(tmp_path, streams=STREAMS, pretrain={"distil": {"teachers": ["nobody"]}}))


@pytest.mark.forks
def test_two_processes_are_one_with_twice_the_batch(teachers, tmp_path, monkeypatch):
    use_dataset(monkeypatch, toy_dataset({"train": 11, "val": 4, "test": 3}, half_valid))
    two, one = (taught(tmp_path / str(size), teachers, train={"batch_size": size, "accumulate": 2}) for size in (4, 8))
    train(one)
    debug_launcher(child, args=(two,), num_processes=2)
    compare(one, two)
