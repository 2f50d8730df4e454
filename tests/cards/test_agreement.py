"""A card and its model say the same, and what a card says can be found again."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import affectzoo
from affectzoo.cards.bundled import ArchitectureCard, Card, architecture_cards, bundled_cards
from affectzoo.cards.markdown import number
from affectzoo.model.checkpoint import weight_files
from affectzoo.registry import registry

ROOT = Path(__file__).parents[2]

#: A wheel that everybody downloads holds no large model.
MOST_BYTES = 12_000_000

CARDS: list[Card | ArchitectureCard] = [*bundled_cards(), *architecture_cards()]
SHIPPED = [card for card in bundled_cards() if card.to_spec().is_bundled]
every_card = pytest.mark.parametrize("card", CARDS, ids=lambda card: card.front.name)
every_model = pytest.mark.parametrize("card", bundled_cards(), ids=lambda card: card.front.name)
every_shipped = pytest.mark.parametrize("card", SHIPPED, ids=lambda card: card.front.name)


def folder_of(card: Card) -> Path:
    return ROOT / "affectzoo" / "weights" / card.front.weights.rpartition("/")[2]


def disagreements(card: Card, model: affectzoo.AffectModel, folder: Path) -> list[str]:
    """The fields in which a card and the model in `folder` differ."""
    front, config = card.front, model.config
    size = sum(path.stat().st_size for path in weight_files(folder))
    components = {modality: stream.backbone.name for modality, stream in config.streams.items()}
    components |= {f"temporal.{m}": stream.temporal.name for m, stream in config.streams.items() if stream.temporal}
    components |= {"fusion": config.fusion.name} if config.fusion else {}
    saved = {modality: stream.input.to_json() for modality, stream in config.streams.items() if stream.input}
    inputs = saved.keys() == front.inputs.keys() and all(
        "kind" in declared and declared.items() <= saved[modality].items() for modality, declared in front.inputs.items()
    )
    same = {
        "parameters": front.parameters == model.parameter_count(),
        "size_mb": front.size_mb == round(size / 1e6, 1),
        "targets": front.targets == tuple(target.name for target in config.predicted_targets),
        "components": front.components == components,
        "inputs": inputs,
    }
    return [field for field, agree in same.items() if not agree]


@every_shipped
def test_a_bundled_model_is_what_its_card_says(card):
    assert disagreements(card, affectzoo.load(card.front.name), folder_of(card)) == []


@every_shipped
def test_a_bundled_model_is_small(card):
    assert sum(path.stat().st_size for path in weight_files(folder_of(card))) <= MOST_BYTES


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("parameters", 1),
        ("size_mb", 4.4),
        ("targets", ("arousal", "valence")),
        ("components", {"visual": "timm/resnet10t", "audio": "spectrogram/resnet10t", "fusion": "concat"}),
        ("components", {"visual": "timm/resnet10t", "audio": "spectrogram/resnet10t"}),
        ("inputs", {"visual": {"kind": "frames"}}),
        ("inputs", {"visual": {"kind": "frames", "height": 112}, "audio": {"kind": "log-mel"}}),
        ("inputs", {"visual": {"kind": "frames", "depth": 3}, "audio": {"kind": "log-mel"}}),
        ("inputs", {"visual": {"height": 64}, "audio": {"kind": "log-mel"}}),
    ],
)
def test_a_card_that_says_otherwise_is_found_out(field, value):
    (card,) = (card for card in SHIPPED if card.front.name == "jca-rendered")
    wrong = Card(card.front.model_copy(update={field: value}), card.body, card.file)
    assert disagreements(wrong, affectzoo.load("jca-rendered"), folder_of(card)) == [field]


def test_every_bundled_folder_of_weights_has_a_card_and_every_card_its_weights():
    folders = {path.parent.name for path in (ROOT / "affectzoo" / "weights").glob("*/config.json")}
    assert {card.front.weights for card in SHIPPED} == {f"package://affectzoo.weights/{name}" for name in folders}
    for card in SHIPPED:
        assert weight_files(folder_of(card))
        assert folder_of(card).name == card.front.name


@every_shipped
def test_the_project_states_the_licence_of_what_is_bundled(card):
    """Weights of another licence than the code's have it beside them, and in the metadata of the wheel that holds them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stated = project["license"].split(" AND ")
    assert card.front.licence.code == stated[0]
    assert card.front.licence.weights == card.to_spec().licence in stated
    if card.front.licence.weights != stated[0]:
        notice = folder_of(card) / "LICENSE"
        assert card.front.licence.weights in notice.read_text(encoding="utf-8")
        assert any(notice in ROOT.glob(pattern) for pattern in project["license-files"])


