"""From a corpus to prepared rows: labels in the model's ranges, chunks that outlive interruptions, splits by demand."""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import affectzoo
from affectzoo.config import FramesInput, ModelConfig
from affectzoo.data import clip_media, corpus_media
from affectzoo.data.corpus_windows import build, builder_of
from affectzoo.data.rendered import RenderedClip, write_clip
from affectzoo.data.rendered_windows import one_thread
from affectzoo.data.windows import WindowDataset, check_labels
from affectzoo.errors import ConfigError, DataError, PluginError
from affectzoo.registry import check_arguments
from tests.data.toy_corpus import CLASSES, ToyCorpus, toy_model, write_toys

SPLITS = ("train", "val", "test")
MOOD = {"name": "mood", "kind": "categorical", "classes": list(CLASSES)}


@pytest.fixture
def root(tmp_path) -> Path:
    return write_toys(tmp_path / "toys", 3, 2, splits=SPLITS)


def prepare(root: Path, config: ModelConfig | None = None, **given: Any) -> Any:
    return builder_of(ToyCorpus)(config or toy_model(), root=str(root), cache_dir=str(root.parent / "cache"), **given)


def arrays(row: dict[str, Any], columns: int = 1) -> dict[str, np.ndarray]:
    numbers = {name: np.frombuffer(row[name], np.float32).reshape(-1, columns) for name in ("targets", "annotation.targets")}
    flags = {name: np.frombuffer(row[name], bool) for name in ("valid", "annotation.valid")}
    return {**numbers, **flags, "annotation.times_s": np.frombuffer(row["annotation.times_s"], np.float64)}


def test_signals_and_labels_of_a_corpus_are_windows_of_a_model(root):
    rows = prepare(root)
    assert list(rows) == list(SPLITS)
    row = rows["val"][0]
    held = arrays(row)
    times = np.arange(16) / 4
    values = np.round(5 + 4 * np.sin(times + 1), 4)
    np.testing.assert_allclose(held["targets"][:, 0], values.reshape(4, 4).mean(1), rtol=1e-5)
    np.testing.assert_allclose(held["annotation.targets"][:, 0], values, rtol=1e-6)
    np.testing.assert_array_equal(held["annotation.times_s"], times)
    assert held["annotation.valid"].all()
    assert json.loads(row["extra"]) == {"site": "Köln"}
    windows = WindowDataset(rows["val"], toy_model())
    check_labels(windows)
    item = windows[1]
    assert item["inputs"]["head"].shape == (2, 2, 2)
    assert item["masks"]["head"].all()
    # Linear between samples 0.25 s apart: a quarter of the spacing squared times the largest curvature is far under 0.01.
    np.testing.assert_allclose(item["inputs"]["head"][:, :, 0], np.sin([[2.25, 2.75], [3.25, 3.75]]), atol=0.01)


def test_other_labels_are_read_anew(root):
    first = arrays(prepare(root)["train"][0])["targets"]
    (root / "train" / "p0_0.csv").write_text("time_s,valence\n0,2\n0.5,4\n1.0,x\n2.5,12\n3,9\n-1,3\n")
    held = arrays(prepare(root)["train"][0])
    np.testing.assert_allclose(held["targets"][:, 0], [3, 0, 0, 9])
    assert held["valid"].tolist() == [True, False, False, True]
    assert held["annotation.valid"].tolist() == [True, True, False, False, True, True]
    assert not np.array_equal(first, held["targets"])


def test_a_range_is_mapped_only_if_asked(root, capsys):
    config = toy_model("valence")
    with pytest.raises(
        DataError, match=r"valence is 1 to 9 in ToyCorpus, but -1 to 1 in this model; set .*\(low, high\), or rescale: true"
    ):
        prepare(root, config)
    (root / "test" / "p2_0.csv").write_text("time_s,valence\n0,1\n1,9\n2,4\n3,0.5\n")
    rows = prepare(root, config, rescale=True)["test"]
    held = arrays(rows[0])
    np.testing.assert_allclose(held["targets"][:, 0], [-1, 1, -0.25, 0])
    assert held["valid"].tolist() == [True, True, True, False]  # 0.5 is out of the corpus' own range
    assert f"{root}, test: 1 annotations are missing, marked or out of range, and not valid" in capsys.readouterr().err
    check_labels(WindowDataset(rows, config))


