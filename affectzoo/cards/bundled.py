"""Cards: one Markdown file with YAML front matter for each zoo model, the source of truth of everything said about it.

A card of `kind: architecture` describes networks without weights; its `components` are their registry names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from affectzoo.errors import ConfigError
from affectzoo.registry import ModelSpec

CARDS_PACKAGE = "affectzoo._cards"

_REQUIRED = {
    "model": ("name", "summary", "task", "targets", "weights", "licence", "parameters", "size_mb", "data", "metrics"),
    "architecture": ("name", "summary", "paper", "source", "reconstruction", "components", "licence", "metrics"),
}
#: The parts that have a licence each.
_LICENSED = {"model": ("code", "weights"), "architecture": ("code",)}


@dataclass(frozen=True)
class Card:
    """A parsed card.

    Attributes:
        front: the YAML front matter.
        body: the Markdown after it.
        file: the card's file name.
    """

    front: dict[str, Any]
    body: str
    file: str

    @property
    def kind(self) -> str:
        """`model` or `architecture`."""
        return self.front.get("kind", "model")

    def to_spec(self) -> ModelSpec:
        """What `affectzoo list` shows of this model."""
        return ModelSpec(
            name=self.front["name"],
            summary=self.front["summary"],
            licence=self.front["licence"]["weights"],
            paper=self.front.get("paper", ""),
            location=self.front["weights"],
            card=f"{CARDS_PACKAGE}:{self.file}",
            targets=tuple(self.front["targets"]),
            parameters=self.front["parameters"],
            size_mb=self.front["size_mb"],
            caution=self.front.get("caution", ""),
        )


def parse_card(text: str, file: str) -> Card:
    """Split and check a card.

    Raises:
        ConfigError: no front matter, or a required key is missing; a licence is never assumed.
    """
    parts = text.split("---\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise ConfigError(f"{file}: a card begins with YAML front matter between two lines of ---")
    try:
        front = yaml.safe_load(parts[1])
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: the front matter is not YAML: {error}") from error
    front = front if isinstance(front, dict) else {}
    kind = front.get("kind", "model")
    if kind not in _REQUIRED:
        raise ConfigError(f"{file}: kind must be one of {', '.join(_REQUIRED)}, not {kind!r}")
    missing = [key for key in _REQUIRED[kind] if key not in front]
    if missing:
        raise ConfigError(f"{file}: the front matter lacks {', '.join(missing)}")
    if not isinstance(front["licence"], dict) or not set(_LICENSED[kind]) <= front["licence"].keys():
        raise ConfigError(f"{file}: licence needs {' and '.join(map(repr, _LICENSED[kind]))}")
    names = "targets" if kind == "model" else "components"
    if not isinstance(front[names], list) or not all(isinstance(name, str) for name in front[names]):
        raise ConfigError(f"{file}: {names} must be a list of names")
    return Card(front, parts[2].lstrip("\n"), file)


def bundled_cards(kind: str = "model") -> list[Card]:
    """Every card of a kind that ships with affectzoo, by name."""
    return [card for card in _cards() if card.kind == kind]


@cache
def _cards() -> tuple[Card, ...]:
    found = [path for path in files(CARDS_PACKAGE).iterdir() if path.name.endswith(".md")]
    return tuple(parse_card(path.read_text(encoding="utf-8"), path.name) for path in sorted(found, key=lambda p: p.name))


def card_text(spec: ModelSpec) -> str:
    """The card of a zoo model as Markdown; empty where its provider ships none."""
    if not spec.card:
        return ""
    package, _, file = spec.card.partition(":")
    return files(package).joinpath(file).read_text(encoding="utf-8")
