"""What is done to a file's rows at its end: smoothing, then what is derived, in timelines, scores and late fusion."""

from __future__ import annotations

import numpy as np
import pytest

from affectzoo.config import ModelConfig, SmoothingConfig, TargetConfig
from affectzoo.errors import ConfigError, InputError
from affectzoo.model.smoothing import smoothed
from affectzoo.predict import CombinedPredictor, Predictor, Timeline
from affectzoo.predict.rows import completed
from affectzoo.predict.windows import Row

MOOD = {"name": "mood", "kind": "categorical", "classes": ["sad", "calm", "glad"]}
TABLE = {"sad": -0.6, "calm": 0.1, "glad": 0.8}
VALENCE = {"name": "valence", "of": "mood", "coordinates": TABLE, "source": "A table (1977)"}
AROUSAL = {**VALENCE, "name": "arousal", "coordinates": {"sad": -0.3, "calm": -0.5, "glad": 0.5}}
MOODS = ["mood.sad", "mood.calm", "mood.glad"]
#: Values pass through single precision in the model alone; what is done to them is double.
EXACT = 1e-9


@pytest.fixture
def moody(make_model):
    """A toy model of moods with derived valence and arousal."""

    def make(**more):
        return make_model(**{"targets": [{**MOOD, "temperature": 0.3}], "derived": [VALENCE, AROUSAL], **more})

    return make


def expected(frame, table=TABLE):
    return frame[MOODS].to_numpy() @ np.array([table[name.partition(".")[2]] for name in MOODS])


def test_derived_columns_follow_the_models_own_and_are_the_expectation(moody, make_clip, detector, tmp_path):
    timeline = Predictor(moody(), detector=detector, device="cpu")(make_clip(green=[(0, 99)]))
    assert timeline.columns == (*MOODS, "valence", "arousal")
    np.testing.assert_allclose(timeline.frame["valence"], expected(timeline.frame), atol=EXACT)
    assert timeline.frame["valence"].std() > 0
    assert timeline.notes == [
        "valence and arousal derived from the probabilities of mood, by the coordinates of A table (1977)"
    ]
    assert "A table (1977)" in timeline._repr_html_()
    assert "valence " in timeline.summary()
    again = Timeline.read_csv(timeline.to_csv(tmp_path / "t.csv"), targets=timeline.targets)
    np.testing.assert_allclose(again.frame["arousal"], timeline.frame["arousal"], atol=1e-6)  # six decimals


def test_what_is_derived_is_drawn_with_its_circumplex(moody, make_clip, detector, tmp_path):
    clip = make_clip(duration_s=1.5)
    timeline = Predictor(moody(), detector=detector, device="cpu")(clip)
    labels = [axes.get_ylabel() for axes in timeline.plot(tmp_path / "t.png").axes]
    assert labels[:4] == ["mood", "valence", "arousal", "arousal"]
    assert timeline.overlay(clip, tmp_path / "t.mp4").stat().st_size


def test_rows_without_a_value_derive_none(moody, make_clip, detector):
    model = moody(audio=None)
    timeline = Predictor(model, detector=detector, device="cpu")(make_clip(red=[(0, 1.5)], duration_s=4))
    blank = timeline.frame[MOODS].isna().all(axis=1)
    assert 0 < blank.sum() < len(timeline)
    assert (timeline.frame["valence"].isna() == blank).all()


@pytest.mark.parametrize("pool", ["mean", "median", "last"])
def test_scores_derive_from_the_pooled_probabilities(moody, make_clip, detector, pool):
    scores = Predictor(moody(pool=pool), detector=detector, device="cpu")(make_clip()).scores
    np.testing.assert_allclose(scores["valence"], expected(scores), atol=EXACT)


def test_scores_of_a_file_that_was_written_derive_as_they_did(moody, make_clip, detector, tmp_path):
    model = moody(pool="median")
    timeline = Predictor(model, detector=detector, device="cpu")(make_clip())
    path, config = timeline.to_csv(tmp_path / "t.csv"), model.config
    again = Timeline.read_csv(path, targets=config.predicted_targets, derived=config.derived, pool="median")
    np.testing.assert_allclose(again.scores["valence"], timeline.scores["valence"], atol=1e-5)  # six decimals
    np.testing.assert_allclose(again.scores["valence"], expected(again.scores), atol=EXACT)
    for targets in (config.targets, ["valence"]):
        with pytest.raises(InputError, match=r"is derived, and it or what it is of is no target here"):
            Timeline.read_csv(path, targets=list(map(TargetConfig.parse, targets)), derived=config.derived)


