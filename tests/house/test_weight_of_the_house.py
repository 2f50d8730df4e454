"""What keeps the house light: short files, licences everywhere, no second copy of the version."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import affectzoo

ROOT = Path(__file__).parents[2]
PROJECTS = [ROOT / "pyproject.toml", *sorted((ROOT / "plugins").glob("*/pyproject.toml"))]
SOURCES = sorted([*(ROOT / "affectzoo").rglob("*.py"), *(ROOT / "plugins").rglob("affectzoo_*/**/*.py")])


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_holds_one_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", PROJECTS, ids=lambda p: p.parent.name)
def test_versions_and_licences_agree(path: Path) -> None:
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    assert project["version"] == affectzoo.__version__
    # Only affectzoo itself holds weights, some of them under another licence than the code.
    others = " AND CC-BY-NC-SA-4.0" if path.parent == ROOT else ""
    assert project["license"] == f"Apache-2.0{others}"
    assert (path.parent / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_every_package_of_the_core_is_listed_for_the_wheel() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "affectzoo").rglob("__init__.py")}
    assert found | {"affectzoo._cards"} == listed


def test_the_changelog_knows_this_version() -> None:
    assert re.search(rf"^## {re.escape(affectzoo.__version__)}", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
