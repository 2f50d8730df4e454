"""What is done to the rows of a file once all are there: smoothed along time, then what is derived from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from affectzoo.config import ModelConfig, SmoothingConfig, derivations
from affectzoo.errors import InputError
from affectzoo.model.derived import derived_values
from affectzoo.model.smoothing import smoothed
from affectzoo.predict.windows import Row


def chosen_smoothing(chosen: SmoothingConfig | str | None, config: ModelConfig) -> SmoothingConfig | None:
    """What smooths predictions: None is the model's own choice, `none` nothing, else as `SmoothingConfig` is read.

    Raises:
        ConfigError: text that is none of these.
        InputError: a window that smooths nothing over the model's sub-sequences.
    """
    if chosen is None:
        return config.smoothing
    if chosen == "none":
        return None
    smoothing = chosen if isinstance(chosen, SmoothingConfig) else SmoothingConfig.parse(chosen, where="smooth")
    step_s = config.sequence.seconds
    if smoothing.reach(step_s) < 1:
        raise InputError(
            f"smooth {smoothing} smooths nothing over sub-sequences of {step_s:.4g} s; give at least "
            f"{smoothing.least_s(step_s):.4g} seconds, or none"
        )
    return smoothing


def completed(rows: Sequence[Row], config: ModelConfig, smoothing: SmoothingConfig | None) -> list[Row]:
    """The rows with values `[K]` smoothed, those of each face (and of nobody) by themselves, and `[K + D]` with the derived."""
    done = list(rows)
    if smoothing is not None:
        for face in {row.face for row in rows}:
            mine = [k for k, row in enumerate(rows) if row.face == face]
            values = np.stack([rows[k].values for k in mine])
            places = np.array([rows[k].index for k in mine])
            known = np.asarray(np.isfinite(values).all(axis=1))
            found = smoothed(values, known, places, config.targets, smoothing, config.sequence.seconds)
            for k, value in zip(mine, found, strict=True):
                done[k] = replace(rows[k], values=value)
    if config.derived:
        done = [
            replace(row, values=np.append(row.values, derived_values(row.values, config.targets, config.derived)))
            for row in done
        ]
    return done


def completions(config: ModelConfig, smoothing: SmoothingConfig | None) -> list[str]:
    """Sentences about what `completed` does."""
    words = [] if smoothing is None else [f"predictions smoothed along time ({smoothing.words(config.sequence.seconds)})"]
    return words + derivations(config.derived)
