"""`accelerate launch -m affectzoo.train FILE key=value ... [--resume]`: one experiment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from torch import distributed

from affectzoo.errors import AffectzooError
from affectzoo.train.experiment import read_experiment
from affectzoo.train.loop import train
from affectzoo.train.runs import run_folder
from affectzoo.train.state import StoppedError

USAGE = "usage: accelerate launch -m affectzoo.train FILE [dotted.key=value ...] [--resume]"


def run(experiment: str | Path, overrides: list[str], *, resume: bool = False) -> None:
    """Train and print the test scores; a run that is told to stop (SIGTERM) says how to go on.

    Raises:
        AffectzooError: something is wrong with the experiment.
    """
    config = read_experiment(experiment, overrides)
    first = os.environ.get("RANK", "0") == "0"
    try:
        result = train(config, resume=resume)
    except StoppedError:
        if first:
            print(f"stopped; the state is saved in {run_folder(config)}: go on with --resume")
        return
    if first:
        split = "test" if "test" in result else "val"
        scores = {name: float("nan") if value is None else value for name, value in result[split].items()}
        print(" ".join(f"{split} {name}={value:.4f}" for name, value in scores.items()))


def main(arguments: list[str] | None = None) -> int:
    """Run the experiment named on the command line; 0, or 2 after one sentence on what was wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = [argument for argument in arguments if argument.startswith("-")]
    words = [argument for argument in arguments if argument not in options]
    if {"-h", "--help"} & set(options):
        print(USAGE)
        return 0
    if not words or options not in ([], ["--resume"]):
        print(USAGE, file=sys.stderr)
        return 2
    try:
        run(words[0], words[1:], resume="--resume" in options)
    except AffectzooError as error:
        # Every process says it: the first to fail ends the others, which may not have come so far.
        rank = os.environ.get("RANK", "0")
        print(f"affectzoo{'' if rank == '0' else f' (process {rank})'}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    code = main()
    if code == 0 and distributed.is_initialized():
        # Else its threads outlive the interpreter now and then, and a run that went well ends with an abort.
        distributed.destroy_process_group()
    sys.exit(code)
