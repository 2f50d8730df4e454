"""Several models, one timeline: times, faces, ranges and classes brought together, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import torch

import affectzoo
from affectzoo.config import TargetConfig
from affectzoo.errors import AffectzooError, InputError, MediaError, PredictionError
from affectzoo.predict import CombinedPredictor, Predictor, Timeline, predict
from affectzoo.predict.merge import merge
from affectzoo.predict.windows import Row

VALENCE = TargetConfig.parse("valence")
#: Sums of a few products in double precision.
EXACT = 1e-12


def timeline(seconds, values, face=None, box=None, heard=True, targets=(VALENCE,), index=0, **details):
    """Rows of one face, or of nobody, one after the other; a value None is a row in which the model was given nothing."""
    rows = [_row(index + k, seconds, face, value, box, heard) for k, value in enumerate(values)]
    return Timeline.from_rows(rows, targets=targets, **details)


def joined(*timelines):
    """Rows of several tracks as one model's timeline."""
    frame = pd.concat([part.frame for part in timelines]).sort_values(["start_s", "face_id"])
    return Timeline(frame, targets=timelines[0].targets)


def _row(index, seconds, face, value, box, heard):
    values = np.atleast_1d(np.nan if value is None else np.asarray(value, float))
    shown = None if box is None else np.array(box, np.float32)
    frames = None if box is None else 4
    return Row(index, index * seconds, (index + 1) * seconds, face, values, box is not None, heard, frames, shown)


def combine(*timelines, targets=(VALENCE,), weights=None):
    frame, given = merge(timelines, targets, weights or [1.0] * len(timelines))
    return frame.reset_index(drop=True), given


LEFT, RIGHT = (0, 0, 20, 20), (60, 0, 80, 20)


def test_a_long_row_counts_for_the_short_ones_within_it():
    frame, given = combine(timeline(4.0, [0.8, -0.4]), timeline(1.0, np.arange(8) / 10))
    assert frame["start_s"].tolist() == list(range(8))
    expected = [(k / 10 + (0.8 if k < 4 else -0.4)) / 2 for k in range(8)]
    np.testing.assert_allclose(frame["valence"], expected, atol=EXACT)
    assert given.all()


def test_rows_that_meet_in_part_count_by_the_time_they_share():
    frame, _ = combine(timeline(0.6, [0.1, 0.2, 0.3, 0.4, 0.5]), timeline(1.0, [1.0, 0.0, -1.0]))
    # Of row 1, 0.6 to 1.2 s, two thirds lie in the other's first second; of row 3, 1.8 to 2.4 s, one third in its second.
    others = [1.0, 2 / 3, 0.0, -2 / 3, -1.0]
    np.testing.assert_allclose(frame["valence"], [(a + b) / 2 for a, b in zip([0.1, 0.2, 0.3, 0.4, 0.5], others, strict=True)])


def test_rounded_times_of_two_grids_share_no_row():
    # 15 * 0.4 is less than 5 * (3 * 0.4) by rounding: no sliver of the row before counts.
    frame, given = combine(timeline(0.4, [0.0] * 18), timeline(3 * 0.4, [None] * 4 + [1.0, None]))
    np.testing.assert_allclose(frame["valence"], [0.0] * 12 + [0.5] * 3 + [0.0] * 3, atol=EXACT)
    assert given[:, 1].tolist() == [False] * 12 + [True] * 3 + [False] * 3


def test_weights_count_for_what_is_there():
    frame, given = combine(timeline(1.0, [0.9, None, None]), timeline(1.0, [0.0, 0.3, None]), weights=[2.0, 1.0])
    np.testing.assert_allclose(frame["valence"], [0.6, 0.3, np.nan], atol=EXACT)
    assert given.tolist() == [[True, True], [False, True], [False, False]]


def test_faces_with_other_numbers_are_matched_by_their_boxes():
    one = joined(timeline(1.0, [0.1] * 4, 0, LEFT), timeline(1.0, [0.5] * 4, 1, RIGHT))
    two = joined(timeline(2.0, [0.7] * 2, 0, (62, 1, 81, 21)), timeline(2.0, [0.3] * 2, 1, (1, 0, 22, 20)))
    frame, _ = combine(one, two)
    assert frame["face_id"].tolist() == [0, 1] * 4
    np.testing.assert_allclose(frame["valence"], [0.2, 0.6] * 4, atol=EXACT)
    assert frame["box_x0"].tolist() == [0, 60] * 4
    assert frame["face_frames"].tolist() == [4] * 8


