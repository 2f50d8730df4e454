"""What a user writes is a folder, a zoo name or a Hub repository, in this order; everything else is one sentence."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

import affectzoo
from affectzoo.errors import CheckpointError, DownloadError, InputError, UnknownNameError
from affectzoo.hub import resolve as module
from affectzoo.hub.pull import copy_model
from affectzoo.hub.resolve import DownloadOptions, Resolved, resolve
from affectzoo.registry import ModelSpec, PluginRecord, Registry


@pytest.fixture(autouse=True)
def zoo(monkeypatch):
    """A zoo of one bundled model and one on the Hub; the Hub itself only notes what it is asked for."""
    specs = [
        ModelSpec(name="bundled", summary="m", licence="MIT", location="package://affectzoo/weights"),
        ModelSpec(name="afar", summary="m", licence="MIT", location="hub://zoo/afar@0123abc"),
        ModelSpec(
            name="foreign",
            summary="m",
            licence="MIT",
            location="https://example.org/weights.pt",
            importer="theirs",
            digest=f"git:{'0' * 40}",
        ),
    ]
    fake = Registry([PluginRecord("p", "affectzoo", "0.1.0", specs={"model": specs})])
    monkeypatch.setattr(module, "registry", lambda: fake)
    asked = []

    def from_hub(repo, revision, options):
        asked.append((repo, revision, options))
        return Resolved(Path("/hub"), repo, revision or "main")

    monkeypatch.setattr(module, "_from_hub", from_hub)
    return asked


def test_a_folder_wins_over_a_zoo_name_and_over_the_hub(tmp_path, monkeypatch, zoo):
    monkeypatch.chdir(tmp_path)
    for name in ("bundled", "zoo/afar"):
        (tmp_path / name).mkdir(parents=True)
        assert resolve(name) == Resolved(Path(name), name)
        assert resolve(tmp_path / name).folder == tmp_path / name
    assert zoo == []


def test_a_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()
    assert resolve("~/mine").folder == tmp_path / "mine"


@pytest.mark.parametrize("name", ["bundled", "affectzoo/bundled"])
def test_a_bundled_model_is_a_real_folder_inside_its_package(name):
    found = resolve(name)
    assert found.folder == Path(affectzoo.__file__).parent / "weights"
    assert (found.source, found.revision) == ("bundled", "")


def test_a_zoo_name_on_the_hub_is_pinned_to_the_commit_of_its_card(zoo):
    options = DownloadOptions(token="hf_x", local_files_only=True)
    resolve("afar", options)
    assert zoo == [("zoo/afar", "0123abc", options)]


def test_a_zoo_name_with_an_importer_is_converted_whatever_its_address(monkeypatch, tmp_path, zoo):
    asked = []
    fake = ModuleType("affectzoo.hub.importers.zoo")
    fake.imported_folder = lambda spec, options: asked.append((spec.name, options)) or tmp_path  # pyright: ignore
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    options = DownloadOptions(local_files_only=True)
    found = resolve("foreign", options)
    assert (found.folder, found.source, found.spec and found.spec.name) == (tmp_path, "foreign", "foreign")
    assert asked == [("foreign", options)]
    assert zoo == []


@pytest.mark.parametrize(
    ("text", "repo", "revision"),
    [("a/b", "a/b", None), ("a/b@main", "a/b", "main"), ("a-1/b.c@refs/pr/3", "a-1/b.c", "refs/pr/3")],
)
def test_a_repository_may_carry_a_revision(zoo, text, repo, revision):
    resolve(text)
    assert zoo[0][:2] == (repo, revision)


@pytest.mark.parametrize("name", ["bundeld", "", "jca", "bundled@v2"])
def test_an_unknown_name_says_how_to_list(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError, match="affectzoo list models"):
        resolve(name)


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "~/no-where", "a/b/c", "../x", "a/b@", "a//b", Path("a/b")])
def test_a_path_that_does_not_exist_is_never_looked_up_on_the_hub(name, zoo):
    with pytest.raises(CheckpointError, match="does not exist; give a folder, a zoo name or org/name on the Hub"):
        resolve(name)
    assert zoo == []


def test_a_file_is_not_a_model(tmp_path):
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(CheckpointError, match=r"model\.safetensors is a file; give the folder"):
        resolve(tmp_path / "model.safetensors")


def test_a_revision_of_what_has_none_is_refused_and_not_ignored(tmp_path):
    for name in (tmp_path, "bundled"):
        with pytest.raises(InputError, match="has no revision 'v2'"):
            resolve(name, DownloadOptions(revision="v2"))


def test_offline_and_uncached_is_one_download_error(monkeypatch, tmp_path):
    monkeypatch.undo()
    with pytest.raises(DownloadError, match="zoo/unseen is not cached and the Hub cannot be reached"):
        affectzoo.load("zoo/unseen", local_files_only=True, cache_dir=tmp_path)


def bundled_copy(folder: Path) -> Resolved:
    """A model folder as `resolve` finds one, of links as in the Hub's cache."""
    (folder / "cache").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "README.md"):
        (folder / name).write_text(name)
        (folder / "cache" / name).symlink_to(folder / name)
    return Resolved(folder / "cache", "zoo/afar", "0" * 40)


def test_a_copy_holds_files_of_its_own_and_is_made_once(tmp_path):
    found = bundled_copy(tmp_path)
    out = copy_model(found, tmp_path / "new" / "model")
    assert {path.name: path.read_text() for path in out.iterdir()} == {path.name: path.name for path in found.folder.iterdir()}
    assert not any(path.is_symlink() for path in out.iterdir())
    assert copy_model(found, out) == out
    assert [path.name for path in out.parent.iterdir()] == ["model"]
    (tmp_path / "empty").mkdir()
    assert (copy_model(found, tmp_path / "empty") / "config.json").is_file()


def test_a_folder_with_something_else_is_never_written_over(tmp_path, monkeypatch):
    found = bundled_copy(tmp_path)
    out = copy_model(found, tmp_path / "model")
    (out / "model.safetensors").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds something other than zoo/afar; give another folder"):
        copy_model(found, out)
    assert (out / "model.safetensors").read_text() == "mine"
    with pytest.raises(InputError, match="is a file"):
        copy_model(found, out / "model.safetensors")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(InputError, match="cannot be written: No space left on device; choose another place"):
        copy_model(found, tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["cache", "model"]
