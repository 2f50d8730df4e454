"""A model as it stands on a Hub."""

from __future__ import annotations

import pytest

from tests.model.toys import audio_visual_model, register_toys


@pytest.fixture(scope="session")
def saved(tmp_path_factory) -> dict[str, bytes]:
    """The files of the toy of two streams, name -> bytes."""
    register_toys()
    folder = audio_visual_model().save_pretrained(tmp_path_factory.mktemp("model"), card="# toy\n")
    return {path.name: path.read_bytes() for path in folder.iterdir()}
