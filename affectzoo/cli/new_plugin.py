"""`affectzoo new-plugin`: an installable package to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path

from affectzoo.cli.console import out as console, remark
from affectzoo.scaffold import write_plugin


def new_plugin(name: str, kind: str, out: Path, *, licence: str | None = None) -> None:
    """Write the package; say what is in it and what to do next."""
    folder = write_plugin(name, kind, out, licence=licence)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        console.print(str(path), markup=False, soft_wrap=True)
    if licence is None:
        remark("Its licence is undecided, and its README says so: choose one before you share it.")
    console.print("\nNext:", style="dim")
    for command in (f"cd {shlex.quote(str(folder))}", 'pip install --editable ".[dev]"', "pytest"):
        console.print(f"  {command}", markup=False, soft_wrap=True)
