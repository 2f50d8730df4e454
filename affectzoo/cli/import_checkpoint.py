"""`affectzoo import`: a public checkpoint becomes an affectzoo folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from affectzoo.cli.console import out as console, remark
from affectzoo.cli.key_values import key_values


def import_file(
    kind: str, source: str, overrides: Sequence[str], *, out: Path, name: str | None, dtype: str | None, digest: str
) -> None:
    """Convert, then print what came out and how to use it."""
    options = key_values(overrides)

    from affectzoo.hub.importers.run import import_checkpoint

    folder = import_checkpoint(kind, source, out, options=options, name=name, dtype=dtype, digest=digest, say=remark)
    console.print(
        f'-> {folder}: affectzoo.load("{folder}"), or `affectzoo predict --model {folder} FILES`', markup=False, soft_wrap=True
    )
