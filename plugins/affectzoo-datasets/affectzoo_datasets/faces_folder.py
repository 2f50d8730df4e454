"""Labelled images of faces: a table that names them, or a folder for each class."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from affectzoo import Clip, Corpus, DatasetCard, Protocol, TargetConfig, read_rows, unusable
from affectzoo.errors import ConfigError, DataError
from affectzoo_datasets.delivered import files_under

TABLE_FILE = "metadata.csv"
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
SPLITS = ("train", "val", "test")
#: Names that no extra column of a corpus can have.
TAKEN = frozenset(
    {"clip_id", "subject", "split", "video", "audio", "frames", "cropped", "fps", "start_s", "end_s"}
    | {"times", "time_unit", "valid", "label_rate_hz", "notes", "problem"}
)


class FacesFolder(Corpus):
    """One clip of one frame for each image; images are not opened.

    With `metadata.csv` (file_name, a column of labels; subject and split where they are known) the table says what belongs
    to the corpus. Without it the first folder on the way to an image is its class, below `train`, `val` and `test` where
    the top folders are these.

    Args:
        root: the folder.
        label: name of the target, and of its column in `metadata.csv`.
        classes: a list of names in the order of the model's columns, or a mapping from names in the folder to classes, of which
            several may be one (`{joy: happy, smile: happy}`) and null is none; an image of another name is left out, listed and
            counted. A name that no image has makes a class without images, for models that have one more. None is the sorted
            names found.
        split: all images are in this one, whatever table or folders say: `test` for a corpus that nobody is trained on. None
            leaves them where they are.

    Further columns of the table are extra columns.

    Raises:
        DataError: no such column, or fewer than two classes.
        ConfigError: a label, classes or a split that cannot be.
    """

    card = DatasetCard(
        title="labelled images of faces",
        licence="that of the images",
        source="your own",
        how_to_obtain="your own; crops of faces, for images are used as they are",
        layout=f"{TABLE_FILE} with file_name, emotion, and optionally subject and split; or a folder for each class, "
        "anger/1.png, optionally below train, val and test",
        citation="of the images",
        protocol="the splits of the table, or folds by subject. Where the table has no column subject, and always with a "
        "folder for each class, each image counts as a person of its own: then neither folds nor splits are by person.",
        metric="UAR",
        checked="two folders of 13,626 and 981 real crops with a table; the folder for each class by a miniature",
    )
    protocols = (
        Protocol(
            name="faces-folder",
            summary="test images of the table or folder, UAR and mean F1",
            source="the split of the images",
            targets=("emotion",),
            metrics=("uar", "f1"),
            of="clips",
            split="test",
        ),
        Protocol(
            name="faces-folder-5fold",
            summary="5 folds by subject, UAR and mean F1 over all images together",
            source="the common protocol of small sets of faces",
            targets=("emotion",),
            metrics=("uar", "f1"),
            of="clips",
            folds=5,
        ),
    )

    def __init__(
        self,
        root: str | Path,
        *,
        label: str = "emotion",
        classes: Sequence[str] | Mapping[str, str | None] | None = None,
        split: str | None = None,
    ) -> None:
        super().__init__(root)
        if split is not None and split not in SPLITS:
            raise ConfigError(f"split is {split!r}; it takes {', '.join(SPLITS)}, or null for the images' own")
        self.split = split
        self.class_of = _mapping(classes)
        self.label = label
        self.has_table = (self.root / TABLE_FILE).exists()
        found = self._table_rows() if self.has_table else self._image_rows()
        self._rows = list(found)
        if self.class_of is None:
            names = sorted({row[label] for row in self._rows} - {""})
        elif isinstance(classes, Mapping):
            names = list(dict.fromkeys(name for name in self.class_of.values() if name is not None))
        else:
            names = list(classes or ())
        if len(names) < 2:
            where = f"{self.root / TABLE_FILE}, column {label}" if self.has_table else f"{self.root}, a folder for each"
            found_names = f": {', '.join(names)}" if names else ""
            raise DataError(f"images need at least two classes, and {where}, has {len(names)}{found_names}")
        self._extra_columns = self._free_names()
        self.extra: Mapping[str, type] = dict.fromkeys(self._extra_columns, str)
        self.targets = (TargetConfig.parse({"name": label, "kind": "categorical", "classes": names}, where=f"label {label!r}"),)

    def scan(self) -> Iterator[Clip]:
        """Every line, then images that no line names; or every image."""
        known = {row["file_name"] for row in self._rows}
        remark = self._remark()
        for row in self._rows:
            clip = self._clip(row, remark)
            # Of a clip that cannot be used nobody sees a remark.
            remark = remark if clip.problem else ()
            yield clip
        if self.has_table:
            for image in _images(self.root):
                if image not in known:
                    yield unusable(image, f"{TABLE_FILE} has no line for this image")

    def _remark(self) -> tuple[str, ...]:
        """Said once, of the first image that is used: of all of them it would hide every other remark."""
        remarks = []
        if not all("subject" in row for row in self._rows):
            why = f"{TABLE_FILE} has no column subject" if self.has_table else "folders of classes do not tell people apart"
            remarks.append(f"{why}: each image counts as a person of its own, and no split is by person")
        lost = Counter(row[self.label] for row in self._rows if row[self.label] and self._class(row[self.label]) is None)
        if lost:
            told = ", ".join(f"{name} ({count} image{'s' * (count > 1)})" for name, count in sorted(lost.items()))
            remarks.append(f"classes leaves out {told}")
        return tuple(remarks)

    def _class(self, value: str) -> str | None:
        return value if self.class_of is None else self.class_of.get(value)

    def _clip(self, row: dict[str, str], remark: tuple[str, ...]) -> Clip:
        name, value, split = row["file_name"], row[self.label], self.split or row.get("split", "")
        path = self.root / name
        problem, notes = "", remark
        if not name:
            problem = f"{row['where']}: file_name is empty"
        elif not value:
            problem = f"{row['where']}: {self.label} is empty" if self.has_table else "the image is in no folder of a class"
        elif self._class(value) is None:
            problem = f"{row['where']}: {value!r} is left out by classes"
        elif split not in ("", *SPLITS):
            problem = f"{row['where']}: there is no split {split!r}; use {', '.join(SPLITS)}"
        elif not path.is_file():
            problem = f"{row['where']}: there is no image {path}"
        elif path.suffix.lower() not in IMAGES:
            problem = f"{row['where']}: {name} is no image; there are {', '.join(IMAGES)}"
        if row.get("subject") == "":
            notes = (*notes, "subject is empty: the image counts as a person of its own")
        return Clip(
            clip_id=name or row["where"],
            subject=row.get("subject") or name,
            split=split,
            frames=None if problem else str(path),
            scores={} if problem else {self.label: str(self._class(value))},
            extra={free: row.get(column) or None for free, column in self._extra_columns.items()},
            notes=notes,
            problem=problem,
        )

    def _free_names(self) -> dict[str, str]:
        """Extra column -> column of the table; a name that is taken gets a `_`."""
        found: dict[str, str] = {}
        columns = self._rows[0] if self.has_table and self._rows else {}
        for column in columns:
            if column not in ("file_name", self.label, "subject", "split", "where"):
                free = column.replace(".", "_")
                while free in TAKEN or free == self.label or free in found:
                    free += "_"
                found[free] = column
        return found

    def _table_rows(self) -> Iterator[dict[str, str]]:
        path = self.root / TABLE_FILE
        rows, header = read_rows(path)
        for name in ("file_name", self.label):
            if name not in header:
                raise DataError(f"{path} has no column {name!r}; it has {', '.join(header) or 'none'}")
        for where, cells in rows:
            name = cells["file_name"] and Path(os.path.normpath(cells["file_name"])).as_posix()
            yield {**cells, "file_name": name, "where": where.rpartition(", ")[2]}

    def _image_rows(self) -> Iterator[dict[str, str]]:
        images = _images(self.root)
        tops = {image.split("/")[0] for image in images if "/" in image}
        split = bool(tops) and tops <= set(SPLITS)
        for image in images:
            *folders, _ = image.split("/")
            row = {"file_name": image, "where": image}
            if split:
                row["split"] = folders.pop(0) if folders else ""
            yield {**row, self.label: folders[0] if folders else ""}


def _mapping(classes: object) -> dict[str, str | None] | None:
    """Name in the folder -> class; None where every name is one.

    Raises:
        ConfigError: neither a list of names nor a mapping between names.
    """
    if classes is None:
        return None
    pairs: list[tuple[Any, Any]] = [("", "")]
    if isinstance(classes, Mapping):
        pairs = list(classes.items())
    elif isinstance(classes, Sequence) and not isinstance(classes, str):
        pairs = [(name, name) for name in classes]
    if not all(isinstance(name, str) and name for pair in pairs for name in pair if name is not None):
        raise ConfigError(f"classes is {classes!r}; give a list of names, or a mapping such as {{joy: happy, contempt: null}}")
    return dict(pairs)


def _images(root: Path) -> list[str]:
    """Paths of images below the folder, sorted."""
    return sorted(path.relative_to(root).as_posix() for path in files_under(root) if path.suffix.lower() in IMAGES)