@pytest.mark.parametrize("how", ["box:1.2", "median:1.2", "gaussian:0.8"])
def test_each_face_and_nobody_are_smoothed_apart_and_before_anything_is_derived(moody, make_clip, detector, how):
    clip = make_clip(red=[(0, 2.4)], green=[(0.8, 4)], duration_s=5.6)
    model = moody(smoothing=how)
    seconds = model.config.sequence.seconds
    raw = Predictor(model, detector=detector, device="cpu", smooth="none")(clip).frame
    smooth = Predictor(model, detector=detector, device="cpu")(clip)
    assert set(raw["face_id"].dropna()) == {0, 1}
    assert raw["face_id"].isna().any()
    for face in (0, 1, None):
        rows = raw[raw["face_id"].isna() if face is None else raw["face_id"] == face]
        places = np.round(rows["start_s"].to_numpy() / seconds).astype(int)
        values = smoothed(
            rows[MOODS].to_numpy(),
            rows["mood.sad"].notna().to_numpy(),
            places,
            model.config.targets,
            model.config.smoothing,
            seconds,
        )
        np.testing.assert_allclose(smooth.frame.loc[rows.index, MOODS], values, atol=EXACT)
    np.testing.assert_allclose(smooth.frame["valence"], expected(smooth.frame), atol=EXACT)
    assert np.abs(smooth.frame[MOODS] - raw[MOODS]).max(axis=None) > 1e-6
    assert smooth.notes[0].startswith("predictions smoothed along time (")


def test_smoothing_may_be_asked_for_and_refused(moody, make_clip, detector):
    model, clip = moody(smoothing="box:1.2"), make_clip(duration_s=2)
    raw, own, other = (
        Predictor(model, detector=detector, device="cpu", smooth=smooth)
        for smooth in ("none", None, SmoothingConfig(kind="median", seconds=2.0))
    )
    assert [p.smoothing and str(p.smoothing) for p in (raw, own, other)] == [None, "box:1.2", "median:2"]
    assert len({tuple(p(clip).frame["mood.sad"]) for p in (raw, own, other)}) == 3
    with pytest.raises(InputError, match="smooth box:1 smooths nothing over sub-sequences of"):
        Predictor(model, detector=detector, smooth="box:1")
    with pytest.raises(ConfigError, match="smooth: smoothing is box:SECONDS"):
        Predictor(model, detector=detector, smooth="box")


def test_a_face_that_was_away_is_not_smoothed_across_its_absence():
    config = ModelConfig.parse({"streams": {"visual": "x"}, "targets": ["valence"], "sequence": {"seconds": 1.0}})
    places = [0, 1, 2, 6, 7, 8]
    rows = [Row(i, i, i + 1.0, 0, np.array([v]), True, False, 4, None) for i, v in zip(places, [0, 0, 0, 1, 1, 1], strict=True)]
    done = completed(rows, config, SmoothingConfig.parse("box:3"))
    assert [row.values.item() for row in done] == [0, 0, 0, 1, 1, 1]
    assert completed([], config, SmoothingConfig.parse("box:3")) == []


def test_a_derived_target_and_another_models_own_become_one(moody, make_model, make_clip, detector):
    clip, mood, plain = make_clip(duration_s=2), moody(derived=[VALENCE]), make_model(targets=["valence"])
    alone = [Predictor(model, detector=detector, device="cpu")(clip).frame for model in (mood, plain)]
    both = CombinedPredictor([mood, plain], detector=detector, device="cpu")
    timeline = both(clip)
    assert timeline.columns == (*MOODS, "valence")
    np.testing.assert_allclose(timeline.frame["valence"], (alone[0]["valence"] + alone[1]["valence"]) / 2, atol=EXACT)
    np.testing.assert_allclose(timeline.frame[MOODS], alone[0][MOODS], atol=EXACT)
    assert timeline.notes == ["model 1: valence derived from the probabilities of mood, by the coordinates of A table (1977)"]


def test_a_derived_target_of_another_range_is_mapped_and_said(moody, make_model, make_clip, detector):
    plain = make_model(targets=[TargetConfig(name="valence", low=0, high=10).to_json()])
    both = CombinedPredictor([moody(derived=[VALENCE]), plain], detector=detector, device="cpu")
    warnings = both(make_clip(duration_s=1)).warnings
    assert "model 2: valence from 0 to 10 was mapped onto -1 to 1, the range of model 1" in warnings
