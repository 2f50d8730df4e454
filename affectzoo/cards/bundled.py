"""Cards: one Markdown file with YAML front matter for each zoo model, the source of truth of everything said about it.

A card of `kind: architecture` describes networks without weights; its `components` are their registry names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from affectzoo.cards.front import ArchitectureFront, ModelFront
from affectzoo.cards.statement import carries_statement
from affectzoo.errors import ConfigError, PluginError
from affectzoo.registry import ModelSpec

CARDS_PACKAGE = "affectzoo._cards"

#: Every card is read by every `affectzoo list`; libyaml does it in a tenth of the time.
_SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Card:
    """The card of a model.

    Attributes:
        front: the front matter.
        body: the Markdown after it.
        file: the card's file name.
    """

    front: ModelFront
    body: str
    file: str

    def to_spec(self) -> ModelSpec:
        """What `affectzoo list` shows of this model."""
        front = self.front
        return ModelSpec(
            name=front.name,
            summary=front.summary,
            licence=front.licence.weights,
            paper=front.paper,
            location=front.weights,
            importer=front.importer,
            digest=front.digest,
            card=f"{CARDS_PACKAGE}:{self.file}",
            targets=front.targets,
            parameters=front.parameters,
            size_mb=front.size_mb,
            caution=front.caution,
        )


@dataclass(frozen=True)
class ArchitectureCard:
    """The card of networks without weights; as `Card`."""

    front: ArchitectureFront
    body: str
    file: str


def parse_card(text: str, file: str) -> Card | ArchitectureCard:
    """Split and check a card.

    Raises:
        ConfigError: no front matter, a key of it is missing, unknown or wrong, or the statement that every card carries is
            not in the body; names `file` and the key.
    """
    front, body = _split(text, file)
    kind = front.get("kind", "model")
    if kind not in ("model", "architecture"):
        raise ConfigError(f"{file}: kind must be model or architecture, not {kind!r}")
    if kind == "model":
        card = Card(ModelFront.parse(front, where=file), body, file)
    else:
        card = ArchitectureCard(ArchitectureFront.parse(front, where=file), body, file)
    if not carries_statement(body):
        raise ConfigError(f"{file}: the statement that every card carries is missing or changed; `make cards` writes it")
    return card


def _split(text: str, file: str) -> tuple[dict[str, Any], str]:
    parts = text.split("---\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise ConfigError(f"{file}: a card begins with YAML front matter between two lines of ---")
    try:
        front = yaml.load(parts[1], Loader=_SAFE_LOADER)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: 2026-99-99 has the form of a date and is none
        raise ConfigError(f"{file}: the front matter is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(front, dict) or not all(isinstance(key, str) for key in front):
        raise ConfigError(f"{file}: the front matter must be a mapping of names to values")
    return front, parts[2].lstrip("\n")


def bundled_cards() -> list[Card]:
    """Every model's card that ships with affectzoo, by name."""
    return [card for card in _cards() if isinstance(card, Card)]


def architecture_cards() -> list[ArchitectureCard]:
    """Every card of networks without weights that ships with affectzoo, by name."""
    return [card for card in _cards() if isinstance(card, ArchitectureCard)]


@cache
def _cards() -> tuple[Card | ArchitectureCard, ...]:
    found = [path for path in files(CARDS_PACKAGE).iterdir() if path.name.endswith(".md")]
    return tuple(parse_card(path.read_text(encoding="utf-8"), path.name) for path in sorted(found, key=lambda p: p.name))


def card_text(spec: ModelSpec) -> str:
    """The card of a zoo model as Markdown; empty where its provider ships none.

    Raises:
        PluginError: the package or the file that its provider names cannot be read.
    """
    if not spec.card:
        return ""
    package, _, file = spec.card.partition(":")
    try:
        return files(package).joinpath(file).read_text(encoding="utf-8")
    except (ImportError, OSError, UnicodeDecodeError, ValueError) as error:
        raise PluginError(f"the card of the model {spec.name!r}, {spec.card}, cannot be read: {error}") from error


def card_of(spec: ModelSpec) -> Card | None:
    """The parsed card of a zoo model; None where its provider ships none.

    Raises:
        ConfigError: as `parse_card`, or the card is not a model's.
        PluginError: as `card_text`.
    """
    text = card_text(spec)
    if not text:
        return None
    card = parse_card(text, spec.card.rpartition(":")[2])
    if not isinstance(card, Card):
        raise ConfigError(f"{spec.card}: the card of {spec.name} must have kind: model")
    return card
