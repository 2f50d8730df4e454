"""DMSN against the undecomposed MSN-69 and the video ResNets: latency of one forward pass, and what optimising it gains.

    python benchmarks/dmsn.py [--models NAME ...] [--batch B ...] [--threads N] [--quick] [--json FILE]
    python benchmarks/dmsn.py --train             # one training step, with and without activation checkpointing

16 crops of 112 x 112. Every number comes from one run: all contenders take turns, round after round, and each one's
shortest time counts, so that a busy machine hurts all alike. A DMSN runs its decomposed convolutions as 2D ones and is also
measured with PyTorch's 3D ones. On a GPU, where there is one: bfloat16, batch 32 and the largest that fits. The whole takes
10 to 15 minutes on 2 cores, most of it for batch 8; each table is printed as soon as it is there.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from machine import cpu_name
from torch import Tensor, nn

import affectzoo
from affectzoo.model.folding import fold_norms
from affectzoo_dmsn.layers import Convolution

MODELS = ["dmsn-a-50", "dmsn-b-50", "dmsn-c-50", "msn-69", "r3d_18", "r2plus1d_18", "mc3_18"]
FRAMES, SIZE = 16, 112
EAGER, PLAIN, OPTIMISED = "fp32", "fp32, plain 3D", "optimised"
#: Ratio of latencies -> what it must reach; eager and plain are of dmsn-c-50.
REQUIRED = {"msn-69 / dmsn-c-50": 7.5, "r3d_18 / dmsn-c-50": 2.5, "eager / optimised": 2.5, "plain 3D / optimised": 2.5}


def clips(batch: int, device: str = "cpu") -> Tensor:
    """Noise `[batch, 3, T, H, W]`."""
    return torch.randn(batch, 3, FRAMES, SIZE, SIZE, device=device)


def build(name: str, **config: Any) -> affectzoo.Backbone:
    """A backbone for 16 frames in evaluation mode."""
    return affectzoo.create_backbone(name, frames=FRAMES, **config).eval()


def cast(network: nn.Module, dtype: torch.dtype, channels_last: bool) -> Callable[[Tensor], Tensor]:
    """A copy in another dtype and memory format; the input is converted within the time that is measured."""
    network = copy.deepcopy(network).to(dtype)
    layout = torch.channels_last_3d if channels_last else torch.contiguous_format
    if channels_last:
        network = network.to(memory_format=torch.channels_last_3d)
    return lambda x: network(x.to(dtype, memory_format=layout))


def plain(network: nn.Module) -> nn.Module | None:
    """A copy in which every convolution runs as PyTorch's 3D one; None where that is so anyway."""
    network = copy.deepcopy(network)
    found = [part for part in network.modules() if isinstance(part, Convolution)]
    for part in found:
        part.__class__ = nn.Conv3d
    return network if found else None


def contenders(name: str, compiled: bool, notes: list[str]) -> dict[str, Callable[[Tensor], Tensor]]:
    """Everything that is measured of one model."""
    network = build(name)
    folded, count, _ = fold_norms(network, clips(1))
    model = affectzoo.create_model(visual={"backbone": {"name": name, "config": {"frames": FRAMES}}})
    optimised = model.optimize_for_inference(batch_size=1, seconds=1.0)
    notes.append(f"{name}, {count} norms folded; {str(optimised.report.streams[0]).removeprefix('visual: ')}")
    found: dict[str, Callable[[Tensor], Tensor]] = {OPTIMISED: optimised.backbones["visual"]}
    if (undecomposed := plain(network)) is not None:
        found[PLAIN] = undecomposed
    for label, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        found[label] = cast(network, dtype, False)
        found[f"{label}, channels-last"] = cast(network, dtype, True)
        found[f"{label}, folded"] = cast(folded, dtype, False)
        found[f"{label}, folded, channels-last"] = cast(folded, dtype, True)
    if compiled:
        layout = torch.channels_last_3d
        other: Any = torch.compile(copy.deepcopy(folded).to(torch.bfloat16).to(memory_format=layout), dynamic=False)
        try:
            started = time.perf_counter()
            with torch.inference_mode():
                other(clips(1).to(torch.bfloat16, memory_format=layout))
            notes.append(f"{name} compiled in {time.perf_counter() - started:.0f} s (batch 1)")
            found["bf16, folded, channels-last, compiled"] = lambda x: other(x.to(torch.bfloat16, memory_format=layout))
        except Exception as error:  # no C++ compiler here
            notes.append(f"{name} is not compiled: {(str(error) or type(error).__name__).splitlines()[0]}")
    return found


