"""`upload` against a loopback Hub, with the real client in a fresh interpreter: one commit, or nothing at all."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from affectzoo.errors import InputError
from affectzoo.remote.upload import plan_upload, upload
from tests.hub.children import Child
from tests.hub.hub_server import HubServer

CHILD = """
import dataclasses, warnings
from pathlib import Path
from affectzoo.errors import AffectzooError
from affectzoo.remote.upload import plan_upload, upload

for step in steps:
    files = {path.name: path for path in Path(step.pop("folder")).iterdir()}
    call = plan_upload if step.pop("dry_run", False) else upload
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            done = call(files, **step)
        answer(dataclasses.asdict(done))
    except AffectzooError as error:
        classes = [kind.__name__ for kind in type(error).__mro__]
        said = [text for text in (str(warning.message) for warning in caught) if "removed again" in text]
        answer({"error": classes, "text": str(error), "warned": said})
"""


class Loopback:
    """A server, and uploads to it from an interpreter for each user, which goes on to the next test."""

    def __init__(self, server: HubServer, folder: Path, children: ExitStack) -> None:
        self.server, self.hub, self.folder = server, server.hub, folder
        self.children, self.running = children, {}

    def push(self, *steps: dict[str, Any], user: str | None = "alice", offline: bool = False) -> list[dict[str, Any]]:
        """Run the steps; the requests of all of them stand in the server's log."""
        if (user, offline) not in self.running:
            child = Child(self.server, self.folder / f"home-{user}", CHILD, user=user, offline=offline)
            self.running[user, offline] = self.children.enter_context(child)
        self.hub.log.clear()
        return self.running[user, offline].answers(
            {"repo": "zoo/toy", **({} if step.get("dry_run") else {"message": "m"}), **step} for step in steps
        )

    @property
    def text(self) -> str:
        """All that was ever printed."""
        return "".join(child.text for child in self.running.values())

    def repo(self, name: str = "zoo/toy"):
        return self.hub.repos.get(("model", name))

    def tree(self, branch: str = "main") -> dict[str, bytes]:
        return {name: content for name, content in self.server.held("zoo/toy", branch).items() if name != ".gitattributes"}

    def writes(self) -> list[str]:
        """The requests that change something, or carry a file."""
        return [f"{method} {path}" for method, path, *_ in self.hub.log if method not in ("GET", "HEAD")]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    with HubServer(folder / "server") as server, ExitStack() as children:
        yield Loopback(server, folder, children)


@pytest.fixture
def loopback(running):
    """The server with nothing on it and nothing wrong with it."""
    running.hub.clear()
    return running


def write(folder: Path, **more: bytes | None) -> Path:
    """A folder of a model's files; `more` changes them, None leaves one out."""
    folder.mkdir(exist_ok=True)
    files = {"config": b"{}", "README": b"# toy\n", "weights": b"\x01" * 999, "training": None, **more}
    names = {"config": "config.json", "README": "README.md", "weights": "model.safetensors", "training": "training.json"}
    for key, content in files.items():
        path = folder / names.get(key, key)
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
    return folder


SHARDS = {
    "model-00001-of-00002.safetensors": b"\x02" * 50,
    "model-00002-of-00002.safetensors": b"\x03" * 50,
    "model.safetensors.index.json": b"{}",
}


def test_one_commit_holds_everything_and_a_second_push_sends_nothing(loopback, tmp_path):
    one = write(tmp_path / "one", training=b"{}")
    first, again = loopback.push({"folder": str(one)}, {"folder": str(one)})
    names = ["README.md", "config.json", "model.safetensors", "training.json"]
    assert first["uploaded"] == again["unchanged"] == names
    assert again["uploaded"] == again["deleted"] == []
    assert first["commit"] == again["commit"] == loopback.repo().branches["main"]
    assert first["url"] == f"{loopback.server.url}/zoo/toy"
    assert first["pull_request"] == ""
    assert loopback.tree() == {name: (one / name).read_bytes() for name in names}
    assert len(loopback.repo().commits) == 2  # the Hub's own first one, and ours
    assert [line for line in loopback.writes() if "commit/main" in line] == ["POST /api/models/zoo/toy/commit/main"]

    loopback.push({"folder": str(one)})
    assert [(method, path.partition("?")[0]) for method, path, *_ in loopback.hub.log] == [
        ("GET", "/api/models/zoo/toy/revision/main")
    ]
    write(one, README=b"# other\n", training=b"{}")
    (third,) = loopback.push({"folder": str(one)})
    assert third["uploaded"] == ["README.md"]
    assert not [line for line in loopback.writes() if "lfs" in line]


