"""`affectzoo.load("org/name")` against a loopback Hub, with the real client in a fresh interpreter."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub.hub_server import HubServer, Repo
from tests.model.toys import audio_visual_model, register_toys

ROOT = Path(__file__).resolve().parents[2]

CHILD = """
import json, os, sys, urllib.request
import affectzoo
from tests.model.toys import register_toys

register_toys()
for number, (name, options) in enumerate(json.loads(sys.argv[1])):
    if os.environ["MARK"]:
        urllib.request.urlopen(f"{os.environ['MARK']}/api/agent-harnesses?step={number}").close()
    try:
        model = affectzoo.load(name, **options)
    except affectzoo.AffectzooError as error:
        print(json.dumps({"error": type(error).__name__, "text": str(error)}))
    else:
        head = model.head.regressors["valence"][0].weight
        print(json.dumps({"source": model.source, "weight": head.flatten()[:4].tolist()}))
"""


def publish(server: HubServer, name: str, files: dict[str, bytes], **attributes) -> str:
    """Put a commit into a repository of the organisation `zoo`; returns its sha."""
    hub = server.hub
    repo = hub.repos.setdefault(("model", f"zoo/{name}"), Repo("model", f"zoo/{name}", "zoo", private=False))
    for key, value in attributes.items():
        setattr(repo, key, value)
    tree = {}
    for path, data in files.items():
        if path.endswith(".safetensors"):
            sha = hashlib.sha256(data).hexdigest()
            hub.path(sha).write_bytes(data)
            tree[path] = hub.lfs_entry(sha)
        else:
            tree[path] = hub.put(data)
    return repo.new_commit("main", tree, "publish")


class Loopback:
    """A server, a cache folder, and a way to load in a fresh interpreter."""

    def __init__(self, server: HubServer, folder: Path) -> None:
        self.server, self.folder = server, folder

    def load(self, *steps, offline: bool = False) -> list[dict]:
        """Run the steps, each a name or `(name, options)`; the requests of each step stand in its result."""
        listed = [(step, {}) if isinstance(step, str) else step for step in steps]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "AFFECTZOO_"))}
        environment = {
            **inherited,
            "HF_ENDPOINT": self.server.url,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(self.folder / "home"),
            "HF_HUB_OFFLINE": "1" if offline else "0",
            "PYTHONPATH": str(ROOT),
            "MARK": self.server.url,
        }
        self.server.hub.log.clear()
        done = subprocess.run(
            [sys.executable, "-c", CHILD, json.dumps(listed)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == 0, done.stderr
        results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        requests: list[list[tuple[str, str]]] = []
        for method, path, *_ in self.server.hub.log:
            if "step=" in path:
                requests.append([])
            else:
                requests[-1].append((method, path))
        return [{**result, "requests": sent} for result, sent in zip(results, requests, strict=True)]


@pytest.fixture(scope="module")
def loopback(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    with HubServer(folder / "server") as server:
        yield Loopback(server, folder)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> dict[str, bytes]:
    register_toys()
    folder = audio_visual_model().save_pretrained(tmp_path_factory.mktemp("model"), card="# toy\n")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def changed(saved: dict[str, bytes]) -> dict[str, bytes]:
    """The same model with other weights."""
    from safetensors.torch import load, save

    tensors = {
        name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in load(saved["model.safetensors"]).items()
    }
    return {**saved, "model.safetensors": save(tensors)}


def test_one_commit_for_config_and_weights_and_offline_from_a_warm_cache(loopback, saved):
    extra = {
        "train.py": b"raise SystemExit",
        "pytorch_model.bin": b"pickle",
        "sub/model.safetensors": saved["model.safetensors"],
    }
    first = publish(loopback.server, "toy", {**saved, **extra})
    second = publish(loopback.server, "toy", {**changed(saved), **extra})
    pinned = f"zoo/toy@{first}"
    latest, old, again, by_option, both = loopback.load(
        "zoo/toy", pinned, pinned, ("zoo/toy", {"revision": first}), (pinned, {"revision": "main"})
    )
    assert latest["source"] == f"zoo/toy ({second})"
    assert old["source"] == by_option["source"] == f"{pinned} ({first})"
    assert old["weight"] == again["weight"] == by_option["weight"] != latest["weight"]
    assert both["error"] == "InputError"
    assert "give one revision" in both["text"]
    for result, commit in ((latest, second), (old, first)):
        fetched = [path for method, path in result["requests"] if method == "GET" and "/resolve/" in path]
        assert fetched
        assert all(f"/resolve/{commit}/" in path for path in fetched)
        assert {path.rsplit("/", 1)[1] for path in fetched} <= {"config.json", "model.safetensors", "README.md"}
        assert not any("/sub/" in path for path in fetched)
    assert again["requests"] == by_option["requests"] == []

    warm, warm_pinned, cold = loopback.load("zoo/toy", pinned, "zoo/never-seen", offline=True)
    assert (warm["source"], warm["weight"]) == (latest["source"], latest["weight"])
    assert warm_pinned["weight"] == old["weight"]
    assert cold["error"] == "DownloadError"
    assert "zoo/never-seen is not cached and the Hub cannot be reached" in cold["text"]


def test_every_refusal_is_one_sentence_and_a_token_opens_a_private_repository(loopback, saved):
    server = loopback.server
    secret = publish(server, "private", saved, private=True)
    publish(server, "gated", saved, gated="manual")
    publish(server, "bare", {"README.md": b"# nothing\n"})
    publish(server, "foreign", {"config.json": b'{"model_type": "bert"}', "model.safetensors": b"\0" * 64})
    publish(server, "pickled", {"config.json": saved["config.json"], "pytorch_model.bin": b"\x80\x04."})
    publish(server, "broken", {"config.json": b"{", "model.safetensors": saved["model.safetensors"]})
    publish(server, "faulty", saved)
    server.hub.inject(r"GET /zoo/faulty/resolve/\w+/model\.safetensors", 503, times=50)
    cases = {
        "zoo/private": ("DownloadError", "does not exist on the Hub, or is private"),
        "zoo/absent": ("DownloadError", "does not exist on the Hub, or is private"),
        "zoo/gated": ("DownloadError", "is gated"),
        "zoo/faulty@none": ("DownloadError", "zoo/faulty has no revision 'none'"),
        "zoo/faulty": ("DownloadError", "could not be fetched from the Hub"),
        "zoo/bare": ("CheckpointError", "zoo/bare on the Hub holds no config.json"),
        "zoo/foreign": ("CheckpointError", "is not an affectzoo configuration"),
        "zoo/pickled": ("CheckpointError", "holds no model.safetensors"),
        "zoo/broken": ("CheckpointError", "is not valid JSON"),
        "zoo/a..b": ("DownloadError", "could not be fetched"),
    }
    *results, stranger, owner = loopback.load(
        *cases, ("zoo/private", {"token": "hf_bob"}), ("zoo/private", {"token": "hf_alice"})
    )
    assert stranger["error"] == "DownloadError"
    assert owner["source"] == f"zoo/private ({secret})"
    for (name, (error, says)), result in zip(cases.items(), results, strict=True):
        assert result.get("error") == error, (name, result)
        assert says in result["text"], name
        assert "\n" not in result["text"], name
        if name in ("zoo/foreign", "zoo/broken"):
            assert not any(path.endswith(".safetensors") for _, path in result["requests"]), "weights were fetched in vain"
