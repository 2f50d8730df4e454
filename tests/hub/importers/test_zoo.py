"""A zoo model made from somebody else's file: fetched and converted once, never half, never without being asked."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from huggingface_hub import constants

import affectzoo
from affectzoo.errors import CheckpointError, DownloadError, InputError, PluginError
from affectzoo.hub.importers import zoo
from affectzoo.hub.importers.zoo import cache_folder, imported_folder
from affectzoo.registry import ModelSpec
from affectzoo.remote.address import digest_of
from affectzoo.remote.options import DownloadOptions
from tests.hub.hub_server import HubServer, Repo
from tests.hub.importers.toys import install_plugin
from tests.remote.file_server import FileServer, corrupted, cut_without_length, reset, status, truncated

ROOT = Path(__file__).resolve().parents[3]
PATH = "/commit/toy.pt"


@pytest.fixture(scope="module")
def server(checkpoint):
    with FileServer() as running:
        running.files[PATH] = checkpoint.read_bytes()
        yield running


@pytest.fixture(scope="module")
def spec(server, checkpoint) -> ModelSpec:
    return ModelSpec(
        name="toy-imported",
        summary="a toy",
        licence="CC-BY-4.0",
        location=f"{server.url}{PATH}",
        importer="toy",
        digest=digest_of(checkpoint, "git"),
        targets=("valence", "arousal"),
        size_mb=0.1,
    )


@pytest.fixture(autouse=True)
def online(monkeypatch, tmp_path, server):
    """The tests' process is offline; these talk to this machine alone."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("AFFECTZOO_CACHE", str(tmp_path / "cache"))
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    server.log.clear()


@pytest.fixture
def options(entry) -> DownloadOptions:  # noqa: ARG001  (registers the importer)
    return DownloadOptions()


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_it_is_fetched_once_and_the_original_is_not_kept(spec, server, options, tmp_path, capsys, checkpoint):
    folder = imported_folder(spec, options)
    assert folder.parent == tmp_path / "cache" / "imported"
    assert folder.name == f"toy-imported-{spec.digest[4:16]}-affect-toy-2.1"
    published = torch.load(checkpoint, weights_only=True)
    assert all(torch.equal(tensor, published[name]) for name, tensor in affectzoo.load(folder).state_dict().items())
    err = capsys.readouterr().err
    assert err == (f"affectzoo: toy-imported comes from {spec.location} (0.1 MB, licence CC-BY-4.0); converted into {folder}\n")
    card = (folder / "README.md").read_text()
    assert f"Converted from {spec.location} (SHA-256" in card
    assert "license: cc-by-4.0" in card
    assert imported_folder(spec, options) == folder
    assert capsys.readouterr().err == ""
    assert len(server.log) == 1
    assert visible(folder.parent) == [folder.name]
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]


@pytest.mark.parametrize("fault", [status(404), status(503), truncated, cut_without_length, reset, corrupted])
def test_after_each_fault_nothing_is_there_and_a_second_try_works(spec, server, options, tmp_path, fault):
    server.faults[PATH] = [fault]
    with pytest.raises(DownloadError) as caught:
        imported_folder(spec, options)
    assert "\n" not in str(caught.value)
    assert visible(tmp_path / "cache" / "imported") == []
    assert affectzoo.load(imported_folder(spec, options))


def test_without_its_importer_the_sentence_names_the_model_and_what_to_install(spec, server):
    with pytest.raises(
        PluginError, match=r"^toy-imported is converted by the importer 'absent', .*pip install affectzoo\[zoo\]"
    ):
        imported_folder(replace(spec, importer="absent"), DownloadOptions())
    assert server.log == []


def test_a_file_that_cannot_be_converted_leaves_nothing(spec, server, options, tmp_path):
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pt")
    server.files["/other.pt"] = (tmp_path / "other.pt").read_bytes()
    other = replace(spec, location=f"{server.url}/other.pt", digest=digest_of(tmp_path / "other.pt"))
    with pytest.raises(CheckpointError, match="this is another network"):
        imported_folder(other, options)
    assert visible(tmp_path / "cache" / "imported") == []


