"""How papers report a corpus: which clips, which labels, which metric, and what is averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One way of reporting a corpus.

    Attributes:
        name: what `--protocol` takes.
        summary: one sentence: split, what is compared, metric.
        source: paper or rules of the challenge.
        targets: what is compared; a model that lacks one cannot be evaluated so.
        metrics: names of `affectzoo.objectives.metrics`, the reported ones first.
        of: `annotations` (every valid annotation of the split, such as each frame; predictions are interpolated to its time)
            or `clips` (one score for each clip).
        split: the official split; empty where `folds` says how subjects are divided.
        folds: number of folds by subject, or `loso` (leave one subject out); None where there is an official split.
        average: `pooled` (a metric once over all folds together) or `folds` (mean and sd over folds); without folds `pooled`.
        group: extra column; the scores of clips that share its value are averaged before they are compared. Empty: each alone.
        options: arguments of the loader that belong to the protocol.
    """

    name: str
    summary: str
    source: str
    targets: tuple[str, ...]
    metrics: tuple[str, ...]
    of: Literal["annotations", "clips"]
    split: str = ""
    folds: int | Literal["loso"] | None = None
    average: Literal["pooled", "folds"] = "pooled"
    group: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
