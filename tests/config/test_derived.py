"""Derived targets say what they are of, where every class lies, and who says so; anything else is refused."""

from __future__ import annotations

import json

import pytest

from affectzoo.config import ModelConfig, TargetConfig, derivations
from affectzoo.config.derived import DerivedTargetConfig
from affectzoo.errors import ConfigError

MOOD = {"name": "mood", "kind": "categorical", "classes": ["sad", "glad"]}
VALENCE = {"name": "valence", "of": "mood", "coordinates": {"sad": -0.6, "glad": 0.8}, "source": "A table (1977)"}
MODEL = {"streams": {"visual": "timm/resnet18"}, "targets": [MOOD, "dominance"], "derived": [VALENCE]}


def test_a_derived_target_survives_json_and_is_predicted_after_the_targets():
    config = ModelConfig.parse(MODEL)
    assert ModelConfig.parse(json.loads(json.dumps(config.to_json()))) == config
    assert [target.name for target in config.targets] == ["mood", "dominance"]
    assert config.predicted_targets == (*config.targets, TargetConfig.parse("valence"))


def test_a_known_name_gives_the_range_that_is_left_out():
    found = DerivedTargetConfig.parse({**VALENCE, "name": "bdi-ii", "coordinates": {"sad": 40, "glad": 2}})
    assert (found.low, found.high, found.unit) == (0.0, 63.0, "BDI-II points")
    own = DerivedTargetConfig.parse({**VALENCE, "name": "bdi-ii", "low": -1, "high": 1, "unit": ""})
    assert (own.low, own.high, own.unit) == (-1.0, 1.0, "")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"of": "moods"}, "is of 'moods', which is no categorical target here (these are: mood)"),
        ({"of": "dominance"}, "is of 'dominance', which is no categorical target here"),
        ({"name": "dominance"}, "derived target 'dominance' is a target already"),
        ({"name": "a.b"}, "derived.0.name"),
        ({"name": "time_s"}, "every timeline has a column 'time_s' that is no target; give another name"),
        ({"coordinates": {"sad": -0.6}}, "lacks coordinates of 'glad'"),
        ({"coordinates": {"sad": 0, "glad": 0, "mad": 0}}, "has coordinates of 'mad', no class of 'mood'"),
        ({"coordinates": {"sad": -1.5, "glad": 0}}, "'sad' lies at -1.5, outside of -1 to 1"),
        ({"coordinates": {"sad": float("nan"), "glad": 0}}, "derived.0.coordinates.sad"),
        ({"low": 1, "high": 1}, "low 1.0 must be under high 1.0"),
        ({"source": " "}, "derived.0.source"),
        ({"sources": "x"}, "did you mean 'source'?"),
    ],
)
def test_an_impossible_derivation_is_named(change, says):
    with pytest.raises(ConfigError) as caught:
        ModelConfig.parse({**MODEL, "derived": [{**VALENCE, **change}]})
    assert says in str(caught.value)


def test_a_source_is_asked_for_and_names_are_unique():
    with pytest.raises(ConfigError, match=r"'derived\.0\.source' is missing"):
        ModelConfig.parse({**MODEL, "derived": [{key: value for key, value in VALENCE.items() if key != "source"}]})
    with pytest.raises(ConfigError, match="derived targets must be named each once"):
        ModelConfig.parse({**MODEL, "derived": [VALENCE, VALENCE]})


def test_each_table_has_one_sentence():
    config = ModelConfig.parse(
        {**MODEL, "derived": [VALENCE, {**VALENCE, "name": "arousal"}, {**VALENCE, "name": "liking", "source": "B"}]}
    )
    assert derivations(config.derived) == [
        "valence and arousal derived from the probabilities of mood, by the coordinates of A table (1977)",
        "liking derived from the probabilities of mood, by the coordinates of B",
    ]
