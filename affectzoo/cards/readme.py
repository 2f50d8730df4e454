"""What the README beside a model's weights says of its licence and of what to beware of; anybody may have written it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from affectzoo.cards.markdown import one_line

#: A README is text that somebody wrote: a longer one is not read for its metadata, and a longer sentence is cut.
_MOST_BYTES = 1_000_000
_MOST_CHARACTERS = 500


@dataclass(frozen=True)
class Said:
    """Of a model.

    Attributes:
        licence: of the weights, an SPDX identifier or as the Hub spells it; empty where nothing is said.
        caution: what must be known whenever it is used; empty where nothing is said.
    """

    licence: str = ""
    caution: str = ""


def read_readme(path: Path) -> Said:
    """The metadata of a README; nothing where there is none that can be read."""
    import yaml
    from huggingface_hub import metadata_load

    try:
        if path.stat().st_size > _MOST_BYTES:
            return Said()
        data = metadata_load(path)
    except (OSError, ValueError, RecursionError, yaml.YAMLError):  # no file, no UTF-8, no mapping, no YAML
        return Said()
    data = data or {}
    named = data.get("license_name") if data.get("license") == "other" else data.get("license")
    return Said(_text(named), _text(data.get("caution")))


def _text(value: object) -> str:
    # An escape code must not reach a terminal.
    return "".join(filter(str.isprintable, one_line(value)))[:_MOST_CHARACTERS] if isinstance(value, str) else ""
