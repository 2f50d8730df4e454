"""Writing an output so that an interrupted run leaves no half file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from affectzoo.errors import InputError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix; renamed to `path` when the block ends well, deleted otherwise.

    Parent folders are made.

    Raises:
        InputError: `path` is a folder, or nothing can be written there.
    """
    final = Path(path)
    if final.is_dir():
        raise InputError(f"{final} is a folder; give the name of a file to write")
    # The suffix stays last: writers of pictures and videos choose the format by it.
    temporary = final.with_name(f".{final.stem}.{os.getpid()}.part{final.suffix}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        # Found out before the work is done, and as a fault of this path rather than of whatever the block does.
        temporary.touch()
    except OSError as error:
        raise _unwritable(final, error) from error
    try:
        yield temporary
        temporary.replace(final)
    except OSError as error:
        raise _unwritable(final, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> InputError:
    reason = error.strerror or str(error) or type(error).__name__
    return InputError(f"{path} cannot be written: {reason}; choose another place")
