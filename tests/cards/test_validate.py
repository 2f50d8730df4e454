"""What the Hub would refuse is found before a push, without the network."""

from __future__ import annotations

import pytest
import yaml

from affectzoo.cards.validate import validate_readme

GOOD = {
    "library_name": "affectzoo",
    "license": "apache-2.0",
    "pipeline_tag": "video-classification",
    "base_model": "org/base",
    "tags": ["affectzoo", "valence"],
    "language": "en",
    "model-index": [
        {
            "name": "toy",
            "results": [
                {
                    "task": {"type": "video-classification"},
                    "dataset": {"type": "toys", "name": "Toys", "split": "test"},
                    "metrics": [{"type": "ccc", "value": 0.5, "name": "CCC"}],
                }
            ],
        }
    ],
}


def readme(data) -> str:
    return f"---\n{yaml.safe_dump(data, allow_unicode=True)}---\n\n# Toy\n"


@pytest.mark.parametrize(
    "text",
    [
        readme(GOOD),
        readme(GOOD).replace("\n", "\r\n"),
        "\ufeff" + readme(GOOD),
        "# A page without metadata\n",
        "",
        "---\n---\n# Empty metadata\n",
        "---\nlicense: mit\n---",
        readme({**GOOD, "license": ["mit", "apache-2.0"]}),
        readme({"license": "other", "license_name": "mine"}),
        readme({"base_model": ["org/one", "two"], "tags": ["naïve", "情感", "a: b", "# c"]}),
        "---\nlicense: mit\n---\n\nText\n\n---\nlicense: nonsense\n---\n",
    ],
)
def test_a_good_readme_has_no_problems(text):
    assert validate_readme(text) == []


def changed(**result) -> dict:
    """GOOD with parts of its only result replaced."""
    original = GOOD["model-index"][0]["results"][0]
    return {"model-index": [{"name": "toy", "results": [{**original, **result}]}]}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (["a", "list"], "the metadata must be a mapping"),
        ({"license": "Apache-2.0"}, "license 'Apache-2.0' is no identifier of the Hub"),
        ({"license": "my-own"}, "license 'my-own' is no identifier of the Hub"),
        ({"license": 3}, "license 3 is no identifier"),
        ({"license": "other"}, "license is other, so license_name must name it"),
        ({"license": "other", "license_name": " "}, "license_name must be text"),
        ({"license_name": "mine"}, "license_name is given without license: other"),
        ({"tags": "affect"}, "tags must be a list of texts"),
        ({"tags": ["affect", True]}, "tags must be a list of texts"),
        ({"tags": [None]}, "tags must be a list of texts"),
        ({"library_name": 1}, "library_name must be text"),
        ({"base_model": "a/b/c"}, "base_model 'a/b/c' is not the name"),
        ({"base_model": "/home/me/run"}, "base_model '/home/me/run' is not the name"),
        ({"base_model": None}, "base_model None is not the name"),
        ({"model-index": {}}, "model-index must be a list"),
        ({"model-index": []}, "model-index must be a list"),
        ({"model-index": ["toy"]}, "model-index[0] needs a name"),
        ({"model-index": [{"results": []}]}, "model-index[0] needs a name"),
        ({"model-index": [{"name": "toy"}]}, "model-index[0].results must be a list"),
        ({"model-index": [{"name": "toy", "results": [1]}]}, "model-index[0].results[0] must be a mapping"),
        (changed(task={}), "model-index[0].results[0].task.type is missing"),
        (changed(task="video"), "model-index[0].results[0].task.type is missing"),
        (changed(dataset={"type": "toys"}), "model-index[0].results[0].dataset.name is missing"),
        (changed(dataset={"name": "Toys"}), "model-index[0].results[0].dataset.type is missing"),
        (changed(dataset=None), "model-index[0].results[0].dataset.type is missing"),
        (changed(metrics=[]), "model-index[0].results[0].metrics must be a list"),
        (changed(metrics=[{"value": 1}]), "model-index[0].results[0].metrics[0].type is missing"),
        (changed(metrics=[{"type": "ccc"}]), "model-index[0].results[0].metrics[0].value is missing"),
        (changed(metrics=[{"type": "ccc", "value": True}]), "model-index[0].results[0].metrics[0].value is missing"),
        (changed(source={"name": "us"}), "model-index[0].results[0].source needs a url"),
        (
            changed(metrics=[{"type": "ccc", "value": float("nan")}]),
            "model-index[0].results[0].metrics[0].value is nan, which is no number",
        ),
        ({"threshold": {"low": [1.0, float("-inf")]}}, "threshold.low[1] is -inf, which is no number"),
    ],
)
def test_each_fault_is_named_with_its_key(data, problem):
    data = {**GOOD, **data} if isinstance(data, dict) else data
    if isinstance(data, dict) and "license_name" in data and data.get("license") == "apache-2.0":
        del data["license"]
    problems = validate_readme(readme(data))
    assert any(problem in said for said in problems), problems


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("---\nlicense: mit\n", "no second ---"),
        ("---\na: b: c\n---\n", "is not YAML"),
        ("---\na: [\n---\n", "is not YAML"),
        ("---\nwhen: 2026-99-99\n---\n", "is not YAML"),
        ("---\na: !!python/object/apply:os.getcwd []\n---\n", "is not YAML"),
        ("---\n" + "a: " + "[" * 5000 + "\n---\n", "is not YAML"),
    ],
)
def test_metadata_that_cannot_be_read_is_one_problem_in_one_line(text, problem):
    (said,) = validate_readme(text)
    assert problem in said
    assert "\n" not in said
