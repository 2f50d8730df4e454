"""`Predictor`: a media file to a `Timeline`, in one pass and in memory that does not grow with the file."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from os import PathLike
from pathlib import Path
from typing import cast

import torch
from torch import nn

from affectzoo.config import SmoothingConfig
from affectzoo.errors import AffectzooError, InputError, MediaError, PredictionError
from affectzoo.media.faces import Detector, auto_detector
from affectzoo.media.pipeline import MediaStream, SubSequence
from affectzoo.media.prefetch import prefetch
from affectzoo.media.tracks import TrackSettings
from affectzoo.model.affect_model import AffectModel
from affectzoo.model.build import create_detector
from affectzoo.model.device import usable_device
from affectzoo.model.optimize import OptimizedModel
from affectzoo.predict.features import StepEncoder, in_batches, stream_inputs
from affectzoo.predict.rows import chosen_smoothing, completed, completions
from affectzoo.predict.timeline import Timeline
from affectzoo.predict.timings import TimedStream, Timings, Watch, timings_of
from affectzoo.predict.windows import Row, WindowCollector, WindowFuser
from affectzoo.registry import ComponentSpec, registry

#: Told the seconds done and the file's length in seconds (None where it does not say).
Progress = Callable[[float, float | None], None]

#: A path that begins so was meant as an address; `pathlib` leaves one slash of the two.
_URLS = ("http:/", "https:/", "rtsp:/", "rtmp:/")


class Predictor:
    """Predicts affect along media files.

    Decoding and face detection run in a thread of their own while the backbones work. Every sub-sequence is encoded
    once, every window of L fused once; where windows overlap, their predictions are averaged. A model with `head.pool`
    is predicted in the same way: it is the timeline that pools, over the whole file and not within a window.

    Args:
        model: an `AffectModel` with the streams `visual`, `audio` or both, or what `affectzoo.load` takes.
        detector: `auto` (YuNet, or Haar where that is not at hand), a detector's name, or an object with `detect`.
        detect_every: frames, of those sampled, from one face detection to the next.
        overlap: share of a window that it has in common with the next, 0 <= overlap < 1.
        batch_size: most faces, sounds or windows in one forward pass.
        smooth: predictions along time, as `SmoothingConfig` or text such as `median:3.2`; `none` leaves them as they are,
            None takes what the model's config says.
        device: where to compute; None is the GPU where there is one, else the CPU. The model is moved there.
        say: is given sentences for the user, such as which detector stood in for another.

    Attributes:
        notes: sentences about what is done to the network's outputs: smoothed, and by which tables something is derived.
        timings: of the last file, None before the first and where that failed.

    Raises:
        InputError: a value out of its range, or a model with a stream that media files do not hold.
        ConfigError: `smooth` cannot be read.
        DetectorError: the detector cannot be built.
    """

    def __init__(
        self,
        model: AffectModel | str | Path,
        *,
        detector: str | Detector = "auto",
        detect_every: int = 4,
        overlap: float = 0.5,
        batch_size: int = 16,
        smooth: SmoothingConfig | str | None = None,
        device: str | torch.device | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        if not 0.0 <= overlap < 1.0:
            raise InputError(f"overlap must be at least 0 and under 1, not {overlap}")
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, not {batch_size}")
        TrackSettings(detect_every=detect_every)  # refuses here what would otherwise fail with the first file
        if isinstance(model, str | Path):
            from affectzoo.hub.pull import load

            model = load(model)
        visual, _ = stream_inputs(model)
        self.smoothing = chosen_smoothing(smooth, model.config)
        self.notes = tuple(completions(model.config, self.smoothing))
        self.timings: Timings | None = None
        if device is None and isinstance(model, OptimizedModel):
            device = model.report.device  # the only one where it runs
        self.device = usable_device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model = model.to(self.device)
        self.detector = _detector(detector, say) if visual is not None else None
        self.detect_every = detect_every
        self.batch_size = batch_size
        self.overlap = overlap
        self._encoder = StepEncoder(model, self.device, batch_size)
        self._fuser = WindowFuser(model, self.device, batch_size)

    @property
    def parts(self) -> list[Predictor]:
        """Itself alone, as a `CombinedPredictor` has one for each model."""
        return [self]

    def __call__(self, path: str | PathLike[str], progress: Progress | None = None) -> Timeline:
        """Predict one file.

        Args:
            path: video or audio file.
            progress: called after each batch.

        Raises:
            MediaError: the file cannot be read, or holds no track that this model takes.
            PredictionError: a part of the model failed, or gave values that are not numbers.
        """
        file = local_path(path)
        try:
            return self._predict(file, progress)
        except PredictionError as error:  # of a part of the model, which knows nothing of files
            raise PredictionError(f"{path}: {error}") from (error.__cause__ or error)
        except AffectzooError:
            raise
        except Exception as error:
            # Backbones and fusions may be anybody's: one file's trouble is told in one sentence and stops no other file.
            raise PredictionError(f"{path}: {type(error).__name__}: {(str(error) or 'no message').splitlines()[0]}") from error

    def _predict(self, path: Path, progress: Progress | None) -> Timeline:
        started, self.timings = time.perf_counter(), None
        sequence = self.model.config.sequence
        watch = self._encoder.watch = self._fuser.watch = Watch()
        stream = TimedStream(
            path,
            seconds=sequence.seconds,
            frames=self._encoder.frames,
            audio=self._encoder.audio,
            detector=self.detector,
            detect_every=self.detect_every,
        )
        self._check_tracks(stream)
        collector = WindowCollector(
            self._fuser,
            hop=max(1, round(sequence.length * (1.0 - self.overlap))),
            # No shorter than the tracker remembers a face: one that comes back under its number keeps its stretch.
            patience=max(sequence.length, math.ceil(TrackSettings().max_gap_s / sequence.seconds) + 1),
            modalities=list(self.model.backbones),
        )
        total_s = stream.info.duration_s or None
        # As deep as a batch: while one is encoded, the next is decoded. Closed, so that an error here ends the thread.
        ahead = cast(Generator[SubSequence, None, None], prefetch(stream, self.batch_size))
        with closing(ahead) as items, _evaluating(self.model), torch.inference_mode(), watch("other"):
            for steps in self._encoder(in_batches(watch.each("waiting", items), self.batch_size)):
                for step in steps:
                    collector.push(step)
                if progress is not None and steps:
                    progress(steps[-1].end_s, total_s)
            rows = completed(collector.finish(), self.model.config, self.smoothing)
        self.timings = timings_of(stream.watch, watch, stream.duration_s, time.perf_counter() - started)
        return Timeline.from_rows(
            rows,
            source=str(path),
            model=self.model.source,
            targets=self.model.config.predicted_targets,
            derived=self.model.config.derived,
            notes=self.notes,
            detector=detector_name(self.detector),
            warnings=[*stream.warnings, *self._repeats(rows)],
            duration_s=stream.duration_s,
            pool=self.model.head.pool,
        )

    def _repeats(self, rows: Sequence[Row]) -> list[str]:
        """A sentence about the rows that are mostly repeated frames; `face_frames` tells of every one."""
        if self._encoder.frames is None:
            return []
        frames = self._encoder.frames.frames
        held = [row.face_frames for row in rows if row.face_frames is not None]
        few = sum(2 * number < frames for number in held)
        if not few:
            return []
        return [
            f"{few} of {len(held)} rows with a face hold{'s' if few == 1 else ''} fewer than half of its {frames} frames; "
            "the nearest frame was repeated (column face_frames)"
        ]

    def _check_tracks(self, stream: MediaStream) -> None:
        """A file without any track that the model takes would give a timeline of nothing but blanks: refuse it."""
        held = {"visual": stream.info.video is not None, "audio": stream.info.audio is not None}
        if not any(held[name] for name in self.model.backbones):
            (wanted,) = self.model.backbones
            track, sense = ("video", "sees") if wanted == "visual" else ("audio", "hears")
            raise MediaError(
                f"{stream.info.path}: there is no {track} track, and this model only {sense}; use a model for the other"
            )


def local_path(path: str | PathLike[str]) -> Path:
    """The path of a media file; `MediaError` for an address."""
    if str(path).startswith(_URLS):
        raise MediaError(f"{path}: addresses are not read; download the file and give its path")
    return Path(path)


def detector_name(detector: Detector | None) -> str:
    """The registry name of a detector object, its class's name where it has none, empty for None."""
    if detector is None:
        return ""
    kind = type(detector)
    for entry in registry().entries("detector"):
        registered = isinstance(entry.spec, ComponentSpec) and entry.spec.target == f"{kind.__module__}:{kind.__qualname__}"
        if registered or entry.obj is kind:
            return entry.name
    return kind.__name__


def _detector(chosen: str | Detector, say: Callable[[str], None] | None) -> Detector:
    if isinstance(chosen, str):
        return auto_detector(say) if chosen == "auto" else create_detector(chosen)
    if not callable(getattr(chosen, "detect", None)):
        raise InputError(f"a detector has a method detect(image); {type(chosen).__name__} has not")
    return chosen


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; every part gets its own mode back, since some may be frozen in evaluation."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