def test_a_file_may_be_called_anything(spec, server, options, checkpoint):
    for name in ("model", "source", "config.json"):
        server.files[f"/{name}"] = checkpoint.read_bytes()
        odd = replace(spec, name=f"toy-{name}", location=f"{server.url}/{name}")
        assert affectzoo.load(imported_folder(odd, options))


def test_an_interruption_or_a_full_disk_leaves_nothing_and_a_second_try_works(spec, options, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for save, error, says in (
        (interrupted, KeyboardInterrupt, None),
        (full, InputError, "cannot be written: No space left on device; set AFFECTZOO_CACHE to a folder of yours"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(affectzoo.AffectModel, "save_pretrained", save)
            with pytest.raises(error, match=says):
                imported_folder(spec, options)
        assert visible(tmp_path / "cache" / "imported") == []
    assert affectzoo.load(imported_folder(spec, options))


def test_without_the_network_a_cached_model_loads_and_another_is_one_sentence(spec, server, options, monkeypatch):
    local = DownloadOptions(local_files_only=True)
    with pytest.raises(DownloadError, match="toy-imported is not cached and local_files_only or HF_HUB_OFFLINE forbids"):
        imported_folder(spec, local)
    assert server.log == []
    folder = imported_folder(spec, options)
    server.log.clear()
    assert imported_folder(spec, local) == folder
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert imported_folder(spec, options) == folder
    with pytest.raises(InputError, match="cannot be fetched again without the network"):
        imported_folder(spec, DownloadOptions(force_download=True))
    assert server.log == []


def test_forcing_fetches_again_and_replaces_what_was_there_only_when_it_succeeds(spec, server, options):
    folder = imported_folder(spec, options)
    (folder / "config.json").write_text("{}")
    server.faults[PATH] = [truncated]
    with pytest.raises(DownloadError):
        imported_folder(spec, DownloadOptions(force_download=True))
    assert (folder / "config.json").read_text() == "{}"
    imported_folder(spec, DownloadOptions(force_download=True))
    assert affectzoo.load(folder)
    assert len(server.log) == 3
    assert visible(folder.parent) == [folder.name]


def test_what_a_killed_process_left_is_not_loaded_and_goes(spec, options):
    folder = imported_folder(spec, options)
    left = folder.with_name(f".{folder.name}.abc.part")
    folder.rename(left)
    assert affectzoo.load(imported_folder(spec, options))
    assert not left.exists()


@pytest.mark.usefixtures("entry")
def test_a_revision_of_a_pinned_model_is_refused(spec):
    with pytest.raises(InputError, match="toy-imported is pinned by its card and has no revision 'v2'"):
        imported_folder(spec, DownloadOptions(revision="v2"))


def test_another_release_of_the_importer_converts_again(spec, server, options, entry, monkeypatch):
    first = imported_folder(spec, options)
    monkeypatch.setattr(zoo, "registry", lambda: type("Registry", (), {"find": lambda *_: newer})())
    newer = type(entry)(entry.kind, entry.spec, entry.distribution, "2.2", obj=entry.obj)
    assert imported_folder(spec, options) == first.with_name(first.name.replace("2.1", "2.2"))
    assert len(server.log) == 2


def test_a_cache_that_cannot_be_written_is_one_sentence_and_no_request(spec, server, options, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    for place in ("/proc/affectzoo", str(tmp_path / "file")):
        monkeypatch.setenv("AFFECTZOO_CACHE", place)
        with pytest.raises(InputError, match=rf"{place}/imported cannot be written: .+; set AFFECTZOO_CACHE to a folder"):
            imported_folder(spec, options)
    assert server.log == []


def test_the_cache_is_where_the_user_wants_it(monkeypatch, tmp_path):
    assert cache_folder("/mine") == Path("/mine/imported")
    assert cache_folder() == tmp_path / "cache" / "imported"
    monkeypatch.delenv("AFFECTZOO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/affectzoo/imported")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder() == Path("/home/me/.cache/affectzoo/imported")


CHILD = """
import json, sys
import affectzoo
from affectzoo.hub.resolve import resolve

try:
    said = {"folder": str(resolve("toy-imported").folder), "torch": "torch" in sys.modules}
    if sys.argv[1] == "load":
        model = affectzoo.load("toy-imported")
        said |= {"source": model.source, "weights": model.backbones["visual"].convolution.weight.flatten().tolist()}
except affectzoo.AffectzooError as error:
    said = {"error": type(error).__name__, "text": str(error)}
print(json.dumps(said))
"""


@pytest.fixture
def child(tmp_path, spec):
    """Find, or also load, `toy-imported` in a fresh interpreter that has the toy's plugin installed."""

    def start(mode: str = "resolve", *, entry: ModelSpec = spec, **environment: str) -> subprocess.Popen[str]:
        site = install_plugin(tmp_path / "site", json.dumps([asdict(entry)]))
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "AFFECTZOO_PLUGINS"))}
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, mode],
            env={**kept, "PYTHONPATH": f"{site}:{ROOT}", "HF_HOME": str(tmp_path / "home"), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def ended(process: subprocess.Popen[str]) -> tuple[dict, str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out), err


def test_four_processes_at_once_fetch_once_and_only_the_one_that_converts_loads_torch(child, server, checkpoint):
    results = [ended(process) for process in [child() for _ in range(4)]]
    assert [result["folder"] for result, _ in results] == [results[0][0]["folder"]] * 4
    assert sum(result["torch"] for result, _ in results) == 1
    assert sum("toy-imported comes from" in err for _, err in results) == 1
    assert len(server.log) == 1

    offline, err = ended(child("load", HF_HUB_OFFLINE="1"))
    assert offline["torch"] is False
    published = torch.load(checkpoint, weights_only=True)
    assert offline["weights"] == published["backbones.visual.convolution.weight"].flatten().tolist()
    assert offline["source"] == "toy-imported"
    assert err == ""
    assert len(server.log) == 1


def test_a_repository_on_the_hub_is_converted_from_one_commit_and_its_pickle_is_left_alone(child, tmp_path, checkpoint, spec):
    tensors = torch.load(checkpoint, weights_only=True)
    files = {
        "config.json": b"{}",
        "model.safetensors": safetensors.torch.save(tensors),
        "pytorch_model.bin": b"pickle",
        "train.py": b"raise SystemExit",
    }
    with HubServer(tmp_path / "server") as hub:
        repo = Repo("model", "zoo/toy", "zoo", private=False)
        hub.hub.repos["model", "zoo/toy"] = repo
        commit = repo.new_commit("main", {name: hub.hub.put(data) for name, data in files.items()}, "publish")
        on_the_hub = replace(spec, location=f"hub://zoo/toy@{commit}", digest="")
        environment = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1"}
        found, err = ended(child(entry=on_the_hub, **environment))
        fetched = {path.rpartition("/")[2] for method, path, *_ in hub.hub.log if method == "GET" and "/resolve/" in path}
        assert fetched == {"config.json", "model.safetensors"}
        assert f"toy-imported comes from zoo/toy@{commit} on the Hub" in err
        assert f"`zoo/toy` on the Hub at commit `{commit}`" in Path(found["folder"], "README.md").read_text()

        hub.hub.log.clear()
        assert ended(child(entry=on_the_hub, **environment)) == ({**found, "torch": False}, "")
        assert hub.hub.log == []
    converted = safetensors.torch.load_file(Path(found["folder"], "model.safetensors"))
    assert all(torch.equal(converted[name], tensor) for name, tensor in tensors.items())


def test_offline_and_not_cached_is_one_sentence_and_no_request(child, server):
    result, _ = ended(child(HF_HUB_OFFLINE="1"))
    assert result["error"] == "DownloadError"
    assert "toy-imported is not cached" in result["text"]
    assert server.log == []


def test_a_process_killed_while_it_downloads_leaves_nothing_that_is_loaded(child, server, tmp_path):
    stopped = []

    def stall(handler, data):
        handler.head(len(data))
        handler.wfile.write(data[:-1])
        handler.wfile.flush()
        victim.kill()
        victim.wait()
        stopped.append(True)

    server.faults[PATH] = [stall]
    victim = child()
    victim.communicate(timeout=60)
    assert stopped or victim.returncode == -9
    left = visible(tmp_path / "cache" / "imported")
    assert left
    assert all(name.startswith(".") for name in left)
    result, _ = ended(child())
    assert Path(result["folder"], "model.safetensors").is_file()
    assert [name for name in visible(tmp_path / "cache" / "imported") if name.startswith(".")] == []
