"""Configurations: JSON in and out unchanged, and every mistake named with its full path."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from affectzoo.config import (
    KNOWN_TARGETS,
    ComponentConfig,
    FramesInput,
    HeadConfig,
    LogMelInput,
    ModelConfig,
    SequenceConfig,
    StreamConfig,
    TargetConfig,
    WaveformInput,
)
from affectzoo.errors import AffectzooError, ConfigError

MODEL = {"streams": {"visual": "timm/resnet18"}, "targets": ["valence", "arousal"]}

names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,8}[A-Za-z0-9])?", fullmatch=True)
positive = st.integers(1, 10**6)
numbers = st.floats(-1e6, 1e6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
components = st.builds(
    ComponentConfig,
    name=st.text(max_size=8),
    distribution=st.none() | names,
    version=st.none() | st.just("1.0"),
    config=st.dictionaries(st.text(max_size=5), json_values, max_size=3),
)
triples = st.tuples(numbers, numbers, numbers)
inputs = st.one_of(
    st.builds(FramesInput, frames=positive, height=positive, width=positive, mean=triples, std=triples, margin=st.floats(0, 2)),
    st.builds(LogMelInput, frames=positive, n_mels=positive, mean=numbers, f_max=st.none() | st.floats(1, 20000)),
    st.builds(WaveformInput, sample_rate=positive, samples=positive, normalise=st.booleans()),
)
targets = st.one_of(
    st.sampled_from(sorted(KNOWN_TARGETS)).map(TargetConfig.parse),
    st.builds(TargetConfig, name=names, low=st.floats(-100, -1), high=st.floats(0, 100), unit=st.text(max_size=3)),
    st.builds(
        TargetConfig,
        name=names,
        kind=st.just("categorical"),
        classes=st.lists(names, min_size=2, max_size=4, unique=True).map(tuple),
        temperature=st.floats(0.01, 100),
    ),
)
streams = st.builds(StreamConfig, backbone=components, input=st.none() | inputs, temporal=st.none() | components)
heads = st.builds(
    HeadConfig,
    hidden=st.none() | st.integers(1, 65536),
    activation=st.sampled_from(["none", "relu", "gelu"]),
    dropout=st.floats(0, 0.99),
    pool=st.sampled_from([None, "mean", "median", "last"]),
)


@st.composite
def models(draw):
    chosen = draw(st.dictionaries(names, streams, min_size=1, max_size=3))
    return ModelConfig(
        sequence=SequenceConfig(seconds=draw(st.floats(0.01, 60)), length=draw(st.integers(1, 4096))),
        streams=chosen,
        fusion=draw(components) if len(chosen) > 1 else None,
        head=draw(heads),
        targets=tuple(draw(st.lists(targets, min_size=1, max_size=3, unique_by=lambda target: target.name))),
        dtype=draw(st.sampled_from(["float32", "float16", "bfloat16"])),
    )


@settings(max_examples=60, deadline=None)
@given(st.one_of(components, inputs, targets, streams, heads, models()))
def test_every_config_survives_json_unchanged(config):
    again = type(config).parse(json.loads(json.dumps(config.to_json(), allow_nan=False)))
    assert again == config
    assert again.to_json() == config.to_json()


@settings(max_examples=60, deadline=None)
@given(json_values | st.dictionaries(st.sampled_from(sorted(ModelConfig.model_fields)), json_values))
def test_whatever_json_holds_is_a_config_or_one_sentence(data):
    refused = []
    try:
        ModelConfig.parse(data, where="c.json")
    except ConfigError as error:
        refused.append(str(error))
    assert all(sentence.startswith("c.json: ") and "\n" not in sentence for sentence in refused)


def refusal(data, schema=ModelConfig) -> str:
    with pytest.raises(ConfigError) as caught:
        schema.parse(data, where="c.json")
    assert isinstance(caught.value, AffectzooError)
    return str(caught.value)


def with_input(**fields):
    return {**MODEL, "streams": {"visual": {"backbone": "x", "input": fields}}}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({**MODEL, "fussion": 1}, "c.json: unknown key 'fussion'; did you mean 'fusion'?"),
        ({**MODEL, "head": {"hiden": 1}}, "c.json: unknown key 'head.hiden'; did you mean 'hidden'?"),
        ({**MODEL, "head": {"zzz": 1}}, "unknown key 'head.zzz'; known keys here: activation, dropout, hidden, pool."),
        ({**MODEL, "targets": [{"name": "a", "hi": 1}]}, "unknown key 'targets.0.hi'; did you mean 'high'?"),
        (with_input(kind="frames", hight=3), "unknown key 'streams.visual.input.hight'; did you mean 'height'?"),
        (with_input(kind="log-mel", n_mel=3), "unknown key 'streams.visual.input.n_mel'; did you mean 'n_mels'?"),
        (with_input(kind="frames", n_mels=3), "unknown key 'streams.visual.input.n_mels'; known keys here: colour, frames"),
        ({**MODEL, "streams": {"visual": {"backbone": {"nam": "x"}}}}, "'streams.visual.backbone.name' is missing"),
        ({**MODEL, "streams": {"visual": {"backbone": {"name": "x", "cfg": {}}}}}, "unknown key 'streams.visual.backbone.cfg'"),
        ({"streams": {"visual": "x"}}, "key 'targets' is missing"),
    ],
)
def test_unknown_and_missing_keys_are_named_with_their_full_path(data, says):
    assert says in refusal(data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "the whole file"),
        ("model", "the whole file"),
        (None, "the whole file"),
        ({**MODEL, "streams": []}, "streams"),
        ({**MODEL, "streams": {"visual": 5}}, "streams.visual"),
        ({**MODEL, "targets": "valence"}, "targets"),
        ({**MODEL, "dtype": "float64"}, "dtype: input should be 'float32', 'float16' or 'bfloat16' (got 'float64')"),
        ({**MODEL, "head": {"pool": "max"}}, "head.pool"),
        ({**MODEL, "head": {"hidden": 0}}, "head.hidden: input should be greater than 0 (got 0)"),
        ({**MODEL, "head": {"hidden": 1.5}}, "head.hidden"),
        ({**MODEL, "head": {"hidden": 10**12}}, "head.hidden"),
        ({**MODEL, "head": {"dropout": 1}}, "head.dropout"),
        ({**MODEL, "sequence": {"seconds": 0}}, "sequence.seconds"),
        ({**MODEL, "sequence": {"seconds": "long"}}, "sequence.seconds"),
        ({**MODEL, "sequence": {"seconds": 10**400}}, "sequence.seconds"),
        ({**MODEL, "sequence": {"length": 5000}}, "sequence.length"),
        (with_input(kind="video"), "streams.visual.input"),
        (with_input(frames=3), "streams.visual.input"),
        (with_input(kind="frames", mean=[0, 0]), "streams.visual.input.mean"),
        (with_input(kind="frames", margin=3), "streams.visual.input.margin"),
        (with_input(kind="log-mel", win_length=2048), "streams.visual.input: win_length 2048 is longer than n_fft 1024"),
        (with_input(kind="log-mel", f_max=30000), "streams.visual.input: f_max 30000.0 must lie between"),
        (with_input(kind="log-mel", f_min=500, f_max=400), "f_max"),
        ({**MODEL, "streams": {"left.visual": "x"}}, "streams.left.visual"),
        ({**MODEL, "streams": {"": "x"}}, "streams"),
    ],
)
def test_a_wrong_type_or_range_is_named(data, says):
    assert says in refusal(data)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", ["sequence", "input", "target", "component"])
def test_nan_and_infinity_are_refused(number, place):
    data = {
        "sequence": {**MODEL, "sequence": {"seconds": number}},
        "input": with_input(kind="log-mel", mean=number),
        "target": {**MODEL, "targets": [{"name": "a", "low": number}]},
        "component": {**MODEL, "streams": {"visual": {"backbone": {"name": "x", "config": {"a": [number]}}}}},
    }
    assert "c.json: " in refusal(data[place])


def test_a_stream_set_to_null_is_removed():
    config = ModelConfig.parse({**MODEL, "streams": {"visual": "x", "audio": None}})
    assert list(config.streams) == ["visual"]
    assert "at least one stream" in refusal({**MODEL, "streams": {"visual": None}})


def test_streams_and_fusion_must_agree():
    two = {"visual": "x", "audio": "y"}
    assert "streams visual, audio need a fusion" in refusal({**MODEL, "streams": two})
    assert "one modality needs no fusion" in refusal({**MODEL, "fusion": "concat"})
    assert ModelConfig.parse({**MODEL, "streams": two, "fusion": "concat"}).fusion == ComponentConfig(name="concat")


@pytest.mark.parametrize("version", [0, 2, 10**6, None, "one"])
def test_another_schema_version_is_refused(version):
    assert "schema" in refusal({**MODEL, "schema_version": version})


@pytest.mark.parametrize("name", KNOWN_TARGETS)
def test_a_known_target_may_be_given_by_name_alone(name):
    target = TargetConfig.parse(name)
    assert target.to_json() == {"name": name, "classes": [], "temperature": 1.0, **KNOWN_TARGETS[name]}
    assert target.columns == (name,)


@pytest.mark.parametrize(
    ("name", "kind", "low", "high"),
    [
        ("bdi-ii", "continuous", 0, 63),
        ("pspi", "ordinal", 0, 15),
        ("biovid", "ordinal", 0, 4),
        ("vas", "continuous", 0, 10),
    ],
)
def test_scores_of_the_field_have_their_published_range(name, kind, low, high):
    target = TargetConfig.parse(name)
    assert (target.kind, target.low, target.high) == (kind, low, high)
    assert target.unit


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("joy", "target 'joy' has no standard range"),
        ({"name": "a", "low": 1, "high": 1}, "low 1.0 must be under high 1.0"),
        ({"name": "a", "kind": "categorical"}, "needs at least two classes"),
        ({"name": "a", "kind": "categorical", "classes": ["x", "x"]}, "each named once"),
        ({"name": "a", "classes": ["x", "y"]}, "continuous target 'a' takes no classes"),
        ({"name": "a.b"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a\n"}, "name"),
        ({"kind": "ordinal"}, "'name' is missing"),
        ({"name": "a", "kind": "categorical", "classes": 2, "temperature": 0}, "temperature"),
        ({"name": "a", "temperature": 2.0}, "continuous target 'a' has no logits, so it takes no temperature"),
    ],
)
def test_an_impossible_target_is_named(target, says):
    assert says in refusal(target, TargetConfig)


def test_categorical_columns_carry_the_targets_name():
    target = TargetConfig(name="mood", kind="categorical", classes=("sad", "glad"))
    assert target.columns == ("mood.sad", "mood.glad")


def test_configs_are_frozen():
    with pytest.raises(ValidationError):
        ModelConfig.parse(MODEL).dtype = "float16"


def test_many_mistakes_are_three_sentences_and_a_count():
    sentence = refusal({**MODEL, **{f"key{i}": i for i in range(7)}})
    assert sentence.count("unknown key") == 3
    assert sentence.endswith("And 4 more.")


def test_a_long_value_does_not_flood_the_sentence():
    assert len(refusal({**MODEL, "dtype": "x" * 10**6})) < 400
    assert len(refusal({**MODEL, "y" * 10**6: 1})) < 400
