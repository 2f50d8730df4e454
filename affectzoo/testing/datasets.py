"""Checks of a dataset loader: its card and options, and what it makes of a folder.

The config holds `root`, a folder laid out as the corpus is delivered; a few clips are enough. A dataset that is a function,
and so prepares rows for a model by itself, has no clips to check.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from affectzoo.config import TargetConfig
from affectzoo.data.corpus import Corpus, DatasetCard, is_corpus, options_of
from affectzoo.data.load import splits_of
from affectzoo.data.schema import SPLITS, Clip
from affectzoo.data.table import read_clip, to_row
from affectzoo.errors import DataError
from affectzoo.testing.check import CheckFailed, Subject
from affectzoo.testing.running import expect
from affectzoo.testing.targets import arguments_of, target_of, unknown_key_refused


def _loader(subject: Subject) -> type[Corpus]:
    target = target_of(subject)
    expect(is_corpus(target), f"{subject.spec.target} is no affectzoo.Corpus, so it has no clips to check")
    return target


def _open(subject: Subject, **over: Any) -> Corpus:
    loader = _loader(subject)
    told = "root" in subject.config or "root" in over
    expect(told, "say where a small folder in the layout of the corpus is, as config={'root': ...}")
    return loader(**arguments_of(subject, **over))


def _read(corpus: Corpus) -> list[Clip]:
    """Every clip that is listed, with its labels."""
    return [read_clip(corpus, clip) for clip in corpus.clips()]


def _usable(subject: Subject) -> tuple[Corpus, list[Clip]]:
    """The loader on the folder of the config, and the clips whose labels can be read."""
    corpus = _open(subject)
    clips = _read(corpus)
    usable = [clip for clip in clips if not clip.problem]
    expect(usable, f"no labels of {len(clips)} clips can be read; {clips[0].clip_id}: {clips[0].problem}")
    return corpus, usable


def _card_complete(subject: Subject) -> None:
    card = getattr(_loader(subject), "card", None)
    if not isinstance(card, DatasetCard):
        raise CheckFailed(f"its class attribute card is {card!r}, not an affectzoo.DatasetCard")
    empty = [field.name for field in fields(card) if not str(getattr(card, field.name)).strip()]
    expect(not empty, f"its card says nothing under {', '.join(empty)}")


def _options_documented(subject: Subject) -> None:
    loader = _loader(subject)
    texts = [vars(own).get("__doc__") or "" for own in loader.__mro__[: loader.__mro__.index(Corpus) + 1]]
    for name in options_of(loader):
        if not any(re.search(rf"^ *(\w+, )*{name}(, \w+)*: \S", text, re.MULTILINE) for text in texts):
            raise CheckFailed(f"the docstring of {loader.__name__} has no line '{name}: ...' under Args")


def _absent_folder(subject: Subject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _refused(subject, Path(folder) / "absent", "a folder that does not exist")


def _empty_folder(subject: Subject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _refused(subject, Path(folder), "an empty folder")


def _refused(subject: Subject, root: Path, what: str) -> None:
    """Fail unless a folder without the corpus is refused in one sentence that names it."""
    wanted = f"an affectzoo.errors.DataError of one line that names {root}"
    try:
        found = _open(subject, root=str(root)).clips()
    except DataError as error:
        if "\n" in str(error) or str(root) not in str(error):
            raise CheckFailed(f"{what} must be refused by {wanted}; it says {str(error)!r}") from error
        return
    except Exception as error:
        raise CheckFailed(f"{what} must be refused by {wanted}, not by {error!r}") from error
    raise CheckFailed(f"{what} gave {len(found)} clips; it must be refused by {wanted}")


def _ids_unique(subject: Subject) -> None:
    seen: set[str] = set()
    for clip in _open(subject).scan():
        if not isinstance(clip.clip_id, str) or not clip.clip_id:
            raise CheckFailed(f"scan gave a clip whose clip_id is {clip.clip_id!r}: {clip}")
        if clip.clip_id in seen and not clip.problem:
            raise CheckFailed(f"scan gave two clips called {clip.clip_id!r}")
        seen.add(clip.clip_id)


def _subjects_named(subject: Subject) -> None:
    found = [clip for clip in _open(subject).scan() if not clip.problem]
    expect(found, "scan gave no clip that can be used")
    for clip in found:
        if not isinstance(clip.subject, str) or not clip.subject:
            raise CheckFailed(f"clip {clip.clip_id!r} has the subject {clip.subject!r}, and no problem")


def _splits_by_subject(subject: Subject) -> None:
    corpus = _open(subject)
    found = [clip for clip in corpus.scan() if not clip.problem]
    for clip in found:
        expect(clip.split in ("", *SPLITS), f"clip {clip.clip_id!r} is of the split {clip.split!r}, not of {', '.join(SPLITS)}")
    try:
        splits_of([clip.subject for clip in found], [clip.split for clip in found], corpus, None)
    except DataError as error:
        raise CheckFailed(str(error)) from error


def _media_exist(subject: Subject) -> None:
    corpus = _open(subject)
    for clip in corpus.clips():
        if clip.problem:
            continue
        given = {"video": clip.video, "audio": clip.audio, "frames": clip.frames}
        for name, path in given.items():
            if path is not None and not Path(path).exists():
                raise CheckFailed(f"clip {clip.clip_id!r} names {name} {path}, which does not exist")
        if not any(given.values()) and not clip.signals and not read_clip(corpus, clip).signals:
            raise CheckFailed(f"clip {clip.clip_id!r} has neither video, audio, frames nor a signal")


def _targets_labelled(subject: Subject) -> None:
    corpus, clips = _usable(subject)
    expect(corpus.targets, "it declares no targets")
    for target in corpus.targets:
        labels = [value for clip in clips for value in _labels(clip, target, corpus)]
        if all(isinstance(value, float) and math.isnan(value) for value in labels):
            raise CheckFailed(f"not one of {len(clips)} clips has a label of {target.name!r}, which it declares")


def _labels(clip: Clip, target: TargetConfig, corpus: Corpus) -> list[Any]:
    """A clip's labels of one target that count; along time of a categorical target they are numbers of classes."""
    if target.name not in corpus.along:
        return [] if clip.scores.get(target.name) is None else [clip.scores[target.name]]
    if clip.track is None:
        return []
    return np.asarray(clip.track.values[target.name], float)[np.asarray(clip.track.valid, bool)].tolist()