def test_weights_of_an_earlier_push_go_in_the_same_commit_and_nothing_else(loopback, tmp_path):
    one = write(tmp_path / "one", training=b"{}", **{"model-old.safetensors": None})
    loopback.push({"folder": str(one)})
    repo = loopback.repo()
    kept = {"model-old.safetensors": b"a person's own", "notes.txt": b"notes"}
    tree = repo.commits[repo.branches["main"]]["tree"] | {name: loopback.hub.put(data) for name, data in kept.items()}
    repo.new_commit("main", tree, "by hand")
    sharded = write(tmp_path / "two", weights=None, **SHARDS)
    dry, done = loopback.push({"folder": str(sharded), "dry_run": True}, {"folder": str(sharded)})
    # How other weights were trained is not told any more.
    assert dry["deleted"] == done["deleted"] == ["model.safetensors", "training.json"]
    assert set(loopback.tree()) == {"config.json", "README.md", *SHARDS, *kept}
    (back,) = loopback.push({"folder": str(one)})
    assert back["deleted"] == sorted(SHARDS)
    assert set(loopback.tree()) == {"config.json", "README.md", "model.safetensors", "training.json", *kept}
    # A card alone replaces no weights.
    write(tmp_path / "three", config=None, weights=None)
    (card,) = loopback.push({"folder": str(tmp_path / "three")})
    assert card["deleted"] == []


def test_a_branch_is_made_from_main_and_only_for_a_push_that_succeeds(loopback, tmp_path):
    one = write(tmp_path / "one")
    loopback.push({"folder": str(one)})
    write(one, README=b"# tried\n")
    loopback.hub.inject(r"POST /api/models/zoo/toy/commit/dev", 500)
    failed, dry, done = loopback.push(
        {"folder": str(one), "revision": "dev"},
        {"folder": str(one), "revision": "dev", "dry_run": True},
        {"folder": str(one), "revision": "dev"},
    )
    assert "DownloadError" in failed["error"]
    assert failed["warned"] == []
    assert "DELETE /api/models/zoo/toy/branch/dev" in loopback.writes()
    assert dry["remarks"] == ["the branch dev would be made from main"]
    assert dry["uploaded"] == done["uploaded"] == ["README.md"]
    assert done["url"].endswith("/zoo/toy/tree/dev")
    assert set(loopback.repo().branches) == {"main", "dev"}
    assert loopback.tree("dev")["README.md"] == b"# tried\n"
    assert loopback.tree("main")["README.md"] == b"# toy\n"
    # Nothing differs from main, and yet the branch was asked for.
    write(one)
    loopback.push({"folder": str(one), "revision": "same"})
    assert loopback.tree("same") == loopback.tree("main")


@pytest.mark.parametrize("where", ["preupload", "info/lfs/objects/batch", "PUT /_lfs", "commit/main"])
def test_a_push_that_fails_leaves_the_hub_as_it_was_and_the_next_one_works(loopback, tmp_path, where):
    one = write(tmp_path / "one")
    loopback.hub.inject(where, 507, times=50)  # one that the client does not wait and try again for
    (first,) = loopback.push({"folder": str(one)})
    assert "DownloadError" in first["error"], first
    assert "could not be pushed to the Hub" in first["text"]
    assert "\n" not in first["text"]
    assert loopback.repo() is None  # it was made for this push
    loopback.hub.faults.clear()
    (second,) = loopback.push({"folder": str(one)})
    before = dict(loopback.repo().branches)
    write(one, weights=b"\x05" * 999, README=b"# two\n")
    loopback.hub.inject(where, 403, times=50)
    (third,) = loopback.push({"folder": str(one)})
    assert "HfHubHTTPError" in third["error"], third
    assert "no right" in third["text"], third
    assert loopback.repo().branches == before == {"main": second["commit"]}
    loopback.hub.faults.clear()
    (fourth,) = loopback.push({"folder": str(one)})
    assert fourth["uploaded"] == ["README.md", "model.safetensors"]


def test_what_cannot_be_removed_again_is_said(loopback, tmp_path):
    one = write(tmp_path / "one")
    loopback.hub.inject("POST /api/models/zoo/toy/commit/main", 403)
    loopback.hub.inject("DELETE /api/repos/delete", 403)
    (failed,) = loopback.push({"folder": str(one)})
    assert "no right" in failed["text"]
    assert len(failed["warned"]) == 1
    assert failed["warned"][0].startswith("the repository zoo/toy could not be removed again from the Hub: this login")


class Meanwhile:
    """Stands among the server's faults: somebody commits when the upload begins."""

    def __init__(self, repo) -> None:
        self.repo, self.done = repo, False

    def search(self, request: str) -> None:
        if "/preupload/" in request and not self.done:
            self.done = True
            head = self.repo().branches["main"]
            self.repo().new_commit("main", dict(self.repo().commits[head]["tree"]), "meanwhile", author="carol")


@pytest.mark.parametrize("there_before", [True, False])
def test_what_somebody_pushed_meanwhile_is_not_overwritten(loopback, tmp_path, there_before):
    one = write(tmp_path / "one")
    if there_before:
        loopback.push({"folder": str(one)})
        write(one, README=b"# two\n")
    loopback.hub.faults.append([Meanwhile(loopback.repo), 0, 1, {}])
    (refused,) = loopback.push({"folder": str(one)})
    assert "somebody changed it meanwhile" in refused["text"]
    assert loopback.repo().commits[loopback.repo().branches["main"]]["title"] == "meanwhile"
    (done,) = loopback.push({"folder": str(one)})
    assert "README.md" in done["uploaded"]


