"""The dataset `av-folder`: a folder of media files and `metadata.csv`.

`metadata.csv` has the columns `file_name` (a path in the folder) and `subject`, and may have `split` (train, val or test)
and `start` and `end` (seconds: only that part of the file is meant, and a file may have several rows). A label of the whole
clip is a column named like its target. Labels of other targets are in a CSV beside the file, `<stem>.csv`, or where the
column `annotations` says: `time_s` from the start of the file (or `frame`, from 0) and a column for each target. A value that
is missing or out of its target's range is not valid, for every target at that time. Of several faces, the one seen longest
is taken.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from affectzoo.config import KNOWN_TARGETS, TargetConfig
from affectzoo.data.annotations import header_of, label_of, no_column, read_annotations
from affectzoo.data.corpus import Corpus, DatasetCard
from affectzoo.data.schema import SPLITS, Clip
from affectzoo.data.table import RESERVED
from affectzoo.data.tables import read_rows, to_numbers
from affectzoo.errors import ConfigError, DataError

METADATA_FILE = "metadata.csv"
_NEEDED = ("file_name", "subject")
_OWN = (*_NEEDED, "split", "start", "end", "annotations")


@dataclass(frozen=True)
class _Row:
    """One row of the metadata: `where` it stands, its cells, and the file's path in the folder."""

    where: str
    cells: Mapping[str, str]
    file: str


class AvFolder(Corpus):
    """A folder of one's own.

    Args:
        root: holds `metadata.csv`.
        targets: names from `KNOWN_TARGETS` or mappings as in `TargetConfig`; a model that is trained gives its own. None:
            those of `KNOWN_TARGETS` that are columns of the metadata or of any annotation file.

    Raises:
        DataError: the metadata are absent or contradict themselves; names the line.
        ConfigError: a target that cannot be.
    """

    card = DatasetCard(
        title="A folder of media and metadata.csv",
        licence="that of the files",
        source="the owner of the files",
        how_to_obtain="write metadata.csv beside your files; `affectzoo demo --dataset` makes a folder to start from",
        layout="metadata.csv with file_name, subject, and optionally split, start, end, annotations and targets; media files",
        citation="none: the data are yours",
        protocol="the column split, or folds by subject",
        metric="that of the targets",
        checked="rendered clips",
    )

    def __init__(self, root: str | Path, *, targets: Sequence[Any] | None = None) -> None:
        super().__init__(root)
        lines, self.header = _read_metadata(self.root / METADATA_FILE)
        self.rows = _checked(lines)
        if targets is None:
            targets = [name for name in self._labelled() if name in KNOWN_TARGETS]
        elif isinstance(targets, str):
            raise ConfigError(f"targets must be a list, such as [{targets}]")
        self.targets = tuple(
            given if isinstance(given, TargetConfig) else TargetConfig.parse(given, where="targets") for given in targets
        )
        self.along = tuple(target.name for target in self.targets if target.name not in self.header)
        taken = {*_OWN, *(target.name for target in self.targets)}
        self._extra_columns: dict[str, str] = {}
        for name in self.header:
            if name not in taken:
                free = name.replace(".", "_")
                while free in {*RESERVED, *taken, *self._extra_columns}:
                    free += "_"
                self._extra_columns[free] = name
        self.extra = dict.fromkeys(self._extra_columns, str)

    def scan(self) -> Iterator[Clip]:
        """A clip for each row; one whose media or annotation file is absent cannot be used."""
        for row in self.rows:
            clip = self._clip(row)
            if not (self.root / row.file).is_file():
                path = self.root / row.file
                clip = clip.without(f"{row.where}: {path} does not exist; correct file_name, or remove the row")
            elif self.along and not clip.problem and not Path(clip.label_files[0]).is_file():
                absent = f"{row.where}: {clip.label_files[0]} does not exist"
                named = row.cells.get("annotations")
                hint = "" if named else f", and {METADATA_FILE} {no_column(self.along[0], self.header)}"
                clip = clip.without(absent + hint)
            yield clip

    def read(self, clip: Clip) -> Clip:
        """The clip with what its annotation file says of the targets that have no column in the metadata."""
        if not self.along:
            return clip
        along = [target for target in self.targets if target.name in self.along]
        track, notes = read_annotations(Path(clip.label_files[0]), along)
        return replace(clip, track=track, notes=(*clip.notes, *notes))

    def _clip(self, row: _Row) -> Clip:
        cells = row.cells
        start, end, problem = _part(row)
        scores: dict[str, float | str] = {}
        notes = []
        for target in self.targets:
            if target.name in self.along:
                continue
            label = label_of(cells[target.name], target)
            if label is None:
                said = repr(cells[target.name]) if cells[target.name] else "missing"
                notes.append(f"{row.where}: {target.name} is {said}, and not valid")
            else:
                scores[target.name] = label
        written = cells.get("start", ""), cells.get("end", "")
        marks = "#" + "-".join(written) if any(written) else ""
        return Clip(
            clip_id=row.file + marks,
            subject=cells["subject"],
            split=cells.get("split", ""),
            # A file of sound alone is read as one all the same: what holds a picture is known once it is opened.
            video=str((self.root / row.file).absolute()),
            start_s=start,
            end_s=end,
            scores=scores,
            extra={name: cells[column] for name, column in self._extra_columns.items()},
            label_files=(str(self._annotations(row)),) if self.along else (),
            notes=tuple(notes),
            problem=problem,
        )

    def _annotations(self, row: _Row) -> Path:
        named = row.cells.get("annotations")
        return self.root / named if named else (self.root / row.file).with_suffix(".csv")

    def _labelled(self) -> list[str]:
        """Columns of the metadata, then those of the annotation files."""
        found = dict.fromkeys(self.header)
        for path in dict.fromkeys(self._annotations(row) for row in self.rows):
            with suppress(ValueError, OSError):  # which is said when the clip is read
                found |= dict.fromkeys(header_of(path))
        return list(found)


