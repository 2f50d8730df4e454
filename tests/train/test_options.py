"""No option is ignored: each changes what is trained, or, where it must not, leaves it as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from affectzoo.config import ModelConfig, TrainConfig
from affectzoo.data.windows import class_counts, windows_over
from affectzoo.errors import ConfigError, DataError
from affectzoo.model.affect_model import AffectModel
from affectzoo.train.loop import objective_of, train
from affectzoo.train.runs import run_folder
from affectzoo.train.splits import load_rows
from tests.train.toys import toy_dataset, toy_experiment, use_dataset

#: Option -> a value other than the toy experiment's; with each of them other weights are learnt.
CHANGES: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 5,
    "accumulate": 2,
    "lr": 0.02,
    "weight_decay": 0.5,
    "warmup": 0.9,
    "clip_norm": 0.01,
    "loss": "smooth-l1",
    "weights": {"valence": 3.0},
    "weighting": "uncertainty",
    "modality_dropout": 0.5,
    "time_masking": 0.3,
    "augment": {"noise": {"audio": 0.5}},
    "mixup": 0.4,
    "window_hop": 2,
    "sampling": "clips",
    "ema": 0.5,
    "freeze": ["backbones.audio"],
}
#: Options that must not change the weights.
HARMLESS: dict[str, Any] = {"workers": 1, "checkpoint_steps": 1, "keep_checkpoints": 1}
#: Options that need other data or models than the toy's; each has a test of its own.
ELSEWHERE = {
    "activation_checkpointing",
    "calibrate",
    "class_balance",
    "compile",
    "distil",
    "epoch_steps",
    "label_smoothing",
    "logit_adjustment",
    "sampling_exponent",
    "ordinal_loss",
    "patience",
}


@pytest.fixture(autouse=True)
def dataset(monkeypatch):
    use_dataset(monkeypatch, toy_dataset())


def trained(folder: Path, **settings: Any) -> dict[str, torch.Tensor]:
    top = {key: settings.pop(key) for key in ("precision", "seed") if key in settings}
    experiment = toy_experiment(folder, streams=("audio", "visual"), train=settings, **top)
    train(experiment)
    return load_file(run_folder(experiment) / "model" / "model.safetensors")


def test_every_option_is_looked_at():
    assert CHANGES.keys() | HARMLESS.keys() | ELSEWHERE == TrainConfig.model_fields.keys()


@pytest.fixture(scope="module")
def usual(tmp_path_factory) -> dict[str, torch.Tensor]:
    with pytest.MonkeyPatch.context() as patch:
        use_dataset(patch, toy_dataset())
        return trained(tmp_path_factory.mktemp("usual"))


@pytest.mark.parametrize("name", [*CHANGES, "seed", "precision"])
def test_an_option_changes_the_weights(usual, tmp_path, name):
    value = {"seed": 1, "precision": "bf16"}.get(name, CHANGES.get(name))
    found = trained(tmp_path, **{name: value})
    assert any(not torch.equal(found[key], usual[key]) for key in usual)


@pytest.mark.parametrize("name", HARMLESS)
def test_an_option_leaves_the_weights_alone(usual, tmp_path, name):
    found = trained(tmp_path, **{name: HARMLESS[name]})
    assert all(torch.equal(found[key], usual[key]) for key in usual)


@pytest.mark.slow
def test_a_compiled_model_learns_the_same(usual, tmp_path):
    found = trained(tmp_path, compile=True)
    for key, tensor in usual.items():
        torch.testing.assert_close(found[key], tensor, atol=1e-4, rtol=1e-3)


def test_activations_that_are_computed_again_give_the_same(make_experiment, tmp_path, monkeypatch):
    monkeypatch.undo()  # the rendered dataset
    found = []
    for name, flag in (("kept", False), ("again", True)):
        settings = {"epochs": 1, "batch_size": 4, "activation_checkpointing": flag}
        experiment = make_experiment(name=name, output=str(tmp_path), train=settings)
        train(experiment)
        found.append(load_file(run_folder(experiment) / "model" / "model.safetensors"))
    for key, tensor in found[0].items():
        torch.testing.assert_close(found[1][key], tensor, atol=1e-6, rtol=1e-5)


def test_a_backbone_that_cannot_do_it_says_so(tmp_path):
    with pytest.raises(ConfigError, match=r"toy-wave.* no activation checkpointing"):
        trained(tmp_path, activation_checkpointing=True)


def categories(number: int, arrays: dict[str, Any]) -> None:
    """Two classes in place of two targets, the second one rare."""
    arrays["targets"][:] = [1.0, 0.0] if number % 5 else [0.0, 1.0]


def classes(folder: Path, **settings: Any) -> Any:
    target = {"name": "mood", "kind": "categorical", "classes": ["calm", "tense"]}
    experiment = toy_experiment(folder, train={"epochs": 1, **settings})
    return experiment.model_copy(update={"model": experiment.model.model_copy(update={"targets": _targets([target])})})


def _targets(given: list[Any]) -> Any:
    from affectzoo.config import TargetConfig

    return tuple(TargetConfig.parse(target) for target in given)


def class_dataset(monkeypatch: pytest.MonkeyPatch, *, stream: bool = False) -> None:
    from tests.train.toys import toy_rows

    def build(config: ModelConfig, **_: Any) -> dict[str, Any]:
        two = config.model_copy(update={"targets": _targets(["valence", "arousal"])})
        rows: dict[str, Any] = {
            split: toy_rows(two, split, count, change=categories) for split, count in (("train", 10), ("val", 6), ("test", 6))
        }
        return {**rows, "train": rows["train"].to_iterable_dataset()} if stream else rows

    use_dataset(monkeypatch, build)


@pytest.mark.parametrize(
    ("option", "off", "on"), [("class_balance", False, True), ("logit_adjustment", 0.0, 1.0), ("label_smoothing", 0.0, 0.1)]
)
def test_what_acts_on_classes_changes_the_weights_and_needs_classes(option, off, on, monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match=rf"train.{option} has no effect: no target is categorical"):
        trained(tmp_path / "regression", **{option: on})
    class_dataset(monkeypatch)
    found = []
    for value in (off, on):
        experiment = classes(tmp_path / str(value), **{option: value})
        train(experiment)
        found.append(load_file(run_folder(experiment) / "model" / "model.safetensors"))
    assert any(not torch.equal(found[0][key], found[1][key]) for key in found[0])


@pytest.mark.parametrize(("other", "value"), [("class_balance", True), ("sampling", "classes")])
def test_logits_are_not_adjusted_where_something_else_balances_classes(other, value, monkeypatch, tmp_path):
    class_dataset(monkeypatch)
    with pytest.raises(ConfigError, match=rf"logit_adjustment and train\.{other}.* both make up for rare classes"):
        train(classes(tmp_path, logit_adjustment=1.0, **{other: value}))


def test_logits_are_adjusted_to_the_frequency_with_which_classes_are_drawn(monkeypatch, tmp_path):
    class_dataset(monkeypatch)
    found = []
    for exponent in (0.5, 0.9):
        experiment = classes(tmp_path, sampling="classes", sampling_exponent=exponent, logit_adjustment=1.0)
        model = AffectModel(experiment.model)
        dataset = windows_over(
            load_rows(experiment.data, model.config, Accelerator(cpu=True), ["train"])["train"], model.config
        )
        offsets = objective_of(experiment, dataset, model).offsets
        counts = class_counts(dataset).double() ** exponent
        torch.testing.assert_close(offsets, (counts / counts.sum()).log().float())
        found.append(offsets)
    assert not torch.equal(*found)
    with pytest.raises(ConfigError, match=r"train\.sampling_exponent has no effect with train\.sampling windows"):
        train(classes(tmp_path, sampling_exponent=0.5))


def test_a_loss_of_numbers_is_refused_where_there_are_none(monkeypatch, tmp_path):
    class_dataset(monkeypatch)
    with pytest.raises(ConfigError, match=r"train\.loss has no effect: every target is categorical"):
        train(classes(tmp_path, loss="mse"))


def test_classes_may_take_turns_and_need_classes(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match=r"train.sampling: classes needs one categorical target, and this model has none"):
        trained(tmp_path / "regression", sampling="classes")
    class_dataset(monkeypatch)
    found = []
    for sampling in ("windows", "classes"):
        experiment = classes(tmp_path / sampling, sampling=sampling)
        train(experiment)
        found.append(load_file(run_folder(experiment) / "model" / "model.safetensors"))
    assert any(not torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_changes_that_no_input_of_the_model_can_have_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"train\.augment\.flip has no effect: no stream reads face crops"):
        trained(tmp_path, augment={"flip": 0.5})


def test_ordinal_targets_may_be_learnt_by_thresholds(monkeypatch, tmp_path):
    def levels(_: int, arrays: dict[str, Any]) -> None:
        arrays["targets"] = (arrays["targets"] > 0).astype("float32") * 2

    target = {"name": "pain", "kind": "ordinal", "low": 0, "high": 4}

    def build(config: Any, **_: Any) -> dict[str, Any]:
        from tests.train.toys import toy_rows

        return {
            split: toy_rows(config, split, count, change=levels) for split, count in (("train", 10), ("val", 6), ("test", 6))
        }

    use_dataset(monkeypatch, build)
    found = []
    for loss in ("regress", "thresholds"):
        experiment = toy_experiment(tmp_path / loss, train={"epochs": 1, "loss": "mse", "ordinal_loss": loss})
        experiment = experiment.model_copy(
            update={"model": experiment.model.model_copy(update={"targets": _targets([target])})}
        )
        train(experiment)
        found.append(load_file(run_folder(experiment) / "model" / "model.safetensors"))
    assert any(not torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_labels_out_of_range_name_their_clip(monkeypatch, tmp_path):
    def spoiled(number: int, arrays: dict[str, Any]) -> None:
        if number == 6:
            arrays["targets"][1, 0] = 1.5

    use_dataset(monkeypatch, toy_dataset(change=spoiled))
    with pytest.raises(DataError, match=r"train6: valence is 1.5, outside -1 to 1"):
        trained(tmp_path)


def test_clips_without_a_label_are_told_and_a_split_of_them_is_refused(monkeypatch, tmp_path, capsys):
    def blank(number: int, arrays: dict[str, Any]) -> None:
        if number in chosen:
            arrays["valid"][:] = False
            arrays["targets"][:] = float("nan")

    chosen = {2, 5}
    use_dataset(monkeypatch, toy_dataset(change=blank))
    trained(tmp_path / "some")
    assert "train: 2 of 11 clips have no valid label, 'train2' among them" in capsys.readouterr().out
    chosen = set(range(11))
    with pytest.raises(DataError, match="no clip of the split train has a valid label"):
        trained(tmp_path / "all")


def test_a_test_split_whose_labels_are_withheld_stops_no_training(monkeypatch, tmp_path, capsys):
    whole = toy_dataset()

    def withheld(config: ModelConfig, **options: Any) -> dict[str, Any]:
        rows = whole(config, **options)
        return {**rows, "test": rows["test"].map(lambda row: {"valid": bytes(len(row["valid"]))})}

    def absent(config: ModelConfig, **options: Any) -> dict[str, Any]:
        rows = whole(config, **options)
        return {split: rows[split] for split in ("train", "val")}

    use_dataset(monkeypatch, whole)
    scored = train(toy_experiment(tmp_path / "whole"))
    for builder, words in ((withheld, "no clip of the test split has a valid label"), (absent, "there is no test split")):
        use_dataset(monkeypatch, builder)
        result = train(toy_experiment(tmp_path / builder.__name__))
        assert f"{words}: the run is scored on the validation split alone" in capsys.readouterr().out
        assert "test" not in result
        assert "test" not in result["subjects"]
        assert result["val"] == scored["val"]


def test_a_stream_needs_its_length_and_one_reader(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match=r"train.epoch_steps is for a training split that is streamed"):
        trained(tmp_path / "map", epoch_steps=3)
    use_dataset(monkeypatch, toy_dataset(stream=True))
    with pytest.raises(ConfigError, match=r"set train.epoch_steps"):
        trained(tmp_path / "endless")
    with pytest.raises(ConfigError, match="one reader"):
        trained(tmp_path / "readers", epoch_steps=3, workers=2)
    with pytest.raises(ConfigError, match=r"train.sampling: subjects needs the labels of the whole training split"):
        trained(tmp_path / "sampling", epoch_steps=3, sampling="subjects")
    trained(tmp_path / "right", epoch_steps=3, workers=1)


@pytest.mark.parametrize("option", ["class_balance", "logit_adjustment"])
def test_classes_of_a_stream_cannot_be_counted(option, monkeypatch, tmp_path):
    class_dataset(monkeypatch, stream=True)
    with pytest.raises(ConfigError, match=f"{option} needs the labels of the whole training split"):
        train(classes(tmp_path, epoch_steps=3, **{option: True}))