def test_who_may_not_push_is_told_so_and_may_open_a_pull_request(loopback, tmp_path):
    one = write(tmp_path / "one")
    nobody = loopback.push({"folder": str(one)}, user=None)[0]
    assert "hf auth login" in nobody["text"]
    bob = loopback.push({"folder": str(one)}, user="bob")[0]
    assert "no right" in bob["text"]
    assert loopback.repo() is None

    loopback.push({"folder": str(one)})
    write(one, README=b"# better\n")
    nobody = loopback.push({"folder": str(one)}, user=None)[0]
    assert "hf auth login" in nobody["text"]
    refused, branch, proposed, absent = loopback.push(
        {"folder": str(one)},
        {"folder": str(one), "revision": "mine"},
        {"folder": str(one), "create_pr": True},
        {"folder": str(one), "create_pr": True, "repo": "zoo/absent"},
        user="bob",
    )
    assert "no right" in refused["text"]
    assert "no right" in branch["text"]
    assert proposed["pull_request"] == f"{loopback.server.url}/zoo/toy/discussions/1"
    assert loopback.tree("refs/pr/1")["README.md"] == b"# better\n"
    assert loopback.tree("main")["README.md"] == b"# toy\n"
    assert "RepositoryNotFoundError" in absent["error"]
    assert "hf_bob" not in loopback.text


def test_private_is_kept_and_never_changed_by_a_push(loopback, tmp_path):
    one = write(tmp_path / "one")
    dry, _, public = loopback.push(
        {"folder": str(one), "private": True, "dry_run": True},
        {"folder": str(one), "private": True},
        {"folder": str(one), "private": False},
    )
    assert dry["remarks"] == ["zoo/toy does not exist, or is hidden from this login: it would be made"]
    assert loopback.repo().private
    assert public["error"][0] == "InputError"
    assert "is private already" in public["text"]
    stranger, dry = loopback.push({"folder": str(one)}, {"folder": str(one), "dry_run": True}, user="bob")
    assert "no right" in stranger["text"]
    assert "hidden from this login" in dry["remarks"][0]
    assert loopback.repo().private


def test_a_dry_run_changes_nothing_and_works_without_network(loopback, tmp_path):
    one = write(tmp_path / "one")
    loopback.push({"folder": str(one)})
    write(one, README=b"# two\n")
    (dry,) = loopback.push({"folder": str(one), "dry_run": True})
    assert (dry["uploaded"], dry["unchanged"], dry["remarks"]) == (["README.md"], ["config.json", "model.safetensors"], [])
    assert loopback.writes() == []
    (blind,) = loopback.push({"folder": str(one), "dry_run": True}, offline=True)
    assert blind["uploaded"] == ["README.md", "config.json", "model.safetensors"]
    assert "HF_HUB_OFFLINE" in blind["remarks"][0]
    assert loopback.hub.log == []


def test_a_tag_or_a_commit_is_no_place_to_push_to(loopback, tmp_path):
    one = write(tmp_path / "one")
    loopback.push({"folder": str(one)})
    repo = loopback.repo()
    repo.tags["v1"] = repo.branches["main"]
    write(one, README=b"# two\n")
    before = dict(repo.branches)
    for revision in ("v1", repo.branches["main"]):
        (refused,) = loopback.push({"folder": str(one), "revision": revision})
        assert refused["error"][0] == "InputError", refused
        assert "is not a branch of zoo/toy" in refused["text"]
    assert repo.branches == before


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "trained_on.json",
        "optimizer.safetensors",
        "a/model.safetensors",
        "model-old.safetensors",
        "../config.json",
    ],
)
def test_only_named_files_ever_leave_this_machine(name):
    for call in (plan_upload, lambda *given: upload(*given, message="m")):
        with pytest.raises(InputError, match="is never uploaded"):
            call({name: b"x", "config.json": b"{}"}, "zoo/toy")


@pytest.mark.parametrize("repo", ["toy", "zoo/toy/more", "zoo/../toy", "https://huggingface.co/zoo/toy", "", "zoo/toy@main"])
def test_a_name_that_is_no_repository_is_refused_before_anything_is_asked(repo):
    with pytest.raises(InputError, match="org/name"):
        plan_upload({"config.json": b"{}"}, repo)


def test_a_token_is_neither_printed_nor_kept(loopback, tmp_path):
    one = write(tmp_path / "one")
    wrong, _ = loopback.push(
        {"folder": str(one), "token": "hf_wrongSecretOfSomebody"}, {"folder": str(one), "token": "hf_alice"}, user=None
    )
    assert "hf auth login" in wrong["text"]
    assert "hf_wrongSecret" not in loopback.text
    assert "hf_alice" not in loopback.text
    held = [path for path in (*tmp_path.rglob("*"), *loopback.folder.rglob("*")) if path.is_file()]
    assert held
    assert not [path for path in held if b"hf_alice" in path.read_bytes() or b"hf_wrongSecret" in path.read_bytes()]
