"""Files of one commit, with the real client against a loopback Hub: what is asked, what is kept, what is believed."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

import pytest

from tests.hub.children import ended, start
from tests.hub.hub_server import HubServer

#: Steps `[repo, wanted, options]`, where `~` before a name makes it a pattern; `NOBODY` drops to a user without rights.
CHILD = """
import hashlib, json, os, re, sys, warnings
from affectzoo.errors import AffectzooError
from affectzoo.remote.hub_files import fetch_files
from affectzoo.remote.options import DownloadOptions

warnings.simplefilter("always")
for repo, wanted, options in json.loads(sys.argv[1]):
    if repo == "NOBODY":
        if os.getuid() == 0:
            os.setuid(65534)
        continue
    wanted = [re.compile(name[1:]) if name.startswith("~") else name for name in wanted]
    with warnings.catch_warnings(record=True) as caught:
        try:
            folder, commit = fetch_files(repo, wanted, DownloadOptions(**options))
        except AffectzooError as error:
            said = {"error": type(error).__name__, "text": str(error)}
        else:
            files = [path for path in folder.rglob("*") if path.is_file()]
            digests = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
            said = {"commit": commit, "files": digests}
    print(json.dumps({**said, "warnings": [str(warning.message) for warning in caught]}))
"""

CONFIG, WEIGHTS = b'{"a": 1}', bytes(range(256)) * 400
MODEL = {"config.json": CONFIG, "model.safetensors": WEIGHTS}
BOTH = ["config.json", "model.safetensors"]


def digests(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with HubServer(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def fetch(server, tmp_path):
    """Run steps in a fresh interpreter with a cache of the test's own; a URL of nobody stands for a dead network."""

    def run(*steps, offline: bool = False, endpoint: str | None = None, home: Path | None = None, wait: bool = True):
        server.hub.log.clear()
        other = {"HF_ENDPOINT": endpoint} if endpoint else {}
        given = json.dumps([(*step, {})[:3] for step in steps])
        child = start(server, home or tmp_path / "home", "-c", CHILD, given, offline=offline, **other)
        return collect(child) if wait else child

    return run


def collect(child) -> list[dict]:
    return [json.loads(line) for line in ended(child)[0].splitlines()]


def requests(server: HubServer) -> list[tuple[str, str]]:
    return [(method, path) for method, path, *_ in server.hub.log if "agent-harnesses" not in path]


def test_a_branch_costs_one_question_and_a_cached_commit_none(server, fetch):
    first = server.publish("zoo/refs", MODEL)
    server.hub.repos["model", "zoo/refs"].tags["v1"] = first
    server.hub.repos["model", "zoo/refs"].branches["dev"] = first
    second = server.publish("zoo/refs", {**MODEL, "model.safetensors": b"new"})
    server.hub.repos["model", "zoo/refs"].branches["refs/pr/1"] = second
    main, tag, branch, proposed = fetch(
        ("zoo/refs", BOTH),
        ("zoo/refs", BOTH, {"revision": "v1"}),
        ("zoo/refs", BOTH, {"revision": "dev"}),
        ("zoo/refs", BOTH, {"revision": "refs/pr/1"}),
    )
    assert (main["commit"], tag["commit"], branch["commit"], proposed["commit"]) == (second, first, first, second)
    assert main["files"]["model.safetensors"] == hashlib.sha256(b"new").hexdigest()
    assert tag["files"] == branch["files"] == digests(MODEL)
    fetch(("zoo/refs", BOTH), ("zoo/refs", BOTH, {"revision": "v1"}))
    assert [path for _, path in requests(server)] == [
        "/api/models/zoo/refs/revision/main?blobs=true",
        "/api/models/zoo/refs/revision/v1?blobs=true",
    ]
    pinned = fetch(*[("zoo/refs", BOTH, {"revision": commit}) for commit in (first, second)])
    assert [step["commit"] for step in pinned] == [first, second]
    assert requests(server) == []
    by_name = [("zoo/refs", BOTH, {"revision": name}) for name in ("main", "v1", "dev", "refs/pr/1", first)]
    forbidden = [(repo, wanted, {**options, "local_files_only": True}) for repo, wanted, options in by_name]
    for results in (fetch(*by_name, offline=True), fetch(*forbidden)):
        assert [step["commit"] for step in results] == [second, first, first, second, first]
        assert server.hub.log == []


def test_a_moved_branch_is_followed_and_an_interrupted_fetch_leaves_the_old_one_offline(server, fetch):
    first = server.publish("zoo/moved", MODEL)
    fetch(("zoo/moved", BOTH))
    second = server.publish("zoo/moved", {**MODEL, "model.safetensors": b"second"})
    server.hub.damage("GET /zoo/moved/.*safetensors", "reset")
    (failed,) = fetch(("zoo/moved", BOTH))
    assert failed["error"] == "ReadError"
    (offline,) = fetch(("zoo/moved", BOTH), offline=True)
    assert (offline["commit"], offline["files"]) == (first, digests(MODEL))
    online, offline = fetch(("zoo/moved", BOTH), ("zoo/moved", BOTH, {"local_files_only": True}))
    assert online["commit"] == offline["commit"] == second


