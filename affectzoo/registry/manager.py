"""Loads plugins one at a time, so that a bad one costs nobody else anything.

Our own loop rather than pluggy's `load_setuptools_entrypoints`, which stops at the first plugin that raises. Each plugin
is imported, checked and asked for its specs inside its own `try`; a failure is recorded with distribution, version and
cause, warned about once, and raised only under `AFFECTZOO_PLUGINS_STRICT=1`. A spec for another version of the plugin
interface is recorded and left out; the plugin's other specs are loaded.

Out of reach is what a plugin does to the process itself while it is imported: one that never returns, that ends the process
by `os._exit`, or that changes `os.environ` or the filters of warnings. `AFFECTZOO_PLUGINS_BLOCK` keeps it from being imported.
"""

from __future__ import annotations

import difflib
import io
import os
import sys
import time
import warnings
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from typing import Any, Literal

import pluggy

from affectzoo.errors import PluginError
from affectzoo.registry.hooks import PROJECT, HookSpecs
from affectzoo.registry.installed import installed, normal, owner
from affectzoo.registry.specs import API_VERSION, KINDS, Spec
from affectzoo.registry.targets import absent_target

ALLOW_VARIABLE = "AFFECTZOO_PLUGINS"
BLOCK_VARIABLE = "AFFECTZOO_PLUGINS_BLOCK"
STRICT_VARIABLE = "AFFECTZOO_PLUGINS_STRICT"

#: Plugins that take longer than this to give their specs are named by `affectzoo plugins`.
SLOW_IMPORT_S = 1.0

#: Characters of an error that are shown.
_LONGEST = 400

Status = Literal["loaded", "failed", "blocked"]


class PluginWarning(UserWarning):
    """A plugin could not be loaded; everything else works."""


@dataclass(frozen=True)
class Refusal:
    """A spec that is listed and not loaded; `str` of it is a sentence.

    Attributes:
        kind: registry kind; name: as the spec says; reason: why, and what to do.
    """

    kind: str
    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} is not loaded: {self.reason}"


@dataclass
class PluginRecord:
    """What became of one entry point.

    Attributes:
        name, distribution, version: the entry point's name and who installed it.
        status: `loaded`, `failed` or `blocked` (by an environment variable; never imported).
        error: why it failed or was blocked, one sentence.
        notes: what its author should know of its loading (imports torch, slow import).
        specs: kind -> what it provides.
        refused: what it has for another version of the plugin interface.
        import_s: seconds that its import and its hooks took.
    """

    name: str
    distribution: str
    version: str
    status: Status = "loaded"
    error: str = ""
    notes: list[str] = field(default_factory=list)
    specs: dict[str, list[Spec]] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)
    import_s: float = 0.0

    @property
    def label(self) -> str:
        """Distribution and version, as error messages name a plugin."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def remarks(self) -> list[str]:
        """What its author and its users should know; looks for the module of every component."""
        found = [*self.notes, *(map(str, self.refused) if self.status == "loaded" else [])]
        for kind, specs in self.specs.items():
            reasons = {spec.name: absent_target(spec) for spec in specs}
            found += [f"{kind} {name!r} cannot be built: {reason}" for name, reason in reasons.items() if reason]
        return found


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
    shadowed: dict[str, list[str]] = {}
    if points is None:
        found = installed()
        points = [point for one in found for point in one.points]
        shadowed = {one.name: one.shadowed for one in found}
        for one in found:
            if one.error is not None:
                records.append(record := PluginRecord("entry_points.txt", one.name, one.version))
                _fail(record, one.error)
    for point in sorted(points, key=lambda p: (owner(p)[0], p.name)):
        distribution, version = owner(point)
        record = PluginRecord(point.name, distribution, version, notes=list(shadowed.get(distribution, ())))
        records.append(record)
        blocked = _blocked_by(point.name, distribution)
        if blocked:
            record.status, record.error = "blocked", blocked
            continue
        # A plugin may even call sys.exit or panic in Rust at import: only KeyboardInterrupt passes.
        try:
            record.specs = _load(point, record)
        except KeyboardInterrupt:  # by a user who waits for a plugin that does not end
            way_out = f"{BLOCK_VARIABLE}={distribution} leaves it out"
            warnings.warn(f"interrupted while plugin {point.name!r} of {record.label} was loaded; {way_out}", PluginWarning, 2)
            raise
        except BaseException as error:
            _fail(record, error)
    _note_collisions(records)
    return records


def strict() -> bool:
    """Whether a plugin's failure is raised rather than warned about."""
    return os.environ.get(STRICT_VARIABLE, "") not in ("", "0")


def _names_in(variable: str) -> set[str]:
    return {normal(name) for name in os.environ.get(variable, "").split(",") if name.strip()}


def _blocked_by(name: str, distribution: str) -> str:
    """Why this plugin must not be imported; empty where it may be."""
    own = {normal(name), normal(distribution)}
    if own & _names_in(BLOCK_VARIABLE):
        return f"named in {BLOCK_VARIABLE}"
    allowed = _names_in(ALLOW_VARIABLE)
    if allowed and not own & allowed:
        return f"not named in {ALLOW_VARIABLE}"
    return ""


