"""The command line. Each command imports what it needs when it runs, so that `affectzoo list` stays instant."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    """Run `affectzoo`; a user's mistake is one sentence and exit code 2, `--debug` shows the traceback."""
    from affectzoo.cli.app import app
    from affectzoo.cli.console import complain
    from affectzoo.errors import AffectzooError

    with warnings.catch_warnings():
        warnings.showwarning = _with_our_warnings_as_sentences(warnings.showwarning)
        try:
            app()
        except AffectzooError as error:
            if "--debug" in sys.argv:
                raise
            complain(str(error))
            sys.exit(2)
        except KeyboardInterrupt:
            complain("interrupted")
            sys.exit(130)


def _with_our_warnings_as_sentences(usual: Callable[..., None]) -> Callable[..., None]:
    """What affectzoo warns of is meant for its user: no place in the code, no line of it."""
    from affectzoo.cli.console import remark
    from affectzoo.deprecations import AffectzooDeprecationWarning

    def show(message: Warning | str, category: type[Warning], filename: str, *rest: Any) -> None:
        ours = issubclass(category, AffectzooDeprecationWarning)  # a plugin's call may have led to it
        if ours or Path(filename).is_relative_to(Path(__file__).parents[1]):
            remark(f"Note: {message}")
        else:
            usual(message, category, filename, *rest)

    return show


if __name__ == "__main__":
    main()