def test_a_pattern_matches_whole_names_and_takes_no_slash(server, fetch):
    files = {"model-1.safetensors": b"1", "sub/model-2.safetensors": b"2", "model-3.safetensors.bak": b"3", "a.json": b"4"}
    server.publish("zoo/many", files)
    (some, none, absent) = fetch(
        ("zoo/many", ["a.json", r"~model-[^/]*\.safetensors"]),
        ("zoo/many", ["~nothing"]),
        ("zoo/many", ["a.json", "b.json"]),
    )
    assert some["files"].keys() == {"a.json", "model-1.safetensors"}
    assert none["files"] == some["files"]  # what is cached of the commit already, and nothing more
    assert "zoo/many on the Hub holds no b.json" in absent["text"]


def test_a_name_that_leads_out_of_its_folder_is_refused(server, fetch, tmp_path):
    names = ["../evil.json", "a/../../evil.json", "/etc/evil.json", "..\\evil.json", "C:evil.json"]
    for number, name in enumerate(names):
        server.publish(f"zoo/evil{number}", {name: b"{}", "config.json": CONFIG})
    listed = fetch(*[(f"zoo/evil{number}", ["~.*"]) for number in range(len(names))])
    asked = fetch(*[(f"zoo/evil{number}", [name]) for number, name in enumerate(names)])
    for number, name in enumerate(names):
        says = f"zoo/evil{number} holds {name!r}, a name that leads out of its folder; nothing was fetched"
        assert listed[number]["text"] == says
        assert asked[number]["text"] == f"{name!r} leads out of the folder of zoo/evil{number}; it is not fetched"
    assert not any("/resolve/" in path for _, path in requests(server))
    assert not list(tmp_path.rglob("*evil.json"))


def test_only_a_plain_revision_names_a_folder_of_the_cache(fetch, server):
    for result in fetch(*[("zoo/refs", BOTH, {"revision": name}) for name in ("../../x", "/x", "a/../..", "a\\b")]):
        assert result["error"] == "InputError"
        assert "is not a revision; give a branch, tag or commit" in result["text"]
    assert server.hub.log == []


def test_private_and_gated_repositories_open_to_whom_they_belong(server, fetch):
    server.publish("alice/private", MODEL, private=True)
    server.publish("alice/gated", MODEL, gated="manual", granted={"bob"})
    anonymous, bob, alice, bad, gated, granted = fetch(
        ("alice/private", BOTH),
        ("alice/private", BOTH, {"token": "hf_bob"}),
        ("alice/private", BOTH, {"token": "hf_alice"}),
        ("alice/private", BOTH, {"token": "hf_mallory", "force_download": True}),
        ("alice/gated", BOTH),
        ("alice/gated", BOTH, {"token": "hf_bob"}),
    )
    assert bob["error"] == "RepositoryNotFoundError"
    assert anonymous["error"] in ("RepositoryNotFoundError", "HfHubHTTPError")
    assert alice["files"] == granted["files"] == digests(MODEL)
    assert "does not accept the token" in bad["text"]
    assert gated["error"] == "GatedRepoError"
    assert not any("hf_" in step.get("text", "") for step in (anonymous, bob, bad, gated))


def test_what_arrives_damaged_is_deleted_and_fetched_again(server, fetch):
    server.publish("zoo/damaged", MODEL)
    server.hub.damage("GET /zoo/damaged/.*config", "corrupt")
    server.hub.damage("GET /zoo/damaged/.*safetensors", "corrupt")
    config, weights, whole = fetch(*[("zoo/damaged", BOTH)] * 3)
    assert config["text"] == "config.json of zoo/damaged arrived damaged and was deleted unread; try again"
    assert weights["text"].startswith("model.safetensors of zoo/damaged arrived damaged")
    assert whole["files"] == digests(MODEL)


def test_a_hub_out_of_reach_leaves_what_is_cached_with_a_warning(server, fetch):
    commit = server.publish("zoo/reach", MODEL)
    fetch(("zoo/reach", BOTH))
    server.hub.inject("GET /api/models/zoo/reach", 503)
    server.hub.inject("GET /api/models/zoo/reach", 429, Retry_After=7)
    trouble, busy, well = fetch(*[("zoo/reach", BOTH)] * 3)
    nobody = "http://127.0.0.1:9"  # the discard port: nothing listens
    dead, cold, forced, lacking = fetch(
        ("zoo/reach", BOTH),
        ("zoo/never", BOTH),
        ("zoo/reach", BOTH, {"force_download": True}),
        ("zoo/reach", [*BOTH, "more.json"]),
        endpoint=nobody,
    )
    for result, says in ((trouble, "(error 503)"), (busy, "wait 7 s"), (dead, "cannot be reached; check the connection")):
        assert result["commit"] == commit
        (warning,) = result["warnings"]
        assert says in warning
        assert f"The cached commit {commit[:12]} is used" in warning
    assert well["warnings"] == []
    for result in (cold, forced, lacking):
        assert result["error"] == "ConnectError"
        assert "which cannot be reached; check the connection, then try again" in result["text"]


