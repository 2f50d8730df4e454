"""Models and runs onto the Hub: what goes, what the card says, what never leaves this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import affectzoo
from affectzoo.config import DataConfig, ExperimentConfig
from affectzoo.errors import CheckpointError, ConfigError, DataError, InputError
from affectzoo.hub.push import bundle_of
from affectzoo.hub.run_folder import find_run
from affectzoo.model.share import check_shareable
from affectzoo.train.experiment import read_experiment
from tests.hub.children import Child, ended, start
from tests.hub.hub_server import HubServer
from tests.model.toys import ToyAudio, audio_visual_model, register_toys

ROOT = Path(__file__).resolve().parents[2]
PEOPLE = ["Erika Mustermann", "p17"]


def installed_model(**more: Any) -> affectzoo.AffectModel:
    """A small model whose parts all come from installed plugins."""
    network = {"channels": [4, 4, 8, 8], "stem_width": 4}
    backbone = {"name": "timm/resnet10t", "config": {"frames": 2, "image_size": 32, "model_args": network}}
    return affectzoo.create_model(visual=backbone, sequence={"length": 2}, head={"hidden": None}, **more)


def write_run(folder: Path, *, model: affectzoo.AffectModel | None = None, result: dict | None = None, **settings: Any) -> Path:
    """The folder of a run, as `affectzoo train` leaves it."""
    model = model or installed_model()
    data = settings.pop("data", {"root": "/home/erika/study 7/videos"})
    experiment = ExperimentConfig(
        name="toy",
        model=model.config,
        data=DataConfig(name="av-folder", config=data),
        **{"output": "/home/erika/runs", **settings},
    )
    model.save_pretrained(folder / "model")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "step-1.pt").write_bytes(b"\x80\x04.")
    scores = {"ccc.valence": 0.5, "ccc.arousal": None, "mae.valence": 0.25, "mae.arousal": 0.125, "score": 0.5}
    ended = {"best_epoch": 3, "val": scores, "test": scores, "subjects": {"train": 2, "val": 1, "test": 4}}
    held = {
        "experiment": experiment.to_json(),
        "result": ended if result is None else result,
        "environment": {"affectzoo": "0.1.0", "torch": "2.15.0", "device": "cpu"},
        "trained_on": {"av-folder": PEOPLE, "rendered": None},
    }
    for name, content in held.items():
        if content:
            (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def text_of(content: Path | bytes) -> str:
    return (content if isinstance(content, bytes) else content.read_bytes()).decode()


def test_a_run_gives_weights_config_card_and_settings_and_nothing_else(tmp_path):
    bundle = bundle_of(write_run(tmp_path / "run"), "zoo/toy", licence="MIT", tags=["faces"])
    assert set(bundle.files) == {"config.json", "model.safetensors", "README.md", "training.json"}
    card = text_of(bundle.files["README.md"])
    assert "license: mit" in card
    assert "- faces" in card
    assert 'affectzoo.load("zoo/toy")' in card
    assert "model-index" in card
    assert "valence 0.5 |" in card  # arousal's score is not defined, so it is not told
    assert "4 subjects" in card
    assert "Epoch 3 of at most 10" in card
    assert "people trained on: 2" in card
    assert "`rendered`" in card
    assert "people: not known" in card
    assert "2 in train, 1 in val, 4 in test" in card
    # The same folder by the name of its model.
    assert bundle_of(tmp_path / "run" / "model", "zoo/toy", licence="MIT", tags=["faces"]).files == bundle.files


def test_no_folder_of_this_machine_and_no_name_of_a_person_is_told(tmp_path):
    data = {
        "root": "/home/erika/study 7/videos",
        "left_out": ["Erika Mustermann"],
        "cache_dir": "~/cache",
        "detector": "full-frame",
    }
    run = write_run(tmp_path / "run", data=data)
    bundle = bundle_of(run, "zoo/toy")
    settings = json.loads(text_of(bundle.files["training.json"]))
    assert settings["output"] == "runs"
    assert settings["data"]["config"] == {
        "root": "videos",
        "left_out": ["(a subject)"],
        "cache_dir": "cache",
        "detector": "full-frame",
    }
    for name in ("README.md", "training.json", "config.json"):
        text = text_of(bundle.files[name])
        assert not [word for word in ("/home", "erika", "Mustermann", "p17", "study 7", str(tmp_path)) if word in text], name


def test_the_command_on_the_card_trains_the_same_again(tmp_path):
    run = write_run(tmp_path / "run", seed=7)
    bundle = bundle_of(run, "zoo/toy")
    found = find_run(run)
    assert found is not None
    assert found.command() == "affectzoo train training.json data.config.root=PATH/TO/videos"
    assert f"`{found.command()}`" in text_of(bundle.files["README.md"])
    (tmp_path / "training.json").write_text(text_of(bundle.files["training.json"]))
    again = read_experiment(
        tmp_path / "training.json", ["data.config.root=/home/erika/study 7/videos", "output=/home/erika/runs"]
    )
    assert again == found.experiment


def test_what_it_began_from_is_named_with_its_licence_and_caution_through_the_authors_own_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "first" / "seed0", init="jca-rendered", output="runs")
    second = write_run(tmp_path / "runs" / "toy" / "seed0", init="runs/first/seed0", output="runs")
    monkeypatch.chdir(ROOT)  # pushed from elsewhere than trained
    bundle = bundle_of(second, "zoo/toy", licence="MIT")
    card = text_of(bundle.files["README.md"])
    assert "It began from jca-rendered." in card
    assert "The weights of jca-rendered are under Apache-2.0." in card
    assert "on real people its values mean nothing" in card
    assert "The weights of jca-rendered are under Apache-2.0." in bundle.remarks[0]

    hub = write_run(tmp_path / "hub", init="zoo/base@v1")
    card = text_of(bundle_of(hub, "zoo/toy").files["README.md"])
    assert "base_model: zoo/base" in card
    assert "No licence of zoo/base@v1 was found." in card
    lost = write_run(tmp_path / "lost", init="/home/erika/gone")
    card = text_of(bundle_of(lost, "zoo/toy").files["README.md"])
    assert "other weights of its author's" in card
    assert "init=PATH/TO/gone" in card
    assert "/home" not in card
    itself = write_run(tmp_path / "itself", init=str(tmp_path / "itself"))
    assert "other weights of its author's" in text_of(bundle_of(itself, "zoo/toy").files["README.md"])


def test_both_models_of_an_init_by_modality_are_named_with_their_licences(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "first" / "seed0", init="jca-rendered", output="runs")
    mapping = {"audio": "zoo/voice@v1", "visual": "runs/first/seed0"}
    both = write_run(tmp_path / "runs" / "toy" / "seed0", init=mapping, output="runs")
    bundle = bundle_of(both, "zoo/toy", licence="MIT")
    card = text_of(bundle.files["README.md"])
    assert "No licence of zoo/voice@v1 was found." in card
    assert "The weights of jca-rendered are under Apache-2.0." in card
    assert "on real people its values mean nothing" in card
    assert "other weights of its author's" not in card
    assert json.loads(text_of(bundle.files["training.json"]))["init"]["audio"] == "zoo/voice@v1"
    # The same run for both streams is no circle; a folder that is gone is said, and its name can be filled in.
    same = write_run(tmp_path / "same", init={"audio": "runs/first/seed0", "visual": str(tmp_path / "runs/first/seed0")})
    assert "other weights of its author's" not in text_of(bundle_of(same, "zoo/toy").files["README.md"])
    lost = write_run(tmp_path / "lost", init={"audio": "/home/erika/gone", "visual": "jca-rendered"})
    card = text_of(bundle_of(lost, "zoo/toy").files["README.md"])
    assert "other weights of its author's" in card
    assert "The weights of jca-rendered are under Apache-2.0." in card
    assert "init.audio=PATH/TO/gone" in card
    assert "/home" not in card


def test_without_a_licence_none_is_invented_and_the_author_hears_of_it(tmp_path):
    bundle = bundle_of(write_run(tmp_path / "run"), "zoo/toy")
    card = text_of(bundle.files["README.md"])
    assert "license" not in card.split("---")[1]
    assert "None was stated" in card
    assert "--licence" in bundle.remarks[0]


def test_a_run_that_has_not_ended_says_so_and_has_no_scores(tmp_path):
    card = text_of(bundle_of(write_run(tmp_path / "run", result={}), "zoo/toy").files["README.md"])
    assert "had not ended" in card
    assert "Nothing was measured" in card
    assert "model-index" not in card


def test_the_card_beside_the_weights_is_the_card(tmp_path):
    folder = installed_model().save_pretrained(tmp_path / "model", card="---\nlicense: mit\n---\n# mine\n")
    bundle = bundle_of(folder, "zoo/toy")
    assert text_of(bundle.files["README.md"]) == "---\nlicense: mit\n---\n# mine\n"
    assert set(bundle.files) == {"config.json", "model.safetensors", "README.md"}
    with pytest.raises(InputError, match="write tags and licence into it"):
        bundle_of(folder, "zoo/toy", licence="MIT")
    (folder / "README.md").write_text("---\nlicense: [\n---\n")
    with pytest.raises(InputError, match=r"README\.md: the metadata is not YAML"):
        bundle_of(folder, "zoo/toy")
    (folder / "README.md").write_bytes(b"# caf\xe9\n")
    with pytest.raises(InputError, match=r"README\.md cannot be read as UTF-8 text"):
        bundle_of(folder, "zoo/toy")


def test_what_is_not_a_model_or_damaged_is_refused_before_anything_is_sent(tmp_path):
    with pytest.raises(CheckpointError, match="is not a folder"):
        bundle_of(tmp_path / "absent", "zoo/toy")
    with pytest.raises(CheckpointError, match=r"holds no config\.json"):
        bundle_of(tmp_path, "zoo/toy")
    run = write_run(tmp_path / "run")
    (run / "result.json").write_text("{")
    with pytest.raises(DataError, match=r"result\.json cannot be read"):
        bundle_of(run, "zoo/toy")
    (run / "result.json").unlink()
    (run / "model" / "model.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(CheckpointError, match="safetensors"):
        bundle_of(run, "zoo/toy")


def test_weights_that_are_not_numbers_and_folders_of_this_machine_are_not_shared():
    register_toys()

    @affectzoo.register_backbone("toy-from-file")
    class FromFile(ToyAudio):
        def __init__(self, *, file: str = "/home/erika/base.safetensors") -> None:
            super().__init__()
            self.file = file

    with pytest.raises(ConfigError, match=r"streams\.audio\.backbone\.config\.file"):
        check_shareable(affectzoo.create_model(audio="toy-from-file"))
    model = audio_visual_model()
    check_shareable(model)
    with torch.no_grad():
        next(model.head.parameters())[0] = float("nan")
    with pytest.raises(CheckpointError, match="not numbers"):
        check_shareable(model)


CHILD = """
import dataclasses
import affectzoo
from tests.model.toys import audio_visual_model, register_toys

