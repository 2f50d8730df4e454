"""The fusions side by side on rendered clips: same data, same backbones of each seed, same budget.

    python benchmarks/rendered.py --output runs/rendered --seeds 0 1 2

Runs `recipes/jca-rendered.yaml` for every fusion and for each modality alone (runs that are there already are kept), then
prints the table of the card: test CCC on unseen identities, mean and standard deviation over seeds, and the difference of
each row to concat, paired by seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from affectzoo.train.experiment import read_experiment
from affectzoo.train.loop import is_done, run_folder, train

RECIPE = Path(__file__).parents[1] / "recipes" / "jca-rendered.yaml"
ROWS = {
    "visual": ["model.streams.audio=null", "model.fusion=null"],
    "audio": ["model.streams.visual=null", "model.fusion=null"],
    "concat": ["model.fusion=concat"],
    "self-attention": ["model.fusion=self-attention"],
    "leader-follower": ["model.fusion=leader-follower"],
    "cross-attention": ["model.fusion=cross-attention"],
    "joint-cross-attention": [],
    "recursive-joint-cross-attention": ["model.fusion=recursive-joint-cross-attention"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="runs/rendered")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("overrides", nargs="*", help="dotted.key=value, applied to every row")
    options = parser.parse_args()
    results: dict[str, list[dict[str, Any]]] = {}
    for seed in options.seeds:
        for row in options.rows:
            name = [f"name={row}"] if ROWS[row] else []  # the recipe as it stands keeps its own name
            overrides = [*name, f"seed={seed}", f"output={options.output}", *ROWS[row], *options.overrides]
            experiment = read_experiment(options.recipe, overrides)
            accelerator = Accelerator(mixed_precision=experiment.precision)
            if not is_done(experiment, accelerator):
                train(experiment, accelerator)
            results.setdefault(row, []).append(json.loads((run_folder(experiment) / "result.json").read_text()))
    print(table(results, "test"))
    print()
    print(table(results, "val"))


def table(results: dict[str, list[dict[str, Any]]], split: str) -> str:
    """Markdown; differences to concat are paired by seed."""
    lines = [f"| fusion | {split} CCC valence | {split} CCC arousal | mean, difference to concat | parameters | seconds |"]
    lines.append("|---|---|---|---|---|---|")
    base = [run[split]["ccc"] for run in results["concat"]] if "concat" in results else []
    for row, runs in results.items():
        cells = [spread([run[split][f"ccc.{name}"] for run in runs]) for name in ("valence", "arousal")]
        gain = [run[split]["ccc"] - other for run, other in zip(runs, base, strict=True)] if base else []
        cells.append(spread(gain, sign=True) if gain and row != "concat" else "")
        cells += [f"{runs[0]['parameters']:,}", f"{statistics.mean(run['seconds'] for run in runs):.0f}"]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def spread(values: list[float], *, sign: bool = False) -> str:
    """Mean and standard deviation over seeds."""
    mean = f"{statistics.mean(values):{'+' if sign else ''}.3f}"
    return f"{mean} ({statistics.stdev(values):.3f})" if len(values) > 1 else mean


if __name__ == "__main__":
    main()
