"""What may be done to predictions and labels before they are compared; only if asked for, and always named."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from affectzoo.config import TargetConfig
from affectzoo.errors import InputError
from affectzoo.train.evaluate import SplitPredictions, target_columns

_SMOOTHERS = {"median": np.median, "box": np.mean}
#: Steps whose times differ by less are at one time.
_SAME_TIME_S = 1e-6


@dataclass(frozen=True)
class Smoothing:
    """A running median or mean (`box`) over `seconds`: over as many steps as fit, an odd number."""

    kind: Literal["median", "box"]
    seconds: float

    @classmethod
    def parse(cls, text: str) -> Smoothing:
        """Read `median:SECONDS` or `box:SECONDS`."""
        kind, _, seconds = text.partition(":")
        try:
            value = float(seconds)
        except ValueError:
            value = math.nan
        if kind not in _SMOOTHERS or not 0 < value < math.inf:
            raise InputError(f"--smooth {text} is not median:SECONDS or box:SECONDS with a positive number of seconds")
        return cls(kind, value)  # pyright: ignore[reportArgumentType]

    def reach(self, step_s: float) -> int:
        """Steps on either side of the middle one of a window."""
        return math.floor((self.seconds / step_s - 1) / 2 + _SAME_TIME_S)


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
    smooth: Smoothing | None = None
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
            steps = 2 * self.smooth.reach(step_s) + 1
            done.append(f"predictions smoothed ({self.smooth.kind} of {steps} steps, {steps * step_s:.3g} s)")
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
                    f"--smooth {self.smooth.kind}:{self.smooth.seconds:g} holds no three steps of {step_s:.4g} s, so that it "
                    f"smooths nothing; give at least {3 * step_s:.4g} seconds"
                )
            if 2 * reach + 1 > longest:
                raise InputError(
                    f"--smooth {self.smooth.kind}:{self.smooth.seconds:g} is longer than every video of the split; "
                    f"the longest has {longest * step_s:.4g} s: give fewer seconds"
                )
            steps = _smoothed(steps, clips, reach, self.smooth.kind)
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


def _smoothed(steps: SplitPredictions, clips: Sequence[np.ndarray], reach: int, kind: str) -> SplitPredictions:
    """Towards both ends of a clip windows shrink, so that each stays centred; a step without input keeps its value."""
    given, present = steps.prediction.numpy(), steps.present.numpy()
    smooth = given.copy()
    for clip in clips:
        for place in np.flatnonzero(present[clip]).tolist():
            side = min(reach, place, len(clip) - 1 - place)
            window = clip[place - side : place + side + 1]
            smooth[clip[place]] = _SMOOTHERS[kind](given[window[present[window]]], axis=0)
    return replace(steps, prediction=torch.from_numpy(smooth))


def _clipped(steps: SplitPredictions, targets: Sequence[TargetConfig]) -> SplitPredictions:
    prediction = steps.prediction.clone()
    columns = target_columns(targets)
    for target in targets:
        if target.kind != "categorical":
            prediction[:, columns[target.name]] = prediction[:, columns[target.name]].clamp(target.low, target.high)
    return replace(steps, prediction=prediction)
