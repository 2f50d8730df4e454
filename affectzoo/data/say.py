"""What data have to be told about, on standard error."""

from __future__ import annotations

import os
import sys


def say(sentence: str) -> None:
    """One line on standard error, from the first process of a run only."""
    if os.environ.get("RANK", "0") == "0":
        print(sentence, file=sys.stderr, flush=True)
