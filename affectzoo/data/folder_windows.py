"""Media files to prepared sub-sequences, as prediction would see them, labels left out.

The rows depend on the files, the inputs and the detector alone: other labels need no second decoding.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from affectzoo.config import FramesInput, LogMelInput, ModelConfig, StreamInput, WaveformInput
from affectzoo.data.schema import step_layout
from affectzoo.errors import DataError, MediaError
from affectzoo.media.audio import LogMel, prepare_waveform
from affectzoo.media.faces import Detector, auto_detector
from affectzoo.media.pipeline import MediaStream, SubSequence
from affectzoo.model.build import create_detector

SEVERAL_FACES = "several faces were seen: only the one seen longest is taken"


@dataclass(frozen=True)
class PreparedMedia:
    """The n sub-sequences of one file.

    Attributes:
        inputs, present: as in `affectzoo.data.schema.ClipRow`.
        fps: frames per second by the headers, NaN without video.
        notes: sentences about what is missing or damaged.
    """

    inputs: dict[str, np.ndarray]
    present: dict[str, np.ndarray]
    fps: float
    notes: list[str]


def media_features(modalities: list[str]) -> Any:
    """The `datasets.Features` of `generate`: the clip, its number of sub-sequences, and what `PreparedMedia` holds."""
    from datasets import Features, Value

    binary = {f"{part}.{name}": Value("large_binary") for name in modalities for part in ("input", "present")}
    return Features(
        {"clip_id": Value("string"), "steps": Value("int64"), "fps": Value("float64"), "notes": Value("string"), **binary}
    )


def media_inputs(config: ModelConfig) -> dict[str, dict[str, Any]]:
    """Modality -> its input as JSON.

    Raises:
        DataError: a stream that no media file holds.
    """
    for name, stream in config.streams.items():
        wanted = {"visual": FramesInput, "audio": LogMelInput | WaveformInput}.get(name)
        if wanted is None or not isinstance(stream.input, wanted):
            raise DataError(
                f"a media file gives frames to a stream visual, and log-mel or waveform to a stream audio; this model has "
                f"{name} with {stream.input.kind if stream.input else 'no input'}"
            )
    return {name: stream.input.to_json() for name, stream in config.streams.items() if stream.input}


def detector_called(name: str, say: Callable[[str], None]) -> str:
    """The detector's name; for `auto` that of the one that is at hand, so that the cache tells their rows apart."""
    from affectzoo.media.detectors.yunet import YuNetDetector

    if name != "auto":
        create_detector(name)  # refuses an unknown name before any file is read
        return name
    return "yunet" if isinstance(auto_detector(say), YuNetDetector) else "haar"


def generate(jobs: list[str], shared: str) -> Iterator[dict[str, Any]]:
    """A row for each file; of a damaged one an empty row whose `notes` say why.

    Arguments are JSON, by which the cache knows rows.

    Args:
        jobs: each `path`, `clip_id`, and `size` and `mtime_ns` of the file.
        shared: `inputs`, `seconds`, `detector` and the version of affectzoo.
    """
    options = json.loads(shared)
    inputs = {name: TypeAdapter(StreamInput).validate_python(given) for name, given in options["inputs"].items()}
    detector = create_detector(options["detector"]) if "visual" in inputs else None
    for job in map(json.loads, jobs):
        try:
            media = prepare(Path(job["path"]), inputs, options["seconds"], detector)
        except MediaError as error:
            media = PreparedMedia(*_nothing(inputs, 0), np.nan, [str(error)])
        row = {"clip_id": job["clip_id"], "fps": media.fps, "notes": json.dumps(media.notes)}
        for name, array in media.inputs.items():
            row |= {f"input.{name}": array.tobytes(), f"present.{name}": media.present[name].tobytes(), "steps": len(array)}
        yield row


def prepare(path: Path, wanted: dict[str, StreamInput], seconds: float, detector: Detector | None) -> PreparedMedia:
    """One file.

    Of several faces the one in most slots is taken (of two, the larger); while it is away the visual stream is masked,
    whoever else is seen. The crops of all wait on disk: memory holds those of one face.

    Raises:
        MediaError: nothing of the file can be used by this model.
    """
    frames, sound = wanted.get("visual"), wanted.get("audio")
    assert frames is None or isinstance(frames, FramesInput)
    assert not isinstance(sound, FramesInput)
    stream = MediaStream(path, seconds=seconds, frames=frames, audio=sound, detector=detector)
    video = stream.info.video
    if not ((frames and video) or (sound and stream.info.audio)):
        raise MediaError(f"{path}: there is no {'video' if frames else 'audio'} track, and this model takes nothing else")
    to_input = _audio_front_end(sound, seconds)
    heard: dict[int, np.ndarray] = {}
    count = 0
    with tempfile.TemporaryFile() as spool:
        faces = _Faces(spool)
        for step in stream:
            faces.add(step)
            if step.audio is not None and step.audio_present:
                heard[count] = to_input(torch.from_numpy(step.audio)).numpy()
            count += 1
        inputs, present = _nothing(wanted, count)
        if frames is not None:
            faces.read_longest(inputs["visual"], present["visual"])
    for index, samples in heard.items():
        inputs["audio"][index], present["audio"][index] = samples, True
    notes = [*stream.warnings, *([SEVERAL_FACES] if len(faces.slots) > 1 else [])]
    return PreparedMedia(inputs, present, video.fps if video else np.nan, notes)


def _audio_front_end(given: LogMelInput | WaveformInput | None, seconds: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """Samples `[S]` to the audio input of one sub-sequence."""
    if isinstance(given, WaveformInput):
        return lambda samples: prepare_waveform(samples, given)
    return LogMel(given, seconds) if given is not None else lambda samples: samples


def _nothing(wanted: dict[str, StreamInput], count: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """`inputs` of zeros and `present` of false."""
    layouts = {name: step_layout(given) for name, given in wanted.items()}
    inputs = {name: np.zeros((count, *shape), dtype=dtype) for name, (shape, dtype) in layouts.items()}
    return inputs, {name: np.zeros(count, dtype=bool) for name in wanted}


class _Faces:
    """Crops of every face on disk until it is known which was seen longest. `slots`: face number -> slots that show it."""

    def __init__(self, spool: Any) -> None:
        self.slots: Counter[int] = Counter()
        self._area: Counter[int] = Counter()
        self._places: dict[int, list[tuple[int, int]]] = {}
        self._spool = spool

    def add(self, step: SubSequence) -> None:
        for number, face in step.faces.items():
            self._places.setdefault(number, []).append((step.index, self._spool.tell()))
            self._spool.write(np.ascontiguousarray(face.crops))
            self.slots[number] += int(face.present.sum())
            self._area[number] += int((face.box[2:] - face.box[:2]).prod())

    def read_longest(self, crops: np.ndarray, present: np.ndarray) -> None:
        """Fill `[n, T, H, W, 3]` and `[n]`."""
        if not self.slots:
            return
        longest = max(self.slots, key=lambda number: (self.slots[number], self._area[number]))
        for index, place in self._places[longest]:
            self._spool.seek(place)
            self._spool.readinto(crops[index])
            present[index] = True
