"""What is wrong with media: absent, unreadable, uneven, without sound, shorter or longer than their labels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from affectzoo.data.check.finding import ClipFacts, Finding, found
from affectzoo.data.check.leaks import paths_of
from affectzoo.data.check.media import MediaFacts
from affectzoo.data.schema import Track

#: The usual length of a sub-sequence, in seconds: 32 frames at 30 per second.
_SUB_SEQUENCE_S = 32 / 30
#: Frame rates closer than this are one rate.
_SAME_RATE = 0.01
#: Headers round the end of a file; labels in seconds may pass it by so much, and stay so much behind it.
_PAST_S, _BEHIND_S = 0.2, 1.0


@dataclass(frozen=True)
class _LabelEnds:
    """Clips whose labels go on after the media or after the last crop, and those whose labels end before the media."""

    after: list[str] = field(default_factory=list)
    after_crops: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)


def absent_media(clips: Sequence[ClipFacts]) -> list[Finding]:
    """Files that are not there, and clips that name none; media are not opened."""
    missing = dict.fromkeys(path for clip in clips for path in paths_of(clip) if not Path(path).exists())
    nothing = [clip.clip.clip_id for clip in clips if not paths_of(clip) and not clip.clip.signals]
    return [
        *found("missing-media", "{n} media file{s} {is|are} not there", missing, is_problem=True),
        *found("no-media", "{n} clip{s} {has|have} neither media nor signals", nothing, is_problem=True),
    ]


def media_findings(clips: Sequence[ClipFacts], media: Mapping[str, MediaFacts]) -> list[Finding]:
    """What opening the media showed, and how they fit their clips' labels.

    Args:
        clips: those that can be used.
        media: path -> what it is, of the paths that exist.
    """
    broken = [seen.problem for seen in media.values() if seen.problem]
    silent = [f"{path}: {remark}" for path, seen in media.items() for remark in seen.remarks]
    ends = _label_ends(clips)
    findings = [
        *found("unreadable-media", "{n} media file{s} cannot be read", broken, is_problem=True),
        *found("undecodable-track", "{n} track{s} of media files cannot be decoded", silent, is_problem=True),
        *found(
            "part-outside", "{n} clip{s} {lies|lie} beyond the end of {its|their} file", _parts_outside(clips), is_problem=True
        ),
        *found("more-labels", "{n} clip{s} {has|have} labels after the end of the media", ends.after, is_problem=True),
        # A missing crop is a missing face, at the end too.
        *found("labels-after-crops", "{n} clip{s} {has|have} labels after the last crop", ends.after_crops, is_problem=False),
        *found("fewer-labels", "{n} clip{s} {has|have} labels that end before the media do", ends.before, is_problem=False),
        *found(
            "short",
            f"{{n}} clip{{s}} {{is|are}} shorter than a sub-sequence of {_SUB_SEQUENCE_S:.2f} s",
            _short(clips),
            is_problem=False,
        ),
        *found("gaps-in-crops", "{n} folder{s} of crops {has|have} gaps", _gaps(media), is_problem=False),
        *found(
            "crops-without-fps",
            "{n} folder{s} of crops {says|say} nothing of {its|their} frame rate; give fps",
            _no_fps(clips, media),
            is_problem=False,
        ),
    ]
    videos = {path: seen for path, seen in media.items() if math.isfinite(seen.fps)}
    return findings + _rates(videos) + _sound(clips)


def _rates(videos: Mapping[str, MediaFacts]) -> list[Finding]:
    uneven = [f"{path}: {seen.fps:.2f} on average" for path, seen in videos.items() if seen.is_variable]
    findings = found("variable-rate", "{n} video{s} {has|have} a frame rate that varies", uneven, is_problem=False)
    if not videos:
        return findings
    usual = Counter(round(seen.fps, 2) for seen in videos.values()).most_common(1)[0][0]
    others = [f"{path}: {seen.fps:.2f}" for path, seen in videos.items() if abs(seen.fps / usual - 1) > _SAME_RATE]
    sentence = f"{{n}} of {len(videos):,} videos {{has|have}} not the usual {usual:g} frames per second"
    return findings + found("other-rate", sentence, others, is_problem=False)


def _sound(clips: Sequence[ClipFacts]) -> list[Finding]:
    heard = {path: seen for clip in clips if (path := clip.clip.audio or clip.clip.video) and (seen := clip.sound)}
    mute = [path for path, seen in heard.items() if not seen.sample_rate and not seen.problem]
    voiced = {path: seen for path, seen in heard.items() if seen.sample_rate}
    # Where nothing has sound, the corpus is silent by design.
    findings = found(
        "no-sound", f"{{n}} of {len(heard):,} files {{has|have}} no sound", mute if voiced else [], is_problem=False
    )
    for name, unit, values in (
        ("sample-rate", "Hz", {path: seen.sample_rate for path, seen in voiced.items()}),
        ("channels", "channels", {path: seen.channels for path, seen in voiced.items()}),
    ):
        if len(set(values.values())) > 1:
            usual = Counter(values.values()).most_common(1)[0][0]
            others = [f"{path}: {value}" for path, value in values.items() if value != usual]
            sentence = f"the sound of {{n}} of {len(values):,} files has not the usual {usual} {unit}"
            findings += found(f"other-{name}", sentence, others, is_problem=False)
    return findings


def _parts_outside(clips: Sequence[ClipFacts]) -> Iterator[str]:
    for clip in clips:
        media = clip.picture or clip.sound
        if media is None or not math.isfinite(media.duration_s):
            continue
        start_s, end_s = clip.clip.start_s or 0.0, clip.clip.end_s or 0.0
        if start_s >= media.duration_s or end_s > media.duration_s + _BEHIND_S:
            asked = f"{start_s:.2f} s to {f'{end_s:.2f} s' if end_s else 'its end'}"
            yield f"{clip.clip.clip_id}: {asked} of {media.duration_s:.2f} s"


def _short(clips: Sequence[ClipFacts]) -> list[str]:
    return [f"{clip.clip.clip_id}: {clip.seconds:.2f} s" for clip in clips if clip.seconds < _SUB_SEQUENCE_S - 1e-6]


def _gaps(media: Mapping[str, MediaFacts]) -> Iterator[str]:
    for path, seen in media.items():
        if seen.frames and seen.images < seen.frames and Path(path).is_dir():
            missing = seen.frames - seen.images
            yield f"{path}: {missing:,} of {seen.frames:,} are missing ({missing / seen.frames:.1%})"


def _no_fps(clips: Sequence[ClipFacts], media: Mapping[str, MediaFacts]) -> list[str]:
    return [
        path
        for clip in clips
        if (path := clip.clip.frames)
        and path in media
        and Path(path).is_dir()
        and clip.clip.fps is None
        and not clip.clip.video
    ]


def _label_ends(clips: Sequence[ClipFacts]) -> _LabelEnds:
    ends = _LabelEnds()
    for clip in clips:
        track, media = clip.clip.track, clip.picture or clip.sound
        if track is None or not len(track.times) or media is None or media.problem:
            continue
        difference = _frames_too_many(track, media) if track.unit == "frame" else _seconds_too_many(track, media)
        said = f"{clip.clip.clip_id}: {difference[1:]}"
        if difference.startswith("+"):
            (ends.after_crops if media.images else ends.after).append(said)
        # A part of a file is labelled for itself; what follows it is another clip's.
        elif difference.startswith("-") and clip.clip.end_s is None:
            ends.before.append(said)
    return ends


def _frames_too_many(track: Track, media: MediaFacts) -> str:
    """`+` or `-` and by what, of labels that end after or before the frames; empty where they agree."""
    labels, frames = round(float(track.times[-1])) + 1, media.frames
    if frames is None and math.isfinite(media.duration_s * media.fps):
        # Estimated from the headers, which round both.
        frames = round(media.duration_s * media.fps)
        if abs(labels - frames) <= max(2, 0.01 * frames):
            return ""
    if frames is None or labels == frames:
        return ""
    return f"{'+' if labels > frames else '-'}labels up to frame {labels:,} of {frames:,}"


def _seconds_too_many(track: Track, media: MediaFacts) -> str:
    """As `_frames_too_many`, of labels in seconds."""
    end_s, step_s = float(track.times[-1]), 1 / track.rate_hz if track.rate_hz > 0 else 0.0
    past_s = end_s - media.duration_s
    said = f"labels to {end_s:.2f} s of {media.duration_s:.2f} s"
    if past_s > max(_PAST_S, step_s):
        return f"+{said}"
    return f"-{said}" if -past_s > max(_BEHIND_S, 2 * step_s) else ""