def test_faces_apart_stay_apart_and_each_keeps_its_rows():
    frame, given = combine(timeline(1.0, [0.1] * 2, 0, LEFT), timeline(1.0, [0.5] * 2, 0, RIGHT))
    assert frame["face_id"].tolist() == [0, 1] * 2
    assert frame["valence"].tolist() == [0.1, 0.5] * 2
    assert given.tolist() == [[True, False], [False, True]] * 2


def test_two_faces_of_one_model_at_one_time_stay_two_and_the_likest_is_matched():
    near = (6, 0, 26, 20)  # over half of LEFT
    two = joined(timeline(1.0, [0.1] * 2, 0, near), timeline(1.0, [0.5] * 2, 1, LEFT))
    frame, given = combine(two, timeline(1.0, [0.9] * 2, 0, (1, 0, 21, 20)))
    assert frame["face_id"].tolist() == [0, 1] * 2
    np.testing.assert_allclose(frame["valence"], [0.1, 0.7] * 2, atol=EXACT)
    assert given.tolist() == [[True, False], [True, True]] * 2


def test_faces_that_were_never_there_together_are_not_compared(monkeypatch):
    from affectzoo.predict import merge as module

    count = 20
    one, two = (joined(*(timeline(s, [0.1], k, LEFT, index=k) for k in range(count))) for s in (1.0, 1.0))
    compared = []
    monkeypatch.setattr(module, "overlap", lambda *given: compared.append(given) or np.ones((1, 1)))
    looked_up = []
    onto = module._Track.onto
    monkeypatch.setattr(module._Track, "onto", lambda track, span: looked_up.append(track) or onto(track, span))
    frame, _ = combine(one, two)
    assert len(compared) == frame["face_id"].nunique() == count
    assert len(looked_up) < count**2


def test_a_face_that_moves_is_matched_over_the_time_of_the_longer_row():
    moving = joined(*(timeline(1.0, [0.1], 0, (20 * k, 0, 20 * k + 20, 20), index=k) for k in range(4)))
    frame, _ = combine(moving, timeline(4.0, [0.3], 0, (30, 0, 50, 20)))
    assert frame["face_id"].tolist() == [0] * 4
    np.testing.assert_allclose(frame["valence"], [0.2] * 4, atol=EXACT)


def test_a_face_that_one_model_lost_for_a_while_is_one_where_the_other_followed_it():
    lost = joined(
        timeline(1.0, [0.1] * 2, 0, LEFT),
        timeline(1.0, [0.9] * 2, None, index=2),
        timeline(1.0, [0.1] * 2, 1, LEFT, index=4),
    )
    frame, _ = combine(lost, timeline(1.0, [0.3] * 6, 0, LEFT))
    assert frame["face_id"].tolist() == [0] * 6
    # What the first predicts from the sound while it follows nobody counts too.
    np.testing.assert_allclose(frame["valence"], [0.2, 0.2, 0.6, 0.6, 0.2, 0.2], atol=EXACT)
    assert frame["face_present"].all()


def test_sound_counts_for_every_face_and_for_nobody():
    sees = joined(
        timeline(1.0, [0.2] * 2, 0, LEFT, heard=False),
        timeline(1.0, [0.6] * 2, 1, RIGHT, heard=False),
        timeline(1.0, [None] * 2, None, heard=False, index=2),
    )
    frame, _ = combine(sees, timeline(2.0, [0.4, -0.5]))
    assert frame["face_id"].fillna(-1).tolist() == [0, 1, 0, 1, -1, -1]
    np.testing.assert_allclose(frame["valence"], [0.3, 0.5, 0.3, 0.5, -0.5, -0.5], atol=EXACT)
    assert frame["audio_present"].all()
    assert frame["face_present"].tolist() == [True] * 4 + [False] * 2


