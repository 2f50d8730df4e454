"""The command line. Each command imports what it needs when it runs, so that `affectzoo list` stays instant."""

from __future__ import annotations

import sys


def main() -> None:
    """Run `affectzoo`; a user's mistake is one sentence and exit code 2, `--debug` shows the traceback."""
    from affectzoo.cli.app import app
    from affectzoo.cli.console import complain
    from affectzoo.errors import AffectzooError

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


if __name__ == "__main__":
    main()