def forward_times(
    models: dict[str, dict[str, Callable[[Tensor], Tensor]]], batch: int, seconds: float
) -> dict[str, dict[str, float]]:
    """Shortest milliseconds of each contender: at least three rounds, the first to warm up, more while there is time."""
    best = {name: dict.fromkeys(functions, float("inf")) for name, functions in models.items()}
    x, end = clips(batch), time.perf_counter() + seconds
    done = 0
    least = 1 if seconds <= 0 else 3
    while done < least or (time.perf_counter() < end and done < 20):
        round_started = time.perf_counter()
        for name, functions in models.items():
            for label, function in functions.items():
                with torch.inference_mode():
                    started = time.perf_counter()
                    function(x)
                best[name][label] = min(best[name][label], 1000 * (time.perf_counter() - started))
        done += 1
        if done >= least and time.perf_counter() + (time.perf_counter() - round_started) > end:
            break
    print(f"batch {batch}: {done} rounds", file=sys.stderr)
    return best


def print_table(best: dict[str, dict[str, float]], batch: int) -> None:
    """One Markdown table: contenders as rows, models as columns, `ms (clips/s)`."""
    print(f"\nCPU, batch {batch}: ms (clips/s)\n\n| | {' | '.join(best)} |\n|---|{'---:|' * len(best)}", flush=True)
    for label in dict.fromkeys(label for times in best.values() for label in times):
        cells = [f"{ms:.1f} ({1000 * batch / ms:.1f})" if (ms := times.get(label)) else "-" for times in best.values()]
        print(f"| {label} | {' | '.join(cells)} |", flush=True)


def ratios(best: dict[str, dict[str, float]]) -> dict[str, float]:
    """What the requirements speak of, where the models for it were measured; networks in eager fp32."""
    if "dmsn-c-50" not in best:
        return {}
    ours = best["dmsn-c-50"]
    found = {f"{n} / dmsn-c-50": best[n][EAGER] / ours[EAGER] for n in ("msn-69", "r3d_18") if n in best}
    return {
        **found,
        "eager / optimised": ours[EAGER] / ours[OPTIMISED],
        "plain 3D / optimised": ours[PLAIN] / ours[OPTIMISED],
    }


def print_ratios(found: dict[str, float], batch: int) -> None:
    """One Markdown table: what was measured beside what is required."""
    print("\n| ratio of ms | batch | measured | required | |\n|---|---:|---:|---:|---|")
    for label, ratio in found.items():
        need = REQUIRED[label]
        print(f"| {label} | {batch} | {ratio:.2f} | {need} | {'met' if ratio >= need else 'NOT met'} |", flush=True)


def on_gpu(names: list[str]) -> list[dict[str, Any]]:
    """bfloat16, folded, channels-last: batch 32, then the largest power of two that fits."""
    rows = []
    for name in names:
        folded, _, _ = fold_norms(build(name), clips(1))
        network = cast(folded, torch.bfloat16, True).cuda()
        batch, fits = 32, 0
        while batch <= 8192:
            x = None
            torch.cuda.empty_cache()
            try:
                torch.cuda.reset_peak_memory_stats()
                x, times = clips(batch, "cuda"), []
                with torch.inference_mode():
                    for _ in range(8):
                        torch.cuda.synchronize()
                        started = time.perf_counter()
                        network(x)
                        torch.cuda.synchronize()
                        times.append(1000 * (time.perf_counter() - started))
            except RuntimeError as error:  # out of memory, or more elements than an index holds
                print(f"{name}, batch {batch}: {(str(error) or type(error).__name__).splitlines()[0]}", file=sys.stderr)
                break
            row = {"model": name, "batch": batch, "ms": min(times), "peak_mb": torch.cuda.max_memory_allocated() / 1e6}
            rows = [r for r in rows if not (r["model"] == name and r["batch"] == fits != 32)] + [row]
            fits, batch = batch, batch * 2
        x = network = None
    print("\n| GPU, bf16 | batch | ms | clips/s | peak MB |\n|---|---:|---:|---:|---:|")
    for r in rows:
        print(f"| {r['model']} | {r['batch']} | {r['ms']:.1f} | {1000 * r['batch'] / r['ms']:.0f} | {r['peak_mb']:.0f} |")
    return rows


