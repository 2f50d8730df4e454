"""Confidence intervals of a statistic over people: the bootstrap draws whole subjects, since steps of one are alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable

import torch
from torch import Tensor

from affectzoo.errors import InputError


def confidence_interval(
    statistic: Callable[[Tensor], float],
    groups: Iterable[Hashable] | Tensor,
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval (Efron and Tibshirani 1993, section 13.3) of a statistic of examples of several subjects.

    Each draw takes as many subjects as there are, with replacement, and all examples of each. The draws depend on the seed
    and on the names of the subjects, not on the order of the examples.

    Args:
        statistic: of the indices of the drawn examples, `[N]` int64, with repeats. It is called `draws` times: let it index
            one float64 column, made before. 1000 CCCs of 100,000 steps then take 2 s on one core, not 10.
        groups: the subject of each example.
        level: share of the draws inside, their tails being equal.

    Returns:
        Low and high end. Draws whose statistic is NaN are left out; both ends are NaN where that is over half of them, and
        for fewer than two subjects.

    Raises:
        InputError: no draws, or a level outside 0..1.
    """
    if draws < 1 or not 0 < level < 1:
        raise InputError(f"a bootstrap needs at least 1 draw and a level between 0 and 1, not {draws} and {level}")
    members: dict[Hashable, list[int]] = {}
    for index, subject in enumerate(groups.tolist() if isinstance(groups, Tensor) else groups):
        members.setdefault(subject, []).append(index)
    if len(members) < 2:
        return math.nan, math.nan
    subjects = [torch.tensor(members[subject]) for subject in sorted(members, key=str)]
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(subjects), (draws, len(subjects)), generator=generator).tolist()
    found = torch.tensor([statistic(torch.cat([subjects[i] for i in draw])) for draw in drawn], dtype=torch.float64)
    found = found[~found.isnan()]
    if 2 * len(found) < draws:
        return math.nan, math.nan
    low, high = found.quantile(found.new_tensor([(1 - level) / 2, (1 + level) / 2])).tolist()
    return low, high
