"""The training loss on `[B, L, K]` predictions with a `[B, L]` mask of valid steps, over one process or many.

`total` sums a tensor over all processes; gradients flow through the own part only. Every loss is made of such sums, so it is
that of the batches of all processes put together, and the gradients of the processes add up to that of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from affectzoo.config import TargetConfig, target_columns
from affectzoo.errors import ConfigError

Total = Callable[[Tensor], Tensor]

#: Where `smooth-l1` turns from squared to absolute: a twentieth of the range, which is 2 wide.
SMOOTH_L1_BETA = 0.1


def identity(own: Tensor) -> Tensor:
    return own


def ccc_loss(x: Tensor, y: Tensor, valid: Tensor, total: Total = identity) -> Tensor:
    """`1 - CCC` of `[B, L, C]` over all valid steps (JCA, section 3.4), `[C]`: the batch is one long series.

    The moments are taken about the mean of all processes, a constant to the gradient: sums of the steps in which no digits
    cancel. Without a valid step, or of constants, the loss is finite, and so is its gradient.
    """
    blank = ~valid.unsqueeze(-1)
    both = torch.stack((x, y)).masked_fill(blank, 0.0)
    firsts = total(torch.cat((both.detach().sum((1, 2)).flatten(), valid.sum().to(x.dtype).unsqueeze(0))))
    count = firsts[-1].clamp(min=1)
    centre = (firsts[:-1] / count).view(2, -1)
    dx, dy = (both - centre[:, None, None]).masked_fill(blank, 0.0)
    moments = torch.stack((dx, dy, dx.square(), dy.square(), dx * dy)).sum((1, 2))
    mean_x, mean_y, square_x, square_y, product = total(moments) / count
    covariance = product - mean_x * mean_y
    variances = square_x - mean_x.square() + square_y - mean_y.square()
    offset = centre[0] - centre[1] + mean_x - mean_y
    return 1 - 2 * covariance / (variances + offset.square() + 1e-8)


def mean_loss(values: Tensor, weights: Tensor, valid: Tensor, total: Total = identity) -> Tensor:
    """Sum of `values` over sum of `weights`, both `[B, L, T]`, over all valid steps: `[T]`; 0 where no step has a weight."""
    sums = total(torch.stack((values, weights)).masked_fill(~valid.unsqueeze(-1), 0.0).sum((1, 2)))
    return sums[0] / sums[1].clamp(min=1e-8)


def threshold_loss(x: Tensor, y: Tensor, low: int, high: int) -> Tensor:
    """All-threshold logistic loss of each step `[B, L]`, in levels (Rennie and Srebro 2005).

    A threshold lies midway between neighbouring levels of low..high; each pays the softplus of how far `x` is on the wrong
    side of it, less where it is well on the side of `y`. Mean over the thresholds.
    """
    thresholds = torch.arange(low, high, device=x.device, dtype=x.dtype) + 0.5
    distance = x.unsqueeze(-1) - thresholds
    return functional.softplus(torch.where(y.unsqueeze(-1) > thresholds, -distance, distance)).mean(-1)


#: Losses of a step of a continuous or ordinal target, on the scale where its range is 2 wide.
STEP_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": lambda x, y: (x - y).square(),
    "l1": lambda x, y: (x - y).abs(),
    "smooth-l1": lambda x, y: functional.smooth_l1_loss(x, y, reduction="none", beta=SMOOTH_L1_BETA),
}


class Objective(nn.Module):
    """Weighted mean over the targets of their losses.

    A continuous or ordinal target takes the chosen loss on a scale where its range is 2 wide, as -1..1 is, so that points of
    0..63 do not outweigh valence; a categorical target takes cross-entropy with the share of each class.

    Args:
        targets: what the K columns mean, in order.
        loss: of continuous and ordinal targets: `ccc`, `mse`, `l1` or `smooth-l1`.
        ordinal_loss: of ordinal targets: `regress` takes `loss`, `thresholds` `threshold_loss`.
        weights: target -> weight, 1 where it is not named; a target of weight 0 is left out, whatever it holds.
        weighting: `fixed`, or `uncertainty`: a learnt log-variance s for each target (Kendall, Gal and Cipolla 2018, section
            3.2). Its loss becomes exp(-s) / 2 * loss + s / 2 for regression, CCC included, and exp(-s) * loss + s / 2 for
            likelihoods (cross-entropy and thresholds).
        class_weights: categorical target -> weight of each class, `[C]`; the mean over steps is weighted by them.
        label_smoothing: share of every categorical label that is spread evenly over the classes (Szegedy et al. 2016).
        offsets: categorical target -> what is added to the logit of each class, `[C]`, before the cross-entropy.

    Attributes:
        log_variance: `[targets]` parameter; None with fixed weighting. Processes add up its gradient like any other.

    Raises:
        ConfigError: an unknown name or loss, weights that leave nothing to train, levels that are not whole numbers, a
            smoothing without classes or outside 0..1.
    """

    scale: Tensor
    weights: Tensor
    class_weights: Tensor
    offsets: Tensor

    def __init__(
        self,
        targets: Sequence[TargetConfig],
        *,
        loss: str = "ccc",
        ordinal_loss: str = "regress",
        weights: Mapping[str, float] | None = None,
        weighting: str = "fixed",
        class_weights: Mapping[str, Tensor] | None = None,
        label_smoothing: float = 0.0,
        offsets: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        _check_choice("loss", loss, ("ccc", *STEP_LOSSES))
        _check_choice("ordinal_loss", ordinal_loss, ("regress", "thresholds"))
        _check_choice("weighting", weighting, ("fixed", "uncertainty"))
        if ordinal_loss == "thresholds" and all(target.kind != "ordinal" for target in targets):
            names = ", ".join(target.name for target in targets)
            raise ConfigError(f"ordinal_loss 'thresholds' has no effect: none of the targets ({names}) is ordinal")
        if not 0 <= label_smoothing < 1:
            raise ConfigError(f"label_smoothing: {label_smoothing} must be a share from 0 up and under 1")
        if label_smoothing and all(target.kind != "categorical" for target in targets):
            raise ConfigError("label_smoothing has no effect: no target is categorical; leave it out")
        self.targets, self.label_smoothing = tuple(targets), label_smoothing
        self.losses = {target.name: _loss_of(target, loss, ordinal_loss) for target in targets}
        self.columns = target_columns(targets)
        count = sum(len(target.columns) for target in targets)
        scaled = {"ccc", *STEP_LOSSES}
        scale = [(t.high - t.low) / 2 if self.losses[t.name] in scaled else 1.0 for t in targets for _ in t.columns]
        self.register_buffer("scale", torch.tensor(scale), persistent=False)
        self.register_buffer("weights", torch.tensor(_target_weights(targets, weights or {})), persistent=False)
        self.register_buffer("class_weights", torch.ones(count), persistent=False)
        for name, given in (class_weights or {}).items():
            self.class_weights[self.columns[name]] = _checked_class_weights(name, given, targets)
        self.register_buffer("offsets", torch.zeros(count), persistent=False)
        for name, given in (offsets or {}).items():
            self.offsets[self.columns[name]] = _checked_offsets(name, given, targets)
        self.log_variance = nn.Parameter(torch.zeros(len(targets))) if weighting == "uncertainty" else None
        counted = [target for target, weight in zip(targets, self.weights.tolist(), strict=True) if weight > 0]
        self._concordant = [target.name for target in counted if self.losses[target.name] == "ccc"]
        self._averaged = [target for target in counted if self.losses[target.name] != "ccc"]

    def forward(self, prediction: Tensor, label: Tensor, valid: Tensor, *, total: Total = identity) -> Tensor:
        """The loss of the valid steps: a float32 scalar, under autocast too (float64 of a float64 prediction).

        Args:
            prediction, label: `[B, L, K]`; what they hold at a step that is not valid reaches neither loss nor gradient.
            valid: `[B, L]` bool; steps that count.
            total: sums a tensor over all processes; every process calls it equally often, with equal shapes.
        """
        dtype = torch.promote_types(prediction.dtype, torch.float32)
        blank = ~valid.unsqueeze(-1)
        scale = self.scale.to(dtype)
        x = prediction.to(dtype).masked_fill(blank, 0.0) / scale
        y = label.to(dtype).masked_fill(blank, 0.0) / scale
        found: dict[str, Tensor] = {}
        if self._concordant:
            columns = [self.columns[name].start for name in self._concordant]
            found |= zip(self._concordant, ccc_loss(x[..., columns], y[..., columns], valid, total), strict=True)
        if self._averaged:
            steps = [self._steps(target, x, y) for target in self._averaged]
            values, weights = (torch.stack(parts, dim=-1) for parts in zip(*steps, strict=True))
            names = [target.name for target in self._averaged]
            found |= zip(names, mean_loss(values, weights, valid, total), strict=True)
        losses = torch.stack([found.get(target.name, x.new_zeros(())) for target in self.targets])
        if self.log_variance is not None:
            losses = self._tempered(losses, self.log_variance, total)
        share = self.weights.to(dtype)
        return (share * losses).sum() / share.sum()

    def _steps(self, target: TargetConfig, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of each step and what it counts in the mean, `[B, L]` each."""
        columns, name = self.columns[target.name], self.losses[target.name]
        x, y = x[..., columns], y[..., columns]
        if name == "cross-entropy":
            weights, x = self.class_weights[columns].to(x.dtype), x + self.offsets[columns].to(x.dtype)
            if self.label_smoothing:
                y = torch.lerp(y, torch.full_like(y, 1 / y.shape[-1]), self.label_smoothing)
            entropy = functional.cross_entropy(x.movedim(-1, 1), y.movedim(-1, 1), weight=weights, reduction="none")
            return entropy, (weights * y).sum(-1)
        x, y = x.squeeze(-1), y.squeeze(-1)
        if name == "thresholds":
            return threshold_loss(x, y, int(target.low), int(target.high)), torch.ones_like(y)
        return STEP_LOSSES[name](x, y), torch.ones_like(y)

    def _tempered(self, losses: Tensor, log_variance: Tensor, total: Total) -> Tensor:
        # The mean over processes has the same value, and a share of the gradient for each of them.
        sums = total(torch.cat((log_variance, log_variance.new_ones(1))))
        s = (sums[:-1] / sums[-1]).to(losses.dtype)
        factor = [1.0 if self.losses[t.name] in ("cross-entropy", "thresholds") else 0.5 for t in self.targets]
        return losses.new_tensor(factor) * torch.exp(-s) * losses + s / 2


