"""How predictions are smoothed along time: which window, and how long."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Context
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from affectzoo.config.base import StrictConfig

#: Standard deviations of a Gaussian in its full width at half maximum, and those that its window reaches to either side.
_DEVIATIONS_WIDE, _DEVIATIONS_KEPT = 2 * math.sqrt(2 * math.log(2)), 3.0
#: Share of a step by which seconds may miss a whole number of them.
_ROUNDING = 1e-6
#: A number from a file must not fill the memory with a window: no recording has more steps on either side.
_MOST_STEPS = 100_000


class SmoothingConfig(StrictConfig):
    """A running mean (`box`), median or Gaussian mean. The text `KIND:SECONDS` is read as one.

    Attributes:
        kind: `box`, `median` or `gaussian`.
        seconds: of `box` and `median`, the window: as many steps as fit, an odd number; of `gaussian`, the full width at
            half maximum.
    """

    kind: Literal["box", "median", "gaussian"]
    seconds: Annotated[float, Field(gt=0)]

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        if not isinstance(data, str):
            return data
        kind, _, seconds = data.partition(":")
        try:
            value = float(seconds)
        except ValueError:
            value = math.nan
        if kind not in ("box", "median", "gaussian") or not 0 < value < math.inf:
            raise ValueError("smoothing is box:SECONDS, median:SECONDS or gaussian:SECONDS with a positive number of seconds")
        return {"kind": kind, "seconds": value}

    def reach(self, step_s: float) -> int:
        """Steps of `step_s` seconds on either side of the middle one; 0 where the window smooths nothing."""
        steps = self.seconds / step_s
        side = _DEVIATIONS_KEPT / _DEVIATIONS_WIDE * steps if self.kind == "gaussian" else (steps - 1) / 2
        return max(0, math.floor(min(side + _ROUNDING, _MOST_STEPS)))

    def weights(self, step_s: float) -> list[float]:
        """What each step of a whole window counts for, from the first to the last; of a median, all alike."""
        reach = self.reach(step_s)
        if self.kind != "gaussian":
            return [1.0] * (2 * reach + 1)
        deviation_s = self.seconds / _DEVIATIONS_WIDE
        return [math.exp(-0.5 * (place * step_s / deviation_s) ** 2) for place in range(-reach, reach + 1)]

    def least_s(self, step_s: float) -> float:
        """The fewest seconds of four digits that smooth anything."""
        least_s = step_s * (_DEVIATIONS_WIDE / _DEVIATIONS_KEPT if self.kind == "gaussian" else 3)
        # Rounded up: who is told 2.333 of 2.3333 would be refused again. What is behind ten digits is of the product.
        return float(Context(prec=4, rounding=ROUND_CEILING).create_decimal(f"{least_s:.9e}"))

    def words(self, step_s: float) -> str:
        """What is done, for tables and reports."""
        steps = 2 * self.reach(step_s) + 1
        if self.kind == "gaussian":
            return f"gaussian, {self.seconds:.3g} s wide at half its height"
        return f"{self.kind} of {steps} steps, {steps * step_s:.3g} s"

    def __str__(self) -> str:
        return f"{self.kind}:{self.seconds:g}"
