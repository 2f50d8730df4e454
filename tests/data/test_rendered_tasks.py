"""Rendered severity, pain and identity: what shows in the face, what the labels say, and who is in which split."""

from __future__ import annotations

import numpy as np
import pytest

from affectzoo.data.rendered import RenderedClip, make_clips
from affectzoo.errors import InputError

FINE = np.arange(0, 34, 0.05)


# Clips of affect: the bundled model was trained on exactly these.
@pytest.mark.parametrize(
    ("clip", "expression", "affect", "sound", "grey", "box"),
    [
        (
            RenderedClip(3, 7, 20.0),
            [-0.560469871, -0.546730708, -0.592342905, 0.195229228, 0.293355215, 0.171097706, 0.880742245, -0.534455044,
             -0.318019567, 0.042775528, 0.051084937, 0.059866176, 0.014340454, 0.024951533, 0.011576483, 1.02002388],
            [-0.240028302, 0.62873633],
            [0.025557805, -0.057743825, 0.060273632],
            [84.122395833, 89.630677083, 81.9034375],
            [207.093142925, 131.776709855, 395.940727649, 365.517560707],
        ),
        (
            RenderedClip(1_000_003, 1, 20.0),
            [0.217031873, 0.571732151, -0.281574017, -0.572727152, 0.011594557, -0.054639291, 0.901381427, -0.102044134,
             0.379749308, 0.053619574, 0.039810986, 0.074768287, 0.026606652, -0.013018495, 0.014654724, 0.998338864],
            [0.129267, 0.01350732],
            [-0.07776507, 0.0476758, -0.000386157],
            [138.46296875, 113.276927083, 105.69078125],
            [201.300663768, 136.236593646, 391.616990971, 364.292166672],
        ),
    ],
)  # fmt: skip
def test_a_clip_of_affect_alone_stays_what_it_was(clip, expression, affect, sound, grey, box) -> None:
    np.testing.assert_allclose(np.column_stack(clip.expression(np.array([1.0, 12.5])))[1], expression, atol=1e-8)
    np.testing.assert_allclose(clip.mean_affect(np.array([2.0]), 32 / 30)[0], affect, atol=1e-8)
    np.testing.assert_allclose(clip.waveform(8000)[[8000, 64000, 120000]], sound, atol=1e-5)
    np.testing.assert_allclose(clip.face_box(12.5), box, atol=1e-6)
    # Another OpenCV may round edges in another way.
    np.testing.assert_allclose(clip.frame(1.0, (160, 120)).mean(axis=(0, 1)), grey, atol=0.3)


@pytest.mark.parametrize("levels", [{"severity": 7.0}, {"pain": 7.0}, {"severity": 3.0, "pain": 9.0}])
def test_the_same_levels_render_the_same_face_and_nothing_hides_it(levels: dict[str, float]) -> None:
    first, second, plain = RenderedClip(3, 7, 6.0, **levels), RenderedClip(3, 7, 6.0, **levels), RenderedClip(3, 7, 6.0)
    times = np.array([1.0, 2.5, 4.0])
    frames, again = (list(clip.frames(times, (160, 120))) for clip in (first, second))
    assert np.array_equal(frames, again)
    assert np.array_equal(first.frame(4.0, (160, 120)), frames[2])
    assert first.waveform().tobytes() == second.waveform().tobytes()
    assert first.face_visible(FINE).all()
    assert first.voice_clear(FINE).all()
    assert not RenderedClip(3, 7, 34.0).face_visible(FINE).all()
    assert first.affect(times).tobytes() == plain.affect(times).tobytes()
    assert not np.allclose(first.expression(times).smile, plain.expression(times).smile)


def test_boxes_at_many_times_are_those_at_each() -> None:
    clip, times = RenderedClip(3, 7, 6.0, pain=8.0), np.linspace(0, 6, 9)
    np.testing.assert_allclose(clip.face_boxes(times), [clip.face_box(float(time)) for time in times], rtol=1e-12)


@pytest.mark.parametrize("name", ["severity", "pain"])
@pytest.mark.parametrize("level", [-0.1, 10.1, float("nan")])
def test_levels_outside_their_range_are_refused(name: str, level: float) -> None:
    with pytest.raises(InputError, match=rf"{name} must be in 0\.\.10"):
        RenderedClip(0, 0, **{name: level})


def test_severity_shrinks_slows_and_lowers() -> None:
    def measure(severity: float) -> np.ndarray:
        rows = []
        for identity in range(30):
            face = RenderedClip(identity, 0, 34.0, severity=severity).expression(FINE)
            speed = np.abs(np.diff(face.smile)).max() / 0.05
            # The last is speed for its size, which a merely weaker display would leave alone.
            rows.append([face.smile.std(), face.brow_raise.std(), face.yaw.std(), face.jaw.mean(), speed / np.ptp(face.smile)])
            rows[-1].append(-face.gaze_y.mean())
        return np.mean(rows, axis=0)

    lively, middle, severe = measure(0.0), measure(5.0), measure(10.0)
    assert (lively > middle).all()
    assert (middle > severe).all()
    assert lively[4] > 2 * severe[4]
    assert (lively[:4] > 1.4 * severe[:4]).all()


