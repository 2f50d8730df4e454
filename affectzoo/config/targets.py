"""What a model predicts. A target names itself, its range and its unit, so that no column is ever anonymous."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from affectzoo.config.base import StrictConfig

#: Letters, digits, `-` and `_`: such a name can stand in a tensor's name and before the dot of a column.
NAME_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$"

#: More classes than any corpus of faces has people; a number from a file must not fill the memory with names.
_MOST_CLASSES = 1_000_000

#: Targets of the field that may be given by name alone: (kind, low, high, unit).
KNOWN_TARGETS: dict[str, dict[str, Any]] = {
    "valence": {"kind": "continuous", "low": -1.0, "high": 1.0, "unit": ""},
    "arousal": {"kind": "continuous", "low": -1.0, "high": 1.0, "unit": ""},
    "dominance": {"kind": "continuous", "low": -1.0, "high": 1.0, "unit": ""},
    "bdi-ii": {"kind": "continuous", "low": 0.0, "high": 63.0, "unit": "BDI-II points"},
    "pspi": {"kind": "ordinal", "low": 0.0, "high": 15.0, "unit": "PSPI"},
    "biovid": {"kind": "ordinal", "low": 0.0, "high": 4.0, "unit": "BioVid level"},
    "vas": {"kind": "continuous", "low": 0.0, "high": 10.0, "unit": "VAS"},
}


#: What stands beside the targets in a timeline or in its scores: a target of such a name would overwrite it.
TAKEN_COLUMNS = frozenset(
    (
        *("time_s", "start_s", "end_s", "face_id", "face_present", "audio_present", "face_frames"),
        *("box_x0", "box_y0", "box_x1", "box_y1", "file", "clips"),
    )
)


def _free(name: str) -> str:
    if name in TAKEN_COLUMNS:
        raise ValueError(f"every timeline has a column {name!r} that is no target; give another name")
    return name


#: Of a target, derived or not.
TargetName = Annotated[str, Field(pattern=NAME_PATTERN), AfterValidator(_free)]


class TargetConfig(StrictConfig):
    """One target. A bare string is looked up in `KNOWN_TARGETS`.

    Attributes:
        kind: `continuous`, `ordinal` (an ordered score, regressed) or `categorical` (one column per class).
        low, high: range of the label; the regressor's -1..1 is mapped onto it.
        classes: names, in column order, or their number (then they are called 0, 1, 2, ...); categorical targets only.
        temperature: what the logits of a categorical target are divided by; above 1, its probabilities are less sure
            (Guo et al. 2017).
    """

    name: TargetName
    kind: Literal["continuous", "ordinal", "categorical"] = "continuous"
    low: float = -1.0
    high: float = 1.0
    unit: str = ""
    classes: tuple[str, ...] = ()
    temperature: Annotated[float, Field(gt=0)] = 1.0

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        if not isinstance(data, str):
            count = data.get("classes") if isinstance(data, dict) else None
            if isinstance(count, int) and not isinstance(count, bool) and 2 <= count <= _MOST_CLASSES:
                return {**data, "classes": tuple(map(str, range(count)))}
            return data
        if data not in KNOWN_TARGETS:
            raise ValueError(
                f"target {data!r} has no standard range; give name, kind, low, high (or: {', '.join(KNOWN_TARGETS)})"
            )
        return {"name": data, **KNOWN_TARGETS[data]}

    @model_validator(mode="after")
    def _consistent(self) -> TargetConfig:
        if self.kind == "categorical" and (len(self.classes) < 2 or len(set(self.classes)) != len(self.classes)):
            raise ValueError(f"categorical target {self.name!r} needs at least two classes, each named once")
        if self.kind != "categorical" and self.classes:
            raise ValueError(f"{self.kind} target {self.name!r} takes no classes")
        if self.kind != "categorical" and self.temperature != 1.0:
            raise ValueError(f"{self.kind} target {self.name!r} has no logits, so it takes no temperature")
        if self.kind != "categorical" and not self.low < self.high:
            raise ValueError(f"target {self.name!r}: low {self.low} must be under high {self.high}")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the output columns: the target itself, or `target.class` for each class."""
        return tuple(f"{self.name}.{c}" for c in self.classes) if self.kind == "categorical" else (self.name,)


def target_columns(targets: Sequence[TargetConfig]) -> dict[str, slice]:
    """Target name -> where its columns stand among the K of all."""
    columns: dict[str, slice] = {}
    start = 0
    for target in targets:
        columns[target.name] = slice(start, start + len(target.columns))
        start += len(target.columns)
    return columns
