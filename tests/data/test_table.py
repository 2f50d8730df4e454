"""Clips as rows of a `datasets.Dataset`: what goes in comes out, from a cache that knows when it is stale."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, List, Value

import affectzoo
from affectzoo.data.table import from_row, read_table, stream_table, table_features, to_row
from affectzoo.errors import DataError
from tests.data.toy_corpus import ToyCorpus, write_toys


@pytest.fixture
def root(tmp_path) -> Path:
    return write_toys(tmp_path / "ein Körper", 3, 2)


def table_of(corpus: affectzoo.Corpus, **given: Any) -> Any:
    return read_table(corpus, cache_dir=str(corpus.root.parent / "cache"), **given)


def test_a_clip_survives_its_row(root):
    corpus = ToyCorpus(root)
    clips = corpus.clips()
    for clip, row in zip(clips, table_of(corpus), strict=True):
        given, held = corpus.read(clip), from_row(row, corpus)
        assert (held.clip_id, held.subject, held.scores, held.extra) == (
            given.clip_id,
            given.subject,
            given.scores,
            given.extra,
        )
        assert held.track is not None
        assert given.track is not None
        np.testing.assert_array_equal(held.track.times, given.track.times)
        np.testing.assert_array_equal(held.track.values["valence"], given.track.values["valence"])
        np.testing.assert_array_equal(held.track.valid, given.track.valid)
        assert (held.track.unit, held.track.rate_hz) == ("s", given.track.rate_hz)
        np.testing.assert_array_equal(held.signals["head"].values, given.signals["head"].values)
        np.testing.assert_array_equal(held.signals["head"].times_s, given.signals["head"].times_s)
        assert (held.video, held.fps, held.start_s, held.problem, held.notes) == (None, None, None, "", ())


def test_what_is_missing_stays_missing(root):
    corpus = ToyCorpus(root)
    bare = affectzoo.Clip(clip_id="a", subject="s", fps=25.0, end_s=3.5, notes=("no sound",))
    again = from_row(to_row(bare, corpus), corpus)
    assert again == replace(bare, extra={"site": None})
    labelled = replace(bare, scores={"valence": math.nan, "mood": "sad"})
    assert from_row(to_row(labelled, corpus), corpus).scores == {"mood": "sad"}


def test_columns_are_typed(root):
    features = table_features(ToyCorpus(root))
    assert features["mood"] == ClassLabel(names=["calm", "tense", "sad"])
    assert features["valence"] == List(Value("float32"))
    assert features["signal.head"] == List(List(Value("float32")))
    assert features["site"] == Value("string")


@pytest.mark.parametrize("extra", [{"valid": str}, {"valence": str}, {"a.b": str}, {"site": list}])
def test_columns_that_cannot_be_are_the_authors_to_mend(root, extra):
    corpus = ToyCorpus(root)
    corpus.extra = extra
    with pytest.raises(DataError, match=r"ToyCorpus: .*(is taken|must be str)"):
        table_features(corpus)


def test_unchanged_files_are_read_once_and_a_changed_one_again(root):
    read = []

    class Counting(ToyCorpus):
        def read(self, clip: affectzoo.Clip) -> affectzoo.Clip:
            read.append(clip.clip_id)
            return super().read(clip)

    first = table_of(Counting(root))
    assert len(read) == 6
    table_of(Counting(root))
    assert len(read) == 6
    (root / "p1_0.csv").write_text("time_s,valence\n0,2.5\n")
    again = table_of(Counting(root))
    assert len(read) == 12
    assert again["valence"][2] == [2.5]
    assert again["clip_id"] == first["clip_id"]
    assert table_of(Counting(root, shift_s=3.0))["times"][2] == [3.0]


def test_a_file_that_cannot_be_read_is_a_problem_of_its_clip(root):
    (root / "p0_1.csv").write_bytes(b"time_s,valence\n\xff\xfe,1\n")
    (root / "p1_0.csv").write_text("seconds\n1\n")
    table = table_of(ToyCorpus(root))
    problems = {row["clip_id"]: row["problem"] for row in table if row["problem"]}
    assert set(problems) == {"p0_1", "p1_0"}
    assert "cannot be read as a table in UTF-8" in problems["p0_1"]
    assert len(table) == 6


def test_labels_of_a_wrong_form_are_a_problem_of_their_clip(root):
    class Odd(ToyCorpus):
        def read(self, clip: affectzoo.Clip) -> affectzoo.Clip:
            clip = super().read(clip)
            assert clip.track is not None
            head = clip.signals["head"]
            return {
                "p0_0": replace(clip, track=replace(clip.track, valid=clip.track.valid[1:])),
                "p0_1": replace(clip, track=replace(clip.track, values={})),
                "p1_0": replace(clip, scores={"mood": "cheerful"}),
                "p1_1": replace(clip, signals={"head": replace(head, values=head.values[:, :1])}),
                "p2_1": replace(clip, track=replace(clip.track, times=np.full(16, np.nan))),
                "p2_0": replace(clip, signals={"head": replace(head, times_s=head.times_s[::-1])}),
            }.get(clip.clip_id, clip)

    table = table_of(Odd(root))
    assert [row["problem"] for row in table] == [
        "its track has 16 times, but 15 of valid",
        "its track has no valence",
        "'cheerful' is none of the classes of mood: calm, tense, sad",
        "its signal head is [16, 1], not [16, 2]",
        "the times of its signal head do not increase",
        "its track has a time that is no number",
    ]


@pytest.mark.forks
def test_processes_read_the_same_rows(root):
    one = table_of(ToyCorpus(root))
    two = read_table(ToyCorpus(root), cache_dir=str(root.parent / "other"), num_proc=2)
    assert one.to_dict() == two.to_dict()


def test_a_stream_gives_the_same_rows_and_goes_on_where_it_was(root):
    corpus = ToyCorpus(root)
    rows = list(table_of(corpus))
    stream = stream_table(corpus)
    assert list(stream) == rows
    taken: Iterator[Any] = iter(stream)
    first = [next(taken) for _ in range(3)]
    state = stream.state_dict()
    other = stream_table(corpus)
    other.load_state_dict(state)
    assert first + list(other) == rows
    halves = [list(stream_table(corpus).shard(num_shards=2, index=index)) for index in range(2)]
    assert sorted(row["clip_id"] for half in halves for row in half) == [row["clip_id"] for row in rows]


def test_a_cache_that_cannot_be_written_is_one_sentence(root, monkeypatch):
    (root.parent / "file").write_text("")
    with pytest.raises(DataError, match=r"the cache .*file.* cannot be written \(.*\); give another cache_dir, or set HF_HOME"):
        read_table(ToyCorpus(root), cache_dir=str(root.parent / "file"))

    def read_only(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.makedirs", read_only)
    with pytest.raises(DataError, match=r"cannot be written \(Permission denied\); give another cache_dir"):
        read_table(ToyCorpus(root), cache_dir=str(root.parent / "locked"))
