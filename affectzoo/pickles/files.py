"""The formats of torch: which one a file has, and what lies where in it."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

import torch
from torch import Tensor

from affectzoo.errors import CheckpointError
from affectzoo.pickles.tensors import ADMITTED, Read, Storage, storage_of
from affectzoo.pickles.unpickler import InertUnpickler
from affectzoo.pickles.values import Refused, shown

#: Of the pickle in a torch file, which only describes the tensors: some hundred bytes for each.
_MAX_DESCRIPTION = 16 << 20
_MAX_PREAMBLE = 4096

#: Bytes that are read at once.
_PART = 1 << 24

_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_RECORDS = re.compile(r"[^/]+/data\.pkl")


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Read]]:
    """What a file of `torch.save` (zip or legacy) or a plain pickle holds, and how to read the bytes of its tensors.

    Raises:
        CheckpointError: also for what goes wrong within the block: a damaged file is found out late.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
            if not head:
                raise Refused("it is empty; fetch it again")
            if head[257:262] == b"ustar":
                raise Refused(
                    "it is in torch's tar format of before 2017; load it where you trust it, with "
                    "torch.load(FILE, weights_only=False), and torch.save its state_dict()"
                )
            if head.startswith(b"PK\x03\x04"):
                with zipfile.ZipFile(file) as archive:
                    yield _zip(archive, path.stat().st_size)
            elif _MAGIC.to_bytes(10, "little") in head[:32]:
                yield _legacy(file, path.stat().st_size)
            else:
                yield _plain(file, head), _nothing
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except Refused as error:
        raise CheckpointError(f"{path} is not read: {error}") from error
    except (zipfile.BadZipFile, struct.error, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        # What zipfile has for archives that are cut or forged.
        raise CheckpointError(f"{path} is damaged ({shown(str(error))}); fetch it again") from error


def _zip(archive: zipfile.ZipFile, size: int) -> tuple[Any, Read]:
    """`NAME/data.pkl` describes, `NAME/data/KEY` are the storages."""
    infos = archive.infolist()
    names = [info.filename for info in infos]
    for info in infos:
        if ".." in info.filename.split("/") or info.filename.startswith("/") or "\\" in info.filename:
            raise Refused(f"it has a record of the name {shown(info.filename)!r}, which leads out of the archive")
    pickles = [name for name in names if _RECORDS.fullmatch(name)]
    if any(re.fullmatch(r"[^/]+/(constants\.pkl|code/.*)", name) for name in names):
        raise Refused("it is a TorchScript archive, which holds code; save the state_dict() of its model instead")
    if len(pickles) != 1:
        raise Refused("it is a zip archive but no checkpoint of torch, which would hold one data.pkl")
    if len(set(names)) != len(names):
        raise Refused("it has two records of one name")
    for info in infos:
        if info.flag_bits & 1:
            raise Refused(f"its record {shown(info.filename)} is encrypted")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise Refused(f"its record {shown(info.filename)} is compressed, as torch.save never does")
    if sum(info.file_size for info in infos) > size:
        raise Refused("its records are larger than the file")
    root = pickles[0].removesuffix("data.pkl")
    for name in (f"{root}byteorder", pickles[0]):
        if name in names and archive.getinfo(name).file_size > _MAX_DESCRIPTION:
            raise Refused(f"its record {shown(name)} is larger than {_MAX_DESCRIPTION} bytes")
    if f"{root}byteorder" in names:
        _check_order(archive.read(f"{root}byteorder") == b"little")

    def read(storage: Storage) -> Tensor:
        name = f"{root}data/{storage.key}"
        if name not in archive.NameToInfo:
            raise Refused(f"it lacks the record {shown(name)}")
        memory = _memory_for(storage, f"record {shown(name)}", archive.getinfo(name).file_size)
        with archive.open(name) as record:
            _fill(memory, record, f"record {shown(name)}")
        return memory

    return _load(archive.read(pickles[0])), read


def _legacy(file: BinaryIO, size: int) -> tuple[Any, Read]:
    """Five pickles (magic number, protocol, system, what was saved, keys of storages); then each storage: count, elements."""

    def load(at: int, limit: int) -> tuple[Any, int]:
        file.seek(at)
        unpickler = InertUnpickler(file.read(limit), ADMITTED, holders=True, persistent=storages)
        return unpickler.load(), at + unpickler.end

    dtypes: dict[str, Storage] = {}

    def storages(pid: Any) -> Any:
        found = storage_of(pid)
        if isinstance(found, Storage):
            dtypes[found.key] = found
        return found

    _magic, at = load(0, _MAX_PREAMBLE)
    protocol, at = load(at, _MAX_PREAMBLE)
    system, at = load(at, _MAX_PREAMBLE)
    if protocol != _LEGACY_PROTOCOL or not isinstance(system, dict):
        raise Refused(f"it is in the protocol {shown(str(protocol), 20)} of torch, not {_LEGACY_PROTOCOL}")
    _check_order(system.get("little_endian", True) is True)
    value, at = load(at, _MAX_DESCRIPTION)
    keys, at = load(at, _MAX_DESCRIPTION)
    places: dict[str, tuple[int, int]] = {}
    for key in keys if isinstance(keys, list) else [None]:
        if type(key) is not str or key not in dtypes or key in places:
            raise Refused("its list of storages is malformed")
        file.seek(at)
        (count,) = struct.unpack("<q", file.read(8))
        length = count * dtypes[key].dtype.itemsize
        at += 8
        if count < 0 or at + length > size:
            raise Refused(f"its storage {shown(key)} ends too early")
        places[key] = at, length
        at += length

    def read(storage: Storage) -> Tensor:
        if storage.key not in places:
            raise Refused(f"it lacks the storage {shown(storage.key)}")
        start, length = places[storage.key]
        memory = _memory_for(storage, f"storage {shown(storage.key)}", length)
        file.seek(start)
        _fill(memory, file, f"storage {shown(storage.key)}")
        return memory

    return value, read


def _plain(file: BinaryIO, head: bytes) -> Any:
    # The empty ones of protocols 0 and 1, marks and names; a protocol from 2 on is said first.
    if head[:1] not in (pickle.PROTO, b"(", b"}", b"]", b")", b"c"):
        raise Refused(
            f"it is neither safetensors nor a file of torch nor a pickle; it begins with {head[:16]!r}; give another file"
        )
    file.seek(0)
    return _load(file.read())


def _load(data: bytes) -> Any:
    return InertUnpickler(data, ADMITTED, holders=True, persistent=storage_of).load()


def _nothing(storage: Storage) -> Tensor:  # noqa: ARG001
    raise Refused("it names storages of torch, but is a plain pickle that holds none")


def _check_order(little: bool) -> None:
    if not little:
        raise Refused("it was written on a big-endian machine; load and save it again on a little-endian one")


def _memory_for(storage: Storage, name: str, length: int) -> Tensor:
    """Asked for when the file is known to have as much: `length` is that of the record."""
    if length != storage.nbytes:
        raise Refused(f"its {name} has {length} bytes, not the {storage.nbytes} of {storage.count} {storage.dtype}")
    return torch.empty(length, dtype=torch.uint8)


def _fill(memory: Tensor, source: IO[bytes], name: str) -> None:
    rest = memory.numpy().data
    while len(rest):
        part = source.read(min(len(rest), _PART))
        if not part:
            raise Refused(f"its {name} ends too early")
        rest[: len(part)] = part
        rest = rest[len(part) :]
