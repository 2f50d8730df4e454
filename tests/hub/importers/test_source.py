"""What a user gives is a file, a folder, an address or a repository, in this order, and the card says which file it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from huggingface_hub import constants

from affectzoo.errors import CheckpointError, DownloadError, InputError
from affectzoo.hub.importers import source as module
from affectzoo.hub.importers.source import locate
from affectzoo.remote.options import DownloadOptions
from tests.remote.file_server import FileServer

DATA = b"weights"
HEX = hashlib.sha256(DATA).hexdigest()
FILES = ("config.json", "model.safetensors", "pytorch_model.bin")


class Commit:
    """What of a repository on the Hub is asked for."""

    holds: tuple[str, ...] = ()
    is_listed = True
    sha = "c" * 40
    made: list[Commit]

    def __init__(self, repo, revision, options):
        self.wanted = repo if revision is None else f"{repo}@{revision}"
        self.options, self.fetched, self.folder = options, [], Path("/cache")
        self.made.append(self)

    def choose(self, wanted):
        return sorted(set(self.holds) & set(wanted))

    def fetch(self, name):
        if not self.is_listed and name not in self.holds:
            raise DownloadError("not cached")
        self.fetched.append(name)

    def keep_revision(self):
        self.fetched.append("ref")


@pytest.fixture(autouse=True)
def hub(monkeypatch):
    monkeypatch.setattr(Commit, "made", [], raising=False)
    monkeypatch.setattr(module, "HubCommit", Commit)
    return Commit


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "private" / "net.pt"
    path.parent.mkdir()
    path.write_bytes(DATA)
    return path


def test_a_file_is_named_with_its_sha256_and_without_its_folder(file, tmp_path):
    for given in (file, str(file)):
        found = locate(given, tmp_path, files=FILES, digest=f"sha256:{HEX}")
        assert found.path == file
        assert found.origin == f"`net.pt` (SHA-256 `{HEX}`)"


def test_a_folder_is_named_with_the_files_that_the_importer_reads(file, tmp_path):
    file.rename(file.with_name("model.safetensors"))
    (file.parent / "other.bin").write_bytes(b"x")
    found = locate(file.parent, tmp_path, files=FILES)
    assert found.origin == f"the folder `private`: `model.safetensors` (SHA-256 `{HEX}`)"


def test_another_file_than_the_digest_says_is_refused_before_it_is_read(file, tmp_path):
    with pytest.raises(CheckpointError, match=rf"net\.pt is not the file that was meant: its digest is sha256:{HEX}, not"):
        locate(file, tmp_path, files=FILES, digest="sha256:" + "0" * 64)
    with pytest.raises(InputError, match="must be git: and 40"):
        locate(file, tmp_path, files=FILES, digest=HEX)


def test_a_digest_of_what_is_no_single_file_is_refused_and_not_ignored(file, tmp_path):
    for given in (file.parent, "org/name"):
        with pytest.raises(InputError, match="a digest belongs to a single file"):
            locate(given, tmp_path, files=FILES, digest=f"sha256:{HEX}")


def test_an_address_is_fetched_into_the_scratch_folder_and_named_without_its_query(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with FileServer() as server:
        server.files["/a/net.pt"] = DATA
        found = locate(f"{server.url}/a/net.pt?key=secret", tmp_path, files=FILES, digest=f"sha256:{HEX}")
    assert found.path == tmp_path / "net.pt"
    assert found.origin == f"{server.url}/a/net.pt (SHA-256 `{HEX}`)"


@pytest.mark.parametrize(
    ("holds", "fetched"),
    [
        (
            ("README.md", "config.json", "model.safetensors", "pytorch_model.bin", "run.py"),
            ["config.json", "model.safetensors"],
        ),
        (("config.json", "pytorch_model.bin"), ["config.json", "pytorch_model.bin"]),
        (("model.safetensors",), ["model.safetensors"]),
    ],
)
def test_of_a_repository_only_named_files_come_and_a_pickle_only_without_safetensors(
    hub, monkeypatch, tmp_path, holds, fetched
):
    monkeypatch.setattr(hub, "holds", holds)
    options = DownloadOptions(token="hf_x")
    found = locate("org/name@v1", tmp_path, files=FILES, options=options)
    (commit,) = hub.made
    assert (commit.wanted, commit.options, commit.fetched) == ("org/name@v1", options, [*fetched, "ref"])
    assert found.path == commit.folder
    assert found.origin == f"`org/name` on the Hub at commit `{commit.sha}`"


def test_a_repository_without_weights_is_told_apart_from_one_that_cannot_be_asked(hub, monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "holds", ("config.json",))
    with pytest.raises(CheckpointError, match=r"org/name on the Hub holds none of model\.safetensors, pytorch_model\.bin"):
        locate("org/name", tmp_path, files=FILES)
    monkeypatch.setattr(hub, "is_listed", False)
    with pytest.raises(DownloadError, match="not cached"):
        locate("org/name", tmp_path, files=FILES)


def test_a_repository_is_refused_unasked_where_the_importer_reads_one_file(tmp_path):
    with pytest.raises(InputError, match="reads one file, not a repository; give the file or its address instead of org/name"):
        locate("org/name", tmp_path, files=())


def test_two_revisions_are_refused(tmp_path):
    with pytest.raises(InputError, match="asked for at v1 and at v2; give one revision"):
        locate("org/name@v1", tmp_path, files=FILES, options=DownloadOptions(revision="v2"))


@pytest.mark.parametrize("given", ["net.pt", "./a/b", "a/net.onnx", "/no/where", "~/no-where", "a/b/c", "", Path("a/b")])
def test_a_path_that_does_not_exist_is_never_looked_up_on_the_hub(hub, tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="give a file, a folder, an https address, or org/name"):
        locate(given, tmp_path, files=FILES)
    assert hub.made == []
