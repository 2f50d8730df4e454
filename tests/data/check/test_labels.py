"""Numbers about labels are those of the labels that count."""

from __future__ import annotations

import numpy as np
import pytest

from affectzoo import Clip, TargetConfig
from affectzoo.data.check.labels import target_facts
from affectzoo.data.check.report import clips_of
from affectzoo.data.table import read_table
from tests.data.check.toys import MOOD, VALENCE, Toys, along

PAIN = TargetConfig.model_validate("pspi")


def facts_of(corpus, **splits):
    return {facts.target.name: facts for facts in target_facts(corpus, splits)}


def test_labels_that_do_not_count_are_left_out_of_every_number(tmp_path):
    values = np.array([0.5, -0.25, 0.0, 9.0])
    one = Clip(clip_id="a", subject="s", track=along(values, valid=[True, True, True, False]))
    other = Clip(clip_id="b", subject="s", track=along([1.0, 1.0]))
    corpus = Toys(tmp_path, [one, other], targets=(VALENCE,), along=("valence",))
    facts = facts_of(corpus, train=[one], val=[other])["valence"]
    part = facts.splits["train"]
    assert (part.labels, part.valid, part.outside) == (4, 3, 0)
    assert (part.mean, part.sd) == pytest.approx((values[:3].mean(), values[:3].std()), abs=1e-6)  # labels are float32
    assert (part.low, part.high) == (-0.25, 0.5)
    assert (facts.edges[0], facts.edges[-1]) == (-1.0, 1.0)
    assert [sum(p.counts) for p in (part, facts.splits["val"], facts.total)] == [3, 2, 5]


def test_bins_reach_as_far_as_labels_do(tmp_path):
    clip = Clip(clip_id="a", subject="s", track=along([0.0, 3.0]))
    facts = facts_of(Toys(tmp_path, [clip], targets=(VALENCE,), along=("valence",)), all=[clip])["valence"]
    assert (facts.edges[0], facts.edges[-1]) == (-1.0, 3.0)
    assert (sum(facts.total.counts), facts.total.outside) == (2, 1)


def test_levels_are_counted_each(tmp_path):
    clips = [Clip(clip_id=str(k), subject="s", scores={"pspi": score}) for k, score in enumerate((0, 0, 3, 15))]
    facts = facts_of(Toys(tmp_path, clips, targets=(PAIN,)), all=clips)["pspi"]
    assert facts.total.counts == (2, 0, 0, 1, *[0] * 11, 1)


def test_classes_are_counted_and_have_no_mean(tmp_path):
    clips = [
        Clip(clip_id=str(k), subject="s", scores={"mood": m} if m else {}) for k, m in enumerate(("sad", "sad", "calm", ""))
    ]
    total = facts_of(Toys(tmp_path, clips, targets=(MOOD,)), all=clips)["mood"].total
    assert (total.labels, total.valid, total.counts, total.mean) == (4, 3, (1, 0, 2), None)


def test_clips_come_back_from_the_table_as_they_went_in(tmp_path):
    track = along([0.25, -1.0, 0.5], valid=[True, False, True])
    clips = [
        Clip(clip_id="a", subject="s", track=track, scores={"mood": "glad"}, notes=("odd",)),
        Clip(clip_id="b", subject="s"),
    ]
    corpus = Toys(tmp_path, clips, targets=(VALENCE, MOOD), along=("valence",))
    one, other = clips_of(read_table(corpus), corpus)
    assert one.track is not None
    np.testing.assert_array_equal(one.track.values["valence"], track.values["valence"])
    np.testing.assert_array_equal(one.track.times, track.times)
    np.testing.assert_array_equal(one.track.valid, track.valid)
    assert (one.scores, one.notes, other.track, other.scores) == ({"mood": "glad"}, ("odd",), None, {})