def _labels_in_range(subject: Subject) -> None:
    corpus, clips = _usable(subject)
    for clip in clips:
        for target in corpus.targets:
            classes = target.kind == "categorical"
            named = classes and target.name not in corpus.along
            low, high = (0, len(target.classes) - 1) if classes else (target.low, target.high)
            for value in _labels(clip, target, corpus):
                fits = value in target.classes if named else math.isnan(value) or low <= value <= high
                if not fits:
                    wanted = f"one of {', '.join(target.classes)}" if named else f"in {low:g}..{high:g}"
                    raise CheckFailed(f"{target.name} of clip {clip.clip_id!r} is {value!r}, not {wanted}")


def _rows_as_declared(subject: Subject) -> None:
    corpus, clips = _usable(subject)
    names = {target.name for target in corpus.targets}
    for clip in clips:
        where = f"clip {clip.clip_id!r}"
        given = {"score": clip.scores, "track": {} if clip.track is None else clip.track.values, "extra": clip.extra}
        declared = {"score": names - {*corpus.along}, "track": {*corpus.along}, "extra": {*corpus.extra}}
        for what, values in given.items():
            for name in values:
                if name not in declared[what]:
                    raise CheckFailed(f"{where} has the {what} {name!r}, which {type(corpus).__name__} does not declare")
        for name, value in clip.extra.items():
            if value is not None and not isinstance(value, corpus.extra[name]):
                raise CheckFailed(f"{where} has {value!r} as {name}, declared as {corpus.extra[name].__name__}")
        try:
            to_row(clip, corpus)
        except DataError as error:
            raise CheckFailed(f"{where}: {error}") from error
        if clip.track is not None and not (np.diff(clip.track.times) > 0).all():
            raise CheckFailed(f"{where}: the times of its track do not increase")