def test_classes_go_by_name_and_those_unknown_to_the_model_are_not_valid(tmp_path, capsys):
    root = write_toys(tmp_path / "toys", 3, 3, splits=SPLITS)
    config = toy_model({**MOOD, "classes": ["tense", "calm"]})
    rows = prepare(root, config)["train"]
    held = [arrays(row, 2) for row in rows]
    assert [one["targets"][0].tolist() for one in held] == [[0, 1], [1, 0], [0, 0]]
    assert [one["valid"].all() for one in held] == [True, True, False]
    assert all(len(one["annotation.times_s"]) == 0 for one in held)
    said = capsys.readouterr().err
    assert f"{root}, train: 1 labels 'sad' of mood, which this model does not know, are not valid" in said
    check_labels(WindowDataset(rows, config))


def test_labels_of_clips_and_along_time_are_side_by_side(root):
    config = toy_model(MOOD, {"name": "valence", "low": 1, "high": 9})
    held = arrays(prepare(root, config)["train"][1], 4)
    assert held["targets"][:, :3].tolist() == [[0, 1, 0]] * 4
    assert held["annotation.targets"][:, :3].tolist() == [[0, 1, 0]] * 16
    assert held["valid"].all()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"name": "valance"}, "ToyCorpus has no labels of 'valance'; did you mean 'valence'"),
        ({"name": "pain"}, "ToyCorpus has no labels of 'pain'; It has valence, mood"),
        ({"name": "mood"}, "mood is categorical in ToyCorpus, but continuous in this model"),
        ({**MOOD, "name": "valence"}, "valence is continuous in ToyCorpus, but categorical in this model"),
        ({**MOOD, "classes": ["calm", "angry"]}, "ToyCorpus has no class 'angry' of mood; its classes are calm, tense, sad"),
    ],
)
def test_labels_that_the_corpus_lacks_are_refused(root, target, words):
    with pytest.raises(DataError, match=words):
        prepare(root, toy_model(target))


def test_an_ordinal_target_may_be_trained_as_a_continuous_one(root):
    assert len(prepare(root, toy_model({"name": "valence", "kind": "ordinal", "low": 1, "high": 9}))["val"]) == 2


def test_folds_split_what_has_no_official_splits(tmp_path):
    root = write_toys(tmp_path / "toys", 4, 2)
    with pytest.raises(DataError, match=r"has no official splits; give data\.config\.fold=\{folds: 5, number: 0\}"):
        prepare(root)
    tests = [set(prepare(root, fold={"folds": "loso", "number": number})["test"]["subject"]) for number in range(4)]
    assert tests == [{"p0"}, {"p1"}, {"p2"}, {"p3"}]


def test_a_loader_is_a_builder_whose_options_are_known():
    builder = builder_of(ToyCorpus)
    assert list(inspect.signature(builder).parameters) == [
        *("config", "root", "shift_s", "fold", "rescale", "detector", "workers", "cache_dir"),
    ]
    arguments = check_arguments(builder, {"config": None}, {"root": "x"}, "dataset 'toy'")
    assert arguments == {
        "root": "x",
        "shift_s": 0.0,
        "fold": None,
        "rescale": False,
        "detector": "auto",
        "workers": 1,
        "cache_dir": None,
    }
    for key, near in (("rot", "root"), ("shift", "shift_s"), ("rescal", "rescale"), ("folds", "fold")):
        with pytest.raises(ConfigError, match=f"unknown key '{key}'; did you mean '{near}'"):
            check_arguments(builder, {"config": None}, {"root": "x", key: 1}, "dataset 'toy'")
    assert builder_of(prepare) is prepare

    class Greedy(ToyCorpus):
        def __init__(self, root: str, *, fold: int = 0) -> None:  # noqa: ARG002
            super().__init__(root)

    with pytest.raises(PluginError, match="the loader Greedy has an option 'fold'"):
        builder_of(Greedy)
    with pytest.raises(ConfigError, match="workers must be at least 1"):
        builder(toy_model(), root=".", workers=0)


def test_signals_alone_never_touch_media(root, monkeypatch):
    # Whoever imports it from here on fails.
    monkeypatch.setitem(sys.modules, "affectzoo.data.clip_media", None)
    assert len(prepare(root)["val"]) == 2


