"""`affectzoo predict`: several files, a progress bar and the results of each; a bad file never stops the others."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from affectzoo.cli.console import complain, err, out, remark
from affectzoo.cli.timing import show_timing
from affectzoo.errors import AffectzooError, InputError

if TYPE_CHECKING:
    from affectzoo.predict import CombinedPredictor, Predictor, Timeline

#: Between the name of a result and the suffix of the file with its scores.
SCORES = ".scores"
#: Licences of weights that bind their user to no more than naming where they come from.
_PERMISSIVE = ("0bsd", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc-by-4.0", "cc0-1.0", "isc", "mit", "unlicense")


def predict_files(
    files: Sequence[Path],
    *,
    models: Sequence[str],
    combine: str | None,
    out: Path,
    plot: bool,
    overlay: bool,
    detector: str,
    detect_every: int,
    overlap: float,
    smooth: str | None,
    timing: bool,
    device: str | None,
    debug: bool = False,
) -> list[Path]:
    """Predict every file and print a line for each; returns the files that failed."""
    from affectzoo.predict import predictor_for

    if len(models) == 1 and combine is not None:
        raise InputError("--combine is for several models; give --model more than once")
    make_folder(out)
    predictor = predictor_for(
        models,
        combine=combine,
        detector=detector,
        detect_every=detect_every,
        overlap=overlap,
        smooth=smooth,
        device=device,
        say=remark,
    )
    announce(predictor, *models)
    failed = []
    for file, stem in zip(files, result_names(files), strict=True):
        try:
            timeline, seconds = timed(predictor, file)
            written, writing = write_results(timeline, out, stem, plot=plot, overlay=overlay)
        except AffectzooError as error:
            failed.append(file)
            if debug:
                traceback.print_exc()
            complain(str(error) if str(file) in str(error) else f"{file}: {error}")
            continue
        report(timeline, seconds, written)
        if timing:
            parts = zip(models, predictor.parts, strict=True)
            show_timing({name: part.timings for name, part in parts if part.timings is not None}, writing)
    if len(files) > 1:
        done = len(files) - len(failed)
        names = f"; not done: {', '.join(str(f) for f in failed)}" if failed else ""
        remark(f"{done} of {len(files)} files done{names}")
    return failed


def make_folder(folder: Path) -> None:
    """Make the folder for results before any work is done for them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be a folder for results: {error.strerror or error}; choose another --out") from error


def announce(predictor: Predictor | CombinedPredictor, *models: str) -> None:
    """Say what will run, what the models' cards warn of, and under which licences that bind."""
    from affectzoo.predict import Predictor
    from affectzoo.predict.predictor import detector_name

    parts = predictor.parts
    finder = detector_name(predictor.detector)
    devices = ", ".join(dict.fromkeys(str(part.device) for part in parts))
    named = f"model {models[0]}" if isinstance(predictor, Predictor) else f"{predictor.combine} of {', '.join(models)}"
    remark(f"{named}" + (f", faces by {finder}" if finder else ", no face detector needed") + f", on {devices}")
    for model, part in zip(models, parts, strict=True):
        for sentence in part.notes:
            remark(sentence if isinstance(predictor, Predictor) else f"{model}: {sentence}")
        said = part.model.said
        if said.caution:
            _note(said.caution)
        if said.licence and said.licence.lower() not in _PERMISSIVE:
            _note(f"the weights of {model} are under {said.licence}: read what it allows before you use the results")


def _note(sentence: str) -> None:
    err.print(f"Note: {sentence}", style="yellow", markup=False, soft_wrap=True)


def timed(predictor: Predictor | CombinedPredictor, file: Path) -> tuple[Timeline, float]:
    """Predict one file under a progress bar; the timeline and the seconds it took."""
    started = time.perf_counter()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[at]}"),
        TimeRemainingColumn(),
    )
    # Into a file or a pipe nothing is drawn: not even the empty line that a bar leaves behind.
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(file.name, total=None, at="")

        def advance(done_s: float, total_s: float | None) -> None:
            bar.update(task, completed=done_s, total=total_s, at=f"{done_s:.0f} s")

        timeline = predictor(file, advance)
    return timeline, time.perf_counter() - started


def write_results(
    timeline: Timeline, folder: Path, stem: str, *, plot: bool, overlay: bool
) -> tuple[list[Path], dict[str, float]]:
    """Write CSV, the scores where the model has any, and what else was asked for; the paths, and the seconds of each stage."""
    from affectzoo.predict.timings import Watch

    watch = Watch()
    with watch("write"):
        written = [timeline.to_csv(folder / f"{stem}.csv")]
        if timeline.pool is not None:
            written.append(timeline.scores_to_csv(folder / f"{stem}{SCORES}.csv"))
    if plot:
        with watch("plot"):
            timeline.plot(folder / f"{stem}.png")
        written.append(folder / f"{stem}.png")
    if overlay and bool(timeline.frame["face_id"].notna().any()):
        with watch("overlay"):
            written.append(timeline.overlay(timeline.source, folder / f"{stem}.overlay.mp4"))
    elif overlay:
        remark(f"{timeline.source}: no face was found, so there is no overlay")
    return written, dict(watch.seconds)


def report(timeline: Timeline, seconds: float, written: Sequence[Path]) -> None:
    """One file's outcome: what was seen, what was missing, where it lies."""
    out.print(outcome(timeline, seconds).replace("\n", "\n  "), markup=False, soft_wrap=True)
    for sentence in timeline.warnings:
        out.print(f"  {sentence}", markup=False, soft_wrap=True, style="yellow")
    out.print(f"  -> {', '.join(str(path) for path in written)}", markup=False, soft_wrap=True)


def outcome(timeline: Timeline, seconds: float) -> str:
    """The summary, and how fast it was come by: behind the means, below the scores of the faces."""
    length = timeline.duration_s
    if not length:
        return timeline.summary()
    speed = f"in {seconds:.1f} s ({length / seconds:.1f} x real time)"
    return f"{timeline.summary()} {speed}" if timeline.pool is None else f"{timeline.summary()}\npredicted {speed}"


def result_names(files: Sequence[Path]) -> list[str]:
    """A file name without suffix for each input; inputs that would share one keep their suffix, then get a number.

    `a.scores` would share one with `a`, whose scores go there.
    """
    names = [file.stem for file in files]
    for shorten in (lambda f: f.name, lambda f: f"{f.parent.name}-{f.name}".lstrip(".-")):
        counts = Counter(taken for name in names for taken in _taken(name))
        names = [
            shorten(file) if any(counts[taken] > 1 for taken in _taken(name)) else name
            for file, name in zip(files, names, strict=True)
        ]
    unique: list[str] = []
    used: set[str] = set()
    for name in names:
        numbered, number = name, 1
        while not used.isdisjoint(_taken(numbered)):
            number += 1
            numbered = f"{name}-{number}"
        used.update(_taken(numbered))
        unique.append(numbered)
    return unique


def _taken(name: str) -> tuple[str, str]:
    """What the CSV files of a result are called, without their suffix."""
    return name, f"{name}{SCORES}"
