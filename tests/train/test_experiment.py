"""Experiment files and overrides: what a person writes on the command line is what is run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from affectzoo.errors import ConfigError
from affectzoo.train.experiment import read_experiment

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

MINIMAL = """
name: one
model:
  streams: {visual: timm/resnet18, audio: {backbone: spectrogram-resnet18}}
  fusion: concat
  targets: [valence, arousal]
data: {name: rendered}
"""


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "one.yaml"
    path.write_text(MINIMAL)
    return path


def test_an_override_of_nothing_is_the_file(file):
    assert read_experiment(file) == read_experiment(file, [])
    assert read_experiment(file).model.streams["visual"].backbone.name == "timm/resnet18"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("train.lr=3e-4", 3e-4),
        ("train.lr=0.5", 0.5),
        ("train.lr=1", 1.0),
        ("train.clip_norm=null", None),
        ("train.clip_norm=", None),
        ("train.epochs=7", 7),
        ("name=other", "other"),
        ("name=a=b", "a=b"),
        ("precision=bf16", "bf16"),
        ("precision='no'", "no"),
        ("precision=no", "no"),
        ("data.config={workers: 2, identities: {train: 3}}", {"workers": 2, "identities": {"train": 3}}),
        ("data.config.identities.train=3", 3),
        ("data.config.box_jitter=5e-2", 0.05),
        ("data.config.flag=true", True),
        ("pretrain.epochs=3", 3),
        ("model.targets=[arousal]", ["arousal"]),
    ],
)
def test_values_are_read_as_yaml_and_numbers_as_numbers(file, text, wanted):
    node = read_experiment(file, [text]).to_json()
    for part in text.split("=")[0].split("."):
        node = node[part]
    if text.startswith("model.targets"):
        node = [target["name"] for target in node]
    assert node == wanted
    assert type(node) is type(wanted)


def test_a_missing_section_is_made(file):
    assert read_experiment(file).pretrain is None
    experiment = read_experiment(file, ["pretrain.epochs=3", "pretrain.lr=1e-2"])
    assert experiment.pretrain is not None
    assert (experiment.pretrain.epochs, experiment.pretrain.lr) == (3, 0.01)


def test_null_removes_a_stream(file):
    experiment = read_experiment(file, ["model.streams.audio=null", "model.fusion=null"])
    assert list(experiment.model.streams) == ["visual"]
    with pytest.raises(ConfigError, match="one modality needs no fusion"):
        read_experiment(file, ["model.streams.audio=null"])


def test_later_overrides_win_and_the_short_form_can_be_configured(file):
    experiment = read_experiment(
        file, ["train.lr=1", "train.lr=2", "model.fusion=cross-attention", "model.fusion.config.dim=32"]
    )
    assert experiment.train.lr == 2
    assert experiment.model.fusion is not None
    assert (experiment.model.fusion.name, experiment.model.fusion.config) == ("cross-attention", {"dim": 32})


def test_the_short_forms_of_the_file_can_be_configured(file):
    experiment = read_experiment(
        file,
        [
            "model.fusion.config.dim=32",
            "model.streams.audio.backbone.config.pretrained=false",
            "model.streams.visual.backbone.config.frames=4",
            "model.streams.visual.temporal=tcn",
        ],
    )
    assert experiment.model.fusion is not None
    assert (experiment.model.fusion.name, experiment.model.fusion.config) == ("concat", {"dim": 32})
    assert experiment.model.streams["audio"].backbone.config == {"pretrained": False}
    visual = experiment.model.streams["visual"]
    assert (visual.backbone.name, visual.backbone.config) == ("timm/resnet18", {"frames": 4})
    assert visual.temporal is not None


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.lrr=1", "unknown key 'train.lrr'; did you mean 'lr'?"),
        ("trian.lr=1", "unknown key 'trian'; did you mean 'train'?"),
        ("model.fusion.nmae=concat", "did you mean 'name'?"),
        ("train.lr", "must be of the form dotted.key=value"),
        ("=3", "must be of the form dotted.key=value"),
        ("--lr=3", "unknown key '--lr'"),
        ("train.lr=[1", "the value is not YAML"),
        ("train.lr=fast", "train.lr"),
        ("train.lr=-1", "train.lr"),
        ("train.lr=.nan", "train.lr"),
        ("train.lr=nan", "train.lr"),
        ("train.epochs=1.5", "train.epochs"),
        ("train..lr=1", "unknown key 'train.'"),
        ("model.targets.0=arousal", "'targets' holds ['valence', 'arousal'], which has no keys"),
        ("name.first=x", "'name' holds 'one', which has no keys"),
        ("train=fast", "train"),
    ],
)
def test_a_wrong_override_is_one_sentence_that_names_it(file, override, words):
    with pytest.raises(ConfigError) as caught:
        read_experiment(file, [override])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "must hold a mapping"),
        (b"- a list", "must hold a mapping"),
        (b"name: [1", "is not YAML"),
        (b"name: !!python/object:os.system x", "is not YAML"),
        (b"\xff\xfe\x00bad", "is not YAML"),
        (b"name: x", "'model' is missing"),
    ],
)
def test_a_wrong_file_is_one_sentence_that_names_it(tmp_path, content, words):
    path = tmp_path / "wrong.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_experiment(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_experiment(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="is not a file"):
        read_experiment(tmp_path)


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_and_the_rivals_in_its_comments_can_be_read(recipe):
    text = recipe.read_text()
    assert read_experiment(recipe).to_json()
    assert isinstance(yaml.safe_load(text), dict)
    rivals = [line.lstrip("# ").split() for line in text.splitlines() if line.startswith("#   name=")]
    assert rivals or "affectzoo bench fusion" in text  # which trains the rivals by itself
    for overrides in rivals:
        assert read_experiment(recipe, overrides).name == overrides[0].removeprefix("name=")
