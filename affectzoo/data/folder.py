"""The dataset `av-folder`: a folder of media files and `metadata.csv`.

`metadata.csv` has the columns `file_name` (a path in the folder), `subject` and `split` (train, val or test). A label of the
whole file is a column named like its target. Labels of other targets are in a CSV beside the file, `<stem>.csv`, or where the
column `annotations` says: `time_s` (or `frame`, from 0) and a column for each target. The label of a sub-sequence is the
mean of the valid annotations inside it; without any it is not valid. A value that is missing or out of its target's range
is not valid, for every target at that time. Files are prepared as for prediction; of several faces, the one seen longest.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affectzoo import __version__
from affectzoo.config import ModelConfig, TargetConfig
from affectzoo.data.annotations import Annotations, label_columns, mean_labels, no_column, read_annotations
from affectzoo.data.folder_windows import detector_called, generate, media_features, media_inputs
from affectzoo.data.rendered_windows import one_thread
from affectzoo.data.schema import IDENTITY, SPLITS, arrow_features
from affectzoo.errors import ConfigError, DataError

METADATA_FILE = "metadata.csv"
_COLUMNS = ("file_name", "subject", "split")


@dataclass(frozen=True)
class Recording:
    """One row of the metadata.

    Attributes:
        clip_id: the file's path in the folder; path: the file.
        subject, split: as written.
        whole: target -> its label of the whole file `[columns]`, NaN where missing or out of range.
        along: annotations of the targets that are not in `whole`, None where all are.
    """

    clip_id: str
    path: Path
    subject: str
    split: str
    whole: dict[str, np.ndarray]
    along: Annotations | None


def build(
    config: ModelConfig, *, folder: str, detector: str = "auto", workers: int = 1, cache_dir: str | None = None
) -> dict[str, Any]:
    """Prepare the files of a folder for a model's inputs; a second call for the same files reads the cache.

    Labels are read anew at every call. What is skipped, masked or not valid is said on standard error.

    Args:
        config: decides modalities, inputs, the time axis and which labels are read.
        folder: holds `metadata.csv`.
        detector: `auto`, or a detector's name.
        workers: processes that decode.
        cache_dir: None is the `datasets` library's own.

    Returns:
        Split -> `datasets.Dataset` of prepared rows; a split that the metadata do not name is absent.

    Raises:
        DataError: metadata, media or annotations that are absent or make no sense, or a split of damaged files only.
        ConfigError: `workers` under 1.
    """
    from datasets import Dataset, concatenate_datasets

    if workers < 1:
        raise ConfigError(f"workers must be at least 1, not {workers}")
    inputs = media_inputs(config)
    recordings: dict[str, list[Recording]] = {}
    for recording in read_metadata(Path(folder).expanduser(), config.targets):
        recordings.setdefault(recording.split, []).append(recording)
    # From here on and not in the workers: a fork that found OpenCV's threads gone would wait for them without end.
    with one_thread():
        shared = {
            "affectzoo": __version__,
            "inputs": inputs,
            "seconds": config.sequence.seconds,
            "detector": detector_called(detector, _say) if "visual" in inputs else None,
        }
        media = {
            split: Dataset.from_generator(
                generate,
                features=media_features(list(inputs)),
                gen_kwargs={"jobs": [_job(recording) for recording in chosen], "shared": json.dumps(shared, sort_keys=True)},
                num_proc=min(workers, len(chosen)) if workers > 1 else None,
                cache_dir=cache_dir,  # pyright: ignore[reportArgumentType]
                writer_batch_size=1,
            )
            for split, chosen in recordings.items()
        }
    rows, lost = {}, Counter[str]()
    for split, chosen in recordings.items():
        kept = _usable(media[split], split)
        labels = [
            _labels(recording, steps, fps, config, lost)
            for recording, steps, fps in zip(chosen, media[split]["steps"], media[split]["fps"], strict=True)
        ]
        known = Dataset.from_list(labels, features=arrow_features([]))
        prepared = media[split].remove_columns(["clip_id", "steps", "fps", "notes"])
        whole = concatenate_datasets([known, prepared], axis=1)
        rows[split] = whole if len(kept) == len(chosen) else whole.select(kept)
    for what, number in lost.items():
        if number:
            _say(f"{folder}: {number} {what}")
    return rows


def read_metadata(folder: Path, targets: Sequence[TargetConfig]) -> list[Recording]:
    """Every row of `metadata.csv` with its labels; media are not opened yet.

    Raises:
        DataError: names the file, the line and what is wrong with it.
    """
    path = folder / METADATA_FILE
    if not path.is_file():
        raise DataError(f"{path} does not exist; `affectzoo demo --dataset` writes a folder to start from")
    lines, header = _read_csv(path)
    absent = [name for name in _COLUMNS if name not in header]
    if absent:
        raise DataError(f"{path} {no_column(absent[0], header)}")
    if not lines:
        raise DataError(f"{path} has no rows; it needs one for each media file")
    found: list[Recording] = []
    seen: dict[str, str] = {}
    splits: dict[str, tuple[str, str]] = {}
    for where, cells in lines:
        for name in _COLUMNS:
            if not cells[name]:
                raise DataError(f"{where}: {name} is empty")
        if cells["split"] not in SPLITS:
            raise DataError(f"{where}: there is no split {cells['split']!r}; use {', '.join(SPLITS)}")
        clip_id = Path(os.path.normpath(cells["file_name"])).as_posix()
        if clip_id in seen:
            raise DataError(f"{where}: {clip_id} is already in {seen[clip_id]}; a file has one row")
        seen[clip_id] = where
        subject, split = cells["subject"], cells["split"]
        other, there = splits.setdefault(subject, (split, where))
        # The task whose classes are the people is the one in which a subject is in every split.
        if other != split and [target.name for target in targets] != [IDENTITY]:
            raise DataError(f"{where}: subject {subject!r} is in {split} here, but in {other} at {there}; give it one split")
        media = folder / clip_id
        if not media.is_file():
            raise DataError(f"{where}: {media} does not exist; correct file_name, or remove the row")
        whole = {target.name: label_columns([cells[target.name]], target)[0] for target in targets if target.name in cells}
        along = _annotations(folder, where, cells, media, [target for target in targets if target.name not in cells])
        found.append(Recording(clip_id, media, subject, split, whole, along))
    return found


def _read_csv(path: Path) -> tuple[list[tuple[str, dict[str, str]]], list[str]]:
    """`(file, line; its cells)` of each row, and the header; blanks around cells are left out."""
    lines = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            if len(set(header)) < len(header):
                raise DataError(f"{path} has a column twice: {Counter(header).most_common(1)[0][0]!r}")
            for cells in reader:
                where = f"{path}, line {reader.line_num}"
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    raise DataError(f"{where}: {len(cells)} cells for {len(header)} columns")
                lines.append((where, {name: cell.strip() for name, cell in zip(header, cells, strict=True)}))
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise DataError(f"{path} cannot be read as CSV in UTF-8: {error}") from error
    return lines, header


def _annotations(
    folder: Path, where: str, cells: dict[str, str], media: Path, targets: list[TargetConfig]
) -> Annotations | None:
    """What the row's annotation file says of the targets that have no column in the metadata."""
    if not targets:
        return None
    named = cells.get("annotations")
    path = folder / named if named else media.with_suffix(".csv")
    if not named and not path.is_file():
        raise DataError(f"{where}: {path} does not exist, and {METADATA_FILE} {no_column(targets[0].name, cells)}")
    try:
        return read_annotations(path, targets)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _job(recording: Recording) -> str:
    """What `generate` is given of a file; the cache prepares it anew where any of it differs."""
    stat = recording.path.stat()
    path = str(recording.path.absolute())
    return json.dumps({"path": path, "clip_id": recording.clip_id, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns})


