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
from affectzoo.media.audio import LogMel, prepare_waveform
from affectzoo.media.crops import frames_to_tensor
from affectzoo.media.pipeline import SubSequence
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

    def __call__(self, group: Sequence[SubSequence]) -> list[Step]:
        """Encode a group, in order. Call it under `torch.inference_mode` with the model in evaluation mode."""
        seen = [(row, number) for row, item in enumerate(group) for number, face in item.faces.items() if face.present.any()]
        heard = [row for row, item in enumerate(group) if item.audio_present] if self.audio is not None else []
        with self.watch("backbones"):
            looks = self._encode("visual", [group[row].faces[number].crops for row, number in seen])
            sounds = self._encode("audio", [group[row].audio for row in heard])
        faces: list[dict[int, FaceFeature]] = [{} for _ in group]
        for (row, number), feature in zip(seen, looks, strict=True):
            face = group[row].faces[number]
            faces[row][number] = FaceFeature(feature, face.box, face.frames)
        audio = dict(zip(heard, sounds, strict=True))
        return [Step(item.index, item.start_s, item.end_s, audio.get(row), faces[row]) for row, item in enumerate(group)]

    def _encode(self, modality: str, items: Sequence[np.ndarray | None]) -> list[Tensor]:
        features: list[Tensor] = []
        for chunk in chunks(items, self.batch_size):
            raw = torch.from_numpy(np.stack([item for item in chunk if item is not None])).to(self.device)
            x = self._prepare(modality, raw).to(self._dtype)
            features += self._encoded(modality, x).unbind()
        return features

    def _encoded(self, modality: str, x: Tensor) -> Tensor:
        """`[N, D]`; where the backbone fails or gives another shape, an error that names it."""
        try:
            encoded = self.model.encode(modality, x.unsqueeze(1)).squeeze(1)
            if encoded.shape != (len(x), self.model.feature_dims[modality]):
                raise PredictionError(f"the {modality} backbone gave features of {list(encoded.shape)}")
        except Exception as error:
            if fault := find_fault(self.model, {modality: x.unsqueeze(1)}, on_features=False):
                raise PredictionError(fault) from error
            raise
        return encoded

    def _prepare(self, modality: str, raw: Tensor) -> Tensor:
        if modality == "visual":
            assert self.frames is not None
            return frames_to_tensor(raw, self.frames)
        if self._log_mel is not None:
            with self.watch("mel"):
                return self._log_mel(raw)
        assert isinstance(self.audio, WaveformInput)
        return prepare_waveform(raw, self.audio)
