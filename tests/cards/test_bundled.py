"""Cards: the source of truth of the zoo, checked when read."""

from __future__ import annotations

import copy

import pytest

import affectzoo
from affectzoo.cards.bundled import ArchitectureCard, Card, architecture_cards, bundled_cards, card_of, card_text, parse_card
from affectzoo.cards.front import ModelFront
from affectzoo.cards.statement import STATEMENT
from affectzoo.errors import ConfigError, PluginError
from affectzoo.registry import ModelSpec, registry


def test_a_card_becomes_the_spec_that_the_list_shows(front, as_card):
    front |= {"weights": "https://example.org/toy.pt", "importer": "timm", "digest": f"git:{'0' * 40}", "caution": "Beware."}
    parsed = parse_card(as_card(front), "toy.md")
    assert isinstance(parsed, Card)
    assert parsed.body.startswith("# Toy\n\nA rule below.\n\n---\n")
    spec = parsed.to_spec()
    spec.validate()
    assert (spec.name, spec.licence, spec.targets) == ("toy", "CC-BY-4.0", ("valence", "arousal"))
    assert (spec.location, spec.importer, spec.digest) == ("https://example.org/toy.pt", "timm", f"git:{'0' * 40}")
    assert (spec.parameters, spec.size_mb, spec.caution) == (12, 0.1, "Beware.")
    assert spec.card == "affectzoo._cards:toy.md"


@pytest.mark.parametrize("text", ["", "# Toy\n", "---\nname: toy\n", "text\n---\nname: toy\n---\n"])
def test_a_card_without_front_matter_is_refused(text):
    with pytest.raises(ConfigError, match=r"toy\.md: a card begins with YAML front matter"):
        parse_card(text, "toy.md")


@pytest.mark.parametrize("yaml", ["{: [", "data: 2026-99-99"])
def test_front_matter_that_is_no_yaml_is_refused_in_one_line(yaml):
    with pytest.raises(ConfigError, match=r"^toy\.md: the front matter is not YAML: [^\n]+$"):
        parse_card(f"---\n{yaml}\n---\n", "toy.md")


@pytest.mark.parametrize("front", [[], "text", 3, None, {1: 2}])
def test_front_matter_that_is_no_mapping_of_names_is_refused(front, as_card):
    with pytest.raises(ConfigError, match=r"toy\.md: the front matter must be a mapping of names"):
        parse_card(as_card(front), "toy.md")


REQUIRED = [name for name, field in ModelFront.model_fields.items() if field.is_required()]


def test_a_card_must_say_licence_data_limits_and_use():
    assert {"licence", "data", "limits", "use", "citation", "task", "components", "inputs", "weights"} <= set(REQUIRED)


@pytest.mark.parametrize("key", REQUIRED)
def test_every_required_key_is_named_where_it_lacks(key, front, as_card):
    del front[key]
    with pytest.raises(ConfigError, match=rf"^toy\.md: key '{key}' is missing\.$"):
        parse_card(as_card(front), "toy.md")


WRONG = [
    ({"licence": "MIT"}, "licence"),
    ({"licence": {"code": "MIT"}}, r"key 'licence\.weights' is missing"),
    ({"licence": {"weights": "MIT"}}, r"key 'licence\.code' is missing"),
    ({"licence": {"code": "MIT", "weights": " "}}, r"licence\.weights"),
    ({"targets": "valence"}, "targets"),
    ({"targets": []}, "targets"),
    ({"targets": [1]}, r"targets\.0"),
    ({"parameters": 0}, "parameters"),
    ({"size_mb": float("nan")}, "size_mb"),
    ({"limits": []}, "limits"),
    ({"use": {"intended": "play"}}, r"use\.forbidden"),
    ({"metric": []}, "unknown key 'metric'; did you mean 'metrics'"),
    ({"metrics": []}, "not_measured must say why"),
    ({"kind": "building"}, "kind must be model or architecture, not 'building'"),
]


@pytest.mark.parametrize(("change", "says"), WRONG)
def test_a_wrong_value_is_refused_with_file_and_key(change, says, front, as_card):
    with pytest.raises(ConfigError, match=rf"^toy\.md: .*{says}"):
        parse_card(as_card({**front, **change}), "toy.md")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"command": ""}, "needs a command that reproduces it, or reported_by"),
        ({"command": " "}, "needs a command that reproduces it, or reported_by"),
        ({"reported_by": "the authors"}, "not both"),
        ({"values": {}}, r"metrics\.0\.values"),
        ({"values": {"valence": {"mean": float("inf")}}}, r"metrics\.0\.values\.valence\.mean"),
        ({"values": {"valence": 0.5}}, r"metrics\.0\.values\.valence"),
        ({"commit": "HEAD"}, r"metrics\.0\.commit"),
        ({"seeds": 0}, r"metrics\.0\.seeds"),
        ({"subjects": -1}, r"metrics\.0\.subjects"),
        ({"valence": 0.5}, "unknown key"),
    ],
)
def test_a_number_without_source_or_meaning_is_refused(change, says, front, as_card):
    front["metrics"][0] |= change
    with pytest.raises(ConfigError, match=rf"^toy\.md: .*{says}"):
        parse_card(as_card(front), "toy.md")


