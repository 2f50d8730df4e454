"""JCA, vectorised, against a loop over the batch that computes the same with the same parameters.

    python benchmarks/jca.py [--threads N] [--quick] [--no-compile] [--batch B ...]

Every row comes from one run: the variants take turns within each repeat, so that noise of the machine hits all of them,
and the medians are compared. L = 16, D = 512, d = 128, k = 32, float32, output "attended".
"""

from __future__ import annotations

import argparse
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable

import torch
from machine import cpu_name
from rich.console import Console
from rich.table import Table
from torch import Tensor

from affectzoo_fusion.joint_cross_attention import JointCrossAttention

L, D = 16, 512


def loop_over_batch(model: JointCrossAttention, features: dict[str, Tensor]) -> Tensor:
    """The equations of JCA for one window `[L, D]` after the other; `[B, L, 2 d]`."""
    fused = []
    for audio, visual in zip(features["audio"], features["visual"], strict=True):
        raw = {"audio": audio, "visual": visual}
        x = {name: model.project.layers[name](raw[name]) for name in raw}
        joint = torch.cat([x["audio"], x["visual"]], dim=-1)
        attended = []
        for name in raw:
            layer, x_t = model.attention[name], x[name].T
            correlation = torch.tanh(x_t @ layer.W_j.weight @ joint / math.sqrt(joint.shape[-1]))
            hidden = torch.relu(layer.W_c(correlation) + layer.W(x_t))
            attended.append(layer.W_h(hidden).T + x[name])
        fused.append(torch.cat(attended, dim=-1))
    return torch.stack(fused)


def forward(function: Callable[[], Tensor]) -> None:
    """One forward pass without gradients."""
    with torch.no_grad():
        function()


def forward_backward(function: Callable[[], Tensor], model: JointCrossAttention) -> None:
    """One forward and backward pass, gradients of all parameters from zero."""
    model.zero_grad(set_to_none=True)
    function().square().mean().backward()


def interleaved(variants: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Median milliseconds of each variant; they take turns, and which one begins rotates."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    names = list(variants)
    for repeat in range(-3, repeats):  # the negative ones warm up
        turn = repeat % len(names)
        for name in names[turn:] + names[:turn]:
            start = time.perf_counter()
            variants[name]()
            if repeat >= 0:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Parse the options, check that all variants agree, measure, print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads (default: torch's own)")
    parser.add_argument("--quick", action="store_true", help="few repeats: a check that it runs, not a measurement")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 64, 512], help="batch sizes")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    console = Console(width=110)
    console.print(f"$ python {' '.join(sys.argv)}", highlight=False)
    console.print(
        f"{cpu_name()}, {options.threads} threads, torch {torch.__version__}, Python {platform.python_version()}",
        highlight=False,
    )
    table = Table(title=f"JCA, L {L}, D {D}: median ms, and how many times faster than the loop")
    for column in ("batch", "pass", "loop ms", "eager ms", "loop / eager", "compiled ms", "loop / compiled", "repeats"):
        table.add_column(column, justify="right")

    for batch in options.batch:
        torch._dynamo.reset()  # one compilation per batch size, not one that grows symbolic
        model = JointCrossAttention({"audio": D, "visual": D}, L)
        features = {"audio": torch.randn(batch, L, D), "visual": torch.randn(batch, L, D)}
        variants: dict[str, Callable[[], Tensor]] = {
            "loop": lambda model=model, features=features: loop_over_batch(model, features),
            "eager": lambda model=model, features=features: model(features),
        }
        if not options.no_compile:
            compiled = torch.compile(model, fullgraph=True)
            variants["compiled"] = lambda compiled=compiled, features=features: compiled(features)
        expected = variants["loop"]()
        for function in variants.values():
            torch.testing.assert_close(function(), expected, atol=1e-5, rtol=1e-4)

        repeats = 3 if options.quick else max(15, min(200, 6000 // batch))
        passes = {
            "forward": {name: lambda f=f: forward(f) for name, f in variants.items()},
            "forward + backward": {name: lambda f=f, m=model: forward_backward(f, m) for name, f in variants.items()},
        }
        for label, timed in passes.items():
            ms = interleaved(timed, repeats)
            compiled_ms = (f"{ms['compiled']:.2f}", f"{ms['loop'] / ms['compiled']:.2f}") if "compiled" in ms else ("-", "-")
            row = (str(batch), label, f"{ms['loop']:.2f}", f"{ms['eager']:.2f}", f"{ms['loop'] / ms['eager']:.2f}")
            table.add_row(*row, *compiled_ms, str(repeats))
    console.print(table)


if __name__ == "__main__":
    main()
