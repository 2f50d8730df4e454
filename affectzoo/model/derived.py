"""Derived targets: the expectation of a coordinate under the class probabilities of a categorical target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from affectzoo.config import DerivedTargetConfig, TargetConfig, target_columns


def derived_values(values: np.ndarray, targets: Sequence[TargetConfig], derived: Sequence[DerivedTargetConfig]) -> np.ndarray:
    """`[..., D]`: what is derived from `values` `[..., K]` of the targets, categorical ones as probabilities; NaN from NaN."""
    slices = target_columns(targets)
    classes = {target.name: target.classes for target in targets}
    columns = [
        values[..., slices[target.of]] @ np.array([target.coordinates[name] for name in classes[target.of]])
        for target in derived
    ]
    return np.stack(columns, axis=-1) if columns else values[..., :0]