def _read_metadata(path: Path) -> tuple[list[tuple[str, dict[str, str]]], list[str]]:
    if not path.is_file():
        raise DataError(f"{path} does not exist; `affectzoo demo --dataset` writes a folder to start from")
    lines, header = read_rows(path)
    absent = [name for name in _NEEDED if name not in header]
    if absent:
        raise DataError(f"{path} {no_column(absent[0], header)}")
    if not lines:
        raise DataError(f"{path} has no rows; it needs one for each media file")
    return lines, header


def _checked(lines: Sequence[tuple[str, dict[str, str]]]) -> list[_Row]:
    """The rows, none of which contradicts another.

    Raises:
        DataError: names the line.
    """
    found: list[_Row] = []
    seen: dict[tuple[Any, ...], str] = {}
    for where, cells in lines:
        for name in _NEEDED:
            if not cells[name]:
                raise DataError(f"{where}: {name} is empty")
        if cells.get("split", "") not in ("", *SPLITS):
            raise DataError(f"{where}: there is no split {cells['split']!r}; use {', '.join(SPLITS)}")
        file = Path(os.path.normpath(cells["file_name"])).as_posix()
        row = _Row(where, cells, file)
        start, end, problem = _part(row)
        part = (file, start or 0.0, end) if not problem else (file, cells.get("start"), cells.get("end"))
        if part in seen:
            raise DataError(f"{where}: {file} is already in {seen[part]}; several rows of a file need their own start and end")
        seen[part] = where
        found.append(row)
    return found


def _part(row: _Row) -> tuple[float | None, float | None, str]:
    """Start and end in seconds, None where the cell is empty, and what is wrong with them."""
    times: dict[str, float | None] = {}
    for name in ("start", "end"):
        cell = row.cells.get(name, "")
        times[name] = float(to_numbers([cell])[0]) if cell else None
        if cell and not 0 <= float(to_numbers([cell])[0]) < float("inf"):
            return None, None, f"{row.where}: {name} is {cell!r}, which is no number of seconds"
    start, end = times["start"], times["end"]
    if end is not None and end <= (start or 0):
        return None, None, f"{row.where}: the part from {start or 0:g} to {end:g} s is empty"
    return start, end, ""
