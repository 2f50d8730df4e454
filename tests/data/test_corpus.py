"""What a loader promises: each clip once, nothing lost, and a digest that changes whenever its rows would."""

from __future__ import annotations

import importlib
import os
import pickle
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

import affectzoo
from affectzoo.data.corpus import digest_of, is_corpus, options_of
from affectzoo.errors import ConfigError, DataError
from tests.data.toy_corpus import ToyCorpus, write_toys


def test_every_clip_is_listed_once_and_its_twin_as_a_problem(tmp_path):
    write_toys(tmp_path, 2, 1)
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "p0_0.csv").write_text((tmp_path / "p0_0.csv").read_text())

    class Flat(ToyCorpus):
        def scan(self) -> Iterator[affectzoo.Clip]:
            for clip in super().scan():
                yield replace(clip, split="")

    found = Flat(tmp_path).clips()
    assert [(clip.clip_id, bool(clip.problem)) for clip in found] == [("p0_0", False), ("p0_0 (2)", True), ("p1_0", False)]
    assert found[1].problem == "there is already a clip p0_0"


def test_a_folder_without_clips_says_what_was_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"holds no clip of Toy that can be used; it should look so: SUBJECT_NUMBER\.csv"):
        ToyCorpus(tmp_path).clips()

    class Broken(ToyCorpus):
        def scan(self) -> Iterator[affectzoo.Clip]:
            yield affectzoo.unusable("a.zip", "it was not extracted")

    with pytest.raises(DataError, match="can be used: it was not extracted; it should"):
        Broken(tmp_path).clips()


def test_a_wrong_root_is_named(tmp_path):
    with pytest.raises(DataError, match=r"root: .*absent does not exist; give the folder"):
        ToyCorpus(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"root: .*file is not a folder"):
        ToyCorpus(tmp_path / "file")


@pytest.mark.parametrize("change", [{"subject": ""}, {"split": "dev"}])
def test_a_loader_that_breaks_its_contract_is_told(tmp_path, change):
    class Careless(ToyCorpus):
        def scan(self) -> Iterator[affectzoo.Clip]:
            yield replace(affectzoo.Clip(clip_id="a", subject="s"), **change)

    with pytest.raises(DataError, match="Careless: clip 'a' has no subject, or an unknown split"):
        Careless(tmp_path).clips()


def test_the_digest_follows_clips_options_and_label_files(tmp_path):
    write_toys(tmp_path, 2, 2)

    def digest(**options) -> str:
        corpus = ToyCorpus(tmp_path, **options)
        return digest_of(corpus, corpus.clips())

    first = digest()
    assert digest() == first
    # An option may change nothing but what `read` gives.
    assert digest(shift_s=1.0) != first
    os.utime(tmp_path / "p0_0.csv", ns=(1, 1))
    assert digest() != first
    touched = digest()
    (tmp_path / "p1_0.csv").unlink()
    assert digest() not in (first, touched)


def test_the_digest_follows_the_code_of_a_loader_that_is_being_written(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    write_toys(tmp_path / "toys", 2, 1)
    digests = []
    for line in ("SHIFT_S = 1.0", "SHIFT_S = 2.0", "SHIFT_S = 2.0"):
        code = f"from tests.data.toy_corpus import ToyCorpus\n{line}\nclass Mine(ToyCorpus):\n    pass\n"
        (tmp_path / "loader_of_mine.py").write_text(code)
        monkeypatch.delitem(sys.modules, "loader_of_mine", raising=False)
        importlib.invalidate_caches()
        corpus = importlib.import_module("loader_of_mine").Mine(tmp_path / "toys")
        digests.append(digest_of(corpus, corpus.clips()))
    assert digests[0] != digests[1] == digests[2]


def test_the_digest_follows_arrays_that_a_scan_gives(tmp_path):
    write_toys(tmp_path, 1, 1)
    corpus = ToyCorpus(tmp_path)
    (clip,) = corpus.clips()

    def with_signal(value: float) -> str:
        signal = affectzoo.Signal(values=np.full((1, 2), value, np.float32), times_s=np.zeros(1))
        return digest_of(corpus, [replace(clip, signals={"head": signal})])

    assert with_signal(1.0) == with_signal(1.0) != with_signal(2.0)
    with pytest.raises(ConfigError, match=r"clip 'p0_0' holds what is no plain value"):
        digest_of(corpus, [replace(clip, extra={"site": np.float32(1)})])


def test_a_loader_goes_to_other_processes_whole(tmp_path):
    corpus = pickle.loads(pickle.dumps(ToyCorpus(tmp_path, shift_s=2.0)))
    assert (corpus.shift_s, corpus.root, corpus.options) == (2.0, tmp_path, {"root": tmp_path, "shift_s": 2.0})


def test_options_are_those_of_the_constructor():
    assert list(options_of(ToyCorpus)) == ["root", "shift_s"]
    assert is_corpus(ToyCorpus)
    assert not is_corpus(ToyCorpus.scan)
