"""The files of a new plugin, from the templates beside this module."""

from __future__ import annotations

import os
import shutil
from importlib.resources import files
from pathlib import Path
from string import Template

from affectzoo import __version__
from affectzoo.errors import InputError
from affectzoo.registry import API_VERSION, KINDS as REGISTRY_KINDS
from affectzoo.scaffold.kinds import KINDS
from affectzoo.scaffold.licence import check_licence, licence_lines
from affectzoo.scaffold.names import Names

_TEMPLATES = files("affectzoo.scaffold") / "templates"


def write_plugin(name: str, kind: str, parent: Path | str = ".", *, licence: str | None = None) -> Path:
    """Write an installable package with one small component, its tests, README and CI.

    Args:
        name: of the distribution; the package, the class and the component's registry name follow from it.
        kind: fusion, backbone, block, dataset, detector or temporal.
        parent: the folder in which the plugin's own is made.
        licence: SPDX expression; None leaves it undecided, and the README, the spec and `pyproject.toml` say so.

    Returns:
        The plugin's folder, called as the distribution.

    Raises:
        InputError: a name, kind or licence that cannot be, a folder that is there already or cannot be written.
    """
    names = Names.of(name, kind)
    texts = _texts(names, None if licence is None else check_licence(licence))
    folder = Path(parent) / names.distribution
    if os.path.lexists(folder):
        raise InputError(f"{folder} is there already; choose another name or another --out")
    # Beside it: surely the same file system, so that it is renamed whole.
    final = folder.absolute()
    temporary = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        for place, text in texts.items():
            path = temporary / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        temporary.rename(final)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}; choose another --out") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _texts(names: Names, licence: str | None) -> dict[str, str]:
    """File -> text, of the whole plugin."""
    kind = names.kind
    given = _substitutes(names, licence)

    def fill(template: str) -> str:
        return Template((_TEMPLATES / template).read_text(encoding="utf-8")).substitute(given)

    given["usage"] = fill(f"{kind}/usage.md.tmpl")
    own_contract = f"{kind}/test_contract.py.tmpl"
    contract = own_contract if (_TEMPLATES / own_contract).is_file() else "common/test_contract.py.tmpl"
    return {
        "pyproject.toml": fill("common/pyproject.toml.tmpl"),
        "README.md": fill("common/README.md.tmpl"),
        ".gitignore": fill("common/gitignore.tmpl"),
        # Of the tests, setuptools takes `test_*.py` alone into a source distribution, and not what they read.
        "MANIFEST.in": "graft tests\nglobal-exclude *.py[co]\n",
        ".github/workflows/tests.yml": fill("common/tests.yml.tmpl"),
        f"{names.package}/__init__.py": fill("common/hook.py.tmpl"),
        f"{names.package}/{kind}.py": fill(f"{kind}/component.py.tmpl"),
        "tests/test_contract.py": fill(contract),
        f"tests/test_{kind}.py": fill(f"{kind}/test.py.tmpl"),
        **{f"tests/miniature/{place}": "" for place in KINDS[kind].miniature},
    }


def _substitutes(names: Names, licence: str | None) -> dict[str, str]:
    kind = KINDS[names.kind]
    hook, spec_type = REGISTRY_KINDS[names.kind]
    requires = (f"affectzoo>={__version__}", *kind.requires)
    return {
        "distribution": names.distribution,
        "package": names.package,
        "kind": names.kind,
        "noun": kind.noun or names.kind,
        "class_name": names.class_name,
        "hook": hook,
        "spec_type": spec_type.__name__,
        "api_version": str(API_VERSION),
        "summary": kind.summary,
        "fields": kind.fields,
        "requires": ", ".join(f'"{need}"' for need in requires),
        **licence_lines(licence, names.package),
    }
