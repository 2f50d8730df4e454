"""The wheels hold all that a user needs: a fresh environment lists, describes and predicts from them alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from affectzoo.data.rendered import make_clips, write_clip

ROOT = Path(__file__).parents[2]
SOURCES = ["affectzoo", "cards", "plugins", "pyproject.toml", "README.md", "LICENSE"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with our wheels in it and everybody else's packages borrowed; returns its bin folder."""
    work = tmp_path_factory.mktemp("wheels")
    source, wheels, home = work / "source", work / "wheels", work / "venv"
    source.mkdir()
    ignore = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", ".venv")
    for name in SOURCES:  # a copy, because building writes beside the sources
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=ignore)
        else:
            shutil.copy(path, source / name)
    projects = [source, *sorted((source / "plugins").iterdir())]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), *map(str, projects)])
    venv.create(home, with_pip=False)
    site = next((home / "lib").glob("python*")) / "site-packages"
    # Wheels first; what they depend on comes from the environment that runs the tests, whose own .pth files stay unread.
    run([*pip, "install", "--no-deps", "--target", str(site), *map(str, sorted(wheels.glob("*.whl")))])
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return home / "bin"


def run(command: list[str], cwd: Path | None = None) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def affectzoo(installed: Path, cwd: Path, *arguments: str) -> str:
    return run([str(installed / "python"), "-m", "affectzoo.cli", *arguments], cwd)


def test_every_package_comes_from_the_wheels(installed: Path, tmp_path: Path) -> None:
    code = (
        "import affectzoo, affectzoo_fusion as f, affectzoo_backbones as b; print(affectzoo.__file__, f.__file__, b.__file__)"
    )
    for path in run([str(installed / "python"), "-c", code], tmp_path).split():
        assert str(installed.parent) in path


def test_list_and_info_work_from_wheels(installed: Path, tmp_path: Path) -> None:
    listed = affectzoo(installed, tmp_path, "list")
    assert "jca-rendered" in listed
    assert "joint-cross-attention" in listed
    assert "CCC" in affectzoo(installed, tmp_path, "info", "jca-rendered")


def test_the_bundled_model_predicts_from_wheels(installed: Path, tmp_path: Path) -> None:
    clip = make_clips("test", identities=1, duration_s=5, seed=3)[0]
    write_clip(clip, tmp_path / "clip.mp4", size=(320, 240), fps=15)
    affectzoo(installed, tmp_path, "predict", "clip.mp4", "--out", "results", "--detector", "haar")
    lines = (tmp_path / "results" / "clip.csv").read_text().splitlines()
    assert lines[0].startswith("time_s,start_s,end_s,face_id,emotion.neutral,emotion.happy,")
    assert ",valence,arousal,face_present,audio_present," in lines[0]
    assert len(lines) >= 5


def test_every_module_of_the_source_is_in_the_wheels(installed: Path) -> None:
    site = next((installed.parent / "lib").glob("python*")) / "site-packages"
    for package, folder in {
        "affectzoo": ROOT / "affectzoo",
        "affectzoo/_cards": ROOT / "cards",
        **{path.name: path for path in (ROOT / "plugins").glob("*/affectzoo_*") if path.suffix != ".egg-info"},
    }.items():
        kept = {p.relative_to(folder) for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
        # Tables for readers of the repository; no command reads them.
        kept = {path for path in kept if folder.name != "cards" or path.parts[0] != "benchmarks"}
        missing = [str(path) for path in sorted(kept) if not (site / package / path).is_file()]
        assert not missing, f"{package}: {missing}"
