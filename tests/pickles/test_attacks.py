"""Malicious pickles: nothing of them runs, whatever file they come in, and the refusal says what they wanted."""

from __future__ import annotations

import copyreg
import pickle
import pickletools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import affectzoo
from affectzoo.errors import CheckpointError, DataError
from affectzoo.pickles.unpickler import InertUnpickler
from tests.pickles.attacks import CARRIERS, LOUD_MODULE, attacks, harmless, program, python_for

PROTOCOLS = (0, 2, 3, 4, 5)


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that an attack leaves when it runs; no test may leave it."""
    path = tmp_path / "ran"
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "loud_module.py").write_text(LOUD_MODULE.format(trace=str(path)))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    before = set(sys.modules)
    yield path
    assert not path.exists()
    # `torch._utils` and the like are here already; what an attack names is not.
    assert not {"loud_module", "webbrowser", "numpy.f2py.capi_maps"} & (set(sys.modules) - before)


@pytest.mark.parametrize("carrier", list(CARRIERS))
@pytest.mark.parametrize("name", list(attacks(b"")))
def test_nothing_runs_and_the_culprit_is_named(tmp_path: Path, trace: Path, name: str, carrier: str) -> None:
    body, culprit = attacks(python_for(trace))[name]
    path = tmp_path / "given.pt"
    for protocol in PROTOCOLS:
        path.write_bytes(CARRIERS[carrier](program(body, protocol)))
        with pytest.raises(CheckpointError, match=culprit) as caught:
            affectzoo.read_state_dict(path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)
        assert not trace.exists()


@pytest.mark.parametrize("name", list(attacks(b"")))
def test_nothing_runs_where_only_containers_and_arrays_are_read(tmp_path: Path, trace: Path, name: str) -> None:
    body, _culprit = attacks(python_for(trace))[name]
    path = tmp_path / "given.pkl"
    for protocol in PROTOCOLS:
        path.write_bytes(program(body, protocol))
        with pytest.raises(DataError, match=r"given\.pkl is not read as a pickle of containers and arrays: it "):
            affectzoo.read_pickle(path)


@pytest.mark.parametrize("carrier", list(CARRIERS))
@pytest.mark.parametrize("name", list(harmless(b"")))
def test_objects_are_names_and_states(tmp_path: Path, trace: Path, name: str, carrier: str) -> None:
    path = tmp_path / "given.pt"
    for protocol in PROTOCOLS:
        path.write_bytes(CARRIERS[carrier](program(harmless(python_for(trace))[name], protocol)))
        with pytest.raises(CheckpointError, match="holds no weights but list"):
            affectzoo.read_state_dict(path)


@pytest.mark.parametrize("name", ["REDUCE", "REDUCE of STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD of a class"])
def test_the_attacks_do_run_in_a_plain_unpickler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    # Or the tests above would prove nothing.
    mark = tmp_path / "plainly"
    (tmp_path / "loud_module.py").write_text(LOUD_MODULE.format(trace=str(mark)))
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        pickle.loads(program(attacks(python_for(mark))[name][0], 4))
        assert mark.exists()
    finally:
        sys.modules.pop("loud_module", None)


@pytest.mark.parametrize("name", ["EXT1", "EXT2", "EXT4"])
@pytest.mark.parametrize("kept", [False, True])
def test_extension_codes_are_refused_even_where_the_interpreter_keeps_their_class(
    tmp_path: Path, trace: Path, name: str, kept: bool
) -> None:
    path = tmp_path / "given.pt"
    path.write_bytes(program(attacks(python_for(trace))[name][0], 2))
    copyreg.add_extension("builtins", "exec", 200)
    try:
        if kept:
            assert pickle.loads(b"\x80\x02\x82\xc8.") is exec
        with pytest.raises(CheckpointError, match="extension code"):
            affectzoo.read_state_dict(path)
        with pytest.raises(DataError, match="extension code"):
            affectzoo.read_pickle(path)
    finally:
        copyreg.remove_extension("builtins", "exec", 200)
        copyreg.clear_extension_cache()


def test_every_opcode_that_calls_is_ours_and_unknown_ones_are_refused() -> None:
    machine = pickle._Unpickler.dispatch  # pyright: ignore[reportAttributeAccessIssue]
    calling = {"REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD", "EXT1", "EXT2", "EXT4"}
    # These look up methods, hash, or allocate before they read.
    hidden = {"APPEND", "APPENDS", "ADDITEMS", "SETITEM", "SETITEMS", "DICT", "FROZENSET", "BYTEARRAY8"}
    for opcode in pickletools.opcodes:
        code = ord(opcode.code)
        if opcode.name in calling | hidden:
            assert InertUnpickler.dispatch[code] is not machine[code], opcode.name
        elif opcode.name in ("NEXT_BUFFER", "READONLY_BUFFER"):
            assert code not in InertUnpickler.dispatch
    known = {ord(opcode.code) for opcode in pickletools.opcodes}
    for code in set(range(256)) - known:
        with pytest.raises(pickle.UnpicklingError, match=f"0x{code:02x} is no opcode"):
            InertUnpickler(bytes([code]), {}).load()
