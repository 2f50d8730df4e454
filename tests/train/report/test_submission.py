"""A challenge's file from a model: every frame of the unlabelled test videos, in the columns that the corpus names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import affectzoo
from affectzoo.cli.app import app
from affectzoo.config import DataConfig
from affectzoo.errors import ConfigError, InputError
from affectzoo.train.report.submission import write_submission
from tests.plugins.datasets.miniatures.aff_wild2 import FRAMES, TEST, write_aff_wild2

_NETWORK = {"channels": [4, 4, 8, 8], "stem_width": 4}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> DataConfig:
    root = write_aff_wild2(tmp_path_factory.mktemp("corpus"))
    cache = tmp_path_factory.mktemp("cache")
    return DataConfig(name="aff-wild2", config={"root": str(root), "cache_dir": str(cache)})


def saved(folder: Path, values: dict[str, float]) -> str:
    """The folder of a model that predicts the same at every step."""
    torch.manual_seed(0)
    visual: Any = {"name": "timm/resnet10t", "config": {"frames": 2, "image_size": 32, "model_args": _NETWORK}}
    head = {"hidden": None}
    model = affectzoo.create_model(
        visual=visual, targets=list(values), head=head, sequence={"seconds": 0.5, "length": 2}
    ).eval()
    with torch.no_grad():
        parameters = dict(model.head.named_parameters())
        for name, parameter in parameters.items():
            if name.endswith("weight"):
                parameter.zero_()
        biases = [parameter for name, parameter in parameters.items() if name.endswith("bias")]
        for bias, value in zip(biases, values.values(), strict=True):
            bias.fill_(value)
    model.save_pretrained(folder)
    return str(folder)


def test_every_frame_of_the_test_videos_has_its_line(data, tmp_path):
    model = saved(tmp_path / "model", {"arousal": -0.5, "valence": 0.25})
    path = write_submission(model, data, tmp_path / "va.txt", device="cpu")
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    assert header == "image_location,valence,arousal"
    assert [line.split(",")[0] for line in lines] == [f"{name}/{n:05d}.jpg" for name in TEST for n in range(1, FRAMES + 1)]
    # In the order of the corpus, whatever that of the model.
    assert {tuple(map(float, line.split(",")[1:])) for line in lines} == {(0.25, -0.5)}


def test_a_value_that_the_challenge_refuses_needs_clip(data, tmp_path):
    model = saved(tmp_path / "model", {"valence": 1.5, "arousal": 0.0})
    arguments = ["evaluate", model, "aff-wild2", *(f"{key}={value}" for key, value in data.config.items())]
    path = tmp_path / "out" / "va.txt"
    refused = CliRunner().invoke(app, [*arguments, "--submission", str(path)])
    assert isinstance(refused.exception, InputError)
    assert not path.exists()
    done = CliRunner().invoke(app, [*arguments, "--submission", str(path), "--clip"])
    assert done.exit_code == 0, done.output
    first = path.read_text(encoding="utf-8").splitlines()[1].split(",")
    assert [float(value) for value in first[1:]] == [1.0, 0.0]


def test_what_cannot_be_submitted_is_said(data, tmp_path):
    model = saved(tmp_path / "model", {"valence": 0.1})
    with pytest.raises(InputError, match=r"the challenge asks for valence, arousal; .* predicts valence"):
        write_submission(model, data, tmp_path / "va.txt", device="cpu")
    with pytest.raises(ConfigError, match=r"'rendered' of .* has no challenge format"):
        write_submission(model, DataConfig(name="rendered"), tmp_path / "va.txt", device="cpu")
    both = CliRunner().invoke(app, ["evaluate", model, "aff-wild2", "--submission", "x.txt", "--protocol", "aff-wild2"])
    assert isinstance(both.exception, InputError)