@every_model
def test_a_models_parts_and_importer_are_in_the_registry(card):
    for place, name in card.front.components.items():
        kind = {"fusion": "fusion", "temporal": "temporal"}.get(place.partition(".")[0], "backbone")
        registry().find(kind, name)
    if card.front.importer:
        registry().find("importer", card.front.importer)
    card.to_spec().validate()


def commands(card: Card | ArchitectureCard) -> Iterator[str]:
    """Those of the front matter, and those in backticks in the body."""
    yield from (row.command for row in card.front.metrics if row.command)
    yield from re.findall(r"`((?:python|affectzoo|accelerate launch|make) [^`]+)`", card.body)


def missing(command: str) -> str:
    """What a command needs and the repository has not; empty where it could be run."""
    words = shlex.split(command)
    if words[:3] == ["accelerate", "launch", "-m"]:
        module = ROOT.joinpath(*words[3].split("."))
        return "" if module.is_dir() or module.with_suffix(".py").is_file() else words[3]
    if words[0] == "affectzoo":
        source = (ROOT / "affectzoo" / "cli" / "app.py").read_text(encoding="utf-8")
        return "" if re.search(rf"^def {words[1].replace('-', '_')}\(|\"{words[1]}\"", source, re.MULTILINE) else words[1]
    if words[0] == "make":
        return "" if re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE) else words[1]
    script = ROOT / words[1]
    if words[0] != "python" or not script.is_file():
        return words[1]
    options = [word.strip("[]") for word in words[2:] if word.strip("[]").startswith("--")]
    return next((option for option in options if f'"{option}"' not in script.read_text(encoding="utf-8")), "")


@every_card
def test_every_command_and_recipe_exists(card):
    for command in commands(card):
        assert missing(command) == "", command
    for recipe in re.findall(r"recipes/[\w.-]+\.yaml", card.body):
        assert (ROOT / recipe).is_file(), recipe


@pytest.mark.parametrize(
    ("command", "lacks"),
    [
        ("python benchmarks/nothing.py", "benchmarks/nothing.py"),
        ("python benchmarks/rendered.py --nothing 3", "--nothing"),
        ("affectzoo nothing", "nothing"),
        ("make nothing", "nothing"),
        ("accelerate launch -m affectzoo.nothing x.yaml", "affectzoo.nothing"),
        ("bash x.sh", "x.sh"),
    ],
)
def test_a_command_that_cannot_be_run_is_found_out(command, lacks):
    assert missing(command) == lacks


def tables_without_a_command(body: str) -> list[str]:
    """The first lines of tables in whose section no command stands."""
    found = []
    for section in re.split(r"^## ", body, flags=re.MULTILINE):
        tables = re.findall(r"(?:\A|\n)(?!\|)[^\n]*\n(\|[^\n]*)\n\|[-:| ]+\|", section)
        if not re.search(r"`(?:python|affectzoo|accelerate launch|make) [^`]+`", section):
            found += tables
    return found


@every_card
def test_every_table_has_the_command_that_makes_it(card):
    assert tables_without_a_command(card.body) == []


def test_a_table_without_a_command_is_found_out():
    table = "\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    assert tables_without_a_command(f"# Toy\n{table}") == ["| a | b |"]
    assert tables_without_a_command(f"## One\n\n`python x.py`\n{table}\n## Two\n{table}") == ["| a | b |"]
    assert tables_without_a_command(f"## One\n{table}\nBy `affectzoo info x`.\n") == []


@every_model
def test_numbers_measured_here_say_at_which_commit(card):
    for row in card.front.metrics:
        assert bool(row.commit) == bool(row.command), row.metric


@every_model
def test_those_commits_exist(card):
    shallow = subprocess.run(
        ["git", "rev-parse", "--is-shallow-repository"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if shallow.stdout.strip() != "false":
        pytest.skip("not a whole clone")
    for commit in {row.commit for row in card.front.metrics} - {""}:
        found = subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=ROOT, capture_output=True, check=False)
        assert found.returncode == 0, commit


@every_shipped
def test_a_number_over_seeds_stands_in_the_bodys_table_too(card):
    told = [number(value) for row in card.front.metrics for value in row.values.values() if value.sd is not None]
    assert told
    for figure in told:
        assert figure in card.body, figure


@every_model
def test_the_body_repeats_no_section_of_the_front_matter(card):
    assert not re.findall(r"^## (Limits|Use|Citation|Licence)$", card.body, re.MULTILINE)
