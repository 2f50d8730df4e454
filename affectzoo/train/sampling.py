"""Which training windows an epoch has: equally many from every clip, subject or class, or more of larger ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from affectzoo.config import TargetConfig
from affectzoo.data.windows import WindowDataset
from affectzoo.errors import ConfigError

Sampling = Literal["windows", "clips", "subjects", "classes"]
#: The numbers of the windows of each group; no group is empty, and no window is in two.
Groups = list[np.ndarray]


def check_sampling(sampling: Sampling, targets: Sequence[TargetConfig], where: str) -> None:
    """Refuse classes where there is not one target that has them.

    Raises:
        ConfigError: names `where` (`train` or `pretrain`) and how many there are.
    """
    found = [target.name for target in targets if target.kind == "categorical"]
    if sampling == "classes" and len(found) != 1:
        held = ", ".join(found) or "none"
        raise ConfigError(f"{where}.sampling: classes needs one categorical target, and this model has {held}; use clips")


def groups_of(dataset: WindowDataset, sampling: Sampling) -> Groups | None:
    """The windows of each clip, subject or class, those without a valid label left out; None for `windows`."""
    if sampling == "windows":
        return None
    table = dataset.rows.select_columns(["targets", "valid"])[:]
    valid = [np.frombuffer(value.as_buffer(), dtype=bool) for value in table["valid"]]
    columns = _class_columns(dataset.targets) if sampling == "classes" else slice(0, 0)
    found: dict[str | int, list[int]] = {}
    labels, read = np.zeros((0, 0), np.float32), -1
    for number, (row, start) in enumerate(dataset.places):
        steps = np.flatnonzero(valid[row][start : start + dataset.length]) + start
        if not len(steps):
            continue
        if sampling == "classes":
            if row != read:
                held = table["targets"][row].as_buffer()
                labels, read = dataset.labels(held, len(valid[row]), dataset.clip_ids[row])[:, columns], row
            found.setdefault(int(labels[steps].sum(axis=0).argmax()), []).append(number)
        else:
            found.setdefault(row if sampling == "clips" else dataset.subjects[row], []).append(number)
    return [np.array(members) for members in found.values()]


def draw(groups: Groups, seed: int, epoch: int, exponent: float = 0.0) -> list[int]:
    """The windows of one epoch, group after group: as many as there are in all groups.

    From each comes the same number or one more; with an `exponent` its share of the sum of all sizes to that power, and one
    at least. Over the epochs each group goes through one endless sequence, all its windows in one random order and then all
    in another; an epoch is the next stretch of it. What an epoch holds follows from its number alone.
    """
    stretches = _weighted(groups, epoch, exponent) if exponent else _alike(groups, seed, epoch)
    drawn: list[int] = []
    for number, (members, (first, stop)) in enumerate(zip(groups, stretches, strict=True)):
        size = len(members)
        for turn in range(first // size, -(-stop // size)):
            order = np.random.default_rng([seed, number, turn]).permutation(members)
            drawn += order[max(0, first - turn * size) : stop - turn * size].tolist()
    return drawn


def _alike(groups: Groups, seed: int, epoch: int) -> list[tuple[int, int]]:
    """Where the stretch of each group's sequence that is this epoch's begins and ends."""
    total = sum(map(len, groups))
    # Of n draws group g has taken floor((n + rank_g) / G): over all ranks these sum to n, whatever n is.
    ranks = np.random.default_rng([seed, len(groups)]).permutation(len(groups)).tolist()
    first, stop = ([(total * passed + rank) // len(groups) for rank in ranks] for passed in (epoch, epoch + 1))
    return list(zip(first, stop, strict=True))


def _weighted(groups: Groups, epoch: int, exponent: float) -> list[tuple[int, int]]:
    """As `_alike`; every epoch has the same number of each group, rounded so that the sum is what it has to be."""
    sizes = np.array([len(members) for members in groups])
    wanted = sizes**exponent / (sizes**exponent).sum() * sizes.sum()
    counts = np.floor(wanted).astype(int)
    # The largest remainders get what is left over.
    counts[np.argsort(counts - wanted, kind="stable")[: sizes.sum() - counts.sum()]] += 1
    while (counts == 0).any():
        counts[counts.argmin()] += 1
        counts[counts.argmax()] -= 1
    return [(epoch * count, (epoch + 1) * count) for count in counts.tolist()]


def _class_columns(targets: Sequence[TargetConfig]) -> slice:
    place = [target.kind for target in targets].index("categorical")
    start = sum(len(target.columns) for target in targets[:place])
    return slice(start, start + len(targets[place].columns))
