"""Changed files end in a value or in the error that is promised, without more memory than a file can need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_changed_files_are_read_or_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.pickles.fuzz", "0", "120"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
