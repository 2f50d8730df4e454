"""Speed of the training loop: against a bare PyTorch loop, of a fusion head against a loop over the batch, of reading.

    python benchmarks/train.py [--threads N] [--quick] [--json FILE]

Two cases, float32, on rows of noise: a fusion head on features (joint cross-attention, L = 16, D = 512, batch 64) and a small
model end to end (the one of `recipes/jca-rendered.yaml`, batch 8). Every ratio comes from one run: contenders take turns,
round after round over equally many steps, with the garbage collector off, and each one's best round counts. On a GPU where
there is one. About 2 minutes on 2 quiet cores; each line is printed as soon as it is there.
"""

from __future__ import annotations

import argparse
import copy
import gc
import io
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import yaml
from jca import interleaved, loop_over_batch
from machine import cpu_name
from torch import Tensor, nn
from torch.utils.data import DataLoader

from affectzoo.config import ExperimentConfig
from affectzoo.data.prepared import ClipRow, arrow_features, step_layout
from affectzoo.data.windows import WindowDataset, windows_over
from affectzoo.model.affect_model import AffectModel
from affectzoo.train.evaluate import predict_split
from affectzoo.train.fit import Fit
from affectzoo.train.learner import Learner
from affectzoo.train.loop import batches_of, inputs_of, objective_of
from affectzoo.train.watch.watch import Watch, accelerator_for

RECIPE = Path(__file__).parents[1] / "recipes" / "jca-rendered.yaml"
L, STEPS_OF_CLIP = 16, 64
WORKERS = (0, 1, 2)
#: Ratio -> what it may be at most, or must be at least.
LARGEST_OVERHEAD = 1.05
SMALLEST_GAIN = {"cpu": 1.3, "cuda": 20.0}


@dataclass(frozen=True)
class Case:
    """What is trained, and on how much.

    Attributes:
        on_features: whether rows hold backbone features.
        steps: of a round, and so of an epoch; rounds: of each contender, besides one to warm up.
    """

    name: str
    model: Mapping[str, Any]
    on_features: bool
    batch_size: int
    steps: int
    rounds: int


def cases(quick: bool) -> list[Case]:
    """The two cases."""
    small: dict[str, Any] = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))["model"]
    backbones = {"audio": "spectrogram/resnet18", "visual": {"name": "timm/resnet18", "config": {"frames": 4}}}
    head = {**small, "streams": {name: {"backbone": backbone} for name, backbone in backbones.items()}}
    steps = (2, 1) if quick else (16, 4)
    rounds = (1, 1) if quick else (8, 4)
    return [
        Case("head on features", head, True, 64, steps[0], rounds[0]),
        Case("end to end", small, False, 8, steps[1], rounds[1]),
    ]


class Kept(WindowDataset):
    """The same windows, all of them built beforehand."""

    def __init__(self, windows: WindowDataset) -> None:
        self.__dict__.update(windows.__dict__)
        self.on_features = windows.on_features
        self.items = [windows[index] for index in range(len(windows))]

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.items[index]


class Ours:
    """The training loop of affectzoo on one case, an epoch at a time, with its progress bar on a screen that nobody sees."""

    def __init__(
        self, case: Case, model: AffectModel, train: WindowDataset, val: WindowDataset, folder: Path, workers: int = 0
    ) -> None:
        self.experiment = ExperimentConfig.parse(
            {
                "name": case.name,
                "model": model.config.to_json(),
                "data": {"name": "noise"},
                "train": {"epochs": 1000, "batch_size": case.batch_size, "workers": workers},
            }
        )
        self.folder, self.model = folder, copy.deepcopy(model)
        folder.mkdir()
        accelerator = accelerator_for(self.experiment, folder)
        learner = Learner(self.model, objective_of(self.experiment, train, self.model), on_features=case.on_features)
        batches = batches_of(self.experiment, train, self.model, accelerator)
        self.fit = Fit(
            self.experiment,
            learner,
            batches,
            val,
            {} if case.on_features else inputs_of(model.config),
            folder,
            accelerator,
            identity={},
            say=lambda _: None,
        )

    def epoch(self) -> tuple[float, float, float]:
        """Seconds of an epoch; sub-sequences per second and the share of waiting for data as its bar shows them."""
        fit, progress = self.fit, self.fit.progress
        progress.batch, progress.loss_sum, progress.loss_count = 0, 0.0, 0
        with redirect_stdout(Screen()):
            watch = Watch(self.folder, self.experiment, fit.accelerator, steps=1000 * fit.steps, epochs=1000)
            try:
                watch._begin_epoch()
                seconds = timed(lambda: fit._epoch(watch, lambda: False, time.perf_counter()))
            finally:
                watch.close()
        progress.epoch += 1
        return seconds, *watch._pace()

    def validate(self) -> None:
        """Predict the validation split."""
        predict_split(self.fit.accelerator, self.fit.learner, self.fit.validation)


class Screen(io.StringIO):
    """A terminal to whoever asks."""

    def isatty(self) -> bool:
        return True


class Bare:
    """The loop that one would write by hand on the same model and data."""

    def __init__(self, case: Case, model: AffectModel, train: WindowDataset, device: torch.device, settings: Any) -> None:
        self.model, self.device = copy.deepcopy(model).to(device), device
        self.run = self.model.forward_features if case.on_features else self.model.forward
        self.loader: DataLoader[Any] = DataLoader(
            train, batch_size=case.batch_size, shuffle=True, pin_memory=device.type == "cuda"
        )
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(weights, lr=settings.lr, weight_decay=settings.weight_decay)

    def epoch(self) -> float:
        """Seconds of an epoch."""
        return timed(self._epoch)

    def _epoch(self) -> float:
        self.model.train()
        running = torch.zeros((), device=self.device)
        for batch in self.loader:
            inputs, masks = (
                {name: x.to(self.device, non_blocking=True) for name, x in batch[part].items()} for part in ("inputs", "masks")
            )
            labels = batch["targets"].to(self.device, non_blocking=True)
            loss = direct_loss(self.run(inputs, masks), labels)
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
            running += loss.detach()
        return float(running) / len(self.loader)


def direct_loss(x: Tensor, y: Tensor) -> Tensor:
    """Mean over the targets of `1 - CCC` over all steps of `[B, L, K]`, every one of them valid."""
    x, y = x.flatten(0, 1), y.flatten(0, 1)
    dx, dy = x - x.mean(0), y - y.mean(0)
    ccc = 2 * (dx * dy).mean(0) / (dx.square().mean(0) + dy.square().mean(0) + (x.mean(0) - y.mean(0)).square() + 1e-8)
    return (1 - ccc).mean()


def synchronise() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(function: Callable[[], Any]) -> float:
    """Seconds of one call without the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        synchronise()
        started = time.perf_counter()
        function()
        synchronise()
        return time.perf_counter() - started
    finally:
        gc.enable()


def build(case: Case) -> AffectModel:
    """The model of a case; backbones are frozen where they do not run."""
    model = AffectModel(ExperimentConfig.parse({"name": "noise", "model": case.model, "data": {"name": "noise"}}).model)
    model.backbones.requires_grad_(not case.on_features)
    return model


def write_rows(case: Case, model: AffectModel, folder: Path) -> None:
    """Save noise under `folder/train` and `folder/val`: `case.steps` batches, and two to validate on."""
    draws = np.random.default_rng(0)
    streams = {name: stream.input for name, stream in model.config.streams.items()}
    for split, batches in (("train", case.steps), ("val", 2)):
        rows = []
        for number in range(batches * case.batch_size * L // STEPS_OF_CLIP):
            inputs = {}
            for name, given in streams.items():
                assert given is not None
                shape, dtype = ((model.feature_dims[name],), np.float32) if case.on_features else step_layout(given)
                shape = (STEPS_OF_CLIP, *shape)
                noise = draws.integers(0, 256, shape, np.uint8) if dtype is np.uint8 else draws.standard_normal(shape)
                inputs[name] = noise.astype(dtype)
            present = {name: np.ones(STEPS_OF_CLIP, bool) for name in streams}
            targets = draws.uniform(-1, 1, (STEPS_OF_CLIP, 2))
            times_s, valid = np.arange(STEPS_OF_CLIP) + 0.5, np.ones(STEPS_OF_CLIP, bool)
            rows.append(ClipRow(f"{split}{number}", f"{split}{number}", times_s, targets, valid, inputs, present).to_arrow())
        whole = datasets.Dataset.from_list(rows, features=arrow_features(list(streams)))
        if case.on_features:
            whole = whole.rename_columns({f"input.{name}": f"feature.{name}" for name in streams})
        whole.save_to_disk(folder / split)


def read_rows(model: AffectModel, folder: Path) -> tuple[WindowDataset, WindowDataset]:
    """Training and validation windows over the mapped rows."""
    train, val = (windows_over(datasets.load_from_disk(folder / split), model.config) for split in ("train", "val"))
    return train, val


def check_same_work(ours: Ours, bare: Bare) -> None:
    """Refuse to compare two loops whose loss or gradients differ on the first batch."""
    batch = next(iter(ours.fit.batches.epoch(0)))
    found = []
    for loss in (
        lambda: ours.fit.learner(
            batch["inputs"], batch["masks"], labels=batch["targets"], counted=batch["valid"], total=ours.fit.total
        ),
        lambda: direct_loss(bare.run(batch["inputs"], batch["masks"]), batch["targets"]),
    ):
        torch.manual_seed(0)  # the same dropout
        value = loss()
        value.backward()
        found.append(value.detach())
    gradients = [{n: w.grad for n, w in model.named_parameters() if w.grad is not None} for model in (ours.model, bare.model)]
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-4, rtol=1e-3)  # sums in another order
    for model in (ours.model, bare.model):
        model.zero_grad()


def overhead(case: Case, model: AffectModel, data: Path, folder: Path) -> dict[str, Any]:
    """Milliseconds per step of both loops on windows in memory, and of what ours does besides steps."""
    train, val = (Kept(windows) for windows in read_rows(model, data))
    ours = Ours(case, model, train, val, folder)
    bare = Bare(case, model, train, ours.fit.accelerator.device, ours.experiment.train)
    ours.fit.learner.train()
    bare.model.train()
    check_same_work(ours, bare)
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    contenders: dict[str, Callable[[], float]] = {"ours": lambda: ours.epoch()[0], "bare": bare.epoch}
    for number in range(-1, case.rounds):  # the first warms up
        for name in sorted(contenders, reverse=number % 2 == 0):
            spent = contenders[name]()
            if number >= 0:
                seconds[name].append(spent)
    ms = {name: [1000 * value / case.steps for value in values] for name, values in seconds.items()}
    ours.validate()
    return {
        "case": case.name,
        "batch": case.batch_size,
        "ms": ms,
        "ratio": min(ms["ours"]) / min(ms["bare"]),
        "median ratio": statistics.median(a / b for a, b in zip(ms["ours"], ms["bare"], strict=True)),
        "checkpoint ms": min(1000 * timed(ours.fit._save) for _ in range(3)),
        "validation ms": min(1000 * timed(ours.validate) for _ in range(3)) / len(ours.fit.validation),
    }


def print_overhead(row: dict[str, Any], case: Case) -> None:
    """One line: what is above a bare loop."""
    cells = [f"{min(values):.2f} ({max(values):.2f})" for values in row["ms"].values()]
    print(
        f"| {case.name}, batch {case.batch_size} | {case.steps} x {case.rounds} | {' | '.join(cells)} | {row['ratio']:.3f} | "
        f"{row['median ratio']:.3f} | {LARGEST_OVERHEAD} | {'met' if row['ratio'] <= LARGEST_OVERHEAD else 'NOT met'} |",
        flush=True,
    )


def vectorised(case: Case, model: AffectModel, device: torch.device, repeats: int) -> dict[str, float]:
    """Windows per second, forward and backward, of fusion and head, vectorised and looping over the batch."""
    network: Any = copy.deepcopy(model).to(device).eval()  # without dropout, so that both must agree
    features = {name: torch.randn(case.batch_size, L, dim, device=device) for name, dim in model.feature_dims.items()}
    variants: dict[str, Callable[[], Tensor]] = {
        "vectorised": lambda: network.forward_features(features),
        "loop": lambda: network.head(loop_over_batch(network.fusion, features)),
    }
    torch.testing.assert_close(variants["vectorised"](), variants["loop"](), atol=1e-5, rtol=1e-4)

    def both_passes(function: Callable[[], Tensor]) -> None:
        network.zero_grad()
        function().square().mean().backward()
        synchronise()

    ms = interleaved({name: lambda f=f: both_passes(f) for name, f in variants.items()}, repeats)
    return {name: 1000 * case.batch_size / value for name, value in ms.items()}


def print_vectorised(found: dict[str, float], case: Case, device: torch.device) -> None:
    """The gain over the loop."""
    gain, least = found["vectorised"] / found["loop"], SMALLEST_GAIN[device.type]
    print("\n| windows/s, forward + backward | vectorised | loop over the batch | ratio | at least | |")
    print("|---|---:|---:|---:|---:|---|")
    print(
        f"| {case.name}, batch {case.batch_size} | {found['vectorised']:.0f} | {found['loop']:.0f} | {gain:.2f} | {least} | "
        f"{'met' if gain >= least else 'NOT met'} |",
        flush=True,
    )


def reading(case: Case, model: AffectModel, data: Path, folder: Path) -> list[dict[str, Any]]:
    """Speed and share of waiting with some workers, on rows mapped from files that the system holds in memory."""
    folder.mkdir()
    loops = {}
    for workers in WORKERS:
        loops[workers] = Ours(case, model, *read_rows(model, data), folder / str(workers), workers)
        loops[workers].epoch()  # which starts the workers
    found: dict[int, list[tuple[float, float]]] = {workers: [] for workers in WORKERS}
    for _ in range(max(1, case.rounds // 2)):
        for workers, loop in loops.items():
            found[workers].append(loop.epoch()[1:])
    return [
        {"case": case.name, "workers": workers, "speed": max(s for s, _ in rounds), "waiting": min(w for _, w in rounds)}
        for workers, rounds in found.items()
    ]


def main() -> None:
    """Parse the options, measure, print the tables and whether the requirements are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    parser.add_argument("--quick", action="store_true", help="few steps: a check that it runs, not a measurement")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    datasets.disable_progress_bars()
    os.environ["TERM"] = "xterm"  # or the bar would be left out where there is no terminal
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    machine = f"{cpu_name()}, {options.threads} threads, torch {torch.__version__}, Python {platform.python_version()}"
    print(f"$ python {' '.join(sys.argv)}\n{machine}", flush=True)
    chosen = cases(options.quick)
    models = [build(case) for case in chosen]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = [folder / f"rows{number}" for number in range(len(chosen))]
        for case, model, path in zip(chosen, models, data, strict=True):
            write_rows(case, model, path)
        each = list(enumerate(zip(chosen, models, data, strict=True)))
        print("\n| ms per step: best (worst) round | steps x rounds | affectzoo | bare | ratio | median | at most | |")
        print("|---|---:|---:|---:|---:|---:|---:|---|", flush=True)
        loops = []
        for number, parts in each:
            loops.append(overhead(*parts, folder / f"overhead{number}"))
            print_overhead(loops[-1], parts[0])
        print("\n| | ms per checkpoint | ms per validation batch |\n|---|---:|---:|")
        for row in loops:
            print(f"| {row['case']} | {row['checkpoint ms']:.1f} | {row['validation ms']:.1f} |", flush=True)
        head = vectorised(chosen[0], models[0], device, 3 if options.quick else 60)
        print_vectorised(head, chosen[0], device)
        print("\n| reading mapped rows, best round | workers | sub-sequences/s | waiting for data |\n|---|---:|---:|---:|")
        readers = []
        for number, parts in each:
            readers += reading(*parts, folder / f"reading{number}")
            for row in readers[-len(WORKERS) :]:
                print(f"| {row['case']} | {row['workers']} | {row['speed']:.0f} | {row['waiting']:.1%} |", flush=True)
    if options.json:
        result = {"machine": machine, "overhead": loops, "head": head, "reading": readers}
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
