"""README's table of models comes from the cards, and one command refreshes it and the statements."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from affectzoo.cards.bundled import Card, parse_card
from affectzoo.cards.front import Metric
from affectzoo.cards.markdown import metrics_table
from affectzoo.cards.statement import STATEMENT
from affectzoo.cards.tables import BEGIN, END, cards_in, models_tables, refresh, with_table
from affectzoo.errors import ConfigError, InputError

ROOT = Path(__file__).parents[2]


def test_the_readme_is_up_to_date():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_table(readme, cards_in(ROOT / "cards")) == readme, "stale: run `make cards`"


def test_the_readme_has_every_model_and_sends_people_with_real_videos_to_the_right_ones():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    models = readme[readme.index("## Models") : readme.index("## Your own model")]
    for card in cards_in(ROOT / "cards"):
        assert f"[`{card.front.name}`](cards/{card.file})" in models
    for name in ("hsemotion-b0-va", "hsemotion-b0-8", "hsemotion-b2-8", "audeering-w2v2-dim"):
        assert f"`{name}`" in models.partition(BEGIN)[0]


@pytest.fixture
def card(front, as_card):
    def made(**changes) -> Card:
        parsed = parse_card(as_card({**front, **changes}), "toy.md")
        assert isinstance(parsed, Card)
        return parsed

    return made


def test_a_row_says_what_it_predicts_how_well_how_large_and_under_which_licence(card):
    row = models_tables([card()]).splitlines()[-1]
    for said in (
        "[`toy`](cards/toy.md)",
        "valence, arousal",
        "valence 0.500 (0.010), arousal 0.250 (0.020)",
        "0.1 MB",
        "CC-BY-4.0",
    ):
        assert said in row
    assert "3 subjects, 2 seeds" in row


def test_what_was_not_measured_here_is_not_passed_off_as_ours(card, front):
    assert "not measured here" in models_tables([card(metrics=[], not_measured="no data")])
    published = {key: value for key, value in front["metrics"][0].items() if key not in ("command", "commit")}
    assert "| reported by its authors, CCC" in models_tables([card(metrics=[{**published, "reported_by": "A 2020"}])])


def test_bundled_fetched_and_drawn_models_stand_apart_and_no_text_breaks_the_table(card):
    fetched = card(name="far", summary="a | b\nc", weights="hub://org/far@0123")
    text = models_tables([card(name="toon", people=False), fetched, card()])
    lines = text.splitlines()
    assert [line for line in lines if line.endswith(":")] == [
        "Bundled, trained here on voices and pictures of people:",
        "Others' models of people, fetched when first used:",
        "Trained on drawn people, to try every part with:",
    ]
    assert text.index("[`toy`]") < text.index("[`far`]") < text.index("[`toon`]")
    assert r"a \| b c" in text
    assert "fetched" not in models_tables([card()])


def test_how_often_a_split_was_looked_at_is_told(front):
    rows = [Metric.parse({**front["metrics"][0], "looks": looks}, where="toy") for looks in (1, 4, None)]
    lines = metrics_table(rows).splitlines()[2:]
    assert ["looked at 1 time |" in lines[0], "looked at 4 times |" in lines[1], "looked" in lines[2]] == [True, True, False]


@pytest.mark.parametrize("readme", ["# Toy\n", f"{BEGIN}\n", f"{END}\n{BEGIN}\n"])
def test_a_readme_without_its_markers_is_refused(readme):
    with pytest.raises(InputError, match=r"README\.md needs a line '<!-- models"):
        with_table(readme, [])


def repository(tmp_path: Path, as_card, front) -> Path:
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "toy.md").write_text(as_card(front, "# Toy\n\nWithout its statement.\n"))
    (tmp_path / "README.md").write_text(f"# Models\n\n{BEGIN}\nold\n{END}\n\nMore.\n")
    return tmp_path


def test_one_command_refreshes_statements_and_table_and_a_second_changes_nothing(tmp_path, as_card, front):
    repository(tmp_path, as_card, front)

    def make_cards() -> str:
        command = [sys.executable, "-m", "affectzoo.cards"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True).stdout

    assert make_cards() == "refreshed cards/toy.md\nrefreshed README.md\n"
    assert STATEMENT in (tmp_path / "cards" / "toy.md").read_text()
    readme = (tmp_path / "README.md").read_text()
    assert readme.startswith(f"# Models\n\n{BEGIN}\n\nBundled")
    assert readme.endswith(f"\n\n{END}\n\nMore.\n")
    assert "old" not in readme
    assert "[`toy`](cards/toy.md)" in readme
    assert make_cards() == ""


def test_a_broken_card_is_named_and_the_readme_stays(tmp_path, as_card, front):
    del front["licence"]
    before = (repository(tmp_path, as_card, front) / "README.md").read_text()
    with pytest.raises(ConfigError, match=r"^toy\.md: key 'licence' is missing"):
        refresh(tmp_path)
    assert (tmp_path / "README.md").read_text() == before


def test_elsewhere_than_in_the_repository_it_says_so(tmp_path):
    with pytest.raises(InputError, match="run this from the repository"):
        refresh(tmp_path)