register_toys()
model = audio_visual_model()
for step in steps:
    if "load" in step:
        again = affectzoo.load(step["load"])
        same = all((again.state_dict()[name] == tensor).all() for name, tensor in model.state_dict().items())
        answer({"same": bool(same), "revision": again.revision})
        continue
    if "begin" in step:
        model = affectzoo.load(step.pop("begin"))
    try:
        answer(dataclasses.asdict(model.push_to_hub(**step)))
    except affectzoo.AffectzooError as error:
        answer({"error": type(error).__name__, "text": str(error)})
"""


@pytest.fixture
def server(tmp_path):
    with HubServer(tmp_path / "server") as server:
        yield server


def test_a_model_in_memory_is_pushed_and_loaded_again(server, tmp_path):
    steps = [
        {"repo_id": "zoo/toy", "licence": "MIT", "tags": ["tiny"], "message": "first"},
        {"load": "zoo/toy"},
        {"repo_id": "zoo/toy", "card": "# mine\n", "licence": "MIT"},
        {"repo_id": "zoo/toy", "card": "---\nlicense: mit\n"},
        {"repo_id": "zoo/drawn", "begin": "jca-rendered", "revision": "trial"},
        {"repo_id": "zoo/toy", "begin": "zoo/toy", "licence": "MIT", "tags": ["tiny"]},
    ]
    with Child(server, tmp_path / "home", CHILD, user="alice") as child:
        first, loaded, both, broken, drawn, later = child.answers(steps)
    assert first["uploaded"] == ["README.md", "config.json", "model.safetensors"]
    assert loaded == {"same": True, "revision": first["commit"]}
    assert "write tags and licence into it" in both["text"]
    assert broken["error"] == "InputError"
    repo = server.hub.repos[("model", "zoo/toy")]
    assert repo.branches == {"main": later["commit"]}
    assert later["uploaded"] == ["README.md"]
    card = server.held("zoo/toy")["README.md"].decode()
    assert f"It was made from commit {first['commit']} of this repository" in card
    assert "base_model" not in card
    assert repo.commits[first["commit"]]["title"] == "first"
    assert "license: mit" in card
    assert "- tiny" in card
    # What it needs came from a script, and whoever loads it has to know.
    assert all(f"`{name}`" in card for name in ("toy-visual", "toy-audio", "toy-sum"))
    assert "before you load" in card
    card = server.held("zoo/drawn", "trial")["README.md"].decode()
    assert drawn["revision"] == "trial"
    assert 'affectzoo.load("zoo/drawn@trial")' in card
    assert "It began from jca-rendered." in card
    assert "The weights of jca-rendered are under Apache-2.0." in card


def test_the_command_pushes_a_run_and_says_what_became_of_each_file(server, tmp_path):
    folder = write_run(tmp_path / "run")
    push = ("-m", "affectzoo.cli", "push", str(folder), "zoo/toy", "--licence", "MIT")
    more = ("--private", "--tag", "a", "--message", "the run")
    out, err = ended(start(server, tmp_path / "home", *push, *more, user="alice"))
    repo = server.hub.repos[("model", "zoo/toy")]
    assert repo.private
    assert repo.commits[repo.branches["main"]]["title"] == "the run"
    assert set(server.held("zoo/toy")) == {
        ".gitattributes",
        "README.md",
        "config.json",
        "model.safetensors",
        "training.json",
    }
    assert f"{server.url}/zoo/toy" in out
    assert repo.branches["main"] in out
    assert "hf_alice" not in out + err
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"hf_alice" in path.read_bytes()]
