"""`affectzoo demo`: render a clip with sound that no model was trained on, predict it, compare with the truth behind it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from affectzoo.cli.console import out, remark
from affectzoo.cli.predict import announce, make_folder, outcome, timed
from affectzoo.errors import InputError

if TYPE_CHECKING:
    from affectzoo.data.rendered import RenderedClip
    from affectzoo.predict import Timeline

#: A model that was trained on such clips; others, of real people, never saw a drawn one.
DRAWN = "jca-rendered"
#: An identity of the test split and a clip of it that no recipe renders.
IDENTITY_SPLIT, CLIP_SEED = "test", 4242


def run_demo(folder: Path, *, seconds: float, model: str, detector: str) -> None:
    """Render, predict, write CSV, plot and overlay, print the agreement with the truth and the paths."""
    from affectzoo.data.rendered import make_clips, write_clip
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

    csv = timeline.to_csv(folder / "affect.csv")
    truth = _truth(clip, timeline, seconds)
    plotted = timeline.frame[["time_s"]].assign(valence=truth[:, 0], arousal=truth[:, 1])
    timeline.plot(folder / "affect.png", truth=plotted)
    overlay = timeline.overlay(video, folder / "overlay.mp4")
    out.print(outcome(timeline, took), markup=False, soft_wrap=True)
    out.print(f"agreement with the truth (CCC): {_agreement(timeline, truth)}", soft_wrap=True)
    if model != DRAWN:
        other = Predictor(DRAWN, detector=detector)(video)
        agreement = _agreement(other, _truth(clip, other, seconds))
        out.print(f"of {DRAWN}, which was trained on such drawn faces: {agreement}", soft_wrap=True)
    for label, path in (("clip", video), ("timeline", csv), ("plot", folder / "affect.png"), ("overlay", overlay)):
        out.print(f"  {label:9} {path}", markup=False, soft_wrap=True)


def _truth(clip: RenderedClip, timeline: Timeline, seconds: float) -> np.ndarray:
    """`[rows, 2]` mean valence and arousal of what the face was drawn from."""
    start_s, end_s = (timeline.frame[name].to_numpy() for name in ("start_s", "end_s"))
    return clip.mean_affect(start_s, np.minimum(end_s, seconds) - start_s)


def _agreement(timeline: Timeline, truth: np.ndarray) -> str:
    import torch

    from affectzoo.objectives.metrics import ccc

    predicted = torch.tensor(timeline.frame[["valence", "arousal"]].to_numpy(dtype=float))
    valence, arousal = ccc(predicted, torch.from_numpy(truth), predicted.isfinite().all(dim=1))
    return f"valence {valence:.3f}, arousal {arousal:.3f}"
