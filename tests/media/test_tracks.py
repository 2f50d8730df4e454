from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, strategies as st

from affectzoo.errors import InputError
from affectzoo.media.faces import overlap
from affectzoo.media.tracks import FaceTracker, TrackSettings


@dataclass
class Scene:
    """Frames with known faces; counts how often somebody looks."""

    time_s: float
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    looked: int = 0

    def detect(self):
        self.looked += 1
        return np.array([[*box, 0.9] for box in self.boxes], dtype=np.float32).reshape(-1, 5)


def follow(scenes, **settings):
    return [faces for _, faces in FaceTracker(Scene.detect, TrackSettings(**settings)).follow(scenes)]


def still(x=50.0, size=40.0):
    return (x, 50.0, x + size, 50.0 + size)


def at(rate, count, boxes):
    return [Scene(k / rate, boxes(k)) for k in range(count)]


def test_a_steady_face_is_searched_for_in_every_kth_frame_only():
    scenes = at(7.5, 41, lambda _: [still()])
    faces = follow(scenes, detect_every=4)
    assert all(list(f) == [0] for f in faces)
    assert sum(s.looked for s in scenes) == 11


def test_boxes_between_detections_follow_a_moving_face():
    scenes = at(7.5, 33, lambda k: [still(50 + 3 * k)])
    for k, faces in enumerate(follow(scenes, detect_every=4)):
        assert overlap(faces[0][None], np.array([still(50 + 3 * k)]))[0, 0] > 0.8


def test_presence_is_exact_to_a_frame_where_a_face_comes_and_goes():
    present = [10 <= k < 23 or k >= 41 for k in range(60)]
    faces = follow(at(7.5, 60, lambda k: [still()] if present[k] else []), detect_every=4)
    assert [bool(f) for f in faces] == present


def test_a_short_miss_is_bridged_and_a_long_one_is_not():
    missing = {8, 9, 20, 21, 22, 23, 24, 25, 26, 27}
    faces = follow(at(7.5, 60, lambda k: [] if k in missing else [still()]), detect_every=1)
    assert [k for k, f in enumerate(faces) if not f] == list(range(20, 28))
    assert {n for f in faces for n in f} == {0}


def test_a_face_that_comes_back_late_or_elsewhere_is_a_new_one():
    late = follow(at(10, 80, lambda k: [still()] if k < 20 or k >= 50 else []), detect_every=2)
    assert [sorted(f) for f in (late[0], late[-1])] == [[0], [1]]
    elsewhere = follow(at(10, 80, lambda k: [still(50 if k < 40 else 300)]), detect_every=2)
    assert [sorted(f) for f in (elsewhere[0], elsewhere[-1])] == [[0], [1]]


def test_false_alarms_of_two_frames_are_dropped_and_leave_no_number():
    flicker = {5, 6, 15, 25, 26}
    scenes = at(7.5, 40, lambda k: ([still(300)] if k in flicker else []) + ([still()] if k >= 10 else []))
    faces = follow(scenes, detect_every=1)
    assert [list(f) for f in faces] == [[]] * 10 + [[0]] * 30


def test_two_faces_keep_their_numbers_and_the_larger_is_first():
    faces = follow(at(10, 50, lambda k: [still(20 + k, 30), still(200 - k, 50)]), detect_every=4)
    assert all(sorted(f) == [0, 1] for f in faces)
    assert all(f[0][0] > f[1][0] for f in faces)


@pytest.mark.parametrize("count", [1, 2])
def test_a_clip_shorter_than_a_track_keeps_its_faces(count):
    assert [list(f) for f in follow(at(30, count, lambda _: [still()]))] == [[0]] * count


def test_a_slow_video_keeps_its_faces():
    assert [list(f) for f in follow(at(1, 9, lambda _: [still()]))] == [[0]] * 9


def test_nothing_is_invented_across_a_gap_in_the_video():
    scenes = [Scene(k / 10, [still()]) for k in range(10)] + [Scene(30 + k / 10, [still()]) for k in range(10)]
    faces = follow(scenes)
    assert [list(f) for f in faces] == [[0]] * 10 + [[1]] * 10


@given(
    st.lists(st.lists(st.integers(0, 3), unique=True, max_size=4), min_size=1, max_size=80),
    st.floats(1, 60),
    st.integers(1, 9),
)
def test_every_frame_comes_out_once_in_order_with_numbers_by_first_appearance(presence, rate, every):
    scenes = [Scene(k / rate, [still(100.0 * face) for face in faces]) for k, faces in enumerate(presence)]
    tracker, waiting, seen = FaceTracker(Scene.detect, TrackSettings(detect_every=every)), 0, []
    numbers: list[int] = []
    for scene, faces in tracker.follow(iter(scenes)):
        waiting = max(waiting, tracker.waiting)
        seen.append(scene.time_s)
        assert len(faces) <= 4
        assert all(box.shape == (4,) and np.isfinite(box).all() and (box[2:] > box[:2]).all() for box in faces.values())
        numbers += [n for n in faces if n not in numbers]
    assert seen == [s.time_s for s in scenes]
    assert numbers == list(range(len(numbers)))
    assert all(s.looked <= 1 for s in scenes)


def test_memory_is_bounded_whatever_flickers():
    random = np.random.default_rng(0)
    tracker = FaceTracker(Scene.detect, TrackSettings())
    scenes = (Scene(k / 7.5, [still(100.0 * f) for f in range(4) if random.random() < 0.3]) for k in range(3000))
    assert max(tracker.waiting for _ in tracker.follow(scenes)) < 20


def test_impossible_settings_are_refused():
    with pytest.raises(InputError, match="detect_every"):
        TrackSettings(detect_every=0)
