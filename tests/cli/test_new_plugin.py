"""`affectzoo new-plugin`: what it writes is whole as it is: lint, types, tests, installed; what cannot be is said before."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import tarfile
import tomllib
import venv
from pathlib import Path

import pytest

import affectzoo
from affectzoo.errors import InputError
from affectzoo.registry import API_VERSION, KINDS as REGISTRY_KINDS
from affectzoo.scaffold import KINDS, Names, write_plugin

ROOT = Path(__file__).parents[2]
LONGEST = 40


def run(*command: str | Path, cwd: Path, python: Path | str = sys.executable) -> str:
    """Standard output of `python -m COMMAND`, which must succeed."""
    done = subprocess.run(
        [python, "-m", *map(str, command)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def plugins(tmp_path_factory) -> Path:
    """A folder with a plugin of each kind, `sketch-KIND`."""
    folder = tmp_path_factory.mktemp("new") / "plugins"
    for kind in KINDS:
        write_plugin(f"sketch-{kind}", kind, folder)
    return folder


@pytest.fixture(scope="module")
def python(plugins, tmp_path_factory) -> Path:
    """The interpreter of a fresh virtual environment into which pip has installed them; what this one has it sees."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    (own,) = folder.glob("lib/python*/site-packages")
    seen = [path for path in site.getsitepackages() if Path(path).is_dir()]
    (own / "seen.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in seen))
    interpreter = folder / "bin" / "python"
    quiet = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation")
    run("pip", "install", *quiet, *sorted(plugins.iterdir()), cwd=plugins, python=interpreter)
    assert (own / "sketch_fusion").is_dir()
    return interpreter


def test_the_command_says_what_it_wrote_and_what_comes_next(affect, tmp_path) -> None:
    outcome = affect("new-plugin", "gated", "--kind", "fusion", "--out", tmp_path)
    assert outcome.code == 0
    written = {str(path) for path in (tmp_path / "gated").rglob("*") if path.is_file()}
    assert written <= set(outcome.out.splitlines())
    assert {str(tmp_path / "gated" / name) for name in ("pyproject.toml", "README.md", "gated/fusion.py")} <= written
    assert f"cd {tmp_path / 'gated'}" in outcome.out
    assert "licence is undecided" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["gated"]  # and no temporary folder


def test_every_kind_that_a_plugin_can_check_has_a_template() -> None:
    assert set(KINDS) == set(REGISTRY_KINDS) - {"model", "importer"}


@pytest.mark.parametrize(
    ("name", "kind", "names"),
    [
        ("gated", "fusion", ("gated", "gated", "GatedFusion")),
        ("My.Gated_fusion", "fusion", ("my-gated-fusion", "my_gated_fusion", "MyGatedFusion")),
        ("fusion", "fusion", ("fusion", "fusion", "FusionFusion")),  # never the base class' own name
        ("my-corpus", "dataset", ("my-corpus", "my_corpus", "MyCorpusDataset")),
    ],
)
def test_package_and_class_follow_from_the_name(name, kind, names) -> None:
    found = Names.of(name, kind)
    assert (found.distribution, found.package, found.class_name) == names


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("", "fusion", "no name for a package"),
        ("two words", "fusion", "no name for a package"),
        ("-gated", "fusion", "no name for a package"),
        ("../gated", "fusion", "no name for a package"),
        ("3d-gate", "fusion", "begins with a digit"),
        ("class", "fusion", "keyword of Python"),
        ("a" * (LONGEST + 1), "fusion", "at most 40"),
        ("Torch", "fusion", "torch .* is installed here"),
        ("affectzoo_fusion", "fusion", "affectzoo-fusion .* is installed here"),
        ("json", "fusion", "`import json` is another package"),
        ("cv2", "detector", "`import cv2` is another package"),
        ("tests", "fusion", "folder of a plugin's tests"),
        ("session", "fusion", "script or notebook"),
        ("dist", "fusion", "linters and git leave out"),
        ("node.modules", "fusion", "linters and git leave out"),
        ("tcn", "temporal", "affectzoo .* has a temporal called 'tcn' already"),
        ("gated", "fusions", "did you mean fusion"),
        ("gated", "model", "kinds are fusion, backbone"),
    ],
)
def test_a_name_that_cannot_be_is_refused_in_one_sentence(affect, tmp_path, name, kind, reason) -> None:
    with pytest.raises(InputError, match=reason):
        write_plugin(name, kind, tmp_path)
    outcome = affect("new-plugin", "--kind", kind, "--out", tmp_path, "--", name)
    assert outcome.code == 2
    assert len(outcome.complaints) == 1
    assert not list(tmp_path.iterdir())


def test_a_name_that_only_another_kind_has_is_free(tmp_path) -> None:
    assert write_plugin("tcn", "fusion", tmp_path) == tmp_path / "tcn"


