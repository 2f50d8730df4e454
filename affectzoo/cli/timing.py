"""`affectzoo predict --timing`: where the time of a file went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from affectzoo.cli.console import out

if TYPE_CHECKING:
    from affectzoo.predict.timings import Timings

_READING = ("decode", "detect", "crop", "align")


def show_timing(timings: Mapping[str, Timings], writing: Mapping[str, float]) -> None:
    """Print the busy seconds of every stage of each model, the time on the clock, and what writing the results took.

    Args:
        timings: name of the model -> what its predictor says.
        writing: further stage -> seconds, of all models together.
    """
    for model, told in timings.items():
        _line(f"{model}, stage (thread)", "busy s", "x real time")
        for stage, seconds in told.stages.items():
            _stage(f"{stage} ({'reading' if stage in _READING else 'computing'})", seconds, told.length_s)
        _stage("sum of both threads", told.busy_s, told.length_s)
        _stage("on the clock, threads overlap", told.wall_s, told.length_s)
        _line("computing waited for reading", f"{told.waiting_s:.3f}", "")
    length_s = next(iter(timings.values())).length_s
    for stage, seconds in writing.items():
        _stage(f"then {stage}", seconds, length_s)


def _stage(name: str, seconds: float, length_s: float) -> None:
    _line(name, f"{seconds:.3f}", f"{length_s / seconds:,.1f}" if seconds >= 0.0005 else "")


def _line(*cells: str) -> None:
    name, seconds, speed = cells
    out.print(f"  {name:34}{seconds:>9}{speed:>13}".rstrip(), markup=False, soft_wrap=True)
