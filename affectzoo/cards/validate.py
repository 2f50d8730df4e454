"""Whether the Hub would take a README: checked here, because the Hub's own check needs the network.

Rules: https://huggingface.co/docs/hub/model-cards and `modelcard.md` of huggingface/hub-docs.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Iterator
from typing import Any

import yaml

from affectzoo.cards.hub_metadata import HUB_LICENCES

_BLOCK = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(?P<yaml>.*?)(?:\r?\n)?^---[ \t]*(?:\r?\n|\Z)", re.MULTILINE | re.DOTALL)
_REPOSITORY = re.compile(r"([A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*")
_TEXTS = ("library_name", "pipeline_tag", "license_name", "license_link")
_LISTS = ("tags", "datasets", "metrics", "language")


def validate_readme(text: str) -> list[str]:
    """What is wrong with the metadata of a README; empty where nothing is. A README without metadata is one.

    Returns:
        Sentences, each with the key that it is about.
    """
    if not text.lstrip("\ufeff \t\r\n").startswith("---"):
        return []
    block = _BLOCK.match(text)
    if block is None:
        return ["the metadata begins with --- and has no second --- that ends it"]
    try:
        data = yaml.safe_load(block["yaml"])
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return [f"the metadata is not YAML: {' '.join(str(error).split())}"]
    if data is None:
        return []
    if not isinstance(data, dict):
        return ["the metadata must be a mapping of names to values"]
    return [*_not_numbers(data), *_fields(data), *_licence(data), *_model_index(data.get("model-index"))]


def _fields(data: dict[Any, Any]) -> Iterator[str]:
    for key in _TEXTS:
        if key in data and not _is_text(data[key]):
            yield f"{key} must be text, not {reprlib.repr(data[key])}"
    for key in _LISTS:
        value = data.get(key, [])
        alone = key != "tags" and _is_text(value)
        if not alone and not (isinstance(value, list) and all(map(_is_text, value))):
            yield f"{key} must be a list of texts, not {reprlib.repr(value)}; quote what YAML reads as something else"
    if "base_model" in data:
        value = data["base_model"]
        for name in value if isinstance(value, list) else [value]:
            if not _is_text(name) or not _REPOSITORY.fullmatch(name):
                yield f"base_model {reprlib.repr(name)} is not the name of a model on the Hub"


def _licence(data: dict[Any, Any]) -> Iterator[str]:
    if "license" not in data:
        if "license_name" in data:
            yield "license_name is given without license: other"
        return
    value = data["license"]
    for identifier in value if isinstance(value, list) else [value]:
        if not isinstance(identifier, str) or identifier not in HUB_LICENCES:
            yield f"license {reprlib.repr(identifier)} is no identifier of the Hub; write other, and its name in license_name"
        elif identifier == "other" and not _is_text(data.get("license_name")):
            yield "license is other, so license_name must name it"


def _model_index(index: Any) -> Iterator[str]:
    if index is None:
        return
    if not isinstance(index, list) or not index:
        yield "model-index must be a list of models"
        return
    for i, model in enumerate(index):
        where = f"model-index[{i}]"
        if not isinstance(model, dict) or not _is_text(model.get("name")):
            yield f"{where} needs a name"
            continue
        results = model.get("results")
        if not isinstance(results, list) or not results:
            yield f"{where}.results must be a list of results"
            continue
        for j, result in enumerate(results):
            yield from _result(result, f"{where}.results[{j}]")


def _result(result: Any, where: str) -> Iterator[str]:
    if not isinstance(result, dict):
        yield f"{where} must be a mapping with task, dataset and metrics"
        return
    for key, required in (("task", ("type",)), ("dataset", ("type", "name"))):
        part = result.get(key)
        for name in required:
            if not isinstance(part, dict) or not _is_text(part.get(name)):
                yield f"{where}.{key}.{name} is missing or no text"
    source = result.get("source")
    if source is not None and not (isinstance(source, dict) and _is_text(source.get("url"))):
        yield f"{where}.source needs a url"
    metrics = result.get("metrics")
    if not isinstance(metrics, list) or not metrics:
        yield f"{where}.metrics must be a list of metrics"
        return
    for k, metric in enumerate(metrics):
        if not isinstance(metric, dict) or not _is_text(metric.get("type")):
            yield f"{where}.metrics[{k}].type is missing or no text"
        elif metric.get("value") is None or isinstance(metric["value"], bool):
            yield f"{where}.metrics[{k}].value is missing"


def _not_numbers(value: Any, where: str = "") -> Iterator[str]:
    """NaN and infinity, wherever they stand: the Hub keeps metadata as JSON, which has neither."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _not_numbers(item, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _not_numbers(item, f"{where}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{where} is {value}, which is no number"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
