"""A model folder that is made beside its place and moved there when it is finished."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from affectzoo.errors import AffectzooError, InputError

#: Inside the scratch folder: where the finished model is expected, and a place for what it is made from.
MODEL, SOURCE = "model", "source"


@contextmanager
def building(final: Path, *, replace: bool, advice: str) -> Iterator[Path]:
    """A scratch folder beside `final`, deleted in the end; its folder `model` becomes `final` when the block ends well.

    Args:
        final: where the model goes; its parents are made.
        replace: put it in the place of what is there. Otherwise `final` must be absent or empty, also at the end.
        advice: what a user can do where nothing can be written.

    Raises:
        InputError: it cannot be written, for example because the disk is full.
    """
    scratch = None
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        # Beside it, for a rename within one file system is atomic.
        scratch = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".part", dir=final.parent))
        yield scratch
        if replace and final.exists():
            final.rename(scratch / "old")
        elif final.is_dir():
            final.rmdir()
        (scratch / MODEL).rename(final)
    except AffectzooError:
        raise
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{final} cannot be written: {reason}; {advice}") from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def remove_leftovers(final: Path) -> None:
    """Delete what killed processes left of `building(final)`; only where surely nobody else is building it."""
    for left in final.parent.glob(f".{final.name}.*.part"):
        shutil.rmtree(left, ignore_errors=True)