class FilmCorpus(affectzoo.Corpus):
    """Videos `SUBJECT.mp4` in one folder, a signal where there is a `.npy`, and a score; or frames numbered along them."""

    card = ToyCorpus.card
    targets = (affectzoo.TargetConfig(name="pain", low=0, high=10),)

    def __init__(self, root: str | Path, *, frames: int = 0) -> None:
        super().__init__(root)
        self.frames = frames
        self.along = ("pain",) if frames else ()
        self.signals = {"head": 2}

    def scan(self) -> Iterator[affectzoo.Clip]:
        for path in sorted(self.root.glob("*.mp4")):
            track, values = None, path.with_suffix(".npy")
            if self.frames:
                labels = np.arange(self.frames, dtype=np.float32) / 10
                track = affectzoo.Track(
                    times=np.arange(self.frames, dtype=float),
                    unit="frame",
                    values={"pain": labels},
                    valid=np.ones(self.frames, bool),
                )
            signals = {}
            if values.is_file():
                given = np.load(values)
                signals["head"] = affectzoo.Signal(values=given, times_s=np.arange(len(given)) / 4)
            empty = path.stat().st_size == 0
            yield affectzoo.Clip(
                clip_id=path.stem,
                subject=path.stem,
                video=None if empty else str(path),
                scores={"pain": 3.0},
                track=track,
                signals=signals,
            )


FRAMES = FramesInput(frames=2, height=16, width=16)
CONFIG = ModelConfig.parse(
    {
        "sequence": {"seconds": 0.5, "length": 2},
        "streams": {"visual": {"backbone": "any", "input": FRAMES.to_json()}},
        "targets": [{"name": "pain", "low": 0, "high": 10}],
    }
)
SIGNAL_STREAM = toy_model().to_json()["streams"]
BOTH = ModelConfig.parse({**CONFIG.to_json(), "fusion": "any", "streams": {**CONFIG.to_json()["streams"], **SIGNAL_STREAM}})


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """1 s of 12 frames a second."""
    return write_clip(RenderedClip(3, 1, 1.0), tmp_path_factory.mktemp("film") / "film.mp4", size=(80, 60), fps=12)


