"""The README's code runs as printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from affectzoo.cli.demo_dataset import write_dataset
from affectzoo.data.rendered import make_clips, write_clip

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=[block.strip().splitlines()[0] + f" ({i})" for i, block in enumerate(BLOCKS)])
def test_a_python_block_runs_as_printed(block: str, tmp_path: Path) -> None:
    if "clip.mp4" in block:
        write_clip(make_clips("test", identities=1, duration_s=4, seed=9)[0], tmp_path / "clip.mp4", size=(320, 240), fps=15)
    if "out/demo/data" in block:
        write_dataset(tmp_path / "out/demo/data", clips=5, seconds=2)
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    for path in re.findall(r"\b(?:to_csv|plot|save_pretrained)\(\"([^\"]+)\"\)", block):
        assert (tmp_path / path).exists()


def test_the_commands_it_names_exist() -> None:
    from typer.testing import CliRunner

    from affectzoo.cli.app import app

    shown = CliRunner().invoke(app, ["--help"]).output
    for command in set(re.findall(r"^affectzoo (\w+)", README, re.MULTILINE)):
        assert re.search(rf"^\W*{command}\b", shown, re.MULTILINE), command


def test_make_knows_the_two_commands_it_promises_and_one_for_who_changes_a_card() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
    assert re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE) == ["demo test cards"]
    assert set(re.findall(r"^make (\w+)", README, re.MULTILINE)) == {"demo", "test"}


def test_files_it_links_to_exist() -> None:
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    for link in re.findall(r"\]\(((?!https?:)[^)#]+)\)", prose):
        assert (Path(__file__).parents[2] / link).exists(), link