def _deterministic(subject: Subject) -> None:
    first, second = _content(_open(subject)), _content(_open(subject))
    expect(first == second, f"the same folder gave other clips at the second reading: {_change(first, second)}")


def _content(corpus: Corpus) -> list[str]:
    """A line for each clip, in order, that changes with anything in it."""
    lines = []
    for clip in _read(corpus):
        plain = {field.name: getattr(clip, field.name) for field in fields(clip) if field.name not in ("track", "signals")}
        arrays = hashlib.sha256()
        for given in (clip.track, *(clip.signals[name] for name in sorted(clip.signals))):
            for values in () if given is None else _arrays(vars(given)):
                arrays.update(values.tobytes())
        lines.append(f"{plain} {arrays.hexdigest()}")
    return lines


def _arrays(given: Mapping[str, Any]) -> Iterator[np.ndarray]:
    for value in given.values():
        if isinstance(value, Mapping):
            yield from _arrays(value)
        elif isinstance(value, np.ndarray):
            yield value


def _change(first: list[str], second: list[str]) -> str:
    for before, after in zip(first, second, strict=False):
        if before != after:
            return f"{after} instead of {before}"
    return f"{len(second)} clips instead of {len(first)}"


def _folder_unchanged(subject: Subject) -> None:
    root = _open(subject).root
    before = _files(root)
    _read(_open(subject))
    after = _files(root)
    changed = sorted(path for path in before | after if before.get(path) != after.get(path))
    expect(not changed, f"reading made or changed in the folder: {', '.join(changed[:3])}")


def _files(root: Path) -> dict[str, tuple[int, int]]:
    """Path -> size and time of the last change; of folders, whose time tells of files that came and went, too."""
    stats = {path.relative_to(root).as_posix(): path.stat() for path in (root, *root.rglob("*"))}
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


def _config_round_trip(subject: Subject) -> None:
    corpus = _open(subject)
    given = {**arguments_of(subject), "root": str(corpus.root)}
    try:
        again = json.loads(json.dumps(given, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CheckFailed(f"its options {given} cannot stand in a recipe: {error}") from error
    other = _loader(subject)(**again)
    expect(other.targets == corpus.targets, f"its options {given} through JSON gave other targets: {other.targets}")
    first, second = ([clip.clip_id for clip in made.clips()] for made in (corpus, other))
    expect(first == second, f"its options {given} through JSON gave other clips: {_change(first, second)}")


CHECKS: tuple[tuple[str, str, Callable[[Subject], None]], ...] = (
    # First, before the others have read the folder.
    ("inputs-unchanged", "Reading leaves the folder as it was.", _folder_unchanged),
    ("card-complete", "Every field of the card says something.", _card_complete),
    ("options-documented", "The docstring has a line for each option.", _options_documented),
    ("absent-folder", "A folder that does not exist is refused in one sentence.", _absent_folder),
    ("empty-folder", "An empty folder is refused in one sentence.", _empty_folder),
    ("ids-unique", "No two clips have the same id.", _ids_unique),
    ("subjects-named", "Every clip that can be used says who is in it.", _subjects_named),
    ("splits-by-subject", "Official splits are train, val and test, and no person is in two.", _splits_by_subject),
    ("media-exist", "Every clip that can be used has media that exist, or signals.", _media_exist),
    ("targets-labelled", "Every declared target is labelled somewhere.", _targets_labelled),
    ("labels-in-range", "Labels are within the range, or among the classes, of their target.", _labels_in_range),
    ("rows-as-declared", "Scores, tracks, signals and extra columns are those declared.", _rows_as_declared),
    ("deterministic", "The same folder gives the same clips and labels twice, in the same order.", _deterministic),
    ("config-round-trip", "Options go through JSON and give the same clips.", _config_round_trip),
    ("unknown-key-refused", "An option that does not exist is refused.", unknown_key_refused),
)
