"""What must not be in two splits: a subject, a file, a copy of it, the labels of a clip."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from affectzoo.data.check.finding import ClipFacts, Finding, found
from affectzoo.data.check.media import MediaFacts
from affectzoo.data.corpus import Corpus
from affectzoo.data.schema import IDENTITY

#: Bytes at the beginning and at the end of a file by which a copy is known.
_ENDS = 65536
#: Labels along time that are worth a comparison.
_LEAST_LABELS = 10


def leaks(corpus: Corpus, clips: Sequence[ClipFacts], media: Mapping[str, MediaFacts]) -> list[Finding]:
    """Every leak between official splits, and clips that have no split though others have one.

    Args:
        corpus: its subjects may be in every split where they are the target.
        clips: those that can be used.
        media: path -> what it is; empty where media were not opened.
    """
    official = [clip for clip in clips if clip.clip.split]
    if not official:
        return []
    left = [clip.clip.clip_id for clip in clips if not clip.clip.split]
    findings = found("no-split", "{n} clip{s} {has|have} no split, though others have one", left, is_problem=True)
    if [target.name for target in corpus.targets] != [IDENTITY]:
        subjects = _in_several([(clip.clip.subject, clip) for clip in official])
        findings += found("subject-in-two-splits", "{n} subject{s} {is|are} in more than one split", subjects, is_problem=True)
    files = _in_several([(os.path.realpath(path), clip) for clip in official for path in paths_of(clip)])
    findings += found("file-in-two-splits", "{n} file{s} {is|are} in more than one split", files, is_problem=True)
    findings += found(
        "copy-in-two-splits",
        "{n} file{s} {has|have} a copy of another name in another split",
        _in_several(list(_copies(official, media))),
        is_problem=True,
    )
    tracks = _in_several([(digest, clip) for clip in official if (digest := _labels_digest(clip))], named=False)
    sentence = "the labels of {n} clip{s} are, value for value, those of a clip in another split"
    return findings + found("labels-in-two-splits", sentence, tracks, is_problem=True)


def paths_of(clip: ClipFacts) -> list[str]:
    """The media of a clip."""
    return [path for path in (clip.clip.video, clip.clip.frames, clip.clip.audio) if path]


def _in_several(keyed: Sequence[tuple[str, ClipFacts]], *, named: bool = True) -> Iterator[str]:
    """`key: train (first clip), test (first clip)` of each key that is in several splits."""
    places: dict[str, dict[str, str]] = defaultdict(dict)
    for key, clip in keyed:
        places[key].setdefault(clip.split, clip.clip.clip_id)
    for key, splits in places.items():
        if len(splits) > 1:
            where = ", ".join(f"{split} ({clip})" for split, clip in splits.items())
            yield f"{key}: {where}" if named else where


def _copies(clips: Sequence[ClipFacts], media: Mapping[str, MediaFacts]) -> Iterator[tuple[str, ClipFacts]]:
    """`(the first of the files that are alike, clip)`; only files of one size in several splits are opened."""
    sizes: dict[int, dict[str, ClipFacts]] = defaultdict(dict)
    for clip in clips:
        for path in paths_of(clip):
            if path in media and media[path].size and not media[path].problem:
                sizes[media[path].size].setdefault(os.path.realpath(path), clip)
    for files in sizes.values():
        if len({clip.split for clip in files.values()}) < 2:
            continue
        first: dict[bytes, str] = {}
        for path, clip in files.items():
            yield first.setdefault(_ends(Path(path)), path), clip


def _ends(path: Path) -> bytes:
    with path.open("rb") as file:
        digest = hashlib.blake2b(file.read(_ENDS))
        file.seek(-min(_ENDS, path.stat().st_size), os.SEEK_END)
        digest.update(file.read())
    return digest.digest()


def _labels_digest(clip: ClipFacts) -> str:
    """Of the labels along time; empty where they are few or do not move."""
    track = clip.clip.track
    if track is None or len(track.times) < _LEAST_LABELS:
        return ""
    values = [np.where(track.valid, column, 0) for column in track.values.values()]
    if not any(np.ptp(column) > 0 for column in values):
        return ""
    return hashlib.blake2b(b"".join(column.tobytes() for column in values)).hexdigest()
