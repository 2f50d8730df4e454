"""Speed of reading a corpus: media decoded once against once for every window, and a listing that opens no media.

    python benchmarks/data.py [--threads N] [--quick]

The rival reads as the loader of the JCA authors does: windows of 8 sub-sequences x 32 frames, one sub-sequence apart, each
of which seeks its place in the video, decodes its 256 frames and keeps 8 of every 32 (theirs reads pictures from disk, cut
out beforehand). Both give the same crops of the whole picture, which is checked, in batches of 8 windows, and no network
runs. Decoded frames are counted where PyAV hands them out. The listing is `affectzoo.load_dataset` on 500 clips with 5,000
annotations each, in a process of its own; the media are empty files, which nothing could open. About 4 minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import datasets
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from machine import cpu_name
from torch.utils.data import DataLoader, Dataset

from affectzoo.config import FramesInput, ModelConfig
from affectzoo.data.corpus_windows import build
from affectzoo.data.folder import AvFolder
from affectzoo.data.rendered import make_clips, write_clip
from affectzoo.data.windows import WindowDataset
from affectzoo.media.crops import crop_face, frames_to_tensor

SIZE, FPS = (640, 480), 30
#: Sub-sequences of a window, frames of a sub-sequence, how many of them are taken, windows of a batch.
L, SPAN, TAKEN, BATCH = 8, 32, 8, 8
CLIPS, ANNOTATIONS = 500, 5000
SMALLEST_GAIN, LONGEST_LISTING_S = 5.0, 5.0
#: What the process of its own does: print the number of rows, and the seconds without the start of Python and affectzoo.
LISTING = """
import sys, time
import affectzoo
started = time.perf_counter()
found = affectzoo.load_dataset("av-folder", root=sys.argv[1], cache_dir=sys.argv[2])
print(sum(map(len, found.values())), time.perf_counter() - started)
"""


class Counting:
    """A container that counts the video frames it hands out, for as long as `av.open` is replaced."""

    frames = 0

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def __enter__(self) -> Counting:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def decode(self, *streams: Any, **kinds: Any) -> Iterator[Any]:
        """As PyAV's."""
        for frame in self._container.decode(*streams, **kinds):
            Counting.frames += isinstance(frame, av.VideoFrame)
            yield frame


