"""What is wrong with labels: values that cannot be, curves that stand still, classes that are rare."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from affectzoo.config import TargetConfig
from affectzoo.data.check.finding import ClipFacts, Finding, found
from affectzoo.data.check.labels import TargetFacts, is_outside, values_of
from affectzoo.data.schema import IDENTITY

#: The most frequent class has more than so many times the labels of the rarest.
_UNBALANCED = 10
#: Labels along time fewer than these say nothing about standing still.
_LEAST_LABELS = 10


def label_findings(targets: Sequence[TargetFacts], clips: Sequence[ClipFacts]) -> list[Finding]:
    """Of every target of the clips that can be used."""
    findings: list[Finding] = []
    for target in targets:
        name, is_classes = target.target.name, target.target.kind == "categorical"
        reach = "the classes" if is_classes else f"{target.target.low:g}..{target.target.high:g}"
        outside = f"{name}: {{n}} clip{{s}} {{has|have}} labels outside {reach}"
        findings += found("outside-the-range", outside, _outside(target.target, clips), is_problem=True)
        unknown = f"{name}: {{n}} clip{{s}} {{has|have}} labels that count and are no numbers"
        findings += found("no-number", unknown, _no_numbers(target.target, clips), is_problem=True)
        empty = [f"{split}" for split, part in target.splits.items() if not part.valid]
        findings += found("unlabelled-split", f"{name}: {{n}} split{{s}} {{has|have}} no label", empty, is_problem=False)
        if target.is_along and not is_classes:
            still = [clip.clip.clip_id for clip in clips if _stands_still(values_of(clip.clip, target.target))]
            findings += found(
                "constant", f"{name}: {{n}} clip{{s}} {{has|have}} one and the same label throughout", still, is_problem=False
            )
        if is_classes and name != IDENTITY:
            findings += _of_classes(target, clips)
    names = [target.target for target in targets]
    nothing = [clip.clip.clip_id for clip in clips if not any(len(values_of(clip.clip, target)) for target in names)]
    if names:
        findings += found("unlabelled", "{n} clip{s} {has|have} no label that counts", nothing, is_problem=False)
    return findings


def _outside(target: TargetConfig, clips: Sequence[ClipFacts]) -> Iterator[str]:
    for clip in clips:
        values = values_of(clip.clip, target)
        wrong = values[is_outside(values, target)]
        if len(wrong):
            yield f"{clip.clip.clip_id}: {len(wrong)} of {len(values)} labels, {wrong.min():g}..{wrong.max():g}"


def _no_numbers(target: TargetConfig, clips: Sequence[ClipFacts]) -> Iterator[str]:
    for clip in clips:
        values = values_of(clip.clip, target)
        wrong = int((~np.isfinite(values)).sum())
        if wrong:
            yield f"{clip.clip.clip_id}: {wrong} of {len(values)} labels"


def _stands_still(values: np.ndarray) -> bool:
    return len(values) >= _LEAST_LABELS and bool(np.ptp(values) == 0)


def _of_classes(target: TargetFacts, clips: Sequence[ClipFacts]) -> list[Finding]:
    name, classes = target.target.name, target.target.classes
    counts = np.array(target.total.counts)
    findings: list[Finding] = []
    absent = {
        label: [split for split, part in target.splits.items() if part.valid and not part.counts[k]]
        for k, label in enumerate(classes)
    }
    sentence = f"{name}: {{n}} {{class|classes}} {{is|are}} absent from a split"
    findings += found("absent-class", sentence, [f"{k}: {', '.join(v)}" for k, v in absent.items() if v], is_problem=False)
    held = counts[counts > 0]
    if len(held) and held.max() > _UNBALANCED * held.min():
        of = [f"{label}: {count:,} ({count / held.sum():.1%})" for label, count in zip(classes, counts.tolist(), strict=True)]
        most, least = classes[int(counts.argmax())], classes[int(np.where(counts > 0, counts, held.max() + 1).argmin())]
        sentence = f"{name}: {most} has {held.max() / held.min():.0f} times the labels of {least}"
        findings += found("unbalanced", sentence, of, is_problem=False)
    # One clip has one class; only people with several could show more.
    mine: dict[str, list[np.ndarray]] = defaultdict(list)
    for clip in clips:
        values = values_of(clip.clip, target.target)
        if len(values):
            mine[clip.clip.subject].append(values)
    several = {subject: np.concatenate(values) for subject, values in mine.items() if len(values) > 1}
    one = [f"{subject}: {classes[int(values[0])]}" for subject, values in several.items() if np.ptp(values) == 0]
    sentence = f"{name}: {{n}} of {len(several)} subjects with several clips {{has|have}} one class only"
    return findings + found("one-class", sentence, one, is_problem=False)
