"""Whose weights a model began from, and what is owed for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from affectzoo.cards.readme import Said, read_readme
from affectzoo.errors import UnknownNameError
from affectzoo.registry import ModelSpec, registry

_ON_THE_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class Origin:
    """A model that another one began from.

    Attributes:
        name: of the zoo, or `org/name[@revision]` on the Hub.
        licence: of its weights; empty where it was not found.
        caution: what must be known whenever it is used; empty where nothing is said.
    """

    name: str
    licence: str = ""
    caution: str = ""

    def notes(self) -> list[str]:
        """Sentences for the card of a model that began from this one."""
        found = (
            f"The weights of {self.name} are under {self.licence}" if self.licence else f"No licence of {self.name} was found"
        )
        notes = [
            f"{found}. These weights were made from them, so what it asks may hold for these too: read it before you use them "
            "or pass them on."
        ]
        return [*notes, f"Of {self.name} it is said: {self.caution}"] if self.caution else notes


def origin_of(name: str) -> Origin | None:
    """What is known of a model by its name in the zoo or on the Hub, without asking the network; None for anything else."""
    if (known := zoo_origin(name)) is not None:
        return known
    found = _ON_THE_HUB.fullmatch(name)
    if found is None:
        return None
    said = _said(found["repo"], found["revision"])
    return Origin(name, said.licence, said.caution)


def zoo_origin(name: str) -> Origin | None:
    """The same of a name in the zoo alone."""
    try:
        spec = registry().find("model", name).spec
    except UnknownNameError:
        return None
    assert isinstance(spec, ModelSpec)
    return Origin(spec.name, spec.licence, spec.caution)


def _said(repo: str, revision: str | None) -> Said:
    """What the cached README of a repository says."""
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(repo, "README.md", revision=revision)
    return read_readme(Path(cached)) if isinstance(cached, str) else Said()
