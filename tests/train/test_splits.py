"""A dataset as the command line names it, and one split of it for a model."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from accelerate import Accelerator

from affectzoo.config import DataConfig, ModelConfig
from affectzoo.data.corpus_windows import _Rows
from affectzoo.errors import AffectzooError, ConfigError, DataError, InputError, UnknownNameError
from affectzoo.model.affect_model import AffectModel
from affectzoo.train.splits import dataset_of, load_rows, load_split, read_data
from tests.data.toy_corpus import ToyCorpus, toy_model, write_toys
from tests.train.toys import toy_dataset, toy_experiment, toy_rows, use_dataset


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> ModelConfig:
    return AffectModel(toy_experiment(tmp_path_factory.mktemp("runs")).model).config


TOY = DataConfig(name="toy")


def test_a_name_takes_options_that_nest():
    data = read_data("rendered", ["task=severity", "identities.test=8", "identities.val=1", "duration_s=17.0667"])
    assert data.name == "rendered"
    assert data.config == {"task": "severity", "identities": {"test": 8, "val": 1}, "duration_s": 17.0667}


def test_the_data_of_an_experiment_and_of_a_run_are_taken_and_changed(tmp_path):
    experiment = toy_experiment(tmp_path, data={"name": "rendered", "config": {"seed": 4, "box_jitter": 1e-05}}).to_json()
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(experiment))
    (tmp_path / "experiment.json").write_text(json.dumps(experiment))
    for name in (tmp_path / "one.yaml", tmp_path):
        data = read_data(str(name), ["seed=5"])
        assert (data.name, data.config) == ("rendered", {"seed": 5, "box_jitter": 1e-05})


def test_a_dataset_wins_over_a_folder_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "rendered").mkdir()
    monkeypatch.chdir(tmp_path)
    assert read_data("rendered") == DataConfig(name="rendered")


def test_what_names_no_dataset_is_one_sentence(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'rendered'"):
        read_data("renderd")
    with pytest.raises(DataError, match=r"is not a run folder: it holds no experiment\.json"):
        read_data(str(tmp_path))
    with pytest.raises(ConfigError, match=r"one\.yaml does not exist"):
        read_data(str(tmp_path / "one.yaml"))
    with pytest.raises(ConfigError, match=r"must be of the form dotted\.key=value"):
        read_data("rendered", ["seed"])
    (tmp_path / "experiment.json").write_text("{")
    with pytest.raises(DataError, match=r"experiment\.json is not JSON"):
        read_data(str(tmp_path))


def test_every_option_is_checked_and_filled_in(config):
    _, arguments = dataset_of(DataConfig(name="rendered", config={"seed": 5}), config)
    assert (arguments["seed"], arguments["task"]) == (5, "affect")
    with pytest.raises(ConfigError, match="did you mean 'seed'"):
        dataset_of(DataConfig(name="rendered", config={"sed": 5}), config)


def test_windows_cover_every_step_of_one_split(config, monkeypatch):
    use_dataset(monkeypatch, toy_dataset())
    dataset = load_split(TOY, config, "test", Accelerator())
    assert dataset.clip_ids == ["test0", "test1", "test2"]
    assert dataset.places[:3] == [(0, 0), (0, 2), (0, 3)]


def test_a_split_that_is_not_there_is_named(config, monkeypatch):
    with pytest.raises(InputError, match="there is no split 'tset'; use train, val, test"):
        load_split(TOY, config, "tset", Accelerator())
    rows = toy_rows(config, "test", 1)
    for held in ({"train": rows}, {"train": rows, "test": rows.select([])}):
        use_dataset(monkeypatch, lambda config, held=held: held)  # noqa: ARG005
        with pytest.raises(DataError, match=r"dataset 'toy' of toy 1\.0 has no clips for the split test"):
            load_split(TOY, config, "test", Accelerator())


def test_a_streamed_split_is_refused(config, monkeypatch):
    use_dataset(monkeypatch, toy_dataset(stream=True))
    with pytest.raises(DataError, match="the split train of dataset 'toy' is streamed"):
        load_split(TOY, config, "train", Accelerator())


def other_samples(arrays):
    arrays["inputs"]["audio"] = np.zeros((5, 3), np.float32)


def other_targets(arrays):
    arrays["targets"] = arrays["targets"][:, :1]


def other_range(arrays):
    arrays["targets"] = 10 * arrays["targets"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (other_samples, "these rows were prepared for another input"),
        (other_targets, "5 labels for 5 sub-sequences and targets valence, arousal"),
        (other_range, r"valence is .*, outside -1 to 1"),
    ],
)
def test_rows_that_do_not_fit_the_model_are_refused_before_it_runs(config, monkeypatch, spoil, words):
    use_dataset(monkeypatch, toy_dataset({"train": 2}, change=lambda _, arrays: spoil(arrays)))
    with pytest.raises(DataError, match=words):
        load_split(TOY, config, "train", Accelerator())


def test_rows_without_the_models_modality_are_refused(config, monkeypatch):
    def build(config: ModelConfig):
        return {"test": toy_rows(config, "test", 2).rename_columns({"input.audio": "input.speech"})}

    use_dataset(monkeypatch, build)
    with pytest.raises(DataError, match=r"the dataset has no 'audio'; it holds clip_id, subject, .*input\.speech"):
        load_split(TOY, config, "test", Accelerator())


def test_what_a_builder_raises_is_a_sentence(config, monkeypatch):
    def broken(config: ModelConfig):
        raise KeyError(config.targets[0].name)

    use_dataset(monkeypatch, broken)
    with pytest.raises(AffectzooError, match=r"dataset 'toy' of toy 1\.0 could not be built: KeyError: 'valence'"):
        load_split(TOY, config, "test", Accelerator())


def test_only_the_split_that_is_evaluated_is_prepared(monkeypatch, tmp_path):
    prepared = []
    real = _Rows.prepare
    monkeypatch.setattr(_Rows, "prepare", lambda self, split, *rest: (prepared.append(split), real(self, split, *rest))[1])
    use_dataset(monkeypatch, ToyCorpus)
    root = write_toys(tmp_path / "toys", 3, 2, splits=("train", "val", "test"))
    data = DataConfig(name="toy", config={"root": str(root), "cache_dir": str(tmp_path / "cache")})
    dataset = load_split(data, toy_model(), "val", Accelerator())
    assert (dataset.clip_ids, prepared) == (["p1_0", "p1_1"], ["val"])
    assert list(load_rows(data, toy_model(), Accelerator())) == ["train", "val", "test"]
    assert prepared == ["val", "train", "val", "test"]


def test_a_key_that_neither_loader_nor_builder_knows_is_refused(monkeypatch):
    use_dataset(monkeypatch, ToyCorpus)
    with pytest.raises(ConfigError, match="unknown key 'rescal'; did you mean 'rescale'"):
        dataset_of(DataConfig(name="toy", config={"root": "x", "rescal": True}), toy_model())
    with pytest.raises(ConfigError, match="key 'root' is missing"):
        dataset_of(DataConfig(name="toy"), toy_model())
