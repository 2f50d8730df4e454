"""From a name to a spec to the thing itself.

Names: exact (`concat`), in a family (`timm/resnet18` is served by the family `timm/`), or with the distribution in front
(`affectzoo-fusion/concat`), which chooses among several providers. Components registered in a script or notebook belong
to the distribution `session`.
"""

from __future__ import annotations

import difflib
import importlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from affectzoo.errors import NameCollisionError, PluginError, UnknownNameError
from affectzoo.registry.manager import PluginRecord, load_plugins
from affectzoo.registry.specs import KINDS, ComponentSpec, Spec

SESSION = "session"


@dataclass(frozen=True)
class Entry:
    """A name resolved to one provider.

    Attributes:
        kind: registry kind, such as `fusion`.
        spec: what the plugin declared.
        distribution, version: who provides it.
        variant: what followed the family's prefix, empty otherwise.
        obj: the object itself for a session component, None where `spec.target` says where it lives.
    """

    kind: str
    spec: Spec
    distribution: str
    version: str
    variant: str = ""
    obj: Any = None

    @property
    def name(self) -> str:
        """The name to save: the spec's, with the variant of a family."""
        return self.spec.name + self.variant

    @property
    def provider(self) -> str:
        """Distribution and version, for messages."""
        return f"{self.distribution} {self.version}".strip()

    def resolve(self) -> Any:
        """Import and return the class or function behind the spec.

        Raises:
            PluginError: the target's module or attribute does not exist, or its import failed.
        """
        if self.obj is not None:
            return self.obj
        if not isinstance(self.spec, ComponentSpec):
            raise PluginError(f"{self.kind} {self.name!r} is not a component and cannot be built")
        module_name, attribute = self.spec.target.split(":")
        try:
            return getattr(importlib.import_module(module_name), attribute)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a module may call sys.exit or panic in Rust
            raise PluginError(
                f"{self.kind} {self.name!r} of {self.provider} could not be imported from {self.spec.target}: "
                f"{type(error).__name__}: {' '.join(str(error).split())}"
            ) from error


class Registry:
    """All specs of all loaded plugins, and those registered in this session."""

    def __init__(self, records: list[PluginRecord]) -> None:
        self.records = records
        self._entries: dict[str, list[Entry]] = {kind: [] for kind in KINDS}
        for record in records:
            for kind, specs in record.specs.items():
                self._entries[kind] += [Entry(kind, spec, record.distribution, record.version) for spec in specs]

    def entries(self, kind: str) -> list[Entry]:
        """Every entry of a kind, sorted by name; providers of one name stand beside each other."""
        return sorted(self._entries[kind], key=lambda e: (e.spec.name, e.distribution))

    def names(self, kind: str) -> list[str]:
        """Sorted names of a kind; a name with several providers stands once for each, as `dist/name`."""
        entries = self.entries(kind)
        counts = {e.spec.name: 0 for e in entries}
        for entry in entries:
            counts[entry.spec.name] += 1
        return [e.spec.name if counts[e.spec.name] == 1 else f"{e.distribution}/{e.spec.name}" for e in entries]

    def find(self, kind: str, name: str, distribution: str | None = None) -> Entry:
        """The one entry that answers to `name`, of `distribution` alone where that is given.

        Raises:
            UnknownNameError: nobody provides it; the message holds near matches and the command that lists all.
            NameCollisionError: several do; the message names every provider.
        """
        matches = self._matches(kind, name, distribution)
        if len(matches) == 1:
            return matches[0]
        if matches:
            if len({e.distribution for e in matches}) == 1:
                raise NameCollisionError(f"{kind} {name!r} is declared twice by {matches[0].provider}: its author's to fix")
            providers = ", ".join(sorted(e.provider for e in matches))
            choices = " or ".join(sorted(f"{e.distribution}/{e.name}" for e in matches))
            raise NameCollisionError(f"{kind} {name!r} is provided by {providers}; write {choices}")
        raise UnknownNameError(self._unknown(kind, name))

    def register(self, kind: str, spec: Spec, obj: Any) -> None:
        """Add a component of this session; doing so again under the same name replaces it.

        Raises:
            NameCollisionError: an installed plugin already provides the name.
        """
        spec.validate()
        same = [e for e in self._entries[kind] if e.spec.name == spec.name]
        others = [e for e in [*same, *self._matches(kind, spec.name)] if e.distribution != SESSION]
        if others:
            raise NameCollisionError(f"{kind} {spec.name!r} is already provided by {others[0].provider}; choose another name")
        kept = [e for e in self._entries[kind] if not (e.distribution == SESSION and e.spec.name == spec.name)]
        self._entries[kind] = [*kept, Entry(kind, spec, SESSION, "", obj=obj)]

    def _matches(self, kind: str, name: str, distribution: str | None = None) -> list[Entry]:
        entries = self._entries[kind]
        if distribution is not None:
            return _answering([e for e in entries if e.distribution == distribution], name)
        # Both readings count: no plugin may take over `dist/name` by declaring a name with a slash.
        prefix, _, rest = name.partition("/")
        return _answering(entries, name) + _answering([e for e in entries if e.distribution == prefix], rest)

    def _unknown(self, kind: str, name: str) -> str:
        known = self.names(kind)
        if refused := self.refusal(kind, name):
            return refused
        if name.endswith("/") and self._matches(kind, f"{name}x"):
            return f"{kind} {name!r} is a family: write {name}NAME"
        failed = [r for r in self.records if r.status != "loaded"]
        note = f" {len(failed)} plugin(s) are not loaded: see `affectzoo plugins`." if failed else ""
        if not known and kind in ("fusion", "backbone", "importer"):
            note += " The first-party plugins come with `pip install affectzoo[zoo]`."
        near = suggestion(name, known)
        if not near and (name.startswith(f"{SESSION}/") or "/" not in name) and issubclass(KINDS[kind][1], ComponentSpec):
            note += " What a script or notebook registers is known to its own process alone."
        return f"no {kind} is called {name!r}.{near} `affectzoo list {kind}s` names all.{note}"

    def refusal(self, kind: str, name: str) -> str:
        """Why a name is listed and not loaded; empty where no plugin has it."""
        for record in self.records:
            for refused in record.refused:
                called = (refused.name, f"{record.distribution}/{refused.name}")
                variant = refused.name.endswith("/") and name.startswith(called)
                if refused.kind == kind and (name in called or variant):
                    return f"{kind} {name!r} of {record.label} is not loaded: {refused.reason}"
        return ""


