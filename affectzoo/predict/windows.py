"""From encoded steps to rows: windows per face, each fused once, predictions that share a time averaged.

Each face has a stretch of its own, from its first to its last appearance. One more stretch, of nobody, runs throughout and
hears only; its rows are kept where no face's stretch reaches, so that the rows cover the whole time axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from affectzoo.errors import PredictionError
from affectzoo.media.windows import OverlapAverage, SlidingWindows
from affectzoo.model.affect_model import AffectModel
from affectzoo.model.faults import find_fault
from affectzoo.predict.features import FaceFeature, Step, chunks
from affectzoo.predict.timings import Watch


@dataclass(frozen=True, slots=True)
class Moment:
    """One step as one stretch has it: features `[D_m]` of the modalities that are present, and its face if seen."""

    index: int
    start_s: float
    end_s: float
    features: dict[str, Tensor]
    face: FaceFeature | None


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a timeline.

    Attributes:
        index: of the sub-sequence; start_s, end_s: seconds since the start of the file.
        face: number, None for nobody's.
        values: `[K]`, NaN where nothing was present.
        face_present, audio_present: whether the model was given it.
        face_frames: how many different video frames of it fill the T; None where it is not seen.
        box: `[4]` pixels, or None.
    """

    index: int
    start_s: float
    end_s: float
    face: int | None
    values: np.ndarray
    face_present: bool
    audio_present: bool
    face_frames: int | None
    box: np.ndarray | None


