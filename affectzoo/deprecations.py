"""What will be removed, said in time.

Whatever `affectzoo` exports stays as it is until a release has warned of its removal; from the first release that warns to
the one that removes lie at least two minor releases. A spec's `api_version` covers what plugins rely on beyond names.
"""

from __future__ import annotations

import warnings
from functools import cache


class AffectzooDeprecationWarning(FutureWarning):
    """Something that a later release removes. Shown by default: those who run a program must hear of it, too."""


@cache
def deprecated(what: str, instead: str, removed_in: str) -> None:
    """Warn, once per process, of something that will be removed; call it first in what is deprecated.

    Args:
        what: as its user writes it, such as `affectzoo.load_state(strict=False)`.
        instead: what to write in its place.
        removed_in: the release without it.
    """
    sentence = f"{what} is deprecated and will be removed in affectzoo {removed_in}; use {instead} instead"
    # Of the caller of what is deprecated: that is the line to change.
    warnings.warn(sentence, AffectzooDeprecationWarning, stacklevel=3)
