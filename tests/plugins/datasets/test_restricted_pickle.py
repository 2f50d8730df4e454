"""Pickles of others: plain data are read as written, and no way of calling something runs anything."""

from __future__ import annotations

import copyreg
import io
import pickle
import pickletools
import struct
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectzoo.errors import DataError
from affectzoo_datasets import restricted_pickle
from affectzoo_datasets.restricted_pickle import load_pickle

#: What every attack tries to call; a run of it leaves a file.
CALL = b"cbuiltins\nexec\n"


@pytest.fixture
def trace(tmp_path: Path) -> Iterator[Path]:
    """The file that an attack leaves when it runs."""
    path = tmp_path / "ran"
    yield path
    assert not path.exists()


def code_for(trace: Path) -> bytes:
    """The argument of an attack: one line of Python, as an opcode of text."""
    line = f"open({str(trace)!r}, 'w').close()".encode()
    return b"X" + struct.pack("<I", len(line)) + line


def load(tmp_path: Path, data: bytes) -> Any:
    path = tmp_path / "given.pkl"
    path.write_bytes(data)
    return load_pickle(path)


PLAIN: dict[str, Any] = {
    "containers": {"a": [1, 2.5, None, True], "b": (1, (2,)), "c": {1, 2}, "d": frozenset({"x"}), "e": {}},
    "text": ["plain", "é", b"bytes \xff", b"", 10**30],
    "float64": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">f4"),
    "float32": [np.full(4, np.nan, np.float32), np.zeros((0, 3), np.float32)],
    "others": [np.array(["é", "bb"]), np.array([True, False]), np.array(7), np.arange(3, dtype=np.uint8)],
    "scalars": [np.float64(0.1), np.float32(0.1), np.int64(-3), np.bool_(True)],
}


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("name", list(PLAIN))
def test_plain_data_are_read_as_they_were_written(tmp_path: Path, name: str, protocol: int) -> None:
    given = PLAIN[name]
    found = load(tmp_path, pickle.dumps(given, protocol=protocol))
    if name in ("containers", "text"):
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


def attacks(code: bytes) -> dict[str, bytes]:
    """Every opcode that calls, instantiates or gives a state."""
    stack = b"X\x08\x00\x00\x00builtinsX\x04\x00\x00\x00exec\x93"
    admitted = b"c__builtin__\nset\n"
    scalar = b"cnumpy.core.multiarray\nscalar\n"
    return {
        "GLOBAL and REDUCE": CALL + b"(" + code + b"tR.",
        "STACK_GLOBAL and REDUCE": b"\x80\x04" + stack + code + b"\x85R.",
        "STACK_GLOBAL of a dotted name": b"\x80\x04X\x08\x00\x00\x00builtinsX\x0c\x00\x00\x00set.__init__\x93.",
        "INST": b"(" + code + b"ibuiltins\nexec\n.",
        "OBJ": b"(" + CALL + code + b"o.",
        "NEWOBJ": b"\x80\x02" + CALL + b"(" + code + b"t\x81.",
        "NEWOBJ of a name that is admitted": b"\x80\x02" + admitted + b"(t\x81.",
        "NEWOBJ_EX": b"\x80\x04" + CALL + b"(" + code + b"t}\x92.",
        "BUILD on what is named": CALL + b"}X\x01\x00\x00\x00aK\x01sb.",
        "BUILD on a name that is admitted": scalar + b"}X\x0c\x00\x00\x00__defaults__K\x01sb.",
        "BUILD of slots on a name that is admitted": scalar + b"(N}X\x05\x00\x00\x00_callK\x01stb.",
        "copyreg._reconstructor": b"ccopy_reg\n_reconstructor\n(c__builtin__\nobject\nc__builtin__\nobject\nNtR.",
        "copyreg.__newobj__": b"ccopyreg\n__newobj__\n(" + CALL + code + b"tR.",
        "an import": b"cos\nsystem\n(" + code + b"tR.",
        "getattr": b"cbuiltins\ngetattr\n(c__builtin__\nset\nX\x09\x00\x00\x00__class__tR.",
        "numpy's own loader": b"cnumpy\nload\n(" + code + b"tR.",
        "a class of the standard library": pickle.dumps(OrderedDict(a=1), protocol=2),
        "PERSID": b"Pid\n.",
        "BINPERSID": code + b"Q.",
        "a decompressing codec": b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00hextR.",
        "bytes of any length": b"c__builtin__\nbytes\n(J\xff\xff\xff\x7ftR.",
        "ndarray as a call": b"cnumpy\nndarray\n((J\xff\xff\xff\x7fttR.",
        "ndarray by NEWOBJ": b"\x80\x02cnumpy\nndarray\n((K\x01tt\x81.",
        "_reconstruct of something else": b"cnumpy.core.multiarray\n_reconstruct\n(c__builtin__\nset\n(K\x00tU\x01btR.",
    }


