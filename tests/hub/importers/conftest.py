"""The toy importer in this process's registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from affectzoo.registry import Entry, ImporterSpec, registry
from tests.hub.importers.toys import DISTRIBUTION, VERSION, convert, write_checkpoint
from tests.model.toys import register_toys


@pytest.fixture
def entry(monkeypatch) -> Entry:
    """The importer `toy` of a plugin with a version; gone after the test."""
    register_toys()
    spec = ImporterSpec(
        name="toy", summary="t", licence="MIT", weights_licence="CC-BY-4.0", target="tests.hub.importers.toys:convert"
    )
    entry = Entry("importer", spec, DISTRIBUTION, VERSION, obj=convert)
    entries = registry()._entries
    monkeypatch.setitem(entries, "importer", [*entries["importer"], entry])
    return entry


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("published") / "toy.pt")
