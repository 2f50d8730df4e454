"""What may be done to predictions and labels before they are compared; only if asked for, and always named."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from affectzoo.config import SmoothingConfig, TargetConfig, target_columns
from affectzoo.errors import InputError
from affectzoo.model.smoothing import smoothed
from affectzoo.train.evaluate import SplitPredictions

#: Steps whose times differ by less are at one time.
_SAME_TIME_S = 1e-6


@dataclass(frozen=True)
class PostProcessing:
    """What is done, in this order.

    Attributes:
        label_delay_s: labels are moved earlier by this much, since annotators react late; between two steps they are
            interpolated linearly, and a step that loses its label stops counting.
        smooth: predictions, in each video; only over steps at which any modality is present.
        clip: predictions of continuous and ordinal targets to `low`..`high`.
    """

    label_delay_s: float = 0.0
    smooth: SmoothingConfig | None = None
    clip: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.label_delay_s < math.inf:
            raise InputError(f"--label-delay {self.label_delay_s:g} must be zero or a positive number of seconds")

    def words(self, step_s: float) -> list[str]:
        """Each thing done, as tables, plots and reports name it."""
        done = []
        if self.label_delay_s:
            done.append(f"labels {self.label_delay_s:g} s earlier (interpolated)")
        if self.smooth is not None:
            done.append(f"predictions smoothed ({self.smooth.words(step_s)})")
        if self.clip:
            done.append("predictions clipped to their range")
        return done

    def __call__(
        self, steps: SplitPredictions, times_s: np.ndarray, step_s: float, targets: Sequence[TargetConfig]
    ) -> SplitPredictions:
        """The processed steps.

        Args:
            steps: by clip and time.
            times_s: `[S]` their middles.
            step_s: length of a sub-sequence.
            targets: the model's.

        Raises:
            InputError: a window that smooths nothing, or a window or a delay longer than every video.
        """
        clips = [np.flatnonzero(steps.row.numpy() == row) for row in steps.row.unique().tolist()]
        longest = max(len(clip) for clip in clips)
        if self.label_delay_s:
            steps = self._earlier(steps, times_s, clips)
        if self.smooth is not None:
            reach = self.smooth.reach(step_s)
            if reach < 1:
                raise InputError(
                    f"--smooth {self.smooth} reaches no other step of {step_s:.4g} s, so that it "
                    f"smooths nothing; give at least {self.smooth.least_s(step_s):.4g} seconds"
                )
            if 2 * reach + 1 > longest:
                raise InputError(
                    f"--smooth {self.smooth} is longer than every video of the split; "
                    f"the longest has {longest * step_s:.4g} s: give fewer seconds"
                )
            steps = _smoothed(steps, clips, targets, self.smooth, step_s)
        return _clipped(steps, targets) if self.clip else steps

    def _earlier(self, steps: SplitPredictions, times_s: np.ndarray, clips: Sequence[np.ndarray]) -> SplitPredictions:
        longest_s = max(times_s[clip[-1]] - times_s[clip[0]] for clip in clips)
        if self.label_delay_s > longest_s + _SAME_TIME_S:
            raise InputError(
                f"--label-delay {self.label_delay_s:g} is longer than every video of the split; the longest has labels "
                f"over {longest_s:.4g} s: give fewer seconds"
            )
        label, valid = steps.label.numpy().copy(), steps.valid.numpy().copy()
        for clip in clips:
            label[clip], valid[clip] = _moved_earlier(label[clip], valid[clip], times_s[clip], self.label_delay_s)
        return replace(steps, label=torch.from_numpy(label), valid=torch.from_numpy(valid))


def _moved_earlier(label: np.ndarray, valid: np.ndarray, times_s: np.ndarray, delay_s: float) -> tuple[np.ndarray, np.ndarray]:
    """`[n, K]` and `[n]` of one clip: at each time the label of `delay_s` later, valid where those it comes from are."""
    wanted = times_s + delay_s
    after = np.searchsorted(times_s, wanted - _SAME_TIME_S)
    known = after < len(times_s)
    after = np.minimum(after, len(times_s) - 1)
    exact = np.abs(times_s[after] - wanted) <= _SAME_TIME_S
    before = np.where(exact, after, np.maximum(after - 1, 0))
    span = np.where(after > before, times_s[after] - times_s[before], 1.0)
    share = np.where(after > before, (wanted - times_s[before]) / span, 0.0)[:, None]
    # An unused label may be NaN, which a share of zero would not take out.
    moved = np.where(share == 0, label[after], (1 - share) * label[before] + share * label[after])
    return moved.astype(label.dtype), known & valid[before] & valid[after]


def _smoothed(
    steps: SplitPredictions,
    clips: Sequence[np.ndarray],
    targets: Sequence[TargetConfig],
    smoothing: SmoothingConfig,
    step_s: float,
) -> SplitPredictions:
    """A step without input keeps its value."""
    given, present, places = (part.numpy() for part in (steps.prediction, steps.present, steps.step))
    smooth = given.copy()
    for clip in clips:
        smooth[clip] = smoothed(given[clip], present[clip], places[clip], targets, smoothing, step_s)
    return replace(steps, prediction=torch.from_numpy(smooth))


def _clipped(steps: SplitPredictions, targets: Sequence[TargetConfig]) -> SplitPredictions:
    prediction = steps.prediction.clone()
    columns = target_columns(targets)
    for target in targets:
        if target.kind != "categorical":
            prediction[:, columns[target.name]] = prediction[:, columns[target.name]].clamp(target.low, target.high)
    return replace(steps, prediction=prediction)
