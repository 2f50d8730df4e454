"""What a run ran on: versions, processor, GPUs, code. No names of hosts or users and no folders, because runs are shared."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import accelerate
import torch
from accelerate import Accelerator

import affectzoo
from affectzoo.files import write_json
from affectzoo.remote.folders import without_folders

_PATIENCE_S = 10.0


def write_environment(path: Path, accelerator: Accelerator, *, done: int = 0) -> None:
    """Write the environment as JSON; what a run that goes on after `done` steps ran on before is kept under `earlier`."""
    found = environment(accelerator) | {"from_step": done}
    if done:
        found["earlier"] = _earlier(path)
    write_json(path, found)


def environment(accelerator: Accelerator) -> dict[str, Any]:
    """Versions, machine, processes and code of this process, as JSON holds them."""
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "affectzoo": affectzoo.__version__,
        "torch": torch.__version__,
        "accelerate": accelerate.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_name(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "device": accelerator.device.type,
        "processes": accelerator.num_processes,
        "precision": accelerator.mixed_precision,
        "git": _git(),
        "command": [without_folders(word) for word in sys.orig_argv],
    }


def _earlier(path: Path) -> list[Any]:
    try:
        last = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [*last.pop("earlier", []), last]


def _cpu_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _git() -> dict[str, Any] | None:
    """Commit of the working directory and whether it has changes; None where there is no repository or no git."""
    answers = []
    for question in (["rev-parse", "HEAD"], ["status", "--porcelain"]):
        try:
            answer = subprocess.run(["git", *question], capture_output=True, text=True, timeout=_PATIENCE_S, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        answers.append(answer.stdout.strip())
    return {"commit": answers[0], "dirty": bool(answers[1])}
