"""The model that ships with the package, on a clip nobody trained on and on real files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import affectzoo
from affectzoo.cli.app import app
from affectzoo.data.rendered import RenderedClip, make_clips, write_clip
from affectzoo.objectives.metrics import ccc
from affectzoo.predict import Predictor


@pytest.fixture(scope="module")
def model() -> affectzoo.AffectModel:
    return affectzoo.load("jca-rendered")


def test_it_follows_the_truth_of_an_unseen_clip_through_the_whole_pipeline(
    model: affectzoo.AffectModel, tmp_path: Path
) -> None:
    # Two strangers, a minute each, from mp4 through detection. One minute is a small sample: the card has the real figures.
    predicted, truth = [], []
    for clip in make_clips("test", identities=2, duration_s=60, seed=31):
        write_clip(clip, tmp_path / "clip.mp4", size=(320, 240), fps=15)
        frame = Predictor(model, detector="haar")(tmp_path / "clip.mp4").frame
        assert frame["face_present"].mean() > 0.5
        predicted.append(frame[["valence", "arousal"]].to_numpy(dtype=float))
        truth.append(clip.affect(frame["time_s"].to_numpy(dtype=float)))
    agreement = ccc(torch.from_numpy(np.concatenate(predicted)), torch.from_numpy(np.concatenate(truth)))
    assert agreement.min() > 0.5, agreement


@pytest.mark.parametrize(("task", "seconds", "apart"), [("severity", 34.1334, 2.0), ("pain", 17.0667, 1.0)])
def test_a_recording_model_tells_strangers_apart_through_the_whole_pipeline(
    task: str, seconds: float, apart: float, tmp_path: Path
) -> None:
    # From mp4 through detection; two levels far apart of two people each. The cards have the real figures.
    predictor = Predictor(f"dmsn-{task}-rendered", detector="haar")
    scores = {}
    for level in (1.0, 9.0):
        for identity in (2_000_000, 2_000_001):
            clip = RenderedClip(identity, 31, seconds, **{task: level})
            write_clip(clip, tmp_path / "clip.mp4", size=(320, 240), fps=15)
            timeline = predictor(tmp_path / "clip.mp4")
            best = timeline.scores.loc[timeline.scores["clips"].idxmax()]
            assert best["clips"] >= 4
            scores[level, identity] = float(best[task])
    low, high = (np.mean([score for key, score in scores.items() if key[0] == level]) for level in (1.0, 9.0))
    assert high - low > apart, scores


def test_reloading_after_a_save_predicts_the_same_bits(model: affectzoo.AffectModel, tmp_path: Path) -> None:
    inputs = {"visual": torch.rand(1, 16, 3, 4, 64, 64), "audio": torch.rand(1, 16, 1, 64, 107)}
    model.save_pretrained(tmp_path / "again")
    with torch.no_grad():
        assert torch.equal(affectzoo.load(tmp_path / "again")(inputs), model(inputs))


def test_every_real_clip_gives_a_timeline_or_one_sentence(shared: Path, tmp_path: Path) -> None:
    files = sorted(p for p in (shared / "media").iterdir() if p.suffix not in (".md", ".csv"))
    assert len(files) == 18
    result = CliRunner().invoke(app, ["predict", *map(str, files), "--out", str(tmp_path), "--detector", "haar"])
    assert result.exit_code == 1
    roles = {row["file_name"]: row for row in csv.DictReader((shared / "media" / "metadata.csv").open())}
    assert result.stderr.count("affectzoo: ") == 1
    assert "corrupt_zero_bytes.mp4" in result.stderr
    for file in files:
        if roles[file.name]["vcodec"] or roles[file.name]["acodec"]:
            lines = (tmp_path / f"{file.stem}.csv").read_text().splitlines()
            assert len(lines) >= 2, file.name
