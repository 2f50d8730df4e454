"""A fusion trained on stored features is the one trained on raw input with the same backbones frozen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import affectzoo
from affectzoo.config import DataConfig
from affectzoo.errors import AffectzooError
from affectzoo.train.extract import encoders_of_model, extract
from affectzoo.train.loop import train
from affectzoo.train.report.assess import assess
from affectzoo.train.runs import run_folder
from tests.train.toys import toy_dataset, toy_experiment, use_dataset

STREAMS = ("audio", "visual")
#: All that draws random numbers in training, and more than one batch to a step.
SETTINGS: dict[str, Any] = {"modality_dropout": 0.3, "time_masking": 0.2, "accumulate": 2, "epochs": 3}


@pytest.fixture
def trained(tmp_path, monkeypatch) -> tuple[Path, Path]:
    """A run whose backbones are worth keeping, and its features of the dataset."""
    use_dataset(monkeypatch, toy_dataset())
    experiment = toy_experiment(tmp_path / "source", streams=STREAMS, dropout=0.3, train={"epochs": 1})
    train(experiment)
    run = run_folder(experiment)
    store = tmp_path / "store"
    extract(DataConfig(name="toy"), encoders_of_model(str(run), seconds=None, targets=None), store, say=lambda _: None)
    return run, store


def new_fusion(output: Path, run: Path, data: dict[str, Any], **changes: Any) -> Any:
    settings = {**SETTINGS, **changes.pop("train", {})}
    return toy_experiment(
        output, streams=STREAMS, dropout=0.3, init=str(run), new_parts=["head"], data=data, train=settings, **changes
    )


def test_the_numbers_are_those_of_raw_input_with_frozen_backbones(trained, tmp_path):
    run, store = trained
    raw = new_fusion(tmp_path / "raw", run, {"name": "toy"}, train={"freeze": ["backbones"]})
    stored = new_fusion(tmp_path / "stored", run, {"name": "features", "config": {"folder": str(store)}})
    results = [train(raw), train(stored)]
    # The same rows in other batches: a last digit of a feature may differ.
    assert results[0]["test"] == pytest.approx(results[1]["test"], abs=1e-5)
    curves = []
    for experiment in (raw, stored):
        lines = (run_folder(experiment) / "metrics.jsonl").read_text().splitlines()
        curves.append([{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines])
    for one, other in zip(*curves, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    weights = [load_file(run_folder(experiment) / "model" / "model.safetensors") for experiment in (raw, stored)]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], atol=1e-5, rtol=0)
        if name.startswith("backbones."):
            assert torch.equal(tensor, load_file(run / "model" / "model.safetensors")[name])


def test_what_was_trained_on_features_predicts_from_raw_input(trained, tmp_path):
    run, store = trained
    experiment = new_fusion(tmp_path, run, {"name": "features", "config": {"folder": str(store)}})
    result = train(experiment)
    model = affectzoo.load(run_folder(experiment))
    assert model({name: torch.randn(1, 2, 8) for name in STREAMS}).shape == (1, 2, 2)
    report = assess(str(run_folder(experiment)), DataConfig(name="toy"))
    assert report.results["metrics"]["valence"]["ccc"]["value"] == pytest.approx(result["test"]["ccc.valence"], abs=1e-5)


def test_features_of_other_weights_are_refused(trained, tmp_path):
    _, store = trained
    with pytest.raises(AffectzooError, match=r"weights"):
        train(
            toy_experiment(tmp_path, streams=STREAMS, dropout=0.3, data={"name": "features", "config": {"folder": str(store)}})
        )
