"""What is made of the cards and kept in the repository: README's table of models, and the statement in every card."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from affectzoo.cards import markdown
from affectzoo.cards.bundled import Card, parse_card
from affectzoo.cards.front import Metric
from affectzoo.cards.statement import with_statement
from affectzoo.errors import InputError
from affectzoo.files import write_text

BEGIN = "<!-- models: made of cards/*.md by `make cards` -->"
END = "<!-- end of models -->"
_BETWEEN = re.compile(rf"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})", re.DOTALL)


def refresh(root: Path) -> list[Path]:
    """Bring the statement of every card under `root / "cards"` and README's table up to date.

    Returns:
        The files that changed.

    Raises:
        InputError: `root` is not the repository, or README.md has lost its two markers.
        ConfigError: a card that cannot be read; names the file and the key. The files before it are written already.
    """
    readme = root / "README.md"
    if not readme.is_file() or not (root / "cards").is_dir():
        raise InputError(f"{root} holds no README.md and cards/; run this from the repository")
    changed = [path for path in sorted((root / "cards").glob("*.md")) if _rewrite(path, with_statement(_read(path)))]
    return changed + ([readme] if _rewrite(readme, with_table(_read(readme), cards_in(root / "cards"))) else [])


def cards_in(folder: Path) -> list[Card]:
    """The cards of models in a folder, by name of file."""
    parsed = [parse_card(_read(path), path.name) for path in sorted(folder.glob("*.md"))]
    return [card for card in parsed if isinstance(card, Card)]


def with_table(readme: str, cards: Iterable[Card]) -> str:
    """`readme` with the tables of models between its two markers.

    Raises:
        InputError: the markers are not there.
    """
    if not _BETWEEN.search(readme):
        raise InputError(f"README.md needs a line {BEGIN!r} and, after it, a line {END!r}")
    tables = models_tables(cards)
    return _BETWEEN.sub(lambda _: f"\n{tables}\n\n", readme, count=1)


def models_tables(cards: Iterable[Card]) -> str:
    """Markdown tables: models that ship with affectzoo, those that are fetched, and those that know drawn people alone."""
    groups: dict[str, list[Card]] = {
        "Bundled, trained here on voices and pictures of people": [],
        "Others' models of people, fetched when first used": [],
        "Trained on drawn people, to try every part with": [],
    }
    bundled, fetched, drawn = groups.values()
    for card in cards:
        (drawn if not card.front.people else bundled if card.to_spec().is_bundled else fetched).append(card)
    return "\n\n".join(f"{title}:\n\n{_table(group)}" for title, group in groups.items() if group)


def _table(cards: Iterable[Card]) -> str:
    rows = [
        (
            f"[`{card.front.name}`](cards/{card.file})",
            ", ".join(card.front.targets),
            card.front.summary,
            _measured(card.front.metrics),
            f"{card.front.size_mb:,.1f} MB",
            card.front.licence.weights,
        )
        for card in cards
    ]
    return markdown.table(("name", "predicts", "what it is", "measured", "size", "licence of the weights"), rows)


def _measured(metrics: tuple[Metric, ...]) -> str:
    """The first row of numbers, which is the one that a card stands for."""
    if not metrics:
        return "not measured here"
    first = metrics[0]
    source = "reported by its authors, " if first.reported_by else ""
    people = f", {first.subjects} subjects" if first.subjects else ""
    seeds = f", {first.seeds} seeds" if first.seeds > 1 else ""
    return f"{source}{first.metric}: {markdown.numbers(first)} ({first.dataset}{people}{seeds})"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _rewrite(path: Path, text: str) -> bool:
    if text == _read(path):
        return False
    write_text(path, text)
    return True
