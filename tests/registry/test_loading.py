"""Plugins are loaded one at a time: a bad one is recorded, warned about once, and costs nobody else anything."""

from __future__ import annotations

import itertools
import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

import affectzoo
from affectzoo.errors import PluginError, UnknownNameError
from affectzoo.registry import (
    API_VERSION,
    BackboneSpec,
    FusionSpec,
    ModelSpec,
    PluginRecord,
    PluginWarning,
    Registry,
    load_plugins,
)
from affectzoo.registry.manager import strict


class Point(EntryPoint):
    """An entry point with a distribution, that counts how often it is imported."""

    def load(self):
        loads.append(self.name)
        return super().load()


loads: list[str] = []
numbers = itertools.count()


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    loads.clear()
    for variable in ("AFFECTZOO_PLUGINS", "AFFECTZOO_PLUGINS_BLOCK", "AFFECTZOO_PLUGINS_STRICT"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Write a hook module and return its entry point."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(
        source: str, name: str = "extras", distribution: str | None = "affect-extras", version: str = "1.0"
    ) -> EntryPoint:
        module = f"hook_module_{next(numbers)}"  # never one that an earlier test left in sys.modules
        header = "from affectzoo import BackboneSpec, FusionSpec, ModelSpec, hookimpl\n"
        (tmp_path / f"{module}.py").write_text(header + source)
        point = Point(name, module, "affectzoo.plugins")
        return point._for(SimpleNamespace(name=distribution, version=version)) if distribution else point

    return write


GOOD = """
@hookimpl
def affectzoo_fusions():
    return [FusionSpec(name="extra-sum", summary="a sum", licence="MIT", target="nowhere.at_all:Sum")]
"""


def hook(returned: str, name: str = "affectzoo_fusions") -> str:
    return f"\n@hookimpl\ndef {name}():\n    {returned}\n"


BROKEN = {
    "raises on import": ("raise ValueError('out of cheese')", "ValueError: out of cheese"),
    "exits on import": ("import sys; sys.exit('bye')", "SystemExit: bye"),
    "panics on import": ("class Panic(BaseException): pass\nraise Panic('rust')", "Panic: rust"),
    "does not parse": ("def (", "SyntaxError"),
    "imports what is absent": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "raises in its hook": (hook("return 1 / 0"), "ZeroDivisionError"),
    "exits in its hook": (hook("raise SystemExit(3)"), "SystemExit: 3"),
    "raises while its hook is read": (
        hook("yield FusionSpec(name='a', summary='a', licence='MIT', target='a:A')\n    1 / 0"),
        "Zero",
    ),
    "returns a number": (hook("return 3"), "affectzoo_fusions must return a list of FusionSpec, not int"),
    "returns nothing": (hook("return None"), "must return a list of FusionSpec, not NoneType"),
    "returns one spec": (hook("return FusionSpec(name='a', summary='a', licence='MIT', target='a:A')"), "not FusionSpec"),
    "returns strings": (hook("return ['concat']"), "must return FusionSpec objects, not str"),
    "returns a string": (hook("return 'concat'"), "must return FusionSpec objects, not str"),
    "returns another kind": (
        hook("return [BackboneSpec(name='a', summary='a', licence='MIT', target='a:A', modality='audio')]"),
        "must return FusionSpec objects, not BackboneSpec",
    ),
    "leaves out a field": (hook("return [FusionSpec(name='a', summary='a', licence='MIT')]"), "'target'"),
    "misspells a hook": (
        hook("return []", "affectzoo_fusion"),
        "unknown hook affectzoo_fusion; did you mean affectzoo_fusions?",
    ),
    "invents a hook": (hook("return []", "zzz"), "unknown hook zzz; the hooks are affectzoo_backbones, affectzoo_blocks"),
    "forgets the decorator": (
        "def affectzoo_fusions(): return []",
        "its function affectzoo_fusions lacks the @affectzoo.hookimpl",
    ),
    "takes an argument": ("@hookimpl\ndef affectzoo_fusions(registry): return []", "registry"),
    "implements nothing": ("x = 3", "it implements no hook"),
}


