"""What a new plugin is called, and why it may not be called so."""

from __future__ import annotations

import difflib
import importlib.util
import keyword
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from packaging.utils import InvalidName, canonicalize_name

from affectzoo.errors import InputError
from affectzoo.registry import SESSION, registry
from affectzoo.scaffold.kinds import KINDS

#: Longer names would break the lines of the generated code.
_LONGEST = 40

#: Folders that setuptools writes or that ruff, pyright and git leave out: as a package, they would be neither checked nor kept.
_LEFT_OUT = ("build", "dist", "node_modules", "venv")


@dataclass(frozen=True)
class Names:
    """The names of one plugin.

    Attributes:
        distribution: what pip installs, and the component's registry name.
        package: what Python imports.
        kind: registry kind, and the module of the component.
        class_name: the component.
    """

    distribution: str
    package: str
    kind: str
    class_name: str

    @classmethod
    def of(cls, name: str, kind: str) -> Names:
        """Names made of what the user said.

        Raises:
            InputError: no such kind, or a name that pip, Python, this environment or the registry would not take.
        """
        if kind not in KINDS:
            near = difflib.get_close_matches(kind, KINDS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"kinds are {', '.join(KINDS)}."
            raise InputError(f"there is no template for a plugin of kind {kind!r}; {hint}")
        try:
            distribution = canonicalize_name(name, validate=True)
        except InvalidName as error:
            raise InputError(
                f"{name!r} is no name for a package: letters, digits, '-', '_' and '.', the first and last a letter or digit"
            ) from error
        if len(distribution) > _LONGEST:
            raise InputError(f"{name!r} has {len(distribution)} characters; choose a name of at most {_LONGEST}")
        package = distribution.replace("-", "_")
        if not package.isidentifier():
            raise InputError(f"{name!r} begins with a digit, which a Python package cannot; put a letter first")
        if keyword.iskeyword(package):
            raise InputError(f"{name!r} is a keyword of Python; choose another name")
        _check_free(distribution, package, kind)
        words = "".join(word[0].upper() + word[1:] for word in distribution.split("-"))
        suffix = kind.capitalize()
        # With its kind at the end no class is called as what its module imports, such as Tensor or Fusion.
        own = words.removesuffix(suffix) or words
        return cls(distribution, package, kind, own + suffix)


def _check_free(distribution: str, package: str, kind: str) -> None:
    """Raise `InputError` where the name is somebody's already."""
    if distribution in (SESSION, "tests"):
        meant = "components of a script or notebook" if distribution == SESSION else "the folder of a plugin's tests"
        raise InputError(f"{distribution!r} stands for {meant}; choose another name")
    if package in _LEFT_OUT:
        raise InputError(f"a folder {package!r} is one that linters and git leave out; choose another name")
    try:
        installed = version(distribution)
    except PackageNotFoundError:
        pass
    else:
        raise InputError(f"{distribution} {installed} is installed here; choose another name")
    if package in sys.stdlib_module_names or _is_importable(package):
        raise InputError(f"`import {package}` is another package here; choose another name")
    own = [entry for entry in registry().entries(kind) if entry.spec.name == distribution]
    if own:
        raise InputError(f"{own[0].provider} has a {kind} called {distribution!r} already; choose another name")


def _is_importable(package: str) -> bool:
    """Whether a module of this name is found; a mere folder in the current one is none."""
    found = importlib.util.find_spec(package)
    return found is not None and found.origin is not None
