"""Artificial pairs: voice and face of one emotion and split, nobody in two splits, degradation that changes nothing else."""

from __future__ import annotations

import dataclasses
import inspect
import json
import wave
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from affectzoo.config import FramesInput, LogMelInput, ModelConfig, WaveformInput
from affectzoo.data.windows import WindowDataset, check_labels
from affectzoo.errors import AffectzooError, ConfigError, DataError
from affectzoo.registry import registry
from affectzoo_datasets.av_pairs import EMOTIONS, load, plan
from affectzoo_datasets.av_pairs_clip import job_of, make, plan_of
from affectzoo_datasets.av_pairs_plan import Pair
from affectzoo_datasets.ravdess import EMOTIONS as SPOKEN

CLASSES = list(EMOTIONS)
FACE_LABELS = ("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
ACTORS = {"train": (1, 2), "val": (17, 18), "test": (21, 22)}
RATE, SECONDS = 8000, 0.25
FRAMES = FramesInput(frames=2, height=16, width=16, colour="grey")
MEL = LogMelInput(sample_rate=RATE, n_fft=256, win_length=200, hop_length=80, n_mels=12, frames=26)
WAVE = WaveformInput(sample_rate=RATE, samples=round(SECONDS * RATE), normalise=False)
COUNTS = {"train": 28, "val": 14, "test": 14}


def model_config(targets: Any = None, classes: Any = CLASSES, audio=MEL, streams=("audio", "visual")) -> ModelConfig:
    inputs = {"audio": audio, "visual": FRAMES}
    return ModelConfig.parse(
        {
            "sequence": {"seconds": SECONDS, "length": 4},
            "streams": {name: {"backbone": "any", "input": inputs[name].to_json()} for name in streams},
            "fusion": "any" if len(streams) > 1 else None,
            "targets": targets or [{"name": "emotion", "kind": "categorical", "classes": list(classes)}],
        }
    )


def write_voice(path: Path, hertz: float) -> None:
    """1.1 s of a tone with pauses before and after."""
    times = np.arange(round(1.1 * 16_000)) / 16_000
    samples = 8000 * np.sin(2 * np.pi * hertz * times) * ((times > 0.2) & (times < 0.9)) + 4 * np.sin(2 * np.pi * 50 * times)
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.astype("<i2").tobytes())


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two actors of each split; each split has four people with two images of every emotion, but for fear: one of one."""
    root = tmp_path_factory.mktemp("corpora")
    for actors in ACTORS.values():
        for actor in actors:
            for emotion in range(1, 9):
                name = f"03-01-{emotion:02d}-01-01-01-{actor:02d}.wav"
                write_voice(root / "speech" / name, 200 + 60 * emotion + actor)
    lines, rng = ["file_name,subject,emotion,split"], np.random.default_rng(0)
    for split in ACTORS:
        for person in range(4):
            for label in FACE_LABELS:
                for number in range(2 if label != "fear" else person == 0):
                    name = f"{split}-{person}-{label}-{number}.png"
                    (root / "faces").mkdir(exist_ok=True)
                    cv2.imwrite(str(root / "faces" / name), rng.integers(30, 226, (24, 24, 3), np.uint8))
                    lines.append(f"{name},{split}{person},{label},{split}")
    (root / "faces" / "metadata.csv").write_text("\n".join(lines) + "\n")
    return {"speech_root": str(root / "speech"), "faces_root": str(root / "faces")}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


def pairs_of(roots: Mapping[str, str], **options: Any) -> dict[str, list[Pair]]:
    return plan(options.pop("config", model_config()), **{**roots, "pairs": COUNTS, **options})


def made(roots: Mapping[str, str], cache: str, **options: Any) -> Any:
    return load(options.pop("config", model_config()), **{**roots, "pairs": COUNTS, "cache_dir": cache, **options})


def extras(rows: Any) -> list[dict[str, Any]]:
    return [json.loads(extra) for extra in rows["extra"]]


def labels_of(paths: Any) -> set[str]:
    return {Path(path).stem.split("-")[2] for path in paths}


def test_voice_and_faces_are_of_the_same_emotion_and_split(roots: dict[str, str]) -> None:
    for split, pairs in pairs_of(roots).items():
        for pair in pairs:
            spoken = SPOKEN[int(Path(pair.utterance).stem.split("-")[2]) - 1]
            assert spoken == pair.emotion
            assert labels_of(pair.images) == {dict(zip(CLASSES, FACE_LABELS, strict=True))[pair.emotion]}
            assert labels_of((pair.onset, pair.offset)) == {"neutral"}
            assert int(Path(pair.utterance).stem[-2:]) in ACTORS[split]
            for path in (*pair.images, pair.onset, pair.offset):
                assert Path(path).name.startswith(split)
            for path in pair.babble:
                assert int(Path(path).stem[-2:]) in ACTORS[split]
                assert Path(path).stem[-2:] != Path(pair.utterance).stem[-2:]


def test_classes_are_equally_frequent_and_utterances_come_in_turn(roots: dict[str, str]) -> None:
    pairs = pairs_of(roots)["train"]
    assert set(Counter(pair.emotion for pair in pairs).values()) == {4}
    assert set(Counter(pair.utterance for pair in pairs).values()) == {2}


def test_a_track_is_of_one_person_where_there_are_several_images_of_one(roots: dict[str, str]) -> None:
    pairs = [pair for own in pairs_of(roots).values() for pair in own]
    for pair in pairs:
        assert pair.one_person
        assert pair.own_neutral
        assert Path(pair.onset).name.startswith(
            pair.person.replace("train", "train-").replace("val", "val-").replace("test", "test-")
        )
        assert len(set(pair.images)) == (1 if pair.emotion == "fearful" else 2)


def test_mixed_tracks_change_persons_in_every_class(roots: dict[str, str]) -> None:
    pairs = [pair for own in pairs_of(roots, tracks="mixed").values() for pair in own if pair.emotion != "fearful"]
    assert {len(pair.images) for pair in pairs} == {2, 3, 4}
    for pair in pairs:
        assert not pair.one_person
        assert not pair.own_neutral
        assert Path(pair.onset).name.split("-")[1] != pair.person[-1]


def test_a_pair_is_the_same_however_many_there_are_and_another_with_another_seed(roots: dict[str, str]) -> None:
    few, many = (pairs_of(roots, pairs={"test": count})["test"] for count in (7, 21))
    assert many[:7] == few
    assert pairs_of(roots, pairs={"test": 7}, seed=1)["test"] != few


def test_rows_fit_the_model_and_nobody_is_in_two_splits(roots: dict[str, str], cache: str) -> None:
    rows = made(roots, cache)
    speakers, persons = {}, {}
    for split in COUNTS:
        window = WindowDataset(rows[split], model_config())
        check_labels(window)
        # 1.1 s are five sub-sequences of 0.25 s.
        assert window.counts == [5] * COUNTS[split]
        columns = extras(rows[split])
        speakers[split] = {extra["speaker"] for extra in columns}
        persons[split] = {person for extra in columns for person in extra["persons"].split("+")}
        for subject, extra in zip(window.subjects, columns, strict=True):
            assert subject.split("+") == [extra["speaker"], extra["persons"].split("+")[0]]
    for held in (speakers, persons):
        assert len(set.union(*held.values())) == sum(map(len, held.values()))
    targets = np.frombuffer(rows["val"][2]["targets"], np.float32).reshape(5, 7)
    assert (targets == np.eye(7)[CLASSES.index("sad")]).all()
    assert extras(rows["val"])[2]["gender"] in ("male", "female")


def test_the_sound_of_a_clean_pair_is_the_utterance(roots: dict[str, str], cache: str) -> None:
    config = model_config(audio=WAVE, streams=("audio",))
    row = made(roots, cache, config=config)["val"][0]
    held = np.frombuffer(row["input.audio"], np.float32)
    clip = next(pair for pair in pairs_of(roots)["val"] if pair.pair_id == row["clip_id"])
    with wave.open(clip.utterance) as file:
        samples = np.frombuffer(file.readframes(-1), "<i2") / 32768
    # Every second sample of a tone far below half the rate; the resampler's filter costs a little at the edges of the tone.
    assert np.corrcoef(held[: len(samples) // 2], samples[::2])[0, 1] > 0.99
    assert not held[len(samples) // 2 + 1 :].any()


def test_pairs_keep_their_ids_labels_and_clean_parts_when_one_modality_is_degraded(roots: dict[str, str], cache: str) -> None:
    clean = made(roots, cache)["train"]
    for modality, other in (("audio", "visual"), ("visual", "audio")):
        spoilt = made(roots, cache, degraded=modality)["train"]
        assert spoilt["clip_id"] == clean["clip_id"]
        assert spoilt["targets"] == clean["targets"]
        assert spoilt[f"input.{other}"] == clean[f"input.{other}"]
        assert spoilt[f"present.{other}"] == clean[f"present.{other}"]
        columns = extras(spoilt)
        assert {extra["degraded"] for extra in columns} == {modality}
        assert {extra["degradation"] for extra in columns} == {"masked", "noised", "occluded"}
        for before, after, extra in zip(clean, spoilt, columns, strict=True):
            steps = [np.frombuffer(row[f"input.{modality}"], np.uint8).reshape(5, -1) for row in (before, after)]
            changed = (steps[0] != steps[1]).any(axis=1)
            starts = np.arange(5) * SECONDS
            touched = (starts < extra["degraded_to_s"]) & (starts + SECONDS > extra["degraded_from_s"])
            assert changed.any()
            assert not (changed & ~touched).any()
            gone = np.frombuffer(before[f"present.{modality}"], bool) & ~np.frombuffer(after[f"present.{modality}"], bool)
            assert gone.any() == (extra["degradation"] == "masked")


def test_half_of_the_pairs_are_degraded_for_training_in_either_modality_and_every_way(roots: dict[str, str]) -> None:
    pairs = pairs_of(roots, pairs={"train": 1200})["train"]
    found = [plan_of(pair, 4.3, 16 / 15, "train", 0.5) for pair in pairs]
    kinds = Counter((spoilt.modality, spoilt.kind) for spoilt in found if spoilt)
    # Four standard deviations of a binomial count.
    assert abs(kinds.total() - 600) < 4 * np.sqrt(1200 / 4)
    assert len(kinds) == 6
    assert all(abs(count - 100) < 4 * np.sqrt(100) for count in kinds.values())
    lengths = [spoilt.to_s - spoilt.from_s for spoilt in found if spoilt and spoilt.kind != "masked"]
    assert min(lengths) >= 0.3 * 4.3
    assert max(lengths) <= 0.7 * 4.3
    assert all(spoilt.from_s >= 0 and spoilt.to_s <= 4.3 for spoilt in found if spoilt and spoilt.kind != "masked")
    # Five sub-sequences: 30 to 70 % are two or three of them, sometimes four.
    steps = {(spoilt.to_s - spoilt.from_s) * 15 / 16 for spoilt in found if spoilt and spoilt.kind == "masked"}
    assert {round(step) for step in steps} <= {1, 2, 3, 4}
    assert not any(plan_of(pair, 4.3, 1, "train", 0) for pair in pairs)


def test_masking_leaves_a_sub_sequence_of_a_clip_of_two(roots: dict[str, str]) -> None:
    for pair in pairs_of(roots)["train"]:
        spoilt = plan_of(pair, 1.9, 1.0, "visual", 1)
        assert spoilt is not None
        assert spoilt.kind != "masked" or spoilt.to_s - spoilt.from_s == 1


def test_values_come_from_a_table_of_coordinates(roots: dict[str, str], cache: str) -> None:
    table = {"valence": {name: number / 10 for number, name in enumerate(CLASSES)}}
    config = model_config(targets=["valence"], streams=("visual",))
    rows = made(roots, cache, config=config, coordinates=table)["val"]
    for row, extra in zip(rows, extras(rows), strict=True):
        values = np.frombuffer(row["targets"], np.float32)
        assert values == pytest.approx(np.full(5, table["valence"][extra["emotion"]]))
    short = {"valence": {"neutral": 0.0}}
    for given, error, why in (
        (None, DataError, "av-pairs has no 'valence'; give coordinates"),
        (short, DataError, "coordinates.valence has no value for 'happy'"),
        ({"valence": dict.fromkeys(CLASSES, 3.0)}, ConfigError, "coordinates.valence.neutral is 3.0; this model's goes -1"),
    ):
        with pytest.raises(error, match=why):
            made(roots, cache, config=config, coordinates=given)


def test_calm_can_be_taken_in_and_classes_are_the_models(roots: dict[str, str]) -> None:
    config = model_config(classes=["sad", "neutral"])
    assert {pair.emotion for pair in pairs_of(roots, config=config)["train"]} == {"sad", "neutral"}
    table = {"neutral": {"speech": ["neutral", "calm"], "faces": ["neutral"]}}
    heard = {
        Path(p.utterance).stem[6:8] for p in pairs_of(roots, config=config, emotions=table)["train"] if p.emotion == "neutral"
    }
    assert heard == {"01", "02"}
    with pytest.raises(DataError, match="av-pairs has no class 'calm'; it has neutral, happy"):
        pairs_of(roots, config=model_config(classes=["sad", "calm"]))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"pairs": {}}, "pairs has no split; it takes train, val, test"),
        ({"pairs": {"dev": 3}}, "pairs has dev"),
        ({"pairs": {"val": 0}}, "pairs.val is 0; give a number from 1 on"),
        ({"tracks": "any"}, "tracks is 'any'; it takes person, mixed"),
        ({"seed": -1}, "seed is -1"),
        ({"degraded": "both"}, "degraded is 'both'; it takes none, train, audio, visual"),
        ({"degraded": "train", "degraded_share": 1.5}, "degraded_share is 1.5"),
        ({"crop_margin": -1}, "crop_margin is -1"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"emotions": {"sad": ["sad"]}}, "emotions.sad is .*; give {speech: .labels., faces: .labels.}"),
        ({"emotions": {"blue": {"speech": ["sad"], "faces": ["blue"]}}}, "speech labelled 'sad' counts as sad and as blue"),
        ({"emotions": {"sad": {"speech": ["sad"], "faces": ["grief"]}}}, "nothing of train is labelled grief, the class 'sad'"),
        ({"faces_root": "absent"}, "absent does not exist"),
    ],
)
def test_options_that_cannot_be_are_refused(roots: dict[str, str], cache: str, options: dict[str, Any], why: str) -> None:
    with pytest.raises(AffectzooError, match=why):
        made(roots, cache, **options)


def test_people_in_two_splits_and_images_without_splits_are_refused(roots: dict[str, str], tmp_path: Path) -> None:
    table = (Path(roots["faces_root"]) / "metadata.csv").read_text()
    for image in Path(roots["faces_root"]).glob("*.png"):
        (tmp_path / image.name).write_bytes(image.read_bytes())
    (tmp_path / "metadata.csv").write_text(table.replace("val-0-sadness-0.png,val0", "val-0-sadness-0.png,train0"))
    with pytest.raises(DataError, match="'train0' is in both train and val"):
        pairs_of({**roots, "faces_root": str(tmp_path)})
    (tmp_path / "metadata.csv").write_text("\n".join(line.rpartition(",")[0] for line in table.splitlines()))
    with pytest.raises(DataError, match="no clip is of the split train"):
        pairs_of({**roots, "faces_root": str(tmp_path)})


def test_an_image_that_changed_is_another_job_and_a_damaged_one_is_refused(roots: dict[str, str], tmp_path: Path) -> None:
    shared = {"degraded": "none", "degraded_share": 1, "seconds": SECONDS, "crop_margin": 0.3, "coordinates": {}}
    image = tmp_path / "onset.png"
    image.write_bytes(Path(pairs_of(roots)["val"][0].onset).read_bytes())
    pair = dataclasses.replace(pairs_of(roots)["val"][0], onset=str(image))
    job = job_of(pair, shared)
    assert len(list(make(job).faces(np.array([0.0, 0.5])))) == 2
    image.with_suffix(".half.png").write_bytes(image.read_bytes()[:40])
    image.with_suffix(".half.png").replace(image)
    assert job_of(pair, shared) != job
    damaged = image.rename(tmp_path / "damaged.png")
    with pytest.raises(DataError, match=r"damaged\.png: this is not a picture, or it is damaged"):
        next(make(job_of(dataclasses.replace(pair, onset=str(damaged)), shared)).faces(np.zeros(1)))


def test_what_pairs_are_made_of_is_said(roots: dict[str, str], cache: str, capsys: pytest.CaptureFixture[str]) -> None:
    made(roots, cache, pairs={"val": 14})["val"]
    said = capsys.readouterr().err
    assert said.startswith("val: 14 artificial pairs, 14 with neutral images of the same person; ")
    assert "neutral 2/2/" in said
    assert "fearful 2/2/1/2" in said


def test_its_card_is_whole_and_every_option_is_documented() -> None:
    target = registry().find("dataset", "av-pairs").resolve()
    assert "nobody was ever recorded" in str(target.card)
    for field in dataclasses.fields(target.card):
        assert getattr(target.card, field.name).strip(), field.name
    for option in inspect.signature(target).parameters:
        assert f"    {option}: " in target.__doc__, option


def test_real_pairs_have_every_class_unseen_speakers_and_unseen_persons(shared: Path, tmp_path: Path) -> None:
    roots = {
        name: str(shared / "data" / folder)
        for name, folder in zip(("speech_root", "faces_root"), ("ravdess_speech", "faces_muxspace"), strict=True)
    }
    pairs = plan(model_config(), **roots, pairs={"train": 700, "val": 140, "test": 140})
    for who in (lambda pair: {pair.speaker}, lambda pair: set(pair.persons)):
        held = [set.union(*map(who, own)) for own in pairs.values()]
        assert len(set.union(*held)) == sum(map(len, held))
    assert {emotion for own in pairs.values() for emotion in Counter(pair.emotion for pair in own)} == set(CLASSES)
    used = {path for pair in pairs["test"] if pair.emotion == "fearful" for path in pair.images}
    assert len(used) == 6  # all that there are
    rows = load(model_config(), **roots, pairs={"val": 7}, degraded="train", cache_dir=str(tmp_path))["val"]
    crops = np.frombuffer(rows[0]["input.visual"], np.uint8).reshape(-1, 16, 16, 3)
    assert (crops[..., 0] == crops[..., 2]).all()
    assert crops.std(axis=(1, 2, 3)).min() > 0
