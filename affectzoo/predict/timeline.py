"""`Timeline`: named, timestamped predictions, one row per sub-sequence and face; for some models a score per face."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from affectzoo.config import KNOWN_TARGETS, DerivedTargetConfig, TargetConfig
from affectzoo.errors import DataError, InputError
from affectzoo.files import replacing
from affectzoo.model.heads import POOLS
from affectzoo.predict.scores import pooled_scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from affectzoo.predict.windows import Row

#: Columns before and after those of the targets.
LEADING = ("time_s", "start_s", "end_s", "face_id")
FLAGS = ("face_present", "audio_present")
BOX = ("box_x0", "box_y0", "box_x1", "box_y1")
TRAILING = (*FLAGS, "face_frames", *BOX)
_WHOLE = ("face_id", "face_frames")
#: What a CSV file may say in the columns that are true or false.
_WORDS = {"true": True, "false": False, "1": True, "0": False}


class Timeline:
    """Predictions along one file, in a pandas DataFrame.

    Rows are sorted by time, then by face. Where several faces are in view there is a row for each; where none is, one
    row without a face is predicted from the sound alone. Columns:

    - `time_s`, `start_s`, `end_s`: middle, start and end of the sub-sequence, seconds since the start of the file.
      Sub-sequences have one length, so the last row's `end_s` may lie beyond the end of the file.
    - `face_id`: Int64, missing where no face is followed.
    - one column for each target, in its own unit; `target.class` with a probability for each class of a categorical one.
      NaN where the model was given nothing at that time; of several models, where none of those that predict it was.
    - `face_present`, `audio_present`: whether the model was given that face, that sound, at that time. A face that is
      followed but hidden for a moment has a row with `face_present` false, predicted from sound and neighbours in time.
    - `face_frames`: Int64, how many different video frames with that face fill the T of the sub-sequence; where they are
      fewer, the nearest is repeated: at the end of a file the last. Missing where `face_present` is false.
    - `box_x0`, `box_y0`, `box_x1`, `box_y1`: the face, pixels of the frame as displayed; NaN where there is none.

    Attributes:
        frame: the DataFrame.
        duration_s: seconds that the file lasts; the end of the last row where that was not given.
        source: the media file.
        model: where the model came from.
        targets: what the columns mean: kind, range, unit, classes.
        derived: those of them that are computed from the probabilities of another, in scores too.
        detector: name of the face detector, empty where none was needed.
        warnings: sentences about what is missing in or wrong with the file.
        notes: sentences about what was done to the network's outputs, such as smoothing.
        pool: how the rows of a face become its score (`scores`): `mean`, `median` or `last`; None for a model without.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        *,
        source: str = "",
        model: str = "",
        targets: Sequence[TargetConfig] = (),
        derived: Sequence[DerivedTargetConfig] = (),
        detector: str = "",
        warnings: Sequence[str] = (),
        notes: Sequence[str] = (),
        pool: str | None = None,
        duration_s: float | None = None,
    ) -> None:
        if pool is not None and pool not in POOLS:
            raise InputError(f"pool is one of {', '.join(POOLS)}, or None; not {pool!r}")
        self.targets, self.derived = tuple(targets), tuple(derived)
        names = {target.name for target in self.targets}
        if absent := [target.name for target in self.derived if not {target.name, target.of} <= names]:
            raise InputError(
                f"{absent[0]!r} is derived, and it or what it is of is no target here; give the config's predicted_targets"
            )
        self.columns = tuple(column for target in self.targets for column in target.columns)
        self.frame = _typed(frame, self.columns)
        self.source, self.model, self.detector = source, model, detector
        self.warnings, self.notes = list(warnings), list(notes)
        self.pool = pool
        self._duration_s = duration_s

    @classmethod
    def from_rows(cls, rows: Sequence[Row], *, targets: Sequence[TargetConfig], **details: Any) -> Timeline:
        """Build from a predictor's rows; `details` as in the constructor."""
        columns = [column for target in targets for column in target.columns]
        values = np.array([row.values for row in rows], dtype=np.float64).reshape(len(rows), len(columns))
        blank = np.full(4, np.nan)
        boxes = np.array([blank if row.box is None else row.box for row in rows], dtype=np.float64).reshape(len(rows), 4)
        data: dict[str, Any] = {
            "time_s": [(row.start_s + row.end_s) / 2 for row in rows],
            "start_s": [row.start_s for row in rows],
            "end_s": [row.end_s for row in rows],
            "face_id": pd.array([row.face for row in rows], dtype="Int64"),
            **{column: values[:, k] for k, column in enumerate(columns)},
            "face_present": [row.face_present for row in rows],
            "audio_present": [row.audio_present for row in rows],
            "face_frames": pd.array([row.face_frames for row in rows], dtype="Int64"),
            **{name: boxes[:, k] for k, name in enumerate(BOX)},
        }
        return cls(pd.DataFrame(data), targets=targets, **details)

    @classmethod
    def read_csv(
        cls,
        path: str | PathLike[str],
        *,
        targets: Sequence[TargetConfig] | None = None,
        derived: Sequence[DerivedTargetConfig] = (),
        pool: str | None = None,
    ) -> Timeline:
        """Read what `to_csv` wrote.

        Args:
            path: the file.
            targets: what its columns mean; None for standard ones such as valence and arousal.
            derived, pool: as in the constructor; the file says neither, and scores need both.

        Raises:
            DataError: no such file, not a timeline, a value of the wrong kind, or a target without a standard meaning.
            InputError: no such `pool`, or something is derived that is no target.
        """
        try:
            # As text, because pandas would take any word for true.
            frame = pd.read_csv(path, dtype=dict.fromkeys(FLAGS, "str"))
        except FileNotFoundError as error:
            raise DataError(f"{path}: there is no such file; check the path") from error
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
        except ValueError as error:
            raise DataError(f"{path} cannot be read as a timeline: {str(error).splitlines()[0]}") from error
        missing = [name for name in (*LEADING, *TRAILING) if name not in frame]
        if missing:
            raise DataError(f"{path} is not a timeline: it has no column {missing[0]!r}")
        names = [name for name in frame.columns if name not in (*LEADING, *TRAILING)]
        if targets is None:
            unknown = [name for name in names if name not in KNOWN_TARGETS]
            if unknown:
                raise DataError(f"{path} has the column {unknown[0]!r}, which has no standard range; give targets=...")
            targets = [TargetConfig.parse(name) for name in names]
        absent = [column for target in targets for column in target.columns if column not in frame]
        if absent:
            raise DataError(f"{path} has no column {absent[0]!r}")
        columns = [column for target in targets for column in target.columns]
        return cls(_parsed(frame, columns, path), targets=targets, derived=derived, pool=pool)

    def to_csv(self, path: str | PathLike[str]) -> Path:
        """Write a CSV file with a header; parent folders are made. Raises `InputError` where nothing can be written."""
        with replacing(path) as temporary:
            # Six decimals: a microsecond, a millionth of a pixel, and files that can be compared as text.
            self.frame.to_csv(temporary, index=False, float_format="%.6f")
        return Path(path)

    def to_parquet(self, path: str | PathLike[str]) -> Path:
        """Write a Parquet file, exact; parent folders are made. Raises `InputError` where nothing can be written."""
        with replacing(path) as temporary:
            self.frame.to_parquet(temporary, index=False)
        return Path(path)

    def scores_to_csv(self, path: str | PathLike[str]) -> Path:
        """Write `scores` as CSV with the column `file` (the `source`) in front, so that several files can be joined.

        Raises:
            InputError: the model has no scores, or nothing can be written there.
        """
        scores = self.scores
        scores.insert(0, "file", self.source)
        with replacing(path) as temporary:
            scores.to_csv(temporary, index=False, float_format="%.6f")
        return Path(path)

    def plot(self, path: str | PathLike[str] | None = None, truth: Any = None) -> Figure:
        """Curves over time and, with valence and arousal, the circumplex; written to `path` where given.

        Args:
            path: `.png`, `.svg` or `.pdf`.
            truth: a DataFrame, or another timeline, with `time_s` and target columns; drawn dashed.

        Raises:
            InputError: another suffix, nothing can be written there, or a truth without any of the columns.
        """
        from affectzoo.predict.plots import draw, write

        figure = draw(self, truth=truth)
        if path is not None:
            write(figure, path)
        return figure

    def overlay(self, video: str | PathLike[str], path: str | PathLike[str]) -> Path:
        """Write `video` with face boxes and predictions drawn into it, as an MP4 with its sound.

        Raises:
            MediaError: the file has no video.
            InputError: `path` does not end in `.mp4`, is `video` itself, or cannot be written.
        """
        from affectzoo.predict.overlay import write_overlay

        return write_overlay(self, video, path)

    @property
    def faces(self) -> list[int]:
        """Numbers of the faces, in order."""
        return sorted({int(number) for number in self.frame["face_id"].dropna().tolist()})

    @property
    def duration_s(self) -> float:
        """Seconds that the file lasts; where that is not known, those to the end of the last row."""
        return self._duration_s if self._duration_s is not None else max(self.frame["end_s"].tolist(), default=0.0)

    @property
    def scores(self) -> pd.DataFrame:
        """One row per face: what the rows that hold a value make together, by `pool`. A new DataFrame. Columns:

        - `face_id`: Int64; missing in the last row, that of nobody, which is there where the sound alone gave values.
        - `start_s`, `end_s`: from the first to the last of the rows that count, seconds.
        - `clips`: how many count: those with a value. Where none does, the values are NaN.
        - one column for each target, as in `frame`; the probabilities of a categorical one sum to 1.

        Raises:
            InputError: the model has no `head.pool`.
        """
        if self.pool is None:
            raise InputError(
                "this timeline has no scores, because its model has no head.pool; take the rows of `frame`, "
                "or make a model with head={'pool': 'median'}"
            )
        return pooled_scores(self.frame, self.targets, self.pool, self.derived)

    def summary(self) -> str:
        """Duration, faces, how much of the time has a face and sound, and the mean of each target (or each face's score)."""
        name = Path(self.source).name or "timeline"
        if not len(self.frame):
            return f"{name}: nothing predicted"
        by_time = self.frame.groupby("start_s")[["face_present", "audio_present"]].any()
        seen, heard = (np.mean(by_time[name]) for name in ("face_present", "audio_present"))
        faces = len(self.faces)
        first = (
            f"{name}: {_seconds(self.duration_s)}, {faces or 'no'} face{'' if faces == 1 else 's'}; "
            f"a face in {seen:.0%} of the time, sound in {heard:.0%}"
        )
        means = self.frame.loc[:, list(self.columns)].mean().to_numpy(dtype=np.float64)
        if np.isnan(means).all():
            return f"{first}\nnothing to predict from"
        if self.pool is None:
            return f"{first}\nmean {self._words(means)}"
        return "\n".join([first, *self._score_lines()])

    def _score_lines(self) -> list[str]:
        """Each face's score in words."""
        scores = self.scores
        values = scores.loc[:, list(self.columns)].to_numpy(dtype=np.float64)
        lines: list[str] = []
        for number, clips, score in zip(scores["face_id"].tolist(), scores["clips"].tolist(), values, strict=True):
            who = "sound only" if pd.isna(number) else f"face {number}"
            made = f"({self.pool} of {clips} clip{'' if clips == 1 else 's'})"
            lines.append(f"{who}: {self._words(score)} {made}" if clips else f"{who}: nothing to predict from")
        return lines

    def _words(self, values: np.ndarray) -> str:
        """Each column's name and its value `[K]` in its unit, but for those without any."""
        owners = [target for target in self.targets for _ in target.columns]
        named = zip(self.columns, owners, values.tolist(), strict=True)
        return ", ".join(f"{column} {_number(target, value)}" for column, target, value in named if not np.isnan(value))

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        length = _seconds(self.duration_s)
        return f"Timeline({Path(self.source).name!r}, {len(self)} rows, {length}, {', '.join(self.columns)})"

    def _repr_html_(self) -> str:
        """For notebooks: the summary over the first and last rows."""
        from html import escape

        lines = "<br>".join(escape(line) for line in [*self.summary().split("\n"), *self.notes, *self.warnings])
        return f"<p>{lines}</p>{self.frame.to_html(max_rows=10, index=False, float_format='{:.3f}'.format)}"


