"""`python -m affectzoo.cards`, in the repository: the statement in every card and README's table, brought up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from affectzoo.cards.tables import refresh
from affectzoo.errors import AffectzooError

if __name__ == "__main__":
    try:
        changed = refresh(Path.cwd())
    except AffectzooError as error:
        sys.exit(f"affectzoo: {error}")
    for path in changed:
        print(f"refreshed {path.relative_to(Path.cwd())}")
