"""README.md for the Hub: metadata that the Hub takes, and what a reader must know."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from affectzoo.cards.bundled import bundled_cards
from affectzoo.cards.front import Metric
from affectzoo.cards.hub_metadata import HUB_LICENCES, hub_licence, slug
from affectzoo.cards.model_card import model_card, zoo_card
from affectzoo.cards.statement import STATEMENT
from affectzoo.cards.validate import validate_readme
from affectzoo.config import ModelConfig

WEIGHTS = Path(__file__).parents[2] / "affectzoo" / "weights"
CCC = Metric(
    metric="CCC over all frames",
    dataset="Aff-Wild2",
    split="val",
    subjects=70,
    values={"valence": {"mean": 0.5}, "arousal": {"mean": 0.25, "sd": 0.01}},  # pyright: ignore[reportArgumentType]
    seeds=3,
    command="affectzoo evaluate runs/x aff-wild2",
)


def config(**changes) -> ModelConfig:
    """Of the bundled audio-visual model, with parts replaced."""
    saved = json.loads((WEIGHTS / "jca-rendered" / "config.json").read_text())
    return ModelConfig.parse({**saved, **changes})


def readme(given: ModelConfig | None = None, **changes) -> str:
    return model_card(given or config(), **{"name": "org/toy", "licence": "MIT", "parameters": 1234567, **changes})


def metadata(text: str) -> dict:
    assert validate_readme(text) == []
    return yaml.safe_load(text.split("---\n")[1])


def test_the_hub_finds_library_task_tags_and_licence():
    data = metadata(readme(tags=["ICASSP 2026"]))
    assert data == {
        "library_name": "affectzoo",
        "license": "mit",
        "pipeline_tag": "video-classification",
        "tags": [
            "affectzoo",
            "valence",
            "arousal",
            "timm-resnet10t",
            "spectrogram-resnet10t",
            "joint-cross-attention",
            "icassp-2026",
        ],
    }


def test_the_hubs_own_client_reads_the_numbers_back():
    read = ModelCard(readme(metrics=[CCC])).data
    assert read.model_name == "org/toy"
    values = {(found.metric_type, found.metric_name): found.metric_value for found in read.eval_results}
    assert values == {("ccc", "CCC over all frames: valence"): 0.5, ("ccc", "CCC over all frames: arousal"): 0.25}
    first = read.eval_results[0]
    assert (first.task_type, first.dataset_type, first.dataset_name, first.dataset_split) == (
        "video-classification",
        "aff-wild2",
        "Aff-Wild2",
        "val",
    )


def test_scores_that_are_no_targets_are_named_by_themselves_and_others_numbers_as_published():
    row = Metric.parse(
        {
            "metric": "scores of recordings",
            "dataset": "d",
            "split": "s",
            "values": {"mae": {"mean": 1}, "valence": {"mean": 2}},
            "reported_by": "A 2020",
        }
    )
    text = readme(metrics=[row])
    found = {result.metric_type: result.metric_name for result in ModelCard(text).data.eval_results}
    assert found == {
        "mae": "scores of recordings: mae (as published)",
        "scores": "scores of recordings: valence (as published)",
    }
    assert "not measured here; reported by A 2020" in text


@pytest.mark.parametrize(("reported_by", "source"), [("https://example.org/a", "https://example.org/a"), ("A 2020", None)])
def test_where_numbers_were_published_is_the_hubs_source_where_it_is_an_address(reported_by, source):
    row = Metric.parse(
        {"metric": "m", "dataset": "d", "split": "s", "values": {"mae": {"mean": 1}}, "reported_by": reported_by}
    )
    text = readme(metrics=[row])
    assert validate_readme(text) == []
    assert [result.source_url for result in ModelCard(text).data.eval_results] == [source]


def test_the_text_says_how_to_load_what_it_takes_what_it_gives_and_how_good_it_is():
    text = readme(metrics=[CCC], training="With Adam.", data="Aff-Wild2.", notes=["One.", "Two\nlines."], caution="Beware.")
    assert text.split("---\n")[2].startswith("\n# org/toy\n\n> **Beware.**\n")
    block = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(block) == 1
    assert 'model = affectzoo.load("org/toy")\n' in block[0]
    assert "It needs `affectzoo`, `affectzoo-backbones`, `affectzoo-fusion`." in text
    assert "| `visual` | `timm/resnet10t` | 4 grey face crops of 64 x 64 |" in text
    assert "| `audio` | `spectrogram/resnet10t` | log-mel of 64 bands x 107 steps at 16,000 Hz |" in text
    assert "A window is 16 sub-sequences of 1.067 s." in text
    assert "| `valence` | continuous | -1 to 1 |  |" in text
    assert "1,234,567" in text
    assert "valence 0.5, arousal 0.250 (0.010) | Aff-Wild2: val; 70 subjects; 3 seeds |" in text
    assert "`affectzoo evaluate runs/x aff-wild2`" in text
    for said in ("## Training\n\nWith Adam.", "## Data\n\nAff-Wild2.", "- One.\n- Two lines.", "`MIT`"):
        assert said in text
    assert text.endswith(STATEMENT)


def test_what_nobody_said_makes_no_empty_section():
    text = readme()
    assert "Nothing was measured." in text
    for heading in ("## Training", "## Data", "## Notes"):
        assert heading not in text


def test_without_a_licence_none_is_invented_and_the_text_says_what_that_means():
    text = readme(licence=None)
    assert not {"license", "license_name"} & metadata(text).keys()
    assert "None was stated." in text


@pytest.mark.parametrize(
    ("spdx", "identifier"),
    [
        ("Apache-2.0", "apache-2.0"),
        ("CC-BY-NC-SA-4.0", "cc-by-nc-sa-4.0"),
        ("GPL-3.0-only", "gpl-3.0"),
        ("LGPL-2.1-or-later", "lgpl-2.1"),
        ("ODbL-1.0", "odbl"),
        (" MIT ", "mit"),
        ("LicenseRef-Research", "other"),
        ("MIT AND CC-BY-4.0", "other"),
        ("other", "other"),
    ],
)
def test_spdx_becomes_the_hubs_identifier_and_what_it_does_not_know_other(spdx, identifier):
    assert hub_licence(spdx) == identifier
    data = metadata(readme(licence=spdx))
    assert data["license"] == identifier
    assert ("license_name" in data) == (identifier == "other")


def test_an_unknown_licence_keeps_its_name():
    text = readme(licence="EULA of AffectNet: research")
    assert metadata(text)["license_name"] == "eula-of-affectnet-research"
    assert "`EULA of AffectNet: research`" in text


def test_all_identifiers_are_lower_case():
    assert {identifier.lower() for identifier in HUB_LICENCES} == HUB_LICENCES


@pytest.mark.parametrize(
    ("base", "named"),
    [
        ("org/base", "org/base"),
        ("org/base@main", "org/base"),
        (f"org/base@main ({'0' * 40})", "org/base"),
        ("jca-rendered", None),
        ("weights of my own", None),
        ("/home/me/runs/x", None),
        ("../a/b", None),
    ],
)
def test_a_base_on_the_hub_is_linked_and_any_is_said(base, named):
    text = readme(bases=[base])
    assert metadata(text).get("base_model") == named
    assert f"It began from {base}." in text


def test_several_bases_are_all_linked():
    text = readme(bases=["org/voice", "jca-rendered", "org/face@v1"])
    assert metadata(text)["base_model"] == ["org/voice", "org/face"]
    assert "It began from org/voice and jca-rendered and org/face@v1." in text


@pytest.mark.parametrize(
    "name",
    ["a: b", "- a", "# a", "'\"", "{a}", "na\nme", "---", "back\\slash", "情感/模型", "über", "null", "`tick`", "@x", "a|b"],
)
def test_hostile_names_stay_names(name):
    text = readme(name=name, metrics=[CCC], tags=[name, "yes"])
    data = metadata(text)
    assert data["model-index"][0]["name"] == name
    assert all(isinstance(tag, str) and tag for tag in data["tags"])
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    call = next(line for line in block.splitlines() if "load" in line)
    loaded: list[str] = []
    exec(call, {"affectzoo": type("Zoo", (), {"load": staticmethod(loaded.append)})})
    assert loaded == [" ".join(name.split())]


def test_four_hundred_classes_are_counted_and_not_listed():
    classes = [f"class number {i} | odd" for i in range(400)]
    target = {"name": "action", "kind": "categorical", "classes": classes}
    text = readme(config(targets=[target]))
    assert "400 classes: " in text
    assert "and 388 more" in text
    assert "class number 12 " not in text
    assert len(text.splitlines()) < 100
    assert "class number 11 \\| odd" in text


def test_few_classes_are_listed():
    target = {"name": "expression", "kind": "categorical", "classes": ["anger", "fear"]}
    assert "| `expression` | categorical | 2 classes: anger, fear |  |" in readme(config(targets=[target]))


def test_ranges_and_units_stand_beside_the_targets():
    head = {"hidden": None, "pool": "median"}
    text = readme(config(targets=["bdi-ii"], head=head))
    assert "| `bdi-ii` | continuous | 0 to 63 | BDI-II points |" in text
    assert "One score for each recording: the median over its sub-sequences." in text


def test_what_is_derived_or_smoothed_is_said():
    mood = {"name": "mood", "kind": "categorical", "classes": ["sad", "glad"]}
    valence = {"name": "valence", "of": "mood", "coordinates": {"sad": -0.6, "glad": 0.8}, "source": "A table (1977)"}
    text = readme(config(targets=[mood], derived=[valence], smoothing="gaussian:4"))
    assert "| `valence` | continuous | -1 to 1 |  |" in text
    assert "Predictions are smoothed along time (gaussian, 4 s wide at half its height)." in text
    assert "Valence derived from the probabilities of mood, by the coordinates of A table (1977)." in text
    assert {"mood", "valence"} <= set(metadata(text)["tags"])


def test_a_model_of_sound_alone_is_of_another_task():
    saved = config().to_json()
    text = readme(config(streams={"audio": saved["streams"]["audio"]}, fusion=None))
    assert metadata(text)["pipeline_tag"] == "audio-classification"
    assert 'affectzoo.predict(model, "clip.wav")' in text


def test_a_model_of_features_is_of_no_task_of_the_hub_and_predicts_no_video():
    stream = {"backbone": {"name": "signal"}, "input": {"kind": "signal", "channels": 3}}
    text = readme(config(streams={"gaze": stream}, fusion=None), metrics=[CCC])
    assert "pipeline_tag" not in metadata(text)
    assert "affectzoo.predict" not in text


def test_what_was_registered_in_a_script_is_said():
    text = readme(config(fusion={"name": "mine", "distribution": "session"}))
    assert "`mine` came from a script: run the code that registers it before you load the model." in text


def test_a_block_inside_a_backbone_is_said_too():
    block = {"name": "my-block", "distribution": "session"}
    backbone = {"name": "dmsn", "distribution": "affectzoo-dmsn", "config": {"block": block, "layers": [2, 2]}}
    text = readme(config(streams={"visual": {"backbone": backbone}}, fusion=None))
    assert "It needs `affectzoo`, `affectzoo-dmsn`. `my-block` came from a script" in text


@pytest.mark.parametrize("card", bundled_cards(), ids=lambda card: card.front.name)
def test_a_zoo_card_is_a_readme_that_holds_all_the_card_says(card):
    text = zoo_card(card)
    data = metadata(text)
    front = card.front
    assert data["license"] == hub_licence(front.licence.weights)
    assert {"affectzoo", *map(slug, front.targets), *map(slug, front.components.values())} == set(data["tags"])
    assert text.endswith(STATEMENT)
    assert text.count(STATEMENT) == 1
    for said in (f'affectzoo.load("{front.name}")', front.citation.strip(), front.licence.weights, *front.limits):
        assert said in text
    for row in front.metrics:
        assert (row.command or row.reported_by) in text
    assert sum(len(row.values) for row in front.metrics) == len(ModelCard(text).data.eval_results or [])
