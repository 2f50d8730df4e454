"""From the rows of a timeline to one score per face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from affectzoo.config import DerivedTargetConfig, TargetConfig, target_columns
from affectzoo.model.derived import derived_values
from affectzoo.model.heads import pool_steps
from affectzoo.model.smoothing import as_probabilities


def pooled_scores(
    frame: pd.DataFrame, targets: Sequence[TargetConfig], pool: str, derived: Sequence[DerivedTargetConfig] = ()
) -> pd.DataFrame:
    """One row per face: `face_id`, `start_s`, `end_s`, `clips`, and the pooled value of each column.

    Args:
        frame: a timeline's rows, by time. Those with a value in every column count.
        targets: what the columns mean; the pooled probabilities of a categorical one are made to sum to 1 again.
        pool: `mean`, `median` or `last`.
        derived: those of the targets that are computed from the pooled probabilities instead of being pooled themselves.

    Returns:
        Faces in order, those without a row that counts with NaN; then nobody's rows, where any of them counts.
    """
    columns = [column for target in targets for column in target.columns]
    numbers = sorted({int(number) for number in frame["face_id"].dropna().tolist()})
    records: list[dict[str, Any]] = []
    for number in [*numbers, None]:
        rows = frame[frame["face_id"].isna() if number is None else frame["face_id"] == number]
        values = rows.loc[:, columns].to_numpy(dtype=np.float64)
        counts = ~np.isnan(values).any(axis=1)
        if number is None and not counts.any():
            continue
        used = rows[counts] if counts.any() else rows
        score = _pool(values[counts], targets, pool, derived) if counts.any() else np.full(len(columns), np.nan)
        records.append(
            {
                "face_id": number,
                "start_s": used["start_s"].min(),
                "end_s": used["end_s"].max(),
                "clips": int(counts.sum()),
                **dict(zip(columns, score.tolist(), strict=True)),
            }
        )
    scores = pd.DataFrame(records, columns=pd.Index(["face_id", "start_s", "end_s", "clips", *columns]))
    return scores.astype({"face_id": "Int64", "clips": "int64", **dict.fromkeys(["start_s", "end_s", *columns], "float64")})


def _pool(values: np.ndarray, targets: Sequence[TargetConfig], pool: str, derived: Sequence[DerivedTargetConfig]) -> np.ndarray:
    """`[n, K]` to `[K]`, with probabilities that sum to 1."""
    pooled = pool_steps(torch.from_numpy(values).unsqueeze(0), None, pool)[0].numpy()
    score = as_probabilities(pooled, values, targets)
    slices = target_columns(targets)
    for target, value in zip(derived, derived_values(score, targets, derived), strict=True):
        score[slices[target.name]] = value
    return score
