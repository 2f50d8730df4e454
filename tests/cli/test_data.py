"""`affectzoo data check` and `data preview`: what they print and write, their exit codes, what they refuse."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import datasets
import pytest

import affectzoo
from affectzoo import Clip, Corpus, TargetConfig
from affectzoo.registry import registry
from tests.data.check.toys import CARD, even, film

NAME = "listed-toys"


class Listed(Corpus):
    """`clip,subject,split,mood` in `clips.csv`; videos beside it."""

    card = CARD
    targets = (TargetConfig(name="mood", kind="categorical", classes=("calm", "glad")),)

    def __init__(self, root, *, only: str = "") -> None:
        super().__init__(root)
        self.only = only

    def scan(self):
        for line in (self.root / "clips.csv").read_text(encoding="utf-8").splitlines():
            name, subject, split, mood = line.split(",")
            if not mood:
                yield affectzoo.unusable(name, f"{name} has no label")
            elif self.only in name:
                path = str(self.root / f"{name}.mp4")
                yield Clip(clip_id=name, subject=subject, split=split, video=path, scores={"mood": mood})


@pytest.fixture(autouse=True)
def toys(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    entries = registry()._entries["dataset"]
    before = list(entries)
    affectzoo.register_dataset(NAME)(Listed)
    yield
    entries[:] = before


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for k, name in enumerate(("eins", "zwei", "drei ü")):
        film(folder / f"{name}.mp4", even(2), shade=20 + 9 * k)
    return folder


@pytest.fixture
def root(videos, tmp_path):
    """Three clips that nothing is wrong with but that one split lacks a class."""
    shutil.copytree(videos, tmp_path / "root")
    lines = ["eins,a,train,calm", "zwei,b,train,glad", "drei ü,c,test,calm"]
    (tmp_path / "root" / "clips.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "root"


def test_a_usable_corpus_is_shown_on_one_screen_and_written(affect, root, tmp_path):
    outcome = affect("data", "check", NAME, "--root", root, "--out", tmp_path / "out")
    assert (outcome.code, outcome.complaints) == (0, [])
    lines = outcome.out.splitlines()
    assert lines[:2] == ["Toys & <faces>: no problem found, 1 remark", "clips: 3 found = 3 used + 0 left out"]
    assert lines[3].split() == ["train", "2", "2", "4", "s"]
    assert lines[-2] == "- mood: 1 class is absent from a split (glad: test)"
    assert lines[-1] == f"-> {tmp_path / 'out' / 'check.html'}, {tmp_path / 'out' / 'check.json'}"
    assert len(lines) < 25
    assert json.loads((tmp_path / "out" / "check.json").read_text())["clips_used"] == 3
    assert (tmp_path / "out" / "check.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_problems_are_exit_code_1(affect, root, tmp_path):
    (root / "zwei.mp4").unlink()
    with (root / "clips.csv").open("a") as file:
        file.write("\nvier,d,test,\nfünf,a,test,glad")
    for media in ("--media", "--no-media"):
        outcome = affect("data", "check", NAME, "--root", root, "--out", tmp_path / "out", media)
        assert (outcome.code, outcome.complaints) == (1, [])
        assert "clips: 5 found = 4 used + 1 left out" in outcome.out
        assert "! 1 of 5 clips is left out (vier: vier has no label)" in outcome.out
        assert "! 1 subject is in more than one split (a: train (eins), test (fünf))" in outcome.out
        assert f"! 2 media files are not there ({root / 'zwei.mp4'}, and 1 more)" in outcome.out
    assert "media were not opened" in outcome.out


def test_options_of_the_loader_are_taken(affect, root, tmp_path):
    outcome = affect("data", "check", NAME, "only=drei", f"root={root}", "--no-media", "--out", tmp_path / "out")
    assert "clips: 1 found = 1 used + 0 left out" in outcome.out


def test_a_sheet_is_drawn(affect, root, tmp_path):
    outcome = affect("data", "preview", NAME, "--root", root, "--split", "train", "--out", tmp_path / "new" / "a.png")
    assert (outcome.code, outcome.out) == (0, f"2 clips -> {tmp_path / 'new' / 'a.png'}\n")
    assert (tmp_path / "new" / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("command", ["check", "preview"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rendered"], "'rendered' prepares inputs of a given model and has no rows of its own"),
        (["features"], "'features' prepares inputs of a given model and has no rows of its own"),
        (["listed-toy", "--root", "{root}"], "Did you mean 'listed-toys'?"),
        ([NAME], "key 'root' is missing"),
        ([NAME, "--root", "{root}/nowhere"], "nowhere does not exist"),
        ([NAME, "--root", "{root}/clips.csv"], "clips.csv is not a folder"),
        ([NAME, "--root", "{root}", "onyl=x"], "unknown key 'onyl'; did you mean 'only'?"),
        ([NAME, "--root", "{root}", "only"], "'only' must be of the form key=value"),
        ([NAME, "--root", "{root}", "only=["], "the value is not YAML"),
        ([NAME, "--root", "{root}", "root=x"], "option 'root' is given twice"),
        ([NAME, "--root", "{root}", "only=none of them"], "holds no clip of Toys"),
        ([NAME, "--root", "{root}", "--out", "{root}/clips.csv/x.png"], "clips.csv/x.png cannot be"),
    ],
)
def test_a_mistake_is_one_sentence(affect, root, tmp_path, command, arguments, words):
    given = [argument.replace("{root}", str(root)) for argument in arguments]
    if "--out" not in given:
        given += ["--out", str(tmp_path / "out.png")]
    outcome = affect("data", command, *given)
    assert outcome.code == 2
    assert len(outcome.complaints) == 1
    assert words in outcome.complaints[0]
    assert not [path for path in tmp_path.rglob("*") if path.name in ("check.json", "out.png") and path.is_file()]


def test_checking_imports_no_torch():
    code = (
        "import sys, affectzoo.cli.app, affectzoo.cli.data, affectzoo.data.check.page, affectzoo.data.check.preview\n"
        "import affectzoo.data.load, datasets, matplotlib.figure\n"
        "print([name for name in ('torch', 'accelerate', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
