"""An experiment file and its overrides: `recipe.yaml model.fusion.name=concat train.lr=3e-4`."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from affectzoo.config import ExperimentConfig
from affectzoo.errors import ConfigError
from affectzoo.train.borrow import fill_streams
from affectzoo.train.start import config_of


def read_experiment(path: str | Path, overrides: list[str] | None = None) -> ExperimentConfig:
    """Read a YAML experiment and apply `dotted.key=value` overrides; values are YAML, `null` removes a stream.

    An experiment with `init` and without `model` takes that model's configuration; with `init` by modality the streams that
    `model` leaves out are those of the models it names.

    Raises:
        ConfigError: no such file, not YAML, an override without `=`, or a key that no config knows (with the nearest).
        AffectzooError: `init` cannot be found or read.
    """
    path = Path(path)
    if not path.is_file():
        wrong = "is not a file" if path.exists() else "does not exist"
        raise ConfigError(f"{path} {wrong}; give an experiment file such as recipes/jca-rendered.yaml")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # The parser reports over several lines.
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must hold a mapping with model, data and train")
    given = overrides or []
    for override in given:
        if not override.startswith("model."):
            data = apply_override(data, override)
    if data.get("model") is None and isinstance(data.get("init"), str):
        data = {**data, "model": config_of(data["init"]).to_json()}
    for override in given:
        if override.startswith("model."):
            data = apply_override(data, override)
    init, model = data.get("init"), data.get("model")
    if isinstance(init, dict) and isinstance(model, dict) and isinstance(model.get("streams"), dict | None):
        named = {name: source for name, source in init.items() if isinstance(source, str)}
        data = {**data, "model": fill_streams(model, named)}
    return ExperimentConfig.parse(data, where=str(path))


def apply_override(data: dict[str, Any], override: str) -> dict[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"override {override!r} must be of the form dotted.key=value")
    data = copy.deepcopy(data)
    parts = key.split(".")
    node: dict[str, Any] = data
    for above, part in zip([None, *parts], parts[:-1], strict=False):
        child: Any = node.get(part)
        if isinstance(child, str) and part in ("fusion", "backbone", "temporal"):
            # `fusion: concat` is short for `fusion: {name: concat}`.
            child = {"name": child}
        elif isinstance(child, str) and above == "streams":
            # `visual: timm/resnet18` is short for `visual: {backbone: timm/resnet18}`.
            child = {"backbone": child}
        elif child is None:
            child = {}
        elif not isinstance(child, dict):
            raise ConfigError(f"override {override!r}: {part!r} holds {child!r}, which has no keys")
        node[part] = child
        node = child
    node[parts[-1]] = _value(text, override)
    return data


def _value(text: str, override: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override!r}: the value is not YAML") from error
    # YAML 1.1 reads 3e-4 as a string; a person who writes it means the number.
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
