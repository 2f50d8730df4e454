"""Where the time goes: stages of one thread never counted twice, and all of them told after each file."""

from __future__ import annotations

import time

import pytest

from affectzoo.errors import MediaError
from affectzoo.predict import CombinedPredictor, Predictor
from affectzoo.predict.timings import Watch

#: Sleeps overrun on a busy machine, and never end early.
MORE = 0.2


def test_a_stage_within_another_stops_its_clock():
    watch = Watch()
    with watch("outer"):
        time.sleep(0.02)
        with watch("inner"):
            time.sleep(0.05)
        time.sleep(0.02)
    assert 0.05 <= watch.seconds["inner"] < 0.05 + MORE
    assert 0.04 <= watch.seconds["outer"] < 0.04 + MORE


def test_items_count_where_they_are_made_and_not_where_they_are_used():
    def slow():
        for k in range(3):
            time.sleep(0.02)
            yield k

    watch = Watch()
    for _ in watch.each("made", slow()):
        time.sleep(0.1)
    assert 0.06 <= watch.seconds["made"] < 0.06 + MORE


def test_an_iterator_that_is_left_early_is_closed():
    closed = []

    def items():
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    each = Watch().each("made", items())
    next(each)
    each.close()
    assert closed == [True]


def test_an_error_within_a_stage_ends_it():
    watch = Watch()
    with watch("outer"):
        with pytest.raises(KeyError), watch("inner"):
            raise KeyError
        time.sleep(0.02)
    assert watch.seconds["outer"] >= 0.02
    assert watch.seconds["inner"] < 0.02


class SlowDetector:
    """Takes a hundredth of a second to find nothing."""

    def __init__(self, detector):
        self.detector, self.calls = detector, 0

    def detect(self, image):
        self.calls += 1
        time.sleep(0.01)
        return self.detector.detect(image)


def test_every_stage_of_a_file_is_told(make_model, make_clip, detector):
    slow = SlowDetector(detector)
    predictor = Predictor(make_model(), detector=slow, device="cpu")
    assert predictor.timings is None
    timeline = predictor(make_clip(duration_s=4))
    told = predictor.timings
    assert told is not None
    assert told.length_s == timeline.duration_s
    assert all(seconds > 0 for seconds in told.stages.values())
    assert told.busy_s == pytest.approx(sum(told.stages.values()))
    assert told.detect_s >= 0.01 * slow.calls > 0.05
    computing = told.mel_s + told.backbones_s + told.fusion_s + told.waiting_s + told.other_s
    reading = told.decode_s + told.detect_s + told.crop_s + told.align_s
    assert computing <= told.wall_s
    assert reading <= told.wall_s
    # The thread that computes is in some stage throughout; opening the file comes before.
    assert computing > 0.5 * told.wall_s


def test_a_file_that_fails_leaves_no_times_of_another(make_model, make_clip, detector, tmp_path):
    predictor = Predictor(make_model(), detector=detector, device="cpu")
    predictor(make_clip(duration_s=1))
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(MediaError):
        predictor(tmp_path / "bad.mp4")
    assert predictor.timings is None


def test_of_several_models_each_that_took_part_tells(make_model, make_clip, detector, tmp_path):
    both = CombinedPredictor([make_model(audio=None), make_model(visual=None)], detector=detector, device="cpu")
    both(make_clip(duration_s=1))
    assert [part.timings is not None for part in both.parts] == [True, True]
    both(make_clip("silent.mkv", duration_s=1, sound=None))
    assert [part.timings is not None for part in both.parts] == [True, False]
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(MediaError):
        both(tmp_path / "bad.mp4")
    assert [part.timings for part in both.parts] == [None, None]