@pytest.mark.parametrize(("source", "cause"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_plugin_is_recorded_and_costs_its_neighbours_nothing(plugin, source, cause):
    broken = plugin(source, "broken", "affect-broken", "0.3")
    with pytest.warns(PluginWarning) as caught:
        records = load_plugins([plugin(GOOD, "before", "a-first"), broken, plugin(GOOD, "after", "z-last")])
    assert [r.status for r in records] == ["loaded", "failed", "loaded"]
    assert cause in records[1].error
    assert records[1].specs == {}
    (warning,) = caught
    assert str(warning.message).startswith("plugin 'broken' of affect-broken 0.3 was not loaded: ")
    assert cause in str(warning.message)


@pytest.mark.parametrize(
    ("source", "cause"), [BROKEN["raises on import"], BROKEN["exits on import"], BROKEN["returns a number"]]
)
def test_strict_raises_what_would_be_warned_about(plugin, monkeypatch, source, cause):
    monkeypatch.setenv("AFFECTZOO_PLUGINS_STRICT", "1")
    with pytest.raises(PluginError, match=cause):
        load_plugins([plugin(source)])


@pytest.mark.parametrize(("value", "expected"), [("", False), ("0", False), ("1", True), ("yes", True)])
def test_strict_is_off_unless_set(monkeypatch, value, expected):
    monkeypatch.setenv("AFFECTZOO_PLUGINS_STRICT", value)
    assert strict() is expected


def test_keyboard_interrupt_passes(plugin):
    says = r"while plugin 'extras' of affect-extras 1\.0 was loaded; AFFECTZOO_PLUGINS_BLOCK=affect-extras leaves it out"
    with pytest.raises(KeyboardInterrupt), pytest.warns(PluginWarning, match=says):
        load_plugins([plugin("raise KeyboardInterrupt")])


def test_an_entry_point_to_a_missing_module_or_attribute_or_to_garbage_is_recorded():
    points = [
        Point(n, v, "affectzoo.plugins") for n, v in [("a", "no_such_module"), ("b", "json:nothing"), ("c", "not a module!")]
    ]
    with pytest.warns(PluginWarning):
        records = load_plugins(points)
    assert {r.name: r.status for r in records} == {"a": "failed", "b": "failed", "c": "failed"}


def test_a_distribution_without_metadata_is_named_after_its_module(plugin):
    point = plugin(GOOD)._for(SimpleNamespace(name=None, version=None))
    (record,) = load_plugins(
        [
            point,
        ]
    )
    assert record.status == "loaded"
    assert record.label == record.distribution == point.value


def test_torch_in_a_hook_module_is_remarked(plugin, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    monkeypatch.delitem(sys.modules, "torch")
    (record,) = load_plugins([plugin("import sys, types; sys.modules['torch'] = types.ModuleType('torch')\n" + GOOD)])
    assert record.status == "loaded"
    assert "imports torch" in record.remarks[0]


def test_a_plugin_that_takes_its_time_is_named_and_so_is_the_way_to_leave_it_out(plugin, monkeypatch):
    monkeypatch.setattr("affectzoo.registry.manager.SLOW_IMPORT_S", 0.2)
    slow = "import time\n{}" + GOOD.replace("    return", "    {}\n    return")
    pause = "time.sleep(0.25)"
    records = load_plugins(
        [
            plugin(GOOD, "quick", "a"),
            plugin(slow.format(pause, "pass"), "import", "b"),
            plugin(slow.format("", pause), "hook", "c"),
        ]
    )
    assert not any("took" in note for note in records[0].notes)
    for record in records[1:]:
        assert record.status == "loaded"
        assert 0.25 <= record.import_s < 5
        # By distribution: entry points of several may be called `main`.
        assert f"took {record.import_s:.1f} s to import; AFFECTZOO_PLUGINS_BLOCK={record.distribution}" in record.notes[0]


def test_a_slow_plugin_that_fails_is_named_slow_too(plugin, monkeypatch):
    monkeypatch.setattr("affectzoo.registry.manager.SLOW_IMPORT_S", 0.0)
    with pytest.warns(PluginWarning):
        (record,) = load_plugins([plugin("1 / 0")])
    assert "to import" in record.remarks[0]


def test_what_a_plugin_prints_is_kept_out_of_the_output_and_remarked(plugin, capsys):
    source = "import sys; print('hello'); sys.stdout.writelines(['there']); sys.stdout.flush()\n" + GOOD
    (record,) = load_plugins([plugin(source)])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "hello\nthere"
    assert "prints when it is imported" in record.remarks[0]


def test_whatever_a_plugin_raises_is_one_line(plugin):
    unspeakable = "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd"
    long = "raise ValueError('first line\\n' + 'word ' * 5000)"
    with pytest.warns(PluginWarning):
        mute, wordy, breathless, good = load_plugins(
            [plugin(unspeakable, "a"), plugin(long, "b"), plugin("raise ValueError('x' * 999)", "c"), plugin(GOOD, "d")]
        )
    assert mute.error == "Odd: (no message: ValueError)"
    assert wordy.error.startswith("ValueError: first line word word")
    assert breathless.error.startswith("ValueError: xxx")
    assert max(len(wordy.error), len(breathless.error)) <= 400
    assert good.status == "loaded"


def test_providers_of_one_name_are_told_of_each_other(plugin):
    twice = GOOD.replace("return [", "return 2 * [")
    records = load_plugins([plugin(GOOD, "x", "a"), plugin(GOOD, "y", "b"), plugin(twice, "z", "c")])
    (first,), (second,), third = [record.notes for record in records]
    assert first == "fusion 'extra-sum' is provided by b 1.0, c 1.0, too: write a/extra-sum for this one"
    assert second == "fusion 'extra-sum' is provided by a 1.0, c 1.0, too: write b/extra-sum for this one"
    assert third[1] == "fusion 'extra-sum' is declared twice by c 1.0, so it cannot be used"


VERSIONED = """
@hookimpl
def affectzoo_fusions():
    common = dict(summary="a sum", licence="MIT", target="json:loads")
    return [FusionSpec(name=n, api_version=v, **common) for n, v in {pairs}]
"""


def test_a_spec_for_another_version_is_listed_with_the_reason_and_its_neighbours_are_loaded(plugin, recwarn):
    pairs = [("new", API_VERSION + 1), ("now", API_VERSION), ("old", API_VERSION - 1), ("Bad Name", 99)]
    (record,) = load_plugins([plugin(VERSIONED.replace("{pairs}", repr(pairs)))])
    assert (record.status, [spec.name for spec in record.specs["fusion"]]) == ("loaded", ["now"])
    new, old, future = record.remarks
    assert new == (
        f"fusion 'new' is not loaded: it is for plugin API {API_VERSION + 1}, this affectzoo has {API_VERSION}; "
        "upgrade affectzoo: pip install -U affectzoo"
    )
    assert old.endswith("upgrade affect-extras: pip install -U affect-extras")
    assert "Bad Name" in future  # what makes a name usable may change as well
    assert not recwarn.list  # one plugin may serve several releases
    zoo = Registry([record])
    assert zoo.names("fusion") == ["now"]
    for name in ("new", "affect-extras/new"):
        with pytest.raises(UnknownNameError, match=r"of affect-extras 1\.0 is not loaded: .* pip install -U affectzoo"):
            zoo.find("fusion", name)
    with pytest.raises(UnknownNameError, match="Did you mean 'now'"):
        zoo.find("fusion", "not")


def test_a_plugin_wholly_for_another_version_has_failed_with_the_reason(plugin):
    with pytest.warns(
        PluginWarning, match=r"not loaded: all that it provides is for another affectzoo: .*pip install -U affectzoo"
    ):
        (record,) = load_plugins([plugin(VERSIONED.replace("{pairs}", repr([("new", API_VERSION + 1)])))])
    assert (record.status, record.specs, record.remarks) == ("failed", {}, [])


@pytest.mark.parametrize("version", [True, "1", 1.0, None, [1]])
def test_an_api_version_is_a_whole_number(plugin, version):
    with pytest.warns(PluginWarning, match="api_version"):
        load_plugins([plugin(VERSIONED.replace("{pairs}", repr([("a", version)])))])


def test_a_spec_that_does_not_say_is_of_version_one():
    assert fusion().api_version == 1


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_package:A", "there is no module no_such_package"),
        ("aimed.no_such_module:A", "there is no module aimed.no_such_module"),
        ("aimed.module.deeper:A", "there is no module aimed.module.deeper"),
        ("aimed.module:Absent", "the module aimed.module holds no Absent"),
        ("aimed.coded:A", "the module aimed.coded cannot be read (SyntaxError: unknown encoding: nonsense)"),
        ("json:Absent", "the module json holds no Absent"),  # which is imported already
        ("aimed.module:Present", ""),
        ("aimed.star:Anything", ""),
        ("math:tau", ""),
    ],
)
def test_a_target_that_is_not_there_is_remarked_without_importing_it(tmp_path, monkeypatch, target, reason):
    (tmp_path / "aimed").mkdir()
    (tmp_path / "aimed/__init__.py").write_text("raise ImportError('imported')")
    (tmp_path / "aimed/module.py").write_text("class Present: ...")
    (tmp_path / "aimed/coded.py").write_text("# -*- coding: nonsense -*-")
    (tmp_path / "aimed/star.py").write_text("from json import *")
    monkeypatch.syspath_prepend(tmp_path)
    record = PluginRecord("p", "affect-extras", "1.0", specs={"fusion": [fusion(target=target)]})
    assert record.remarks == ([f"fusion 'a' cannot be built: {reason}"] if reason else [])


def test_every_target_of_the_installed_plugins_is_there():
    from affectzoo.registry import registry

    assert [remark for record in registry().records for remark in record.remarks if "cannot be built" in remark] == []


def test_records_come_in_order_of_distribution_and_name(plugin):
    points = [plugin(GOOD, n, d) for n, d in [("b", "beta"), ("z", "alpha"), ("a", "alpha")]]
    assert [(r.distribution, r.name) for r in load_plugins(points)] == [("alpha", "a"), ("alpha", "z"), ("beta", "b")]


@pytest.mark.parametrize(
    ("variable", "value", "loaded"),
    [
        ("AFFECTZOO_PLUGINS", "extras", ["extras"]),
        ("AFFECTZOO_PLUGINS", "Affect_Extras, nobody", ["extras"]),
        ("AFFECTZOO_PLUGINS", " , ", ["extras", "others"]),
        ("AFFECTZOO_PLUGINS_BLOCK", "extras", ["others"]),
        ("AFFECTZOO_PLUGINS_BLOCK", "affect_extras", ["others"]),
        ("AFFECTZOO_PLUGINS_BLOCK", "AFFECT.EXTRAS,others", []),
    ],
)
def test_lists_act_before_import(plugin, monkeypatch, variable, value, loaded):
    monkeypatch.setenv(variable, value)
    records = load_plugins([plugin(GOOD), plugin(GOOD, "others", "other-extras")])
    assert loads == loaded
    for record in records:
        assert record.status == ("loaded" if record.name in loaded else "blocked")
        assert (variable in record.error) is (record.name not in loaded)


def test_block_wins_over_allow(plugin, monkeypatch):
    monkeypatch.setenv("AFFECTZOO_PLUGINS", "extras")
    monkeypatch.setenv("AFFECTZOO_PLUGINS_BLOCK", "extras")
    assert load_plugins([plugin(GOOD)])[0].error == "named in AFFECTZOO_PLUGINS_BLOCK"
    assert loads == []


def fusion(**fields):
    return FusionSpec(**{"name": "a", "summary": "a", "licence": "MIT", "target": "a.b:C", **fields})


@pytest.mark.parametrize("name", ["concat", "timm/", "timm/resnet18.a1_in1k", "a+b", "0"])
def test_usable_names_pass(name):
    fusion(name=name).validate()


@pytest.mark.parametrize(
    "fields",
    [{"name": n} for n in ["", "Concat", "a b", "/a", "a//b", "../a", "é", "a\n", None, 3]]
    + [{"target": t} for t in ["", "a.b", "a.b:", ":C", "a b:C", "a.b:C.D", "a..b:C", "os:system()", None]]
    + [{"licence": ""}, {"licence": None}, {"summary": " "}, {"paper": None}],
)
def test_unusable_specs_are_refused(fields):
    with pytest.raises(PluginError):
        fusion(**fields).validate()


@pytest.mark.parametrize(
    "fields",
    [
        *[{"location": "https://x"}, {"location": None}, {"targets": "valence"}, {"targets": None}, {"size_mb": None}],
        *[{"card": 3}, {"caution": 3}],
    ],
)
def test_unusable_model_specs_are_refused(fields):
    with pytest.raises(PluginError):
        ModelSpec(**{"name": "m", "summary": "m", "licence": "MIT", "location": "hub://a/b", **fields}).validate()


def test_a_backbone_names_its_modality():
    with pytest.raises(PluginError, match="modality"):
        BackboneSpec(name="a", summary="a", licence="MIT", target="a:A", modality=None).validate()


def test_specs_are_frozen():
    with pytest.raises(AttributeError):
        fusion().name = "b"


def test_the_cores_own_components_come_through_the_same_door():
    from affectzoo.registry import registry

    (record,) = [r for r in registry().records if r.distribution == "affectzoo"]
    assert (record.name, record.version, record.status) == ("builtin", affectzoo.__version__, "loaded")
    assert {spec.name for spec in record.specs["temporal"]} == {"tcn", "bilstm", "gru"}
