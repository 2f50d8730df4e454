"""Predictions smoothed along time: one way for timelines and for evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from affectzoo.config import SmoothingConfig, TargetConfig, target_columns


def smoothed(
    values: np.ndarray,
    has_value: np.ndarray,
    places: np.ndarray,
    targets: Sequence[TargetConfig],
    smoothing: SmoothingConfig,
    step_s: float,
) -> np.ndarray:
    """`values` of one face, or of one clip, over a window around each step; a new array.

    A window neither reaches across a gap in time nor beyond its ends: there it shrinks on both sides, so that it stays
    centred. Steps without a value neither give nor take. Probabilities sum to 1 again.

    Args:
        values: `[n, K]` by time; categorical targets as probabilities.
        has_value: `[n]` bool.
        places: `[n]` number of each step along time; a jump is a gap.
        targets: what the K columns mean.
        step_s: length of a step.
    """
    result = values.copy()
    reach, weights = smoothing.reach(step_s), np.array(smoothing.weights(step_s))
    for run in np.split(np.arange(len(values)), np.flatnonzero(np.diff(places) != 1) + 1):
        for k in np.flatnonzero(has_value[run]).tolist():
            side = min(reach, k, len(run) - 1 - k)
            window = run[k - side : k + side + 1]
            counts = has_value[window]
            given = values[window[counts]]
            if smoothing.kind == "median":
                result[run[k]] = as_probabilities(np.median(given, axis=0), given, targets)
            else:
                share = weights[reach - side : reach + side + 1][counts]
                result[run[k]] = share @ given / share.sum()
    return result


def as_probabilities(pooled: np.ndarray, given: np.ndarray, targets: Sequence[TargetConfig]) -> np.ndarray:
    """`[K]`: what `[m, K]` was pooled to, with probabilities that sum to 1, which medians need not; a new array."""
    result = pooled.copy()
    slices = target_columns(targets)
    for target in targets:
        if target.kind == "categorical":
            part = slices[target.name]
            # Where every step is sure of another class, no median is left: then the mean says so.
            chosen = pooled[part] if pooled[part].sum() > 0 else given[:, part].mean(axis=0)
            result[part] = chosen / chosen.sum()
    return result
