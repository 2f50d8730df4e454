"""Looks at a test split are counted: by whom, at what, and none is lost."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from affectzoo.config import DataConfig
from affectzoo.errors import DataError, InputError
from affectzoo.train.report import looks
from affectzoo.train.report.looks import FILE, looks_at, run_of
from affectzoo.train.splits import dataset_of
from tests.train.toys import toy_experiment

EXPERIMENT = toy_experiment("runs", data={"name": "rendered", "config": {"identities": {"train": 2, "val": 1, "test": 1}}})


@pytest.fixture
def run(tmp_path) -> Path:
    """A run that has ended, tested at the end."""
    (tmp_path / "model").mkdir()
    (tmp_path / "experiment.json").write_text(json.dumps(EXPERIMENT.to_json()))
    (tmp_path / "result.json").write_text(json.dumps({"test": {"score": 0.5}}))
    return tmp_path


def test_the_end_of_the_training_is_the_first_look(run):
    found = looks_at(run, EXPERIMENT.data, EXPERIMENT.model)
    assert (found.number, found.of_training) == (2, True)
    assert str(found) == "look number 2 of this run at this test split, the first of them at the end of its training"
    (run / "result.json").write_text("{}")
    assert looks_at(run, EXPERIMENT.data, EXPERIMENT.model).number == 1
    (run / "result.json").unlink()
    assert looks_at(run, EXPERIMENT.data, EXPERIMENT.model).number == 1


def test_every_look_is_a_line_and_counts(run):
    for number in (2, 3, 4):
        found = looks_at(run, EXPERIMENT.data, EXPERIMENT.model)
        assert found.number == number
        found.record({"by": ["sex"], "post_processing": ()}, {"ccc.valence": 0.25, "ccc.arousal": float("nan")})
    assert str(looks_at(run, EXPERIMENT.data, EXPERIMENT.model)).endswith(f"; {run / FILE} lists them")
    lines = [json.loads(line) for line in (run / FILE).read_text().splitlines()]
    assert len(lines) == 3
    assert lines[0]["of"]["name"] == "rendered"
    assert lines[0]["by"] == ["sex"]
    assert lines[0]["score"] == {"ccc.valence": 0.25, "ccc.arousal": None}
    assert lines[0]["time"].endswith("+00:00")


def test_other_data_are_another_test_split_and_another_cache_is_not(run):
    looks_at(run, EXPERIMENT.data, EXPERIMENT.model).record({}, {})
    cached = DataConfig(name="rendered", config={**EXPERIMENT.data.config, "cache_dir": "elsewhere"})
    assert looks_at(run, cached, EXPERIMENT.model).number == 3
    other = DataConfig(name="rendered", config={"seed": 9})
    found = looks_at(run, other, EXPERIMENT.model)
    assert (found.number, found.of_training) == (1, False)
    assert str(found) == "look number 1 of this run at this test split"


def test_a_dataset_by_its_full_name_is_the_same(run):
    provider = dataset_of(EXPERIMENT.data, EXPERIMENT.model)[0].distribution
    full = DataConfig(name=f"{provider}/rendered", config=EXPERIMENT.data.config)
    assert looks_at(run, full, EXPERIMENT.model).number == 2


@pytest.mark.parametrize("option", ["root", "folder", "faces_root"])
def test_one_folder_by_two_names_is_one(run, tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(looks, "dataset_of", lambda data, _: (SimpleNamespace(name=data.name), dict(data.config)))
    assert dataset_of is not looks.dataset_of
    given = [DataConfig(name="mine", config={option: str(root)}) for root in (tmp_path / "data", "data", "./x/../data")]
    for number, data in enumerate(given, start=1):
        found = looks_at(run, data, EXPERIMENT.model)
        assert found.number == number
        found.record({}, {})


def test_only_the_model_of_a_run_has_looks(run):
    assert run_of(run / "model") == run
    assert run_of(run) is None
    (run / "experiment.json").unlink()
    assert run_of(run / "model") is None


def test_damaged_files_and_a_place_that_cannot_be_written_are_one_sentence(run):
    for text in ("{", "3"):
        (run / FILE).write_text(text + "\n")
        with pytest.raises(DataError, match="looks"):
            looks_at(run, EXPERIMENT.data, EXPERIMENT.model)
    (run / FILE).unlink()
    found = looks_at(run, EXPERIMENT.data, EXPERIMENT.model)
    (run / FILE).mkdir()
    with pytest.raises(InputError, match=r"cannot be written .*each look at the test split is noted there"):
        found.record({}, {})
    (run / "result.json").write_text("[")
    (run / FILE).rmdir()
    with pytest.raises(DataError, match="cannot be read"):
        looks_at(run, EXPERIMENT.data, EXPERIMENT.model)
