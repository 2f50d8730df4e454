"""`accelerate launch -m affectzoo.train FILE key=value ...`: one experiment."""

from __future__ import annotations

import sys
from pathlib import Path

from affectzoo.errors import AffectzooError
from affectzoo.train.experiment import read_experiment
from affectzoo.train.loop import train

USAGE = "usage: accelerate launch -m affectzoo.train FILE [dotted.key=value ...]"


def run(experiment: str | Path, overrides: list[str]) -> None:
    """Train and print the test scores; raises `AffectzooError` where something is wrong with the experiment."""
    result = train(read_experiment(experiment, overrides))
    print(" ".join(f"test {name}={value:.4f}" for name, value in result["test"].items()))


def main(arguments: list[str] | None = None) -> int:
    """Run the experiment named on the command line; 0, or 2 after one sentence on what was wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if arguments else 2
    try:
        run(arguments[0], arguments[1:])
    except AffectzooError as error:
        print(f"affectzoo: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
