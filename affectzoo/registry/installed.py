"""The installed entry points of our group, and which distribution each belongs to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint, distributions

ENTRY_POINT_GROUP = "affectzoo.plugins"


@dataclass
class Installed:
    """One distribution that offers plugins.

    Attributes:
        name, version: as its metadata says; empty where that is damaged.
        points: its entry points of our group.
        shadowed: a sentence for each copy of another version further down the path.
        error: why its entry points could not be read.
    """

    name: str
    version: str
    points: list[EntryPoint] = field(default_factory=list)
    shadowed: list[str] = field(default_factory=list)
    error: Exception | None = None


def installed() -> list[Installed]:
    """Every distribution with plugins, one by one: a damaged `entry_points.txt` costs nobody but its owner.

    `importlib.metadata.entry_points` would raise for all; it would also parse the files of everything installed.
    """
    found: dict[str, Installed] = {}
    for dist in distributions():
        try:
            text = dist.read_text("entry_points.txt") or ""
        except (OSError, UnicodeError):
            continue
        if ENTRY_POINT_GROUP not in text:
            continue
        name, version = identity(dist)
        key = normal(name) or text  # those that have lost their name differ in what they offer
        first = found.get(key)
        if first is not None:
            if first.version != version:  # an editable install is found twice in its own folder
                folder = dist.locate_file("")
                first.shadowed.append(f"version {version} is installed too, in {folder}, and not used: uninstall one of them")
            continue
        found[key] = one = Installed(name, version)
        try:
            one.points = list(dist.entry_points.select(group=ENTRY_POINT_GROUP))
        except Exception as error:
            one.error = error
    return list(found.values())


def identity(dist: Distribution | None) -> tuple[str, str]:
    """Name and version; empty where the distribution's METADATA is absent or damaged."""
    try:
        return (dist.name or "", dist.version or "") if dist is not None else ("", "")
    except Exception:
        return "", ""


def owner(point: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution; the name of its package where the metadata does not tell."""
    name, version = identity(point.dist)
    return name or point.value.split(":")[0].split(".")[0], version


def normal(name: str) -> str:
    """A distribution's name as installers compare it."""
    return re.sub(r"[-_.]+", "-", name.strip().lower())
