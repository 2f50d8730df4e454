"""A borrowed backbone may read more frames at a time than it was trained on: nothing else of it may differ."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import affectzoo
from affectzoo.config import ExperimentConfig, ModelConfig
from affectzoo.errors import ConfigError
from affectzoo.model.affect_model import AffectModel
from affectzoo.train.borrow import fill_streams
from affectzoo.train.start import start_from


class ToyFrames(affectzoo.Backbone):
    """Mean colour of the frames, after a position embedding where `places` asks for it."""

    def __init__(self, *, frames: int = 1, places: bool = False) -> None:
        super().__init__()
        self.feature_dim = 4
        self.input = affectzoo.FramesInput(frames=frames, height=4, width=4)
        self.linear = nn.Linear(3, 4)
        self.places = nn.Parameter(torch.zeros(frames, 3)) if places else None
        self.saved_config = {"frames": frames, "places": places}

    def forward(self, x: Tensor) -> Tensor:
        colours = x.mean(dim=(3, 4)).transpose(1, 2)
        return self.linear(colours if self.places is None else colours + self.places).mean(dim=1)


@pytest.fixture(autouse=True)
def registered():
    affectzoo.register_backbone("toy-frames")(ToyFrames)


@pytest.fixture
def single(tmp_path):
    """A saved model that reads one frame at a time."""

    def save(**config) -> str:
        streams = {"visual": {"name": "toy-frames", "config": config}}
        config = ModelConfig.parse({"streams": streams, "targets": ["valence"]}, where="here")
        return str(AffectModel(config).save_pretrained(tmp_path / "single"))

    return save


def experiment(stream, source: str, **model) -> ExperimentConfig:
    whole = fill_streams({"targets": ["valence"], "streams": {"visual": stream}, **model}, {"visual": source})
    data = {"name": "toy"}
    return ExperimentConfig.parse({"name": "more", "model": whole, "data": data, "init": {"visual": source}}, where="here")


FOUR = {"backbone": {"name": "toy-frames", "config": {"frames": 4}}}


def test_more_frames_change_backbone_and_input_and_keep_the_weights(single):
    source = single()
    more, said = experiment(FOUR, source), []
    assert more.model.streams["visual"].backbone.config == {"frames": 4, "places": False}
    model = AffectModel(more.model)
    start_from(model, more, said.append)
    assert model.config.streams["visual"].input.frames == 4
    kept = AffectModel.from_folder(source).backbones["visual"].linear.weight
    assert torch.equal(model.backbones["visual"].linear.weight, kept)
    warned = [line for line in said if line.startswith("warning: the visual backbone of ")]
    assert len(warned) == 1
    assert warned[0].endswith("was trained with frames=1, here it is fed 4 at a time")


def test_as_many_frames_are_not_warned_of(single):
    source = single()
    same, said = experiment({}, source), []
    start_from(AffectModel(same.model), same, said.append)
    assert not [line for line in said if line.startswith("warning")]


def test_nothing_else_of_the_input_may_differ(single):
    stream = {**FOUR, "input": {"height": 8}}
    with pytest.raises(ConfigError, match=r"input.height is 4 there and 8 in this experiment"):
        experiment(stream, single())
    with pytest.raises(ConfigError, match=r"input.frames is 4 there and 3 in this experiment"):
        experiment({**FOUR, "input": {"frames": 3}}, single())


def test_weights_that_fit_one_number_of_frames_say_so(single):
    more = experiment(FOUR, single(places=True))
    with pytest.raises(ConfigError, match=r"weights of the visual backbone of .* fit 1 frames at a time, not 4; leave frames"):
        start_from(AffectModel(more.model), more, print)