def test_the_finer_model_tells_when_a_face_was_seen():
    fine = joined(timeline(1.0, [0.1], 0, LEFT, heard=False), timeline(1.0, [None] * 3, None, heard=False, index=1))
    frame, _ = combine(fine, timeline(4.0, [0.3], 0, (1, 1, 21, 21), heard=False))
    assert frame["face_id"].tolist() == [0] * 4
    np.testing.assert_allclose(frame["valence"], [0.2, 0.3, 0.3, 0.3], atol=EXACT)
    assert frame["face_present"].tolist() == [True, False, False, False]
    assert frame["box_x0"].isna().tolist() == frame["face_frames"].isna().tolist() == [False, True, True, True]
    assert not frame["audio_present"].any()


def test_short_rows_go_on_to_the_end_where_their_own_track_ends_before():
    frame, _ = combine(timeline(1.0, [0.5] * 2, duration_s=2.0), timeline(2.0, [0.1] * 3, 0, LEFT, duration_s=5.02))
    assert frame["start_s"].tolist() == [0, 1, 2, 3, 4]  # 0.02 s more are no row
    np.testing.assert_allclose(frame["valence"], [0.3, 0.3, 0.1, 0.1, 0.1], atol=EXACT)


def test_ranges_are_mapped_and_classes_aligned_by_name():
    mood = TargetConfig(name="mood", kind="categorical", classes=("happy", "sad", "calm"))
    turned = TargetConfig(name="mood", kind="categorical", classes=("calm", "happy", "sad"))
    share = TargetConfig(name="valence", low=0.0, high=1.0)
    one = timeline(1.0, [[0.2, 0.7, 0.2, 0.1]], targets=(VALENCE, mood))
    two = timeline(1.0, [[0.3, 0.6, 0.1, 0.9]], targets=(turned, share))
    frame, _ = combine(one, two, targets=(VALENCE, mood))
    np.testing.assert_allclose(frame.loc[0, ["mood.happy", "mood.sad", "mood.calm"]].astype(float), [0.65, 0.15, 0.2])
    np.testing.assert_allclose(frame["valence"], [(0.2 + 0.8) / 2], atol=EXACT)


def test_a_target_of_one_model_alone_is_that_models():
    dominance = TargetConfig.parse("dominance")
    one = timeline(1.0, [0.2, 0.4])
    two = timeline(1.0, [[0.6, 0.1], [np.nan, np.nan]], targets=(VALENCE, dominance))
    frame, given = combine(one, two, targets=(VALENCE, dominance))
    np.testing.assert_allclose(frame[["valence", "dominance"]], [[0.4, 0.1], [0.4, np.nan]], atol=EXACT)
    assert given.tolist() == [[True, True], [True, False]]
    summary = Timeline(frame, targets=(VALENCE, dominance), source="clip.mp4").summary()
    assert summary.endswith("mean valence +0.40, dominance +0.10")


# With real files and toy models.


@pytest.fixture
def make_pair(make_model):
    """A model that sees and one that only hears, in longer sub-sequences, whose valence lies in 0..1."""

    def make(pool=None, seconds=0.8):
        torch.manual_seed(5)
        hears = affectzoo.create_model(
            audio="toy-audio",
            targets=[{"name": "valence", "low": 0, "high": 1}, "dominance"],
            sequence={"seconds": seconds, "length": 3},
            head={"hidden": None, "pool": pool},
        )
        sees, hears.source = make_model(audio=None, pool=pool), "hears"
        sees.source = "sees"
        return sees, hears.eval()

    return make


def test_models_predict_a_file_as_each_does_by_itself(make_pair, make_clip, detector):
    sees, hears = make_pair()
    clip = make_clip(green=[(0, 99)], sound=[(0, 2.4)])
    options = {"detector": detector, "device": "cpu"}
    seen, heard = (predict(model, clip, **options).frame for model in (sees, hears))
    together = predict([sees, hears], clip, combine="mean", **options)
    frame = together.frame
    assert together.columns == ("valence", "arousal", "dominance")
    assert together.faces == [0, 1]
    pd.testing.assert_frame_equal(frame[["time_s", "face_id"]], seen[["time_s", "face_id"]])
    pd.testing.assert_frame_equal(frame[["arousal"]], seen[["arousal"]], check_exact=False, atol=EXACT)
    rows = heard.iloc[(seen["start_s"] / 0.8 + 1e-6).astype(int)].reset_index(drop=True)
    sound = 2 * rows["valence"] - 1
    expected = np.where(sound.isna(), seen["valence"], (seen["valence"] + sound) / 2)
    np.testing.assert_allclose(frame["valence"], expected, atol=EXACT)
    np.testing.assert_allclose(frame["dominance"], rows["dominance"], atol=EXACT)
    assert sound.isna().any()
    assert together.model == "mean of sees and hears"
    assert together.duration_s == pytest.approx(4.0, abs=0.1)
    assert "hears: valence from 0 to 1 was mapped onto -1 to 1, the range of sees" in together.warnings
    assert "8 of 20 rows rest on some of the models only: sees in 20 and hears in 12" in together.warnings


