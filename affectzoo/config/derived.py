"""Targets that are computed from another one's class probabilities: valence from emotions, by a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import StringConstraints, model_validator

from affectzoo.config.base import StrictConfig
from affectzoo.config.targets import KNOWN_TARGETS, TargetConfig, TargetName


class DerivedTargetConfig(StrictConfig):
    """The expectation of a coordinate under class probabilities: the sum over classes of p(class) * coordinate(class).

    Neither trained nor weighted; linear in the probabilities. A name of `KNOWN_TARGETS` gives low, high and unit where these
    are left out.

    Attributes:
        of: name of the categorical target.
        coordinates: class -> where it lies within low..high; every class once.
        source: where the coordinates come from, a citation.
    """

    name: TargetName
    of: str
    coordinates: dict[str, float]
    low: float = -1.0
    high: float = 1.0
    unit: str = ""
    source: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _known_range(cls, data: Any) -> Any:
        name = data.get("name") if isinstance(data, dict) else None
        known = KNOWN_TARGETS.get(name, {}) if isinstance(name, str) else {}
        return {**{key: known[key] for key in ("low", "high", "unit") if key in known}, **data} if known else data

    @model_validator(mode="after")
    def _consistent(self) -> DerivedTargetConfig:
        if not self.low < self.high:
            raise ValueError(f"derived target {self.name!r}: low {self.low} must be under high {self.high}")
        for name, value in self.coordinates.items():
            if not self.low <= value <= self.high:
                raise ValueError(
                    f"derived target {self.name!r}: {name!r} lies at {value:g}, outside of {self.low:g} to {self.high:g}"
                )
        return self

    def check(self, targets: tuple[TargetConfig, ...]) -> None:
        """Raise `ValueError` where the model's targets are not what this one is derived from."""
        own = {target.name: target for target in targets}
        if self.name in own:
            raise ValueError(f"derived target {self.name!r} is a target already; give it another name")
        classes = own[self.of].classes if self.of in own else ()
        if not classes:
            known = ", ".join(target.name for target in targets if target.classes) or "none"
            raise ValueError(
                f"derived target {self.name!r} is of {self.of!r}, which is no categorical target here (these are: {known})"
            )
        if absent := [name for name in classes if name not in self.coordinates]:
            raise ValueError(f"derived target {self.name!r} lacks coordinates of {', '.join(map(repr, absent[:5]))}")
        if extra := [name for name in self.coordinates if name not in classes]:
            raise ValueError(
                f"derived target {self.name!r} has coordinates of {', '.join(map(repr, extra[:5]))}, no class of {self.of!r}"
            )

    def as_target(self) -> TargetConfig:
        """The continuous target that its column is."""
        return TargetConfig(name=self.name, low=self.low, high=self.high, unit=self.unit)


def derivations(derived: Sequence[DerivedTargetConfig]) -> list[str]:
    """A sentence for each table that something is derived by."""
    named: dict[tuple[str, str], list[str]] = {}
    for target in derived:
        named.setdefault((target.of, target.source), []).append(target.name)
    return [
        f"{' and '.join(names)} derived from the probabilities of {of}, by the coordinates of {source}"
        for (of, source), names in named.items()
    ]