@pytest.fixture
def films(film, tmp_path, monkeypatch) -> Path:
    """Five people, in chunks of two clips."""
    monkeypatch.setattr(corpus_media, "CLIPS_PER_CHUNK", 2)
    root = tmp_path / "films"
    root.mkdir()
    for number in range(5):
        os.link(film, root / f"p{number}.mp4")
    return root


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The clips that are decoded from now on."""
    found: list[str] = []
    real = clip_media.prepare
    monkeypatch.setattr(clip_media, "prepare", lambda clip, *rest: (found.append(clip.clip_id), real(clip, *rest))[1])
    return found


def watch(root: Path, config: ModelConfig = CONFIG, number: int = 0, frames: int = 0, **given: Any) -> Any:
    options: dict[str, Any] = {"detector": "full-frame", "cache_dir": str(root.parent / "cache"), **given}
    return build(FilmCorpus(root, frames=frames), config, fold={"folds": "loso", "number": number}, **options)


def test_a_split_is_prepared_when_it_is_asked_for_and_folds_share_it(films, decoded):
    rows = watch(films)
    assert "test" in rows
    assert len(rows) == 3
    assert decoded == []
    assert rows["test"]["clip_id"] == ["p0"]
    assert decoded == ["p0", "p1"]
    assert sorted(clip for split in SPLITS for clip in rows[split]["clip_id"]) == [f"p{number}" for number in range(5)]
    assert decoded == [f"p{number}" for number in range(5)]
    for number in range(5):
        again = watch(films, number=number)
        assert again["test"]["clip_id"] == [f"p{number}"]
        windows = WindowDataset(again["train"], CONFIG)
        assert windows[0]["inputs"]["visual"].shape == (2, 3, 2, 16, 16)
        assert windows[0]["masks"]["visual"].all()
    assert len(decoded) == 5


def test_a_detector_is_made_once_for_all_clips_and_anew_where_another_takes_its_name(films):
    made: list[str] = []

    def register(called: str) -> None:
        @affectzoo.register_detector("toy-eager")
        class Eager:
            def __init__(self) -> None:
                made.append(called)

            def detect(self, image):
                return np.array([[0, 0, image.shape[1], image.shape[0], 1.0]], dtype=np.float32)

    for called in ("first", "second"):
        register(called)
        rows = watch(films, detector="toy-eager", cache_dir=str(films.parent / called))
        assert all(len(rows[split]) for split in SPLITS)
        assert made.count(called) <= 2  # to see whether it can be made; then for all five films


def test_media_that_cannot_be_cached_are_one_sentence(films, decoded, monkeypatch):
    def read_only(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    rows = watch(films)
    monkeypatch.setattr("os.makedirs", read_only)
    with pytest.raises(DataError, match=r"the cache .* cannot be written \(Permission denied\); give another cache_dir"):
        rows["test"]
    assert decoded == []


@pytest.mark.forks
def test_an_interrupted_preparation_goes_on_with_its_chunk(films, decoded):
    def killed(clip: Any, *rest: Any) -> Any:
        if clip.clip_id == "p3":  # the second of the second chunk
            os._exit(9)
        return real(clip, *rest)

    real = clip_media.prepare
    with one_thread():  # the film was drawn by several, for which the fork would wait
        child = os.fork()
    if not child:
        clip_media.prepare = killed
        dict(watch(films))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert decoded == []
    assert len(dict(watch(films))) == 3
    assert decoded == ["p2", "p3", "p4"]


@pytest.mark.forks
def test_two_workers_prepare_the_same(films):
    cv2.setNumThreads(2)  # as another command in this process may have left them
    one, two = (dict(watch(films, workers=n, cache_dir=str(films.parent / f"cache{n}"))) for n in (1, 2))
    assert {split: rows.to_dict() for split, rows in one.items()} == {split: rows.to_dict() for split, rows in two.items()}


def test_frames_are_placed_by_the_media_and_those_beyond_the_last_are_counted(films, capsys):
    rows = watch(films, frames=15)["test"]
    held = arrays(rows[0])
    np.testing.assert_allclose(held["targets"][:, 0], [0.25, 0.85], rtol=1e-5)  # frames 0 to 5 and 6 to 11
    np.testing.assert_allclose(held["annotation.times_s"], np.arange(12) / 12, atol=1e-6)
    assert f"{films}, test: 3 annotations count frames beyond the last one" in capsys.readouterr().err


def test_frames_without_media_that_place_them_skip_the_clip(films, capsys):
    np.save(films / "p0.npy", np.zeros((8, 2), np.float32))
    signals = ModelConfig.parse({**CONFIG.to_json(), "streams": toy_model().to_json()["streams"]})
    with pytest.raises(DataError, match="none of the 1 clips of the split test can be used"):
        watch(films, signals, frames=3)["test"]
    assert "skipped: p0: its labels count frames" in capsys.readouterr().err
    assert watch(films, signals)["test"]["clip_id"] == ["p0"]


def test_media_and_signals_of_unequal_length_are_masked_to_the_longer(films, capsys):
    np.save(films / "p0.npy", np.ones((8, 2), np.float32))  # 2 s: twice the video
    np.save(films / "p1.npy", np.ones((2, 2), np.float32))
    (films / "p2.mp4").unlink()
    (films / "p2.mp4").touch()  # which this corpus lists without a video
    np.save(films / "p2.npy", np.ones((6, 2), np.float32))
    rows = {clip: row for part in watch(films, BOTH).values() for row in part for clip in [row["clip_id"]]}
    present = {
        clip: [np.frombuffer(row[f"present.{name}"], bool).astype(int).tolist() for name in ("visual", "head")]
        for clip, row in rows.items()
    }
    assert present["p0"] == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert present["p1"] == [[1, 1], [1, 0]]
    assert present["p2"] == [[0, 0, 0], [1, 1, 1]]
    assert present["p3"] == [[1, 1], [0, 0]]
    for clip, row in rows.items():
        steps = len(np.frombuffer(row["valid"], bool))
        assert len(row["input.visual"]) == steps * 2 * 16 * 16 * 3, clip
    only = watch(films, CONFIG, number=1)
    assert "p2" not in [clip for part in only.values() for clip in part["clip_id"]]
    assert "skipped: p2: it has nothing that this model takes" in capsys.readouterr().err
