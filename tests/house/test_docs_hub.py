"""docs/hub.md: push, pull, fine-tune, push, as printed, against a loopback Hub."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub.hub_server import HubServer

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"```(python|bash)\n(.*?)```", (ROOT / "docs" / "hub.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
def test_the_transcript_runs_as_printed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    with HubServer(tmp_path / "server") as server:
        environment = {
            **server.environment(tmp_path / "home", user="alice"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        said = []
        for language, block in BLOCKS:
            command = [sys.executable, "-c", block] if language == "python" else ["bash", "-ec", block]
            done = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
            )
            assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
            assert "hf_alice" not in done.stdout + done.stderr
            said.append(done.stdout)
        names = ("alice/va-drawn", "alice/va-mine")
        first, mine = (server.hub.repos[("model", name)] for name in names)
        held_first, held_mine = map(server.held, names)
        assert first.private
        assert mine.private
        files = {".gitattributes", "README.md", "config.json", "model.safetensors"}
        assert set(held_first) == files
        assert set(held_mine) == {*files, "training.json"}
        assert held_mine["model.safetensors"] != held_first["model.safetensors"]
        card = held_mine["README.md"].decode()
        assert "base_model: alice/va-drawn" in card
        assert "The weights of alice/va-drawn are under apache-2.0." in card  # which its cached card says
        assert "name: av-folder" in card  # in the model-index
        assert card.rstrip() in said[-1]
        # The branch holds the same, so nothing was committed to it.
        assert len([commit for commit in mine.commits.values() if commit["author"] == "alice"]) == 2
        assert mine.branches["trial"] == mine.branches["main"]
        assert set(mine.branches) == {"main", "trial"}
        assert set(first.pulls) == {"refs/pr/1"}
        assert server.held(names[0], "refs/pr/1")["model.safetensors"] == held_mine["model.safetensors"]
        for name, content in held_mine.items():
            assert b"hf_alice" not in content, name
            assert str(tmp_path).encode() not in content, name
        people = json.loads((tmp_path / "runs/finetune-folder/seed0/trained_on.json").read_text())["av-folder"]
        assert people
        assert not [person for person in people if person in card or person.encode() in held_mine["training.json"]]


def test_it_has_every_step() -> None:
    commands = [
        word for language, block in BLOCKS if language == "bash" for word in re.findall(r"^affectzoo (\w+)", block, re.M)
    ]
    assert commands == ["pull", "demo", "train", "push", "push"]
