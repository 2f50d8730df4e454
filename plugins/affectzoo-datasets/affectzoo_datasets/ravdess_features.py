"""Clip-level acoustic and facial features of RAVDESS in one table, without media."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from affectzoo import Clip, Corpus, DatasetCard, Protocol, Signal, TargetConfig, read_rows, to_numbers
from affectzoo.errors import ConfigError, DataError
from affectzoo_datasets.ravdess import CITATION, EMOTIONS, SOURCE

TABLE_FILE = "ravdess_av_features.csv"
COLUMNS_FILE = "columns.json"
#: The face view holds what another network answered to the very question that is asked (`anger_mean` to `neutral_std`), and
#: three quarters of the cepstral peak prominences are missing.
DEFAULT_DROP = (
    *(f"{emotion}_*" for emotion in ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")),
    "cpp_*",
)

_COLUMNS = ("file", "subject", "gender", "emotion", "intensity", "split")
_VIEWS = {"audio": "audio_columns", "visual": "video_columns"}


class RavdessFeatures(Corpus):
    """One clip for each row: an `audio` and a `visual` signal of one step each.

    Values are as delivered, in units of their own (Hz, dB, probabilities): scale them. An empty cell is NaN.

    Args:
        root: the folder that holds `ravdess_av_features.csv` and `columns.json`.
        drop: columns that are left out, `*` for any letters; None is `DEFAULT_DROP`, an empty list keeps everything.

    Raises:
        DataError: a file is absent or damaged.
        ConfigError: a name in `drop` fits no column, or nothing of a view is left.
    """

    card = DatasetCard(
        title="RAVDESS clip-level audio-visual features",
        licence="CC-BY-NC-SA-4.0 (RAVDESS)",
        source=SOURCE,
        how_to_obtain="the table of github.com/neselidondurma/DMMH_workshop (360 clips, 24 actors), with a list of its columns "
        "as columns.json and a column split",
        layout=f"{TABLE_FILE}: {', '.join(_COLUMNS)} and one column for each feature; {COLUMNS_FILE}: audio_columns and "
        "video_columns name them",
        citation=CITATION,
        protocol="8 folds of three actors. By default the emotion probabilities of another network (14 of 56 facial columns: "
        "with them a face model repeats that network) and cpp_mean, cpp_var (74 % missing) are left out; `drop=[]` keeps all.",
        metric="UAR",
        checked="the file itself, 360 rows",
    )
    targets = (TargetConfig(name="emotion", kind="categorical", classes=EMOTIONS),)
    extra: Mapping[str, type] = {"gender": str, "intensity": int}
    protocols = (
        Protocol(
            name="ravdess-features-8fold",
            summary="8 folds of three actors each, eight emotions of whole clips, mean UAR over folds",
            source="no official split; by actor, as speaker-independent work does",
            targets=("emotion",),
            metrics=("uar", "f1"),
            of="clips",
            folds=8,
            average="folds",
        ),
    )

    def __init__(self, root: str | Path, *, drop: Sequence[str] | None = None) -> None:
        super().__init__(root)
        columns = _read_columns(self.root / COLUMNS_FILE)
        self.dropped = tuple(DEFAULT_DROP if drop is None else [drop] if isinstance(drop, str) else drop)
        every = [name for names in columns.values() for name in names]
        for pattern in self.dropped if drop is not None else ():
            if not any(fnmatchcase(name, pattern) for name in every):
                raise ConfigError(f"drop: no column of {self.root / COLUMNS_FILE} is called {pattern!r}")
        self.columns = {
            view: [name for name in names if not any(fnmatchcase(name, pattern) for pattern in self.dropped)]
            for view, names in columns.items()
        }
        for view, names in self.columns.items():
            if not names:
                raise ConfigError(f"drop leaves no {view} column of {self.root / COLUMNS_FILE}; name fewer")
        self.signals = {view: len(names) for view, names in self.columns.items()}

    def scan(self) -> Iterator[Clip]:
        """Every row."""
        path = self.root / TABLE_FILE
        rows, header = read_rows(path)
        for name in (*_COLUMNS, *(name for names in self.columns.values() for name in names)):
            if name not in header:
                raise DataError(f"{path} has no column {name!r}; correct it, or {COLUMNS_FILE}")
        for where, cells in rows:
            yield self._clip(where, cells)

    def _clip(self, where: str, cells: dict[str, str]) -> Clip:
        line = where.rpartition(", ")[2]
        signals, notes = {}, []
        for view, names in self.columns.items():
            numbers = to_numbers([cells[name] for name in names])
            values = np.where(np.isfinite(numbers), numbers, np.nan)
            wrong = [name for name, value in zip(names, values, strict=True) if cells[name] and np.isnan(value)]
            notes += [
                f"{line}: {name} is {cells[name]!r}, which counts as missing" for name in wrong if not _is_nan(cells[name])
            ]
            signals[view] = Signal(values=values[None].astype(np.float32), times_s=np.zeros(1))
        problem = ""
        if cells["emotion"] not in EMOTIONS:
            problem = f"{line}: {cells['emotion']!r} is none of {', '.join(EMOTIONS)}"
        elif not cells["subject"] or not cells["file"]:
            problem = f"{line}: {'subject' if cells['file'] else 'file'} is empty"
        elif cells["split"] not in ("train", "val", "test"):
            problem = f"{line}: there is no split {cells['split']!r}; use train, val, test"
        elif cells["intensity"] not in ("1", "2"):
            problem = f"{line}: intensity is {cells['intensity']!r}; it is 1 or 2"
        return Clip(
            clip_id=cells["file"] or line,
            subject=cells["subject"],
            split=cells["split"],
            scores={} if problem else {"emotion": cells["emotion"]},
            signals=signals,
            extra={} if problem else {"gender": cells["gender"] or None, "intensity": int(cells["intensity"])},
            notes=tuple(notes),
            problem=problem,
        )


def _is_nan(cell: str) -> bool:
    return cell.lower() in ("nan", "na")


def _read_columns(path: Path) -> dict[str, list[str]]:
    """View -> its columns."""
    try:
        given: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}; it says which columns are audio_columns") from error
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}") from error
    found: dict[str, list[str]] = {}
    for view, key in _VIEWS.items():
        names = given.get(key) if isinstance(given, dict) else None
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise DataError(f"{path} has no list of names called {key}")
        found[view] = names
    return found
