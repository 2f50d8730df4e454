"""What the plugin declares is whole: every loader has a card, protocols that can be computed, a line in the README."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from affectzoo.data.corpus import Corpus, is_corpus, options_of
from affectzoo.objectives.metrics import CLASS_METRICS, REGRESSION_METRICS
from affectzoo.registry import registry
from affectzoo_datasets import affectzoo_datasets

SPECS = affectzoo_datasets()
NAMES = [spec.name for spec in SPECS]
#: The others prepare rows for a model by themselves, and have no clips of their own.
LOADERS = [name for name in NAMES if is_corpus(registry().find("dataset", name).resolve())]
PLUGIN = Path(__file__).parents[3] / "plugins" / "affectzoo-datasets"
README = (PLUGIN / "README.md").read_text(encoding="utf-8")


def loader(name: str) -> type[Corpus]:
    return registry().find("dataset", name).resolve()


@pytest.mark.parametrize("name", LOADERS)
def test_a_loader_is_a_corpus_with_a_whole_card(name: str) -> None:
    target = loader(name)
    assert is_corpus(target)
    for field in dataclasses.fields(target.card):
        assert getattr(target.card, field.name).strip(), field.name
    assert next(iter(options_of(target))) == "root"


@pytest.mark.parametrize("name", LOADERS)
def test_every_option_of_a_loader_is_documented(name: str) -> None:
    target = loader(name)
    text = f"{target.__doc__}\n{target.__init__.__doc__}"
    for option in options_of(target):
        assert f"{option}:" in text or f"{option}," in text or option == "root", option


@pytest.mark.parametrize("name", LOADERS)
def test_protocols_can_be_computed(name: str) -> None:
    target = loader(name)
    for protocol in target.protocols:
        assert set(protocol.metrics) <= {*CLASS_METRICS, *REGRESSION_METRICS}
        assert bool(protocol.split) != (protocol.folds is not None), protocol.name
        assert set(protocol.options) <= set(options_of(target))
        assert not protocol.group or protocol.of == "clips"
        assert protocol.source.strip()
    names = [protocol.name for protocol in target.protocols]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_and_this_folder_know_every_loader(name: str) -> None:
    assert f"| `{name}` |" in README
    assert (Path(__file__).parent / f"test_{_module(name)}.py").is_file()


def test_the_loader_in_the_readme_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = next(b for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "class Interviews" in b)
    folder = tmp_path / "interviews"
    folder.mkdir()
    for name in ("P01_a", "P01_b", "P02_a", "P03_a", "P04_a"):
        (folder / f"{name}.mp4").touch()
        (folder / f"{name}.txt").write_text("0.5\nsoon\n-0.25\n")
    (folder / "P04_a.txt").unlink()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("affectzoo.data.load.say", print)
    found: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), found)  # a file of ours
    rows = [row for split in found["folds"].values() for row in split]
    assert sorted(row["clip_id"] for row in rows) == ["P01_a", "P01_b", "P02_a", "P03_a"]
    assert rows[0]["valid"] == [True, False, True]
    assert rows[0]["notes"] == ["1 labels are no numbers, and not valid"]


def _module(name: str) -> str:
    return loader(name).__module__.rpartition(".")[2]


def test_loaders_are_imported_without_torch_and_datasets() -> None:
    modules = sorted({loader(name).__module__ for name in NAMES})
    code = f"import sys, {', '.join(modules)}\nprint(*(m for m in ('torch', 'datasets') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []
