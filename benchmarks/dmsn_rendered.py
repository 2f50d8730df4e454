"""The DMSN blocks side by side on drawn faces: slow severity and fast pain, same trunk, data and budget.

    python benchmarks/dmsn_rendered.py --output runs/dmsn --seeds 0 1 2

Runs `recipes/dmsn-severity.yaml` and `recipes/dmsn-pain.yaml` for every block and seed (runs that are there already are
kept; pain starts from the severity model of its block and seed), then prints the tables of the cards: scores of recordings of
unseen people, mean and standard deviation over seeds, with parameters, GMAC and forward latency measured here and now.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch.utils.flop_counter import FlopCounterMode

from affectzoo.model.affect_model import AffectModel
from affectzoo.train.experiment import read_experiment
from affectzoo.train.loop import train
from affectzoo.train.runs import is_done, run_folder

RECIPES = Path(__file__).parents[1] / "recipes"
TASKS = ("severity", "pain")
BLOCKS = ("dmsn-a", "dmsn-b", "dmsn-c", "basic3d")
BACKBONE = "model.streams.visual.backbone.config"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="runs/dmsn")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--blocks", nargs="+", default=list(BLOCKS))
    parser.add_argument("--threads", type=int, default=None, help="of the latency; all cores where left out")
    parser.add_argument("--train-only", action="store_true", help="print no tables")
    parser.add_argument("overrides", nargs="*", help="dotted.key=value, applied to every run")
    options = parser.parse_args()
    results: dict[str, dict[str, list[dict[str, Any]]]] = {}
    folders: dict[str, dict[str, Path]] = {}
    for seed in options.seeds:
        for task in options.tasks:
            for block in options.blocks:
                overrides = [f"name={task}-{block}", f"seed={seed}", f"output={options.output}", f"{BACKBONE}.block={block}"]
                if task == "pain":
                    # As its recipe says: from the severity model of the same block and seed.
                    overrides.append(f"{BACKBONE}.init={options.output}/severity-{block}/seed{seed}/model")
                experiment = read_experiment(RECIPES / f"dmsn-{task}.yaml", [*overrides, *options.overrides])
                accelerator = Accelerator(mixed_precision=experiment.precision)
                if not is_done(experiment, accelerator):
                    train(experiment, accelerator)
                result = json.loads((run_folder(experiment) / "result.json").read_text())
                results.setdefault(task, {}).setdefault(block, []).append(result)
                folders.setdefault(task, {})[block] = run_folder(experiment) / "model"
    if options.train_only:
        return
    torch.set_num_threads(options.threads or os.cpu_count() or 1)
    for task, rows in results.items():
        models = {block: AffectModel.from_folder(folder) for block, folder in folders[task].items()}
        latency = {size: latencies(models, size) for size in (1, 8)}
        for split in ("test", "val"):
            print(f"\n{task}, {split}, {len(options.seeds)} seeds\n")
            print(table(task, split, rows, models, latency))


def table(
    task: str,
    split: str,
    rows: dict[str, list[dict[str, Any]]],
    models: dict[str, AffectModel],
    latency: dict[int, dict[str, float]],
) -> str:
    """Markdown: scores of recordings, CCC of single clips, size and speed; a row for each block."""
    lines = ["| block | MAE | RMSE | PCC | CCC | CCC of one clip | parameters | GMAC | ms, 1 clip | ms, 8 clips | training |"]
    lines.append("|---" * 11 + "|")
    for block, runs in rows.items():
        cells = [spread([run[split][f"{name}.{task}"] for run in runs]) for name in ("mae", "rmse", "pcc", "ccc")]
        cells.append(spread([run[split][f"step.ccc.{task}"] for run in runs]))
        cells += [f"{models[block].parameter_count():,}", f"{gmac(models[block]):.3f}"]
        cells += [f"{latency[size][block]:.1f}" for size in (1, 8)]
        cells.append(f"{statistics.mean(run['seconds'] for run in runs):.0f} s")
        lines.append(f"| `{block}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def clips(model: AffectModel, count: int) -> dict[str, torch.Tensor]:
    """Random input of `count` windows of one clip."""
    given = model.config.streams["visual"].input
    assert given is not None
    return {"visual": torch.randn(count, model.config.sequence.length, 3, given.frames, given.height, given.width)}


def gmac(model: AffectModel) -> float:
    """Multiplications and additions of one clip, in 10^9 pairs."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(clips(model, 1))
    return counter.get_total_flops() / 2e9


@torch.inference_mode()
def latencies(models: dict[str, AffectModel], count: int, rounds: int = 15) -> dict[str, float]:
    """Milliseconds of a forward pass, the median of rounds in which the models take turns."""
    inputs = {block: clips(model, count) for block, model in models.items()}
    times: dict[str, list[float]] = {block: [] for block in models}
    for number in range(rounds + 2):
        for block, model in models.items():
            started = time.perf_counter()
            model(inputs[block])
            if number >= 2:  # the first ones warm up
                times[block].append(time.perf_counter() - started)
    return {block: 1e3 * statistics.median(values) for block, values in times.items()}


def spread(values: list[float]) -> str:
    """Mean and standard deviation over seeds."""
    mean = f"{statistics.mean(values):.3f}"
    return f"{mean} ({statistics.stdev(values):.3f})" if len(values) > 1 else mean


if __name__ == "__main__":
    main()
