"""`list`, `info`, `plugins`, `--version`, `--debug`: what is there, in words, quickly and without a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import affectzoo
from affectzoo.cards.statement import STATEMENT
from affectzoo.cli import show
from affectzoo.registry import KINDS, ModelSpec, PluginRecord, Registry, registry

#: A plugin whose error reads like rich's markup, and one whose summary does.
FAILING = "raise RuntimeError('see [/red] and [affectzoo.plugins] in the file')"
BRACKETS = """
from affectzoo import FusionSpec, hookimpl

@hookimpl
def affectzoo_fusions():
    return [FusionSpec(name="brackets", summary="takes [b, n] and [/bold]", licence="MIT", target="nothing:Nothing")]
"""


def in_a_new_process(*arguments: str, code: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(["-c", code] if code else ["-m", "affectzoo.cli", *arguments])]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, "COLUMNS": "200", **environment}
    )


@pytest.fixture
def bad_plugins(tmp_path) -> Path:
    for name, source in (("failing-plugin", FAILING), ("brackets-plugin", BRACKETS)):
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-2.3.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.3\n")
        (info / "entry_points.txt").write_text(f"[affectzoo.plugins]\nmain = {module}\n")
    return tmp_path


def test_list_names_everything_by_kind(affect):
    outcome = affect("list")
    assert outcome.code == 0
    for kind in ("backbone", "fusion", "temporal", "detector", "dataset"):
        assert f"{kind}s" in outcome.out.splitlines()
        for entry in registry().entries(kind):
            assert entry.name in outcome.out


@pytest.mark.parametrize("kind", KINDS)
def test_list_takes_a_kind_in_both_numbers(affect, kind):
    outcome = affect("list", f"{kind}s")
    assert outcome.code == 0
    assert outcome.out == affect("list", kind).out
    assert all(name in outcome.out for name in registry().names(kind))
    assert outcome.out.splitlines()[0].startswith(f"{kind}s")


@pytest.fixture
def models(monkeypatch) -> list[ModelSpec]:
    """A zoo of two bundled models and two that must be fetched."""
    common = {"summary": "a model", "targets": ("valence",)}
    specs = [
        ModelSpec(name="b-far", licence="CC-BY-NC-SA-4.0", location="hub://org/b@0123", size_mb=1234.5, **common),
        ModelSpec(name="a-near", licence="MIT", location="package://toys/a", size_mb=4.5, **common),
        ModelSpec(name="d-near", licence="Apache-2.0", location="package://toys/d", **common),
        ModelSpec(
            name="c-far",
            licence="BSD-3-Clause",
            location="https://example.org/[c].pt",
            importer="toy",
            digest=f"git:{'0' * 40}",
            **common,
        ),
    ]
    monkeypatch.setattr(show, "registry", lambda: Registry([PluginRecord("p", "toys", "1.0", specs={"model": specs})]))
    return specs


def test_models_that_are_here_and_those_to_download_are_listed_apart_with_size_and_licence(affect, models, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(show, "out", type(show.out)(highlight=False))
    lines = affect("list", "models").out.splitlines()
    names = [line.split()[0] for line in lines if line and not line.startswith((" ", "name"))]
    assert names == ["models,", "a-near", "d-near", "models,", "b-far", "c-far"]
    assert [line for line in lines if line.startswith("models")] == ["models, bundled", "models, downloaded when first used"]
    for spec in models:
        line = next(line for line in lines if line.startswith(spec.name))
        assert spec.licence in line.split()
        assert "valence" in line.split()
        assert lines[lines.index(line) + 1].strip() == "a model"
    assert "1,234.5 MB" in next(line for line in lines if line.startswith("b-far"))
    assert "4.5 MB" in next(line for line in lines if line.startswith("a-near"))


def test_where_nothing_must_be_fetched_no_such_heading_is_printed(affect, models):
    models[:] = [spec for spec in models if spec.is_bundled]
    listed = affect("list", "models").out
    assert listed.startswith("models, bundled\n")
    assert "downloaded" not in listed


def test_a_kind_that_nobody_provides_says_so(affect, monkeypatch):
    monkeypatch.setattr(show, "registry", lambda: Registry([]))
    assert affect("list", "models").out.startswith("models: none installed\n")
    assert "none installed" not in affect("list").out


@pytest.mark.parametrize("width", ["60", "80", "120"])
def test_a_listed_models_licence_size_and_targets_are_whole_whatever_the_width(affect, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setattr(show, "out", type(show.out)(highlight=False))
    listed = affect("list", "models").out
    # A model takes a line of facts and one or two of words.
    assert len(listed.splitlines()) <= 3 * len(registry().names("model")) + 6
    words = " ".join(listed.split())
    for spec in (entry.spec for entry in registry().entries("model")):
        for said in (spec.name, f"{spec.size_mb} MB", spec.licence, ", ".join(spec.targets), spec.summary):
            assert said in words


@pytest.mark.parametrize("width", ["40", "50", "80", "200"])
def test_a_listed_name_can_be_copied_whatever_the_width(affect, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setattr(show, "out", type(show.out)(highlight=False))
    listed = affect("list", "fusions").out
    assert all(name in listed.split() for name in registry().names("fusion"))


def test_list_of_an_unknown_kind_suggests_one(affect):
    outcome = affect("list", "fusoins")
    assert outcome.code == 2
    assert outcome.complaints == ["affectzoo: there is no kind 'fusoins'; did you mean fusions?"]
    assert "kinds are" in affect("list", "xyz").complaints[0]


def test_info_describes_a_component(affect):
    outcome = affect("info", "joint-cross-attention")
    assert outcome.code == 0
    assert outcome.out.startswith("joint-cross-attention (fusion): ")
    assert "2203.14779" in outcome.out
    assert "output = 'attended'" in outcome.out


def test_info_of_a_model_prints_facts_limits_use_and_the_statement(affect):
    outcome = affect("info", "jca-rendered")
    assert outcome.code == 0
    assert outcome.out.startswith("jca-rendered (model): ")
    for said in ("parameters: 1,125,346", "bundled, package://", "## Limits", "## Use", "Not for: ", STATEMENT):
        assert said in outcome.out


def test_info_of_an_unknown_name_suggests_one(affect):
    outcome = affect("info", "joint-cros-attention")
    assert outcome.code == 2
    assert len(outcome.complaints) == 1
    assert "'joint-cross-attention'" in outcome.complaints[0]


def test_plugins_are_shown_with_version_and_status(affect):
    outcome = affect("plugins")
    assert outcome.code == 0
    for record in registry().records:
        assert any({record.name, record.distribution, record.version} <= set(line.split()) for line in outcome.out.splitlines())


def test_a_failing_plugin_is_shown_with_its_words_and_stops_nothing(bad_plugins):
    # However narrow: one line for each, whole, to be read and to be searched.
    done = in_a_new_process("plugins", PYTHONPATH=str(bad_plugins), COLUMNS="60")
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if "failing-plugin" in line)
    assert "2.3" in line.split()
    assert "failed" in line.split()
    assert "RuntimeError: see [/red] and [affectzoo.plugins] in the file" in line
    listed = in_a_new_process("list", "fusions", PYTHONPATH=str(bad_plugins))
    assert listed.returncode == 0, listed.stderr
    assert "takes [b, n] and [/bold]" in listed.stdout
    assert "joint-cross-attention" in listed.stdout


@pytest.mark.parametrize("arguments", [("list",), ("plugins",), ("--version",), ("--help",), ("predict", "--help")])
def test_looking_around_loads_nothing_heavy(arguments):
    code = f"""