class _Aside(io.RawIOBase):
    """Below `sys.stdout` while a plugin is loaded: what it prints must not mix with a command's output.

    A stream of its own rather than `sys.stderr`, since plugins wrap, detach and close the one they find.
    """

    name = "<stdout>"

    def __init__(self) -> None:
        self.used = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.used = True
        sys.stderr.write(bytes(data).decode(errors="replace"))
        return len(data)

    def fileno(self) -> int:
        return sys.stderr.fileno()


def _load(point: EntryPoint, record: PluginRecord) -> dict[str, list[Spec]]:
    """Import the plugin, ask it for its specs, and note what it did besides."""
    torch_before = "torch" in sys.modules
    aside = _Aside()
    if EntryPoint.pattern.match(point.value) is None:
        raise PluginError(f"its entry point {point.name!r} names no module: {point.value!r}")
    started = time.perf_counter()
    try:
        with redirect_stdout(io.TextIOWrapper(aside, encoding="utf-8", write_through=True)):
            return _specs_of(point.load(), record)
    finally:
        record.import_s = time.perf_counter() - started
        if "torch" in sys.modules and not torch_before:
            record.notes.append("its hook module imports torch, which makes every command slow")
        if record.import_s > SLOW_IMPORT_S:
            record.notes.append(
                f"its hook module took {record.import_s:.1f} s to import; {BLOCK_VARIABLE}={record.distribution} leaves it out"
            )
        if aside.used:
            record.notes.append("its hook module prints when it is imported")


def _specs_of(plugin: Any, record: PluginRecord) -> dict[str, list[Spec]]:
    """Call each of the plugin's hooks singly and check everything it returns."""
    known = {hook for hook, _ in KINDS.values()}
    implemented = [n for n in dir(plugin) if getattr(getattr(plugin, n), f"{PROJECT}_impl", None) is not None]
    for name in dir(plugin):
        if name in known and name not in implemented:
            raise PluginError(f"its function {name} lacks the @affectzoo.hookimpl decorator")
    if not implemented:
        raise PluginError("it implements no hook; decorate a function such as affectzoo_fusions with @affectzoo.hookimpl")

    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HookSpecs)
    manager.register(plugin, record.name)
    specs: dict[str, list[Spec]] = {}
    for kind, (hook, spec_type) in KINDS.items():
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            returned = implementation.function()
            if isinstance(returned, Spec) or not isinstance(returned, Iterable):
                raise PluginError(f"{hook} must return a list of {spec_type.__name__}, not {type(returned).__name__}")
            for spec in returned:
                if not isinstance(spec, spec_type):
                    raise PluginError(f"{hook} must return {spec_type.__name__} objects, not {type(spec).__name__}")
                if reason := _other_version(spec, record):
                    record.refused.append(Refusal(kind, spec.name, reason))
                    continue
                spec.validate()
                specs.setdefault(kind, []).append(spec)
    # A hook that is unknown here may be one of the version that its other specs are for.
    for name in implemented if not record.refused else ():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the hooks are {', '.join(sorted(known))}."
            raise PluginError(f"it implements an unknown hook {name}; {hint}")
    if record.refused and not specs:
        raise PluginError(f"all that it provides is for another affectzoo: {record.refused[0].reason}")
    return specs


def _other_version(spec: Spec, record: PluginRecord) -> str:
    """Why a spec is for another version of the plugin interface, and what to upgrade; empty where it is for this one."""
    wanted = spec.api_version
    if type(wanted) is not int or wanted == API_VERSION or not isinstance(spec.name, str):  # garbage: `validate` refuses it
        return ""
    upgrade = "affectzoo" if wanted > API_VERSION else record.distribution
    return f"it is for plugin API {wanted}, this affectzoo has {API_VERSION}; upgrade {upgrade}: pip install -U {upgrade}"


def _note_collisions(records: list[PluginRecord]) -> None:
    """Tell every provider of a name that others have, too, how its component is called without doubt."""
    providers: dict[tuple[str, str], list[PluginRecord]] = {}
    for record in records:
        for kind, specs in record.specs.items():
            for spec in specs:
                providers.setdefault((kind, spec.name), []).append(record)
    for (kind, name), sharing in providers.items():
        for record in {id(one): one for one in sharing}.values():
            others = sorted({other.label for other in sharing if other.distribution != record.distribution})
            if others:
                record.notes.append(
                    f"{kind} {name!r} is provided by {', '.join(others)}, too: write {record.distribution}/{name} for this one"
                )
            if [one.distribution for one in sharing].count(record.distribution) > 1:
                record.notes.append(f"{kind} {name!r} is declared twice by {record.label}, so it cannot be used")


def _fail(record: PluginRecord, error: BaseException) -> None:
    try:
        said = str(error)
    except Exception as another:  # an exception of the plugin's own, that cannot even say what it is
        said = f"(no message: {type(another).__name__})"
    cause = said if isinstance(error, PluginError) else f"{type(error).__name__}: {said}"
    # One line, whatever the plugin had to say.
    line = " ".join(cause.split())
    record.status, record.error = "failed", line if len(line) <= _LONGEST else f"{line[: _LONGEST - 4]} ..."
    sentence = f"plugin {record.name!r} of {record.label} was not loaded: {record.error}"
    if strict():
        raise PluginError(sentence) from error
    warnings.warn(f"{sentence} (`affectzoo plugins` lists all)", PluginWarning, stacklevel=3)
