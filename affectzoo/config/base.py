"""The strict base of every configuration: JSON in and out, unknown keys refused with the nearest known one."""

from __future__ import annotations

import difflib
import os
import reprlib
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from affectzoo.errors import ConfigError

# pydantic parses the entry points of everything installed when it makes its first class, in search of plugins of its own: a
# damaged file of anybody's must not cost us ours.
try:
    create_model("First")
except Exception:
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"


class StrictConfig(BaseModel):
    """Frozen; no unknown keys, no NaN, no infinity. A number may be written as text (YAML reads `3e-4` as text)."""

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
        parts, models = _walk(schema, item["loc"])
        key = _short(".".join(parts))
        if item["type"] == "extra_forbidden":
            known = sorted({name for model in models for name in model.model_fields})
            near = difflib.get_close_matches(parts[-1], known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys here: {', '.join(known) or 'none'}."
            sentences.append(f"unknown key {key!r}; {hint}")
        elif item["type"] == "missing":
            sentences.append(f"key {key!r} is missing.")
        else:
            message = item["msg"].removeprefix("Value error, ")
            given = "" if isinstance(item.get("input"), dict | list) else f" (got {reprlib.repr(item.get('input'))})"
            # A validator of the whole speaks for itself; a wrong type at the top needs a subject.
            key = key or ("" if item["type"] == "value_error" else "the whole file")
            sentences.append(f"{key + ': ' if key else ''}{message[:1].lower()}{message[1:]}{given}.")
    more = error.error_count() - len(sentences)
    return _one_line(" ".join(sentences) + (f" And {more} more." if more > 0 else ""))


def _walk(schema: type[BaseModel], path: tuple[int | str, ...]) -> tuple[list[str], list[type[BaseModel]]]:
    """The keys of `path` as the file has them, and the models that may stand around the last one.

    pydantic puts the tag of a union (`log-mel`) into its path; the file has it in `kind`, so it is left out here.
    """
    keys: list[str] = []
    models: list[type[BaseModel]] = [schema]
    around = models
    for part in path:
        tagged = [m for m in models if len(models) > 1 and "kind" in m.model_fields and m.model_fields["kind"].default == part]
        if tagged:
            models = tagged
            continue
        keys.append(str(part))
        around = models
        annotations = [model.model_fields[str(part)].annotation for model in models if part in model.model_fields]
        models = [model for annotation in annotations for model in _models_in(annotation)] or models
    return keys, around


def _one_line(text: str) -> str:
    """Names come from files: a line break in one must not break the sentence, nor an escape code reach a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _short(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in _models_in(argument)]
