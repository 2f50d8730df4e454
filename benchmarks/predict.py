"""How fast `affectzoo predict` is, and what memory it takes: real-time factor for each detector, stage by stage.

    python benchmarks/predict.py                  # speed on a rendered minute
    python benchmarks/predict.py --memory         # peak memory of 1 and 10 minutes, each in a process of its own

The plain rival, timed in the same run, is what a user would write instead: OpenCV frames in a loop, a detection on each
sampled frame, a timm resnet18 at 112 px on the crop, no audio and no fusion.
"""

from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

SECONDS = 60.0
SIZE, FPS = (640, 480), 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="jca-rendered")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--yunet", help="path of YuNet's weights; else AFFECTZOO_YUNET or the Hub's cache")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()

    import torch

    torch.set_num_threads(options.threads)
    if options.child:
        from affectzoo.predict import Predictor

        Predictor(options.model, detector=detector("full-frame", options))(options.child)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    console = Console()
    console.print(f"{platform.processor() or platform.machine()}, {options.threads} threads, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as name:
        clip = Path(name) / "clip.mp4"
        render(clip, SECONDS)
        if options.memory:
            memory(clip, options, console)
        else:
            speed(clip, options, console)


def render(path: Path, seconds: float) -> None:
    """A rendered talking face at 640x480, 30 fps, h264 and aac."""
    from affectzoo.data.rendered import make_clips, write_clip

    write_clip(make_clips("test", identities=1, duration_s=seconds, seed=77)[0], path, size=SIZE, fps=FPS)


def detector(name: str, options: argparse.Namespace) -> object:
    from affectzoo.model.build import create_detector

    return create_detector(name, **({"weights": options.yunet} if name == "yunet" and options.yunet else {}))


def speed(clip: Path, options: argparse.Namespace, console: Console) -> None:
    """Interleave every contender, so that noise of the machine hits all alike; best of the repeats."""
    from affectzoo.errors import DetectorError
    from affectzoo.media.pipeline import MediaStream
    from affectzoo.predict import Predictor
    from affectzoo.predict.features import stream_inputs

    contenders: dict[str, Callable[[], object]] = {}
    for name in ("yunet", "haar", "full-frame"):
        try:
            found = detector(name, options)
        except DetectorError as error:
            console.print(f"{name} left out: {error}", markup=False)
            continue
        predictor = Predictor(options.model, detector=found)  # pyright: ignore[reportArgumentType]
        frames, audio = stream_inputs(predictor.model)
        seconds = predictor.model.config.sequence.seconds
        contenders[f"predict, {name}"] = lambda p=predictor: p(clip)
        contenders[f"  without the model, {name}"] = lambda d=found, f=frames, a=audio, s=seconds: list(
            MediaStream(clip, seconds=s, frames=f, audio=a, detector=d)  # pyright: ignore[reportArgumentType]
        )
        contenders[f"plain loop, resnet18, {name}"] = lambda d=found: plain_loop(clip, d)
    contenders["decode only (PyAV)"] = lambda: decode_only(clip)
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(options.repeats):
        for name, run in contenders.items():
            started = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - started)
    table = Table(
        "what", "s", "x real time", title=f"{SECONDS:.0f} s of {SIZE[0]}x{SIZE[1]} at {FPS} fps, best of {options.repeats}"
    )
    for name, taken in best.items():
        table.add_row(name, f"{taken:.2f}", f"{SECONDS / taken:.1f}")
    console.print(table)


def decode_only(clip: Path) -> int:
    import av

    with av.open(str(clip)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return sum(1 for _ in container.decode(video=0))


def plain_loop(clip: Path, found: object) -> None:
    """8 of 32 frames, each detected, cropped and encoded one by one."""
    import cv2
    import timm
    import torch

    network = timm.create_model("resnet18", num_classes=0).eval()
    capture = cv2.VideoCapture(str(clip))
    index = 0
    with torch.inference_mode():
        while True:
            read, image = capture.read()
            if not read:
                break
            index += 1
            if index % 4:
                continue
            rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            boxes = found.detect(cv2.resize(rgb, (320, 240)))  # pyright: ignore[reportAttributeAccessIssue]
            x0, y0, x1, y1 = (boxes[0, :4] * 2).astype(int) if len(boxes) else (0, 0, *SIZE)
            crop = cv2.resize(rgb[max(0, y0) : y1, max(0, x0) : x1], (112, 112))
            network(torch.from_numpy(crop).permute(2, 0, 1).float().div(255).unsqueeze(0))


def memory(clip: Path, options: argparse.Namespace, console: Console) -> None:
    """Peak resident memory of whole processes, for the clip and for ten copies of it in one file."""
    import av

    long = clip.with_name("long.mkv")
    with av.open(str(long), "w") as output:
        offset = 0.0
        with av.open(str(clip)) as source:
            streams = {s.index: output.add_stream_from_template(s) for s in source.streams}
        for _ in range(10):
            with av.open(str(clip)) as source:
                for packet in source.demux():
                    if packet.dts is None or packet.time_base is None:
                        continue
                    shift = round(offset / packet.time_base)
                    packet.dts += shift
                    packet.pts = (packet.pts if packet.pts is not None else packet.dts) + shift
                    packet.stream = streams[packet.stream.index]
                    output.mux(packet)
            offset += SECONDS + 0.1  # AAC ends a block after the video
    peaks = []
    for path in (clip, long):
        command = [sys.executable, __file__, "--model", options.model, "--threads", str(options.threads), "--child", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.split()[-1]) / 1024)
    console.print(f"peak memory: 1 minute {peaks[0]:.0f} MB, 10 minutes {peaks[1]:.0f} MB, ratio {peaks[1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