def _usable(media: Any, split: str) -> list[int]:
    """The rows of files that could be used; says what was wrong with the others, and what is missing in these."""
    kept, notes = [], {}
    for number, (clip_id, steps, said) in enumerate(zip(media["clip_id"], media["steps"], media["notes"], strict=True)):
        for note in json.loads(said):
            if steps:
                notes.setdefault(note, []).append(clip_id)
            else:
                _say(f"skipped: {note}")
        if steps:
            kept.append(number)
    for note, clips in notes.items():
        _say(f"{clips[0] if len(clips) == 1 else f'{len(clips)} files of {split}, {clips[0]} among them'}: {note}")
    if not kept:
        raise DataError(f"none of the {len(media)} files of the split {split} can be used; the lines above say why")
    if len(kept) < len(media):
        _say(f"{len(media) - len(kept)} of {len(media)} files of {split} are skipped")
    return kept


def _labels(recording: Recording, count: int, fps: float, config: ModelConfig, lost: Counter[str]) -> dict[str, Any]:
    """The plain columns of a row of `count` sub-sequences, none of a skipped file; `lost` counts what is not valid."""
    seconds = config.sequence.seconds
    valid = np.ones(count, dtype=bool)
    parts: dict[str, np.ndarray] = {name: np.tile(label, (count, 1)) for name, label in recording.whole.items()}
    if count and any(np.isnan(label).any() for label in parts.values()):
        lost["files whose label is missing or out of range, and not valid"] += 1
        valid[:] = False
    given = recording.along
    if count and given is not None:
        means, annotated, outside = mean_labels(given, count, seconds, fps)
        lost["annotations missing or out of range, and not valid"] += int((~given.valid).sum())
        lost["annotations before the start or after the end of their file"] += outside
        lost["sub-sequences without a valid annotation"] += int((~annotated).sum())
        valid &= annotated
        start = 0
        for target in config.targets:
            if target.name not in parts:
                parts[target.name] = means[:, start : (start := start + len(target.columns))]
    values = [parts[target.name] for target in config.targets] if count else [np.zeros(0)]
    return {
        "clip_id": recording.clip_id,
        "subject": recording.subject,
        "times_s": ((np.arange(count) + 0.5) * seconds).tobytes(),
        # A NaN would spoil a loss even where it is masked.
        "targets": np.nan_to_num(np.concatenate(values, axis=-1)).astype(np.float32).tobytes(),
        "valid": valid.tobytes(),
    }


def _say(sentence: str) -> None:
    """One line on standard error, from the first process of a run only."""
    if os.environ.get("RANK", "0") == "0":
        print(sentence, file=sys.stderr, flush=True)
