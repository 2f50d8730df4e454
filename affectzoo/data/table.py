"""Clips as the rows of a `datasets.Dataset`: built once, cached by the `datasets` library, media left where they are.

Columns, in order: `clip_id`, `subject`, `split`; `video`, `audio`, `frames` (paths, or null), `cropped`; `fps`, `start_s`,
`end_s`; the targets, each under its own name (a number or a class label; a list of `[m]` along time); `times` (`[m]`),
`time_unit`, `valid` (`[m]`), `label_rate_hz`; `signal.<modality>` (`[m, C]`) with `signal_times.<modality>`; extra columns;
`notes`, `problem`. A clip with a problem keeps its row, so that nothing is lost unseen; `affectzoo.load_dataset` leaves it
out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import datasets
import numpy as np
from datasets import ClassLabel, Features, List, Value
from datasets.config import HF_DATASETS_CACHE
from datasets.exceptions import DatasetGenerationError

from affectzoo import __version__
from affectzoo.config import TargetConfig
from affectzoo.data.corpus import Corpus, digest_of
from affectzoo.data.schema import Clip, Signal, Track
from affectzoo.errors import DataError

_PLACE = ("clip_id", "subject", "split", "video", "audio", "frames")
_PART = ("fps", "start_s", "end_s")
_CROPPED = "cropped"
_TIMES = ("times", "time_unit", "valid", "label_rate_hz")
_REMARKS = ("notes", "problem")
_EXTRA = {str: "string", int: "int64", float: "float64", bool: "bool"}
#: Names that no target and no extra column can have.
RESERVED = frozenset({*_PLACE, _CROPPED, *_PART, *_TIMES, *_REMARKS})
#: The one split of the library that holds every clip: which split a clip is in is a column.
_ALL = "clips"


def table_features(corpus: Corpus) -> Features:
    """The typed columns of a corpus.

    Raises:
        DataError: two columns have one name, or an extra column an unknown type: the loader's author has to mend it.
    """
    columns: dict[str, Any] = {name: Value("string") for name in _PLACE} | {_CROPPED: Value("bool")}
    columns |= {name: Value("float64") for name in _PART}
    own = [*(target.name for target in corpus.targets), *corpus.extra]
    for number, name in enumerate(own):
        if name in RESERVED or name in own[:number] or "." in name:
            raise DataError(
                f"{type(corpus).__name__}: the column {name!r} has a name that is taken; its author has to rename it"
            )
    for target in corpus.targets:
        one = ClassLabel(names=list(target.classes)) if target.kind == "categorical" else Value("float32")
        columns[target.name] = List(one) if target.name in corpus.along else one
    columns |= {
        "times": List(Value("float64")),
        "time_unit": Value("string"),
        "valid": List(Value("bool")),
        "label_rate_hz": Value("float64"),
    }
    for name in corpus.signals:
        columns |= {f"signal.{name}": List(List(Value("float32"))), f"signal_times.{name}": List(Value("float64"))}
    for name, kind in corpus.extra.items():
        if kind not in _EXTRA:
            raise DataError(f"{type(corpus).__name__}: extra column {name!r} must be str, int, float or bool, not {kind!r}")
        columns[name] = Value(_EXTRA[kind])
    return Features({**columns, "notes": List(Value("string")), "problem": Value("string")})


def to_row(clip: Clip, corpus: Corpus) -> dict[str, Any]:
    """A clip as a row of `table_features`.

    Raises:
        DataError: labels or signals are not of the form that `schema` asks for.
    """
    row: dict[str, Any] = {name: getattr(clip, name) for name in (*_PLACE, _CROPPED, *_PART)}
    track = clip.track
    _check_forms(clip, corpus)
    for target in corpus.targets:
        if target.name in corpus.along:
            row[target.name] = [] if track is None else _column(track.values[target.name], target)
        else:
            row[target.name] = _score(clip.scores.get(target.name), target)
    row["times"] = [] if track is None else np.asarray(track.times, np.float64)
    row["time_unit"] = None if track is None else track.unit
    row["valid"] = [] if track is None else np.asarray(track.valid, bool)
    row["label_rate_hz"] = None if track is None or math.isnan(track.rate_hz) else track.rate_hz
    for name in corpus.signals:
        given = clip.signals.get(name)
        row[f"signal.{name}"] = [] if given is None else np.asarray(given.values, np.float32)
        row[f"signal_times.{name}"] = [] if given is None else np.asarray(given.times_s, np.float64)
    row |= {name: clip.extra.get(name) for name in corpus.extra}
    return row | {"notes": list(clip.notes), "problem": clip.problem or None}


def from_row(row: Mapping[str, Any], corpus: Corpus) -> Clip:
    """The clip of a row; `label_files`, which only the loader needs, are left out."""
    times = np.asarray(row["times"], np.float64)
    scores: dict[str, Any] = {}
    values: dict[str, np.ndarray] = {}
    for target in corpus.targets:
        given = row[target.name]
        if target.name in corpus.along:
            values[target.name] = np.asarray(given, np.float32)
        elif given is not None and given != -1 and target.kind == "categorical":
            scores[target.name] = target.classes[given]
        elif given is not None and target.kind != "categorical":
            scores[target.name] = float(given)
    track = None
    if row["time_unit"] is not None:
        rate = math.nan if row["label_rate_hz"] is None else row["label_rate_hz"]
        track = Track(times=times, unit=row["time_unit"], values=values, valid=np.asarray(row["valid"], bool), rate_hz=rate)
    signals = {
        name: Signal(
            values=np.asarray(row[f"signal.{name}"], np.float32).reshape(-1, channels),
            times_s=np.asarray(row[f"signal_times.{name}"], np.float64),
        )
        for name, channels in corpus.signals.items()
        if row[f"signal.{name}"]
    }
    place = {name: row[name] for name in (*_PLACE, _CROPPED, *_PART)}
    extra = {name: row[name] for name in corpus.extra}
    remarks: dict[str, Any] = {"notes": tuple(row["notes"] or ()), "problem": row["problem"] or ""}
    return Clip(**place, scores=scores, track=track, signals=signals, extra=extra, **remarks)


class TableBuilder(datasets.GeneratorBasedBuilder):
    """Builds the table of a corpus; cached by the clips it lists and the state of their label files.

    Args:
        corpus: what to read.
        cache_dir: None is the `datasets` library's own.
        clips: of the corpus, as its `clips` lists them.
        as_lists: give arrays as lists, which a stream hands on as they are.
    """

    VERSION = datasets.Version(__version__)

    def __init__(self, corpus: Corpus, *, clips: list[Clip], cache_dir: str | None = None, as_lists: bool = False) -> None:
        self.corpus, self.as_lists = corpus, as_lists
        self.found = clips
        self.columns = table_features(corpus)
        name = type(corpus).__name__.lower()
        super().__init__(cache_dir=cache_dir, dataset_name=name, config_name=name, hash=digest_of(corpus, self.found)[:32])

    def _info(self) -> datasets.DatasetInfo:
        card = self.corpus.card
        return datasets.DatasetInfo(
            features=self.columns,
            description=card.title,
            citation=card.citation,
            license=card.licence,
            homepage=card.source,
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:  # noqa: ARG002
        return [datasets.SplitGenerator(name=_ALL, gen_kwargs={"clips": self.found})]

    def _generate_examples(self, clips: list[Clip]) -> Iterator[tuple[str, dict[str, Any]]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        for clip in clips:
            clip = read_clip(self.corpus, clip)
            try:
                row = to_row(clip, self.corpus)
            except DataError as error:
                row = to_row(replace(clip, scores={}, track=None, signals={}, problem=str(error)), self.corpus)
            if self.as_lists:
                row = {name: cell.tolist() if isinstance(cell, np.ndarray) else cell for name, cell in row.items()}
            yield clip.clip_id, row


def read_clip(corpus: Corpus, clip: Clip) -> Clip:
    """A clip with its labels, or with the problem that reading them met."""
    if clip.problem:
        return clip
    try:
        return corpus.read(clip)
    except DataError as error:
        return clip.without(str(error))
    except OSError as error:
        return clip.without(f"{error.filename or clip.clip_id} cannot be read: {error.strerror or error}")


def read_table(corpus: Corpus, *, cache_dir: str | None = None, num_proc: int | None = None) -> datasets.Dataset:
    """Every clip of a corpus, in the order of `Corpus.scan`, those with a problem too.

    Args:
        corpus: what to read; a second call for unchanged files reads the cache.
        cache_dir: None is the `datasets` library's own.
        num_proc: processes that read label files.

    Raises:
        DataError: nothing that can be used was found, or the cache cannot be written.
    """
    clips = corpus.clips()
    with cache_refusals(cache_dir):
        builder = TableBuilder(corpus, clips=clips, cache_dir=cache_dir)
        builder.download_and_prepare(num_proc=num_proc if num_proc and num_proc > 1 else None)
    return builder.as_dataset(split=_ALL)  # pyright: ignore[reportReturnType]


def stream_table(corpus: Corpus, clips: list[Clip] | None = None) -> datasets.IterableDataset:
    """The rows of `read_table`, or of some clips, one after the other, read as they are asked for; no cache is written.

    Raises:
        DataError: nothing that can be used was found, or the `datasets` library has no folder of its own to write in.
    """
    clips = corpus.clips() if clips is None else clips
    with cache_refusals(None):
        builder = TableBuilder(corpus, clips=clips, as_lists=True)
    return builder.as_streaming_dataset(split=_ALL)  # pyright: ignore[reportReturnType]


@contextmanager
def cache_refusals(cache_dir: str | None) -> Iterator[None]:
    """A cache that cannot be written, as one sentence."""
    try:
        yield
    except (OSError, DatasetGenerationError) as failed:
        # The library wraps what is raised while it writes.
        error = failed if isinstance(failed, OSError) else failed.__cause__
        if not isinstance(error, OSError):
            raise
        where = error.filename or cache_dir or HF_DATASETS_CACHE
        wrong = f"the cache {where} cannot be written ({error.strerror or error})"
        raise DataError(f"{wrong}; give another cache_dir, or set HF_HOME") from error


def _check_forms(clip: Clip, corpus: Corpus) -> None:
    """Refuse what would be stored and read back as something else."""
    track = clip.track
    if track is not None:
        counts = {"valid": len(track.valid)}
        for name in corpus.along:
            if name not in track.values:
                raise DataError(f"its track has no {name}")
            counts[name] = len(track.values[name])
        for name, count in counts.items():
            if count != len(track.times):
                raise DataError(f"its track has {len(track.times)} times, but {count} of {name}")
        if not np.isfinite(track.times).all():
            raise DataError("its track has a time that is no number")
    for name, given in clip.signals.items():
        if name not in corpus.signals:
            raise DataError(f"it has a signal {name!r}, which {type(corpus).__name__} does not declare")
        wanted = (len(given.times_s), corpus.signals[name])
        if np.shape(given.values) != wanted:
            raise DataError(f"its signal {name} is {list(np.shape(given.values))}, not {list(wanted)}")
        if not (np.diff(given.times_s) > 0).all():
            raise DataError(f"the times of its signal {name} do not increase")


def _column(values: np.ndarray, target: TargetConfig) -> np.ndarray:
    return np.asarray(values, np.int64 if target.kind == "categorical" else np.float32)


def _score(value: Any, target: TargetConfig) -> Any:
    if value is None or value == "":
        return None
    if target.kind == "categorical":
        if value not in target.classes:
            raise DataError(f"{value!r} is none of the classes of {target.name}: {', '.join(target.classes)}")
        return target.classes.index(value)
    return None if math.isnan(value) else float(value)
