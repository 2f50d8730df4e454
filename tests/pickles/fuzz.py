"""Changed files, read in a process of its own with little memory and time: `python fuzz.py SEED CASES`.

Ends with 0 if each was read or refused in the way that is promised; prints the first that was not.
"""

from __future__ import annotations

import collections
import io
import pickle
import random
import resource
import signal
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

import affectzoo
from affectzoo.errors import CheckpointError, DataError
from tests.pickles.attacks import legacy, zipped

#: More than the interpreter has when it begins. The largest of the files has 5 kB.
MEMORY = 256 << 20
SECONDS_EACH = 5


def torch_file(value: Any, *, zip_format: bool) -> bytes:
    out = io.BytesIO()
    torch.save(value, out, _use_new_zipfile_serialization=zip_format)
    return out.getvalue()


def records_of(file: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        return {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}


def subjects() -> dict[str, tuple[bytes, Callable[[bytes], bytes], Callable[[Path], Any]]]:
    """Name -> (what is changed, how it becomes a file, what reads the file)."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    state = {"epoch": 1, "best": np.float64(0.5), "seen": {1, 2}, "state_dict": module.state_dict()}
    records = records_of(torch_file(module, zip_format=True))
    plain = {"a": [np.arange(4.0), np.float32(2)], "b": {b"x", 1}, ("c", 2): collections.OrderedDict(d=1.5), "e": "é" * 20}

    def whole(file: bytes) -> bytes:
        return file

    return {
        "zip": (torch_file(module, zip_format=True), whole, affectzoo.read_state_dict),
        "zip, the pickle": (
            records["data.pkl"],
            lambda data: zipped(b"", {**records, "data.pkl": data}),
            affectzoo.read_state_dict,
        ),
        "legacy": (torch_file(state, zip_format=False), whole, affectzoo.read_state_dict),
        "legacy, the pickle": (pickle.dumps(state, 2), legacy, affectzoo.read_state_dict),
        "arrays": (pickle.dumps({"w": np.arange(4.0)}, 2), whole, affectzoo.read_state_dict),
        "safetensors": (save(module.state_dict()), whole, affectzoo.read_state_dict),
        **{f"plain {p}": (pickle.dumps(plain, p), whole, affectzoo.read_pickle) for p in (0, 2, 5)},
    }


def changed(data: bytes, chance: random.Random) -> bytes:
    """A few bytes other, a part gone, twice, or moved, the rest cut, or a number made as large as can be."""
    given = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(given) + 1)
        to = min(len(given), at + chance.choice((1, 2, 4, 8, 30)))
        match chance.randrange(8):
            case 0 | 1:
                given[at:to] = chance.randbytes(to - at)
            case 2:
                given[at:to] = b"\xff" * (to - at)
            case 3:
                del given[at:to]
            case 4:
                given[at:at] = given[at:to]
            case 5:
                given[at:at] = bytes(given[chance.randrange(len(given) + 1) :][:12])
            case 6 if chance.random() < 0.3:
                del given[at:]
            case _:
                given[at:at] = bytes([chance.choice(b"()0RbtudsaeQ\x81\x85\x86\x87\x90\x91\x92\x93\x94\x95\x96.2h}]")])
    return bytes(given)


def main(seed: int, cases: int) -> None:
    files = subjects()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    read_well = collections.Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "given"
        for name, (data, file_of, read) in files.items():
            path.write_bytes(file_of(data))
            if name != "legacy, the pickle":
                read(path)
            for case in range(cases):
                chance = random.Random(f"{seed} {name} {case}")
                path.write_bytes(file_of(changed(data, chance)))
                signal.alarm(SECONDS_EACH)
                try:
                    read(path)
                    read_well[name] += 1
                except (CheckpointError, DataError) as error:
                    message = str(error)
                    if "allocate" in message or "MemoryError" in message or not message.isprintable():
                        sys.exit(f"{name}, case {case}: {message!r}")
                except BaseException as error:
                    sys.exit(f"{name}, case {case}: {type(error).__name__}: {error}")
                signal.alarm(0)
    print(dict(read_well))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
