"""An importer's model counts only when it was saved, loaded again and predicted the same; whatever else is one sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import affectzoo
from affectzoo.errors import CheckpointError, ConfigError, PluginError
from affectzoo.hub.importers.convert import run_importer, save_proved
from tests.hub.importers.toys import convert, toy_network
from tests.model.toys import audio_visual_model, random_inputs, register_toys

WHERE = "importer 'toy' of affect-toy 2.1"


@pytest.fixture(autouse=True)
def toys():
    register_toys()


def returning(value):
    def importer(source):
        assert source.is_file()
        return value

    return importer


def prove(model, folder, dtype=None):
    save_proved(model, folder, card="# toy\n", dtype=dtype, where=WHERE)
    return affectzoo.load(folder, dtype=dtype)


def test_options_are_checked_against_the_function(entry, checkpoint):
    assert run_importer(entry, checkpoint, {"note": "hello"}).notes == ("Valence comes first.", "hello")
    with pytest.raises(ConfigError, match=rf"{WHERE}: unknown key 'ordre'; did you mean 'order'\?"):
        run_importer(entry, checkpoint, {"ordre": "va"})


def test_what_an_importer_raises_of_its_own_names_plugin_version_and_file(entry, checkpoint):
    with pytest.raises(CheckpointError, match=rf"{WHERE} failed on {checkpoint}: AssertionError: no message"):
        run_importer(entry, checkpoint, {"order": "av"})

    def two_lines(source):
        assert source == checkpoint
        raise KeyError("classifier\nand more")

    with pytest.raises(CheckpointError, match=rf"{WHERE} failed on {checkpoint}: KeyError") as caught:
        run_importer(replace(entry, obj=two_lines), checkpoint, {})
    assert "\n" not in str(caught.value)


def test_what_an_importer_says_itself_is_left_as_it_is(entry, tmp_path):
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=r"other\.pt: tensor .* is missing .*; this is another network"):
        run_importer(entry, tmp_path / "other.pt", {})


def test_an_importer_that_returns_something_else_is_its_authors_fault(entry, checkpoint):
    with pytest.raises(PluginError, match=rf"{WHERE} must return an affectzoo.Imported with an AffectModel, not dict"):
        run_importer(replace(entry, obj=returning({})), checkpoint, {})
    other = affectzoo.Imported(model=nn.Linear(1, 1), summary="s")  # pyright: ignore[reportArgumentType]
    with pytest.raises(PluginError, match="not Linear"):
        run_importer(replace(entry, obj=returning(other)), checkpoint, {})
    done = convert(checkpoint)
    done.model.head.train()
    with pytest.raises(PluginError, match="returned a model in training mode"):
        run_importer(replace(entry, obj=returning(done)), checkpoint, {})


def test_a_saved_model_predicts_what_the_importers_did(tmp_path):
    torch.manual_seed(0)
    model = audio_visual_model().eval()
    inputs = random_inputs()
    with torch.no_grad():
        before = model(inputs)
        after = prove(model, tmp_path / "m")(inputs)
    # The same weights in the same operations.
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    assert (tmp_path / "m" / "README.md").read_text() == "# toy\n"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_weights_are_rounded_where_that_is_asked_for(tmp_path, dtype):
    loaded = prove(audio_visual_model().eval(), tmp_path / "m", dtype)
    assert {p.dtype for p in loaded.parameters()} == {getattr(torch, dtype)}
    assert loaded.config.dtype == dtype


class Forgetful(affectzoo.Backbone):
    """Predicts with a number that is neither in the config nor in the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_dim = 2
        self.input = affectzoo.SignalInput(channels=2, samples=3)
        self.linear = nn.Linear(2, 2)
        self.scale = 1.0

    def forward(self, x):
        return self.linear(x.mean(dim=1)) * self.scale


def forgetful(scale: float):
    affectzoo.register_backbone("toy-forgetful")(Forgetful)
    model = affectzoo.create_model(streams={"signal": "toy-forgetful"}, sequence={"length": 3}).eval()
    model.backbones["signal"].scale = scale
    return model


def test_a_model_that_is_another_one_once_loaded_is_refused(tmp_path):
    prove(forgetful(1.0), tmp_path / "same")
    with pytest.raises(CheckpointError, match=rf"{WHERE} returned a model that predicts other values once it is saved"):
        prove(forgetful(1.01), tmp_path / "other")


def test_a_model_that_predicts_no_numbers_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="predicts values which are not numbers"):
        prove(forgetful(float("nan")), tmp_path / "m")


def test_a_model_that_cannot_predict_is_refused(tmp_path):
    model = toy_network().eval()
    model.backbones["visual"].register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(CheckpointError, match=rf"{WHERE} returned a model that cannot predict: ZeroDivisionError"):
        prove(model, tmp_path / "m")


def test_a_long_window_costs_one_sub_sequence(tmp_path):
    model = toy_network().eval()
    seen = []
    model.backbones["visual"].register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    prove(model, tmp_path / "m")
    assert seen == [1]
