"""Pickles of containers and arrays: plain data are read as written, and forged arrays are refused."""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest

import affectzoo
from affectzoo.errors import DataError


def load(tmp_path: Path, data: bytes) -> Any:
    path = tmp_path / "given.pkl"
    path.write_bytes(data)
    return affectzoo.read_pickle(path)


PLAIN: dict[str, Any] = {
    "containers": {"a": [1, 2.5, None, True], "b": (1, (2,)), "c": {1, 2}, "d": frozenset({"x"}), "e": {}},
    "text": ["plain", "é", b"bytes \xff", b"", 10**30],
    "float64": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">f4"),
    "float32": [np.full(4, np.nan, np.float32), np.zeros((0, 3), np.float32)],
    "others": [np.array(["é", "bb"]), np.array([True, False]), np.array(7), np.arange(3, dtype=np.uint8)],
    "changeable": [bytearray(b"\xff\x00"), bytearray(), 1 - 2j, OrderedDict(b=1, a=2)],
    "keys": {1: 1, 2.5: 2, None: 3, b"b": 4, (1, "a"): 5},
    "scalars": [np.float64(0.1), np.float32(0.1), np.int64(-3), np.bool_(True)],
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", list(PLAIN))
def test_plain_data_are_read_as_they_were_written(tmp_path: Path, name: str, protocol: int) -> None:
    given = PLAIN[name]
    found = load(tmp_path, pickle.dumps(given, protocol=protocol))
    if name in ("containers", "text", "changeable", "keys"):
        assert found == given
        return
    for one, other in zip(found, given, strict=True) if isinstance(given, list) else [(found, given)]:
        assert one.dtype.newbyteorder("=") == other.dtype.newbyteorder("=")
        np.testing.assert_array_equal(one, other)


def test_arrays_and_text_of_python_2_are_read(tmp_path: Path) -> None:
    # numpy.core.multiarray, the data as an old string: 1.0 and 2.0.
    raw = struct.pack("<2d", 1.0, 2.0)
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    dtype = b"cnumpy\ndtype\n(U\x02f8K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    state = b"(K\x01(K\x02t" + dtype + b"I00\nU" + bytes([len(raw)]) + raw + b"tb"
    name = b"U\x04caf\xe9"
    found = load(tmp_path, b"\x80\x02(" + array + state + name + b"l.")
    np.testing.assert_array_equal(found[0], [1.0, 2.0])
    assert found[1] == "café"


def test_new_and_old_names_of_numpy_are_both_read(tmp_path: Path) -> None:
    data = pickle.dumps(np.arange(3.0), protocol=0)
    old, new = b"numpy.core.multiarray", b"numpy._core.multiarray"
    for one in (data.replace(new, old), data.replace(old, new)):
        np.testing.assert_array_equal(load(tmp_path, one), [0.0, 1.0, 2.0])


class _Loud:
    """Says that it was made."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('ran')",)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (np.array([_Loud(), 1], dtype=object), "'O8', which is not admitted"),
        (np.array([[1], 2], dtype=object), "'O8', which is not admitted"),
        (np.zeros(2, dtype=[("a", "i4"), ("b", "O")]), "is not admitted"),
        (np.zeros(2, dtype=[("a", "i4")]), "is not admitted"),
        (np.zeros(2, dtype="M8[s]"), "is not admitted"),
        (np.zeros(2, dtype="V8"), "is not admitted"),
    ],
)
def test_arrays_of_anything_but_numbers_and_text_are_refused(tmp_path: Path, given: np.ndarray, why: str) -> None:
    for protocol in (0, 2, 4):
        with pytest.raises(DataError, match=why):
            load(tmp_path, pickle.dumps(given, protocol=protocol))


def forged(shape: bytes, code: bytes, state: bytes, data: bytes) -> bytes:
    """An array of which each part can be chosen."""
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    dtype = b"cnumpy\ndtype\n(" + code + b"K\x00K\x01tR" + state + b"b"
    return b"\x80\x02" + array + b"(K\x01" + shape + dtype + b"I00\n" + data + b"tb."


SOUND = {
    "shape": b"(K\x01t",
    "code": b"U\x02i1",
    "state": b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t",
    "data": b"U\x01a",
}


def test_a_sound_array_put_together_by_hand_is_read(tmp_path: Path) -> None:
    np.testing.assert_array_equal(load(tmp_path, forged(**SOUND)), [97])


@pytest.mark.parametrize(
    "change",
    [
        {"shape": b"(J\xff\xff\xff\x7ft"},
        {"shape": b"(J\xff\xff\xff\xfft"},
        {"shape": b"(U\x01at"},
        {"shape": b"K\x01"},
        {"data": b"U\x03abc"},
        {"data": b"(K\x01l"},
        {"data": b"N"},
        {"code": b"U\x02O8"},
        {"code": b"U\x05i1,i1"},
        {"code": b"K\x01"},
        {"code": b"U\x02|V"},
        # Fields, a subarray, an order that there is not, and no tuple at all.
        {"state": b"(K\x03U\x01|N(U\x01at}J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"},
        {"state": b"(K\x03U\x01|(U\x02i1K\x09tNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"},
        {"state": b"(K\x03U\x01xNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"},
        {"state": b"N"},
    ],
)
def test_a_forged_array_is_refused_before_numpy_sees_it(tmp_path: Path, change: dict[str, bytes]) -> None:
    with pytest.raises(DataError):
        load(tmp_path, forged(**{**SOUND, **change}))


def test_cut_and_garbled_files_are_named(tmp_path: Path) -> None:
    sound = pickle.dumps(PLAIN["float32"], protocol=2)
    for data in (
        b"",
        b"PK\x03\x04",
        b"\x80\x63.",
        b"]q\x00.."[:3],
        sound[: len(sound) // 2],
        sound[:-1],
        b"version https://git-lfs\n",
    ):
        with pytest.raises(DataError, match=r"given\.pkl is not read"):
            load(tmp_path, data)
    with pytest.raises(DataError, match=r"absent\.pkl cannot be read"):
        affectzoo.read_pickle(tmp_path / "absent.pkl")


def test_every_single_changed_byte_ends_in_data_or_in_a_data_error(tmp_path: Path) -> None:
    sound = pickle.dumps([np.arange(3.0), np.float32(2), {"a": b"x"}, {1}], protocol=2)
    random = np.random.default_rng(0)
    for _ in range(600):
        data = bytearray(sound)
        data[random.integers(len(data))] = random.integers(256)
        try:
            load(tmp_path, bytes(data))
        except DataError:
            continue


def test_the_delivered_kind_of_pickle_needs_bytes_by_codec(tmp_path: Path) -> None:
    # Why _codecs.encode is admitted at all: Python 3 writes bytes so for Python 2.
    data = pickle.dumps(b"\xff", protocol=2)
    out = io.StringIO()
    pickletools.dis(data, out)
    assert "_codecs encode" in out.getvalue()
    assert load(tmp_path, data) == b"\xff"


def test_what_is_more_than_data_is_refused_by_name(tmp_path: Path) -> None:
    for protocol in (0, 2, 4):
        with pytest.raises(DataError, match=r"it names pathlib\.PurePosixPath, which is not admitted"):
            load(tmp_path, pickle.dumps({"path": PurePosixPath("a")}, protocol=protocol))
        with pytest.raises(DataError, match=r"it names test_plain_toy\.Toy, which is not admitted"):
            load(tmp_path, b"ctest_plain_toy\nToy\n.")


def test_reading_needs_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "given.pkl"
    path.write_bytes(pickle.dumps([np.arange(3)]))
    script = "import sys, affectzoo; affectzoo.read_pickle(sys.argv[1]); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=120)
