"""What is wrong with an experiment is said in one sentence, and before anything has been trained."""

from __future__ import annotations

from typing import Any

import pytest
from accelerate import Accelerator
from datasets import Dataset

import affectzoo
from affectzoo.config import ModelConfig
from affectzoo.errors import AffectzooError, ConfigError, DataError, UnknownNameError
from affectzoo.train import fit, splits
from affectzoo.train.__main__ import USAGE, main
from affectzoo.train.loop import evaluate, load_splits, train


@pytest.fixture
def dataset(monkeypatch):
    """Let the experiment's dataset be built by a function."""

    def use(builder: Any) -> None:
        class Found:
            name, provider = "mine", "mine 1.0"

            def resolve(self) -> Any:
                return builder

        class Registry:
            def find(self, *_: str) -> Any:
                return Found()

        monkeypatch.setattr(splits, "registry", Registry)

    return use


def rendered(config: ModelConfig, **options: Any) -> dict[str, Dataset]:
    from affectzoo.data.rendered_windows import build

    return build(config, **options)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"model": {"fusion": "jont-cross-attention"}}, UnknownNameError, "joint-cross-attention"),
        ({"model": {"fusion": {"name": "concat", "config": {"dmi": 3}}}}, ConfigError, "did you mean 'dim'?"),
        (
            {"train": {"augment": {"flip": 0.5}}},
            ConfigError,
            "train.augment.flip .* set it under pretrain",
        ),
        ({"pretrain": {"augment": {"gain_db": 3, "noise": {"pulse": 1}}}}, ConfigError, "pretrain.augment.noise names 'pulse'"),
        ({"pretrain": {"sampling": "classes"}}, ConfigError, "pretrain.sampling: classes needs one categorical target"),
        ({"train": {"window_hop": 3}}, ConfigError, "train.window_hop 3 is longer than a window of 2 steps"),
        ({"pretrain": {"window_hop": 3}}, ConfigError, "pretrain.window_hop"),
        ({"pretrain": {"modality_dropout": 0.1}}, ConfigError, "pretrain.modality_dropout has no effect"),
    ],
)
def test_a_mistake_is_found_before_the_streams_are_trained(make_experiment, experiment_data, tmp_path, changes, error, words):
    whole = {"pretrain": {"epochs": 1}, **changes}
    if "model" in changes:
        whole["model"] = {**experiment_data()["model"], **changes["model"]}
    with pytest.raises(error, match=words):
        train(make_experiment(output=str(tmp_path), **whole))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_named_before_any_work(make_experiment, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"output: .*choose another"):
        train(make_experiment(output=str(tmp_path / "file")))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_a_sentence(make_experiment, seed):
    with pytest.raises(ConfigError, match="seed"):
        make_experiment(seed=seed)


def test_an_unknown_dataset_is_named_with_what_there_is(make_experiment, tmp_path):
    with pytest.raises(UnknownNameError, match=r"'renderd'.*rendered"):
        train(make_experiment(output=str(tmp_path), data={"name": "renderd"}))


def test_an_unknown_option_of_a_dataset_is_named(make_experiment, tmp_path):
    with pytest.raises(ConfigError, match=r"dataset 'rendered': unknown key 'worker'; did you mean 'workers'\?"):
        train(make_experiment(output=str(tmp_path), data={"name": "rendered", "config": {"worker": 2}}))


def test_an_option_of_the_wrong_type_is_one_sentence(make_experiment, tmp_path):
    wrong = {"identities": {"train": "two", "val": 1, "test": 1}}
    with pytest.raises(AffectzooError, match=r"dataset 'rendered' of affectzoo .* could not be built: TypeError"):
        train(make_experiment(output=str(tmp_path), data={"name": "rendered", "config": wrong}))


def test_a_subject_in_two_splits_is_refused(make_experiment, tmp_path, dataset):
    def leaking(config: ModelConfig, **options: Any) -> dict[str, Dataset]:
        rows = rendered(config, **options)
        return {**rows, "val": rows["train"]}

    dataset(leaking)
    with pytest.raises(DataError, match="subject 'identity0000' is in both train and val"):
        train(make_experiment(output=str(tmp_path)))


def test_a_split_without_clips_is_named(make_experiment, tmp_path, dataset):
    def without(how: Any) -> Any:
        def build(config: ModelConfig, **options: Any) -> dict[str, Dataset]:
            rows = rendered(config, **options)
            return how(rows)

        return build

    for how in (
        lambda rows: {**rows, "val": rows["val"].select([])},
        lambda rows: {k: v for k, v in rows.items() if k != "val"},
    ):
        dataset(without(how))
        with pytest.raises(DataError, match=r"dataset 'mine' of mine 1.0 has no clips for the split val"):
            train(make_experiment(output=str(tmp_path)))


def test_a_dataset_that_breaks_is_named(make_experiment, tmp_path, dataset):
    def broken(config: ModelConfig, **_: Any) -> dict[str, Dataset]:
        assert config.streams
        raise KeyError("labels.csv")

    dataset(broken)
    with pytest.raises(DataError, match=r"dataset 'mine' of mine 1.0 could not be built: KeyError: 'labels.csv'"):
        train(make_experiment(output=str(tmp_path)))


def test_a_validation_score_that_is_never_a_number_is_an_error(make_experiment, tmp_path, monkeypatch):
    scores = fit.scores
    monkeypatch.setattr(fit, "scores", lambda *args: {**scores(*args), "score": float("nan")})
    with pytest.raises(DataError, match="the validation score was never a number"):
        train(make_experiment(output=str(tmp_path), train={"epochs": 1}))
    folder = tmp_path / "tiny" / "seed0"
    assert not (folder / "result.json").exists()
    assert (folder / "metrics.jsonl").read_text().count("\n") == 1


def test_patience_ends_a_run_that_does_not_improve(make_experiment, tmp_path, monkeypatch):
    scores, best = fit.scores, iter([0.1, 0.3, 0.2, 0.3, 0.1, 0.5, 0.6])
    real = []

    def falling(*args: Any) -> dict[str, float]:
        real.append(None)
        return {**scores(*args), "score": next(best)}

    monkeypatch.setattr(fit, "scores", falling)
    experiment = make_experiment(output=str(tmp_path), train={"epochs": 9, "patience": 2})
    result = train(experiment)
    assert result["best_epoch"] == 1
    folder = tmp_path / "tiny" / "seed0"
    assert (folder / "metrics.jsonl").read_text().count("\n") == 4
    # The test split is scored with the best epoch, which is the saved one, and not with the last.
    monkeypatch.setattr(fit, "scores", scores)
    accelerator = Accelerator()
    model = affectzoo.load(folder / "model")
    found = evaluate(model, load_splits(experiment, model, accelerator)["test"], experiment, accelerator)
    assert {**found, "score": 0} == pytest.approx({**result["test"], "score": 0}, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "code"), [(["absent.yaml"], 2), ([], 2), (["--help"], 0), (["absent.yaml", "train.lr=3e-4"], 2)]
)
def test_the_module_says_one_sentence_and_exits_with_two(arguments, code, capsys):
    assert main(arguments) == code
    printed = capsys.readouterr()
    if arguments and arguments[0] == "absent.yaml":
        assert (
            printed.err == "affectzoo: absent.yaml does not exist; give an experiment file such as recipes/jca-rendered.yaml\n"
        )
    else:
        assert (printed.err if code else printed.out).strip() == USAGE
