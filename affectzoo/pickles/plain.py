"""A pickle of containers, numbers and arrays that somebody else wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from affectzoo.errors import DataError
from affectzoo.pickles.admitted import PLAIN
from affectzoo.pickles.unpickler import InertUnpickler
from affectzoo.pickles.values import Refused


def read_pickle(path: str | Path) -> Any:
    """What the file holds: containers, text, numbers and plain numpy arrays. Runs nothing of it.

    Text of Python 2 is read as latin1; an OrderedDict is a dictionary.

    Raises:
        DataError: the file is absent or damaged, or names something else, which the message says.
    """
    path = Path(path)
    try:
        return InertUnpickler(path.read_bytes(), PLAIN).load()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except Refused as error:
        raise DataError(f"{path} is not read as a pickle of containers and arrays: {error}; fetch it again") from error
