"""CEAP-360VR: head and gaze of people who watch 360-degree videos, with continuous valence and arousal."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from affectzoo import Clip, Corpus, DatasetCard, Protocol, Signal, TargetConfig, Track, read_rows, unusable
from affectzoo.errors import ConfigError, DataError

ARRAYS_FILE = "ceap_streams.npz"
TABLE_FILE = "metadata.csv"
SOURCE = "https://doi.org/10.1109/TMM.2021.3124080"

_COLUMNS = ("row", "key", "subject", "video", "gender", "age", "split")
#: Array -> its channels (None: one number for each step).
_ARRAYS = {"valence_arousal": 2, "head_pitch_yaw_deg": 2, "gaze_pitch_yaw_fix": 3, "luminance": None}
_SIGNALS = {"head": "head_pitch_yaw_deg", "gaze": "gaze_pitch_yaw_fix", "luminance": "luminance"}


class Ceap360VR(Corpus):
    """One clip for each person and video: 300 steps in one minute.

    Angles are in degrees and jump at +-180; what was not measured is NaN. The third channel of gaze is 1 in a fixation.

    Args:
        root: the folder that holds `ceap_streams.npz` and `metadata.csv`.
        luminance: also give the luminance of the picture, which tells the videos apart: everybody sees the same eight, so a
            model can learn the mean rating of each video from it.

    Raises:
        DataError: a file is absent or damaged, or an array has another shape.
        ConfigError: `luminance` is neither true nor false.
    """

    card = DatasetCard(
        title="CEAP-360VR, continuous physiological and behavioural emotion annotations for 360-degree videos",
        licence="CC-BY-NC-4.0",
        source=SOURCE,
        how_to_obtain="github.com/cwi-dis/CEAP-360VR-Dataset (its Frame data), put on one grid of 5 Hz: 256 minutes",
        layout=f"{ARRAYS_FILE}: time_s [300], head_pitch_yaw_deg [n, 300, 2], gaze_pitch_yaw_fix [n, 300, 3], luminance "
        f"[n, 300], valence_arousal [n, 300, 2]; {TABLE_FILE}: {', '.join(_COLUMNS)}",
        citation="Xue T, El Ali A, Zhang T, Ding G, Cesar P (2021). CEAP-360VR: A Continuous Physiological and Behavioral "
        "Emotion Annotation Dataset for 360 VR Videos. IEEE Transactions on Multimedia.",
        protocol="21 people train, 5 validate, 6 test; CCC over all annotations. All splits see the same eight videos, so the "
        "rating of a video is known from training. Luminance names the video, a leak, and is left out unless asked for.",
        metric="CCC",
        checked="the arrays themselves, 256 sequences of 32 people",
    )
    targets = (
        TargetConfig(name="valence", low=1.0, high=9.0, unit="SAM"),
        TargetConfig(name="arousal", low=1.0, high=9.0, unit="SAM"),
    )
    along = ("valence", "arousal")
    extra: Mapping[str, type] = {"stimulus": str, "gender": str, "age": int}
    protocols = (
        Protocol(
            name="ceap-360vr",
            summary="6 people that are not in training, valence and arousal at 5 Hz, CCC over all annotations",
            source="no official split; by person, as metadata.csv divides them",
            targets=("valence", "arousal"),
            metrics=("ccc", "pcc", "rmse"),
            of="annotations",
            split="test",
        ),
    )

    def __init__(self, root: str | Path, *, luminance: bool = False) -> None:
        super().__init__(root)
        if not isinstance(luminance, bool):
            raise ConfigError(f"luminance is {luminance!r}; give true or false")
        names = ("head", "gaze", "luminance") if luminance else ("head", "gaze")
        self.signals: Mapping[str, int] = {name: _ARRAYS[_SIGNALS[name]] or 1 for name in names}

    def scan(self) -> Iterator[Clip]:
        """Every line of the table, in order; then rows of the arrays that no line names."""
        path = self.root / TABLE_FILE
        arrays = _read_arrays(self.root / ARRAYS_FILE)
        rows, header = read_rows(path)
        for name in _COLUMNS:
            if name not in header:
                raise DataError(f"{path} has no column {name!r}; fetch it again")
        count = len(arrays["valence_arousal"])
        seen: set[int] = set()
        for where, cells in rows:
            line = where.rpartition(", ")[2]
            number = int(cells["row"]) if cells["row"].isdecimal() else -1
            key = cells["key"] or line
            if not 0 <= number < count:
                yield unusable(key, f"{line}: row is {cells['row']!r}, but {ARRAYS_FILE} has rows 0 to {count - 1}")
            elif number in seen:
                yield unusable(key, f"{line}: row {number} of {ARRAYS_FILE} is already another line's")
            elif "keys" in arrays and arrays["keys"][number] != cells["key"]:
                yield unusable(key, f"{line}: row {number} of {ARRAYS_FILE} is {arrays['keys'][number]}, not {cells['key']}")
            else:
                yield self._clip(key, line, cells, arrays, number)
            seen.add(number)
        for number in sorted(set(range(count)) - seen):
            yield unusable(f"row {number}", f"{path} has no line for row {number} of {ARRAYS_FILE}")

    def _clip(self, key: str, line: str, cells: dict[str, str], arrays: dict[str, np.ndarray], number: int) -> Clip:
        times = arrays["time_s"]
        labels = arrays["valence_arousal"][number]
        valid = ((labels >= 1) & (labels <= 9)).all(1)
        notes = [] if valid.all() else [f"{(~valid).sum()} of {len(valid)} labels are no numbers from 1 to 9"]
        signals = {}
        for name, channels in self.signals.items():
            values = arrays[_SIGNALS[name]][number].reshape(-1, channels)
            signals[name] = Signal(values=np.where(np.isfinite(values), values, np.float32(np.nan)), times_s=times)
            if np.isnan(signals[name].values).any(1).all():
                notes.append(f"{name} is missing throughout")
        problem = ""
        if not cells["subject"]:
            problem = f"{line}: subject is empty"
        elif cells["split"] not in ("train", "val", "test"):
            problem = f"{line}: there is no split {cells['split']!r}; use train, val, test"
        elif not valid.any():
            problem = f"{line}: it has no label from 1 to 9"
        return Clip(
            clip_id=key,
            subject=cells["subject"],
            split=cells["split"],
            track=Track(
                times=times,
                values={name: labels[:, column] for column, name in enumerate(self.along)},
                valid=valid,
                rate_hz=round(1 / float(np.median(np.diff(times))), 6),
            ),
            signals=signals,
            extra={
                "stimulus": cells["video"] or None,
                "gender": cells["gender"] or None,
                "age": int(cells["age"]) if cells["age"].isdecimal() else None,
            },
            notes=tuple(notes),
            problem=problem,
        )


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays, float32, times float64.

    Raises:
        DataError: no such file, or arrays that are absent, of other shapes, or Python objects.
    """
    found: dict[str, np.ndarray] = {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name in ("time_s", *_ARRAYS, "keys"):
                if name in archive:
                    found[name] = archive[name]
                elif name != "keys":
                    raise DataError(f"{path} has no array {name}; fetch it again")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, zipfile.BadZipFile, TypeError) as error:
        raise DataError(f"{path} is damaged, or no archive of plain arrays: {error}; fetch it again") from error
    for name, array in found.items():
        if name != "keys" and array.dtype.kind not in "fiu":
            raise DataError(f"{path}: {name} holds {array.dtype}, not numbers; fetch it again")
    times, count = found["time_s"].reshape(-1).astype(np.float64), len(np.atleast_1d(found["valence_arousal"]))
    if found["time_s"].ndim != 1 or len(times) < 2 or not (np.diff(times) > 0).all():
        raise DataError(f"{path}: time_s {list(found['time_s'].shape)} is no list of increasing times; fetch it again")
    shapes: dict[str, tuple[int, ...]] = {
        name: (count, len(times)) if channels is None else (count, len(times), channels) for name, channels in _ARRAYS.items()
    }
    for name, shape in {**shapes, **({"keys": (count,)} if "keys" in found else {})}.items():
        if found[name].shape != shape:
            raise DataError(f"{path}: {name} has shape {list(found[name].shape)}, not {list(shape)}; fetch it again")
    return {name: array if name == "keys" else array.astype(np.float32) for name, array in found.items()} | {
        # The grid is one of tenths, which float32 only comes near: 59.900002.
        "time_s": np.round(times, 4)
    }
