"""Files in, timelines out: streams, masks, batches, devices, errors."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pandas as pd
import pytest
import torch

import affectzoo
from affectzoo.config import FramesInput
from affectzoo.data.rendered import RenderedClip, write_clip
from affectzoo.errors import AffectzooError, InputError, MediaError, PredictionError, UnknownNameError
from affectzoo.media.audio import LogMel
from affectzoo.media.crops import frames_to_tensor
from affectzoo.media.pipeline import MediaStream
from affectzoo.media.windows import window_starts
from affectzoo.predict import Predictor, Timeline, predict
from affectzoo.predict.features import in_batches


class ToyColour(affectzoo.Backbone):
    """The mean colour of clips of 16 frames; keeps what it was given."""

    def __init__(self):
        super().__init__()
        self.feature_dim = 3
        self.input = FramesInput(frames=16, height=8, width=8)
        self.given = []

    def forward(self, x):
        self.given.append(x)
        return x.mean(dim=(2, 3, 4))


def plainly(model, path, detector, hop):
    """(face, index) -> values: every sub-sequence by itself, one window after the other. One face throughout, no gaps."""
    visual, audio = (model.config.streams[name].input for name in ("visual", "audio"))
    seconds, length = model.config.sequence.seconds, model.config.sequence.length
    items = list(MediaStream(path, seconds=seconds, frames=visual, audio=audio, detector=detector))
    log_mel = LogMel(audio, seconds)
    with torch.inference_mode():
        seen = torch.cat([model.backbones["visual"](frames_to_tensor(i.faces[0].crops[None], visual)) for i in items])
        heard = torch.cat([model.backbones["audio"](log_mel(torch.from_numpy(i.audio)[None])) for i in items])
        sums, counts = torch.zeros(len(items), 2), torch.zeros(len(items), 1)
        for start in window_starts(len(items), length, hop):
            part = slice(start, start + length)
            size = len(items[part])
            features = {name: torch.zeros(1, length, x.shape[1]) for name, x in (("visual", seen), ("audio", heard))}
            features["visual"][0, :size], features["audio"][0, :size] = seen[part], heard[part]
            mask = torch.arange(length)[None] < size
            sums[part] += model.forward_features(features, {"visual": mask, "audio": mask})[0, :size]
            counts[part] += 1
    return (sums / counts).numpy()


@pytest.mark.parametrize(
    ("duration_s", "overlap", "batch_size"), [(5.0, 0.5, 3), (5.0, 0.75, 16), (3.9, 0.0, 1), (1.1, 0.5, 4)]
)
def test_a_file_predicts_like_its_parts_and_each_is_encoded_once(
    make_model, make_clip, detector, duration_s, overlap, batch_size
):
    model = make_model()
    clip = make_clip(duration_s=duration_s)
    expected = plainly(model, clip, detector, hop=max(1, round(4 * (1 - overlap))))
    for backbone in model.backbones.values():
        backbone.encoded.clear()
    timeline = Predictor(model, detector=detector, overlap=overlap, batch_size=batch_size, device="cpu")(clip)
    np.testing.assert_allclose(timeline.frame[["valence", "arousal"]].to_numpy(), expected, atol=1e-5)
    for backbone in model.backbones.values():
        assert sum(backbone.encoded) == len(expected)
        assert max(backbone.encoded) <= batch_size


def test_every_file_begins_with_no_past_sound(make_model, make_clip, detector):
    """Where the means of bands are taken away, what a model heard in one file does not count in the next one."""
    model = make_model()
    audio = model.config.streams["audio"].input.model_copy(update={"cmn_seconds": 4.0})
    stream = model.config.streams["audio"].model_copy(update={"input": audio})
    streams = {**model.config.streams, "audio": stream}
    model.config = model.config.model_copy(update={"streams": streams})
    predictor = Predictor(model, detector=detector, batch_size=2, device="cpu")
    clip, other = make_clip(duration_s=5.0), make_clip(duration_s=3.9)
    alone = predictor(clip).frame
    predictor(other)
    pd.testing.assert_frame_equal(predictor(clip).frame, alone)
    plain = Predictor(make_model(), detector=detector, batch_size=2, device="cpu")(clip).frame
    assert (plain["valence"] - alone["valence"]).abs().max() > 1e-4


def test_two_faces_have_a_row_each_and_share_the_sound(make_model, make_clip, detector):
    model = make_model()
    timeline = Predictor(model, detector=detector, device="cpu")(make_clip(green=[(0, 99)]))
    frame = timeline.frame
    assert timeline.faces == [0, 1]
    assert (frame.groupby("start_s").size() == 2).all()
    assert frame["face_present"].all()
    left = frame[frame["box_x1"] < 48]
    right = frame[frame["box_x0"] > 48]
    assert len(left) == len(right) == len(frame) / 2
    np.testing.assert_allclose(left[["box_x0", "box_y0", "box_x1", "box_y1"]].median(), [10, 16, 30, 40], atol=1.5)
    assert left["valence"].to_numpy() != pytest.approx(right["valence"].to_numpy())
    steps = frame["start_s"].nunique()
    assert sum(model.backbones["audio"].encoded) == steps
    assert sum(model.backbones["visual"].encoded) == 2 * steps


def test_a_face_that_is_away_for_a_moment_keeps_its_timeline(make_model, make_clip, detector):
    timeline = Predictor(make_model(), detector=detector, device="cpu")(make_clip(duration_s=6.0, red=[(0, 2.0), (3.2, 99)]))
    frame = timeline.frame
    assert timeline.faces == [0]
    assert frame["face_id"].notna().all()
    hidden = frame[~frame["face_present"]]
    assert set(hidden["start_s"].round(3)) == {2.0, 2.4, 2.8}
    assert hidden["box_x0"].isna().all()
    assert hidden["valence"].notna().all()


def test_time_without_any_face_is_covered_by_the_sound(make_model, make_clip, detector):
    frame = Predictor(make_model(), detector=detector, device="cpu")(make_clip(duration_s=8.0, red=[(0, 3.2)])).frame
    assert frame["start_s"].is_unique
    np.testing.assert_allclose(frame["start_s"].diff().dropna(), 0.4, atol=1e-9)
    late = frame[frame["start_s"] > 3.1]
    assert len(late) == 12
    assert late["face_id"].isna().all()
    assert late["valence"].notna().all()
    assert frame.loc[frame["start_s"] < 3.1, "face_present"].all()


def test_each_stream_may_be_missing_and_both(make_model, make_clip, detector):
    model = make_model()
    predictor = Predictor(model, detector=detector, device="cpu")
    mute = predictor(make_clip("mute.mkv", sound=None))
    assert not mute.frame["audio_present"].any()
    assert mute.frame["valence"].notna().all()
    assert sum(model.backbones["audio"].encoded) == 0
    assert any("audio" in warning for warning in mute.warnings)
    heard = predictor(make_clip("heard.mkv", video=False))
    assert heard.frame["face_id"].isna().all()
    assert heard.frame["valence"].notna().all()
    both = predictor(make_clip("gaps.mkv", duration_s=8.0, red=[(0, 2.0)], sound=[(0, 4.0)])).frame
    blank = both[~both["face_present"] & ~both["audio_present"]]
    assert len(blank) == 10
    assert blank[["valence", "arousal"]].isna().all(axis=None)
    assert both.loc[both["face_present"] | both["audio_present"], "valence"].notna().all()


@pytest.mark.parametrize("audio", ["toy-audio", "toy-waveform"])
def test_a_model_that_only_hears(make_model, make_clip, audio):
    predictor = Predictor(make_model(visual=None, audio=audio), device="cpu")
    timeline = predictor(make_clip())
    assert timeline.detector == ""
    assert len(timeline) == 10
    assert timeline.frame["valence"].notna().all()
    with pytest.raises(MediaError, match="no audio track"):
        predictor(make_clip("mute.mkv", sound=None))


def test_a_model_that_only_sees(make_model, make_clip, detector):
    predictor = Predictor(make_model(audio=None), detector=detector, device="cpu")
    frame = predictor(make_clip(duration_s=6.0, red=[(0, 2.0)])).frame
    assert frame["valence"].notna().tolist() == frame["face_present"].tolist() == [True] * 5 + [False] * 10
    with pytest.raises(MediaError, match="no video track"):
        predictor(make_clip("heard.mkv", video=False))


def test_rows_tell_how_many_frames_show_the_face(make_model, make_clip, detector):
    model = make_model()
    whole = Predictor(model, detector=detector, device="cpu")(make_clip("whole.mkv"))
    assert whole.frame["face_frames"].tolist() == [2] * 10
    assert not whole.warnings
    # Slots lie at 0.1 s and 0.3 s of every 0.4 s: the face leaves between those of the sixth row.
    left = Predictor(model, detector=detector, device="cpu")(make_clip("left.mkv", red=[(0, 2.2)]))
    assert left.frame["face_frames"].tolist()[:6] == [2] * 5 + [1]
    assert left.frame["face_frames"].isna().tolist() == [False] * 6 + [True] * 4
    assert not left.warnings  # a last sub-sequence is rarely full
    heard = Predictor(make_model(visual=None), device="cpu")(make_clip("heard.mkv"))
    assert heard.frame["face_frames"].isna().all()
    assert not heard.warnings


@pytest.mark.parametrize("pool", [None, "median"])
def test_a_video_shorter_than_a_sub_sequence_repeats_its_last_frame(tmp_path, pool):
    clip = write_clip(RenderedClip(3, 1, 0.6), tmp_path / "short.mp4", size=(160, 120), fps=30)
    affectzoo.register_backbone("toy-colour")(ToyColour)
    model = affectzoo.create_model(
        visual="toy-colour",
        targets=["bdi-ii"],
        sequence={"seconds": 4.27, "length": 1},
        head={"pool": pool},
    )
    timeline = Predictor(model, detector="full-frame", device="cpu")(clip)
    assert len(timeline) == 1
    assert timeline.duration_s == pytest.approx(0.6, abs=0.1)
    assert timeline.frame["face_frames"].tolist() == [2]
    assert timeline.frame["bdi-ii"].notna().all()
    assert timeline.warnings[-1].startswith("1 of 1 rows with a face holds fewer than half of its 16 frames")
    (crops,) = model.backbones["visual"].given
    assert (crops[0, :, 1:] == crops[0, :, 1:2]).all()
    if pool is not None:
        assert timeline.scores["clips"].tolist() == [1]
    timeline.plot(tmp_path / "short.png")


def test_an_optimised_model_stays_where_it_was_made(make_model, make_clip, detector, monkeypatch):
    fast = make_model().optimize_for_inference(batch_size=1, seconds=0.1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    predictor = Predictor(fast, detector=detector)
    assert predictor.device == torch.device("cpu")
    assert len(predictor(make_clip("fast.mkv")))


def test_half_precision_is_kept(make_model, make_clip, detector):
    clip = make_clip()
    full = Predictor(make_model(), detector=detector, device="cpu")(clip)
    half = Predictor(make_model().to(torch.bfloat16), detector=detector, device="cpu")(clip)
    np.testing.assert_allclose(half.frame["valence"], full.frame["valence"], atol=0.05)
    assert half.frame["valence"].dtype == np.float64


def test_the_model_is_left_in_the_mode_it_was_in(make_model, make_clip, detector):
    model = make_model().train()
    model.head.eval()
    Predictor(model, detector=detector, device="cpu")(make_clip(duration_s=1.0))
    assert model.training
    assert model.backbones["visual"].training
    assert not model.head.training


def test_progress_tells_seconds(make_model, make_clip, detector):
    told = []
    Predictor(make_model(), detector=detector, batch_size=4, device="cpu")(make_clip(), lambda *args: told.append(args))
    assert [round(done, 3) for done, _ in told] == [1.6, 3.2, 4.0]
    assert all(total == pytest.approx(4.0, abs=0.1) for _, total in told)


def test_an_error_in_the_model_ends_the_decoding_thread(make_model, make_clip, detector):
    model = make_model()
    predictor = Predictor(model, detector=detector, batch_size=1, device="cpu")
    model.backbones["visual"].forward = lambda _: 1 / 0
    with pytest.raises(PredictionError, match="ZeroDivisionError") as caught:
        predictor(make_clip(duration_s=8.0))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert not [t for t in threading.enumerate() if t.name == "affectzoo-prefetch"]


def test_detectors_by_name_and_by_what_they_are(make_model, make_clip):
    assert Predictor(make_model(), detector="haar", device="cpu")(make_clip()).detector == "haar"
    whole = Predictor(make_model(), detector="full-frame", device="cpu")(make_clip())
    assert whole.detector == "full-frame"
    assert whole.frame[["box_x0", "box_y0", "box_x1", "box_y1"]].iloc[0].tolist() == [0, 0, 96, 64]
    with pytest.raises(affectzoo.AffectzooError, match="yunet"):
        Predictor(make_model(), detector="yunets")
    with pytest.raises(InputError, match="detect"):
        Predictor(make_model(), detector=object())


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"overlap": 1.0}, "overlap"),
        ({"overlap": -0.1}, "overlap"),
        ({"batch_size": 0}, "batch_size"),
        ({"detect_every": 0}, "detect_every"),
        ({"device": "nonsense"}, "device 'nonsense' cannot be used here; there is cpu"),
        ({"device": "meta"}, "device 'meta' cannot be used here"),
    ],
)
def test_options_out_of_range_are_refused_at_once(make_model, detector, option, message):
    with pytest.raises(InputError, match=message):
        Predictor(make_model(), **{"detector": detector, **option})


@pytest.mark.usefixtures("make_model")
def test_another_stream_is_refused_by_name(detector):
    model = affectzoo.create_model(
        visual="toy-visual", streams={"gaze": "toy-waveform"}, fusion="toy-fusion", sequence={"seconds": 0.4, "length": 4}
    )
    with pytest.raises(InputError, match="'gaze'"):
        Predictor(model, detector=detector)


def test_several_files_go_on_after_a_bad_one_when_asked(make_model, make_clip, detector, tmp_path):
    good = make_clip(duration_s=1.0)
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no media at all")
    options = {"detector": detector, "device": "cpu"}
    assert isinstance(predict(make_model(), str(good), **options), Timeline)
    with pytest.raises(MediaError, match=r"bad\.mp4"):
        predict(make_model(), [bad, good], **options)
    collected = predict(make_model(), [bad, good], on_error="collect", **options)
    assert isinstance(collected[0], AffectzooError)
    assert isinstance(collected[1], Timeline)
    with pytest.raises(InputError, match="on_error"):
        predict(make_model(), [good], on_error="ignore", **options)


@pytest.mark.parametrize(
    ("found", "words"), [(lambda _: 1 / 0, "failed: ZeroDivisionError"), (lambda _: np.ones((1, 4)), r"must return \[n, 5\]")]
)
def test_a_broken_detector_is_named_and_stops_no_other_file(make_model, make_clip, found, words):
    class Broken:
        def detect(self, image):
            return found(image)

    collected = predict(make_model(), [make_clip(duration_s=1.0)] * 2, on_error="collect", detector=Broken(), device="cpu")
    assert len(collected) == 2
    for error in collected:
        with pytest.raises(AffectzooError, match=f"Broken {words}"):
            raise error


def test_values_that_are_no_numbers_are_an_error_and_not_a_gap(make_model, make_clip, detector):
    model = make_model()
    with torch.no_grad():
        next(model.head.parameters()).fill_(torch.nan)
    with pytest.raises(PredictionError, match="not numbers"):
        Predictor(model, detector=detector, device="cpu")(make_clip(duration_s=1.0))


def test_an_address_is_not_taken_for_a_file(make_model, detector):
    with pytest.raises(MediaError, match="download the file"):
        Predictor(make_model(), detector=detector, device="cpu")("https://example.org/clip.mp4")


def test_a_saved_model_predicts_by_its_folder(make_model, make_clip, detector, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path / "saved")
    clip = make_clip(duration_s=2.0)
    timeline = predict(tmp_path / "saved", clip, detector=detector, device="cpu")
    assert timeline.model == str(tmp_path / "saved")
    pd.testing.assert_frame_equal(timeline.frame, predict(model, clip, detector=detector, device="cpu").frame)


def test_the_package_can_be_called_as_the_function_of_its_name():
    # Once imported, the package is what `affectzoo.predict` holds; before, it is the function.
    for named in (affectzoo.predict, sys.modules["affectzoo.predict"], predict):
        with pytest.raises(UnknownNameError, match="no-such-model"):
            named("no-such-model", "clip.mp4")


def test_groups_are_closed_by_faces_or_by_steps():
    class Item:
        def __init__(self, faces):
            self.faces = dict.fromkeys(range(faces))

    sizes = [[len(i.faces) for i in group] for group in in_batches([Item(n) for n in (0, 1, 3, 5, 0, 0, 0, 0, 1)], 4)]
    assert sizes == [[0, 1, 3], [5], [0, 0, 0, 0], [1]]
