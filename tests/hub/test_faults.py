"""Every fault of the way to the Hub, once: `affectzoo.load` says one sentence or copes, and the next try has the model."""

from __future__ import annotations

import hashlib

import pytest

from tests.hub.children import Child
from tests.hub.hub_server import HubServer

CHILD = """
import affectzoo
from tests.model.toys import register_toys

register_toys()
for name, options in steps:
    try:
        model = affectzoo.load(name, **options)
    except affectzoo.AffectzooError as error:
        answer({"error": type(error).__name__, "text": str(error)})
    else:
        total = sum(float(tensor.double().sum()) for tensor in model.state_dict().values())
        answer({"revision": model.revision, "total": total})
"""

INTERRUPTED = "could not be fetched from the Hub: the transfer was interrupted; nothing of it is kept, try again"
TROUBLE = "could not be fetched from the Hub, which has trouble of its own (error 503); try again later"
DAMAGED = "arrived damaged and was deleted unread; try again"

#: Repository -> what goes wrong with which request, and the first error; none where the client copes by itself.
FAULTS = {
    "meta-503": ("inject", "GET /api/models/{}", 503, "HfHubHTTPError", TROUBLE),
    "meta-429": ("inject", "GET /api/models/{}", 429, "HfHubHTTPError", "too many requests; wait 1 s, then try again"),
    "meta-reset": ("damage", "GET /api/models/{}", "reset", "ReadError", INTERRUPTED),
    "head-503": ("inject", "HEAD /{}/.*safetensors", 503, None, None),
    "get-429": ("inject", "GET /{}/.*safetensors", 429, None, None),
    "get-503": ("inject", "GET /{}/.*safetensors", 503, "HfHubHTTPError", TROUBLE),
    "config-503": ("inject", "GET /{}/.*config", 503, "HfHubHTTPError", TROUBLE),
    "get-403": ("inject", "GET /{}/.*safetensors", 403, "HfHubHTTPError", "this login has no right to it (injected fault)"),
    "get-404": ("inject", "GET /{}/.*safetensors", 404, "HfHubHTTPError", "it answered 404"),
    "reset": ("damage", "GET /{}/.*safetensors", "reset", "ReadError", INTERRUPTED),
    "config-reset": ("damage", "GET /{}/.*config", "reset", "ReadError", INTERRUPTED),
    "cut": ("damage", "GET /{}/.*safetensors", "cut", None, None),
    "short": ("damage", "GET /{}/.*safetensors", "short", "OSError", INTERRUPTED),
    "corrupt": ("damage", "GET /{}/.*safetensors", "corrupt", "DownloadError", f"model.safetensors of zoo/corrupt {DAMAGED}"),
    "config-corrupt": ("damage", "GET /{}/.*config", "corrupt", "DownloadError", f"of zoo/config-corrupt {DAMAGED}"),
    "card-corrupt": ("damage", "GET /{}/.*README", "corrupt", "DownloadError", f"of zoo/card-corrupt {DAMAGED}"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with HubServer(tmp_path_factory.mktemp("server")) as server:
        yield server


def test_after_every_fault_a_second_try_has_the_model_and_nothing_half_written_is_kept(server, saved, tmp_path):
    commits = {}
    for name, (kind, pattern, what, *_) in FAULTS.items():
        commits[name] = server.publish(f"zoo/{name}", saved)
        headers = {"Retry_After": int(name.startswith("meta"))} if what == 429 else {}
        getattr(server.hub, kind)(pattern.format(f"zoo/{name}"), what, **headers)
    commits["sound"] = server.publish("zoo/sound", saved)
    steps = [("zoo/sound", {}), *((f"zoo/{name}", {}) for name in FAULTS for _ in "12")]
    with Child(server, tmp_path, CHILD) as child:
        sound, *results = child.answers(steps)
    for number, (name, (*_, error, says)) in enumerate(FAULTS.items()):
        first, second = results[2 * number : 2 * number + 2]
        if error is None:
            assert first == {**sound, "revision": commits[name]}, name
        else:
            assert first["error"] == error, (name, first)
            assert says in first["text"], (name, first)
            assert "\n" not in first["text"], name
        assert second == {**sound, "revision": commits[name]}, (name, second)
    assert not any(remaining for *_, remaining, _ in server.hub.faults)
    assert not any(remaining for *_, remaining in server.hub.damages)
    blobs = [path for path in tmp_path.rglob("blobs/*") if path.is_file()]
    assert len(blobs) == 3 * len(commits)
    for path in blobs:
        data = path.read_bytes()
        assert path.name in (hashlib.sha256(data).hexdigest(), hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest())
