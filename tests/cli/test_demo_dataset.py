"""`affectzoo demo --dataset`: what it writes, and fine-tuning on it in the words of the README."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from affectzoo.cli import demo_dataset
from affectzoo.cli.app import app
from affectzoo.data.folder import AvFolder
from affectzoo.data.rendered import RenderedClip, write_clip
from affectzoo.media.probe import probe
from affectzoo.train.experiment import read_experiment
from affectzoo.train.splits import dataset_of

ROOT = Path(__file__).resolve().parents[2]
SECTION = re.search(
    r"## From a folder of videos.*?\n(.*?)\n## Install", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
)
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"```bash\n(.*?)```", SECTION[1] if SECTION else "", re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture
def small(monkeypatch):
    """Small pictures, of which few are rendered."""
    monkeypatch.setattr(demo_dataset, "SIZE", (160, 120))
    monkeypatch.setattr(demo_dataset, "FPS", 5)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("small")
def test_a_folder_of_unseen_people_with_labels(affect, tmp_path):
    outcome = affect("demo", "--dataset", "--clips", "5", "--seconds", "5", "--out", tmp_path / "a b")
    assert outcome.code == 0, outcome.err
    folder = tmp_path / "a b" / "data"
    assert outcome.out.startswith(f"{folder}: 5 clips (1 train, 2 val, 2 test) in ")
    config = read_experiment(ROOT / "recipes" / "finetune-folder.yaml").model
    recordings = AvFolder(folder, targets=list(config.targets)).clips()
    assert len({recording.subject for recording in recordings}) == 5
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["metadata.csv", *(f"person0{n}.{kind}" for n in range(5) for kind in ("csv", "mp4"))]
    )
    info = probe(recordings[4].video)
    assert info.video is not None
    assert info.audio is not None
    assert info.duration_s == pytest.approx(5, abs=0.2)  # the sound ends with a whole block of the codec
    annotations = rows_of(folder / "person04.csv")
    assert [row["time_s"] for row in annotations] == [f"{n / 10:.1f}" for n in range(50)]
    assert all(abs(float(row[name])) <= 1 for row in annotations for name in ("valence", "arousal"))
    # Others than the people of training and, of the test's people, other clips than it has.
    truth = RenderedClip(2_000_004, 4242, 5.0).affect(np.array([1.0]))[0]
    assert [float(annotations[10][name]) for name in ("valence", "arousal")] == pytest.approx(truth, abs=1e-4)


@pytest.mark.usefixtures("small")
def test_what_it_says_to_run_next_can_be_run(affect, tmp_path):
    outcome = affect("demo", "--dataset", "--clips", "5", "--seconds", "5", "--out", tmp_path)
    commands = [re.split(r"\s{2,}", line.strip())[1].split() for line in outcome.out.splitlines()[1:]]
    assert [command[:2] for command in commands] == [["affectzoo", "train"], ["affectzoo", "evaluate"]]
    experiment = read_experiment(ROOT / commands[0][2], commands[0][3:])
    assert experiment.data.config["root"] == str(tmp_path / "data")
    assert commands[1][2:] == ["jca-rendered", "av-folder", f"root={tmp_path / 'data'}"]


@pytest.mark.parametrize("arguments", [("--clips", "4"), ("--seconds", "1")])
def test_too_little_to_split_or_to_see_is_refused(affect, tmp_path, arguments):
    assert affect("demo", "--dataset", "--out", tmp_path / "out", *arguments).code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_of_the_readme_is_understood(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    if command[0] == "accelerate":
        assert command[1:4] == ["launch", "-m", "affectzoo.train"]
        read_experiment(command[4], command[5:])
        return
    said: dict[str, object] = {}
    for module, name in (
        ("affectzoo.cli.demo_dataset", "write_dataset"),
        ("affectzoo.cli.crossval", "cross_validate_recipe"),
        ("affectzoo.cli.data", "check_data"),
        ("affectzoo.cli.data", "preview_data"),
        ("affectzoo.cli.evaluate", "evaluate_model"),
        ("affectzoo.cli.predict", "predict_files"),
        ("affectzoo.cli.features", "extract_features"),
        ("affectzoo.train.__main__", "run"),
    ):
        # Whether all went well is what a cross-validation returns, and whether anything failed what others do.
        well = name == "cross_validate_recipe"
        monkeypatch.setattr(f"{module}.{name}", lambda *given, well=well, **named: said.update(named, given=given) or well)
    outcome = CliRunner().invoke(app, command[1:])
    assert outcome.exit_code == 0, outcome.output
    given = said["given"]
    assert isinstance(given, tuple)
    if command[1] == "train":
        experiment = read_experiment(*given)
        dataset_of(experiment.data, experiment.model)
    for word in command[2:]:
        assert not word.endswith(".yaml") or Path(word).is_file(), word


def test_the_section_has_commands():
    assert len(COMMANDS) == 12


def test_the_fine_tuned_model_and_its_run_folder(affect, tmp_path, monkeypatch):
    lines = ["file_name,subject,split"]
    for number, split in enumerate(("train", "train", "val", "test")):
        clip = RenderedClip(2_000_000 + number, 9, 4.0)
        write_clip(clip, tmp_path / "data" / f"{number}.mp4", size=(160, 120), fps=8)
        labels = [f"{at / 4},{v:.3f},{a:.3f}" for at, (v, a) in enumerate(clip.affect(np.arange(16) / 4))]
        (tmp_path / "data" / f"{number}.csv").write_text("\n".join(["time_s,valence,arousal", *labels]))
        lines.append(f"{number}.mp4,{number},{split}")
    (tmp_path / "data" / "metadata.csv").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    options = ["root=data", "detector=full-frame", "cache_dir=cache"]
    recipe = ROOT / "recipes" / "finetune-folder.yaml"
    outcome = affect("train", recipe, "train.epochs=1", *(f"data.config.{option}" for option in options))
    assert outcome.code == 0, outcome.err
    assert "starts from jca-rendered: 194 of 194 tensors" in outcome.out
    run = Path("runs/finetune-folder/seed0")
    # In the README: what a run folder holds.
    named = re.findall(r"`([a-z_]+(?:\.(?:jsonl?|png)|/))`", SECTION[1] if SECTION else "")
    assert {path.name for path in run.iterdir()} == {name.rstrip("/") for name in named}
    outcome = affect("evaluate", run, recipe, *options, "--out", "out")
    assert outcome.code == 0, outcome.err
    value = json.loads(Path("out/report.json").read_text())["metrics"]["valence"]["ccc"]["value"]
    scored = json.loads((run / "result.json").read_text())["test"]["ccc.valence"]
    assert value == pytest.approx(scored, abs=1e-4)  # other batches round differently