def suggestion(name: str, known: list[str]) -> str:
    """` Did you mean ...?` with the names nearest to `name`; empty where none is near."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""


def _answering(entries: list[Entry], name: str) -> list[Entry]:
    """Entries that answer to `name`: of each distribution those called so, else those of the longest family it falls into.

    Distribution by distribution, so that nobody shadows another's family with an exact name.
    """
    found = []
    for distribution in dict.fromkeys(e.distribution for e in entries):
        own = [e for e in entries if e.distribution == distribution]
        families = [e for e in own if e.spec.is_family and name.startswith(e.spec.name) and name != e.spec.name]
        longest = max((len(e.spec.name) for e in families), default=0)
        found += [e for e in own if e.spec.name == name and not e.spec.is_family] or [
            replace(e, variant=name.removeprefix(e.spec.name)) for e in families if len(e.spec.name) == longest
        ]
    return found


_lock = threading.RLock()
_loading = False


def registry() -> Registry:
    """The process-wide registry; plugins are loaded at the first call.

    Raises:
        PluginError: a plugin asks for it while it is being loaded.
    """
    global _loading
    with _lock:
        if _loading:
            raise PluginError(
                "its hook module registers or looks up a component while plugins are being loaded; "
                "return a spec from its hook, and leave @affectzoo.register_... to scripts and notebooks"
            )
        _loading = True
        try:
            return _loaded()
        finally:
            _loading = False


@cache
def _loaded() -> Registry:
    return Registry(load_plugins())


def register(
    kind: str, name: str, *, summary: str = "", licence: str = "unspecified", paper: str = "", **fields: Any
) -> Callable[[Any], Any]:
    """A decorator that registers a class or function under `name` for this process and those forked from it.

    A process that starts anew (`affectzoo train --nproc 2`, `accelerate launch`, workers that are spawned) runs neither a
    notebook nor the script that called it: a component that is to be known there belongs into a plugin.

    Args:
        kind: registry kind, such as `fusion`.
        name: lower case; running the cell again replaces the component, and what was built before stays as it is.
        summary, licence, paper: as in a plugin's spec.
        fields: further fields of the kind's spec (`modality` for a backbone).

    Raises:
        PluginError: the name, a field or what is decorated cannot be used.
        NameCollisionError: an installed plugin already provides the name.
    """
    spec_type: Any = KINDS[kind][1]
    if not isinstance(name, str):
        raise PluginError(f'it takes a name: write @affectzoo.register_{kind}("my-{kind}") above the class')
    for field in ("target", "api_version"):
        if field in fields:
            raise PluginError(f"register_{kind}({name!r}) takes no {field}: what is decorated is used here, as it is")

    def decorate(obj: Any) -> Any:
        called = getattr(obj, "__name__", "")
        if not callable(obj) or not called.isidentifier():
            raise PluginError(f"register_{kind}({name!r}) takes a class or a named function, not {obj!r}")
        text = summary or (obj.__doc__ or "").strip().split("\n")[0] or called
        try:
            spec = spec_type(name=name, summary=text, licence=licence, paper=paper, target=f"{SESSION}:{called}", **fields)
        except TypeError as error:
            raise PluginError(f"register_{kind}({name!r}): {str(error).rpartition('__init__() ')[2]}") from error
        registry().register(kind, spec, obj)
        return obj

    return decorate


def lister(kind: str) -> Callable[[], list[str]]:
    """A function that lists the names of a kind: `list_fusions` and its sisters."""

    def names() -> list[str]:
        return registry().names(kind)

    names.__name__ = f"list_{kind}s"
    names.__doc__ = f"Sorted names of every {kind} that an installed plugin or this session provides."
    return names


def registrar(kind: str, **fields: Any) -> Callable[..., Callable[[Any], Any]]:
    """A decorator factory for one kind: `register_fusion` and its sisters."""

    def decorator(name: str, **more: Any) -> Callable[[Any], Any]:
        return register(kind, name, **{**fields, **more})

    decorator.__name__ = f"register_{kind}"
    decorator.__doc__ = f"Register a {kind} class under `name` for this process; takes summary, licence and paper as keywords."
    return decorator