def test_weights_are_used_and_named(make_pair, make_clip, detector):
    sees, hears = make_pair(seconds=0.4)
    clip = make_clip(duration_s=1.2)
    options = {"detector": detector, "device": "cpu"}
    seen, heard = (predict(model, clip, **options).frame["valence"] for model in (sees, hears))
    together = predict((sees, hears), clip, weights=[3, 0.5], **options)
    np.testing.assert_allclose(together.frame["valence"], (3 * seen + 0.5 * (2 * heard - 1)) / 3.5, atol=EXACT)
    assert together.model == "mean of sees (weight 3) and hears (weight 0.5)"


def test_one_model_in_a_list_is_that_model(make_model, make_clip, detector):
    model, clip = make_model(), make_clip(duration_s=1.2)
    alone, listed = (predict(given, clip, detector=detector, device="cpu") for given in (model, [model]))
    pd.testing.assert_frame_equal(alone.frame, listed.frame)
    assert listed.model == alone.model


def test_a_file_without_sound_leaves_out_who_only_hears(make_pair, make_clip, detector):
    sees, hears = make_pair()
    clip = make_clip(sound=None)
    predictor = CombinedPredictor([hears, sees], detector=detector, device="cpu")
    together = predictor(clip)
    assert "hears only hears, and the file gives it nothing: left out" in together.warnings
    seen = Predictor(sees, detector=detector, device="cpu")(clip).frame
    np.testing.assert_allclose(together.frame["valence"], (seen["valence"] + 1) / 2, atol=EXACT)
    assert together.frame["dominance"].isna().all()
    assert list(together.columns) == ["valence", "dominance", "arousal"]
    heard = predictor(make_clip("heard.mkv", video=False))
    assert "sees only sees, and the file gives it nothing: left out" in heard.warnings
    assert heard.frame["dominance"].notna().all()
    assert heard.frame["arousal"].isna().all()


def test_a_file_that_no_model_takes_is_refused(make_pair, make_model, make_clip):
    hears, other = make_pair()[1], make_model(visual=None)
    with pytest.raises(MediaError, match=r"mute\.mkv: there is no audio track, and these models only hear"):
        predict([hears, other], make_clip("mute.mkv", sound=None), device="cpu")


def test_a_failing_model_is_named_and_stops_no_other_file(make_pair, make_clip, detector, tmp_path):
    sees, hears = make_pair()
    hears.backbones["audio"].forward = lambda _: 1 / 0
    files = [make_clip("mute.mkv", sound=None), make_clip("good.mkv", duration_s=1.0), tmp_path / "missing.mp4"]
    given = {"detector": detector, "device": "cpu"}
    mute, failed, missing = predict([sees, hears], files, on_error="collect", **given)
    assert isinstance(mute, Timeline)
    assert len(mute) == 10
    assert isinstance(failed, PredictionError)
    assert re.fullmatch(r"hears: .*good\.mkv: the backbone 'toy-audio' of session failed: ZeroDivisionError: .*", str(failed))
    assert isinstance(missing, MediaError)
    assert "hears" not in str(missing)
    with pytest.raises(MediaError, match="download the file"):
        predict([sees, hears], "https://example.org/clip.mp4", **given)
    with pytest.raises(AffectzooError, match=r"^hears: "):
        predict([sees, hears], files[1:], **given)


def test_one_detector_serves_all(make_model, monkeypatch):
    built = []
    monkeypatch.setattr("affectzoo.predict.predictor.auto_detector", lambda say: built.append(say) or Whole())
    first, second = make_model(), make_model(audio=None)
    predictor = CombinedPredictor([make_model(visual=None), first, second], device="cpu", say=print)
    assert built == [print]
    assert predictor.parts[1].detector is predictor.parts[2].detector is predictor.detector
    assert predictor.parts[0].detector is None


