"""Media as aligned sub-sequences: face crops and sound of the same stretch of time, what is missing marked.

Nothing is held longer than it takes to settle a sub-sequence, so memory does not grow with the length of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import numpy as np

from affectzoo.config import FramesInput, LogMelInput, WaveformInput
from affectzoo.errors import InputError
from affectzoo.media.audio import SILENCE_PEAK, sample_count
from affectzoo.media.crops import crop_face
from affectzoo.media.decode import AudioChunks, Frame, MediaInfo, VideoFrames, probe
from affectzoo.media.faces import Detector, detect_reduced
from affectzoo.media.pictures import Picture, Pictures
from affectzoo.media.prefetch import prefetch
from affectzoo.media.subsequences import FaceCrops, SubSequence, fill_slots
from affectzoo.media.tracks import FaceTracker, TrackSettings
from affectzoo.media.windows import sample_slots, subsequence_count, subsequence_times

__all__ = ["FaceCrops", "MediaStream", "SubSequence", "prefetch"]

#: A file that ends this much before its declared end, in seconds and as a share of its length, was cut short.
_SHORT_S, _SHORT_SHARE = 1.0, 0.05
#: Sound that outlasts the video by less than this is what the codec filled its last block with, not a row of its own.
_PADDING_S = 0.05


@dataclass(slots=True)
class _Sampled:
    """A chosen frame and the slots it serves; the unit that faces are followed through."""

    frame: Frame | Picture
    slots: list[int]

    @property
    def time_s(self) -> float:
        return self.frame.time_s


@dataclass(slots=True)
class _Visual:
    """The visual half of a sub-sequence in the making: face number -> slot -> (crop, box)."""

    faces: dict[int, dict[int, tuple[np.ndarray, np.ndarray]]] = field(default_factory=dict)
    frame_decoded: bool = False


@dataclass(slots=True)
class _Sound:
    """The audible half: samples `[S]`, and how many of them were decoded and not filled in."""

    samples: np.ndarray
    decoded: int = 0


class MediaStream:
    """Iterates the sub-sequences of one file, or of a part of it. Each iteration decodes the file anew.

    Args:
        path: the file, or numbered pictures.
        seconds: length of a sub-sequence.
        frames: what the visual stream wants; None leaves the video alone.
        audio: what the audio stream wants; None leaves the sound alone.
        detector: finds the faces; needed with `frames`, but for pictures, which without one are faces as they are.
        start_s, end_s: the part to read, seconds since the start of the media; `end_s` None reads to the end. Times of
            sub-sequences count from `start_s`.
        sound: another file that holds the sound; both begin at second 0.
        detect_every, lost_after_s, max_gap_s, min_track_s: see `TrackSettings`.

    Attributes:
        info: what the file holds.
        duration_s: seconds (of the part) by the headers; once the iteration has ended, seconds decoded of what was
            asked for.
        warnings: sentences about what is missing or damaged; complete once the iteration has ended.

    Raises:
        MediaError: the file cannot be used at all.
        InputError: neither `frames` nor `audio`, no detector, or a part that ends before it starts.
    """

    def __init__(
        self,
        path: str | Path | MediaInfo | Pictures,
        *,
        seconds: float,
        frames: FramesInput | None = None,
        audio: LogMelInput | WaveformInput | None = None,
        detector: Detector | None = None,
        start_s: float = 0.0,
        end_s: float | None = None,
        sound: str | Path | MediaInfo | None = None,
        detect_every: int = 4,
        lost_after_s: float = 0.5,
        max_gap_s: float = 2.0,
        min_track_s: float = 0.3,
    ) -> None:
        if frames is None and audio is None:
            raise InputError("a media stream needs a visual input, an audio input, or both")
        pictures = path if isinstance(path, Pictures) else None
        if frames is not None and detector is None and pictures is None:
            raise InputError("a visual input needs a face detector; FullFrameDetector() takes the whole picture")
        if seconds <= 0:
            raise InputError(f"a sub-sequence must last longer than 0 seconds, not {seconds}")
        if start_s < 0 or (end_s is not None and end_s <= start_s):
            raise InputError(f"a part must start at 0 s or later and end after it starts, not {start_s} to {end_s} s")
        self.info = path.info if isinstance(path, Pictures) else path if isinstance(path, MediaInfo) else probe(path)
        self.seconds = seconds
        self._pictures, self._start_s, self._end_s = pictures, start_s, end_s
        self._heard = self.info if sound is None else sound if isinstance(sound, MediaInfo) else probe(sound)
        last_s = max(self.info.duration_s, self._heard.duration_s)
        self._declared_s = max(0.0, (last_s if end_s is None else min(last_s, end_s)) - start_s)
        self.duration_s = self._declared_s
        # A crop that is the whole picture has been given its margin by whoever cut it out.
        whole = frames is not None and detector is None
        self._frames = frames.model_copy(update={"margin": 0.0}) if frames is not None and whole else frames
        self._audio, self._detector = audio, detector
        # Pictures that were cut out one by one do not share coordinates: boxes cannot be interpolated between them.
        self._settings = TrackSettings(1 if pictures else detect_every, lost_after_s, max_gap_s, min_track_s)
        self.warnings: list[str] = self._missing()

    def __iter__(self) -> Iterator[SubSequence]:
        self.warnings, self.duration_s = self._missing(), self._declared_s
        part = (self._start_s, self._end_s)
        video = VideoFrames(self.info, *part) if self._pictures is None else self._pictures.part(*part)
        sound = AudioChunks(self._heard, self._audio.sample_rate if self._audio is not None else 1, *part)
        found = _Found()
        held: tuple[_Visual | None, _Sound | None] | None = None
        index = 0
        # One sub-sequence is held back: only when both halves are over is it known where in the last one the file ends.
        for pair in zip_longest(self._visuals(video), self._sounds(sound, found)):
            if held is not None:
                yield found.note(self._join(index, *held, inside_s=self.seconds))
                index += 1
            held = pair
        self.duration_s = duration_s = max(video.end_s, sound.end_s) or self._declared_s
        rest_s = duration_s - index * self.seconds
        if held is not None:
            if index == 0 or held[0] is not None or video.end_s == 0 or rest_s >= _PADDING_S:
                yield found.note(self._join(index, *held, inside_s=min(self.seconds, rest_s)))
        elif self._start_s == 0 or self._declared_s > 0:
            # Nothing of the streams asked for decodes: the headers say how many masked rows the file has.
            for masked in range(subsequence_count(duration_s, self.seconds)):
                yield self._join(masked, None, None, inside_s=self.seconds)
        self.warnings += self._damage(video, sound, duration_s) + self._emptiness(sound, found)

    def _visuals(self, video: VideoFrames | Pictures) -> Iterator[_Visual]:
        """The visual halves of sub-sequences 0, 1, 2, ... to the end of the video; none where there is no video."""
        frames = self._frames
        if frames is None or self.info.video is None:
            return
        current, index = _Visual(), 0
        for sampled, boxes in self._followed(video, frames):
            crops = {number: (crop_face(sampled.frame.rgb(), box, frames), box) for number, box in boxes.items()}
            for slot in sampled.slots:
                while slot // frames.frames > index:
                    yield current
                    current, index = _Visual(), index + 1
                current.frame_decoded = True
                for number, crop in crops.items():
                    current.faces.setdefault(number, {})[slot % frames.frames] = crop
        if video.end_s > 0:
            for _ in range(index, max(index + 1, subsequence_count(video.end_s, self.seconds))):
                yield current
                current = _Visual()

    def _followed(self, video: VideoFrames | Pictures, frames: FramesInput) -> Iterator[tuple[_Sampled, dict[int, np.ndarray]]]:
        """The frames that are sampled, each with the boxes of its faces by number."""
        detector = self._detector
        if isinstance(video, Pictures):
            slots = sample_slots(video, self.seconds, frames.frames, video.spacing_s, adapt=False)
            chosen = (_Sampled(picture, served) for picture, served in slots if video.can_read(picture))
        else:
            assert self.info.video is not None
            slots = sample_slots(video, self.seconds, frames.frames, 1.0 / self.info.video.fps)
            chosen = (_Sampled(frame, served) for frame, served in slots)
        if detector is None:
            for sampled in chosen:
                height, width = sampled.frame.rgb().shape[:2]
                yield sampled, {0: np.array([0, 0, width, height], np.float32)}
            return
        tracker = FaceTracker[_Sampled](lambda sampled: detect_reduced(detector, sampled.frame.rgb()), self._settings)
        yield from tracker.follow(chosen)

    def _sounds(self, sound: AudioChunks, found: _Found) -> Iterator[_Sound]:
        """The audible halves of sub-sequences 0, 1, 2, ... to the end of the sound; none where there is no sound."""
        if self._audio is None:
            return
        rate = self._audio.sample_rate
        size = sample_count(self.seconds, rate)
        samples, decoded = np.zeros(0, np.float32), np.zeros(0, bool)
        index = first = 0  # `first`: position in the file of samples[0]

        def cut() -> _Sound:
            nonlocal samples, decoded, index, first
            piece = _Sound(np.zeros(size, np.float32), int(decoded[:size].sum()))
            piece.samples[: min(size, len(samples))] = samples[:size]
            index += 1
            # Starts are rounded one by one, so that the stream does not drift from the video over an hour.
            start = round(index * self.seconds * rate)
            samples, decoded, first = samples[start - first :], decoded[start - first :], start
            return piece

        for chunk in sound:
            found.peak = max(found.peak, float(np.abs(chunk.samples).max(initial=0.0)))
            samples = np.concatenate([samples, chunk.samples])
            decoded = np.concatenate([decoded, np.full(len(chunk.samples), chunk.decoded)])
            # One more than needed: the next start may lie one sample beyond this end.
            while len(samples) > size:
                yield cut()
        if sound.end_s > 0:
            for _ in range(index, max(index, subsequence_count(sound.end_s, self.seconds))):
                yield cut()

    def _join(self, index: int, visual: _Visual | None, sound: _Sound | None, *, inside_s: float) -> SubSequence:
        """One sub-sequence from its halves; `inside_s` is how much of it lies before the end of the file, in seconds."""
        start_s, end_s = subsequence_times(index, self.seconds)
        visual = visual or _Visual()
        faces: dict[int, FaceCrops] = {}
        if self._frames is not None:
            faces = {number: fill_slots(slots, self._frames.frames) for number, slots in sorted(visual.faces.items())}
        samples, audible = None, False
        if self._audio is not None:
            rate = self._audio.sample_rate
            sound = sound or _Sound(np.zeros(sample_count(self.seconds, rate), np.float32))
            samples = sound.samples
            # A tail of sound in a sub-sequence of padding is like nothing a model was trained on. Only a file that is
            # shorter than one sub-sequence has nothing better.
            needed_s = 0.5 * (self.seconds if index > 0 else inside_s)
            audible = sound.decoded >= max(1.0, needed_s * rate) and float(np.abs(samples).max()) >= SILENCE_PEAK
        return SubSequence(index, start_s, end_s, faces, samples, audible, visual.frame_decoded)

    def _missing(self) -> list[str]:
        sentences = list(self.info.problems)
        if self._heard is not self.info:
            sentences = [s for s in sentences if "visual stream" in s] + [
                s for s in self._heard.problems if "audio stream" in s
            ]
        if self._frames is not None and self.info.video is None and not any("visual stream" in s for s in sentences):
            sentences.append("no video track: the visual stream is masked")
        if self._audio is not None and self._heard.audio is None and not any("audio stream" in s for s in sentences):
            sentences.append("no audio track: the audio stream is masked")
        return sentences

    def _damage(self, video: VideoFrames | Pictures, sound: AudioChunks, duration_s: float) -> list[str]:
        sentences = [s for s in (video.problem, sound.problem) if s is not None]
        declared_s = self._declared_s
        if self._end_s is not None:
            length_s = self._end_s - self._start_s
            if not sentences and length_s - duration_s > max(_SHORT_S, _SHORT_SHARE * length_s):
                sentences.append(f"the part should last {length_s:.1f} s but the file ends {duration_s:.1f} s into it")
            return sentences
        whole = self._frames is not None and self._audio is not None
        if whole and not sentences and declared_s - duration_s > max(_SHORT_S, _SHORT_SHARE * declared_s):
            declared_s, duration_s = self._start_s + declared_s, self._start_s + duration_s
            sentences.append(f"the file should last {declared_s:.1f} s but ends at {duration_s:.1f} s: it was cut short")
        return sentences

    def _emptiness(self, sound: AudioChunks, found: _Found) -> list[str]:
        sentences = []
        if found.frame and not found.face:
            sentences.append("no face was found: the visual stream is masked")
        # Damage has been told already, and says better than the rest of the sound why nothing is heard.
        if self._audio is not None and self._heard.audio is not None and not found.sound and sound.problem is None:
            if sound.end_s == 0:
                what = "nothing of the audio track can be decoded"
            elif found.peak < SILENCE_PEAK:
                what = "the audio track is silent"
            else:
                what = "the sound is too short to be heard"
            sentences.append(f"{what}: the audio stream is masked")
        return sentences


@dataclass(slots=True)
class _Found:
    """What a file turned out to hold; `peak` is that of its sound, `sound` whether a sub-sequence has enough of it."""

    frame: bool = False
    face: bool = False
    sound: bool = False
    peak: float = 0.0

    def note(self, row: SubSequence) -> SubSequence:
        self.frame |= row.frame_decoded
        self.face |= bool(row.faces)
        self.sound |= row.audio_present
        return row
