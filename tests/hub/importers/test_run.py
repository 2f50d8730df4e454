"""`affectzoo import`: a folder that loads, with a card that says what it is; or one sentence, and nothing is left behind."""

from __future__ import annotations

import hashlib

import pytest
import torch
import yaml
from safetensors.torch import save_file

import affectzoo
from affectzoo.cli import main
from affectzoo.errors import CheckpointError, ConfigError, InputError, UnknownNameError
from affectzoo.hub.importers.run import import_checkpoint

pytestmark = pytest.mark.usefixtures("entry")


def test_a_checkpoint_becomes_a_folder_that_loads_and_says_where_it_came_from(checkpoint, tmp_path):
    said = []
    folder = import_checkpoint("toy", checkpoint, tmp_path / "new" / "mine", options={"note": "Hello."}, say=said.append)
    model = affectzoo.load(folder)
    published = torch.load(checkpoint, weights_only=True)
    assert all(torch.equal(tensor, published[name]) for name, tensor in model.state_dict().items())
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert [p.name for p in folder.parent.iterdir()] == ["mine"]
    assert said == ["valence and arousal of a toy", "Valence comes first.", "Hello.", "It is a toy."]

    card = (folder / "README.md").read_text()
    sha256 = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "cc-by-4.0"
    assert "# mine" in card
    assert f"Converted from `toy.pt` (SHA-256 `{sha256}`) by the importer `toy` of affect-toy 2.1." in card
    assert "It is a toy." in card
    assert str(checkpoint.parent) not in card


def test_a_licence_that_is_not_known_is_not_invented(checkpoint, tmp_path, entry):
    object.__setattr__(entry.spec, "weights_licence", "")
    card = (import_checkpoint("toy", checkpoint, tmp_path / "m") / "README.md").read_text()
    assert "license" not in yaml.safe_load(card.split("---\n")[1])


def test_a_folder_is_given_to_the_importer_as_it_is(checkpoint, tmp_path):
    (tmp_path / "published").mkdir()
    save_file(torch.load(checkpoint, weights_only=True), tmp_path / "published" / "model.safetensors")
    folder = import_checkpoint("toy", tmp_path / "published", tmp_path / "m")
    assert "Converted from the folder `published`: `model.safetensors` (SHA-256" in (folder / "README.md").read_text()


def test_a_folder_with_something_in_it_is_refused_and_an_empty_one_is_filled(checkpoint, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    for taken in (tmp_path / "full", tmp_path / "full" / "mine.txt"):
        with pytest.raises(InputError, match="exists and is not an empty folder"):
            import_checkpoint("toy", checkpoint, taken)
    (tmp_path / "empty").mkdir()
    assert affectzoo.load(import_checkpoint("toy", checkpoint, tmp_path / "empty"))


def test_what_fails_leaves_the_place_as_it_was(checkpoint, tmp_path):
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pt")
    before = sorted(tmp_path.iterdir())
    cases = [
        (("toi", checkpoint), {}, UnknownNameError, "no importer is called 'toi'. Did you mean 'toy'"),
        (("toy", tmp_path / "other.pt"), {}, CheckpointError, "this is another network"),
        (("toy", checkpoint), {"options": {"ordr": 1}}, ConfigError, "unknown key 'ordr'; did you mean 'order'"),
        (("toy", checkpoint), {"dtype": "int8"}, ConfigError, "dtype 'int8' is not one of"),
        (("toy", checkpoint), {"digest": "git:" + "0" * 40}, CheckpointError, "is not the file that was meant"),
    ]
    for arguments, more, error, says in cases:
        with pytest.raises(error, match=says):
            import_checkpoint(*arguments, tmp_path / "out", **more)
        assert sorted(tmp_path.iterdir()) == before


def test_a_place_that_cannot_be_written_is_one_sentence(checkpoint):
    with pytest.raises(InputError, match=r"/proc/affectzoo/m cannot be written: .+; choose another folder"):
        import_checkpoint("toy", checkpoint, "/proc/affectzoo/m")


@pytest.fixture
def affect(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["affectzoo", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return run


def test_the_command_converts_and_says_how_to_use_it(affect, checkpoint, tmp_path):
    folder = tmp_path / "m"
    code, out, err = affect("import", "toy", checkpoint, "--out", folder, "order=va", "note=3 faces", "--dtype", "float16")
    assert code == 0, err
    assert f'-> {folder}: affectzoo.load("{folder}")' in out
    assert err.splitlines() == ["valence and arousal of a toy", "Valence comes first.", "3 faces", "It is a toy."]
    assert affectzoo.load(folder).config.dtype == "float16"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["order"], "option 'order' must be of the form key=value"),
        (["note=a", "note=b"], "option 'note' is given twice"),
        (["note=[a"], "option 'note=[a': the value is not YAML"),
        (["--digest", "abc"], "digest 'abc' must be git: and 40"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence_and_exit_code_2(affect, checkpoint, tmp_path, more, says):
    code, _, err = affect("import", "toy", checkpoint, "--out", tmp_path / "m", *more)
    assert (code, len(err.splitlines())) == (2, 1)
    assert says in err
    assert list(tmp_path.iterdir()) == []


def test_importers_are_listed_and_described(affect):
    code, out, _ = affect("list", "importers")
    assert code == 0
    assert "toy" in out
    code, out, _ = affect("info", "toy")
    assert code == 0
    assert "A toy state dict to a model." in out
    assert "order = 'va'" in out
