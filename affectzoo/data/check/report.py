"""A corpus, checked: everything found in it, what is left out and why, and what is wrong with the rest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import affectzoo
from affectzoo.data.check.finding import ClipFacts, Finding, found, grouped
from affectzoo.data.check.label_findings import label_findings
from affectzoo.data.check.labels import TargetFacts, target_facts, values_of
from affectzoo.data.check.leaks import leaks
from affectzoo.data.check.media import MediaFacts, facts_of
from affectzoo.data.check.media_findings import absent_media, media_findings
from affectzoo.data.corpus import Corpus
from affectzoo.data.load import WHOLE
from affectzoo.data.schema import SPLITS, Clip
from affectzoo.data.table import from_row, read_table

if TYPE_CHECKING:
    from datasets import Dataset

#: The split of clips that have none, where others have one.
NO_SPLIT = "none"
#: Columns that hold a number for each label; Arrow hands them over as they are.
_LONG = ("times", "valid")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a check found.

    Attributes:
        name: of the dataset.
        corpus: the loader.
        clips: those that can be used, with their labels.
        left_out: `(clip, why)` of the others.
        notes: `(clip, remark)` of the loader about clips that can be used.
        splits: split -> its clips, in the order of training, validation, test.
        targets: what the labels are.
        media: path -> what it is; empty where media were not opened.
        is_opened: media were opened.
        findings: what is wrong, problems first.
    """

    name: str
    corpus: Corpus
    clips: Sequence[ClipFacts]
    left_out: Sequence[tuple[str, str]]
    notes: Sequence[tuple[str, str]]
    splits: Mapping[str, Sequence[ClipFacts]]
    targets: Sequence[TargetFacts]
    media: Mapping[str, MediaFacts]
    is_opened: bool
    findings: Sequence[Finding]

    @property
    def problems(self) -> list[Finding]:
        """Findings that are to be mended."""
        return [finding for finding in self.findings if finding.is_problem]

    @property
    def remarks(self) -> list[Finding]:
        """The other findings."""
        return [finding for finding in self.findings if not finding.is_problem]

    @property
    def accounting(self) -> str:
        """Nothing is lost: what was found is used or left out."""
        total = len(self.clips) + len(self.left_out)
        return f"{total:,} found = {len(self.clips):,} used + {len(self.left_out):,} left out"

    def groups(self, said: Sequence[tuple[str, str]]) -> list[tuple[str, list[tuple[str, str]]]]:
        """Reasons or remarks that say the same of different clips, together."""
        return grouped(said, self.corpus.root)

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {
            "affectzoo": affectzoo.__version__,
            "dataset": self.name,
            "root": str(self.corpus.root),
            "card": asdict(self.corpus.card),
            "clips_found": len(self.clips) + len(self.left_out),
            "clips_used": len(self.clips),
            "clips_left_out": len(self.left_out),
            "findings": [asdict(finding) for finding in self.findings],
            "left_out": self._said(self.left_out),
            "notes": self._said(self.notes),
            "splits": {split: summary(clips) for split, clips in self.splits.items()},
            "targets": {facts.target.name: facts.to_json() for facts in self.targets},
            "media_opened": self.is_opened,
            "media": {path: asdict(facts) for path, facts in self.media.items()},
            "clips": [self._row(clip) for clip in self.clips],
        }

    def _said(self, said: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        return [
            {"count": len(cases), "first": sentence, "clips": [{"clip_id": clip, "said": words} for clip, words in cases]}
            for sentence, cases in self.groups(said)
        ]

    def _row(self, facts: ClipFacts) -> dict[str, Any]:
        clip = facts.clip
        labels = {target.target.name: len(values_of(clip, target.target)) for target in self.targets}
        place = {name: getattr(clip, name) for name in ("video", "audio", "frames", "start_s", "end_s")}
        one = {"clip_id": clip.clip_id, "subject": clip.subject, "split": facts.split, "seconds": facts.seconds}
        return one | {"scores": dict(clip.scores), "valid_labels": labels} | place


def check(
    name: str,
    corpus: Corpus,
    *,
    media: bool = True,
    workers: int | None = None,
    advance: Callable[[int, int], None] | None = None,
) -> Report:
    """Check a corpus.

    Args:
        name: of the dataset.
        corpus: the loader.
        media: open media files; else only their absence is found.
        workers: threads that open media, and processes that read labels where more than one is asked for.
        advance: told how many media files of how many are done.

    Raises:
        DataError: nothing that can be used was found.
    """
    everything = list(clips_of(read_table(corpus, num_proc=workers), corpus))
    usable = [clip for clip in everything if not clip.problem]
    left_out = [(clip.clip_id, clip.problem) for clip in everything if clip.problem]
    notes = [(clip.clip_id, note) for clip in usable for note in clip.notes]
    seen: dict[str, MediaFacts] = {}
    if media:
        paths = [path for clip in usable for path in (clip.video, clip.frames, clip.audio) if path and Path(path).exists()]
        seen = facts_of(paths, workers, advance)
    official = any(clip.split for clip in usable)
    clips = [clip_facts(clip, clip.split or (NO_SPLIT if official else WHOLE), seen) for clip in usable]
    splits = {
        split: part for split in (*SPLITS, WHOLE, NO_SPLIT) if (part := [facts for facts in clips if facts.split == split])
    }
    targets = target_facts(corpus, {split: [facts.clip for facts in part] for split, part in splits.items()})
    findings = [
        *found(
            "left-out",
            f"{{n}} of {len(everything):,} clips {{is|are}} left out",
            [f"{clip}: {why}" for clip, why in left_out],
            is_problem=True,
        ),
        *leaks(corpus, clips, seen),
        *absent_media(clips),
        *media_findings(clips, seen),
        *label_findings(targets, clips),
        *found("notes", "{n} remark{s} of the loader on clips that are used", map(": ".join, notes), is_problem=False),
    ]
    return Report(
        name=name,
        corpus=corpus,
        clips=clips,
        left_out=left_out,
        notes=notes,
        splits=splits,
        targets=targets,
        media=seen,
        is_opened=media,
        findings=sorted(findings, key=lambda finding: not finding.is_problem),
    )


def clips_of(table: Dataset, corpus: Corpus) -> Iterator[Clip]:
    """The rows of `read_table` as clips; labels along time never become lists of numbers."""
    arrow: Any = table.with_format("arrow")[:]
    long = [*_LONG, *(target.name for target in corpus.targets if target.name in corpus.along)]
    for number, row in enumerate(arrow.drop_columns(long).to_pylist()):
        columns = {name: arrow[name][number].values.to_numpy(zero_copy_only=False) for name in long}
        yield from_row(row | columns, corpus)


def summary(clips: Sequence[ClipFacts]) -> dict[str, Any]:
    """Of a split: clips, subjects, seconds as far as they are known, and of how many clips they are."""
    known = [clip.seconds for clip in clips if math.isfinite(clip.seconds)]
    subjects = {clip.clip.subject for clip in clips}
    return {"clips": len(clips), "subjects": len(subjects), "seconds": sum(known), "clips_with_seconds": len(known)}


def clip_facts(clip: Clip, split: str, media: Mapping[str, MediaFacts]) -> ClipFacts:
    """What is known of a clip; `media`: path -> what it is, of those that were opened."""
    picture = media.get(clip.video or "") or media.get(clip.frames or "")
    # A file of sound alone may stand under `video` too.
    sound = media.get(clip.audio or clip.video or "")
    return ClipFacts(clip=clip, split=split, seconds=_seconds(clip, picture, sound), picture=picture, sound=sound)


def _seconds(clip: Clip, picture: MediaFacts | None, sound: MediaFacts | None) -> float:
    """Of the part that is meant: by its ends, the media, or else the labels or signals; NaN where none of them says."""
    ends = [facts.duration_s for facts in (picture, sound) if facts is not None and math.isfinite(facts.duration_s)]
    if not ends and picture is not None and picture.frames and clip.fps:
        ends = [picture.frames / clip.fps]
    if not ends and clip.track is not None and clip.track.unit == "s" and len(clip.track.times):
        ends = [float(clip.track.times[-1])]
    if not ends:
        ends = [float(signal.times_s[-1]) for signal in clip.signals.values() if len(signal.times_s) > 1]
    end_s = clip.end_s if clip.end_s is not None else ends[0] if ends else math.nan
    if ends and clip.end_s is not None:
        end_s = min(clip.end_s, max(ends))
    # In this order NaN stays NaN.
    return max(end_s - (clip.start_s or 0.0), 0.0)
