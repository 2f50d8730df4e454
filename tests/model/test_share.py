"""What a card says of the weights that a pushed model was loaded from: what is owed travels, folders do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import affectzoo
from affectzoo.cards.readme import Said, read_readme
from affectzoo.model import share
from tests.model.toys import audio_visual_model

SHA = "c0ffee" * 6 + "beef"
CAUTION = "base knows drawn faces only."


@pytest.fixture
def card_of(tmp_path, monkeypatch) -> Callable[..., str]:
    """Push a model to `zoo/toy`, of which nothing comes; returns the card that it would have."""

    def card(files: Mapping[str, Path], *_: object, **_options: object) -> str:
        return files["README.md"].read_text(encoding="utf-8")

    monkeypatch.setattr(share, "upload", card)
    monkeypatch.chdir(tmp_path)
    return lambda model: model.push_to_hub("zoo/toy", licence="MIT")


def loaded(source: str, revision: str = "", said: Said | None = None) -> affectzoo.AffectModel:
    model = audio_visual_model()
    model.source, model.revision, model.said = source, revision, said or Said("cc-by-nc-4.0", CAUTION)
    return model


@pytest.mark.parametrize(
    ("source", "revision"),
    # Not looked up in a cache, which may be another than it came from.
    [(f"zoo/base@v1 ({SHA})", SHA), ("some/folder", "")],
    ids=["the Hub", "a folder"],
)
def test_licence_and_caution_of_what_it_was_loaded_from_are_on_the_card(card_of, source, revision):
    card = card_of(loaded(source, revision))
    assert "are under cc-by-nc-4.0. These weights were made from them" in card
    Path("README.md").write_text(card, encoding="utf-8")
    assert read_readme(Path("README.md")).caution == CAUTION  # whoever loads it hears of it again


def test_a_caution_outlives_a_push_to_the_same_repository(card_of):
    card = card_of(loaded(f"zoo/toy ({SHA})", SHA))
    assert f"made from commit {SHA} of this repository" in card
    assert CAUTION in card


def test_a_folder_is_never_taken_for_a_repository_nor_told(card_of):
    card = card_of(loaded("secret/study"))  # no longer there: its name could be one on the Hub
    assert "secret" not in card
    assert "base_model" not in card


def test_a_folder_called_like_a_zoo_model_hides_no_licence(card_of):
    Path("jca-rendered").mkdir()
    assert "are under Apache-2.0" in card_of(loaded("jca-rendered", said=Said("Apache-2.0")))


def test_nothing_is_owed_for_a_new_model(card_of):
    card = card_of(audio_visual_model())
    assert "## Notes" not in card
    assert "caution" not in card
