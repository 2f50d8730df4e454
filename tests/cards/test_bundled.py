"""Cards: the source of truth of the zoo, checked when read."""

from __future__ import annotations

import pytest
import yaml

import affectzoo
from affectzoo.cards.bundled import bundled_cards, card_text, parse_card
from affectzoo.errors import ConfigError
from affectzoo.registry import registry

FRONT = {
    "name": "toy",
    "summary": "a toy",
    "task": "valence and arousal",
    "targets": ["valence", "arousal"],
    "weights": "package://affectzoo/weights/toy",
    "licence": {"code": "Apache-2.0", "weights": "CC-BY-4.0"},
    "parameters": 12,
    "size_mb": 0.1,
    "data": "rendered",
    "metrics": {"ccc": 0.5},
}


def card(front=None, body="# Toy\n\n---\nA rule above.\n", **changes) -> str:
    front = {**FRONT, **changes} if front is None else front
    return f"---\n{yaml.safe_dump(front)}---\n\n{body}"


def test_a_card_becomes_the_spec_that_the_list_shows():
    parsed = parse_card(card(), "toy.md")
    assert parsed.body == "# Toy\n\n---\nA rule above.\n"
    spec = parsed.to_spec()
    spec.validate()
    assert (spec.name, spec.licence, spec.targets) == ("toy", "CC-BY-4.0", ("valence", "arousal"))
    assert (spec.location, spec.card) == ("package://affectzoo/weights/toy", "affectzoo._cards:toy.md")


@pytest.mark.parametrize("text", ["", "# Toy\n", "---\nname: toy\n", "text\n---\nname: toy\n---\n"])
def test_a_card_without_front_matter_is_refused(text):
    with pytest.raises(ConfigError, match=r"toy\.md: a card begins with YAML front matter"):
        parse_card(text, "toy.md")


def test_front_matter_that_is_no_yaml_is_refused():
    with pytest.raises(ConfigError, match=r"toy\.md: the front matter is not YAML"):
        parse_card("---\n{: [\n---\n", "toy.md")


@pytest.mark.parametrize("front", [[], "text", 3, None])
def test_front_matter_that_is_no_mapping_lacks_everything(front):
    with pytest.raises(ConfigError, match="lacks name, summary"):
        parse_card(f"---\n{yaml.safe_dump(front)}---\n", "toy.md")


@pytest.mark.parametrize("key", FRONT)
def test_every_required_key_is_named_where_it_lacks(key):
    with pytest.raises(ConfigError, match=f"lacks {key}$"):
        parse_card(card({k: v for k, v in FRONT.items() if k != key}), "toy.md")


@pytest.mark.parametrize("licence", ["MIT", {"code": "MIT"}, {"weights": "MIT"}, None])
def test_a_licence_is_never_assumed(licence):
    with pytest.raises(ConfigError, match="needs 'code' and 'weights'"):
        parse_card(card(licence=licence), "toy.md")


@pytest.mark.parametrize("targets", ["valence", None, [1]])
def test_targets_are_a_list_of_names(targets):
    with pytest.raises(ConfigError, match="targets must be a list of names"):
        parse_card(card(targets=targets), "toy.md")


def test_front_matter_never_builds_python_objects(tmp_path):
    with pytest.raises(ConfigError, match="not YAML"):
        parse_card(f"---\nname: !!python/object/apply:os.mkdir ['{tmp_path / 'x'}']\n---\n", "toy.md")
    assert not (tmp_path / "x").exists()


def test_every_bundled_card_is_a_model_of_the_zoo():
    names = [parsed.front["name"] for parsed in bundled_cards()]
    assert set(names) <= set(affectzoo.list_models())
    assert len(set(names)) == len(names)
    for name in names:
        assert card_text(registry().find("model", name).spec).startswith("---\n")


ARCHITECTURE = {
    "kind": "architecture",
    "name": "toys",
    "summary": "networks without weights",
    "paper": "none",
    "source": "none",
    "reconstruction": "all of it",
    "components": ["toy-18"],
    "licence": {"code": "Apache-2.0"},
    "metrics": [],
}


def test_an_architecture_needs_no_weights_and_is_no_model():
    parsed = parse_card(card(ARCHITECTURE), "toys.md")
    assert parsed.kind == "architecture"
    assert parse_card(card(), "toy.md").kind == "model"
    assert "dmsn" in {found.front["name"] for found in bundled_cards("architecture")}
    assert "dmsn" not in affectzoo.list_models()
    for found in bundled_cards("architecture"):
        assert set(found.front["components"]) <= {*registry().names("backbone"), *registry().names("block")}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"reconstruction": None}, "lacks reconstruction"),
        ({"licence": {}}, "licence needs 'code'"),
        ({"components": "toy-18"}, "components must be a list of names"),
        ({"kind": "building"}, "kind must be one of model, architecture, not 'building'"),
    ],
)
def test_an_incomplete_architecture_is_refused(change, says):
    front = {**ARCHITECTURE, **change}
    with pytest.raises(ConfigError, match=says):
        parse_card(card({key: value for key, value in front.items() if value is not None}), "toys.md")