class Whole:
    """Takes the picture for a face."""

    def detect(self, image):
        return np.array([[0, 0, image.shape[1], image.shape[0], 1]], np.float32)


def test_progress_runs_once_through_the_file(make_pair, make_clip, detector):
    told = []
    predictor = CombinedPredictor(make_pair(), batch_size=3, detector=detector, device="cpu")
    predictor(make_clip(), lambda *seconds: told.append(seconds))
    done = [seconds for seconds, _ in told]
    assert done == sorted(done)
    assert done[-1] == pytest.approx(4.0, abs=0.1)
    assert [total for _, total in told] == pytest.approx([4.0] * len(told), abs=0.1)


def test_scores_are_those_of_the_combined_rows(make_model, make_clip, detector):
    first, second = make_model(audio=None, pool="median"), make_model(pool="median")
    together = predict([first, second], make_clip(), detector=detector, device="cpu")
    assert together.pool == "median"
    assert together.scores["valence"].tolist() == pytest.approx([together.frame["valence"].median()])
    with pytest.raises(InputError, match=r"model 1 has head\.pool 'median' and model 2 has no head\.pool"):
        CombinedPredictor([first, make_model()], detector=detector)
    with pytest.raises(InputError, match="score recordings by other targets"):
        CombinedPredictor([first, make_model(targets=["valence"], pool="median")], detector=detector)


MOOD = {"name": "mood", "kind": "categorical"}


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (["valence"], ["dominance", "arousal"], "model 1 predicts valence and shares no target with model 2 (arousal, dom"),
        ([{**MOOD, "classes": ("a", "b")}], [{**MOOD, "classes": ("a", "c")}], "'mood': classes a and b in the first, classes"),
        ([{**MOOD, "classes": ("a", "b")}], [{"name": "mood"}], "'mood': categorical in the first, continuous in the second"),
        (["pspi"], [{"name": "pspi", "kind": "ordinal", "low": 0, "high": 4}], "levels 0 to 15 in the first, levels 0 to 4"),
    ],
)
def test_targets_that_do_not_go_together_are_refused(make_model, first, second, words):
    models = [make_model(audio=None, targets=targets) for targets in (first, second)]
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        CombinedPredictor(models, detector="full-frame", device="cpu")
    assert "model 1" in str(caught.value)
    assert "model 2" in str(caught.value)


@pytest.mark.parametrize(
    ("count", "options", "words"),
    [
        (2, {"combine": "median"}, "combine is one of mean, not 'median'"),
        (2, {"weights": [1]}, "as many as the models, 2, not 1"),
        (2, {"weights": 0.5}, "as many as the models, 2, not 1"),
        (2, {"weights": [1, 0]}, "weight of model 2 must be a positive number, not 0"),
        (2, {"weights": [float("nan"), 1]}, "weight of model 1 must be a positive number, not nan"),
        (2, {"weights": [1, "2"]}, "must be a positive number, not '2'"),
        (2, {"overlap": 1.0}, "overlap"),
        (0, {}, "give two models or more"),
        (1, {"weights": [1, 2]}, "as many as the models, 1, not 2"),
        (1, {"combine": "max"}, "combine is one of mean, not 'max'"),
    ],
)
def test_options_that_make_no_sense_are_refused(make_model, count, options, words):
    models = [make_model() for _ in range(count)]
    with pytest.raises(InputError, match=re.escape(words)):
        predict(models, "clip.mp4", **options)


def test_what_is_no_model_or_no_list_is_refused(make_model):
    model = make_model()
    with pytest.raises(InputError, match="give them as a list"):
        predict("jca-rendered", "clip.mp4", combine="mean")
    with pytest.raises(InputError, match="not dict"):
        predict({"jca-rendered": 1}, "clip.mp4")
    with pytest.raises(InputError, match="not int"):
        predict([model, 5], "clip.mp4")
    with pytest.raises(InputError, match="jca-rendered is given twice"):
        predict(["jca-rendered", "jca-rendered"], "clip.mp4")
    with pytest.raises(InputError, match="runs/a is given twice"):
        predict(["./runs/a/", "runs/a"], "clip.mp4")
    with pytest.raises(InputError, match="given twice"):
        predict([model, model], "clip.mp4")
