"""What every test shares: no network, and the folder of real clips where it is there."""

from __future__ import annotations

import os
from pathlib import Path

# Read at import by huggingface_hub, so before anything imports it.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_XET"] = "1"

import pytest
from hypothesis import settings

# The same examples at every run of CI; new ones at every run by hand.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A child of a process that has computed on several threads would wait for them for ever."""
    if os.environ.get("OMP_NUM_THREADS") == "1":
        return
    for item in items:
        if item.get_closest_marker("forks"):
            item.add_marker(pytest.mark.skip(reason="forks: OMP_NUM_THREADS=1 pytest -m forks, as `make test` does"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real clips and detector weights; it is not part of the repository."""
    folder = Path(os.environ.get("AFFECTZOO_TEST_DATA", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("shared data absent")
    return folder
