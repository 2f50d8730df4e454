"""From a name to one provider: families, collisions, near matches, and what a session may register."""

from __future__ import annotations

import pytest

import affectzoo
from affectzoo.errors import NameCollisionError, PluginError, UnknownNameError
from affectzoo.registry import BackboneSpec, FusionSpec, PluginRecord, Registry


def fusion(name: str, target: str = "nowhere.at_all:Sum") -> FusionSpec:
    return FusionSpec(name=name, summary="a fusion", licence="MIT", target=target)


def record(distribution: str, *specs, kind: str = "fusion", version: str = "1.0") -> PluginRecord:
    return PluginRecord("plugin", distribution, version, specs={kind: list(specs)})


def test_a_plain_name_finds_its_only_provider():
    entry = Registry([record("one", fusion("concat"), fusion("sum"))]).find("fusion", "sum")
    assert (entry.name, entry.provider, entry.variant) == ("sum", "one 1.0", "")


def test_a_collision_names_every_provider_and_dist_slash_name_chooses():
    both = Registry([record("one", fusion("sum")), record("two", fusion("sum"), version="2.0")])
    with pytest.raises(NameCollisionError, match=r"provided by one 1\.0, two 2\.0; write one/sum or two/sum"):
        both.find("fusion", "sum")
    assert both.find("fusion", "two/sum").distribution == "two"
    assert both.find("fusion", "sum", "two").distribution == "two"
    assert both.names("fusion") == ["one/sum", "two/sum"]


def test_every_listed_name_can_be_found():
    many = Registry([record("one", fusion("sum"), fusion("a/b")), record("two", fusion("sum"), fusion("c"))])
    assert [many.find("fusion", name).spec.name for name in many.names("fusion")] == ["a/b", "c", "sum", "sum"]


def test_a_name_declared_twice_by_one_distribution_is_its_authors_to_fix():
    with pytest.raises(NameCollisionError, match=r"declared twice by one 1\.0"):
        Registry([record("one", fusion("sum"), fusion("sum"))]).find("fusion", "sum")


def test_an_unused_collision_disturbs_nobody():
    both = Registry([record("one", fusion("sum"), fusion("other")), record("two", fusion("sum"))])
    assert both.find("fusion", "other").distribution == "one"


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("timm/resnet18", "resnet18"),
        ("zoo/timm/resnet18", "resnet18"),
        ("timm/hf-hub:a/b", "hf-hub:a/b"),
        ("timm/vit/x", "vit/x"),
    ],
)
def test_a_family_serves_its_variants(name, variant):
    entry = Registry([record("zoo", fusion("timm/"))]).find("fusion", name)
    assert (entry.variant, entry.name, entry.spec.name) == (variant, f"timm/{variant}", "timm/")


def test_a_family_name_alone_says_what_to_write():
    with pytest.raises(UnknownNameError, match="'timm/' is a family: write timm/NAME"):
        Registry([record("zoo", fusion("timm/"))]).find("fusion", "timm/")


def test_the_longest_family_of_a_distribution_serves_and_its_exact_name_wins():
    zoo = Registry([record("zoo", fusion("timm/"), fusion("timm/vit/"), fusion("timm/special"))])
    assert zoo.find("fusion", "timm/vit/x").spec.name == "timm/vit/"
    assert zoo.find("fusion", "timm/special").variant == ""


@pytest.mark.parametrize("intruder", ["timm/resnet18", "timm/", "timm/res+net/"])
def test_nobody_shadows_the_family_of_another_distribution(intruder):
    name = "timm/res+net/x" if intruder == "timm/res+net/" else "timm/resnet18"
    both = Registry([record("zoo", fusion("timm/")), record("evil", fusion(intruder))])
    with pytest.raises(NameCollisionError, match=f"write evil/{name.replace('+', '.')} or zoo/{name.replace('+', '.')}"):
        both.find("fusion", name)
    assert both.find("fusion", f"zoo/{name}").distribution == "zoo"


@pytest.mark.parametrize("intruder", ["good/sum", "good/"])
def test_nobody_takes_over_the_spelling_that_chooses_a_distribution(intruder):
    both = Registry([record("good", fusion("sum")), record("evil", fusion(intruder))])
    with pytest.raises(NameCollisionError, match=r"evil 1\.0, good 1\.0"):
        both.find("fusion", "good/sum")
    assert both.find("fusion", "sum", "good").distribution == "good"


def test_an_unknown_name_holds_near_matches_and_the_command_that_lists_all():
    with pytest.raises(
        UnknownNameError, match=r"no fusion is called 'concta'\. Did you mean 'concat'\?.*`affectzoo list fusions`"
    ):
        Registry([record("one", fusion("concat"), fusion("zzz"))]).find("fusion", "concta")


def test_an_unknown_name_mentions_plugins_that_are_not_loaded():
    failed = PluginRecord("x", "broken", "1.0", "failed", "ValueError")
    with pytest.raises(UnknownNameError, match=r"1 plugin\(s\) are not loaded: see `affectzoo plugins`"):
        Registry([failed]).find("temporal", "tcn")


def test_without_any_fusion_the_first_party_plugins_are_named():
    with pytest.raises(UnknownNameError, match=r"pip install affectzoo\[zoo\]"):
        Registry([]).find("fusion", "concat")


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        ("no_such_package.fusion:Sum", "ModuleNotFoundError"),
        ("json:Sum", "has no attribute 'Sum'"),
        ("exits_when_imported:A", "SystemExit"),
    ],
)
def test_a_target_that_does_not_exist_is_an_error_only_when_resolved(tmp_path, monkeypatch, target, cause):
    (tmp_path / "exits_when_imported.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    entry = Registry([record("one", fusion("sum", target))]).find("fusion", "sum")
    with pytest.raises(PluginError, match=rf"fusion 'sum' of one 1\.0 could not be imported from {target}: .*{cause}"):
        entry.resolve()


def test_a_session_component_replaces_itself_and_collides_with_installed_names():
    zoo = Registry([record("zoo", fusion("concat"), fusion("timm/"))])
    first, second = object(), object()
    zoo.register("fusion", fusion("mine"), first)
    zoo.register("fusion", fusion("mine"), second)
    assert zoo.find("fusion", "mine").resolve() is second
    assert zoo.find("fusion", "session/mine").resolve() is second
    assert zoo.names("fusion").count("mine") == 1
    for taken in ("concat", "timm/resnet18", "timm/"):
        with pytest.raises(NameCollisionError, match=r"already provided by zoo 1\.0"):
            zoo.register("fusion", fusion(taken), first)
    with pytest.raises(PluginError, match="not a usable name"):
        zoo.register("fusion", fusion("Mine"), first)


def test_the_decorator_takes_its_summary_from_the_docstring():
    @affectzoo.register_backbone("doc-toy", licence="MIT")
    class Toy:
        """First line.

        Second line.
        """

    from affectzoo.registry import registry

    entry = registry().find("backbone", "doc-toy")
    assert isinstance(entry.spec, BackboneSpec)
    assert (entry.spec.summary, entry.spec.licence, entry.spec.modality) == ("First line.", "MIT", "any")
    assert entry.resolve() is Toy


@pytest.mark.parametrize("kind", ["backbones", "blocks", "datasets", "detectors", "fusions", "temporals", "models"])
def test_lists_are_sorted_names(kind):
    names = getattr(affectzoo, f"list_{kind}")()
    assert names == sorted(names)
    assert all(isinstance(name, str) for name in names)