@pytest.mark.parametrize("name", list(attacks(b"")))
def test_no_way_of_calling_runs_anything(tmp_path: Path, trace: Path, name: str) -> None:
    data = attacks(code_for(trace))[name]
    with pytest.raises(DataError, match="is not read as a pickle of containers and arrays"):
        load(tmp_path, data)


@pytest.mark.parametrize("name", ["GLOBAL and REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "STACK_GLOBAL and REDUCE"])
def test_the_refused_name_is_said(tmp_path: Path, trace: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"it names builtins\.exec, which is not admitted"):
        load(tmp_path, attacks(code_for(trace))[name])


@pytest.mark.parametrize("name", ["GLOBAL and REDUCE", "STACK_GLOBAL and REDUCE", "INST", "OBJ"])
def test_the_attacks_do_run_in_a_plain_unpickler(tmp_path: Path, name: str) -> None:
    # Or the tests above would prove nothing.
    mark = tmp_path / "plainly"
    pickle.loads(attacks(code_for(mark))[name])
    assert mark.exists()


@pytest.mark.parametrize("opcode", [b"\x82\xc8", b"\x83\xc8\x00", b"\x84\xc8\x00\x00\x00"])
@pytest.mark.parametrize("kept", [False, True])
def test_extension_codes_are_refused_even_when_the_interpreter_keeps_their_class(
    tmp_path: Path, trace: Path, opcode: bytes, kept: bool
) -> None:
    data = b"\x80\x02" + opcode + b"(" + code_for(trace) + b"tR."
    with pytest.raises(DataError, match="extension code"):
        load(tmp_path, data)
    copyreg.add_extension("builtins", "exec", 200)
    try:
        if kept:
            assert pickle.loads(b"\x80\x02" + opcode + b".") is exec
        with pytest.raises(DataError, match=r"it names builtins\.exec"):
            load(tmp_path, data)
    finally:
        copyreg.remove_extension("builtins", "exec", 200)
        copyreg.clear_extension_cache()


def test_what_is_admitted_cannot_be_altered_by_a_pickle(tmp_path: Path) -> None:
    for named in restricted_pickle._ADMITTED.values():
        assert not isinstance(named, type)
        assert not hasattr(named, "__dict__")
    with pytest.raises(DataError):
        load(tmp_path, attacks(b"")["BUILD on a name that is admitted"])
    assert load(tmp_path, pickle.dumps(np.float64(3), protocol=2)) == 3


class _Loud:
    """Says that it was made."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('ran')",)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (np.array([_Loud(), 1], dtype=object), "'O8' is not admitted"),
        (np.array([[1], 2], dtype=object), "'O8' is not admitted"),
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
        load_pickle(tmp_path / "absent.pkl")


def test_every_single_changed_byte_ends_in_data_or_in_a_data_error(tmp_path: Path) -> None:
    sound = pickle.dumps([np.arange(3.0), np.float32(2), {"a": b"x"}, {1}], protocol=2)
    random = np.random.default_rng(0)
    for _ in range(1500):
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
