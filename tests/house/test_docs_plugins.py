"""docs/plugins.md: from a scaffold to a trained model, as printed, in folders of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"```(python|bash)\n(.*?)```", (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
def test_the_tutorial_runs_as_printed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        # The plugin goes into a folder of the test, built with what is installed here.
        "PIP_TARGET": str(tmp_path / "site"),
        "PYTHONPATH": str(tmp_path / "site"),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip takes no for yes here
        "HF_HOME": str(tmp_path / "home"),
        "COLUMNS": "200",
    }
    said = []
    for language, block in BLOCKS:
        command = [sys.executable, "-c", block] if language == "python" else ["bash", "-ec", block]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{block}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        said.append(done.stdout)
    scaffold, checked, compared, _, saved = said
    assert re.search(r"gated +gated +0\.1\.0 +loaded +1 fusion", scaffold)
    assert re.search(r"\d+ passed", scaffold)
    assert "output-shape - " in checked
    assert all(name in compared for name in ("concat", "joint-cross-attention", "gated"))
    assert "name='gated' distribution='gated' version='0.1.0'" in saved
    config = json.loads((tmp_path / "out/mine/config.json").read_text())
    assert config["fusion"]["name"] == "gated"
