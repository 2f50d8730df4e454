"""`affectzoo pull`: what it prints, the copy it makes, and what it refuses; the network is another test's."""

from __future__ import annotations

from pathlib import Path

import pytest

import affectzoo
from affectzoo.registry import PluginRecord, registry


def facts(out: str) -> dict[str, str]:
    return dict(line.split(maxsplit=1) for line in out.splitlines())


def test_a_zoo_model_is_described_and_copied_once(affect, tmp_path):
    copied = affect("pull", "jca-rendered", "--out", str(tmp_path / "model"))
    assert copied.code == 0, copied.err
    said = facts(copied.out)
    assert said["folder"] == str(tmp_path / "model")
    assert (said["licence"], said["targets"]) == ("Apache-2.0", "valence, arousal")
    assert said["size"] == f"{(tmp_path / 'model' / 'model.safetensors').stat().st_size / 1e6:.1f} MB"
    assert "on real people its values mean nothing" in said["caution"]
    assert affectzoo.load(tmp_path / "model").columns == ("valence", "arousal")
    again = affect("pull", "jca-rendered", "--out", str(tmp_path / "model"))
    assert (again.code, facts(again.out)) == (0, said)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_cards_licence_of_a_folder_is_said_and_none_is_made_up(affect, toy_folder):
    assert facts(affect("pull", str(toy_folder)).out)["licence"] == "not said"
    for front, licence in (("license: mit", "mit"), ("license: other\nlicense_name: mine", "mine"), ("- a", "not said")):
        (toy_folder / "README.md").write_text(f"---\n{front}\n---\n# toy\n")
        assert facts(affect("pull", str(toy_folder)).out)["licence"] == licence


@pytest.fixture
def toy_folder(tmp_path) -> Path:
    model = affectzoo.create_model(visual="timm/resnet18", sequence={"length": 2})
    return model.save_pretrained(tmp_path / "toy")


def test_a_model_whose_plugin_is_absent_is_fetched_and_the_remark_says_what_it_needs(affect, toy_folder, monkeypatch):
    config = toy_folder / "config.json"
    config.write_text(config.read_text().replace("affectzoo-backbones", "affect-extras"))
    absent = affect("pull", str(toy_folder))
    assert absent.code == 0
    assert facts(absent.out)["folder"] == str(toy_folder)
    assert "not loaded: this model needs the backbone 'timm/resnet18' of affect-extras==" in absent.err
    assert "which is not installed; if you trust it: pip install affect-extras==" in absent.err
    blocked = PluginRecord("extras", "affect-extras", "1.0", "blocked", "named in AFFECTZOO_PLUGINS_BLOCK")
    monkeypatch.setattr(registry(), "records", [*registry().records, blocked])
    assert "unset AFFECTZOO_PLUGINS_BLOCK" in affect("pull", str(toy_folder)).err


def test_what_cannot_be_pulled_is_one_sentence(affect, toy_folder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    (toy_folder / "model.safetensors").write_bytes((20_000_000).to_bytes(8, "little") + bytes(100))
    cases = [
        (["jca-rendered", "--out", str(tmp_path / "mine")], "is not empty and holds something other than jca-rendered"),
        (["jca-rendered", "--revision", "v2"], "has no revision 'v2'"),
        (["zoo/unseen"], "zoo/unseen is not cached and the Hub cannot be reached"),
        (["zoo/unseen", "--local-files-only", "--force"], "leave out force_download, or go online"),
        ([str(toy_folder)], "its header would be 20000000 bytes"),
    ]
    for arguments, says in cases:
        refused = affect("pull", *arguments)
        assert refused.code == 2, arguments
        (complaint,) = refused.complaints
        assert says in complaint
        assert refused.out == ""
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