def balanced_weights(counts: Tensor) -> Tensor:
    """Weight of each class, one over its frequency: n / (present classes * count), `[C]` float32.

    Args:
        counts: `[C]` examples of each class. An absent class weighs 0; the mean weight of an example is 1.
    """
    counts = counts.double()
    present = counts > 0
    return torch.where(present, counts.sum() / (present.sum() * counts), 0.0).float()


def log_frequencies(counts: Tensor) -> Tensor:
    """Logarithm of the share of each class, `[C]` float32, of `counts` `[C]`; an absent class counts as half an example."""
    held = counts.double().clamp_min(0.5)
    return (held / held.sum()).log().float()


def _loss_of(target: TargetConfig, loss: str, ordinal_loss: str) -> str:
    if target.kind == "categorical":
        return "cross-entropy"
    if target.kind == "continuous" or ordinal_loss == "regress":
        return loss
    if not (target.low.is_integer() and target.high.is_integer()):
        raise ConfigError(
            f"ordinal_loss 'thresholds' needs whole levels, but target {target.name!r} has the range "
            f"{target.low:g}..{target.high:g}; use 'regress'"
        )
    return "thresholds"


def _target_weights(targets: Sequence[TargetConfig], given: Mapping[str, float]) -> list[float]:
    known = [target.name for target in targets]
    for name, weight in given.items():
        if name not in known:
            raise ConfigError(f"weights: no target {name!r}; the targets are {', '.join(known)}")
        if not (math.isfinite(weight) and weight >= 0):
            raise ConfigError(f"weights: {weight} of target {name!r} must be a number from 0 up")
    weights = [float(given.get(name, 1.0)) for name in known]
    if not any(weights):
        raise ConfigError(f"weights: all are 0, so nothing is trained; give one of {', '.join(known)} a weight over 0")
    return weights


