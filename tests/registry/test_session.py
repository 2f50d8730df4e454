"""Components of a script or notebook: a cell that runs again, what was built before, other processes, other machines."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import textwrap
import threading

import pytest
import torch
from torch import nn

import affectzoo
from affectzoo.errors import NameCollisionError, PluginError, UnknownNameError
from affectzoo.registry import KINDS, SESSION, FusionSpec, PluginRecord, Refusal, registry


@pytest.fixture(autouse=True)
def _own_entries(monkeypatch):
    """What a test registers is gone after it."""
    for kind in KINDS:
        monkeypatch.setitem(registry()._entries, kind, list(registry()._entries[kind]))


def forget(kind: str, name: str) -> None:
    """As in a process that never ran the cell."""
    registry()._entries[kind] = [entry for entry in registry()._entries[kind] if entry.name != name]


def run_cell(width: int = 3, *, bias: bool = True) -> type:
    """The cell of a notebook: a new class object every time."""

    @affectzoo.register_fusion("cell")
    class Cell(affectzoo.Fusion):
        """Sum of projections."""

        def __init__(self, dims, seq_len, *, width: int = width):
            super().__init__()
            self.dims, self.seq_len, self.out_dim = dict(dims), seq_len, width
            self.project = nn.ModuleDict({name: nn.Linear(dim, width, bias=bias) for name, dim in dims.items()})

        def forward(self, features, masks=None, *, return_attention=False):
            features, _ = affectzoo.complete(features, masks, self.dims)
            y = sum(self.project[name](x) for name, x in features.items())
            return (y, {}) if return_attention else y

    return Cell


class Signal(affectzoo.Backbone):
    """Mean of a signal."""

    def __init__(self):
        super().__init__()
        self.feature_dim = 2
        self.input = affectzoo.SignalInput(channels=2, samples=4)

    def forward(self, x):
        return x.mean(1)


class Smooth(affectzoo.Temporal):
    """One linear layer."""

    def __init__(self, in_dim):
        super().__init__()
        self.out_dim = 3
        self.linear = nn.Linear(in_dim, 3)

    def forward(self, x, mask=None):
        return self.linear(affectzoo.zero_masked(x, mask))


@pytest.fixture
def streams():
    affectzoo.register_backbone("session-signal", modality="signal")(Signal)
    affectzoo.register_temporal("smooth")(Smooth)
    return {"left": "session-signal", "right": {"backbone": "session-signal", "temporal": "smooth"}}


def test_a_cell_that_runs_again_replaces_and_what_was_built_before_keeps_working(streams):
    run_cell(3)
    before = affectzoo.create_model(streams=streams, fusion="cell", sequence={"length": 2}).eval()
    inputs = {name: torch.randn(1, 2, 4, 2) for name in ("left", "right")}
    expected = before(inputs)
    run_cell(5)
    assert affectzoo.list_fusions().count("cell") == 1
    assert affectzoo.create_fusion("cell", {"audio": 2}, 2).out_dim == 5
    assert before.fusion.out_dim == 3
    assert torch.equal(before(inputs), expected)


def test_a_model_saved_before_a_cell_changed_its_weights_is_refused_by_the_tensor(streams, tmp_path):
    run_cell()
    folder = affectzoo.create_model(streams=streams, fusion="cell", sequence={"length": 2}).save_pretrained(tmp_path / "m")
    run_cell(bias=False)
    with pytest.raises(affectzoo.AffectzooError, match=r"fusion\.project\.left\.bias"):
        affectzoo.load(folder)


@pytest.mark.parametrize(("kind", "name"), [("fusion", "cell"), ("backbone", "session-signal"), ("temporal", "smooth")])
def test_a_saved_model_says_what_was_not_installed_and_elsewhere_what_to_register(streams, tmp_path, kind, name):
    run_cell()
    folder = affectzoo.create_model(streams=streams, fusion="cell", sequence={"length": 2}).save_pretrained(tmp_path / "m")
    saved = json.loads((folder / "config.json").read_text())
    parts = [saved["fusion"], saved["streams"]["left"]["backbone"], saved["streams"]["right"]["temporal"]]
    assert [(part["distribution"], part["version"]) for part in parts] == [(SESSION, None)] * 3
    affectzoo.load(folder)
    forget(kind, name)
    with pytest.raises(PluginError, match=rf"@affectzoo\.register_{kind}\('{name}'\) first, then load again"):
        affectzoo.load(folder)


def test_a_model_of_a_notebook_whose_component_became_a_plugin_says_what_to_change(streams, tmp_path, monkeypatch):
    run_cell()
    folder = affectzoo.create_model(streams=streams, fusion="cell", sequence={"length": 2}).save_pretrained(tmp_path / "m")
    entry = registry().find("fusion", "cell")
    installed = type(entry)("fusion", entry.spec, "affect-extras", "1.0", obj=entry.obj)
    monkeypatch.setitem(registry()._entries, "fusion", [installed])
    with pytest.raises(PluginError, match=r'affect-extras 1\.0 now provides .* write "distribution": "affect-extras" instead'):
        affectzoo.load(folder)
    path = folder / "config.json"
    saved = json.loads(path.read_text())
    saved["fusion"]["distribution"] = "affect-extras"
    path.write_text(json.dumps(saved))
    affectzoo.load(folder)
    with pytest.raises(NameCollisionError, match=r"already provided by affect-extras 1\.0; choose another name"):
        run_cell()


def test_a_model_whose_component_is_for_another_version_of_the_interface_says_what_to_upgrade(streams, tmp_path, monkeypatch):
    run_cell()
    folder = affectzoo.create_model(streams=streams, fusion="cell", sequence={"length": 2}).save_pretrained(tmp_path / "m")
    path = folder / "config.json"
    saved = json.loads(path.read_text())
    saved["fusion"].update(distribution="affect-extras", version="3.0")
    path.write_text(json.dumps(saved))
    refusal = Refusal("fusion", "cell", "it is for plugin API 2: pip install -U affectzoo")
    record = PluginRecord("extras", "affect-extras", "3.0", refused=[refusal])
    monkeypatch.setattr(registry(), "records", [*registry().records, record])
    with pytest.raises(PluginError, match="installed, but not loaded: it is for plugin API 2: pip install -U affectzoo"):
        affectzoo.load(folder)


def test_a_session_component_is_listed_and_described():
    run_cell()
    assert "cell" in affectzoo.list_fusions()
    described = affectzoo.info("cell", kind="fusion")
    assert (described.provider, described.summary, described.options) == ("session", "Sum of projections.", {"width": "3"})


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda: affectzoo.register_fusion(Smooth), '@affectzoo.register_fusion("my-fusion")'),
        (lambda: affectzoo.register_fusion("x")(3), "takes a class or a named function, not 3"),
        (lambda: affectzoo.register_fusion("x")(lambda: None), "takes a class or a named function"),
        (lambda: affectzoo.register_fusion("x", modality="audio")(Smooth), "unexpected keyword argument 'modality'"),
        (lambda: affectzoo.register_fusion("x", licence=None)(Smooth), "licence must be a string"),
        (lambda: affectzoo.register_fusion("x", target="a:b")(Smooth), "takes no target"),
        (lambda: affectzoo.register_fusion("x", api_version=2)(Smooth), "takes no api_version"),
        (lambda: affectzoo.register_fusion("Bad Name")(Smooth), "not a usable name"),
    ],
)
def test_a_registration_that_cannot_be_used_is_one_sentence(use, says):
    with pytest.raises(PluginError) as caught:
        use()
    assert says in str(caught.value)
    assert "x" not in affectzoo.list_fusions()


def test_a_class_of_any_python_name_can_be_registered():
    affectzoo.register_temporal("other-letters")(type("Überblick", (Smooth,), {}))
    assert affectzoo.create_temporal("other-letters", in_dim=2).out_dim == 3


def test_specs_and_entries_travel_to_workers():
    spec = FusionSpec(name="a", summary="a", licence="MIT", target="json:loads")
    assert pickle.loads(pickle.dumps(spec)) == spec
    registry().register("fusion", spec, Smooth)
    entry = registry().find("fusion", "a")
    assert pickle.loads(pickle.dumps(entry)) == entry


def test_threads_that_ask_first_get_one_registry():
    code = """
        import threading
        from affectzoo.registry import registry
        found = []
        threads = [threading.Thread(target=lambda: found.append(registry())) for _ in range(8)]
        [t.start() for t in threads]; [t.join() for t in threads]
        print(len(found), len({id(one) for one in found}))
    """
    assert fresh(code).split() == ["8", "1"]


def test_a_thread_does_not_hinder_another_while_plugins_are_there_already():
    found = []
    thread = threading.Thread(target=lambda: found.append(registry()))
    thread.start()
    thread.join(timeout=30)
    assert found == [registry()]


def fresh(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_forked_processes_know_it_and_those_that_start_anew_say_why_they_do_not():
    code = """
        import multiprocessing, sys
        import affectzoo
        from affectzoo.registry import registry

        class Mine: ...
        affectzoo.register_fusion("zqzqzq")(Mine)

        def known(connection):
            try:
                connection.send(registry().find("fusion", "zqzqzq").provider)
            except affectzoo.AffectzooError as error:
                connection.send(str(error))

        ours, theirs = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(target=known, args=(theirs,))
        child.start()
        print(ours.recv())
        child.join()
    """
    assert fresh(code).strip() == "session"
    with pytest.raises(UnknownNameError, match="What a script or notebook registers is known to its own process alone"):
        registry().find("fusion", "zqzqzq")
    with pytest.raises(UnknownNameError) as caught:  # who misspelt a name needs no word about notebooks
        registry().find("temporal", "grru")
    assert "notebook" not in str(caught.value)