def test_people_differ_in_size_whatever_their_severity() -> None:
    sizes = [RenderedClip(identity, 0, 34.0, severity=5.0).expression(FINE).smile.std() for identity in range(40)]
    assert np.std(np.log(sizes)) > 0.2


@pytest.mark.parametrize("identity", range(4))
def test_a_burst_lowers_brows_closes_eyes_lifts_cheeks_and_tightens_lids_in_proportion(identity: int) -> None:
    # Every other movement of the two clips is the same.
    hurt, calm = (RenderedClip(identity, 3, 34.0, pain=pain) for pain in (10.0, 0.0))
    pain, face, rest = hurt.pain_at(FINE), hurt.expression(FINE), calm.expression(FINE)
    changes = {
        "brow_furrow": face.brow_furrow - rest.brow_furrow,
        "brow_lower": rest.brow_raise - face.brow_raise,
        "cheek": face.cheek - rest.cheek,
        "squint": face.squint - rest.squint,
    }
    for change in changes.values():
        gain = change[pain > 0] / pain[pain > 0]
        np.testing.assert_allclose(change[pain == 0], 0, atol=1e-12)
        np.testing.assert_allclose(gain, gain[0])
        assert gain[0] > 0.03
    assert face.eye_open[pain.argmax()] < 0.35 * rest.eye_open[pain.argmax()]
    assert (face.eye_open >= 0).all()
    np.testing.assert_array_equal(face.eye_open[pain == 0], rest.eye_open[pain == 0])


def test_bursts_are_short_and_come_every_few_seconds() -> None:
    times = np.arange(0, 300, 0.01)
    pain = RenderedClip(2, 0, 300.0, pain=6.0).pain_at(times)
    step = np.diff((pain > 0).astype(int))
    starts, ends = np.flatnonzero(step > 0), np.flatnonzero(step < 0)
    ends = ends[ends > starts[0]]
    lengths = 0.01 * (ends - starts[: len(ends)])
    assert 75 <= len(starts) <= 150
    assert lengths.min() > 0.35
    assert lengths.max() < 1.55
    assert 0 <= pain.min() <= pain.max() <= 6.0


@pytest.mark.parametrize("seconds", [0.3, 2.1333, 4.2667])
def test_the_label_is_the_highest_intensity_of_its_stretch(seconds: float) -> None:
    clip = RenderedClip(5, 2, 34.0, pain=9.0)
    starts = np.arange(int(34 / seconds)) * seconds
    dense = clip.pain_at((starts[:, None] + np.linspace(0, seconds, 2000)).ravel()).reshape(len(starts), -1).max(axis=1)
    np.testing.assert_allclose(clip.peak_pain(starts, seconds), dense, atol=0.01)
    np.testing.assert_array_equal(clip.peak_pain(starts, np.full(len(starts), seconds)), clip.peak_pain(starts, seconds))
    assert not RenderedClip(5, 2, 34.0, pain=0.0).peak_pain(starts, seconds).any()


def test_a_smile_lifts_the_cheeks_and_nobody_hurts_without_a_level() -> None:
    times = np.arange(0, 34, 0.2)
    faces = [RenderedClip(identity, 0, 34.0, severity=0.0).expression(times) for identity in range(20)]
    smile, cheek = (np.concatenate([getattr(face, name) for face in faces]) for name in ("smile", "cheek"))
    assert np.corrcoef(smile, cheek)[0, 1] > 0.6
    with pytest.raises(InputError, match="no pain level"):
        RenderedClip(0, 0, severity=3.0).pain_at(times)
    with pytest.raises(InputError, match="no pain level"):
        RenderedClip(0, 0).peak_pain(times, 1.0)


def test_a_person_has_one_severity_and_a_clip_its_own_pain() -> None:
    severe = make_clips("train", identities=60, clips_per_identity=2, task="severity")
    levels = np.array([clip.severity for clip in severe]).reshape(60, 2)
    assert (levels[:, 0] == levels[:, 1]).all()
    assert [clip.severity for clip in make_clips("train", identities=60, seed=4, task="severity")] == levels[:, 0].tolist()
    hurting = np.array([clip.pain for clip in make_clips("train", identities=60, clips_per_identity=2, task="pain")])
    assert len(set(hurting.tolist())) == 120
    for drawn in (levels[:, 0], hurting):
        assert drawn.min() < 1 < 9 < drawn.max()
        assert abs(drawn.mean() - 5) < 1
    assert abs(np.corrcoef(hurting[::2], levels[:, 0])[0, 1]) < 0.4


def test_identity_knows_the_same_people_by_other_recordings() -> None:
    clips = {split: make_clips(split, identities=5, clips_per_identity=k, task="identity") for split, k in zip(
        ("train", "val", "test"), (4, 2, 1), strict=True
    )}  # fmt: skip
    assert all({clip.identity for clip in found} == set(range(5)) for found in clips.values())
    assert len({clip for found in clips.values() for clip in found}) == 5 * 7
    assert all(clip.severity is None and clip.pain is None for found in clips.values() for clip in found)


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(InputError, match="'mood': use one of affect, severity, pain, identity"):
        make_clips("train", task="mood")  # pyright: ignore[reportArgumentType]
