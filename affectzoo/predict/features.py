"""From sub-sequences to features: every face and every stretch of sound goes through its backbone once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from affectzoo.config import FramesInput, LogMelInput, SignalInput, StreamInput, WaveformInput
from affectzoo.errors import InputError, PredictionError
from affectzoo.media.audio import LogMel
from affectzoo.media.crops import frames_to_tensor
from affectzoo.media.pipeline import SubSequence
from affectzoo.media.recording import SoundOfRecording
from affectzoo.model.affect_model import AffectModel
from affectzoo.model.faults import find_fault
from affectzoo.predict.timings import Watch

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class FaceFeature:
    """One face in one sub-sequence.

    Attributes:
        feature: `[D_visual]`; box: `[4]` x0, y0, x1, y1 in pixels.
        frames: how many different video frames of it fill the T; the rest are repeats.
    """

    feature: Tensor
    box: np.ndarray
    frames: int


@dataclass(frozen=True, slots=True)
class Step:
    """One encoded sub-sequence.

    Attributes:
        index: of the sub-sequence; start_s, end_s: seconds since the start of the file.
        audio: `[D_audio]`, or None where there is no sound (or the model hears none).
        faces: face number -> its feature, of the faces that are seen.
    """

    index: int
    start_s: float
    end_s: float
    audio: Tensor | None
    faces: dict[int, FaceFeature]


def stream_inputs(model: AffectModel) -> tuple[FramesInput | None, LogMelInput | WaveformInput | None]:
    """What the model wants to see and to hear, None for what it does not take.

    Raises:
        InputError: the model has a stream that a media file does not hold.
    """
    inputs: dict[str, StreamInput | None] = {name: stream.input for name, stream in model.config.streams.items()}
    unknown = [name for name in inputs if name not in ("visual", "audio")]
    if unknown:
        raise InputError(
            f"a media file holds the streams 'visual' and 'audio', but this model also takes {', '.join(map(repr, unknown))}; "
            "call the model itself with your own tensors"
        )
    visual, audio = inputs.get("visual"), inputs.get("audio")
    if visual is not None and not isinstance(visual, FramesInput):
        raise InputError(f"the visual stream of this model wants {visual.kind}; from a media file it can be given frames")
    if isinstance(audio, FramesInput | SignalInput):
        wants = f"the audio stream of this model wants {audio.kind}"
        raise InputError(f"{wants}; from a media file it can be given log-mel or waveform")
    return visual, audio


def in_batches(stream: Iterable[SubSequence], size: int) -> Iterator[list[SubSequence]]:
    """Groups of sub-sequences that together hold about `size` faces, and never more than `size` stretches of sound."""
    group: list[SubSequence] = []
    faces = 0
    for item in stream:
        group.append(item)
        faces += len(item.faces)
        if len(group) >= size or faces >= size:
            yield group
            group, faces = [], 0
    if group:
        yield group


def chunks(items: Sequence[ItemT], size: int) -> Iterator[Sequence[ItemT]]:
    """`items` in pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


class StepEncoder:
    """Runs the backbones over groups of sub-sequences. What is absent never goes through a backbone.

    Args:
        model: with the streams `visual`, `audio` or both.
        device: where the model is.
        batch_size: most faces, or stretches of sound, in one forward pass.

    Attributes:
        watch: told of the stages `mel` and `backbones`.
    """

    def __init__(self, model: AffectModel, device: torch.device, batch_size: int) -> None:
        self.model, self.device, self.batch_size = model, device, batch_size
        self.watch = Watch()
        self.frames, self.audio = stream_inputs(model)
        self._dtype = next(model.parameters()).dtype
        # The spectrogram stays in single precision whatever the model's: half of it would lose the quiet bins.
        self._log_mel = (
            LogMel(self.audio, model.config.sequence.seconds).to(device) if isinstance(self.audio, LogMelInput) else None
        )

    def __call__(self, groups: Iterable[Sequence[SubSequence]]) -> Iterator[list[Step]]:
        """Encode one recording, given in groups that follow each other; what comes out may be grouped otherwise.

        Call it under `torch.inference_mode` with the model in evaluation mode.
        """
        for group, sounds in self._listened(groups):
            yield self._encode_group(group, sounds)

    def _listened(self, groups: Iterable[Sequence[SubSequence]]) -> Iterator[tuple[Sequence[SubSequence], Tensor]]:
        """Sub-sequences, with the audio inputs `[n, ...]` of those that hold sound."""
        if self.audio is None:
            yield from ((group, torch.empty(0)) for group in groups)
            return
        sound = SoundOfRecording(self.audio, self.model.config.sequence.seconds, self._log_mel)
        waiting: list[SubSequence] = []
        for group in groups:
            waiting += group
            heard = [item.audio for item in group if item.audio is not None and item.audio_present]
            with self.watch("mel"):
                raw = (torch.from_numpy(np.stack(chunk)).to(self.device) for chunk in chunks(heard, self.batch_size))
                ready = [sound.push(samples) for samples in raw]
            inputs = torch.cat(ready) if ready else torch.empty(0)
            count = _covered(waiting, len(inputs))
            yield waiting[:count], inputs
            del waiting[:count]
        with self.watch("mel"):
            inputs = sound.finish()
        if waiting:
            yield waiting, inputs

    def _encode_group(self, group: Sequence[SubSequence], sounds: Tensor) -> list[Step]:
        """The steps of sub-sequences, of which as many hold sound as there are `sounds`."""
        seen = [(row, number) for row, item in enumerate(group) for number, face in item.faces.items() if face.present.any()]
        heard = [row for row, item in enumerate(group) if item.audio_present] if self.audio is not None else []
        with self.watch("backbones"):
            looks = self._looks([group[row].faces[number].crops for row, number in seen])
            voices = [
                feature for x in sounds.split(self.batch_size) if len(x) for feature in self._encoded("audio", x).unbind()
            ]
        faces: list[dict[int, FaceFeature]] = [{} for _ in group]
        for (row, number), feature in zip(seen, looks, strict=True):
            face = group[row].faces[number]
            faces[row][number] = FaceFeature(feature, face.box, face.frames)
        audio = dict(zip(heard, voices, strict=True))
        return [Step(item.index, item.start_s, item.end_s, audio.get(row), faces[row]) for row, item in enumerate(group)]

    def _looks(self, crops: Sequence[np.ndarray]) -> list[Tensor]:
        features: list[Tensor] = []
        for chunk in chunks(crops, self.batch_size):
            assert self.frames is not None
            features += self._encoded(
                "visual", frames_to_tensor(torch.from_numpy(np.stack(chunk)).to(self.device), self.frames)
            )
        return features

    def _encoded(self, modality: str, x: Tensor) -> Tensor:
        """`[N, D]`; where the backbone fails or gives another shape, an error that names it."""
        x = x.to(self._dtype)
        try:
            encoded = self.model.encode(modality, x.unsqueeze(1)).squeeze(1)
            if encoded.shape != (len(x), self.model.feature_dims[modality]):
                raise PredictionError(f"the {modality} backbone gave features of {list(encoded.shape)}")
        except Exception as error:
            if fault := find_fault(self.model, {modality: x.unsqueeze(1)}, on_features=False):
                raise PredictionError(fault) from error
            raise
        return encoded


def _covered(items: Sequence[SubSequence], sounds: int) -> int:
    """How many of the first `items` need no more than `sounds` inputs."""
    for index, item in enumerate(items):
        if item.audio_present:
            if not sounds:
                return index
            sounds -= 1
    return len(items)
