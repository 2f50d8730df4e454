"""`accelerate launch -m affectzoo.train FILE key=value ...`: one experiment."""

from __future__ import annotations

import sys

from affectzoo.errors import AffectzooError
from affectzoo.train.experiment import read_experiment
from affectzoo.train.loop import train


def main(arguments: list[str] | None = None) -> int:
    """Run the experiment named on the command line; 0, or 2 after one sentence on what was wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: accelerate launch -m affectzoo.train FILE [dotted.key=value ...]")
        return 0 if arguments else 2
    try:
        result = train(read_experiment(arguments[0], arguments[1:]))
    except AffectzooError as error:
        print(f"affectzoo: {error}", file=sys.stderr)
        return 2
    print(" ".join(f"test {name}={value:.4f}" for name, value in result["test"].items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