import sys
from affectzoo.cli import main
sys.argv = ["affectzoo", *{arguments!r}]
try:
    main()
except SystemExit as ended:
    assert not ended.code
heavy = {{"torch", "timm", "transformers", "datasets", "accelerate", "cv2", "av", "pandas", "matplotlib"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = in_a_new_process(code=code)
    assert done.returncode == 0, done.stderr


def test_help_shows_every_word_of_every_option(affect, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    from typer.main import get_command

    from affectzoo.cli.app import app

    for name, command in get_command(app).commands.items():
        shown = " ".join(affect(name, "--help").out.split())
        for parameter in command.params:
            # Backquotes become another style.
            assert " ".join((getattr(parameter, "help", None) or "").replace("`", "").split()) in shown, (name, parameter.name)


def test_the_version_is_told(affect):
    assert affect("--version") == (0, f"affectzoo {affectzoo.__version__}\n", "")


def test_debug_shows_the_traceback_of_a_mistake(affect):
    with pytest.raises(affectzoo.AffectzooError, match="no kind"):
        affect("--debug", "list", "nonsense")


@pytest.mark.parametrize("arguments", [("predict",), ("nonsense",), ("list", "--nonsense"), ("demo", "--seconds", "1")])
def test_wrong_usage_exits_with_two_and_no_traceback(affect, arguments):
    outcome = affect(*arguments)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err


def test_train_takes_overrides_and_says_what_is_wrong(affect, tmp_path):
    outcome = affect("train", tmp_path / "absent.yaml", "train.lr=1")
    assert outcome.code == 2
    assert outcome.complaints == [
        f"affectzoo: {tmp_path / 'absent.yaml'} does not exist; give an experiment file such as recipes/jca-rendered.yaml"
    ]


WARNING = """
import warnings
import affectzoo.cli.app
from affectzoo.cli import main

def app():
    warnings.warn_explicit("the cached commit is used", UserWarning, f"{affectzoo.__path__[0]}/remote/hub_files.py", 7)
    warnings.warn_explicit("another's", UserWarning, "elsewhere.py", 8)

affectzoo.cli.app.app = app
main()
"""


def test_a_warning_of_ours_is_a_sentence_and_anybody_elses_stays_as_it_is():
    lines = in_a_new_process(code=WARNING).stderr.splitlines()
    assert lines[0] == "Note: the cached commit is used"
    assert lines[1] == "elsewhere.py:8: UserWarning: another's"
