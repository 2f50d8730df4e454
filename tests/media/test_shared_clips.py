"""The real clips: every one gives rows with the right masks, or one clear sentence."""

import csv
import math

import pytest

from affectzoo.config import FramesInput, LogMelInput
from affectzoo.errors import MediaError
from affectzoo.media.decode import VideoFrames, probe
from affectzoo.media.detectors.yunet import YuNetDetector
from affectzoo.media.pipeline import MediaStream

SECONDS = 32 / 30


@pytest.fixture(scope="module")
def listed(shared):
    with (shared / "media" / "metadata.csv").open() as file:
        return list(csv.DictReader(file))


def test_all_clips(shared, listed, yunet_weights):
    assert len(listed) == 18
    for row in listed:
        path = shared / "media" / row["file_name"]
        if row["file_name"] == "corrupt_zero_bytes.mp4":
            with pytest.raises(MediaError, match="empty"):
                probe(path)
            continue
        info = probe(path)
        frames = int(float(row["frames"]))
        video = VideoFrames(info)
        assert sum(1 for _ in video) == frames, path
        assert (info.video is not None) == (row["fps"] != "")
        if info.video is not None:
            assert (info.video.width, info.video.height) == (float(row["w"]), float(row["h"]))
            assert info.video.fps == pytest.approx(float(row["fps"]), rel=0.01)
        assert info.audio.sample_rate == float(row["sr"])
        assert info.audio.channels == float(row["ch"])
        check_clip(path, row, info, video, yunet_weights)


def check_clip(path, row, info, video, weights):
    media = MediaStream(
        path, seconds=SECONDS, frames=FramesInput(), audio=LogMelInput(), detector=YuNetDetector(weights), detect_every=4
    )
    rows = list(media)
    audio_end_s = info.audio.start_s + float(row["audio_s"])
    assert abs(len(rows) - math.ceil(max(video.end_s, audio_end_s) / SECONDS)) <= 1, path
    assert any(r.audio_present for r in rows) == (float(row["audio_peak"]) > 0), path
    said = " ".join(media.warnings)
    assert ("damaged" in said) == ("InvalidDataError" in row["decode_error"]), path
    assert ("no video track" in said) == (row["role"] == "audio_only"), path
    assert ("silent" in said) == (row["role"] == "silent_audio_track"), path
    if info.video is None:
        return
    slots = sum(min(8, max(0, round((video.end_s - r.start_s) / SECONDS * 8))) for r in rows)
    shown = sum(max((int(f.present.sum()) for f in r.faces.values()), default=0) for r in rows)
    # A slot at the edge of the file or of an appearance may fall either way; the gap clip counts 0.6 with its fades.
    assert shown / slots == pytest.approx(float(row["frac_frames_with_face"]), abs=0.12), path
    assert {n for r in rows for n in r.faces} == set(range(int(float(row["faces_max"])))), path
