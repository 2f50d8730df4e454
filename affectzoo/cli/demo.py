"""`affectzoo demo`: render a clip that no model was trained on, predict it, compare with the truth behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from affectzoo.cli.console import out, remark
from affectzoo.cli.predict import announce, make_folder, outcome, timed
from affectzoo.errors import InputError

#: An identity of the test split and a clip of it that no recipe renders.
IDENTITY_SPLIT, CLIP_SEED = "test", 4242


def run_demo(folder: Path, *, seconds: float, model: str, detector: str) -> None:
    """Render, predict, write CSV, plot and overlay, print the agreement with the truth and the paths."""
    import torch

    from affectzoo.data.rendered import make_clips, write_clip
    from affectzoo.objectives.metrics import ccc
    from affectzoo.predict import Predictor

    make_folder(folder)
    predictor = Predictor(model, detector=detector, say=remark)
    missing = {"valence", "arousal"} - set(predictor.model.predicted_columns)
    if missing:
        raise InputError(f"the demo needs valence and arousal; {model} predicts {', '.join(predictor.model.predicted_columns)}")
    clip = make_clips(IDENTITY_SPLIT, identities=1, duration_s=seconds, seed=CLIP_SEED)[0]
    remark(f"rendering {seconds:.0f} s of a talking face with sound (identity {clip.identity}, unseen in training)")
    video = write_clip(clip, folder / "clip.mp4")
    announce(predictor, model)
    timeline, took = timed(predictor, video)

    frame = timeline.frame
    start_s, end_s = frame["start_s"].to_numpy(), frame["end_s"].to_numpy()
    truth = clip.mean_affect(start_s, np.minimum(end_s, seconds) - start_s)
    predicted = torch.tensor(frame[["valence", "arousal"]].to_numpy(dtype=float))
    agreement = ccc(predicted, torch.from_numpy(truth), predicted.isfinite().all(dim=1))

    csv = timeline.to_csv(folder / "affect.csv")
    plotted = frame[["time_s"]].assign(valence=truth[:, 0], arousal=truth[:, 1])
    timeline.plot(folder / "affect.png", truth=plotted)
    overlay = timeline.overlay(video, folder / "overlay.mp4")
    out.print(outcome(timeline, took), markup=False, soft_wrap=True)
    out.print(f"agreement with the truth (CCC): valence {agreement[0]:.3f}, arousal {agreement[1]:.3f}")
    for label, path in (("clip", video), ("timeline", csv), ("plot", folder / "affect.png"), ("overlay", overlay)):
        out.print(f"  {label:9} {path}", markup=False, soft_wrap=True)
