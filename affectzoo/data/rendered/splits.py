"""Who is in which split, and what each task draws for them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from affectzoo.data.rendered.clip import DEFAULT_DURATION_S, RenderedClip
from affectzoo.errors import InputError

Split = Literal["train", "val", "test"]
Task = Literal["affect", "severity", "pain", "identity"]

TASKS: tuple[Task, ...] = ("affect", "severity", "pain", "identity")
_IDENTITIES: dict[str, tuple[int, int]] = {
    "train": (0, 1_000_000),
    "val": (1_000_000, 2_000_000),
    "test": (2_000_000, 3_000_000),
}


def make_clips(
    split: Split,
    *,
    identities: int = 40,
    clips_per_identity: int = 1,
    duration_s: float = DEFAULT_DURATION_S,
    seed: int = 0,
    task: Task = "affect",
) -> list[RenderedClip]:
    """The clips of one split. No person appears in two splits, save for the task `identity`.

    Args:
        split: `train`, `val` or `test`.
        identities: how many persons.
        clips_per_identity: clips of each.
        duration_s: seconds of each clip.
        seed: another seed gives other clips of the same persons.
        task: `affect`; `severity`, one for each person; `pain`, a level for each clip; or `identity`, other clips of the
            very same persons (those of `train`) in each split. Severity and pain are drawn evenly from 0..10.

    Raises:
        InputError: an unknown split or task, or a count that is not positive or too large.
    """
    if split not in _IDENTITIES:
        raise InputError(f"unknown split {split!r}: use train, val or test")
    if task not in TASKS:
        raise InputError(f"unknown task {task!r}: use one of {', '.join(TASKS)}")
    first, end = _IDENTITIES["train" if task == "identity" else split]
    if not 0 < identities <= end - first or clips_per_identity < 1:
        raise InputError(f"identities must be in 1..{end - first} and clips_per_identity positive")
    clips = [
        (identity, seed * clips_per_identity + number)
        for identity in range(first, first + identities)
        for number in range(clips_per_identity)
    ]
    if task == "severity":
        return [RenderedClip(who, which, duration_s, severity=_drawn(86028121, who)) for who, which in clips]
    if task == "pain":
        return [RenderedClip(who, which, duration_s, pain=_drawn(49979687, who, which)) for who, which in clips]
    if task == "identity":
        # Every third number belongs to one split, so that no recording is in two of them whatever their counts.
        place = list(_IDENTITIES).index(split)
        return [RenderedClip(who, 3 * which + place, duration_s) for who, which in clips]
    return [RenderedClip(who, which, duration_s) for who, which in clips]


def _drawn(purpose: int, *key: int) -> float:
    """A level in 0..10 that follows from its purpose and key alone."""
    return float(np.random.default_rng([purpose, *key]).uniform(0, 10))
