"""Loads plugins one at a time, so that a bad one costs nobody else anything.

Our own loop rather than pluggy's `load_setuptools_entrypoints`, which stops at the first plugin that raises. Each plugin
is imported, checked and asked for its specs inside its own `try`; a failure is recorded with distribution, version and
cause, warned about once, and raised only under `AFFECTZOO_PLUGINS_STRICT=1`.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Any, Literal

import pluggy

from affectzoo.errors import PluginError
from affectzoo.registry.hooks import ENTRY_POINT_GROUP, PROJECT, HookSpecs
from affectzoo.registry.specs import KINDS, Spec

ALLOW_VARIABLE = "AFFECTZOO_PLUGINS"
BLOCK_VARIABLE = "AFFECTZOO_PLUGINS_BLOCK"
STRICT_VARIABLE = "AFFECTZOO_PLUGINS_STRICT"

#: Hook modules that take longer than this to import are named by `affectzoo plugins`.
SLOW_IMPORT_S = 1.0

Status = Literal["loaded", "failed", "blocked"]


class PluginWarning(UserWarning):
    """A plugin could not be loaded; everything else works."""


@dataclass
class PluginRecord:
    """What became of one entry point.

    Attributes:
        name, distribution, version: the entry point's name and who installed it.
        status: `loaded`, `failed` or `blocked` (by an environment variable; never imported).
        error: why it failed or was blocked, one sentence.
        remarks: things its author should know (imports torch, slow import).
        specs: kind -> what it provides.
        import_s: seconds its import took.
    """

    name: str
    distribution: str
    version: str
    status: Status = "loaded"
    error: str = ""
    remarks: list[str] = field(default_factory=list)
    specs: dict[str, list[Spec]] = field(default_factory=dict)
    import_s: float = 0.0

    @property
    def label(self) -> str:
        """Distribution and version, as error messages name a plugin."""
        return f"{self.distribution} {self.version}".strip()


def load_plugins(points: Iterable[EntryPoint] | None = None) -> list[PluginRecord]:
    """Import every installed plugin and collect its specs.

    Args:
        points: entry points to load instead of the installed ones of the group `affectzoo.plugins`.

    Returns:
        One record for each entry point, in order of distribution and name.

    Raises:
        PluginError: a plugin failed and `AFFECTZOO_PLUGINS_STRICT=1` is set.
    """
    records: list[PluginRecord] = []
    found = _installed(records) if points is None else points
    for point in sorted(found, key=lambda p: (_distribution(p)[0], p.name)):
        distribution, version = _distribution(point)
        record = PluginRecord(point.name, distribution, version)
        records.append(record)
        blocked = _blocked_by(point.name, distribution)
        if blocked:
            record.status, record.error = "blocked", blocked
            continue
        # A plugin may even call sys.exit or panic in Rust at import: only KeyboardInterrupt passes.
        try:
            record.specs = _specs_of(_import(point, record), record)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            _fail(record, error)
    return records


def strict() -> bool:
    """Whether a plugin's failure is raised rather than warned about."""
    return os.environ.get(STRICT_VARIABLE, "") not in ("", "0")


def _installed(records: list[PluginRecord]) -> list[EntryPoint]:
    """Our group's entry points, distribution by distribution: a damaged `entry_points.txt` costs nobody but its owner.

    `importlib.metadata.entry_points` would raise for all; it would also parse the files of everything installed.
    """
    found: dict[str, list[EntryPoint]] = {}
    for dist in distributions():
        try:
            text = dist.read_text("entry_points.txt") or ""
        except (OSError, UnicodeError):
            continue
        if ENTRY_POINT_GROUP not in text:
            continue
        name, version = _identity(dist)
        if _normal(name) in found:  # a copy further down the path is shadowed
            continue
        try:
            found[_normal(name)] = list(dist.entry_points.select(group=ENTRY_POINT_GROUP))
        except Exception as error:
            found[_normal(name)] = []
            record = PluginRecord("entry_points.txt", name, version)
            records.append(record)
            _fail(record, error)
    return [point for points in found.values() for point in points]


def _identity(dist: Distribution | None) -> tuple[str, str]:
    """Name and version; empty where the distribution's METADATA is absent or damaged."""
    try:
        return (dist.name or "", dist.version or "") if dist is not None else ("", "")
    except Exception:
        return "", ""


def _distribution(point: EntryPoint) -> tuple[str, str]:
    name, version = _identity(point.dist)
    return name or point.value.split(":")[0].split(".")[0], version


def _normal(name: str) -> str:
    """A distribution's name as installers compare it."""
    return re.sub(r"[-_.]+", "-", name.strip().lower())


def _names_in(variable: str) -> set[str]:
    return {_normal(name) for name in os.environ.get(variable, "").split(",") if name.strip()}


def _blocked_by(name: str, distribution: str) -> str:
    """Why this plugin must not be imported; empty where it may be."""
    own = {_normal(name), _normal(distribution)}
    if own & _names_in(BLOCK_VARIABLE):
        return f"named in {BLOCK_VARIABLE}"
    allowed = _names_in(ALLOW_VARIABLE)
    if allowed and not own & allowed:
        return f"not named in {ALLOW_VARIABLE}"
    return ""


def _import(point: EntryPoint, record: PluginRecord) -> Any:
    torch_before = "torch" in sys.modules
    started = time.perf_counter()
    plugin = point.load()
    record.import_s = time.perf_counter() - started
    if "torch" in sys.modules and not torch_before:
        record.remarks.append("its hook module imports torch, which makes every command slow")
    if record.import_s > SLOW_IMPORT_S:
        record.remarks.append(f"its hook module took {record.import_s:.1f} s to import")
    return plugin


def _specs_of(plugin: Any, record: PluginRecord) -> dict[str, list[Spec]]:
    """Call each of the plugin's hooks singly and check everything it returns."""
    known = {hook for hook, _ in KINDS.values()}
    implemented = [n for n in dir(plugin) if getattr(getattr(plugin, n), f"{PROJECT}_impl", None) is not None]
    for name in implemented:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the hooks are {', '.join(sorted(known))}."
            raise PluginError(f"it implements an unknown hook {name}; {hint}")
    for name in dir(plugin):
        if name in known and name not in implemented:
            raise PluginError(f"its function {name} lacks the @affectzoo.hookimpl decorator")
    if not implemented:
        raise PluginError("it implements no hook; decorate a function such as affectzoo_fusions with @affectzoo.hookimpl")

    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HookSpecs)
    manager.register(plugin, record.name)
    manager.check_pending()
    specs: dict[str, list[Spec]] = {}
    for kind, (hook, spec_type) in KINDS.items():
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            returned = implementation.function()
            if isinstance(returned, Spec) or not isinstance(returned, Iterable):
                raise PluginError(f"{hook} must return a list of {spec_type.__name__}, not {type(returned).__name__}")
            for spec in returned:
                if not isinstance(spec, spec_type):
                    raise PluginError(f"{hook} must return {spec_type.__name__} objects, not {type(spec).__name__}")
                spec.validate()
                specs.setdefault(kind, []).append(spec)
    return specs


def _fail(record: PluginRecord, error: BaseException) -> None:
    cause = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
    record.status, record.error = "failed", cause
    sentence = f"plugin {record.name!r} of {record.label} was not loaded: {cause}"
    if strict():
        raise PluginError(sentence) from error
    warnings.warn(f"{sentence} (`affectzoo plugins` lists all)", PluginWarning, stacklevel=3)
