"""What a user writes is a folder, a zoo name or a Hub repository, in this order; everything else is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

import affectzoo
from affectzoo.errors import CheckpointError, DownloadError, InputError, UnknownNameError
from affectzoo.hub import resolve as module
from affectzoo.hub.resolve import DownloadOptions, Resolved, resolve
from affectzoo.registry import ModelSpec, PluginRecord, Registry


@pytest.fixture(autouse=True)
def zoo(monkeypatch):
    """A zoo of one bundled model and one on the Hub; the Hub itself only notes what it is asked for."""
    specs = [
        ModelSpec(name="bundled", summary="m", licence="MIT", location="package://affectzoo/weights"),
        ModelSpec(name="afar", summary="m", licence="MIT", location="hub://zoo/afar@0123abc"),
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
        affectzoo.load("zoo/unseen", local_files_only=True, cache_dir=str(tmp_path))