def test_a_folder_of_that_name_in_the_current_one_is_no_package(tmp_path, monkeypatch) -> None:
    (tmp_path / "gated").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert Names.of("gated", "fusion").package == "gated"


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_what_is_there_already_is_left_as_it_is(tmp_path, make) -> None:
    make(tmp_path / "gated")
    with pytest.raises(InputError, match="there already"):
        write_plugin("gated", "fusion", tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["gated"]


def test_an_out_that_is_a_file_is_refused(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written: Not a directory"):
        write_plugin("gated", "fusion", tmp_path / "file")


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(InputError, match="No space left"):
        write_plugin("gated", "fusion", tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_licence_is_invented(tmp_path) -> None:
    folder = write_plugin("gated", "fusion", tmp_path)
    assert "license" not in tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert 'licence="LicenseRef-undecided"' in (folder / "gated" / "__init__.py").read_text()
    assert "Undecided" in (folder / "README.md").read_text()
    assert not list(folder.glob("LICEN*"))


def test_a_licence_that_was_given_is_said_everywhere_in_its_usual_spelling(tmp_path) -> None:
    folder = write_plugin("gated", "fusion", tmp_path, licence="apache-2.0")
    assert tomllib.loads((folder / "pyproject.toml").read_text())["project"]["license"] == "Apache-2.0"
    assert 'licence="Apache-2.0",\n' in (folder / "gated" / "__init__.py").read_text()
    readme = (folder / "README.md").read_text()
    assert "Apache-2.0" in readme
    assert "ndecided" not in readme


def test_a_licence_that_is_none_is_refused(affect, tmp_path) -> None:
    outcome = affect("new-plugin", "gated", "--kind", "fusion", "--out", tmp_path, "--licence", "free for all")
    assert outcome.code == 2
    assert "no SPDX expression" in outcome.complaints[0]
    assert not list(tmp_path.iterdir())


def test_a_plugin_asks_for_this_affectzoo_and_says_its_api(plugins) -> None:
    for kind in KINDS:
        project = tomllib.loads((plugins / f"sketch-{kind}" / "pyproject.toml").read_text())["project"]
        assert f"affectzoo>={affectzoo.__version__}" in project["dependencies"]
        assert f"api_version={API_VERSION}," in (plugins / f"sketch-{kind}" / f"sketch_{kind}" / "__init__.py").read_text()


def test_a_source_distribution_holds_the_tests_and_what_they_read(plugins, tmp_path) -> None:
    build = "from setuptools.build_meta import build_sdist; build_sdist(__import__('sys').argv[1])"
    folder = shutil.copytree(plugins / "sketch-dataset", tmp_path / "sketch-dataset")
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=folder, check=True, capture_output=True, timeout=120)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        held = {name.partition("/")[2] for name in packed.getnames()}
    assert {path.relative_to(folder).as_posix() for path in (folder / "tests").rglob("*") if path.is_file()} <= held


def test_nothing_of_a_template_is_left(plugins) -> None:
    for path in plugins.rglob("*"):
        # GitHub's own expressions keep their dollar.
        assert not path.is_file() or "$" not in path.read_text().replace("${{", ""), path


def test_lint_and_format_pass_whatever_the_length_of_the_name(plugins, tmp_path) -> None:
    for kind in KINDS:
        write_plugin(f"{kind[:2]}z", kind, tmp_path / "short")
        write_plugin(f"long-{kind}-".ljust(LONGEST, "z"), kind, tmp_path / "long")
    for folder in (plugins, tmp_path):
        run("ruff", "check", "--no-cache", ".", cwd=folder)
        run("ruff", "format", "--no-cache", "--check", ".", cwd=folder)


def test_types_are_right(plugins) -> None:
    # As one project, since pyright takes seconds to begin; an editable affectzoo has to be pointed at.
    settings = tomllib.loads((plugins / "sketch-fusion" / "pyproject.toml").read_text())["tool"]["pyright"]
    folders = [f"plugins/{folder.name}" for folder in sorted(plugins.iterdir())]
    settings |= {"include": folders, "extraPaths": [str(ROOT), *folders]}
    (plugins.parent / "pyrightconfig.json").write_text(json.dumps(settings))
    said = run("pyright", "--outputjson", "--pythonpath", sys.executable, cwd=plugins.parent)
    assert json.loads(said)["summary"]["filesAnalyzed"] == len(list(plugins.rglob("*.py")))


def test_installed_plugins_are_listed(python, plugins) -> None:
    listed = run("affectzoo.cli", "plugins", cwd=plugins, python=python).splitlines()
    for kind in KINDS:
        (line,) = (line for line in listed if line.startswith(f"sketch-{kind} "))
        # No remark after it: the hook module imports no torch.
        assert line.split() == [f"sketch-{kind}", f"sketch-{kind}", "0.1.0", "loaded", "1", kind]


@pytest.mark.slow
def test_installed_plugins_pass_their_own_tests(python, plugins) -> None:
    folders = sorted(plugins.iterdir())
    # All in one process, which imports torch once; their settings are the same.
    settings = ("--config-file", plugins / "sketch-fusion" / "pyproject.toml", "--rootdir", plugins)
    said = run("pytest", "-p", "no:cacheprovider", "-q", *settings, *folders, cwd=plugins, python=python)
    assert "passed" in said.splitlines()[-1]
    assert not {"failed", "skipped", "error"} & set(said.splitlines()[-1].split())


def test_templates_travel_with_the_package() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    scaffold = ROOT / "affectzoo" / "scaffold"
    assert "affectzoo.scaffold" in declared["packages"]
    carried = {path for pattern in declared["package-data"]["affectzoo.scaffold"] for path in scaffold.glob(pattern)}
    assert {path for path in (scaffold / "templates").rglob("*") if path.is_file()} == carried
