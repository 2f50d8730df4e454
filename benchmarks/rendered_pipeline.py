"""What a user gets: a model on unseen rendered clips that went through mp4, face detection and tracking.

    python benchmarks/rendered_pipeline.py --clips 16 --detectors yunet haar full-frame
    python benchmarks/rendered_pipeline.py --model dmsn-severity-rendered --clips 24 --detectors yunet haar
    python benchmarks/rendered_pipeline.py --model dmsn-pain-rendered --clips 24 --seconds 17.0667 --detectors yunet haar

The recipe's own figures come from prepared crops; here the same identities appear in new clips, encoded as h264 and aac.
Of valence and arousal the rows of the timeline are scored (those without a face are predicted from sound and count like the
others), of severity and pain the recordings: the score of the face with the most rows against the true one.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

import affectzoo
from affectzoo.data.rendered import RenderedClip, make_clips, write_clip
from affectzoo.errors import DetectorError
from affectzoo.model.build import create_detector
from affectzoo.objectives.metrics import ccc, mean_absolute_error
from affectzoo.predict import Predictor, Timeline

CLIP_SEED = 555


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="jca-rendered")
    parser.add_argument("--clips", type=int, default=16, help="identities of the test split, one clip each")
    parser.add_argument("--seconds", type=float, default=34.1333)
    parser.add_argument("--detectors", nargs="+", default=["yunet", "haar", "full-frame"])
    options = parser.parse_args()
    model = affectzoo.load(options.model)
    task = model.columns[0] if model.columns[0] in ("severity", "pain") else "affect"
    predictors = {}
    for name in options.detectors:
        try:
            predictors[name] = Predictor(model, detector=create_detector(name))
        except DetectorError as error:
            print(f"{name} left out: {error}")
    pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in predictors}
    faces = dict.fromkeys(predictors, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        for clip in make_clips("test", identities=options.clips, duration_s=options.seconds, seed=CLIP_SEED, task=task):
            video = write_clip(clip, Path(folder) / "clip.mp4")
            for name, predictor in predictors.items():
                timeline = predictor(video)
                faces[name] += float(timeline.frame["face_present"].mean()) / options.clips
                if task == "affect" or len(timeline.scores.dropna()):
                    pairs[name].append(rows(timeline, clip) if task == "affect" else recording(timeline, clip, task))
                else:
                    print(f"{name} found no face of identity {clip.identity}: left out")
    print("| detector | " + " | ".join(f"CCC {column} | MAE {column}" for column in model.columns) + " | face found |")
    print("|---" * (2 * len(model.columns) + 2) + "|")
    for name, scored in pairs.items():
        if not scored:
            print(f"| {name} | " + "- | " * (2 * len(model.columns)) + f"{faces[name]:.0%} |")
            continue
        predicted, truth = (torch.from_numpy(np.concatenate(part)) for part in zip(*scored, strict=True))
        valid = predicted.isfinite().all(dim=1)
        cells = zip(ccc(predicted, truth, valid), mean_absolute_error(predicted, truth, valid), strict=True)
        print(f"| {name} | " + " | ".join(f"{a:.3f} | {b:.3f}" for a, b in cells) + f" | {faces[name]:.0%} |")


def rows(timeline: Timeline, clip: RenderedClip) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true valence and arousal, `[n, 2]` each, of every row."""
    start_s, end_s = timeline.frame["start_s"].to_numpy(), timeline.frame["end_s"].to_numpy()
    truth = clip.mean_affect(start_s, np.minimum(end_s, clip.duration_s) - start_s)
    return timeline.frame[["valence", "arousal"]].to_numpy(dtype=float), truth


def recording(timeline: Timeline, clip: RenderedClip, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true score, `[1, 1]` each: of the face with the most rows, and the median of the true rows."""
    scores = timeline.scores
    score = scores.loc[scores["clips"].idxmax(), task]
    if task == "severity":
        return np.array([[score]]), np.array([[clip.severity]])
    seconds = float(timeline.frame["end_s"].iloc[0] - timeline.frame["start_s"].iloc[0])
    starts_s = np.arange(round(clip.duration_s / seconds)) * seconds
    return np.array([[score]]), np.array([[np.median(clip.peak_pain(starts_s, seconds))]])


if __name__ == "__main__":
    main()
