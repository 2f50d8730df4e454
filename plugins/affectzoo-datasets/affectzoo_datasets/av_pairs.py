"""Artificial audio-visual pairs: an utterance of RAVDESS and a track of real faces of the same emotion and split."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from affectzoo import DatasetCard, ModelConfig, prepare_made
from affectzoo.errors import ConfigError, DataError
from affectzoo_datasets.av_pairs_clip import Degraded, job_of, make
from affectzoo_datasets.av_pairs_plan import NEUTRAL, SPLITS, Half, Pair, Tracks, draw_pairs, facts_of
from affectzoo_datasets.faces_folder import FacesFolder
from affectzoo_datasets.ravdess import CITATION, Ravdess

#: Class -> labels of the utterances and of the images that count as it.
EMOTIONS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "neutral": {"speech": ["neutral"], "faces": ["neutral"]},
    "happy": {"speech": ["happy"], "faces": ["happiness", "happy"]},
    "sad": {"speech": ["sad"], "faces": ["sadness", "sad"]},
    "angry": {"speech": ["angry"], "faces": ["anger", "angry"]},
    "fearful": {"speech": ["fearful"], "faces": ["fear", "fearful"]},
    "disgust": {"speech": ["disgust"], "faces": ["disgust"]},
    "surprised": {"speech": ["surprised"], "faces": ["surprise", "surprised"]},
}
PAIRS: Mapping[str, int] = {"train": 3000, "val": 700, "test": 700}

CARD = DatasetCard(
    title="artificial pairs of RAVDESS utterances and tracks of web faces",
    licence="that of its halves: RAVDESS CC-BY-NC-SA-4.0, and that of the images",
    source="made here of two corpora; nobody was ever recorded saying an utterance with this face",
    how_to_obtain="RAVDESS speech (affectzoo info ravdess) and a folder of labelled face crops (affectzoo info faces-folder)",
    layout="speech_root as the loader ravdess takes it, faces_root as faces-folder does, with subject and split",
    citation=CITATION,
    protocol="unseen speakers with unseen persons: no speaker and no person is in two splits. Classes are equally frequent. "
    "Lips do not move with the voice, and voice and face agree in the class alone.",
    metric="UAR",
    checked="1,424 utterances of RAVDESS and 13,626 crops from the web. Of these 12, 3 and 6 (train, val, test) show fear, so "
    "that with 3,000, 700 and 700 pairs each is seen in 105, 89 and 50 of them; other classes have 13 or more in any split. "
    "Tracks of one person, of 100 test pairs: happy 59, neutral 52, surprised 39, angry 7, and no other. Whether a track is "
    "of one person, and has neutral images of its own, gives UAR 0.25 on the test pairs without a look at a face (chance "
    "0.14); with tracks=mixed it gives 0.14.",
)


def load(
    config: ModelConfig,
    *,
    speech_root: str,
    faces_root: str,
    pairs: dict[str, int] | None = None,
    emotions: dict[str, dict[str, list[str]]] | None = None,
    coordinates: dict[str, dict[str, float]] | None = None,
    degraded: Degraded = "none",
    degraded_share: float = 0.5,
    tracks: Tracks = "person",
    crop_margin: float = 0.3,
    seed: int = 0,
    workers: int = 1,
    cache_dir: str | None = None,
) -> Mapping[str, Any]:
    """Pairs for a model's inputs; a second call with equal arguments and files reads the cache.

    Sound and length of a pair are the utterance's. The face is neutral, shows 2 to 4 images of the emotion and is neutral
    again, with cross-fades of 0.2 to 0.5 s; position, scale, rotation and brightness wander slowly. Where the person of the
    first image has others of the emotion all are of this person, else they are of several; onset and offset are neutral
    images of the same person, or else of another one of the split. Rare classes have few people with several images, so
    that a change of person tells something of the class (the card says how much); `tracks: mixed` changes it in every track.
    How often each happens in the pairs that are made is said on standard error.

    Labels hold for the whole clip, also where the face is still neutral or a modality is degraded. Colour gives classes of
    many web images away: let the model's frames be grey. The subject of a pair is speaker and person; extra columns are
    `emotion`, `speaker`, `gender` (of the speaker), `intensity`, `persons`, `one_person`, `own_neutral`, `degraded` (the
    modality), `degradation`, `degraded_from_s` and `degraded_to_s`.

    Args:
        config: decides streams, inputs, the time axis and the classes: those of its target `emotion`, else all of `emotions`.
        speech_root: of the loader `ravdess`.
        faces_root: of the loader `faces-folder`, with splits.
        pairs: split -> number; a split that is not named is not made.
        emotions: class -> `{speech: [labels], faces: [labels]}`, beside or instead of those of `EMOTIONS`. There RAVDESS' calm
            is left out; `{neutral: {speech: [neutral, calm], faces: [neutral]}}` takes it in.
        coordinates: target -> class -> value, for continuous targets such as valence.
        degraded: `none`; `train`, one of the two modalities of a share of the pairs for 30 to 70 % of the time; `audio` or
            `visual`, this modality of every pair for half of the time. A stretch is masked, noised (speech 0 to 10 dB under
            white, pink or babble noise; blur or grain) or occluded (sound through a wall; one half of the face). The pairs
            are the same, and so are their ids.
        degraded_share: for `train`.
        tracks: `person`, one person where there are several images of one; `mixed`, always several.
        crop_margin: how far an image reaches beyond the face's box.
        seed: decides pairs, tracks and degradation.
        workers: processes that make pairs.
        cache_dir: None is the `datasets` library's own.

    Raises:
        ConfigError: an option that cannot be.
        DataError: a folder holds no such corpus, somebody is in two splits, a class is missing, or the model wants what pairs
            do not have.
    """
    planned = plan(
        config,
        speech_root=speech_root,
        faces_root=faces_root,
        pairs=pairs,
        emotions=emotions,
        tracks=tracks,
        seed=seed,
    )
    if degraded not in get_args(Degraded):
        raise ConfigError(f"degraded is {degraded!r}; it takes {', '.join(get_args(Degraded))}")
    if not 0 <= degraded_share <= 1:
        raise ConfigError(f"degraded_share is {degraded_share}; give a share from 0 to 1")
    if not 0 <= crop_margin <= 2:
        raise ConfigError(f"crop_margin is {crop_margin}; give a share of the box from 0 to 2")
    shared = {
        "degraded": degraded,
        "degraded_share": degraded_share if degraded == "train" else 1,
        "seconds": config.sequence.seconds,
        "crop_margin": crop_margin,
        "coordinates": _coordinates(coordinates or {}, config, classes_of(config, emotions)),
        "code": _code(),
    }
    jobs = {split: [job_of(pair, shared) for pair in own] for split, own in planned.items()}
    remarks = {split: facts_of(split, own) for split, own in planned.items()}
    return prepare_made(make, jobs, config, remarks=remarks, workers=workers, cache_dir=cache_dir)


load.card = CARD  # pyright: ignore[reportFunctionMemberAccess]


def plan(
    config: ModelConfig,
    *,
    speech_root: str,
    faces_root: str,
    pairs: Mapping[str, int] | None = None,
    emotions: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    tracks: Tracks = "person",
    seed: int = 0,
) -> dict[str, list[Pair]]:
    """Split -> pairs, of whose files none is opened; arguments and refusals are those of `load`."""
    counts = dict(PAIRS if pairs is None else pairs)
    if not counts or not set(counts) <= set(SPLITS):
        raise ConfigError(f"pairs has {', '.join(counts) or 'no split'}; it takes {', '.join(SPLITS)}")
    for split, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ConfigError(f"pairs.{split} is {count!r}; give a number from 1 on, or leave the split out")
    if tracks not in get_args(Tracks):
        raise ConfigError(f"tracks is {tracks!r}; it takes {', '.join(get_args(Tracks))}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"seed is {seed!r}; give a whole number from 0 on")
    table = _table(emotions)
    classes = classes_of(config, emotions)
    named = {side: {name: table[name][side] for name in {*classes, NEUTRAL}} for side in ("speech", "faces")}
    speech = Half(Ravdess(speech_root).clips(), named["speech"], speech_root)
    faces = Half(FacesFolder(faces_root).clips(), named["faces"], faces_root)
    wanted = [split for split in SPLITS if split in counts]
    return {split: list(draw_pairs(speech, faces, split, counts[split], classes, tracks, seed)) for split in wanted}


def classes_of(config: ModelConfig, emotions: Mapping[str, Mapping[str, Sequence[str]]] | None) -> tuple[str, ...]:
    """The classes of the model's target `emotion`, or all of the table.

    Raises:
        DataError: a class that the table does not have, or a target `emotion` that has none.
    """
    table = _table(emotions)
    target = next((target for target in config.targets if target.name == "emotion"), None)
    if target is None:
        return tuple(table)
    if target.kind != "categorical":
        raise DataError(f"emotion of av-pairs is categorical, but {target.kind} in this model; set its kind to categorical")
    for name in target.classes:
        if name not in table:
            raise DataError(f"av-pairs has no class {name!r}; it has {', '.join(table)}, and emotions={{{name}: ...}} adds it")
    return target.classes


def _table(emotions: Mapping[str, Mapping[str, Sequence[str]]] | None) -> dict[str, Mapping[str, Sequence[str]]]:
    """`EMOTIONS` with a user's own classes.

    Raises:
        ConfigError: a class is not `{speech: [...], faces: [...]}`, or a label counts as two classes.
    """
    table = {**EMOTIONS, **(emotions or {})}
    for side in ("speech", "faces"):
        owner: dict[str, str] = {}
        for name, given in table.items():
            sides = set(given) == {"speech", "faces"} if isinstance(given, Mapping) else False
            labels = given[side] if sides else []
            if isinstance(labels, str) or not isinstance(labels, Sequence) or not labels:
                raise ConfigError(f"emotions.{name} is {given!r}; give {{speech: [labels], faces: [labels]}}")
            for label in labels:
                if owner.setdefault(label, name) != name:
                    raise ConfigError(f"emotions: {side} labelled {label!r} counts as {owner[label]} and as {name}; choose one")
    return table


def _coordinates(given: Mapping[str, Mapping[str, float]], config: ModelConfig, classes: Sequence[str]) -> dict[str, Any]:
    """The values of the model's continuous targets.

    Raises:
        DataError: a target without a value for each class.
        ConfigError: a value that is out of the target's range.
    """
    found: dict[str, Any] = {}
    for target in config.targets:
        if target.name == "emotion":
            continue
        if target.name not in given:
            raise DataError(f"av-pairs has no {target.name!r}; give coordinates: {{{target.name}: {{{classes[0]}: ..., ...}}}}")
        values = given[target.name]
        for name in classes:
            if name not in values:
                raise DataError(f"coordinates.{target.name} has no value for {name!r}; give one for each class")
            if target.kind == "categorical" or not target.low <= values[name] <= target.high:
                raise ConfigError(
                    f"coordinates.{target.name}.{name} is {values[name]!r}; this model's goes {target.low} to {target.high}"
                )
        found[target.name] = {name: float(values[name]) for name in classes}
    return found


@functools.cache
def _code() -> str:
    """Changes with the modules that make pairs: a cache of others is not taken."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("av_pairs*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
