"""`affectzoo.load("org/name")` against a loopback Hub, with the real client in a fresh interpreter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.hub.children import Child
from tests.hub.hub_server import HubServer
from tests.model.toys import audio_visual_model, register_toys

CHILD = """
import affectzoo
from tests.model.toys import register_toys

register_toys()
for name, options in steps:
    try:
        model = affectzoo.load(name, **options)
    except affectzoo.AffectzooError as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        answer({"error": kinds[0], "download": "DownloadError" in kinds, "text": str(error)})
    else:
        head = model.head.regressors["valence"][0].weight
        said = {"source": model.source, "revision": model.revision, "dtype": str(head.dtype), "device": str(head.device)}
        answer({**said, "weight": head.flatten()[:4].tolist()})
"""


def publish(server: HubServer, name: str, files: dict[str, bytes], **attributes) -> str:
    """Put a commit into a repository of the organisation `zoo`; returns its sha."""
    return server.publish(f"zoo/{name}", files, **attributes)


class Loopback:
    """A server, and a way to load from it in a fresh interpreter with a cache of its own."""

    def __init__(self, server: HubServer, folder: Path) -> None:
        self.server, self.online = server, Child(server, folder, CHILD)
        self.offline = Child(server, folder, CHILD, offline=True)

    def load(self, *steps, offline: bool = False) -> list[dict]:
        """Run the steps, each a name or `(name, options)`; the requests of each step stand in its result."""
        results = []
        for step in steps:
            self.server.hub.log.clear()
            child = self.offline if offline else self.online
            (result,) = child.answers([(step, {}) if isinstance(step, str) else step])
            results.append({**result, "requests": [(method, path) for method, path, *_ in self.server.hub.log]})
        return results


@pytest.fixture(scope="module")
def loopback(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    with HubServer(folder / "server") as server:
        loopback = Loopback(server, folder / "home")
        with loopback.online, loopback.offline:
            yield loopback


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
    assert (latest["revision"], old["revision"]) == (second, first)
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
    asked = [path for _, path in latest["requests"] if path.startswith("/api/models/")]
    assert len(asked) == 1, "one question tells the commit and everything it holds"

    warm, warm_pinned, cold = loopback.load("zoo/toy", pinned, "zoo/never-seen", offline=True)
    assert (warm["source"], warm["weight"]) == (latest["source"], latest["weight"])
    assert warm_pinned["weight"] == old["weight"]
    assert warm["requests"] == warm_pinned["requests"] == cold["requests"] == []
    assert (cold["error"], cold["download"]) == ("LocalEntryNotFoundError", True)
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
    bomb = b'{"streams": ' + b"[" * 100_000
    publish(server, "bomb", {"config.json": bomb, "model.safetensors": saved["model.safetensors"]})
    remote_code = {**json.loads(saved["config.json"]), "auto_map": {"AutoModel": "modeling.Mine"}}
    publish(server, "code", {**saved, "config.json": json.dumps(remote_code).encode(), "modeling.py": b"raise SystemExit"})
    publish(server, "both", {**saved, "model.safetensors.index.json": b"{}"})
    cases = {
        "zoo/private": ("RepositoryNotFoundError", "does not exist on the Hub, or is private"),
        "zoo/absent": ("RepositoryNotFoundError", "does not exist on the Hub, or is private"),
        "zoo/gated": ("GatedRepoError", "is gated; ask for access"),
        "zoo/faulty@none": ("RevisionNotFoundError", "zoo/faulty has no revision 'none'"),
        "zoo/faulty": ("HfHubHTTPError", "could not be fetched from the Hub, which has trouble of its own (error 503)"),
        "zoo/bare": ("CheckpointError", "zoo/bare on the Hub holds no config.json"),
        "zoo/foreign": ("CheckpointError", "is not an affectzoo configuration"),
        "zoo/pickled": ("CheckpointError", "holds pytorch_model.bin, a pickle; affectzoo reads safetensors only"),
        "zoo/broken": ("CheckpointError", "is not valid JSON"),
        "zoo/bomb": ("CheckpointError", "is nested deeper than 64 levels"),
        "zoo/code": ("ConfigError", "unknown key 'auto_map'"),
        "zoo/both": ("CheckpointError", "holds both model.safetensors and model.safetensors.index.json"),
        "zoo/a..b": ("HFValidationError", "'zoo/a..b' is not a name that the Hub allows"),
        "zoo/toy@../../x": ("InputError", "is not a revision"),
    }
    *results, stranger, owner = loopback.load(
        *cases, ("zoo/private", {"token": "hf_bob"}), ("zoo/private", {"token": "hf_alice"})
    )
    assert stranger["error"] == "RepositoryNotFoundError"
    assert not any("hf_bob" in result.get("text", "") for result in (*results, stranger))
    assert owner["source"] == f"zoo/private ({secret})"
    for (name, (error, says)), result in zip(cases.items(), results, strict=True):
        assert result.get("error") == error, (name, result)
        assert result["download"] == (error.endswith("Error") and error not in ("CheckpointError", "ConfigError", "InputError"))
        assert says in result["text"], name
        assert "\n" not in result["text"], name
        if error in ("CheckpointError", "ConfigError"):
            assert not any(path.endswith((".safetensors", ".bin", ".py")) for _, path in result["requests"]), name


def test_shards_dtype_and_device(loopback, tmp_path, monkeypatch):
    from functools import partial

    from affectzoo.model import checkpoint

    register_toys()
    monkeypatch.setattr(checkpoint, "save_torch_state_dict", partial(checkpoint.save_torch_state_dict, max_shard_size=300))
    folder = audio_visual_model().half().save_pretrained(tmp_path / "model")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    shards = {name for name in files if name.startswith("model-")}
    commit = publish(loopback.server, "sharded", {**files, "model-old.safetensors": b"stale"})
    pinned = f"zoo/sharded@{commit}"
    usual, again, kept, nowhere, nonsense = loopback.load(
        "zoo/sharded",
        pinned,
        (pinned, {"dtype": "float16", "device": "cpu"}),
        (pinned, {"device": "cuda:99"}),
        (pinned, {"device": "gpu"}),
    )
    # A processor computes float16 slowly: who does not ask for it gets float32.
    assert (usual["dtype"], usual["device"], kept["dtype"]) == ("torch.float32", "cpu", "torch.float16")
    fetched = {path.rsplit("/", 1)[1] for method, path in usual["requests"] if method == "GET" and "/resolve/" in path}
    assert fetched == {"config.json", "model.safetensors.index.json", *shards}
    assert again["requests"] == kept["requests"] == []
    for result, name in ((nowhere, "cuda:99"), (nonsense, "gpu")):
        assert result["error"] == "InputError"
        assert result["text"].startswith(f"device '{name}' cannot be used here; there is cpu")
