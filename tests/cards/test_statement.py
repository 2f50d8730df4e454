"""The words about people, data and law: in every card, the same, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from affectzoo.cards.statement import HEADING, STATEMENT, carries_statement, with_statement

CARDS = sorted((Path(__file__).parents[2] / "cards").glob("*.md"))


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_every_card_ends_with_the_statement_as_it_is_now(path):
    text = path.read_text(encoding="utf-8")
    assert text.endswith(f"\n\n{STATEMENT}"), "`make cards` writes it"
    assert text.count(HEADING) == 1


def test_there_are_cards():
    assert {"dmsn", "jca-rendered"} <= {path.stem for path in CARDS}


@pytest.mark.parametrize(
    "words",
    [
        "Not a diagnosis",
        "must have agreed",
        "skin tone, age, gender, culture and language",
        "not what a person",
        "Regulation (EU) 2024/1689",
        "article 5(1)(f)",
        "except for medical or safety reasons",
        "annex III, point 1(c)",
        "article 50(3)",
        "detect, prevent or",
        "article 9(2)",
        "so is what a model says of that person",
        "article 35",
        "no legal advice",
    ],
)
def test_it_says_what_a_model_of_affect_needs_said(words):
    assert words in STATEMENT


def test_it_is_added_once_and_an_older_one_gives_way():
    text = "# Toy\n\nText.\n"
    once = with_statement(text)
    assert once == f"# Toy\n\nText.\n\n{STATEMENT}"
    assert with_statement(once) == once
    old = f"# Toy\n\n{HEADING}\n\nOld words.\n\n### Of old\n\nMore.\n\n## After\n\nText.\n"
    assert with_statement(old) == f"# Toy\n\n## After\n\nText.\n\n{STATEMENT}"


def test_a_changed_word_is_noticed():
    assert carries_statement(f"before\n{STATEMENT}after")
    assert not carries_statement(STATEMENT.replace("prohibited", "discouraged"))
