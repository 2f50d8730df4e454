"""`predict`: a CSV for every readable file, a sentence for every other, and nothing stopped or overwritten."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import affectzoo
from affectzoo.cards.readme import Said
from affectzoo.cli.predict import announce, result_names


@pytest.fixture
def predict(affect, tiny_model, tmp_path) -> Callable:
    """Run `affectzoo predict` with the tiny model, into `tmp_path/out`."""

    def run(*arguments: str | Path, out: Path = tmp_path / "out", detector: str = "full-frame"):
        return affect("predict", *arguments, "--model", tiny_model, "--out", out, "--detector", detector)

    return run


def test_one_file_gives_one_csv_and_says_so(predict, media, tmp_path):
    outcome = predict(media.good)
    assert outcome.code == 0
    assert outcome.complaints == []
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.csv"]
    frame = pd.read_csv(tmp_path / "out" / "good.csv")
    assert {"time_s", "face_id", "valence", "arousal", "face_present", "audio_present"} <= set(frame)
    assert frame[["valence", "arousal"]].notna().all(axis=None)
    assert outcome.out.startswith("good.mp4: ")
    assert str(tmp_path / "out" / "good.csv") in outcome.out
    # Nothing but remarks: no bar, no empty line, where nobody watches.
    assert all(line.strip() for line in outcome.err.splitlines())


@pytest.fixture(scope="module")
def scoring_model(tmp_path_factory) -> Path:
    """The folder of an untrained model that sees, and scores a video by the median of its sub-sequences."""
    backbone = {"frames": 2, "image_size": 32, "model_args": {"channels": [4, 4, 8, 8], "stem_width": 4}}
    model = affectzoo.create_model(
        visual={"backbone": {"name": "timm/resnet10t", "config": backbone}},
        targets=["bdi-ii"],
        sequence={"seconds": 0.5, "length": 1},
        head={"hidden": None, "pool": "median"},
    )
    return model.save_pretrained(tmp_path_factory.mktemp("model") / "scoring")


def test_a_model_with_scores_writes_and_says_them(affect, scoring_model, media, tmp_path):
    outcome = affect(
        *("predict", media.good, "--model", scoring_model, "--out", tmp_path / "out", "--detector", "full-frame"),
        *("--plot", "--overlay"),
    )
    assert outcome.code == 0, outcome.err
    names = ["good.csv", "good.overlay.mp4", "good.png", "good.scores.csv"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert all(str(tmp_path / "out" / name) in outcome.out for name in names)
    rows, scores = (pd.read_csv(tmp_path / "out" / name) for name in ("good.csv", "good.scores.csv"))
    assert len(rows) == 4
    assert list(scores.columns) == ["file", "face_id", "start_s", "end_s", "clips", "bdi-ii"]
    assert scores.iloc[0, :5].tolist() == [str(media.good), 0, 0.0, 2.0, 4]
    assert scores["bdi-ii"].tolist() == pytest.approx([rows["bdi-ii"].median()], abs=1e-5)
    lines = outcome.out.splitlines()
    assert lines[1] == f"  face 0: bdi-ii {scores['bdi-ii'][0]:.1f} BDI-II points (median of 4 clips)"
    assert lines[2].startswith("  predicted in ")


@pytest.fixture(scope="module")
def hearing_model(tmp_path_factory) -> Path:
    """The folder of an untrained model that only hears, in sub-sequences of another length."""
    log_mel = {"sample_rate": 8000, "n_fft": 256, "win_length": 200, "hop_length": 80, "n_mels": 32, "frames": 50}
    network = {"channels": [4, 4, 8, 8], "stem_width": 4}
    model = affectzoo.create_model(
        audio={"backbone": {"name": "spectrogram/resnet10t", "config": {"log_mel": log_mel, "model_args": network}}},
        targets=["arousal", "dominance"],
        sequence={"seconds": 1.0, "length": 2},
        head={"hidden": None},
    )
    return model.save_pretrained(tmp_path_factory.mktemp("model") / "hearing")


def test_several_models_make_one_timeline(predict, hearing_model, tiny_model, media, tmp_path):
    outcome = predict(media.good, media.video_only, "--model", hearing_model, "--combine", "mean", "--plot", "--overlay")
    assert outcome.code == 0, outcome.err
    assert f"mean of {hearing_model}, {tiny_model}, faces by full-frame" in outcome.err
    both, seen = (pd.read_csv(tmp_path / "out" / f"{name}.csv") for name in ("good", "video_only"))
    assert list(both.columns[4:7]) == ["arousal", "dominance", "valence"]
    assert len(both) == len(seen) == 4
    assert both[["arousal", "dominance", "valence"]].notna().all(axis=None)
    assert seen["arousal"].notna().all()
    assert seen["dominance"].isna().all()
    assert f"{hearing_model} only hears, and the file gives it nothing: left out" in outcome.out
    for name in ("good", "video_only"):
        assert (tmp_path / "out" / f"{name}.overlay.mp4").stat().st_size
        assert (tmp_path / "out" / f"{name}.png").stat().st_size


def test_every_model_is_announced_with_what_its_card_says(capsys):
    said = [Said("MIT", "one knows drawn faces only"), Said("CC-BY-NC-SA-4.0"), Said()]
    parts = [SimpleNamespace(device="cpu", notes=(), model=SimpleNamespace(said=one)) for one in said]
    announce(SimpleNamespace(parts=parts, detector=None, combine="mean"), "one", "two", "out/model")
    assert capsys.readouterr().err.splitlines() == [
        "mean of one, two, out/model, no face detector needed, on cpu",
        "Note: one knows drawn faces only",
        "Note: the weights of two are under CC-BY-NC-SA-4.0: read what it allows before you use the results",
    ]


def test_scores_overwrite_no_other_result(affect, scoring_model, media, tmp_path):
    files = [tmp_path / name for name in ("a.mp4", "a.scores.mp4")]
    for file in files:
        shutil.copy(media.good, file)
    given = ["--model", scoring_model, "--out", tmp_path / "out", "--detector", "full-frame"]
    assert affect("predict", *files, *given).code == 0
    names = ["a.mp4.csv", "a.mp4.scores.csv", "a.scores.mp4.csv", "a.scores.mp4.scores.csv"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    for file in files:
        assert pd.read_csv(tmp_path / "out" / f"{file.name}.scores.csv")["file"].tolist() == [str(file)]


def test_plot_and_overlay_are_written_beside_the_csv(predict, media, tmp_path):
    assert predict(media.good, "--plot", "--overlay").code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["good.csv", "good.overlay.mp4", "good.png"]


def test_timing_tells_every_stage_and_the_clock(affect, tiny_model, hearing_model, media, tmp_path):
    given = ["--out", tmp_path / "out", "--detector", "full-frame", "--timing", "--plot"]
    outcome = affect("predict", media.good, "--model", tiny_model, "--model", hearing_model, *given)
    assert outcome.code == 0, outcome.err
    lines = [line.strip() for line in outcome.out.splitlines()]
    for stage in ("decode (reading)", "detect (reading)", "crop (reading)", "mel (computing)", "backbones (computing)"):
        assert sum(line.startswith(stage) for line in lines) == 2
    assert any(line.startswith(f"{tiny_model}, stage (thread)") for line in lines)
    assert sum(line.startswith("on the clock, threads overlap") for line in lines) == 2
    assert [line.split()[1] for line in lines if line.startswith("then ")] == ["write", "plot"]


def test_smoothing_is_said_and_changes_the_rows(predict, media, tmp_path):
    plain, smooth = predict(media.good), predict(media.good, "--smooth", "box:1.5", out=tmp_path / "smooth")
    assert "predictions smoothed along time (box of 3 steps, 1.5 s)" in smooth.err
    assert "smoothed" not in plain.err
    assert "stage" not in plain.out
    raw, done = (pd.read_csv(tmp_path / name / "good.csv")["valence"] for name in ("out", "smooth"))
    assert done[0] == raw[0]
    assert done[1] == pytest.approx(raw[:3].mean(), abs=2e-6)  # six decimals


def test_an_overlay_without_a_face_is_a_remark(predict, media, tmp_path):
    outcome = predict(media.audio_only, "--overlay")
    assert outcome.code == 0
    assert "no face was found, so there is no overlay" in outcome.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["audio_only.csv"]


def test_bad_files_are_listed_and_the_others_written(predict, media, tmp_path):
    bad = [media.empty, media.text, media.missing, media.folder, media.truncated]
    outcome = predict(bad[0], media.good, *bad[1:], media.audio_only)
    assert outcome.code == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["audio_only.csv", "good.csv"]
    assert len(outcome.complaints) == len(bad)
    for file, line in zip(bad, outcome.complaints, strict=True):
        assert line.startswith(f"affectzoo: {file}: ")
    assert outcome.err.splitlines()[-1] == f"2 of 7 files done; not done: {', '.join(map(str, bad))}"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty", "this file is empty (0 bytes)"),
        ("text", "not a media file"),
        ("missing", "there is no such file"),
        ("folder", "this is a folder"),
        ("truncated", "damaged"),
    ],
)
def test_a_single_bad_file_is_one_sentence_and_exit_code_two(predict, media, tmp_path, name, words):
    outcome = predict(getattr(media, name))
    assert outcome.code == 2
    assert len(outcome.complaints) == 1
    assert words in outcome.complaints[0]
    assert outcome.complaints[0].count(str(getattr(media, name))) == 1
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "sees", "hears", "words"),
    [
        ("audio_only", False, True, "no video track: the visual stream is masked"),
        ("video_only", True, False, "no audio track: the audio stream is masked"),
        ("silent", False, False, "the audio track is silent: the audio stream is masked"),
    ],
)
def test_what_a_file_lacks_is_masked_and_said(predict, media, tmp_path, name, sees, hears, words):
    outcome = predict(getattr(media, name))
    assert outcome.code == 0
    assert words in outcome.out
    frame = pd.read_csv(tmp_path / "out" / f"{name}.csv")
    assert len(frame) == 4
    assert frame["face_present"].eq(sees).all()
    assert frame["audio_present"].eq(hears).all()
    assert frame["valence"].notna().eq(sees or hears).all()


def test_files_of_one_stem_do_not_overwrite_each_other(predict, media, tmp_path):
    outcome = predict(media.good, media.same_stem, media.copy)
    assert outcome.code == 0
    assert len(list((tmp_path / "out").iterdir())) == 3
    assert "good.mov.csv" in {path.name for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        (["a.mp4"], ["a"]),
        (["a.mp4", "b.mp4"], ["a", "b"]),
        (["a.mp4", "a.mov", "b.mp4"], ["a.mp4", "a.mov", "b"]),
        (["x/a.mp4", "y/a.mp4"], ["x-a.mp4", "y-a.mp4"]),
        (["/a.mp4", "/x/a.mp4"], ["a.mp4", "x-a.mp4"]),
        (["../a.mp4", "a.mp4"], ["a.mp4", "a.mp4-2"]),
        (["a.mp4", "a.mp4", "a.mp4"], ["a.mp4", "a.mp4-2", "a.mp4-3"]),
        (["a.scores.mp4"], ["a.scores"]),
        (["a.mp4", "a.scores.mp4", "b.mp4"], ["a.mp4", "a.scores.mp4", "b"]),
    ],
)
def test_result_names_are_short_and_lie_in_the_folder(files, wanted):
    assert result_names([Path(file) for file in files]) == wanted


@pytest.mark.parametrize(
    "files",
    [
        ["a.b.mp4", "a.b", "a.mp4", "a.b.c"],
        ["x/a.mp4", "y/a.mp4", "x-a.mp4.mkv"],
        ["a", "a", "a-2", "a-2.mp4"],
        ["d/a", "e/d/a", "a.x", "d-a.x"],
        ["q/a", "q/a", "q-a-2.csv"],
        ["a", "a.scores", "a.scores.scores", "a.scores.mp4"],
        ["a.mp4", "a.scores.mp4", "a.mp4.scores.mp4", "a.mp4.scores"],
        ["x/a", "x/a.scores", "y/x/a", "x-a.scores"],
    ],
)
def test_result_names_are_never_the_same(files):
    names = result_names([Path(file) for file in files])
    assert len({name + end for name in names for end in ("", ".scores")}) == 2 * len(files)
    assert all("/" not in name for name in names)


def test_an_out_folder_that_is_a_file_is_said_before_any_work(predict, media, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("mine")
    for out in (taken, taken / "below"):
        outcome = predict(media.good, media.good, out=out)
        assert outcome.code == 2
        assert len(outcome.complaints) == 1
        assert f"{out} cannot be a folder for results" in outcome.complaints[0]
    assert taken.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--overlap", "1.0"), "overlap must be"),
        (("--detect-every", "0"), "detect"),
        (("--device", "abacus"), "device 'abacus' cannot be used here"),
        (("--model", "jca-renderd"), "no model is called 'jca-renderd'"),
        (("--model", "no/such/folder"), "no/such/folder"),
        (("--combine", "mean"), "--combine is for several models"),
        (("--detector", "yunett"), "yunett"),
        (("--smooth", "mean:2"), "smoothing is box:SECONDS, median:SECONDS or gaussian:SECONDS"),
        (("--smooth", "box:0.5"), "smooths nothing over sub-sequences of 0.5 s; give at least 1.5 seconds"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_exit_code_two(affect, tiny_model, media, tmp_path, arguments, words):
    given = ["--detector", "full-frame", "--out", tmp_path / "out"]
    if "--model" not in arguments:
        given += ["--model", tiny_model]
    outcome = affect("predict", media.good, *given, *arguments)
    assert outcome.code == 2
    assert len(outcome.complaints) == 1
    assert words in outcome.complaints[0]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("jca-rendered",), "jca-rendered is given twice"),
        (("dmsn-severity-rendered",), "shares no target with dmsn-severity-rendered (severity)"),
        (("no-such-model",), "no model is called 'no-such-model'"),
        (("no-such-model", "--combine", "median"), "combine is one of mean, not 'median'"),
    ],
)
def test_models_that_do_not_go_together_are_one_sentence(affect, media, tmp_path, more, words):
    given = ["--detector", "full-frame", "--out", tmp_path / "out", "--model", "jca-rendered", "--model"]
    outcome = affect("predict", media.good, *given, *more)
    assert outcome.code == 2
    assert len(outcome.complaints) == 1
    assert words in outcome.complaints[0]


def test_debug_shows_the_traceback_of_a_bad_file_and_goes_on(affect, tiny_model, media, tmp_path):
    given = ["--model", tiny_model, "--detector", "full-frame", "--out", tmp_path / "out"]
    outcome = affect("--debug", "predict", media.empty, media.audio_only, *given)
    assert outcome.code == 1
    assert "Traceback (most recent call last)" in outcome.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["audio_only.csv"]


def test_the_installed_command_keeps_results_and_remarks_apart(tiny_model, media, tmp_path):
    command = [Path(sys.executable).parent / "affectzoo", "predict", media.audio_only, media.text]
    done = subprocess.run(
        [*map(str, command), "--model", str(tiny_model), "--detector", "full-frame", "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert media.audio_only.name in done.stdout
    assert media.text.name not in done.stdout
    assert "Traceback" not in done.stderr
    assert done.stderr.count("affectzoo: ") == 1


def test_demo_renders_predicts_and_compares(affect, tiny_model, tmp_path):
    outcome = affect(
        "demo", "--out", tmp_path / "new" / "demo", "--seconds", "5", "--model", tiny_model, "--detector", "full-frame"
    )
    assert outcome.code == 0, outcome.err
    names = ["affect.csv", "affect.png", "clip.mp4", "overlay.mp4"]
    assert sorted(path.name for path in (tmp_path / "new" / "demo").iterdir()) == names
    agreements = [line for line in outcome.out.splitlines() if ": valence " in line]
    assert [line.partition(": valence")[0] for line in agreements] == [
        "agreement with the truth (CCC)",
        "of jca-rendered, which was trained on such drawn faces",
    ]
    assert all(str(tmp_path / "new" / "demo" / name) in outcome.out for name in names)


def test_demo_of_a_model_that_is_not_there_renders_nothing(affect, tmp_path):
    outcome = affect("demo", "--out", tmp_path / "demo", "--model", "nonsense")
    assert outcome.code == 2
    assert len(outcome.complaints) == 1
    assert list((tmp_path / "demo").iterdir()) == []