def _checked_class_weights(name: str, weights: Tensor, targets: Sequence[TargetConfig]) -> Tensor:
    """The class weights of a target, if it has such classes."""
    _check_classes("class_weights", name, weights, targets)
    if not bool((weights.isfinite() & (weights >= 0)).all()) or not bool(weights.any()):
        raise ConfigError(f"class_weights: those of {name!r} must be numbers from 0 up, and not all 0")
    return weights.float()


def _checked_offsets(name: str, offsets: Tensor, targets: Sequence[TargetConfig]) -> Tensor:
    """The offsets of a target's logits, if it has such classes."""
    _check_classes("offsets", name, offsets, targets)
    if not bool(offsets.isfinite().all()):
        raise ConfigError(f"offsets: those of {name!r} must be finite numbers")
    return offsets.float()


def _check_classes(what: str, name: str, values: Tensor, targets: Sequence[TargetConfig]) -> None:
    """Refuse what is not one value for each class of a target."""
    categorical = {target.name: len(target.classes) for target in targets if target.kind == "categorical"}
    if name not in categorical:
        raise ConfigError(
            f"{what}: no categorical target {name!r}; the categorical targets are {', '.join(categorical) or 'none'}"
        )
    if values.shape != (categorical[name],):
        raise ConfigError(f"{what}: {name!r} has {categorical[name]} classes, but what is given is {list(values.shape)}")


def _check_choice(what: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(f"{what}: unknown {value!r}; choose one of {', '.join(known)}")
