"""What a user gets: CCC of a model on unseen rendered clips that went through mp4, face detection and tracking.

    python benchmarks/rendered_pipeline.py --clips 16 --detectors yunet haar full-frame

The recipe's own figures come from prepared crops; here the same identities speak in new clips, encoded as h264 and aac.
Rows without a face are predicted from sound and count like the others.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from affectzoo.data.rendered import make_clips, write_clip
from affectzoo.errors import DetectorError
from affectzoo.model.build import create_detector
from affectzoo.objectives.metrics import ccc
from affectzoo.predict import Predictor

CLIP_SEED = 555
COLUMNS = ["valence", "arousal"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="jca-rendered")
    parser.add_argument("--clips", type=int, default=16, help="identities of the test split, one clip each")
    parser.add_argument("--seconds", type=float, default=34.1333)
    parser.add_argument("--detectors", nargs="+", default=["yunet", "haar", "full-frame"])
    options = parser.parse_args()
    predictors = {}
    for name in options.detectors:
        try:
            predictors[name] = Predictor(options.model, detector=create_detector(name))
        except DetectorError as error:
            print(f"{name} left out: {error}")
    predicted: dict[str, list[np.ndarray]] = {name: [] for name in predictors}
    truth: dict[str, list[np.ndarray]] = {name: [] for name in predictors}
    faces = dict.fromkeys(predictors, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        for clip in make_clips("test", identities=options.clips, duration_s=options.seconds, seed=CLIP_SEED):
            video = write_clip(clip, Path(folder) / "clip.mp4")
            for name, predictor in predictors.items():
                frame = predictor(video).frame
                start_s, end_s = frame["start_s"].to_numpy(), frame["end_s"].to_numpy()
                truth[name].append(clip.mean_affect(start_s, np.minimum(end_s, options.seconds) - start_s))
                predicted[name].append(frame[COLUMNS].to_numpy(dtype=float))
                faces[name] += float(frame["face_present"].mean()) / options.clips
    print("| detector | CCC valence | CCC arousal | face found |")
    print("|---|---|---|---|")
    for name in predictors:
        values = torch.from_numpy(np.concatenate(predicted[name]))
        score = ccc(values, torch.from_numpy(np.concatenate(truth[name])), values.isfinite().all(dim=1))
        print(f"| {name} | {score[0]:.3f} | {score[1]:.3f} | {faces[name]:.0%} |")


if __name__ == "__main__":
    main()
