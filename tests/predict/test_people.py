"""The bundled model of real people on a clip of one: skipped where the clip is not at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from affectzoo.predict import Predictor

CLIP = "pyfeat_woman_emotions_640x360_h264_aac.mp4"


@pytest.mark.parametrize("model", ["av-base", "face-web"])
def test_a_woman_who_smiles_has_the_higher_valence_than_when_she_weeps(model: str, shared: Path, monkeypatch) -> None:
    weights = shared / "models" / "face_detection_yunet.onnx"
    if weights.is_file():
        monkeypatch.setenv("AFFECTZOO_YUNET", str(weights))
    clip = shared / "media" / CLIP
    if not clip.is_file():
        pytest.skip(f"{clip} is not there")
    frame = Predictor(model)(clip).frame
    # She weeps for seconds 0 to 9 and smiles for 11 to 19; the sound track is silent.
    weeping, smiling = (frame.loc[frame["time_s"].between(*span), "valence"].mean() for span in ((0, 9), (11, 19)))
    assert not frame["audio_present"].any()
    assert smiling > weeping + 0.3, (weeping, smiling)
