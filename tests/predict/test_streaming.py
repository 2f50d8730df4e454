"""What streams through the collector equals the same predictions computed from the whole file at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from affectzoo.media.windows import window_starts
from affectzoo.predict.features import FaceFeature, Step
from affectzoo.predict.windows import WindowCollector, WindowFuser

BOX = np.array([1.0, 2.0, 3.0, 4.0], np.float32)


def steps_from(seen, heard):
    """Steps with random features: `seen` a list of sets of face numbers, `heard` a list of bool."""
    generator = torch.Generator().manual_seed(0)
    return [
        Step(
            i,
            0.4 * i,
            0.4 * (i + 1),
            torch.randn(4, generator=generator) if sound else None,
            {number: FaceFeature(torch.randn(5, generator=generator), BOX + i, 2) for number in sorted(faces)},
        )
        for i, (faces, sound) in enumerate(zip(seen, heard, strict=True))
    ]


def collect(model, steps, *, hop, batch_size=4, patience=99):
    fuser = WindowFuser(model, torch.device("cpu"), batch_size)
    collector = WindowCollector(fuser, hop, patience, list(model.backbones))
    with torch.inference_mode():
        for step in steps:
            collector.push(step)
        return collector.finish()


def whole_file(model, steps, *, hop):
    """(face, index) -> values `[K]`, the plain way: one padded window after the other over each whole stretch."""
    length = model.config.sequence.length
    faces = sorted({number for step in steps for number in step.faces})
    stretches = {None: (0, len(steps) - 1)}
    for number in faces:
        at = [step.index for step in steps if number in step.faces]
        stretches[number] = (at[0], at[-1])
    covered = {i for number in faces for i in range(stretches[number][0], stretches[number][1] + 1)}
    expected = {}
    for number, (first, last) in stretches.items():
        stretch = steps[first : last + 1]
        sums, counts = np.zeros((len(stretch), len(model.columns))), np.zeros((len(stretch), 1))
        for start in window_starts(len(stretch), length, hop):
            features, masks = {}, {}
            for name, dim in model.feature_dims.items():
                features[name], masks[name] = torch.zeros(1, length, dim), torch.zeros(1, length, dtype=torch.bool)
                for k, step in enumerate(stretch[start : start + length]):
                    face = step.faces.get(number)
                    feature = step.audio if name == "audio" else None if face is None else face.feature
                    if feature is not None:
                        features[name][0, k], masks[name][0, k] = feature, True
            with torch.inference_mode():
                values = model.forward_features(features, masks)[0].double().numpy()
            sums[start : start + length] += values[: len(stretch) - start]
            counts[start : start + length] += 1
        for k, step in enumerate(stretch):
            given = (number in step.faces and "visual" in model.backbones) or (
                step.audio is not None and "audio" in model.backbones
            )
            if number is not None or step.index not in covered:
                expected[number, step.index] = (sums / counts)[k] if given else np.full(len(model.columns), np.nan)
    return expected


def assert_same(rows, expected):
    assert [(row.face, row.index) for row in rows] == sorted(expected, key=lambda k: (k[1], -1 if k[0] is None else k[0]))
    for row in rows:
        np.testing.assert_allclose(row.values, expected[row.face, row.index], atol=1e-5)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=st.lists(st.tuples(st.sets(st.integers(0, 2)), st.booleans()), min_size=1, max_size=17),
    hop=st.integers(1, 4),
    batch_size=st.integers(1, 6),
)
def test_streaming_equals_the_whole_file(make_model, plan, hop, batch_size):
    model = make_model()
    steps = steps_from([faces for faces, _ in plan], [sound for _, sound in plan])
    assert_same(collect(model, steps, hop=hop, batch_size=batch_size), whole_file(model, steps, hop=hop))


@pytest.mark.parametrize(("visual", "audio"), [("toy-visual", None), (None, "toy-audio")])
def test_one_modality_streams_too(make_model, visual, audio):
    model = make_model(visual=visual, audio=audio)
    seen = [{0}] * 5 + [set()] * 2 + [{0, 1}] * 6 if visual else [set()] * 13
    heard = [bool(audio) and i != 6 for i in range(13)]
    steps = steps_from(seen, heard)
    rows = collect(model, steps, hop=2)
    assert_same(rows, whole_file(model, steps, hop=2))
    assert {row.index for row in rows} == set(range(13))


def test_a_hidden_face_keeps_its_stretch_and_is_said_to_be_hidden(make_model):
    steps = steps_from([{7}, {7}, set(), {7}, {7}], [True] * 5)
    rows = collect(make_model(), steps, hop=2)
    assert [(row.face, row.face_present, row.box is not None) for row in rows] == [
        (7, True, True),
        (7, True, True),
        (7, False, False),
        (7, True, True),
        (7, True, True),
    ]
    assert np.isfinite(rows[2].values).all()


def test_a_face_that_left_ends_and_the_sound_goes_on_alone(make_model):
    seen = [{0}] * 3 + [set()] * 6 + [{0}] * 3
    steps = steps_from(seen, [True] * 12)
    rows = collect(make_model(), steps, hop=2, patience=4)
    assert [row.face for row in rows] == [0] * 3 + [None] * 6 + [0] * 3
    # Two stretches: the windows of the second know nothing of the first.
    alone = collect(make_model(), steps[9:], hop=2, patience=4)
    np.testing.assert_allclose([r.values for r in rows[9:]], [r.values for r in alone], atol=1e-6)


def test_nothing_present_is_a_row_without_prediction(make_model):
    rows = collect(make_model(), steps_from([{0}, set(), set()], [True, False, True]), hop=2)
    assert [row.face for row in rows] == [0, None, None]
    assert not rows[1].face_present
    assert not rows[1].audio_present
    assert np.isnan(rows[1].values).all()
    assert np.isfinite(rows[0].values).all()
    assert np.isfinite(rows[2].values).all()


def test_memory_holds_windows_not_the_file(make_model):
    model = make_model()
    collector = WindowCollector(WindowFuser(model, torch.device("cpu"), 4), 2, 6, list(model.backbones))
    with torch.inference_mode():
        for step in steps_from([{0} if i % 40 < 30 else set() for i in range(400)], [True] * 400):
            collector.push(step)
            held = [collector._nobody, *collector._faces.values()]
            assert sum(len(s._waiting) + len(s.absent) + len(s.windows._kept) for s in held) <= 40
            assert len(collector._pending) <= 4
        assert len({(row.face, row.index) for row in collector.finish()}) == 400


@pytest.mark.parametrize("pool", ["mean", "median", "last"])
@pytest.mark.parametrize("length", [1, 4])
def test_a_model_that_pools_has_the_rows_of_one_that_does_not(make_model, pool, length):
    steps = steps_from([{0}] * 4 + [{0, 1}] * 6 + [set()] * 3, [i != 11 for i in range(13)])
    plain, pooled = make_model(length=length), make_model(length=length, pool=pool)
    pooled.load_state_dict(plain.state_dict())
    hop = max(1, length // 2)
    rows = collect(pooled, steps, hop=hop)
    assert_same(rows, whole_file(plain, steps, hop=hop))
    assert [row.face for row in rows].count(1) == 6
    assert np.isnan([row.values for row in rows if row.index == 11]).all()


def test_classes_come_out_as_probabilities(make_model):
    emotion = {"name": "emotion", "kind": "categorical", "classes": ["happy", "sad", "calm"]}
    rows = collect(make_model(targets=[emotion, "valence"]), steps_from([{0}] * 9, [True] * 9), hop=1)
    values = np.array([row.values for row in rows])
    np.testing.assert_allclose(values[:, :3].sum(axis=1), 1.0, atol=1e-6)
    assert (values[:, :3] > 0).all()
