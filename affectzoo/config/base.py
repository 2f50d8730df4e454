"""The strict base of every configuration: JSON in and out, unknown keys refused with the nearest known one."""

from __future__ import annotations

import difflib
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from affectzoo.errors import ConfigError


class StrictConfig(BaseModel):
    """Frozen, no unknown keys, no silent coercion of JSON types."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())

    @classmethod
    def parse(cls, data: Any, *, where: str = "config") -> Self:
        """Validate `data`; raise `ConfigError` in one sentence that names `where`, the key and what to do."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ConfigError(f"{where}: {explain(error, cls)}") from error

    def to_json(self) -> dict[str, Any]:
        """A plain dict that `parse` reads back to an equal config."""
        return self.model_dump(mode="json")


def explain(error: ValidationError, schema: type[BaseModel]) -> str:
    """Turn pydantic's report into sentences, at most three of them."""
    sentences = []
    for item in error.errors(include_url=False)[:3]:
        key = ".".join(str(part) for part in item["loc"]) or "the whole file"
        if item["type"] == "extra_forbidden":
            known = sorted(_fields_at(schema, item["loc"][:-1]))
            near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys here: {', '.join(known) or 'none'}."
            sentences.append(f"unknown key {key!r}; {hint}")
        elif item["type"] == "missing":
            sentences.append(f"key {key!r} is missing.")
        else:
            message = item["msg"].removeprefix("Value error, ")
            given = "" if isinstance(item.get("input"), dict | list) else f" (got {item.get('input')!r})"
            sentences.append(f"{key}: {message[:1].lower()}{message[1:]}{given}.")
    more = error.error_count() - len(sentences)
    return " ".join(sentences) + (f" And {more} more." if more > 0 else "")


def _fields_at(schema: type[BaseModel], path: tuple[int | str, ...]) -> set[str]:
    """Names of the fields that may stand at `path`; tags of unions and keys of mappings are stepped over."""
    models: list[type[BaseModel]] = [schema]
    for part in path:
        annotations = [model.model_fields[str(part)].annotation for model in models if part in model.model_fields]
        models = [model for annotation in annotations for model in _models_in(annotation)] or models
    return {name for model in models for name in model.model_fields}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in _models_in(argument)]
