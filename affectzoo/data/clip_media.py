"""The media of a clip to prepared sub-sequences, as prediction would see them, labels left out.

The rows depend on the media, the inputs and the detector alone: other labels need no second decoding.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from affectzoo.config import FramesInput, LogMelInput, ModelConfig, SignalInput, StreamInput, WaveformInput
from affectzoo.data.clip_sources import open_media
from affectzoo.data.prepared import step_layout
from affectzoo.data.schema import Clip
from affectzoo.errors import DataError, MediaError
from affectzoo.media.crops import crop_face
from affectzoo.media.detectors.full_frame import FullFrameDetector
from affectzoo.media.faces import Detector, auto_detector, detect_reduced
from affectzoo.media.longest_face import Faces
from affectzoo.media.pictures import read_picture
from affectzoo.media.pipeline import MediaStream
from affectzoo.media.recording import SoundOfRecording
from affectzoo.model.build import create_detector
from affectzoo.registry import Entry, registry

SEVERAL_FACES = "several faces were seen: only the one seen longest is taken"
#: What of a clip its prepared media depend on, besides the files themselves.
_PLACE = ("clip_id", "video", "audio", "frames", "cropped", "fps", "start_s", "end_s")
_FILES = ("video", "audio", "frames")
#: Before the name of a detector that nobody chose: pictures that were cut out already are then taken as they are.
_AUTO = "auto:"


@dataclass(frozen=True)
class PreparedMedia:
    """The n sub-sequences of one clip.

    Attributes:
        inputs, present: as in `affectzoo.data.prepared.ClipRow`.
        fps: frames per second by the headers, NaN without video.
        frame_times: `[F]` float64, seconds from the start of the media of every frame of its video; of a part, those of the
            whole file all the same.
        notes: sentences about what is missing or damaged.
    """

    inputs: dict[str, np.ndarray]
    present: dict[str, np.ndarray]
    fps: float
    frame_times: np.ndarray
    notes: list[str]


def media_features(modalities: list[str]) -> Any:
    """The `datasets.Features` of `generate`: the clip, its number of sub-sequences, and what `PreparedMedia` holds."""
    from datasets import Features, Value

    plain = {"clip_id": Value("string"), "steps": Value("int64"), "fps": Value("float64"), "notes": Value("string")}
    binary = ["frame_times", *(f"{part}.{name}" for name in modalities for part in ("input", "present"))]
    return Features({**plain, **{name: Value("large_binary") for name in binary}})


def media_inputs(config: ModelConfig) -> dict[str, dict[str, Any]]:
    """Modality -> its input as JSON, of the streams that media feed; signals are left out.

    Raises:
        DataError: a stream that neither media nor signals hold.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, stream in config.streams.items():
        if isinstance(stream.input, SignalInput):
            continue
        wanted = {"visual": FramesInput, "audio": LogMelInput | WaveformInput}.get(name)
        if stream.input is None or wanted is None or not isinstance(stream.input, wanted):
            raise DataError(
                f"a media file gives frames to a stream visual, and log-mel or waveform to a stream audio; this model has "
                f"{name} with {stream.input.kind if stream.input else 'no input'}"
            )
        found[name] = stream.input.to_json()
    return found


def detector_called(name: str, say: Callable[[str], None]) -> str:
    """What `generate` is to be given; for `auto` which one is at hand, so that the cache tells their rows apart."""
    from affectzoo.media.detectors.yunet import YuNetDetector

    if name != "auto":
        create_detector(name)  # refuses an unknown name before any file is read
        return name
    return f"{_AUTO}{'yunet' if isinstance(auto_detector(say), YuNetDetector) else 'haar'}"


def job_of(clip: Clip) -> str:
    """What `generate` is given of a clip, as JSON; the cache prepares it anew where any of it differs."""
    place = {name: getattr(clip, name) for name in _PLACE}
    absolute = {name: str(Path(place[name]).absolute()) for name in _FILES if place[name] is not None}
    return json.dumps({**place, **absolute, "state": {name: _state(Path(path)) for name, path in absolute.items()}})


def generate(jobs: list[str], shared: str) -> Iterator[dict[str, Any]]:
    """A row for each clip; of one that cannot be used an empty row whose `notes` say why.

    Arguments are JSON, by which the cache knows rows.

    Args:
        jobs: of `job_of`.
        shared: `inputs` (`media_inputs`), `seconds`, `detector` (`detector_called`, or None) and the version of affectzoo.
    """
    options = json.loads(shared)
    inputs = {name: TypeAdapter(StreamInput).validate_python(given) for name, given in options["inputs"].items()}
    called = options["detector"] if "visual" in inputs else None
    for job in map(json.loads, jobs):
        clip = Clip(subject="", **{name: job[name] for name in _PLACE})
        crops = clip.frames is not None and clip.cropped
        as_they_are = crops and called is not None and called.startswith(_AUTO)
        detector = None if called is None or as_they_are else _detector(called.removeprefix(_AUTO))
        try:
            media = prepare(clip, inputs, options["seconds"], detector)
        except MediaError as error:
            media = PreparedMedia(*_nothing(inputs, 0), np.nan, np.zeros(0), [str(error)])
        row = {"clip_id": clip.clip_id, "steps": 0, "fps": media.fps, "notes": json.dumps(media.notes)}
        row["frame_times"] = media.frame_times.astype(np.float64).tobytes()
        for modality, array in media.inputs.items():
            row |= {f"input.{modality}": array.tobytes(), f"present.{modality}": media.present[modality].tobytes()}
            row["steps"] = len(array)
        yield row