def _typed(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The columns in their order with their types."""
    ordered = frame.loc[:, [*LEADING, *columns, *TRAILING]]
    return ordered.astype({name: _type(name) for name in ordered.columns}).reset_index(drop=True)


def _type(column: str) -> Any:
    return "bool" if column in FLAGS else "Int64" if column in _WHOLE else "float64"


def _parsed(frame: pd.DataFrame, columns: Sequence[str], path: str | PathLike[str]) -> pd.DataFrame:
    """The columns of a file that anybody may have edited, with their types; `DataError` names one that has another."""
    parsed: dict[str, pd.Series] = {}
    for name in (*LEADING, *columns, *TRAILING):
        wanted = "True or False" if name in FLAGS else "whole numbers" if name in _WHOLE else "numbers"
        try:
            # Another word becomes NaN, which is refused below: pandas would take it for true.
            given = frame[name].str.strip().str.lower().map(_WORDS) if name in FLAGS else frame[name]
            parsed[name] = pd.Series(given.astype(_type(name)))
            is_complete = name not in (*FLAGS, *LEADING[:3]) or bool(given.notna().to_numpy().all())
        except (ValueError, TypeError, OverflowError) as error:
            raise DataError(f"{path}: the column {name!r} must hold {wanted}") from error
        if not is_complete:
            raise DataError(f"{path}: the column {name!r} must hold {wanted} in every row")
    return pd.DataFrame(parsed)


def _seconds(duration_s: float) -> str:
    return f"{duration_s:.1f} s" if duration_s >= 1 else f"{duration_s:.2f} s"


def _number(target: TargetConfig, value: float) -> str:
    if target.kind == "categorical":
        return f"{value:.0%}"
    text = f"{value:+.2f}" if target.low < 0 else f"{value:.1f}"
    return f"{text} {target.unit}".rstrip()
