"""The fusions side by side on rendered clips: same data, same backbones of each seed, same budget.

    python benchmarks/rendered.py --output runs/rendered --seeds 0 1 2

Runs `recipes/jca-rendered.yaml` for every fusion and for each modality alone (runs that are there already are kept), and
because JCA mixes time steps while concat does not, also with a BiLSTM on each stream before the fusion. Then prints the
table of the card: test CCC on unseen identities, mean and standard deviation over seeds, and the difference of
each row to concat, paired by seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from affectzoo.config import ExperimentConfig
from affectzoo.model.affect_model import AffectModel
from affectzoo.objectives.metrics import ccc
from affectzoo.train.experiment import read_experiment
from affectzoo.train.features import encode_windows
from affectzoo.train.loop import load_splits, train
from affectzoo.train.runs import is_done, run_folder

RECIPE = Path(__file__).parents[1] / "recipes" / "jca-rendered.yaml"
BILSTM = ["model.streams.visual.temporal=bilstm", "model.streams.audio.temporal=bilstm"]
ROWS = {
    "visual": ["model.streams.audio=null", "model.fusion=null"],
    "audio": ["model.streams.visual=null", "model.fusion=null"],
    "concat": ["model.fusion=concat"],
    "concat-bilstm": ["model.fusion=concat", *BILSTM],
    "self-attention": ["model.fusion=self-attention"],
    "leader-follower": ["model.fusion=leader-follower"],
    "cross-attention": ["model.fusion=cross-attention"],
    "joint-cross-attention": [],
    "joint-cross-attention-bilstm": BILSTM,
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
    if "joint-cross-attention" in results:
        for line in robustness(read_experiment(options.recipe, [f"output={options.output}"]), options.seeds):
            print(line)


def robustness(experiment: ExperimentConfig, seeds: list[int]) -> list[str]:
    """Test CCC of the recipe's own model with windows cut short, and with one modality gone; mean over seeds."""
    rows: dict[str, list[list[float]]] = {}
    for seed in seeds:
        folder = run_folder(experiment.model_copy(update={"seed": seed})) / "model"
        model = AffectModel.from_folder(folder)
        accelerator = Accelerator()
        windows = encode_windows(model, load_splits(experiment, model, accelerator)["test"], accelerator)
        batch = torch.utils.data.default_collate([windows[index] for index in range(len(windows))])
        cases = {f"first {n} of {windows.length} steps": n for n in (windows.length, windows.length // 2, 3)}
        for name, steps in cases.items():
            masks = {key: mask & (torch.arange(windows.length) < steps) for key, mask in batch["masks"].items()}
            rows.setdefault(name, []).append(agreement(model, batch, masks, steps))
        for gone in batch["masks"]:
            masks = {key: mask & (key != gone) for key, mask in batch["masks"].items()}
            rows.setdefault(f"no {gone}", []).append(agreement(model, batch, masks, windows.length))
    lines = ["", "| windows | test CCC valence | test CCC arousal |", "|---|---|---|"]
    return lines + [
        f"| {name} | " + " | ".join(spread(list(v)) for v in zip(*runs, strict=True)) + " |" for name, runs in rows.items()
    ]


@torch.no_grad()
def agreement(model: AffectModel, batch: dict[str, Any], masks: dict[str, torch.Tensor], steps: int) -> list[float]:
    """CCC of each target over the first `steps` of every window."""
    predicted = model.forward_features(batch["inputs"], masks)[:, :steps]
    return ccc(predicted, batch["targets"][:, :steps], batch["valid"][:, :steps]).tolist()


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