def train_step(name: str, batch: int, checkpointing: bool, repeats: int) -> dict[str, float]:
    """Forward, backward and update: shortest ms, and how far memory rises above the built network, in MB."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = build(name, **({"activation_checkpointing": True} if checkpointing else {})).train().to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    x, times = clips(batch, device), []
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    for _ in range(repeats):
        started = time.perf_counter()
        network(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - started))
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"ms": min(times), "mb": (peak - (0 if device == "cuda" else resident)) / 1e6}


def train(names: list[str], batch: int, threads: int, repeats: int) -> list[dict[str, Any]]:
    """One table of training steps."""
    rows: list[dict[str, Any]] = []
    print(f"\n| training, batch {batch}, fp32 | checkpointing | ms | peak MB |\n|---|---|---:|---:|")
    for name in names:
        for checkpointing in (False, True) if name.startswith(("dmsn", "msn")) else (False,):
            # Each in a process of its own: the system keeps one high-water mark of resident memory, and never lowers it.
            step = ["--child", name, "--batch", str(batch), "--threads", str(threads), "--repeats", str(repeats)]
            command = [sys.executable, __file__, *step, *(["--checkpointing"] if checkpointing else [])]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            row = {"model": name, "checkpointing": checkpointing, **json.loads(done.stdout.splitlines()[-1])}
            rows.append(row)
            print(f"| {name} | {'yes' if checkpointing else 'no'} | {row['ms']:.0f} | {row['mb']:.0f} |", flush=True)
    return rows


def main() -> None:
    """Parse the options, measure, print the tables and whether the requirements are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, help="backbones that take `frames`")
    parser.add_argument("--batch", type=int, nargs="+", help="batch sizes (default: 1 and 8; 2 with --train)")
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    parser.add_argument("--seconds", type=float, default=60.0, help="to measure for at each batch size, after one round")
    parser.add_argument("--compile", nargs="*", default=["dmsn-c-50"], help="models to compile as well; it takes a minute each")
    parser.add_argument("--quick", action="store_true", help="one round, nothing compiled: a check that it runs")
    parser.add_argument("--train", action="store_true", help="training steps instead of forward passes")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    parser.add_argument("--repeats", type=int, default=3, help="training steps of each kind")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--checkpointing", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.child:
        print(json.dumps(train_step(options.child, options.batch[0], options.checkpointing, options.repeats)))
        return
    machine = f"{cpu_name()}, {options.threads} threads, torch {torch.__version__}, Python {platform.python_version()}"
    print(f"$ python {' '.join(sys.argv)}\n{machine}")
    result: dict[str, Any] = {"machine": machine, "ratios": {}, "forward": {}}
    if options.train:
        repeats = 1 if options.quick else options.repeats
        result["train"] = [r for b in options.batch or [2] for r in train(options.models, b, options.threads, repeats)]
    else:
        notes: list[str] = []
        compiled = [] if options.quick else options.compile
        models = {name: contenders(name, name in compiled, notes) for name in options.models}
        print("\n" + "\n".join(f"- {note}" for note in notes), flush=True)
        for batch in options.batch or [1, 8]:
            best = forward_times(models, batch, 0.0 if options.quick else options.seconds)
            print_table(best, batch)
            result["forward"][batch], result["ratios"][batch] = best, ratios(best)
            print_ratios(result["ratios"][batch], batch)
        if torch.cuda.is_available():
            result["gpu"] = on_gpu(options.models)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