def test_nobody_is_asked_offline_and_forcing_is_a_contradiction(server, fetch):
    server.publish("zoo/cold", MODEL)
    options = {"local_files_only": True}
    cold, forced = fetch(("zoo/cold", BOTH, options), ("zoo/cold", BOTH, {**options, "force_download": True}))
    pinned, by_variable = fetch(("zoo/cold", BOTH, {"revision": "0" * 40}), ("zoo/cold", BOTH), offline=True)
    for result in (cold, pinned, by_variable):
        assert result["error"] == "LocalEntryNotFoundError"
        assert "is not cached and the Hub cannot be reached: local_files_only or HF_HUB_OFFLINE forbids" in result["text"]
    assert forced["text"] == "zoo/cold cannot be fetched again without the network; leave out force_download, or go online"
    assert server.hub.log == []


def test_forcing_fetches_again_what_is_cached(server, fetch):
    commit = server.publish("zoo/forced", MODEL)
    fetch(("zoo/forced", BOTH), ("zoo/forced", BOTH, {"revision": commit, "force_download": True}))
    fetched = [path for method, path in requests(server) if method == "GET" and "/resolve/" in path]
    assert len(fetched) == 4


def test_left_overs_of_a_killed_download_are_never_taken_for_the_file(server, fetch, tmp_path):
    commit = server.publish("zoo/killed", MODEL)
    blobs = tmp_path / "home" / "hub" / "models--zoo--killed" / "blobs"
    blobs.mkdir(parents=True)
    sha = digests(MODEL)["model.safetensors"]
    for name in (f"{sha}.incomplete", f"{sha}.0123abcd.incomplete"):
        (blobs / name).write_bytes(WEIGHTS[: len(WEIGHTS) // 2])
    # Its link may stand already, or still: another process deleted what had arrived damaged.
    link = blobs.parent / "snapshots" / commit / "model.safetensors"
    link.parent.mkdir(parents=True)
    link.symlink_to(blobs / sha)
    cold, whole = fetch(
        ("zoo/killed", BOTH, {"revision": commit, "local_files_only": True}), ("zoo/killed", BOTH, {"revision": commit})
    )
    assert cold["error"] == "LocalEntryNotFoundError"
    assert whole["files"] == digests(MODEL)


def test_four_processes_fetch_one_model_at_once(server, fetch):
    files = {"config.json": CONFIG, **{f"model-{number}.safetensors": os.urandom(500_000) for number in range(3)}}
    commit = server.publish("zoo/crowd", files)
    server.hub.damage("GET /zoo/crowd/.*model-1", "corrupt")
    children = [fetch(("zoo/crowd", list(files)), ("zoo/crowd", list(files)), wait=False) for _ in range(4)]
    for first, second in map(collect, children):
        assert "arrived damaged" in first.get("text", "arrived damaged")
        assert (second["commit"], second["files"]) == (commit, digests(files))


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no modes there")
def test_a_cache_that_may_not_be_written_serves_what_it_holds_and_refuses_the_rest(server, fetch, tmp_path):
    server.publish("zoo/warm", MODEL)
    server.publish("zoo/other", {"config.json": b"other"})
    # Not the test's own folder, which other users may not enter.
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        home.chmod(0o755)
        fetch(("zoo/warm", BOTH), home=home)
        folders = [home, *(path for path in home.rglob("*") if path.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        # Elsewhere first, so that everything is imported before the rights are gone.
        _, again, offline, cold = fetch(
            ("zoo/other", ["config.json"], {"cache_dir": str(tmp_path / "elsewhere")}),
            ("NOBODY", []),
            ("zoo/warm", BOTH),
            ("zoo/warm", BOTH, {"local_files_only": True}),
            ("zoo/other", ["config.json"]),
            home=home,
        )
        server.publish("zoo/warm", {**MODEL, "model.safetensors": b"moved on"})
        _, moved = fetch(
            ("zoo/other", ["config.json"], {"cache_dir": str(tmp_path / "elsewhere")}),
            ("NOBODY", []),
            ("zoo/warm", BOTH),
            home=home,
        )
        for folder in folders:
            folder.chmod(0o755)
    assert again["files"] == offline["files"] == digests(MODEL)
    for result in (cold, moved):
        assert result["error"] == "PermissionError"
        assert "may not be used; set HF_HOME (or cache_dir) to a folder of yours" in result["text"]