def test_a_published_number_is_taken_with_its_author(front, as_card):
    del front["metrics"][0]["command"], front["metrics"][0]["commit"]
    front["metrics"][0]["reported_by"] = "Toymaker 2020"
    parsed = parse_card(as_card(front), "toy.md")
    assert isinstance(parsed, Card)
    assert parsed.front.metrics[0].reported_by == "Toymaker 2020"


@pytest.mark.parametrize("body", ["# Toy\n", f"# Toy\n\n{STATEMENT.replace('must', 'should', 1)}"])
@pytest.mark.parametrize("kind", ["model", "architecture"])
def test_a_card_without_the_statement_or_with_another_is_refused(body, kind, front, as_card):
    front = front if kind == "model" else ARCHITECTURE
    with pytest.raises(
        ConfigError, match=r"^toy\.md: the statement that every card carries is missing or changed; `make cards`"
    ):
        parse_card(as_card(front, body), "toy.md")


def test_front_matter_never_builds_python_objects(tmp_path):
    with pytest.raises(ConfigError, match="not YAML"):
        parse_card(f"---\nname: !!python/object/apply:os.mkdir ['{tmp_path / 'x'}']\n---\n", "toy.md")
    assert not (tmp_path / "x").exists()


def test_every_bundled_card_is_a_model_of_the_zoo():
    names = [parsed.front.name for parsed in bundled_cards()]
    assert set(names) <= set(affectzoo.list_models())
    assert len(set(names)) == len(names)
    for parsed in bundled_cards():
        assert parsed.file == f"{parsed.front.name}.md"
        spec = registry().find("model", parsed.front.name).spec
        assert isinstance(spec, ModelSpec)
        assert card_text(spec).startswith("---\n")
        assert card_of(spec) == parsed


def test_a_model_without_a_card_has_none_and_an_architecture_is_no_models_card():
    spec = ModelSpec(name="toy", summary="a toy", licence="MIT", location="hub://a/b")
    assert card_of(spec) is None
    with pytest.raises(ConfigError, match=r"dmsn\.md: the card of toy must have kind: model"):
        card_of(ModelSpec(name="toy", summary="a toy", licence="MIT", location="hub://a/b", card="affectzoo._cards:dmsn.md"))


@pytest.mark.parametrize("card", ["nopackage:toy.md", "affectzoo:no-such.md", "affectzoo:", ":toy.md"])
def test_a_card_that_cannot_be_read_is_one_sentence(card):
    with pytest.raises(PluginError, match=r"the card of the model 'toy', .*cannot be read"):
        card_text(ModelSpec(name="toy", summary="a toy", licence="MIT", location="hub://a/b", card=card))


ARCHITECTURE = {
    "kind": "architecture",
    "name": "toys",
    "summary": "networks without weights",
    "paper": "none",
    "source": "none",
    "reconstruction": "all of it",
    "components": ["toy-18"],
    "licence": {"code": "Apache-2.0"},
    "metrics": [{"metric": "parameters", "values": {"toy-18": 18}, "command": "affectzoo info toy-18"}],
}


def test_an_architecture_needs_no_weights_and_is_no_model(as_card):
    parsed = parse_card(as_card(ARCHITECTURE), "toys.md")
    assert isinstance(parsed, ArchitectureCard)
    assert "dmsn" in {found.front.name for found in architecture_cards()}
    assert "dmsn" not in affectzoo.list_models()
    for found in architecture_cards():
        assert set(found.front.components) <= {*registry().names("backbone"), *registry().names("block")}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"reconstruction": None}, "key 'reconstruction' is missing"),
        ({"licence": {}}, r"key 'licence\.code' is missing"),
        ({"components": "toy-18"}, "components"),
        ({"components": []}, "components"),
        ({"metrics": [{"metric": "parameters", "values": {"toy-18": 18}}]}, r"key 'metrics\.0\.command' is missing"),
        ({"metrics": [{"metric": "parameters", "values": {}, "command": "x"}]}, r"metrics\.0\.values"),
    ],
)
def test_an_incomplete_architecture_is_refused(change, says, as_card):
    front = {**copy.deepcopy(ARCHITECTURE), **change}
    with pytest.raises(ConfigError, match=rf"^toys\.md: .*{says}"):
        parse_card(as_card({key: value for key, value in front.items() if value is not None}), "toys.md")
