"""Fresh interpreters that talk to a loopback Hub: the client reads its environment when it is imported."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from tests.hub.hub_server import HubServer

#: Before the code of a `Child`: `steps` are what it is asked, one at a time, and `answer` says one JSON object to each.
_STEPS = """
import json, sys

steps = map(json.loads, sys.stdin)

def answer(said):
    print(json.dumps(said), flush=True)
"""


def start(server: HubServer, home: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """`python ARGUMENTS`, not waited for; the client's cache is under `home`, `options` are `HubServer.environment`'s."""
    environment = server.environment(home, **options)
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *arguments], env=environment, stdout=pipe, stderr=pipe, text=True)


def ended(child: subprocess.Popen[str]) -> tuple[str, str]:
    """What it printed, on both streams, once it has ended well."""
    out, err = child.communicate(timeout=180)
    assert child.returncode == 0, err
    return out, err


class Child:
    """An interpreter that answers step after step: importing costs more than most steps.

    `text` holds all that it has printed, on both streams.
    """

    def __init__(self, server: HubServer, home: Path, code: str, **options: Any) -> None:
        self._err, self._out = TemporaryFile("w+"), ""  # noqa: SIM115  (closed by `close`)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _STEPS + code],
            env=server.environment(home, **options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._err,
            text=True,
        )

    @property
    def text(self) -> str:
        self._err.seek(0)
        return self._out + self._err.read()

    def answers(self, steps: Iterable[Any]) -> list[dict[str, Any]]:
        """What it says to each of the steps."""
        given, taken = self._process.stdin, self._process.stdout
        assert given is not None
        assert taken is not None
        said = []
        watch = threading.Timer(180, self._process.kill)
        watch.start()
        for step in steps:
            given.write(json.dumps(step) + "\n")
            given.flush()
            line = taken.readline()
            self._out += line
            assert line, self.text
            said.append(json.loads(line))
        watch.cancel()
        return said

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate(timeout=60)
        self._err.close()