class EveryWindowAgain(Dataset[dict[str, Any]]):
    """Windows of a video, each read from the file."""

    def __init__(self, video: Path, count: int, given: FramesInput) -> None:
        self.video, self.given = video, given
        self.starts = range((count - 1) // SPAN + 1 - L + 1)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> dict[str, Any]:
        first = index * SPAN
        crops: list[np.ndarray] = []
        reformatter = VideoReformatter()
        with av.open(str(self.video)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            assert stream.time_base is not None
            container.seek(int(first / FPS / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                number = round(float(frame.time or 0) * FPS) - first
                if number >= L * SPAN:
                    break
                if number >= 0 and number % (SPAN // TAKEN) == SPAN // TAKEN // 2:
                    image = reformatter.reformat(frame, format="rgb24").to_ndarray()
                    crops.append(crop_face(image, np.array([0, 0, *SIZE], np.float32), self.given))
        crops += [crops[-1]] * (L * TAKEN - len(crops))  # after the end the last picture stays
        whole = np.stack(crops).reshape(L, TAKEN, *crops[0].shape)
        return {"inputs": {"visual": frames_to_tensor(whole, self.given)}}


def model_config(given: FramesInput) -> ModelConfig:
    """A model of one visual stream; its backbone is never built."""
    stream = {"backbone": "none", "input": given.to_json()}
    return ModelConfig.parse(
        {
            "sequence": {"seconds": SPAN / FPS, "length": L},
            "streams": {"visual": stream},
            "targets": ["valence", "arousal"],
        }
    )


def write_folder(root: Path, seconds: float) -> Path:
    """One rendered video with annotations, as `av-folder` reads it."""
    clip = make_clips("train", identities=1, duration_s=seconds, seed=77)[0]
    video = write_clip(clip, root / "clip.mp4", size=SIZE, fps=FPS)
    times_s = np.arange(int(seconds * 10)) / 10
    lines = [f"{at:.1f},{v:.4f},{a:.4f}" for at, (v, a) in zip(times_s, clip.affect(times_s), strict=True)]
    (root / "clip.csv").write_text("\n".join(["time_s,valence,arousal", *lines]) + "\n", encoding="utf-8")
    (root / "metadata.csv").write_text("file_name,subject,split\nclip.mp4,one,train\n", encoding="utf-8")
    return video


def epoch(windows: Dataset[dict[str, Any]]) -> int:
    """Read every window once, in a random order."""
    return sum(len(batch["inputs"]["visual"]) for batch in DataLoader(windows, batch_size=BATCH, shuffle=True))


def measured(function: Callable[[], Any]) -> tuple[float, int, Any]:
    """Seconds of a call, video frames that it decoded, and what it gave."""
    before, started = Counting.frames, time.perf_counter()
    result = function()
    return time.perf_counter() - started, Counting.frames - before, result


def check_same_work(ours: WindowDataset, rival: EveryWindowAgain) -> None:
    """Refuse to compare loaders that do not give the same pixels; the last sub-sequence may be cut short by the end."""
    assert len(ours) == len(rival), (len(ours), len(rival))
    for index in (0, len(rival) // 2, len(rival) - 1):
        one, other = (windows[index]["inputs"]["visual"] for windows in (ours, rival))
        steps = L - (index == len(rival) - 1)
        torch.testing.assert_close(one[:steps], other[:steps], atol=0, rtol=0)


def decoding(folder: Path, seconds: float) -> None:
    """Print frames decoded and seconds of a first and a later epoch, of both loaders."""
    given = FramesInput(frames=TAKEN)
    root = folder / "video"
    root.mkdir()
    video = write_folder(root, seconds)
    config = model_config(given)
    cache = str(folder / "cache")

    def prepared() -> WindowDataset:
        corpus = AvFolder(root, targets=config.targets)
        return WindowDataset(build(corpus, config, detector="full-frame", cache_dir=cache)["train"], config, hop=1)

    av_open = av.open
    av.open = lambda *args, **options: Counting(av_open(*args, **options))  # pyright: ignore[reportAttributeAccessIssue]
    try:
        preparation_s, preparation_frames, ours = measured(prepared)
        rival = EveryWindowAgain(video, round(seconds * FPS), given)
        check_same_work(ours, rival)
        found = {"affectzoo": [], "every window again": []}
        for _ in range(2):
            for name, windows in (("affectzoo", ours), ("every window again", rival)):
                seconds_spent, frames, count = measured(lambda windows=windows: epoch(windows))
                assert count == len(rival)
                found[name].append((seconds_spent, frames))
    finally:
        av.open = av_open
    first_s, first_frames = found["affectzoo"][0]
    found["affectzoo"][0] = (first_s + preparation_s, first_frames + preparation_frames)
    what = f"{seconds:.0f} s of {SIZE[0]}x{SIZE[1]} at {FPS} fps, {len(rival)} windows"
    print(f"\n| {what} | affectzoo | every window again | ratio | at least | |")
    print("|---|---:|---:|---:|---:|---|")
    for place, name in enumerate(("first epoch", "later epoch")):
        (our_s, our_frames), (their_s, their_frames) = found["affectzoo"][place], found["every window again"][place]
        called = f"{name}, preparation included" if place == 0 else name
        least, met, ratio = "", "", "none decoded"
        if place == 0:
            gain = their_frames / our_frames
            least, met, ratio = f"{SMALLEST_GAIN:.0f}", "met" if gain >= SMALLEST_GAIN else "NOT met", f"{gain:.1f}"
        decoded = f"{our_frames / seconds:.0f} | {their_frames / seconds:.0f} | {ratio} | {least} | {met}"
        print(f"| {called}: frames decoded per second of clip | {decoded} |")
        print(f"| {called}: s | {our_s:.2f} | {their_s:.2f} | {their_s / our_s:.1f} | | |", flush=True)
    print(f"\nPreparation alone {preparation_s:.2f} s.", flush=True)


def write_corpus(root: Path, clips: int) -> None:
    """Empty media files and their annotations, a subject to every fifth clip."""
    draws = np.random.default_rng(0)
    rows = ["file_name,subject,split"]
    for number in range(clips):
        name, subject = f"clip{number:04d}", number // 5
        (root / f"{name}.mp4").touch()
        labels = draws.uniform(-1, 1, (ANNOTATIONS, 2))
        lines = [f"{index / FPS:.4f},{v:.4f},{a:.4f}" for index, (v, a) in enumerate(labels)]
        (root / f"{name}.csv").write_text("\n".join(["time_s,valence,arousal", *lines]) + "\n", encoding="utf-8")
        rows.append(f"{name}.mp4,person{subject},{('train', 'train', 'train', 'val', 'test')[subject % 5]}")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def listing(folder: Path, clips: int) -> None:
    """Print the seconds that a corpus takes cold, and from its cache."""
    root = folder / "corpus"
    root.mkdir()
    write_corpus(root, clips)
    print(f"\n| `load_dataset`, {clips} clips x {ANNOTATIONS} annotations | whole process, s | call, s | at most | |")
    print("|---|---:|---:|---:|---|")
    for name in ("cold", "from its cache"):
        command = [sys.executable, "-c", LISTING, str(root), str(folder / "tables")]
        started = time.perf_counter()
        quiet = {**os.environ, "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=quiet)
        whole = time.perf_counter() - started
        rows, call = done.stdout.split()
        assert int(rows) == clips, rows
        met = "met" if whole < LONGEST_LISTING_S else "NOT met"
        print(f"| {name} | {whole:.2f} | {float(call):.2f} | {LONGEST_LISTING_S:.0f} | {met} |", flush=True)


def main() -> None:
    """Parse the options, measure, print the tables and whether the requirements are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    parser.add_argument("--quick", action="store_true", help="a short video and few clips: a check that it runs")
    options = parser.parse_args()
    datasets.disable_progress_bars()
    torch.set_num_threads(options.threads)
    machine = f"{cpu_name()}, {options.threads} threads, torch {torch.__version__}, PyAV {av.__version__}"
    print(f"$ python {' '.join(sys.argv)}\n{machine}, Python {platform.python_version()}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        decoding(Path(name), 20.0 if options.quick else 120.0)
        listing(Path(name), 20 if options.quick else CLIPS)


if __name__ == "__main__":
    main()
