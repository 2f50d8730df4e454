"""What a small pickle could make large, slow or fatal: keys, memo, lengths, repeated calls, depth."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from affectzoo.pickles.tensors import ADMITTED
from affectzoo.pickles.unpickler import InertUnpickler
from affectzoo.pickles.values import Holder, Refused
from tests.pickles.attacks import text


def load(data: bytes) -> Any:
    return InertUnpickler(data, ADMITTED, holders=True).load()


def test_nested_tuples_are_no_keys() -> None:
    # Hashing the first takes the stack of the process, hashing the second takes for ever.
    deep = b")" + b"\x85" * 200_000
    doubled = b")q\x000" + b"".join(b"h%ch%c\x86q%c0" % (n, n, n + 1) for n in range(60)) + b"h\x3c"
    for key in (deep, doubled):
        for body in (b"}" + key + b"Ns.", b"}(" + key + b"Nu.", b"(" + key + b"Nd.", b"\x8f(" + key + b"\x90."):
            with pytest.raises(Refused, match="has tuple as a key"):
                load(body)
    assert load(b"}K\x01K\x02\x86Ns.") == {(1, 2): None}


def test_keys_that_cost_much_each_time_are_refused() -> None:
    with pytest.raises(Refused, match="has int as a key"):
        load(b"}\x8b\x09\x00\x00\x00" + b"\xff" * 8 + b"\x01Ns.")
    with pytest.raises(Refused, match="has tuple as a key"):
        load(b"}(" + b"K\x01" * 65 + b"tNs.")
    assert load(b"}\x8a\x08" + b"\xff" * 7 + b"\x7fNs.") == {2**63 - 1: None}


@pytest.mark.parametrize(
    "body",
    [
        b"N\x8e" + b"\xff" * 6 + b"\x3f\x00.",
        b"N\x8d" + b"\xff" * 6 + b"\x3f\x00.",
        b"N\x96" + b"\xff" * 6 + b"\x3f\x00.",
        b"NB\xff\xff\xff\xff.",
        b"NX\xff\xff\xff\x7f.",
        b"N\x8b\xff\xff\xff\x7f.",
        b"NT\xff\xff\xff\x7f.",
    ],
)
def test_lengths_beyond_the_end_are_refused(body: bytes) -> None:
    with pytest.raises(Refused, match=r"ends too early|is damaged"):
        load(body)


def test_a_memo_index_asks_for_no_memory() -> None:
    assert load(b"Nr\xff\xff\xff\xff.") is None
    assert load(b"Np99999999999999\n.") is None
    with pytest.raises(Refused, match="damaged"):
        load(b"j\xff\xff\xff\xff.")


@pytest.mark.parametrize(
    "call",
    [
        b"c_codecs\nencode\n(h\x00" + text("latin1") + b"tR",
        b"c__builtin__\nbytearray\n(h\x00" + text("latin-1") + b"tR",
        b"c__builtin__\nset\n(h\x01tR",
        b"ca\nb\n)\x81(h\x02h\x02tb",
    ],
)
def test_what_is_fetched_over_and_over_does_not_fill_the_memory(call: bytes) -> None:
    content = text("a" * 50_000) + b"q\x000" + b"(" + b"N" * 50_000 + b"lq\x010"
    content += b"}(" + b"".join(b"M" + n.to_bytes(2, "little") + b"N" for n in range(50_000)) + b"uq\x020"
    assert len(load(content + b"(" + call * 3 + b"l.")) == 3
    with pytest.raises(Refused, match="would make far more than it holds"):
        load(content + b"(" + call * 1000 + b"l.")


def test_depth_alone_is_no_harm() -> None:
    n = 200_000
    for body in (b")" + b"\x85" * n, b"]" * n + b"a" * (n - 1), b"}K\x01" * n + b"N" + b"s" * n):
        load(body + b".")
    holders = load(b"ca\nb\n)\x81}K\x01" * n + b"N" + b"sb" * n + b".")
    assert isinstance(holders, Holder)
    del holders


def test_open_marks_do_not_fill_the_memory() -> None:
    assert load(b"(" * 5000 + b"l" * 5000 + b".") is not None
    with pytest.raises(Refused, match="nested more than 10000 deep"):
        load(b"(" * 20_000 + b"l" * 20_000 + b".")


def test_text_of_a_file_is_shortened_and_made_printable() -> None:
    with pytest.raises(Refused) as caught:
        load(text("\x1b]0;" + "x" * 100_000) + text("y\n") + b"\x93)R.")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_a_holder_keeps_class_and_state() -> None:
    holder = load(pickle.dumps(_Slotted(), 2))
    assert str(holder.kind).endswith("_Slotted")
    assert holder.state == {"a": 1, "b": 2}
    holder = load(b"cm\nC\n)\x81(K\x01K\x02K\x03tb.")
    assert holder.state == (1, 2, 3)


class _Plain:
    pass


class _Slotted(_Plain):
    __slots__ = ("a",)

    def __init__(self) -> None:
        self.a = 1
        self.b = 2