class WindowFuser:
    """Fusion and head over windows of at most L moments; categorical targets come out as probabilities.

    Attributes:
        watch: told of the stage `fusion`.
    """

    def __init__(self, model: AffectModel, device: torch.device, batch_size: int) -> None:
        self.model, self.device, self.batch_size = model, device, batch_size
        self.watch = Watch()
        self.length = model.config.sequence.length
        self._dtype = next(model.parameters()).dtype

    def __call__(self, windows: Sequence[Sequence[Moment]]) -> list[np.ndarray]:
        """Predictions of each window, `[steps, K]`, never pooled. Windows without any feature: NaN."""
        outputs = [np.full((len(window), len(self.model.columns)), np.nan) for window in windows]
        full = [i for i, window in enumerate(windows) if any(moment.features for moment in window)]
        for chunk in chunks(full, self.batch_size):
            with self.watch("fusion"):
                features, masks = self._tensors([windows[i] for i in chunk])
                output = self._predicted(features, masks)
                predicted = self._probabilities(output).double().cpu().numpy()
            if not np.isfinite(predicted).all():
                fault = find_fault(self.model, features, masks, on_features=True)
                cause = f": {fault}" if fault else "; its weights or a part of it are broken"
                raise PredictionError(f"the model {self.model.source} gave values that are not numbers{cause}")
            for i, values in zip(chunk, predicted, strict=True):
                outputs[i] = values[: len(windows[i])]
        return outputs

    def _predicted(self, features: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """`[B, L, K]`; where a part of the model fails or gives another shape, an error that names it."""
        wanted = (*next(iter(masks.values())).shape, len(self.model.columns))
        try:
            output = self.model.forward_features(features, masks, pool=False)
            if output.shape != wanted:
                raise PredictionError(f"the model gave predictions of {list(output.shape)} where {list(wanted)} was due")
        except Exception as error:
            if fault := find_fault(self.model, features, masks, on_features=True):
                raise PredictionError(fault) from error
            raise
        return output

    def _tensors(self, windows: Sequence[Sequence[Moment]]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Modality -> features `[B, L, D_m]` and masks `[B, L]`; short windows are padded with masked steps."""
        features: dict[str, Tensor] = {}
        masks: dict[str, Tensor] = {}
        for name, dim in self.model.feature_dims.items():
            mask = torch.zeros(len(windows), self.length, dtype=torch.bool)
            present: list[Tensor] = []
            for b, window in enumerate(windows):
                for step, moment in enumerate(window):
                    if name in moment.features:
                        mask[b, step] = True
                        present.append(moment.features[name])
            mask = mask.to(self.device)
            filled = torch.zeros(len(windows), self.length, dim, dtype=self._dtype, device=self.device)
            if present:
                filled[mask] = torch.stack(present).to(self._dtype)
            features[name], masks[name] = filled, mask
        return features, masks

    def _probabilities(self, output: Tensor) -> Tensor:
        parts: list[Tensor] = []
        start = 0
        for target in self.model.config.targets:
            part = output[..., start : start + len(target.columns)].float()
            parts.append(part.softmax(dim=-1) if target.kind == "categorical" else part)
            start += len(target.columns)
        return torch.cat(parts, dim=-1)


class _Stretch:
    """The windows of one face (or of nobody) and the average of what they predict."""

    def __init__(self, face: int | None, length: int, hop: int) -> None:
        self.face = face
        self.windows: SlidingWindows[Moment] = SlidingWindows(length, hop)
        self.absent: list[Step] = []  # steps since the face was last seen
        self._average = OverlapAverage()
        self._waiting: dict[int, Moment] = {}

    def take(self, start: int, window: Sequence[Moment], values: np.ndarray) -> list[Row]:
        """Rows that the prediction `[steps, K]` of one window completes."""
        self._waiting.update(zip(range(start, start + len(window)), window, strict=True))
        return self._rows(self._average.add(start, values))

    def rest(self) -> list[Row]:
        """The rows of the last window."""
        return self._rows(self._average.flush())

    def _rows(self, finished: Sequence[tuple[int, np.ndarray]]) -> list[Row]:
        return [_row(self.face, self._waiting.pop(step), values) for step, values in finished]


class WindowCollector:
    """Takes encoded steps in order and gives the rows of the whole file; between them it holds a few windows of features.

    Args:
        fuser: predicts windows.
        hop: steps from one window to the next.
        patience: a face absent for this many steps has left; when it comes back its windows begin anew.
        modalities: the model's streams.
    """

    def __init__(self, fuser: WindowFuser, hop: int, patience: int, modalities: Sequence[str]) -> None:
        self._fuser, self._hop, self._patience = fuser, hop, patience
        self._hears, self._sees = "audio" in modalities, "visual" in modalities
        self._nobody = _Stretch(None, fuser.length, hop)
        self._faces: dict[int, _Stretch] = {}
        self._covered: set[int] = set()  # steps that lie in a face's stretch
        self._pending: list[tuple[_Stretch, int, list[Moment]]] = []
        self._rows: list[Row] = []

    def push(self, step: Step) -> None:
        """Add the next step."""
        for number in step.faces:
            if number not in self._faces:
                self._faces[number] = _Stretch(number, self._fuser.length, self._hop)
        for number, stretch in list(self._faces.items()):
            if number in step.faces:
                # Back in time: the steps without it lie within its stretch, heard but not seen.
                for missed in [*stretch.absent, step]:
                    self._covered.add(missed.index)
                    self._advance(stretch, missed)
                stretch.absent.clear()
            else:
                stretch.absent.append(step)
                if len(stretch.absent) >= self._patience:
                    self._close(stretch)
                    del self._faces[number]
        self._advance(self._nobody, step)
        if len(self._pending) >= self._fuser.batch_size:
            self._predict()

    def finish(self) -> list[Row]:
        """All rows by time, then by face."""
        for stretch in [*self._faces.values(), self._nobody]:
            self._close(stretch)
        kept = [row for row in self._rows if row.face is not None or row.index not in self._covered]
        return sorted(kept, key=lambda row: (row.index, -1 if row.face is None else row.face))

    def _advance(self, stretch: _Stretch, step: Step) -> None:
        self._queue(stretch, stretch.windows.push(self._moment(stretch.face, step)))

    def _moment(self, number: int | None, step: Step) -> Moment:
        face = None if number is None else step.faces.get(number)
        features: dict[str, Tensor] = {}
        if self._sees and face is not None:
            features["visual"] = face.feature
        if self._hears and step.audio is not None:
            features["audio"] = step.audio
        return Moment(step.index, step.start_s, step.end_s, features, face)

    def _queue(self, stretch: _Stretch, windows: Sequence[tuple[int, list[Moment]]]) -> None:
        for start, window in windows:
            # Nobody's window has no row where faces fill it, so it need not be predicted.
            if stretch.face is None and all(moment.index in self._covered for moment in window):
                continue
            self._pending.append((stretch, start, window))

    def _close(self, stretch: _Stretch) -> None:
        self._queue(stretch, stretch.windows.finish())
        self._predict()
        self._rows += stretch.rest()

    def _predict(self) -> None:
        values = self._fuser([window for _, _, window in self._pending])
        for (stretch, start, window), predicted in zip(self._pending, values, strict=True):
            self._rows += stretch.take(start, window, predicted)
        self._pending.clear()


def _row(face: int | None, moment: Moment, values: np.ndarray) -> Row:
    return Row(
        index=moment.index,
        start_s=moment.start_s,
        end_s=moment.end_s,
        face=face,
        values=values if moment.features else np.full_like(values, np.nan),
        face_present=moment.face is not None,
        audio_present="audio" in moment.features,
        face_frames=None if moment.face is None else moment.face.frames,
        box=None if moment.face is None else moment.face.box,
    )
