"""The module that declares a component: it is imported at every command, so it must be light."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType
from typing import Any

from affectzoo.registry import KINDS, Spec
from affectzoo.testing.check import CheckFailed, Subject

#: Seconds that a hook module may take to import, in an interpreter of its own; far above what any needs.
_PATIENCE_S = 60


def declaring_module(subject: Subject) -> str | None:
    """Name of the imported module whose hook returns the subject's spec; None where there is none.

    Installed or not, whoever holds the spec of a plugin has imported its hook module.
    """
    hook = KINDS[subject.kind][0]
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and name != "__main__":
            function = vars(module).get(hook)
            # A hook that was imported from elsewhere is declared there.
            if hasattr(function, "affectzoo_impl") and function.__module__ == name and subject.spec in _declared_by(function):
                return name
    return None


def _declared_by(hook: Any) -> list[Spec]:
    try:
        return list(hook())
    except (Exception, SystemExit):  # another plugin's, which `affectzoo plugins` reports: no reason to stop checking this one
        return []


def _hook_without_torch(subject: Subject) -> None:
    module, hook = declaring_module(subject), KINDS[subject.kind][0]
    code = f"import sys; sys.path[:] = {sys.path!r}; import {module} as m; m.{hook}(); print('torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise CheckFailed(f"importing its hook module {module} takes more than {_PATIENCE_S} s") from error
    if done.returncode or not done.stdout.strip():  # without a word: it ended the process
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise CheckFailed(f"its hook module {module} cannot be imported in a fresh interpreter: {last}")
    if done.stdout.split()[-1] != "False":
        raise CheckFailed(
            f"importing {module} and calling its {hook} imports torch, which makes every command slow; import torch in the "
            f"module that the spec's target names, {subject.spec.target}"
        )


#: Added to the checks of every kind.
HOOK_CHECK = (
    "hook-without-torch",
    "The module that declares it imports without torch.",
    _hook_without_torch,
)
