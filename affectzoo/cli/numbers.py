"""Measured values as tables print them."""

from __future__ import annotations

from typing import Any


def number(value: float | None) -> str:
    """Three decimals."""
    return "not defined" if value is None else f"{value:.3f}"


def interval(measured: dict[str, Any]) -> str:
    """`[low, high]`; empty where there is none."""
    low, high = measured.get("low"), measured.get("high")
    return "" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"
