"""Whether what a spec points to is there, without importing it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec

from affectzoo.registry.specs import ComponentSpec, Spec


def absent_target(spec: Spec) -> str:
    """Why the target of a component cannot be imported, as far as files tell; empty where nothing speaks against it.

    Its module is looked for, and its attribute in the text of the module: importing it may take seconds.
    """
    if not isinstance(spec, ComponentSpec):
        return ""
    module, attribute = spec.target.split(":")
    if module in sys.modules:
        return "" if hasattr(sys.modules[module], attribute) else f"the module {module} holds no {attribute}"
    # Finders and loaders may be anybody's, and a module's text may be of no encoding.
    try:
        found = _find(module)
        if found is None:
            return f"there is no module {module}"
        read = getattr(found.loader, "get_source", None)
        source = read(module) if read is not None else None
    except Exception as error:
        return f"the module {module} cannot be read ({type(error).__name__}: {error})"
    # A name that another module brings in, or that is made on demand, is not seen in the text.
    if source is None or re.search(rf"\b{attribute}\b|import \*|__getattr__", source):
        return ""
    return f"the module {module} holds no {attribute}"


def _find(module: str) -> ModuleSpec | None:
    """As `importlib.util.find_spec`, which would import the packages above the module."""
    found: ModuleSpec | None = None
    above: Iterable[str] | None = None
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        found = next(filter(None, (finder.find_spec(name, above) for finder in sys.meta_path)), None)  # pyright: ignore[reportArgumentType]
        if found is None:
            return None
        above = found.submodule_search_locations
        if above is None and depth < len(parts):
            return None
    return found
