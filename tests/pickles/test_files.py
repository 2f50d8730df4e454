"""Files of torch that are cut, forged, foreign, or in a form that is not read: one sentence for each."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

import affectzoo
from affectzoo.errors import CheckpointError
from tests.pickles.attacks import legacy, program, text, zipped

FLOATS = struct.pack("<4f", 1, 2, 3, 4)


def tensor(
    *,
    kind: bytes = b"ctorch\nFloatStorage\n",
    key: bytes = text("0"),
    count: bytes = b"K\x04",
    offset: bytes = b"K\x00",
    size: bytes = b"K\x04\x85",
    stride: bytes = b"K\x01\x85",
    part: bytes = b"",
) -> bytes:
    """The opcodes of {"w": tensor}, of which each part can be chosen; sound as they stand."""
    storage = b"(" + text("storage") + kind + key + text("cpu") + count + part + b"tQ"
    return b"\x80\x02}" + text("w") + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + size + stride + b"\x89}tRs."


def large(number: int) -> bytes:
    return b"\x8a\x09" + number.to_bytes(9, "little", signed=True)


def read(tmp_path: Path, data: bytes) -> dict[str, Tensor]:
    path = tmp_path / "given.pt"
    path.write_bytes(data)
    return affectzoo.read_state_dict(path)


def refused(tmp_path: Path, data: bytes, why: str) -> None:
    with pytest.raises(CheckpointError, match=why) as caught:
        read(tmp_path, data)
    assert str(caught.value).startswith(str(tmp_path / "given.pt"))
    assert "\n" not in str(caught.value)


def in_zip(body: bytes) -> bytes:
    return zipped(body, {"data/0": FLOATS})


def in_legacy(body: bytes) -> bytes:
    return legacy(body, struct.pack("<q", 4) + FLOATS, ("0",))


@pytest.mark.parametrize("wrap", [in_zip, in_legacy])
def test_a_file_put_together_by_hand_is_read(tmp_path: Path, wrap: Any) -> None:
    assert read(tmp_path, wrap(tensor()))["w"].tolist() == [1, 2, 3, 4]
    assert read(tmp_path, wrap(tensor(offset=b"K\x03", size=b")", stride=b")")))["w"].item() == 4
    assert read(tmp_path, wrap(tensor(kind=b"ctorch.cuda\nFloatStorage\n")))["w"].tolist() == [1, 2, 3, 4]
    untyped = tensor(kind=b"ctorch.storage\nUntypedStorage\n", count=b"K\x10", size=b"K\x10\x85")
    if wrap is in_zip:
        assert bytes(read(tmp_path, wrap(untyped))["w"].tolist()) == FLOATS


def test_a_part_of_a_storage_as_old_files_have_them(tmp_path: Path) -> None:
    part = b"(" + text("view") + b"K\x01K\x02t"
    assert read(tmp_path, in_legacy(tensor(part=part, size=b"K\x02\x85")))["w"].tolist() == [2, 3]
    assert read(tmp_path, in_legacy(tensor(part=b"N")))["w"].tolist() == [1, 2, 3, 4]
    refused(tmp_path, in_legacy(tensor(part=part, size=b"K\x03\x85")), "reaches beyond its storage of 2 elements")
    refused(tmp_path, in_legacy(tensor(part=b"(" + text("v") + b"K\x03K\x02t")), "view of a storage that ends at 5 of 4")
    refused(tmp_path, in_legacy(tensor(part=b"(" + text("v") + b"J\xff\xff\xff\xffK\x02t")), "view of a storage that is malf")


@pytest.mark.parametrize("wrap", [in_zip, in_legacy])
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"size": b"K\x05\x85"}, r"tensor \[5\] that reaches beyond its storage of 4"),
        ({"offset": b"K\x01"}, "reaches beyond"),
        ({"stride": b"K\x02\x85"}, "reaches beyond"),
        ({"size": b"J\xff\xff\xff\xff\x85"}, "sizes or strides are malformed"),
        ({"stride": b"J\xff\xff\xff\xff\x85"}, "sizes or strides are malformed"),
        ({"offset": b"J\xff\xff\xff\xff"}, "offset, sizes and strides are malformed"),
        ({"offset": large(1 << 63)}, "malformed"),
        ({"size": large(1 << 62) + b"\x85", "stride": b"K\x00\x85"}, "reaches beyond"),
        ({"size": large(1 << 62) + large(4) + b"\x86", "stride": b"K\x00K\x00\x86"}, "reaches beyond"),
        ({"size": b"J\x00\x00\x00\x01\x85", "stride": b"K\x00\x85"}, "reaches beyond"),
        ({"size": large(3 << 61) + b"\x85", "stride": large(3 << 61) + b"\x85"}, "reaches beyond"),
        ({"size": b"K\x04K\x01\x86"}, "offset, sizes and strides are malformed"),
        ({"size": b"G\x00\x00\x00\x00\x00\x00\x00\x00\x85"}, "malformed"),
        ({"size": b"\x88\x85"}, "malformed"),
        ({"size": b"(" + b"K\x01" * 65 + b"t", "stride": b"(" + b"K\x01" * 65 + b"t"}, "malformed"),
        ({"count": b"J\xff\xff\xff\xff"}, "storage that is malformed"),
        ({"count": large(1 << 63)}, "storage that is malformed"),
        ({"count": b"\x88"}, "storage that is malformed"),
        ({"key": b"K\x00"}, "storage that is malformed"),
        ({"kind": text("FloatStorage")}, "storage of str"),
        ({"kind": b"ctorch\nQInt8Storage\n"}, r"storage of torch\.QInt8Storage"),
        ({"kind": b"cos\nFloatStorage\n"}, r"storage of os\.FloatStorage"),
        # What the description says of the storage is not what the file has.
        ({"count": b"K\x05"}, "has 16 bytes, not the 20 of 5"),
        ({"count": large(1 << 60)}, "has 16 bytes, not the"),
        ({"kind": b"ctorch\nDoubleStorage\n"}, r"has (16|32) bytes, not the 32|ends too early"),
        ({"key": text("7")}, r"lacks the record saved/data/7|list of storages is malformed"),
        ({"key": text("../0")}, r"lacks the record saved/data/\.\./0|list of storages is malformed"),
    ],
)
def test_forged_tensors_are_refused(tmp_path: Path, wrap: Any, change: dict[str, bytes], why: str) -> None:
    refused(tmp_path, wrap(tensor(**change)), why)


def test_a_storage_of_two_sizes_is_refused(tmp_path: Path) -> None:
    both = program(tensor()[2:-1] + tensor(count=b"K\x02", size=b"K\x02\x85", kind=b"ctorch\nLongStorage\n")[2:-1], 2)
    # [{"w": floats}, {"w": longs}] as one mapping
    body = both.replace(b"(}", b"}").replace(b"l.", b".").replace(b"s}" + text("w"), b"s" + text("v"))
    found = read(tmp_path, in_zip(body))
    assert found["v"].dtype == torch.int64
    body = body.replace(b"LongStorage", b"IntStorage").replace(b"K\x02\x85", b"K\x01\x85")
    refused(tmp_path, in_zip(body), "has 16 bytes, not the 8|two sizes")


def test_records_that_lead_out_of_the_archive_are_refused(tmp_path: Path) -> None:
    for name in ("../out", "data/../../out", "..\\out"):
        refused(tmp_path, zipped(tensor(), {"data/0": FLOATS, name: b""}), "leads out of the archive")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("/etc/data.pkl", b"")
    refused(tmp_path, out.getvalue(), "leads out of the archive")


def test_archives_that_grow_are_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("saved/data.pkl", tensor())
        archive.writestr("saved/data/0", bytes(1 << 20))
    refused(tmp_path, out.getvalue(), "is compressed, as torch.save never does")
    # A size in the directory that the file does not have.
    sound = in_zip(tensor())
    at = sound.rindex(b"saved/data/0") - 46
    forged = bytearray(sound)
    forged[at + 20 : at + 28] = struct.pack("<II", 1 << 30, 1 << 30)
    refused(tmp_path, bytes(forged), "records are larger than the file")
    # Two entries of the directory for the same bytes.
    overlapping = zipped(tensor(), {"data/0": FLOATS * 1000, "data/1": b""})
    at = overlapping.rindex(b"saved/data/1") - 46
    first = overlapping.rindex(b"saved/data/0") - 46
    forged = bytearray(overlapping)
    forged[at + 16 : at + 28] = overlapping[first + 16 : first + 28]
    forged[at + 42 : at + 46] = overlapping[first + 42 : first + 46]
    refused(tmp_path, bytes(forged), "records are larger than the file")


def test_encrypted_and_doubled_records_are_refused(tmp_path: Path) -> None:
    sound = bytearray(in_zip(tensor()))
    at = sound.rindex(b"saved/data/0") - 46
    sound[at + 8] |= 1
    refused(tmp_path, bytes(sound), "record saved/data/0 is encrypted")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("saved/data.pkl", tensor())
        archive.writestr("saved/data/0", FLOATS)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("saved/data/0", FLOATS)
    refused(tmp_path, out.getvalue(), "two records of one name")


def test_a_changed_byte_of_a_tensor_is_found(tmp_path: Path) -> None:
    sound = in_zip(tensor())
    refused(tmp_path, sound.replace(FLOATS, FLOATS[:-1] + b"\xff"), "is damaged .*CRC.*fetch it again")


def test_cut_files_are_damaged_at_every_length(tmp_path: Path) -> None:
    for wrap in (in_zip, in_legacy):
        sound = wrap(tensor())
        for length in range(0, len(sound), 7):
            refused(tmp_path, sound[:length], "is damaged|is not read: ")


def test_byte_order_and_protocol_are_said(tmp_path: Path) -> None:
    refused(tmp_path, zipped(tensor(), {"data/0": FLOATS, "byteorder": b"big"}), "big-endian machine")
    refused(tmp_path, legacy(tensor(), little=False), "big-endian machine")
    refused(tmp_path, legacy(tensor(), protocol=1002), "protocol 1002 of torch, not 1001")


def test_legacy_lists_of_storages_are_looked_at(tmp_path: Path) -> None:
    storage = struct.pack("<q", 4) + FLOATS
    for keys in (("1",), ("0", "0"), (0,), ([],)):
        refused(tmp_path, legacy(tensor(), storage * 2, keys), "list of storages is malformed")  # pyright: ignore
    refused(tmp_path, legacy(tensor(), b"", ()), "lacks the storage 0")
    for count in (-1, 5, 1 << 62):
        refused(tmp_path, legacy(tensor(), struct.pack("<q", count) + FLOATS, ("0",)), "ends too early")
    refused(tmp_path, legacy(tensor(), struct.pack("<q", 3) + FLOATS, ("0",)), "has 12 bytes, not the 16")


def test_other_formats_are_said_by_name(tmp_path: Path) -> None:
    scripted = zipped(tensor(), {"data/0": FLOATS, "constants.pkl": b"\x80\x02).", "code/__torch__.py": b""})
    refused(tmp_path, scripted, "TorchScript archive, which holds code")
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    refused(tmp_path, tar.getvalue(), "tar format of before 2017; load it where you trust it")
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("w.npy", b"")
    refused(tmp_path, other.getvalue(), "zip archive but no checkpoint of torch")
    refused(tmp_path, b"<!DOCTYPE html>", "neither safetensors nor a file of torch nor a pickle; it begins with b'<!DOCTYPE")
    refused(tmp_path, b"version https://git-lfs.github.com/spec/v1\n", "begins with b'version https://")
    refused(tmp_path, b"", "it is empty; fetch it again")
    refused(tmp_path, tensor(), "a plain pickle that holds none")
    refused(tmp_path, pickle.dumps(torch.ones(2)), r"would call torch\._utils\._rebuild_tensor_v2|_load_from_bytes")


def test_absent_files_and_folders_are_said(tmp_path: Path) -> None:
    for name in ("absent.pt", "absent.safetensors"):
        with pytest.raises(CheckpointError, match=f"{name} (cannot be read|is not a valid)"):
            affectzoo.read_state_dict(tmp_path / name)
    with pytest.raises(CheckpointError, match="is a folder; give the file of weights itself"):
        affectzoo.read_state_dict(tmp_path)


def test_damaged_safetensors_are_said(tmp_path: Path) -> None:
    sound = save({"w": torch.ones(4)})
    huge = (90_000_000).to_bytes(8, "little") + b"{}"
    for data in (sound[:-1], sound[:20], huge, b"", (1 << 62).to_bytes(8, "little") + sound[8:]):
        path = tmp_path / "given.safetensors"
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match="is not a valid safetensors file"):
            affectzoo.read_state_dict(path)


def test_descriptions_that_are_far_too_long_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("affectzoo.pickles.files._MAX_DESCRIPTION", 100)
    refused(tmp_path, in_zip(tensor() + bytes(200)), "data.pkl is larger than 100 bytes")
    refused(tmp_path, in_legacy(tensor(key=text("0" * 200))), "ends too early")