#: Name -> the entry of the registry and what it made: a script may register another one under the name.
_made: dict[str, tuple[Entry, Detector]] = {}


def _detector(name: str) -> Detector:
    """Made once in a process: `generate` is called anew for each job, and making takes longer than looking at a picture."""
    entry = registry().find("detector", name)
    if name not in _made or _made[name][0] is not entry:
        _made[name] = entry, create_detector(name)
    return _made[name][1]


def prepare(clip: Clip, wanted: dict[str, StreamInput], seconds: float, detector: Detector | None) -> PreparedMedia:
    """The media of one clip, or the part of them that it is; its times count from the start of the part.

    Of several faces the one in most slots is taken (of two, the larger); while it is away the visual stream is masked,
    whoever else is seen. The crops of all wait on disk: memory holds those of one face.

    Args:
        clip: where its media are, and which part of them is meant.
        wanted: modality -> input.
        seconds: length of a sub-sequence.
        detector: finds the faces. Pictures in `clip.frames` are taken whole, as faces, without one or with
            `FullFrameDetector`; no margin is added to what is cut out already.

    Raises:
        MediaError: nothing of the clip can be used by this model.
    """
    frames, sound = wanted.get("visual"), wanted.get("audio")
    assert frames is None or isinstance(frames, FramesInput)
    assert sound is None or isinstance(sound, LogMelInput | WaveformInput)
    start_s, end_s = clip.start_s or 0.0, clip.end_s
    if not 0 <= start_s < np.inf or (end_s is not None and not end_s > start_s):
        raise MediaError(f"{clip.clip_id}: a part from {start_s} to {end_s} s cannot be; correct its start and end")
    if clip.is_image:
        return _prepare_image(Path(str(clip.frames)), wanted, detector)
    given = open_media(clip, hears=sound is not None)
    video, audio = given.visual.video, given.sound.audio
    if not ((frames and video) or (sound and audio)):
        if given.errors:
            raise given.errors[0]
        track, path = ("video", given.visual.path) if frames else ("audio", given.sound.path)
        raise MediaError(f"{path}: there is no {track} track, and this model takes nothing else")
    cut_out = given.pictures is not None and isinstance(detector, FullFrameDetector)
    stream = MediaStream(
        given.pictures or given.visual,
        seconds=seconds,
        frames=frames,
        audio=sound,
        detector=None if cut_out else detector,
        start_s=start_s,
        end_s=end_s,
        sound=given.sound,
    )
    recording = SoundOfRecording(sound, seconds) if sound is not None else None
    heard: list[int] = []
    sounds: list[np.ndarray] = []
    count = 0
    with tempfile.TemporaryFile() as spool:
        faces = Faces(spool)
        for step in stream:
            faces.add(step)
            if recording and step.audio is not None and step.audio_present:
                heard.append(count)
                sounds.extend(recording.push(torch.from_numpy(step.audio).unsqueeze(0)).numpy())
            count += 1
        if not count:
            raise MediaError(f"{clip.clip_id}: the part from {start_s:g} s on begins after the end of {given.visual.path}")
        inputs, present = _nothing(wanted, count)
        if frames is not None:
            faces.read_longest(inputs["visual"], present["visual"])
    if recording:
        sounds.extend(recording.finish().numpy())
    for index, samples in zip(heard, sounds, strict=True):
        inputs["audio"][index], present["audio"][index] = samples, True
    notes = [*(given.pictures.notes if given.pictures else ()), *stream.warnings, *([SEVERAL_FACES] if faces.several else [])]
    return PreparedMedia(inputs, present, video.fps if video else np.nan, given.frame_times, notes)


def _prepare_image(path: Path, wanted: dict[str, StreamInput], detector: Detector | None) -> PreparedMedia:
    """One picture as one sub-sequence, its T frames alike."""
    frames = wanted.get("visual")
    if not isinstance(frames, FramesInput):
        raise MediaError(f"{path}: a picture has no sound, and this model takes nothing else")
    image = read_picture(path)
    if image is None:
        wrong = "this is not a picture, or it is damaged; use another copy of it" if path.exists() else "there is no such file"
        raise MediaError(f"{path}: {wrong}")
    notes = ["a picture has no sound: the audio stream is masked"] if "audio" in wanted else []
    if detector is None or isinstance(detector, FullFrameDetector):
        frames = frames.model_copy(update={"margin": 0.0})
        boxes = FullFrameDetector().detect(image)
    else:
        boxes = detect_reduced(detector, image)
    inputs, present = _nothing(wanted, 1)
    if len(boxes):
        largest = np.argmax((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
        inputs["visual"][0] = crop_face(image, boxes[largest], frames)
        present["visual"][0] = True
    else:
        notes.append("no face was found: the visual stream is masked")
    if len(boxes) > 1:
        notes.append("several faces were seen: the largest is taken")
    return PreparedMedia(inputs, present, np.nan, np.zeros(1), notes)


def _state(path: Path) -> list[int] | None:
    """Size and time of a file, and of a folder number, sizes and latest time of what is in it; None where there is neither."""
    try:
        if not path.is_dir():
            stat = path.stat()
            return [stat.st_size, stat.st_mtime_ns]
        stats = [entry.stat() for entry in os.scandir(path)]
    except OSError:
        return None
    return [len(stats), sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)]


def _nothing(wanted: dict[str, StreamInput], count: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """`inputs` of zeros and `present` of false."""
    layouts = {name: step_layout(given) for name, given in wanted.items()}
    inputs = {name: np.zeros((count, *shape), dtype=dtype) for name, (shape, dtype) in layouts.items()}
    return inputs, {name: np.zeros(count, dtype=bool) for name in wanted}
